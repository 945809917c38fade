"""A shuffled order of rows that keeps close to the order in which they lie in memory."""

import numpy as np

from ._jit import exact_kernel
from .random import subkey
from .views import element

_HALF = np.uint64(32)


@exact_kernel
def chunked_rows(chunks, short_place, chunk_bits, n_rows, first, rows):
    """The rows at positions first, first + 1, ... of whole chunks laid end to end; past the last one, the last.

    chunks : (n_chunks,) int64, a permutation: chunk c holds 2**chunk_bits rows from c · 2**chunk_bits on, or fewer
    short_place : int, where in `chunks` the last chunk stands          chunk_bits : int
    n_rows : int, of all chunks          first : int          rows : (n,) int64, overwritten
    """
    chunk_rows = 1 << chunk_bits
    missing = chunks.size * chunk_rows - n_rows
    short_end = (short_place + 1) * chunk_rows - missing
    for i in range(rows.size):
        position = min(first + i, n_rows - 1)
        if position >= short_end:
            position += missing
        rows[i] = (element(chunks, position >> chunk_bits) << chunk_bits) + (position & (chunk_rows - 1))


@exact_kernel
def factor_and_term(window_key, r):
    """a and c of round r."""
    return np.uint32(subkey(window_key, 2 * r) | np.uint64(1)), np.uint32(subkey(window_key, 2 * r + 1))


@exact_kernel
def shuffle_windows(rows, bits, key, first_window, places, shuffled):
    """Shuffle each window of 2**bits rows: shuffled[i] = rows[q(i)], counted from the window's first row.

    q is made of four rounds of  q = (a q + c) mod 2**bits,  q ^= q >> ⌈bits / 2⌉,  each a bijection, from q = i. With
    window_key = subkey(key, number of the window), round r has a = subkey(window_key, 2 r) | 1 and
    c = subkey(window_key, 2 r + 1). A last window that is shorter is shuffled by Fisher and Yates: for k = n - 1 to 1,
    swap row k with row ⌊(k + 1) u⌋, u = ⌊subkey(window_key, k) / 2³²⌋ / 2³².

    rows : (n,) int64          bits : int, at least 1
    key : uint64          first_window : int, the number of the first one
    places : (2**bits,) uint32, scratch
    shuffled : (n,) int64, overwritten
    """
    window_rows = 1 << bits
    mask, shift = np.uint32(window_rows - 1), np.uint32((bits + 1) // 2)
    for start in range(0, rows.size, window_rows):
        window_key = subkey(key, first_window + (start >> bits))
        if start + window_rows <= rows.size:
            for i in range(window_rows):
                places[i] = i
            for r in range(4):
                a, c = factor_and_term(window_key, r)
                for i in range(window_rows):
                    q = np.uint32(a * places[i] + c) & mask
                    places[i] = q ^ (q >> shift)
            for i in range(window_rows):
                shuffled[start + i] = element(rows, start + np.int64(places[i]))
        else:
            for i in range(start, rows.size):
                shuffled[i] = rows[i]
            for k in range(rows.size - start - 1, 0, -1):
                draw = subkey(window_key, k) >> _HALF
                other = start + np.int64((draw * np.uint64(k + 1)) >> _HALF)
                shuffled[start + k], shuffled[other] = shuffled[other], shuffled[start + k]
