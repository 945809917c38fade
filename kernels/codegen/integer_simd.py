"""Vectors of unsigned integers, for random words and the floats that are made of them.

    z = key + lane_numbers(key, 1) * step    operators take a vector and another one, or a number for all lanes
    halves(z)                                the same bits, as twice as many integers of half the width

Kernels that are written for numbers, such as `random.mix`, take vectors as well.
"""

import operator

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from .llvm import broadcast_in, permuted
from .processor import register_bytes
from .simd import SIMDVector


class _IntegerVector(types.Type):
    """Numba's type of so many unsigned integers of a dtype."""

    def __init__(self, dtype: types.Integer, count: int) -> None:
        super().__init__(name=f"_IntegerVector({dtype}, {count})")
        self.dtype = dtype
        self.count = count


@register_model(_IntegerVector)
class _IntegerVectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.count))


def _define(operation, instruction):
    @type_callable(operation)
    def typer(context):
        def result(left, right):
            vectors = [kind for kind in (left, right) if isinstance(kind, _IntegerVector)]
            is_one_dtype = vectors and all(kind in (vectors[0], vectors[0].dtype) for kind in (left, right))
            return vectors[0] if is_one_dtype else None

        return result

    def code(context, builder, signature, arguments):
        count = signature.return_type.count
        vectors = [
            value if isinstance(kind, _IntegerVector) else broadcast_in(builder, value, count)
            for kind, value in zip(signature.args, arguments, strict=True)
        ]
        return getattr(builder, instruction)(*vectors)

    for kinds in ((_IntegerVector, _IntegerVector), (_IntegerVector, types.Integer), (types.Integer, _IntegerVector)):
        lower_builtin(operation, *kinds)(code)


for _operations, _instruction in (
    ((operator.add, operator.iadd), "add"),
    ((operator.mul, operator.imul), "mul"),
    ((operator.and_, operator.iand), "and_"),
    ((operator.xor, operator.ixor), "xor"),
    ((operator.rshift, operator.irshift), "lshr"),
):
    for _operation in _operations:
        _define(_operation, _instruction)


@intrinsic(prefer_literal=True)
def lane_numbers(typing_context, number, n_registers):
    """0, 1, 2, ... of a number's dtype, in as many lanes as so many registers have; n_registers is a literal."""
    dtype = types.unliteral(number)
    vector = _IntegerVector(dtype, n_registers.literal_value * register_bytes() * 8 // dtype.bitwidth)

    def code(context, builder, signature, arguments):
        return ir.Constant(context.get_value_type(vector), list(range(vector.count)))

    return vector(number, n_registers), code


@intrinsic
def n_lanes(typing_context, vector):
    """How many integers a vector has: a constant of the compiled code."""
    return types.intp(vector), lambda context, *_: context.get_constant(types.intp, vector.count)


@intrinsic
def halves(typing_context, vector):
    """The same bits as integers of half the width: of each, first the lower half and then the upper one."""
    # On machines that store the lower half first, as all do that Numba compiles for.
    dtype = types.Integer.from_bitwidth(vector.dtype.bitwidth // 2, signed=False)
    result = _IntegerVector(dtype, 2 * vector.count)
    return result(vector), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(result)
    )


@intrinsic
def as_float32(typing_context, vector):
    """Integers of 32 bits below 2**31 as floats, rounded to the nearest."""
    result = SIMDVector(types.float32, vector.count * 4)
    return result(vector), lambda context, builder, signature, arguments: builder.sitofp(
        arguments[0], context.get_value_type(result)
    )


def _every_second(vector, first):
    result = SIMDVector(vector.dtype, vector.count * 2)

    def code(context, builder, signature, arguments):
        return permuted(builder, arguments[0], arguments[0], list(range(first, vector.count, 2)))

    return result(vector), code


@intrinsic
def even_lanes(typing_context, vector):
    """Lanes 0, 2, 4, ... of a vector of floats."""
    return _every_second(vector, 0)


@intrinsic
def odd_lanes(typing_context, vector):
    """Lanes 1, 3, 5, ... of a vector of floats."""
    return _every_second(vector, 1)


@intrinsic
def in_dtype_of(typing_context, array, lanes):
    """Lanes of float32 in the dtype of an array, float32 or float64."""
    element = array.dtype
    result = SIMDVector(element, lanes.count * element.bitwidth // 8)

    def code(context, builder, signature, arguments):
        values = arguments[1]
        return values if element == lanes.dtype else builder.fpext(values, context.get_value_type(result))

    return result(array, lanes), code
