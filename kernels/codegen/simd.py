"""SIMD vectors: as many numbers as fit one of the processor's vector registers, as values that kernels compute with.

LLVM turns plain loops into vector code by itself, but leaves what does not fill a vector to scalar code at the end of
each loop, and cannot keep several rows and sums in registers at once. Where that costs more than it is worth, a kernel
is written with vectors:

    w = load(weight, j, n, zero)         n numbers of the array from place j on, as numbers of zero's dtype
    z += w * load(x, j, n, zero)         element by element
    store(weight, j, n, w)
    horizontal_sum(z)                    the sum of its elements
    to_elements(from_elements((a, b)))   a and b again

n is `vector_width(zero)`, or fewer at the end of a row: the elements beyond are zero and are never read or written. An
array is one flat sequence here, whatever its shape, and may hold any real dtype: it is converted in registers.

A vector fills a whole register, or is as wide as another that stands in zero's place, such as
`simd_vector_for(x, zero)`.
"""

import operator
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

from ..tuning import LOADED_BYTES
from .llvm import (
    BYTES,
    Locality,
    address_of,
    broadcast_in,
    load_first,
    prefetch_at,
    require_vector_inside,
    store_first,
    suffix,
)
from .processor import register_bytes


class HalfPrecision(NamedTuple):
    """An array of float16, which Numba does not know on processors.

    bits : the same memory as uint16
    """

    bits: np.ndarray


class SIMDVector(types.Type):
    """Numba's type of a SIMD vector of a dtype, in n_bytes bytes."""

    def __init__(self, dtype: types.Float, n_bytes: int | None = None) -> None:
        n_bytes = n_bytes or register_bytes()
        super().__init__(name=f"SIMDVector({dtype}, {n_bytes})")
        self.dtype = dtype
        self.count = n_bytes * 8 // dtype.bitwidth


def _vector_like(number):
    """The type of a vector of a number's dtype, or of the vector itself."""
    return number if isinstance(number, SIMDVector) else SIMDVector(number)


@register_model(SIMDVector)
class _SIMDVectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.count))


def _dtype_of(array):
    return (array.types[0] if isinstance(array, types.BaseNamedTuple) else array).dtype


# Products may be fused into sums, but the order stays as written: a kernel writes first what it knows first.
_FLAGS = ("contract", "nsz")


def _define(operation, instruction):
    @type_callable(operation)
    def typer(context):
        return lambda left, right: left if isinstance(left, SIMDVector) and left == right else None

    @lower_builtin(operation, SIMDVector, SIMDVector)
    def code(context, builder, signature, arguments):
        return getattr(builder, instruction)(*arguments, flags=_FLAGS)


for _operations, _instruction in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _operation in _operations:
        _define(_operation, _instruction)


def _converted(builder, vector, array_type, result):
    """A vector of an array's elements as a vector of floats."""
    source, target = str(vector.type.element), str(result.element)
    if source == target:
        return vector
    if source in BYTES:
        return (builder.fpext if BYTES[source] < BYTES[target] else builder.fptrunc)(vector, result)
    return (builder.sitofp if array_type.dtype.signed else builder.uitofp)(vector, result)


@intrinsic
def vector_width(typing_context, number):
    """How many elements a vector of a number's dtype has, or this one: a constant of the compiled code."""
    count = _vector_like(number).count
    return types.intp(number), lambda context, *_: context.get_constant(types.intp, count)


@intrinsic
def broadcast(typing_context, number):
    """The number in every element."""
    vector = SIMDVector(number)

    def code(context, builder, signature, arguments):
        return broadcast_in(builder, arguments[0], vector.count)

    return vector(number), code


@intrinsic
def simd_vector_for(typing_context, array, number):
    """The number in every element of a vector as wide as is fastest with rows of an array.

    A load of them takes at most `LOADED_BYTES`, so the registers may be short ones, whose sums are a step shorter; they
    are longer where elements are narrower than the number, for half the work of converting them.
    """
    n_bytes = LOADED_BYTES * number.bitwidth // _dtype_of(array).bitwidth
    vector = SIMDVector(number, min(n_bytes, register_bytes()))

    def code(context, builder, signature, arguments):
        return broadcast_in(builder, arguments[1], vector.count)

    return vector(array, number), code


