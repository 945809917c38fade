"""Memory that is asked for line by line, while something else is worked on.

Asked for all at once, lines wait for one another, and whatever else is loaded waits for them.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..codegen.alignment import LINE_BYTES
from ..codegen.jit import inlined_kernel
from ..codegen.llvm import INDEX, Locality, prefetch_at
from ..codegen.views import address

# So many lines come while the products of a tile or two are added up, where these are few.
_LINES_AT_ONCE = 16

_INT64_BYTES = 8


@intrinsic
def _prefetch_line(typing_context, place):
    """Ask for the line of memory at an address, in the second-level cache."""

    def code(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        prefetch_at(builder, pointer, Locality.SECOND_CACHE)
        return context.get_dummy_value()

    return types.void(types.intp), code


@inlined_kernel
def want(wanted, array, begin, end):
    """Note that elements from `begin` to `end` will be needed.

    wanted : (2,) int64, addresses: from where on and up to where memory is still to be asked for; overwritten
    """
    wanted[0], wanted[1] = address(array, begin), address(array, end)


@intrinsic
def _number_at(typing_context, place):
    """The int64 at an address."""

    def code(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], INDEX.as_pointer()))

    return types.intp(types.intp), code


@intrinsic
def _set_number_at(typing_context, place, number):
    """Write an int64 to an address."""

    def code(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], INDEX.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), code


@inlined_kernel
def ask_for_some(wanted):
    """Ask for as many lines of what is wanted as come while a tile's products are added up, or little more.

    wanted : int, the address of what `want` has noted, which is brought up to date; or zero where nothing is. As an
        array it would be seven arguments in machine code, and networks that are trained row by row a tenth slower
    """
    if wanted:
        begin = _number_at(wanted)
        end = min(begin + _LINES_AT_ONCE * LINE_BYTES, _number_at(wanted + _INT64_BYTES))
        for line in range(begin, end, LINE_BYTES):
            _prefetch_line(line)
        _set_number_at(wanted, end)
