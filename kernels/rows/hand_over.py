"""Rows that one thread has made, where another one reads them."""

from ..codegen.jit import kernel
from ..codegen.nontemporal import finish_stores, store_line
from ..tuning import LINE_BYTES


@kernel
def hand_over(source, out):
    """out = source, written past the caches, so that `out` costs little where another processor has just read it.

    source : (n,) uint8          out : (n,) uint8, begins with a line of the cache; overwritten
    """
    n_whole = source.size // LINE_BYTES * LINE_BYTES
    for i in range(0, n_whole, LINE_BYTES):
        store_line(source, i, out)
    for i in range(n_whole, source.size):
        out[i] = source[i]
    finish_stores()
