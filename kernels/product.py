"""Products of matrices on one processor.

As fast as the processor multiplies, for the shapes of small and medium networks, where a BLAS loses time on the call or
to threads: see `bench/roofline.py`. One operand is copied, panel by panel, so that the inner loop of `tiles.py` reads
it in order; the other is read number by number where it lies.
"""

import functools
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from ._jit import inlined_kernel, kernel
from .lanes import MOST_LANES, everywhere, lane_count, load, store, total
from .llvm import address_of_kernel
from .tiles import (
    TILE_ROWS,
    TILE_VECTORS,
    multiply_narrow_row,
    multiply_narrow_tile,
    multiply_row,
    multiply_tile,
    transpose_tile,
)
from .views import element, vector

# A panel of so many rows stays in the second-level cache while every row of the other operand is multiplied with it.
PANEL_ROWS = 1024


class Products(NamedTuple):
    """The kernels of this file for one dtype, as the addresses of their machine code, and the memory they work in.

    panel : (size,), scratch          add_outer : zero where it is not compiled
    """

    panel: np.ndarray
    multiply: int
    multiply_rows: int
    add_outer: int


def products(dtype: np.dtype, n_products: int, least_size: int = 0, with_outer: bool = True) -> Products:
    """The kernels, compiled where they were not, with a panel for sums over so many products, or of a size.

    with_outer : whether batches of one row are the rule, which `add_outer` is for; else it is not compiled
    """
    # Transposing writes whole tiles of lanes beyond the panel's last row.
    size = (min(n_products, PANEL_ROWS) + MOST_LANES) * MOST_LANES * TILE_VECTORS
    addresses = [_address(kernel, np.dtype(dtype)) for kernel in (multiply, multiply_rows)]
    outer = _address(add_outer, np.dtype(dtype)) if with_outer else 0
    return Products(np.empty(max(size, least_size), dtype), *addresses, outer)


@functools.cache
def _address(kernel, dtype: np.dtype) -> int:
    return address_of_kernel(kernel, _signatures(numba.from_dtype(dtype))[kernel.py_func.__name__])


def _signatures(number):
    given, matrix, panel = (
        types.Array(number, 1, "C", readonly=True),
        types.Array(number, 2, "C"),
        types.Array(number, 1, "C"),
    )
    index, strides = types.int64, types.UniTuple(types.int64, 2)
    return {
        "multiply": (given, strides, given, strides, index, matrix, given, number, number, panel),
        "multiply_rows": (given, index, given, given, matrix),
        "add_outer": (given, given, number, number, matrix),
    }


@inlined_kernel
def copy_panel(b, begin, row_length, n_rows, n_columns, width, panel):
    """panel[k, j] = b[begin + k · row_length + j] for j below the width, zero from n_columns on."""
    zero = panel.dtype.type(0)
    count = lane_count(zero)
    for k in range(n_rows):
        for j in range(0, width, count):
            n = min(n_columns - j, count)
            store(panel, k * width + j, count, load(b, begin + k * row_length + j, n, zero))


@inlined_kernel
def transpose_panel(b, begin, row_length, n_rows, n_columns, width, panel):
    """panel[k, j] = b[begin + j · row_length + k] for j below the width, zero from n_columns on."""
    count = lane_count(panel.dtype.type(0))
    for j in range(0, width, count):
        for k in range(0, n_rows, count):
            place = begin + j * row_length + k
            transpose_tile(b, place, row_length, n_columns - j, n_rows - k, panel, k * width + j, width)


