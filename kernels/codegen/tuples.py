"""Tuples in the memory of an array, where one thread leaves them for others."""

from numba import types
from numba.extending import intrinsic

from ..tuning import LINE_BYTES
from .llvm import INDEX, element_at


def _place(context, builder, array_type, array, begin):
    """Where an element of an int64 array lies."""
    data = context.make_array(array_type)(context, builder, array).data
    return element_at(builder, data, context.get_constant(types.intp, begin), INDEX)


def tuple_store(begin, size):
    """The intrinsic store(array, values): write a tuple of numbers, tuples and arrays into int64 elements.

    begin : the first of them, at the beginning of a line of the cache          size : how many there are
    """

    @intrinsic
    def store(typing_context, array, values):
        def code(context, builder, signature, arguments):
            if context.get_abi_sizeof(arguments[1].type) > size * types.int64.bitwidth // 8:
                raise ValueError(f"a tuple of the types {values} is larger than {size} numbers")
            place = _place(context, builder, array, arguments[0], begin)
            builder.store(arguments[1], place, align=LINE_BYTES)
            return context.get_dummy_value()

        return types.void(array, values), code

    return store


def tuple_load(begin, kinds_of):
    """The intrinsic load(array, numbers) for what `tuple_store` has written.

    kinds_of : from Numba's type of the numbers, an array that only tells the dtype, to the types of the tuple
    """

    @intrinsic
    def load(typing_context, array, numbers):
        result = types.Tuple(kinds_of(numbers.dtype))

        def code(context, builder, signature, arguments):
            place = _place(context, builder, array, arguments[0], begin)
            return builder.load(place, align=LINE_BYTES, typ=context.get_value_type(result))

        return result(array, numbers), code

    return load
