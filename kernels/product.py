"""Products of matrices.

As fast as the processor multiplies, where a BLAS loses time on the call or to threads: see `bench/roofline.py`. One
operand is copied, panel by panel, so that the inner loop of `tiles.py` reads it in order, unless it lies so already;
the other is read number by number where it lies. Large products are cut into blocks for a team of threads; every sum
is added up in the same order whatever the blocks, so their number changes no bit.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from ._jit import inlined_kernel
from .addressed import addressed_kernel, call_at, matrix_of, read_only_vector_of, vector_of
from .lanes import MOST_LANES, everywhere, lane_count, load, store, total
from .memory import aligned_empty
from .team import N_WORKERS, compile_for, job_of, put_job, team_memory, work_together, work_types
from .tiles import TILE_ROWS, TILE_VECTORS, multiply_narrow_tile, multiply_tile, transpose_tile
from .views import address, copy, element, span, vector

# A panel of at most so many rows stays in the first-level cache, beside a tile's rows of the other operand.
PANEL_ROWS = 256

# So many bytes of rows stay in the first-level cache where they lie.
_BYTES_READ_IN_PLACE = 1 << 15

# So many numbers apart, the rows that a tile would read column by column fall on the same few places of a cache: they
# are transposed first.
FAR_APART = 256

# With fewer rows or columns, copying a panel costs more than adding up lanes.
FEW = 6

# From so many multiplications and additions in one product on, a team takes less time than one thread.
WORTH_SHARING = 1_000_000

# So many blocks for each thread of a team: the last ones are small enough for all threads to end at about one time.
_BLOCKS_PER_WORKER = 4

# Copying a panel for fewer rows takes more than a few percent of their products' time.
_FEWEST_BLOCK_ROWS = 32


class Products(NamedTuple):
    """The kernels of this file for one dtype, as the addresses of their machine code, and the memory they work in.

    n_rows : of the largest chunk
    share_product, multiply_block : zero where there is no team
    multiply_rows, multiply_few, add_outer : zero where no product is small enough for them
    transpose : zero where no layer has `FAR_APART` outputs, or where there is one row
    panel : (size,), scratch
    transposed : scratch for the outputs of a layer, transposed, where one is so wide; else (0, 0)
    team : as `team_memory` makes it
    """

    n_rows: int
    multiply: int
    share_product: int
    multiply_block: int
    multiply_rows: int
    multiply_few: int
    add_outer: int
    sum_rows: int
    transpose: int
    panel: np.ndarray
    transposed: np.ndarray
    team: np.ndarray


def products(
    dtype: np.dtype, n_rows: int, n_products: int, n_outputs: tuple[int, int] = (FEW, FEW), n_workers: int = 1
) -> Products:
    """The kernels for chunks of up to so many rows, with a panel for sums over so many products.

    n_outputs : of the layer that has fewest, and of the one that has most
    n_workers : the threads of a team
    """
    n_fewest, n_widest = n_outputs
    is_wide = n_widest >= FAR_APART and n_rows > 1
    length, width = (-(-n // MOST_LANES) * MOST_LANES if is_wide else 0 for n in (n_widest, n_rows))
    is_few = min(n_rows, n_fewest) < FEW
    is_team = n_workers > 1
    if is_team:
        compile_for(np.dtype(dtype))
    return Products(
        n_rows,
        multiply.address(dtype),
        share_product.address(dtype) if is_team else 0,
        multiply_block.address(dtype) if is_team else 0,
        multiply_rows.address(dtype) if is_few else 0,
        multiply_few.address(dtype) if is_few else 0,
        add_outer.address(dtype) if n_rows == 1 else 0,
        sum_rows.address(dtype),
        transpose.address(dtype) if is_wide else 0,
        aligned_empty(panel_size(n_products), dtype),
        aligned_empty(length * width, dtype).reshape(length, width),
        team_memory(n_workers),
    )


def panel_size(n_products: int) -> int:
    """How much of the scratch memory panels take."""
    # Transposing writes whole tiles of lanes beyond the panel's last row.
    return (min(n_products, PANEL_ROWS) + MOST_LANES) * MOST_LANES * TILE_VECTORS


def _product_types(number):
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, strides, types.int64, matrix_of(number), given, number, number


def _multiply_types(number):
    return *_product_types(number), vector_of(number), types.UniTuple(types.int64, 4)


def _share_types(number):
    integer = types.int64
    return *_product_types(number), vector_of(number), vector_of(integer), integer, integer


def _block_job_types(number):
    integer = types.int64
    return *_product_types(number), integer, types.UniTuple(integer, 2)


def _multiply_rows_types(number):
    given = read_only_vector_of(number)
    return given, types.int64, given, given, matrix_of(number)


def _add_outer_types(number):
    given = read_only_vector_of(number)
    return given, given, number, number, matrix_of(number)


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
    """panel[k, j] = b[begin + j · row_length + k] for j below n_columns, any numbers from there to the width."""
    count = lane_count(panel.dtype.type(0))
    for j in range(0, width, count):
        for k in range(0, n_rows, count):
            place = begin + j * row_length + k
            transpose_tile(b, place, row_length, n_columns - j, n_rows - k, panel, k * width + j, width)


def _transpose_types(number):
    return read_only_vector_of(number), types.int64, types.int64, matrix_of(number)


@addressed_kernel(_transpose_types)
def transpose(a, m, n, c):
    """c = aᵀ, in the first n rows and m columns of c; the others get any numbers or stay.

    a : (m · n,), row by row          m, n : int
    c : at least (n, m), both rounded up to whole registers, modified in place
    """
    count = lane_count(c.dtype.type(0))
    for j in range(0, n, count):
        for i in range(0, m, count):
            transpose_tile(a, i * n + j, n, m - i, n - j, vector(c), j * c.shape[1] + i, c.shape[1])


def _turn_types(number):
    return vector_of(number), types.int64, vector_of(number)


@addressed_kernel(_turn_types)
def turn(matrix, n_columns, scratch):
    """Have a matrix that lies row by row lie column by column.

    matrix : (size,), modified in place          n_columns : int          scratch : (size and more,)
    """
    n_rows = matrix.size // n_columns
    for i in range(n_rows):
        for j in range(n_columns):
            scratch[j * n_rows + i] = element(matrix, i * n_columns + j)
    copy(span(scratch, 0, matrix.size), matrix)


@addressed_kernel(_multiply_types)
def multiply(a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel, block):
    """c = beta c + alpha a b + bias  in a block of c,  for a (m, n_products), b (n_products, n).

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : flat          b_strides : the same, (n, 1) or (1, n_products)          n_products : int
    c : (m, n), modified in place; not read where beta is zero          bias : (n,), or (0,)
    alpha, beta : scalars          panel : as `products` makes it
    block : (first row, end of rows, first column, end of columns)
    """
    one = panel.dtype.type(1)
    count = lane_count(one)
    n = c.shape[1]
    first_row, end_row, first_column, end_column = block
    row, step = a_strides
    n_panels = (n_products + PANEL_ROWS - 1) // PANEL_ROWS
    panel_rows = (n_products + n_panels * count - 1) // (n_panels * count) * count
    for k in range(0, n_products, panel_rows):
        n_rows = min(panel_rows, n_products - k)
        factors = (alpha, one if k else beta)
        shift = bias[:0] if k else bias
        for j in range(first_column, end_column, TILE_VECTORS * count):
            n_columns = min(TILE_VECTORS * count, end_column - j)
            is_narrow = n_columns <= count
            width = count if is_narrow else TILE_VECTORS * count
            panel_place = address(panel, 0), width
            if b_strides[0] == 1:
                transpose_panel(b, j * n_products + k, n_products, n_rows, n_columns, width, panel)
            elif n_columns < width or n_rows * n * c.itemsize > _BYTES_READ_IN_PLACE:
                copy_panel(b, k * n + j, n, n_rows, n_columns, width, panel)
            else:
                panel_place = address(b, k * n + j), n
            for i in range(first_row, end_row, TILE_ROWS):
                a_place, c_place = (i * row + k * step, row, step), (i * n + j, n)
                shape = (min(TILE_ROWS, end_row - i), n_columns)
                if is_narrow:
                    multiply_narrow_tile(a, a_place, panel_place, n_rows, c, c_place, shape, shift, j, factors)
                else:
                    multiply_tile(a, a_place, panel_place, n_rows, c, c_place, shape, shift, j, factors)


_block_job = job_of(_block_job_types)


@addressed_kernel(work_types)
def multiply_block(team, unit, panel):
    """Multiply for one of the blocks that `share_product` cuts c into: rows of blocks, from left to right.

    team, unit, panel : as `work_types` says
    """
    a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, multiply, size = _block_job(team, panel)
    m, n = c.shape
    n_rows, n_columns = size
    n_across = (n + n_columns - 1) // n_columns
    i, j = unit // n_across * n_rows, unit % n_across * n_columns
    block = i, min(i + n_rows, m), j, min(j + n_columns, n)
    call_at(multiply, (a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel, block))


@inlined_kernel
def rounded_up(n, unit):
    """The least multiple of the unit that is at least n."""
    return (n + unit - 1) // unit * unit


@addressed_kernel(_share_types)
def share_product(a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel, team, multiply, multiply_block):
    """As `multiply`, the whole of c, by all threads of a team.

    team : as `team_memory` makes it          multiply, multiply_block : int, the addresses of these kernels
    """
    m, n = c.shape
    n_blocks, width = team[N_WORKERS] * _BLOCKS_PER_WORKER, TILE_VECTORS * lane_count(panel.dtype.type(0))
    # Columns are cut first: each thread copies panels of its own, so rows that are cut have them copied again.
    n_columns = rounded_up((n + n_blocks - 1) // n_blocks, width)
    n_across = (n + n_columns - 1) // n_columns
    n_down = max((n_blocks + n_across - 1) // n_across, 1)
    n_rows = rounded_up(max((m + n_down - 1) // n_down, _FEWEST_BLOCK_ROWS), TILE_ROWS)
    n_down = (m + n_rows - 1) // n_rows
    size = n_rows, n_columns
    put_job(team, (a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, multiply, size))
    work_together(team, multiply_block, n_down * n_across, panel)


@inlined_kernel
def product(a, a_strides, b, b_strides, n_products, c, bias, factors, products):
    """c = beta c + alpha a b + bias, as for `multiply`, by a team where that takes less time.

    factors : (alpha, beta)          products : Products
    """
    m, n = c.shape
    panel, (alpha, beta) = products.panel, factors
    if products.share_product != 0 and 2 * m * n * n_products >= WORTH_SHARING:
        team = products.team, products.multiply, products.multiply_block
        call_at(
            products.share_product,
            (a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel, *team),
        )
    else:
        block = 0, m, 0, n
        call_at(products.multiply, (a, a_strides, b, b_strides, n_products, c, bias, alpha, beta, panel, block))


@addressed_kernel(_multiply_rows_types)
def multiply_rows(a, n_products, b, bias, c):
    """c = a bᵀ + bias, row by row of both: for few rows of either.

    a : (m · n_products,), rows of a matrix          n_products : int          b : (n · n_products,), as a
    bias : (n,), or (0,)          c : (m, n), overwritten
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    m, n = c.shape
    flat = vector(c)
    # Four rows at a time of the matrix that has more, and each of the other's.
    if n < m:
        ones, fours, n_ones, n_fours, step, stride, shift, shifts = b, a, n, m, 1, n, 1, 0
    else:
        ones, fours, n_ones, n_fours, step, stride, shift, shifts = a, b, m, n, n, 1, 0, 1
    has_bias = min(bias.size, 1)
    for j in range(0, n_fours, 4):
        # Where the rows do not fill the four, the last one is repeated, and its result written again.
        j1, j2, j3 = min(j + 1, n_fours - 1), min(j + 2, n_fours - 1), min(j + 3, n_fours - 1)
        p0, p1, p2, p3 = j * n_products, j1 * n_products, j2 * n_products, j3 * n_products
        for i in range(n_ones):
            s0 = s1 = s2 = s3 = everywhere(zero)
            for k in range(0, n_products, count):
                rest = n_products - k
                x = load(ones, i * n_products + k, rest, zero)
                s0 += x * load(fours, p0 + k, rest, zero)
                s1 += x * load(fours, p1 + k, rest, zero)
                s2 += x * load(fours, p2 + k, rest, zero)
                s3 += x * load(fours, p3 + k, rest, zero)
            flat[i * step + j * stride] = total(s0 + load(bias, i * shift + j * shifts, has_bias, zero))
            flat[i * step + j1 * stride] = total(s1 + load(bias, i * shift + j1 * shifts, has_bias, zero))
            flat[i * step + j2 * stride] = total(s2 + load(bias, i * shift + j2 * shifts, has_bias, zero))
            flat[i * step + j3 * stride] = total(s3 + load(bias, i * shift + j3 * shifts, has_bias, zero))


