"""Memory that is prefetched line by line, while something else is worked on.

Prefetched all at once, lines wait for one another, and every other load waits for them.
"""

from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.raw_memory import number_at, prefetch_line, set_number_at
from ..codegen.views import address
from ..tuning import LINE_BYTES, LINES_AT_ONCE, MOST_PREFETCHED

_INT64_BYTES = 8


@inlined_kernel
def set_prefetch_range(prefetch_range, X, row, end):
    """Note that rows from `row` to before `end`, or the first of them, will be needed.

    prefetch_range : (2,) int64, the addresses from which and up to which memory is still to be prefetched; overwritten
    """
    begin = row * X.shape[1]
    prefetch_range[0] = address(X, begin)
    prefetch_range[1] = address(X, minimum(end * X.shape[1], begin + MOST_PREFETCHED))


@inlined_kernel
def prefetch_some(prefetch_range):
    """Prefetch the next `LINES_AT_ONCE` lines of a range.

    prefetch_range : int, the address of what `set_prefetch_range` has noted, which is brought up to date; or zero where
        nothing is. As an array it would be seven arguments in machine code, and networks that are trained row by row a
        tenth slower
    """
    if prefetch_range:
        begin = number_at(prefetch_range)
        end = minimum(begin + LINES_AT_ONCE * LINE_BYTES, number_at(prefetch_range + _INT64_BYTES))
        for line in range(begin, end, LINE_BYTES):
            prefetch_line(line)
        set_number_at(prefetch_range, end)