@intrinsic
def broadcast_like(typing_context, vector, number):
    """The number in every element of a vector as wide as this."""

    def code(context, builder, signature, arguments):
        return broadcast_in(builder, arguments[1], vector.count)

    return vector(vector, vector.dtype), code


@intrinsic
def from_elements(typing_context, numbers):
    """A vector of a few numbers of one dtype, a power of two."""
    vector = SIMDVector(numbers.dtype, numbers.count * numbers.dtype.bitwidth // 8)

    def code(context, builder, signature, arguments):
        values = ir.Constant(context.get_value_type(vector), ir.Undefined)
        for i, number in enumerate(cgutils.unpack_tuple(builder, arguments[0])):
            values = builder.insert_element(values, number, ir.Constant(ir.IntType(32), i))
        return values

    return vector(numbers), code


@intrinsic
def to_elements(typing_context, vector):
    """The elements, a tuple of numbers."""
    numbers = types.UniTuple(vector.dtype, vector.count)

    def code(context, builder, signature, arguments):
        elements = [builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), i)) for i in range(vector.count)]
        return context.make_tuple(builder, numbers, elements)

    return numbers(vector), code


@intrinsic
def load(typing_context, array, begin, n, number):
    """The n numbers of an array from place `begin` on, in the dtype of `number`; zero in the elements beyond.

    array : C-contiguous, of any real dtype, or a HalfPrecision
    n : int; below one it stands for none, above the vector's width for all
    number : a number, or a vector as wide as the result
    """
    vector = _vector_like(number)

    def code(context, builder, signature, arguments):
        require_vector_inside(context, builder, array, arguments, vector.count)
        address, element = address_of(context, builder, array, *arguments[:2])
        (loaded,) = load_first(builder, [address], ir.VectorType(element, vector.count), arguments[2])
        return _converted(builder, loaded, array, context.get_value_type(vector))

    return vector(array, types.intp, types.intp, number), code


@intrinsic
def store(typing_context, array, begin, n, vector):
    """Write the first n elements into an array of their dtype, from place `begin` on."""

    def code(context, builder, signature, arguments):
        values = arguments[3]
        require_vector_inside(context, builder, array, arguments, values.type.count)
        address, _ = address_of(context, builder, array, *arguments[:2])
        store_first(builder, values, address, arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, vector), code


@intrinsic
def horizontal_sum(typing_context, vector):
    """The sum of all elements."""

    def code(context, builder, signature, arguments):
        element = arguments[0].type.element
        name = f"llvm.vector.reduce.fadd.{suffix(arguments[0].type)}"
        function_type = ir.FunctionType(element, [element, arguments[0].type])
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        return builder.call(function, [ir.Constant(element, 0.0), arguments[0]], fastmath=("reassoc",))

    return vector.dtype(vector), code


@intrinsic
def clipped(typing_context, vector, limit):
    """Each element, limited to ± the limit's; NaN becomes a limit."""

    def code(context, builder, signature, arguments):
        values, upper = arguments
        lower = builder.fsub(ir.Constant(upper.type, None), upper)
        values = builder.select(builder.fcmp_ordered("<", values, upper), values, upper)
        return builder.select(builder.fcmp_ordered(">", values, lower), values, lower)

    return vector(vector, limit), code


def _prefetch(array, locality):
    def code(context, builder, signature, arguments):
        address, _ = address_of(context, builder, array, *arguments)
        prefetch_at(builder, address, locality)
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@intrinsic
def prefetch(typing_context, array, begin):
    """Prefetch the line of an element, which may lie beyond the array's end, into L1."""
    return _prefetch(array, Locality.L1)


@intrinsic
def prefetch_l2(typing_context, array, begin):
    """Prefetch the line of an element, which may lie beyond the array's end, into L2."""
    return _prefetch(array, Locality.L2)


@intrinsic
def elements_in(typing_context, array, n_bytes):
    """How many of an array's elements so many bytes hold."""
    size = _dtype_of(array).bitwidth // 8

    def code(context, builder, signature, arguments):
        return builder.sdiv(arguments[1], context.get_constant(types.intp, size))

    return types.intp(array, types.intp), code


@intrinsic
def minus_product(typing_context, number, left, right):
    """number - left · right, in this order: as part of a sum, it would be added to whatever comes first."""

    def code(context, builder, signature, arguments):
        minuend, left, right = arguments
        return builder.fsub(minuend, builder.fmul(left, right, flags=_FLAGS), flags=_FLAGS)

    return number(number, number, number), code
