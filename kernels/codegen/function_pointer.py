"""Kernels that others call by the address of their machine code.

A kernel that is called by its name becomes part of every kernel that calls it, and is optimised again in each. And a
loop that called the functions of its loss, its optimiser and its layers by their names would have to be compiled for
every combination of them. An address is a number: each part is compiled once for each dtype, when it is first needed,
and one loop serves them all.
"""

import functools
import zlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from .jit import kernel, part_kernel
from .llvm import INDEX, POINTER, element_at, require, require_inside

_NUMBERS = (types.float32, types.float64)

Signature = Callable[[types.Type], tuple[types.Type, ...]]


def _number_of(kinds: tuple[types.Type, ...]) -> int:
    """What tells the types that a kernel is compiled for from others', in every process."""
    return zlib.crc32(repr(kinds).encode())


def read_only_vector_of(number: types.Type) -> types.Array:
    """The type of a vector that a kernel does not write to."""
    return types.Array(number, 1, "C", readonly=True)


def vector_of(number: types.Type) -> types.Array:
    """The type of a vector that a kernel writes to."""
    return types.Array(number, 1, "C")


def matrix_of(number: types.Type) -> types.Array:
    """The type of a matrix that a kernel writes to."""
    return types.Array(number, 2, "C")


def read_only_matrix_of(number: types.Type) -> types.Array:
    """The type of a matrix that a kernel does not write to."""
    return types.Array(number, 2, "C", readonly=True)


def strided_of(number: types.Type, readonly: bool = False) -> types.Array:
    """The type of a matrix whose rows and columns may lie anywhere, as `views.read_only_strided` makes it."""
    return types.Array(number, 2, "A", readonly=readonly)


class FunctionPointerKernel:
    """A kernel that returns nothing, compiled for one signature a dtype.

    function : the kernel; its first parameter is `kind` where one kernel serves several kinds of records
    signature : from Numba's type of numbers to the tuple of the arguments' types, without the kind
    exact : whether every rounding stays as written
    """

    def __init__(self, function: Callable[..., None], signature: Signature, exact: bool) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._dispatcher = part_kernel(function, exact)
        self._signature = signature
        self._addresses: dict[tuple, int] = {}
        self._checked: dict[tuple, np.ndarray] = {}

    def pointer(self, dtype: np.dtype, kind: type | None = None) -> int:
        """Where the machine code begins; compiled where it was not. Under NUMBA_BOUNDSCHECK, where `calls` finds that.

        kind : the class of the settings whose numbers the kernel will get
        """
        key = (np.dtype(dtype), kind)
        if key not in self._addresses:
            address = self._compiled(*key)
            if config.BOUNDSCHECK:
                number = _number_of(self._signature(numba.from_dtype(key[0])))
                self._checked[key] = np.array([address, number], np.int64)
                address = self._checked[key].ctypes.data
            self._addresses[key] = address
        return self._addresses[key]

    def _compiled(self, dtype: np.dtype, kind: type | None) -> int:
        # Settings of no values are no argument in machine code: it only tells the compiler which kind to compile for.
        marker = () if kind is None else (types.NamedTuple((), kind),)
        signature = (*marker, *self._signature(numba.from_dtype(dtype)))
        self._dispatcher.compile(signature)
        compiled = self._dispatcher.overloads[signature]
        return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)

    def __call__(self, *arguments: Any) -> None:
        """Run the kernel from Python, for tests and trials."""
        self.bound(*arguments)()

    def bound(self, *arguments: Any) -> Callable[[], None]:
        """What runs the kernel with these arguments, the kind first if it has one; the first array tells the dtype."""
        kind = None
        if isinstance(arguments[0], type):
            kind, *arguments = arguments
        first = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
        kinds = self._signature(numba.from_dtype(first.dtype))
        given = tuple(_as_type(argument, kind) for argument, kind in zip(arguments, kinds, strict=True))
        found = tuple(map(numba.typeof, given))
        if not _takes(kinds, found):
            raise TypeError(f"{self.py_func.__name__} was called with {found}; expected {kinds}")
        return functools.partial(_caller(self._signature), self.pointer(first.dtype, kind), given)


def _takes(kinds: tuple[types.Type, ...], given: tuple[types.Type, ...]) -> bool:
    """Whether arguments of these types are what a kernel takes: they are the same, but any matrix is a strided one."""
    if len(kinds) != len(given):
        return False
    are_strided = [isinstance(kind, types.Array) and kind.layout == "A" for kind in kinds]
    found = [
        array.copy(layout="A") if is_strided and isinstance(array, types.Array) else array
        for is_strided, array in zip(are_strided, given, strict=True)
    ]
    return found == list(kinds)