def _multiply_few_types(number):
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, types.int64, number, number, matrix_of(number)


@inlined_kernel
def add_sums(c, place, n, read, alphas, sums, betas):
    """c = betas c + alphas sums  for n lanes from a place on; c counts for zero where `read` is zero, not one."""
    before = load(c, place, read * n, c.dtype.type(0))
    store(c, place, n, betas * before + alphas * sums)


@addressed_kernel(_multiply_few_types)
def multiply_few(a, a_strides, b, n_products, alpha, beta, c):
    """c = beta c + alpha a b,  row by row of c: for few rows or few products.

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : (n_products · n,), row by row          n_products : int          alpha, beta : scalars
    c : (m, n), modified in place; not read where beta is zero
    """
    count = lane_count(alpha)
    m, n = c.shape
    row, step = a_strides
    zero = c.dtype.type(0)
    flat, alphas, betas = vector(c), everywhere(alpha), everywhere(beta)
    read = 1 if beta != 0 else 0
    n_full = n // (4 * count) * (4 * count)
    for i in range(m):
        for j in range(0, n_full, 4 * count):
            s0 = s1 = s2 = s3 = everywhere(zero)
            for k in range(n_products):
                x, place = everywhere(element(a, i * row + k * step)), k * n + j
                s0 += x * load(b, place, count, zero)
                s1 += x * load(b, place + count, count, zero)
                s2 += x * load(b, place + 2 * count, count, zero)
                s3 += x * load(b, place + 3 * count, count, zero)
            place = i * n + j
            add_sums(flat, place, count, read, alphas, s0, betas)
            add_sums(flat, place + count, count, read, alphas, s1, betas)
            add_sums(flat, place + 2 * count, count, read, alphas, s2, betas)
            add_sums(flat, place + 3 * count, count, read, alphas, s3, betas)
        for j in range(n_full, n, count):
            s0, rest = everywhere(zero), min(n - j, count)
            for k in range(n_products):
                s0 += everywhere(element(a, i * row + k * step)) * load(b, k * n + j, rest, zero)
            add_sums(flat, i * n + j, rest, read, alphas, s0, betas)