@kernel
def multiply(a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel):
    """c = beta c + alpha a b + bias,  for a (m, n_products), b (n_products, n).

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : flat          b_strides : the same, (n, 1) or (1, n_products)          n_products : int
    c : (m, n), modified in place; not read where beta is zero          bias : (n,), or (0,)
    alpha, beta : scalars          panel : as `products` makes it
    """
    one = panel.dtype.type(1)
    count = lane_count(one)
    m, n = c.shape
    row, step = a_strides
    for k in range(0, n_products, PANEL_ROWS):
        n_rows = min(PANEL_ROWS, n_products - k)
        factors = (alpha, one if k else beta)
        shift = bias[:0] if k else bias
        for j in range(0, n, TILE_VECTORS * count):
            n_columns = min(TILE_VECTORS * count, n - j)
            is_narrow = n_columns <= count
            width = count if is_narrow else TILE_VECTORS * count
            if b_strides[0] == 1:
                transpose_panel(b, j * n_products + k, n_products, n_rows, n_columns, width, panel)
            else:
                copy_panel(b, k * n + j, n, n_rows, n_columns, width, panel)
            for i in range(0, m - TILE_ROWS + 1, TILE_ROWS):
                a_place, c_place = (i * row + k * step, row, step), (i * n + j, n)
                if is_narrow:
                    multiply_narrow_tile(a, a_place, panel, n_rows, c, c_place, n_columns, shift, j, factors)
                else:
                    multiply_tile(a, a_place, panel, n_rows, c, c_place, n_columns, shift, j, factors)
            for i in range(m - m % TILE_ROWS, m):
                a_place, c_place = (i * row + k * step, row, step), (i * n + j, n)
                if is_narrow:
                    multiply_narrow_row(a, a_place, panel, n_rows, c, c_place, n_columns, shift, j, factors)
                else:
                    multiply_row(a, a_place, panel, n_rows, c, c_place, n_columns, shift, j, factors)


@inlined_kernel
def multiply_with_fours(a, i, b, places, k, n, sums):
    """Add the products of n lanes of a from place i + k on with four rows of b to the sums."""
    zero = b.dtype.type(0)
    b0, b1, b2, b3 = places
    s0, s1, s2, s3 = sums
    x = load(a, i + k, n, zero)
    return (
        s0 + x * load(b, b0 + k, n, zero),
        s1 + x * load(b, b1 + k, n, zero),
        s2 + x * load(b, b2 + k, n, zero),
        s3 + x * load(b, b3 + k, n, zero),
    )


@kernel
def multiply_rows(a, n_products, b, bias, c):
    """c = a bᵀ + bias, row by row of both: for few rows of either.

    a : (m · n_products,), rows of a matrix          n_products : int          b : (n · n_products,), as a
    bias : (n,), or (0,)          c : (m, n), overwritten
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    n_full = n_products // count * count
    n_rest = n_products - n_full
    none = everywhere(zero)
    m, n = c.shape
    flat = vector(c)
    for j in range(0, n, 4):
        # Where the rows do not fill the four, the last one is repeated, and its result written again.
        j1, j2, j3 = min(j + 1, n - 1), min(j + 2, n - 1), min(j + 3, n - 1)
        places = (j * n_products, j1 * n_products, j2 * n_products, j3 * n_products)
        shifts = (zero, zero, zero, zero)
        if bias.size:
            shifts = (element(bias, j), element(bias, j1), element(bias, j2), element(bias, j3))
        for i in range(m):
            sums = (none, none, none, none)
            for k in range(0, n_full, count):
                sums = multiply_with_fours(a, i * n_products, b, places, k, count, sums)
            if n_rest:
                sums = multiply_with_fours(a, i * n_products, b, places, n_full, n_rest, sums)
            flat[i * n + j] = total(sums[0]) + shifts[0]
            flat[i * n + j1] = total(sums[1]) + shifts[1]
            flat[i * n + j2] = total(sums[2]) + shifts[2]
            flat[i * n + j3] = total(sums[3]) + shifts[3]


@inlined_kernel
def add_scaled(b, factors, betas, c, begin, j, n):
    """c = betas c + factors b  for n lanes, from place j of b and begin + j of c on."""
    zero = c.dtype.type(0)
    store(c, begin + j, n, betas * load(c, begin + j, n, zero) + factors * load(b, j, n, zero))


@kernel
def add_outer(a, b, alpha, beta, c):
    """c = beta c + alpha a bᵀ,  the product of a column and a row.

    a : (m,)          b : (n,)          alpha, beta : scalars
    c : (m, n), modified in place; not read where beta is zero
    """
    count = lane_count(beta)
    m, n = c.shape
    n_full = n // count * count
    flat = vector(c)
    if beta == 0:
        flat[:] = 0
    betas = everywhere(beta)
    for i in range(m):
        factors = everywhere(alpha * element(a, i))
        if n < count:
            add_scaled(b, factors, betas, flat, i * n, 0, n)
            continue
        # The last lanes overlap the ones before, so they are computed first. A store of fewer lanes would make the load
        # of the next row wait for it.
        last = betas * load(flat, i * n + n - count, count, beta) + factors * load(b, n - count, count, beta)
        for j in range(0, n_full, count):
            add_scaled(b, factors, betas, flat, i * n, j, count)
        store(flat, i * n + n - count, count, last)
