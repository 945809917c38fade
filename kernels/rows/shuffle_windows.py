"""A shuffled order of rows that is read in pieces of memory rather than row by row."""

from typing import NamedTuple

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import exact_kernel
from ..codegen.views import element
from ..random import subkey

_HALF = np.uint64(32)


class Layout(NamedTuple):
    """Which chunks of consecutive rows lie in which window.

    begins : (n_windows, n_chunks) int64, the row with which each chunk begins, a multiple of 2**chunk_bits; it goes on
        for so many rows, or up to n_rows where that comes first
    starts : (n_windows + 1,) int64, how many rows the windows before each have
    n_rows : int
    chunk_bits, window_bits : int; n_chunks = 2**(window_bits - chunk_bits)
    """

    begins: np.ndarray
    starts: np.ndarray
    n_rows: int
    chunk_bits: int
    window_bits: int


@exact_kernel
def _factor_and_term(window_key, r):
    """a and c of round r."""
    return np.uint32(subkey(window_key, 2 * r) | np.uint64(1)), np.uint32(subkey(window_key, 2 * r + 1))


@exact_kernel
def _round_of_places(q, pair, mask, shift):
    """One of the rounds of `full_window`, with its a and c."""
    a, c = pair
    q = np.uint32(a * q + c) & mask
    # Of a shift that may be longer than 31, LLVM makes one of 64 bits, which takes more instructions than all else.
    return q ^ np.uint32(q >> (shift & np.uint32(31)))


@exact_kernel
def full_window(begins, chunk_bits, bits, key, places, rows):
    """Shuffle a window of whole chunks: the row at place q(i), counted chunk after chunk, comes to place i.

    q is made of four rounds of  q = (a q + c) mod n,  q ^= q >> ⌈bits / 2⌉,  each a bijection, from q = i; n = 2**bits
    is the number of rows. Round r has a = subkey(key, 2 r) | 1 and c = subkey(key, 2 r + 1).

    begins : (n / 2**chunk_bits,) int64          chunk_bits, bits : int          key : uint64
    places : (n,) uint32, scratch          rows : (n,) int64, overwritten
    """
    mask, shift = np.uint32((1 << bits) - 1), np.uint32((bits + 1) // 2)
    r0, r1, r2, r3 = (
        _factor_and_term(key, 0),
        _factor_and_term(key, 1),
        _factor_and_term(key, 2),
        _factor_and_term(key, 3),
    )
    for i in range(rows.size):
        q = _round_of_places(np.uint32(i), r0, mask, shift)
        q = _round_of_places(q, r1, mask, shift)
        q = _round_of_places(q, r2, mask, shift)
        places[i] = _round_of_places(q, r3, mask, shift)
    in_chunk = (1 << chunk_bits) - 1
    for i in range(rows.size):
        place = np.int64(places[i])
        rows[i] = element(begins, place >> chunk_bits) + (place & in_chunk)


@exact_kernel
def short_window(begins, chunk_rows, n_rows, key, rows):
    """Shuffle a window of which chunks are missing or shorter, by Fisher and Yates.

    With the n rows chunk after chunk, for k = n - 1 to 1, swap row k with row ⌊(k + 1) u⌋,
    u = ⌊subkey(key, k) / 2³²⌋ / 2³².

    begins : (n_chunks,) int64          n_rows : where the data ends          key : uint64
    rows : (n,) int64, overwritten
    """
    i = 0
    for begin in begins:
        for row in range(begin, minimum(begin + chunk_rows, n_rows)):
            rows[i] = row
            i += 1
    for k in range(rows.size - 1, 0, -1):
        draw = subkey(key, k) >> _HALF
        other = np.int64((draw * np.uint64(k + 1)) >> _HALF)
        rows[k], rows[other] = rows[other], rows[k]


@exact_kernel
def shuffle_windows(layout, key, first_window, places, rows):
    """The rows of consecutive windows, each shuffled, with  subkey(key, number of the window)  as its key.

    By `full_window` where a window has 2**window_bits rows, else by `short_window`.

    layout : Layout          key : uint64          first_window : int, the number of the first one
    places : (2**window_bits,) uint32, scratch          rows : (n,) int64, as many as the windows have, overwritten
    """
    chunk_bits, bits = layout.chunk_bits, layout.window_bits
    window, start = first_window, 0
    while start < rows.size:
        begins, n = layout.begins[window], layout.starts[window + 1] - layout.starts[window]
        shuffled = rows[start : start + n]
        if n == 1 << bits:
            full_window(begins, chunk_bits, bits, subkey(key, window), places, shuffled)
        else:
            short_window(begins, 1 << chunk_bits, layout.n_rows, subkey(key, window), shuffled)
        window += 1
        start += n
