"""Products of matrices.

As fast as the processor multiplies, where a BLAS loses time on the call or to threads: see `bench/roofline.py`. One
operand is copied, panel by panel, so that the inner loop of `tiles.py` reads it in order, unless it lies so already;
the other is read number by number where it lies. Large products are cut into blocks for a team of threads; every sum
is added up in the same order whatever the blocks, so their number changes no bit.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.alignment import aligned_empty
from ..codegen.function_pointer import addressed_kernel, calls, matrix_of, read_only_vector_of, vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.simd import lane_count, load, store
from ..codegen.tile import transpose_tile
from ..codegen.views import address, copy, element, span
from ..parallel.thread_pool import (
    MULTIPLY,
    MULTIPLY_BLOCK,
    N_WORKERS,
    TRANSPOSE,
    TRANSPOSE_COLUMNS,
    WORTH_SHARING,
    compile_for,
    job_of,
    put_job,
    rounded_up,
    team_memory,
    work_together,
    work_types,
)
from ..tuning import (
    BLOCKS_PER_WORKER,
    BYTES_READ_IN_PLACE,
    FAR_APART,
    FEW,
    FEWEST_BLOCK_ROWS,
    MOST_LANES,
    NARROW_TILE_ROWS,
    PANEL_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
    WORTH_SHARING_OPERATIONS,
)
from .micro_kernel import multiply_narrow_tile, multiply_tile
from .prefetch import ask_for_some
from .small import add_outer, multiply_by_row, multiply_few, multiply_rows
from .transpose import share_transpose, transpose, transpose_columns


class Products(NamedTuple):
    """The kernels of products for one dtype, as the addresses of their machine code, and the memory they work in.

    n_rows : of the largest chunk
    multiply : `multiply` or, where there is a team, `share_product`
    multiply_by_row : zero where no layer has one output
    multiply_rows, add_outer : zero where no other product is small enough for them
    transpose : `transpose` or, where there is a team, `share_transpose`; zero where no layer has `FAR_APART` outputs,
        or where there is one row
    one : (1,), the number 1, read-only
    panel : (size,), scratch
    transposed : scratch for the outputs of a layer, transposed, where one is so wide; else (0, 0)
    team : as `team_memory` makes it
    wanted : (2,) int64, as for `want`: what to ask the memory for while `multiply` is at work
    """

    n_rows: int
    multiply: int
    multiply_by_row: int
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
    dtype: np.dtype, n_rows: int, n_products: int, n_outputs: Sequence[int] = (FEW,), n_workers: int = 1
) -> Products:
    """The kernels for chunks of up to so many rows, with a panel for sums over so many products.

    n_outputs : of each layer
    n_workers : the threads of a team
    """
    n_widest = max(n_outputs)
    is_wide = n_widest >= FAR_APART and n_rows > 1
    length, width = (-(-n // MOST_LANES) * MOST_LANES if is_wide else 0 for n in (n_widest, n_rows))
    is_few = any(n > 1 and min(n_rows, n) < FEW for n in n_outputs)
    is_team, team = n_workers > 1, team_memory(n_workers)
    if is_team:
        compile_for(np.dtype(dtype))
        team[MULTIPLY], team[MULTIPLY_BLOCK] = multiply.address(dtype), multiply_block.address(dtype)
        team[WORTH_SHARING] = WORTH_SHARING_OPERATIONS
        if is_wide:
            team[TRANSPOSE], team[TRANSPOSE_COLUMNS] = transpose.address(dtype), transpose_columns.address(dtype)
    return Products(
        n_rows,
        (share_product if is_team else multiply).address(dtype),
        multiply_by_row.address(dtype) if min(n_outputs) == 1 else 0,
        multiply_rows.address(dtype) if is_few else 0,
        multiply_few.address(dtype),
        add_outer.address(dtype) if n_rows == 1 else 0,
        (share_transpose if is_team else transpose).address(dtype) if is_wide else 0,
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


call_multiply = calls(_multiply_types)


def _block_job_types(number):
    return *_product_types(number), types.UniTuple(types.int64, 2)


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


def _turn_types(number):
    return vector_of(number), types.int64, vector_of(number)


call_turn = calls(_turn_types)


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
            # Columns that would leave a register of a tile empty go by narrow ones.
            is_wide = end_column - j > (TILE_VECTORS - 1) * count
            width = TILE_VECTORS * count if is_wide else count
            n_columns = min(width, end_column - j)
            panel_place = address(panel, 0), width
            if b_strides[0] == 1:
                transpose_panel(b, j * n_products + k, n_products, n_rows, n_columns, width, panel)
            elif n_columns < width or n_rows * n * c.itemsize > BYTES_READ_IN_PLACE:
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
    call_multiply(team[MULTIPLY], (a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, 0))


@addressed_kernel(_multiply_types)
def share_product(a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, wanted):
    """As `multiply`, by all threads of a team where that takes less time than by one.

    block : of the whole c          team : as `products` makes it          wanted : as for `ask_for_some`
    """
    m, n = c.shape
    if 2 * m * n * n_products < team[WORTH_SHARING]:
        call_multiply(
            team[MULTIPLY], (a, a_strides, b, b_strides, n_products, c, bias, adds, panel, block, team, wanted)
        )
        return
    n_blocks, width = team[N_WORKERS] * BLOCKS_PER_WORKER, TILE_VECTORS * lane_count(panel.dtype.type(0))
    # Columns are cut first: each thread copies panels of its own, so rows that are cut have them copied again.
    n_columns = rounded_up((n + n_blocks - 1) // n_blocks, width)
    n_across = (n + n_columns - 1) // n_columns
    n_down = max((n_blocks + n_across - 1) // n_across, 1)
    n_rows = rounded_up(max((m + n_down - 1) // n_down, FEWEST_BLOCK_ROWS), max(TILE_ROWS, NARROW_TILE_ROWS))
    n_down = (m + n_rows - 1) // n_rows
    size = n_rows, n_columns
    put_job(team, (a, a_strides, b, b_strides, n_products, c, bias, adds, size))
    work_together(team, team[MULTIPLY_BLOCK], n_down * n_across, panel)
