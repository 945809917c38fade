"""Products of matrices.

As fast as the processor multiplies, where a BLAS loses time on the call or to threads: see `bench/roofline.py`. One
operand is copied, panel by panel, so that the inner loop of `tiles.py` reads it in order, unless it lies so already;
the other is read number by number where it lies. Large products are cut into blocks for a team of threads; every sum
is added up in the same order whatever the blocks, so their number changes no bit.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import types

from ._jit import inlined_kernel
from .addressed import addressed_kernel, call_at, matrix_of, read_only_vector_of, vector_of
from .ahead import ask_for_some
from .lanes import MOST_LANES, elements_in, everywhere, lane_count, load, prefetch, prefetch_for_later, store, total
from .memory import aligned_empty
from .team import (
    MULTIPLY,
    MULTIPLY_BLOCK,
    N_WORKERS,
    WORTH_SHARING,
    compile_for,
    job_of,
    put_job,
    team_memory,
    work_together,
    work_types,
)
from .tiles import NARROW_TILE_ROWS, TILE_ROWS, TILE_VECTORS, multiply_narrow_tile, multiply_tile, transpose_tile
from .views import address, copy, element, span, vector

# A panel of at most so many rows stays in the first-level cache, beside a tile's rows of the other operand.
PANEL_ROWS = 256

# Rows that lie in so many bytes are read where they lie: in the 64 pages whose places a processor knows at once.
_BYTES_READ_IN_PLACE = 1 << 18

# So many numbers apart, the rows that a tile would read column by column fall on the same few places of a cache: they
# are transposed first.
FAR_APART = 256

# With fewer rows or columns, copying a panel costs more than adding up lanes.
FEW = 6

# From so many multiplications and additions in one product on, a team takes less time than one thread.
_WORTH_SHARING = 1_000_000

# So many blocks for each thread of a team: the last ones are small enough for all threads to end at about one time.
_BLOCKS_PER_WORKER = 4

# Copying a panel for fewer rows takes more than a few percent of their products' time.
_FEWEST_BLOCK_ROWS = 32


# How many bytes behind what is loaded rows are asked for, in the first-level cache and in the second.
_SOON_BYTES, _LATER_BYTES = 1 << 12, 1 << 15


class Products(NamedTuple):
    """The kernels of this file for one dtype, as the addresses of their machine code, and the memory they work in.

    n_rows : of the largest chunk
    multiply : `multiply` or, where there is a team, `share_product`
    multiply_rows, add_outer : zero where no product is small enough for them
    transpose : zero where no layer has `FAR_APART` outputs, or where there is one row
    one : (1,), the number 1, read-only
    panel : (size,), scratch
    transposed : scratch for the outputs of a layer, transposed, where one is so wide; else (0, 0)
    team : as `team_memory` makes it
    wanted : (2,) int64, as for `want`: what to ask the memory for while `multiply` is at work
    """

    n_rows: int
    multiply: int
    multiply_rows: int
    multiply_few: int
    add_outer: int
    transpose: int
    one: np.ndarray
    panel: np.ndarray
    transposed: np.ndarray
    team: np.ndarray
    wanted: np.ndarray


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
    is_team, team = n_workers > 1, team_memory(n_workers)
    if is_team:
        compile_for(np.dtype(dtype))
        team[MULTIPLY], team[MULTIPLY_BLOCK] = multiply.address(dtype), multiply_block.address(dtype)
        team[WORTH_SHARING] = _WORTH_SHARING
    return Products(
        n_rows,
        (share_product if is_team else multiply).address(dtype),
        multiply_rows.address(dtype) if is_few else 0,
        multiply_few.address(dtype),
        add_outer.address(dtype) if n_rows == 1 else 0,
        transpose.address(dtype) if is_wide else 0,
        _one(np.dtype(dtype)),
        aligned_empty(panel_size(n_products), dtype),
        aligned_empty(length * width, dtype).reshape(length, width),
        team,
        np.zeros(2, np.int64),
    )


@functools.cache
def _one(dtype: np.dtype) -> np.ndarray:
    one = np.ones(1, dtype)
    one.flags.writeable = False
    return one


def panel_size(n_products: int) -> int:
    """How much of the scratch memory panels take."""
    # Transposing writes whole tiles of lanes beyond the panel's last row.
    return (min(n_products, PANEL_ROWS) + MOST_LANES) * MOST_LANES * TILE_VECTORS


def _product_types(number):
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, strides, types.int64, matrix_of(number), given, types.boolean


def _multiply_types(number):
    block, team = types.UniTuple(types.int64, 4), vector_of(types.int64)
    return *_product_types(number), vector_of(number), block, team, types.int64


def _block_job_types(number):
    return *_product_types(number), types.UniTuple(types.int64, 2)


def _multiply_rows_types(number):
    given = read_only_vector_of(number)
    return given, types.int64, given, given, matrix_of(number), types.boolean


def _add_outer_types(number):
    given = read_only_vector_of(number)
    return given, given, types.boolean, matrix_of(number)


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
def multiply(a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, wanted):
    """c = a b + bias,  or c += a b,  in a block of c,  for a (m, n_products), b (n_products, n).

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : flat          b_strides : the same, (n, 1) or (1, n_products)          n_products : int
    c : (m, n), modified in place; not read unless it adds          bias : (n,), or (0,); not read where it adds
    adds : bool, whether to add to what c has          panel : as `products` makes it
    block : (first row, end of rows, first column, end of columns)          team : not used
    wanted : as for `ask_for_some`
    """
    count = lane_count(panel.dtype.type(0))
    n = c.shape[1]
    first_row, end_row, first_column, end_column = block
    row, step = a_strides
    n_panels = (n_products + PANEL_ROWS - 1) // PANEL_ROWS
    panel_rows = (n_products + n_panels * count - 1) // (n_panels * count) * count
    for k in range(0, n_products, panel_rows):
        n_rows = min(panel_rows, n_products - k)
        adds_here = adds or k > 0
        j = first_column
        while j < end_column:
            # What a wide tile would have to leave a whole register of empty goes by narrow ones.
            is_wide = end_column - j > (TILE_VECTORS - 1) * count
            width = TILE_VECTORS * count if is_wide else count
            n_columns = min(width, end_column - j)
            panel_place = address(panel, 0), width
            if b_strides[0] == 1:
                transpose_panel(b, j * n_products + k, n_products, n_rows, n_columns, width, panel)
            elif n_columns < width or n_rows * n * c.itemsize > _BYTES_READ_IN_PLACE:
                copy_panel(b, k * n + j, n, n_rows, n_columns, width, panel)
            else:
                panel_place = address(b, k * n + j), n
            tile_rows = TILE_ROWS if is_wide else NARROW_TILE_ROWS
            for i in range(first_row, end_row, tile_rows):
                ask_for_some(wanted)
                a_place, c_place = (i * row + k * step, row, step), (i * n + j, n)
                shape = (min(tile_rows, end_row - i), n_columns)
                if is_wide:
                    multiply_tile(a, a_place, panel_place, n_rows, c, c_place, shape, bias, j, adds_here)
                else:
                    multiply_narrow_tile(a, a_place, panel_place, n_rows, c, c_place, shape, bias, j, adds_here)
            j += width


_block_job = job_of(_block_job_types)


@addressed_kernel(work_types)
def multiply_block(team, unit, panel):
    """Multiply for one of the blocks that `share_product` cuts c into: rows of blocks, from left to right.

    team, unit, panel : as `work_types` says
    """
    a, a_strides, b, b_strides, n_products, c, bias, adds, size = _block_job(team, panel)
    m, n = c.shape
    n_rows, n_columns = size
    n_across = (n + n_columns - 1) // n_columns
    i, j = unit // n_across * n_rows, unit % n_across * n_columns
    block = i, min(i + n_rows, m), j, min(j + n_columns, n)
    call_at(team[MULTIPLY], (a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, 0))


@inlined_kernel
def rounded_up(n, unit):
    """The least multiple of the unit that is at least n."""
    return (n + unit - 1) // unit * unit


@addressed_kernel(_multiply_types)
def share_product(a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, wanted):
    """As `multiply`, by all threads of a team where that takes less time than by one.

    block : of the whole c          team : as `products` makes it          wanted : as for `ask_for_some`
    """
    m, n = c.shape
    if 2 * m * n * n_products < team[WORTH_SHARING]:
        call_at(team[MULTIPLY], (a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, wanted))
        return
    n_blocks, width = team[N_WORKERS] * _BLOCKS_PER_WORKER, TILE_VECTORS * lane_count(panel.dtype.type(0))
    # Columns are cut first: each thread copies panels of its own, so rows that are cut have them copied again.
    n_columns = rounded_up((n + n_blocks - 1) // n_blocks, width)
    n_across = (n + n_columns - 1) // n_columns
    n_down = max((n_blocks + n_across - 1) // n_across, 1)
    n_rows = rounded_up(max((m + n_down - 1) // n_down, _FEWEST_BLOCK_ROWS), TILE_ROWS)
    n_down = (m + n_rows - 1) // n_rows
    size = n_rows, n_columns
    put_job(team, (a, a_strides, b, b_strides, n_products, c, bias, adds, size))
    work_together(team, team[MULTIPLY_BLOCK], n_down * n_across, panel)


@inlined_kernel
def ask_for_line(x, place):
    """Ask the memory for two lines behind a place, near and far: for a loop that loads them soon."""
    prefetch(x, place + elements_in(x, _SOON_BYTES))
    prefetch_for_later(x, place + elements_in(x, _LATER_BYTES))


@inlined_kernel
def multiply_by_one_row(a, n_products, b, bias, flat, asks):
    """`multiply_rows` for a b of one row: four sums for each row of a, so that rows are read one after the other."""
    zero = flat.dtype.type(0)
    count = lane_count(zero)
    shift = load(bias, 0, bias.size, zero)
    n_full = n_products // (4 * count) * (4 * count)
    for i in range(flat.size):
        place = i * n_products
        s0, s1, s2, s3 = shift, everywhere(zero), everywhere(zero), everywhere(zero)
        for k0 in range(0, n_full, 4 * count):
            k1, k2, k3 = k0 + count, k0 + 2 * count, k0 + 3 * count
            if asks:
                ask_for_line(a, place + k0)
                ask_for_line(a, place + k1)
                ask_for_line(a, place + k2)
                ask_for_line(a, place + k3)
            s0 += load(a, place + k0, count, zero) * load(b, k0, count, zero)
            s1 += load(a, place + k1, count, zero) * load(b, k1, count, zero)
            s2 += load(a, place + k2, count, zero) * load(b, k2, count, zero)
            s3 += load(a, place + k3, count, zero) * load(b, k3, count, zero)
        for k in range(n_full, n_products, count):
            if asks:
                ask_for_line(a, place + k)
            s0 += load(a, place + k, n_products - k, zero) * load(b, k, n_products - k, zero)
        flat[i] = total((s0 + s1) + (s2 + s3))


@addressed_kernel(_multiply_rows_types)
def multiply_rows(a, n_products, b, bias, c, asks):
    """c = a bᵀ + bias, row by row of both: for few rows of either.

    a : (m · n_products,), rows of a matrix          n_products : int          b : (n · n_products,), as a
    bias : (n,), or (0,)          c : (m, n), overwritten
    asks : bool, whether a comes from memory: what lies behind its rows is asked for
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    m, n = c.shape
    flat = vector(c)
    if n == 1:
        multiply_by_one_row(a, n_products, b, bias, flat, asks)
        return
    has_bias = min(bias.size, 1)
    # The matrix that has more rows is read once.
    n_fours = (n + 3) // 4
    is_tall = n < m
    n_outer, n_inner = (m, n_fours) if is_tall else (n_fours, m)
    for outer in range(n_outer):
        for inner in range(n_inner):
            i, j0 = (outer, 4 * inner) if is_tall else (inner, 4 * outer)
            # Where the rows do not fill the four, the last one is repeated, and its result written again.
            j1, j2, j3 = min(j0 + 1, n - 1), min(j0 + 2, n - 1), min(j0 + 3, n - 1)
            p0, p1, p2, p3 = j0 * n_products, j1 * n_products, j2 * n_products, j3 * n_products
            place = i * n_products
            s0 = s1 = s2 = s3 = everywhere(zero)
            for k in range(0, n_products, count):
                if asks:
                    ask_for_line(a, place + k)
                rest = n_products - k
                x = load(a, place + k, rest, zero)
                s0 += x * load(b, p0 + k, rest, zero)
                s1 += x * load(b, p1 + k, rest, zero)
                s2 += x * load(b, p2 + k, rest, zero)
                s3 += x * load(b, p3 + k, rest, zero)
            place = i * n
            flat[place + j0] = total(s0 + load(bias, j0, has_bias, zero))
            flat[place + j1] = total(s1 + load(bias, j1, has_bias, zero))
            flat[place + j2] = total(s2 + load(bias, j2, has_bias, zero))
            flat[place + j3] = total(s3 + load(bias, j3, has_bias, zero))


