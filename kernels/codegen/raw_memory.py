"""Memory by its address, which a kernel gets as one argument where an array is seven in machine code."""

from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import impl_ret_borrowed, make_array, populate_array

from .llvm import INDEX, POINTER, Locality, prefetch_at


@intrinsic
def prefetch_line(typing_context, place):
    """Prefetch the line at an address into L2."""

    def code(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], POINTER)
        prefetch_at(builder, pointer, Locality.L2)
        return context.get_dummy_value()

    return types.void(types.intp), code


@intrinsic
def number_at(typing_context, place):
    """The int64 at an address."""

    def code(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], POINTER), typ=INDEX)

    return types.intp(types.intp), code


@intrinsic
def set_number_at(typing_context, place, number):
    """Write an int64 to an address."""

    def code(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], POINTER))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), code


@intrinsic
def vector_at(typing_context, place, size, number):
    """So many numbers of the dtype of `number` from an address on, as a vector that is not written to."""
    result = types.Array(number, 1, "C", readonly=True)

    def code(context, builder, signature, arguments):
        place, size, _ = arguments
        vector = make_array(result)(context, builder)
        itemsize = context.get_constant(types.intp, number.bitwidth // 8)
        data = builder.inttoptr(place, POINTER)
        populate_array(vector, data=data, shape=[size], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return impl_ret_borrowed(context, builder, result, vector._getvalue())

    return result(types.intp, types.intp, number), code
