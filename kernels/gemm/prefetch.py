"""Memory that is asked for line by line, while something else is worked on.

Asked for all at once, lines wait for one another, and whatever else is loaded waits for them.
"""

from ..codegen.jit import inlined_kernel
from ..codegen.raw_memory import number_at, prefetch_line, set_number_at
from ..codegen.views import address
from ..tuning import LINE_BYTES, LINES_AT_ONCE

_INT64_BYTES = 8


@inlined_kernel
def want(wanted, array, begin, end):
    """Note that elements from `begin` to `end` will be needed.

    wanted : (2,) int64, addresses: from where on and up to where memory is still to be asked for; overwritten
    """
    wanted[0], wanted[1] = address(array, begin), address(array, end)


@inlined_kernel
def ask_for_some(wanted):
    """Ask for as many lines of what is wanted as come while a tile's products are added up, or little more.

    wanted : int, the address of what `want` has noted, which is brought up to date; or zero where nothing is. As an
        array it would be seven arguments in machine code, and networks that are trained row by row a tenth slower
    """
    if wanted:
        begin = number_at(wanted)
        end = min(begin + LINES_AT_ONCE * LINE_BYTES, number_at(wanted + _INT64_BYTES))
        for line in range(begin, end, LINE_BYTES):
            prefetch_line(line)
        set_number_at(wanted, end)