def _multiply_few_types(number):
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, types.int64, types.boolean, matrix_of(number)


@addressed_kernel(_multiply_few_types)
def multiply_few(a, a_strides, b, n_products, adds, c):
    """c = a b,  or c += a b,  row by row of c: for few rows or few products.

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : (n_products · n,), row by row          n_products : int
    adds : bool, whether to add to what c has          c : (m, n), modified in place; not read unless it adds
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    m, n = c.shape
    row, step = a_strides
    flat = vector(c)
    read = 1 if adds else 0
    for i in range(m):
        # Two registers side by side, as the sum of one has to wait for itself from product to product.
        for j in range(0, n, 2 * count):
            j1, n0, n1 = j + count, n - j, n - j - count
            s0 = s1 = everywhere(zero)
            for k in range(n_products):
                x, place = everywhere(element(a, i * row + k * step)), k * n
                s0 += x * load(b, place + j, n0, zero)
                s1 += x * load(b, place + j1, n1, zero)
            place = i * n
            store(flat, place + j, n0, load(flat, place + j, read * n0, zero) + s0)
            store(flat, place + j1, n1, load(flat, place + j1, read * n1, zero) + s1)


@inlined_kernel
def add_scaled(b, factors, c, begin, j, n):
    """c += factors b  for n lanes, from place j of b and begin + j of c on."""
    zero = c.dtype.type(0)
    store(c, begin + j, n, load(c, begin + j, n, zero) + factors * load(b, j, n, zero))


@addressed_kernel(_add_outer_types)
def add_outer(a, b, adds, c):
    """c = a bᵀ,  or c += a bᵀ,  the product of a column and a row.

    a : (m,)          b : (n,)          adds : bool, whether to add to what c has
    c : (m, n), modified in place; not read unless it adds
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    m, n = c.shape
    n_full = n // count * count
    flat = vector(c)
    if not adds:
        flat[:] = 0
    for i in range(m):
        factors = everywhere(element(a, i))
        if n < count:
            add_scaled(b, factors, flat, i * n, 0, n)
            continue
        # The last lanes overlap the ones before, so they are computed first. A store of fewer lanes would make the load
        # of the next row wait for it.
        last = load(flat, i * n + n - count, count, zero) + factors * load(b, n - count, count, zero)
        for j in range(0, n_full, count):
            add_scaled(b, factors, flat, i * n, j, count)
        store(flat, i * n + n - count, count, last)
