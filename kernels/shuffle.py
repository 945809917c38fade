"""A shuffled order of rows that keeps close to the order in which they lie in memory."""

from typing import NamedTuple

import numpy as np

from ._jit import exact_kernel
from .random import subkey
from .views import element

_HALF = np.uint64(32)


class Layout(NamedTuple):
    """How chunks of consecutive rows lie in windows.

    chunks : (n_chunks,) int64, a permutation: chunk c holds 2**chunk_bits rows from c · 2**chunk_bits on, or fewer
    short_place : int, where in `chunks` the last chunk stands
    n_rows : int, of all chunks
    piece_bits, chunk_bits, window_bits : int, in rising order
    """

    chunks: np.ndarray
    short_place: int
    n_rows: int
    piece_bits: int
    chunk_bits: int
    window_bits: int


@exact_kernel
def lay_out_chunks(layout, first, rows):
    """The rows at positions first, first + 1, ... of chunks laid end to end, piece by piece of each chunk by turns.

    By turns within each window of 2**window_bits positions: its place (i · n_chunks + c) · n + k has the row at its
    position c · 2**chunk_bits + i · n + k, for k below n = 2**piece_bits and c below n_chunks, that of chunks in a
    window. A last window that is shorter is laid out in order; past the last row, the last one.

    layout : Layout          first : int, where a window begins          rows : (n,) int64, whole windows, overwritten
    """
    chunk_bits, window_bits, n_rows = layout.chunk_bits, layout.window_bits, layout.n_rows
    chunk_rows, window_rows = 1 << chunk_bits, 1 << window_bits
    missing = layout.chunks.size * chunk_rows - n_rows
    short_end = (layout.short_place + 1) * chunk_rows - missing
    for start in range(0, rows.size, window_rows):
        piece_bits = layout.piece_bits if first + start + window_rows <= n_rows else chunk_bits
        for c in range(1 << (window_bits - chunk_bits)):
            # A chunk's length of positions may begin in the middle of a chunk, once the short one has come.
            k = 0
            while k < chunk_rows:
                position = min(first + start + (c << chunk_bits) + k, n_rows - 1)
                if position >= short_end:
                    position += missing
                chunk, offset = position >> chunk_bits, position & (chunk_rows - 1)
                row = (element(layout.chunks, chunk) << chunk_bits) + offset
                length = chunk_rows - missing if chunk == layout.short_place else chunk_rows
                end = min(k + length - offset, chunk_rows)
                for i in range(k, end):
                    turn, rest = i >> piece_bits, i & ((1 << piece_bits) - 1)
                    place = ((turn << (window_bits - chunk_bits)) + c << piece_bits) + rest
                    rows[start + place] = row + i - k
                k = end


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
