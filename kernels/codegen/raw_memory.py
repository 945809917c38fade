"""Memory by its address, which a kernel gets as one argument where an array is seven in machine code."""

from numba import types
from numba.extending import intrinsic

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