@inlined_kernel
def add_scaled(b, factors, betas, c, begin, j, n):
    """c = betas c + factors b  for n lanes, from place j of b and begin + j of c on."""
    zero = c.dtype.type(0)
    store(c, begin + j, n, betas * load(c, begin + j, n, zero) + factors * load(b, j, n, zero))


@addressed_kernel(_add_outer_types)
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


def _sum_rows_types(number):
    return read_only_vector_of(number), number, number, vector_of(number)


@addressed_kernel(_sum_rows_types)
def sum_rows(a, alpha, beta, c):
    """c = beta c + alpha Σ_i a[i],  the sum of a matrix's rows.

    a : (m · n,), row by row          alpha, beta : scalars
    c : (n,), modified in place; not read where beta is zero
    """
    count = lane_count(beta)
    factors, betas = everywhere(alpha), everywhere(beta)
    # Four registers side by side, as the sum of one has to wait for itself from row to row.
    for j in range(0, c.size, 4 * count):
        j1, j2, j3 = j + count, j + 2 * count, j + 3 * count
        n0, n1, n2, n3 = c.size - j, c.size - j1, c.size - j2, c.size - j3
        read = 1 if beta != 0 else 0
        s0, s1 = betas * load(c, j, read * n0, beta), betas * load(c, j1, read * n1, beta)
        s2, s3 = betas * load(c, j2, read * n2, beta), betas * load(c, j3, read * n3, beta)
        for place in range(0, a.size, c.size):
            s0 += factors * load(a, place + j, n0, beta)
            s1 += factors * load(a, place + j1, n1, beta)
            s2 += factors * load(a, place + j2, n2, beta)
            s3 += factors * load(a, place + j3, n3, beta)
        store(c, j, n0, s0)
        store(c, j1, n1, s1)
        store(c, j2, n2, s2)
        store(c, j3, n3, s3)
