"""A shuffled order of rows that keeps close to the order in which they lie in memory."""

import numpy as np

from ._jit import exact_kernel
from .random import subkey

_HALF = np.uint64(32)


@exact_kernel
def chunked_rows(chunks, short_place, chunk_bits, n_rows, first, rows):
    """The rows at positions first, first + 1, ... of whole chunks laid end to end; past the last one, the last.

    chunks : (n_chunks,) int64, a permutation: chunk c holds 2**chunk_bits rows from c · 2**chunk_bits on, or fewer
    short_place : int, where in `chunks` the last chunk stands          n_rows : int, of all chunks
    rows : (n,) int64, overwritten
    """
    chunk_rows = 1 << chunk_bits
    missing = chunks.size * chunk_rows - n_rows
    short_end = (short_place + 1) * chunk_rows - missing
    for i in range(rows.size):
        position = min(first + i, n_rows - 1)
        if position >= short_end:
            position += missing
        rows[i] = (chunks[position >> chunk_bits] << chunk_bits) + (position & (chunk_rows - 1))


@exact_kernel
def shuffle_windows(rows, window_rows, key, first_window):
    """Shuffle each window of so many rows, by Fisher and Yates: for k = n - 1 to 1, swap row k with row ⌊(k + 1) u⌋.

    u = ⌊subkey(subkey(key, window), k) / 2³²⌋ / 2³².

    rows : (n,) int64, modified in place; the last window may be shorter
    key : uint64          first_window : int, the number of the first one
    """
    for start in range(0, rows.size, window_rows):
        window = subkey(key, first_window + start // window_rows)
        for k in range(min(window_rows, rows.size - start) - 1, 0, -1):
            draw = subkey(window, k) >> _HALF
            other = start + np.int64((draw * np.uint64(k + 1)) >> _HALF)
            rows[start + k], rows[other] = rows[other], rows[start + k]