def _as_type(argument: Any, kind: types.Type) -> Any:
    if isinstance(kind, types.BaseNamedTuple):
        return argument
    if isinstance(kind, types.BaseTuple):
        return tuple(_as_type(part, part_kind) for part, part_kind in zip(argument, kind, strict=True))
    if isinstance(kind, types.Number | types.Boolean):
        return as_dtype(kind).type(argument)
    if kind.mutable:
        return argument
    view = argument.view()
    view.flags.writeable = False
    return view


def pointer_kernel(signature: Signature, exact: bool = False) -> Callable[[Callable[..., None]], FunctionPointerKernel]:
    """Compile a kernel on first use, to be called by its address with arguments of these types.

    exact : whether every rounding stays as written
    """
    return lambda function: FunctionPointerKernel(function, signature, exact)


def call_through(signature: Signature) -> Callable[[int, tuple], None]:
    """The intrinsic that calls the kernel of this signature at an address: call(address, arguments).

    The machine code would take arguments of other types for something else, so they are refused when the caller is
    compiled. That the address is one of such a kernel is checked under NUMBA_BOUNDSCHECK alone; so is what the kernel
    raises, as bounds are checked then.
    """

    @intrinsic
    def call(typing_context, address, arguments):
        # A constant has a type of its own for Numba.
        arguments = types.unliteral(arguments)
        taken = [kinds for kinds in map(signature, _NUMBERS) if _takes(kinds, tuple(arguments))]
        if not taken:
            raise numba.errors.TypingError(f"{signature.__qualname__} has no arguments {arguments}")

        def code(context, builder, intrinsic_signature, values):
            address, kinds = values[0], tuple(intrinsic_signature.args[1])
            if config.BOUNDSCHECK:
                pair = builder.inttoptr(address, POINTER)
                places = [element_at(builder, pair, ir.Constant(INDEX, i), INDEX) for i in range(2)]
                address, number = (builder.load(place, typ=INDEX) for place in places)
                is_right = builder.icmp_signed("==", number, ir.Constant(INDEX, _number_of(kinds)))
                require(context, builder, is_right, TypeError, f"the kernel at this address does not take {kinds}")
            function_type = context.call_conv.get_function_type(types.none, kinds)
            # A call has to know the function's type from its pointer.
            function = builder.inttoptr(address, function_type.as_pointer())
            given = cgutils.unpack_tuple(builder, values[1])
            status, _ = context.call_conv.call_function(builder, function, types.none, kinds, given)
            if config.BOUNDSCHECK:
                with cgutils.if_unlikely(builder, status.is_error):
                    context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return types.none(address, types.Tuple(taken[0])), code

    return call


@functools.cache
def _caller(signature: Signature) -> Callable[[int, tuple], None]:
    """What calls kernels of a signature from Python."""
    call_kernel = call_through(signature)

    @kernel
    def call(address, arguments):
        call_kernel(address, arguments)

    return call


def _settings(kind, numbers, first):
    """The type of settings, and LLVM code for those whose numbers begin at first(builder, arguments)."""
    cls = kind.instance_class
    settings = types.NamedTuple([numbers.dtype] * len(cls._fields), cls)

    def code(context, builder, signature, arguments):
        array = context.make_array(numbers)(context, builder, arguments[1])
        begin = first(builder, arguments)
        require_inside(context, builder, begin, ir.Constant(INDEX, len(cls._fields)), array.nitems)
        number = context.get_data_type(numbers.dtype)
        places = [builder.add(begin, ir.Constant(INDEX, i)) for i in range(len(cls._fields))]
        fields = [builder.load(element_at(builder, array.data, place, number), typ=number) for place in places]
        return context.make_tuple(builder, settings, fields)

    return settings, code


@intrinsic
def settings_of(typing_context, kind, numbers):
    """The settings of a kind that have these numbers, (n_fields,), in their dtype."""
    settings, code = _settings(kind, numbers, lambda builder, arguments: ir.Constant(INDEX, 0))
    return settings(kind, numbers), code


@intrinsic
def settings_at(typing_context, kind, numbers, i):
    """The settings of a kind that have the numbers of row i, (n, n_fields)."""
    n_fields = ir.Constant(INDEX, len(kind.instance_class._fields))
    settings, code = _settings(kind, numbers, lambda builder, arguments: builder.mul(arguments[2], n_fields))
    return settings(kind, numbers, types.intp), code


def settings_vector(settings: Any) -> np.ndarray:
    """The values of settings for `settings_of`, (n_fields,) float64."""
    return np.array(settings, np.float64)
