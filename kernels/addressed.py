"""Kernels that others call by the address of their machine code.

A kernel that is called by its name becomes part of every kernel that calls it, and is optimised again in each. And a
loop that called the functions of its loss, its optimiser and its layers by their names would have to be compiled for
every combination of them. An address is a number: each part is compiled once for each dtype, when it is first needed,
and one loop serves them all.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from ._jit import kernel, part_kernel
from .llvm import INDEX

_NUMBERS = (types.float32, types.float64)

Signature = Callable[[types.Type], tuple[types.Type, ...]]

# What kernels are compiled for: a call with other types would read its arguments wrongly.
_signatures: set[tuple[types.Type, ...]] = set()


def read_only_vector_of(number: types.Type) -> types.Array:
    """The type of a vector that a kernel does not write to."""
    return types.Array(number, 1, "C", readonly=True)


def vector_of(number: types.Type) -> types.Array:
    """The type of a vector that a kernel writes to."""
    return types.Array(number, 1, "C")


def matrix_of(number: types.Type) -> types.Array:
    """The type of a matrix that a kernel writes to."""
    return types.Array(number, 2, "C")


class AddressedKernel:
    """A kernel that returns nothing, compiled for one signature a dtype.

    function : the kernel; its first parameter is `kind` where one kernel serves several kinds of records
    signature : from Numba's type of numbers to the tuple of the arguments' types, without the kind
    """

    def __init__(self, function: Callable[..., None], signature: Signature) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._dispatcher = part_kernel(function)
        self._signature = signature
        self._addresses: dict[tuple, int] = {}
        _signatures.update(signature(number) for number in _NUMBERS)

    def address(self, dtype: np.dtype, kind: type | None = None) -> int:
        """Where the machine code begins; compiled where it was not.

        kind : the class of the records whose numbers the kernel will get
        """
        key = (np.dtype(dtype), kind)
        if key not in self._addresses:
            self._addresses[key] = self._compiled(*key)
        return self._addresses[key]

    def _compiled(self, dtype: np.dtype, kind: type | None) -> int:
        # A record of no values is no argument in machine code: it only tells the compiler which kind to compile for.
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
        return functools.partial(_call, self.address(first.dtype, kind), given)


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


def addressed_kernel(signature: Signature) -> Callable[[Callable[..., None]], AddressedKernel]:
    """Compile a kernel on first use, to be called by its address with arguments of these types."""
    return lambda function: AddressedKernel(function, signature)


@intrinsic
def call_at(typing_context, address, arguments):
    """Call the kernel at an address with a tuple of arguments, of exactly the types that it is compiled for."""
    # A constant has a type of its own for Numba.
    arguments = types.unliteral(arguments)
    if tuple(arguments) not in _signatures:
        raise numba.errors.TypingError(f"no addressed kernel takes {arguments}")

    def code(context, builder, signature, values):
        kinds = tuple(signature.args[1])
        function_type = context.call_conv.get_function_type(types.none, kinds)
        function = builder.inttoptr(values[0], function_type.as_pointer())
        context.call_conv.call_function(builder, function, types.none, kinds, cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    return types.none(address, arguments), code


@kernel
def _call(address, arguments):
    call_at(address, arguments)


def _record(kind, numbers, first):
    """A record's type, and LLVM code for one whose numbers begin at first(builder, arguments)."""
    cls = kind.instance_class
    record = types.NamedTuple([numbers.dtype] * len(cls._fields), cls)

    def code(context, builder, signature, arguments):
        data = context.make_array(numbers)(context, builder, arguments[1]).data
        place = builder.gep(data, [first(builder, arguments)])
        fields = [builder.load(builder.gep(place, [ir.Constant(INDEX, i)])) for i in range(len(cls._fields))]
        return context.make_tuple(builder, record, fields)

    return record, code


@intrinsic
def record_of(typing_context, kind, numbers):
    """The record of a kind that has these numbers, (n_fields,), in their dtype."""
    record, code = _record(kind, numbers, lambda builder, arguments: ir.Constant(INDEX, 0))
    return record(kind, numbers), code


@intrinsic
def record_at(typing_context, kind, numbers, i):
    """The record of a kind that has the numbers of row i, (n_records, n_fields)."""
    n_fields = ir.Constant(INDEX, len(kind.instance_class._fields))
    record, code = _record(kind, numbers, lambda builder, arguments: builder.mul(arguments[2], n_fields))
    return record(kind, numbers, types.intp), code


def numbers_of(record: Any) -> np.ndarray:
    """A record's values for `record_of`, (n_fields,) float64."""
    return np.array(record, np.float64)
