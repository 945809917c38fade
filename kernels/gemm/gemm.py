"""Products of matrices.

As fast as the processor multiplies, where a BLAS loses time on the call or to threads: see `bench/limits`. One
operand is copied, panel by panel, so that the inner loop of `micro_kernel.py` reads it in order, unless it lies so
already; the other is read number by number where it lies. Large products are cut into blocks for a thread pool; every
sum is added up in the same order whatever the blocks, so their number changes no bit.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.alignment import aligned_empty
from ..codegen.function_pointer import call_through, matrix_of, pointer_kernel, read_only_vector_of, vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.simd import lane_count, load, store
from ..codegen.tile import transpose_tile
from ..codegen.views import address, copy, element, span
from ..parallel.thread_pool import (
    GEMM,
    GEMM_BLOCK,
    N_WORKERS,
    TRANSPOSE,
    TRANSPOSE_COLUMNS,
    WORTH_SHARING,
    block_types,
    compile_for,
    job_of,
    parallel_for,
    pool_memory,
    put_job,
    rounded_up,
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
from .micro_kernel import micro_kernel, narrow_micro_kernel
from .prefetch import prefetch_some
from .small import gemm_nt_small, gemm_small, gemv, ger
from .transpose import parallel_transpose, transpose, transpose_columns


class Products(NamedTuple):
    """The kernels of products for one dtype, as the addresses of their machine code, and the memory they work in.

    n_rows : of the largest micro-batch
    multiply : `gemm` or, where there is a thread pool, `parallel_gemm`
    gemv : zero where no layer has one output
    gemm_nt_small, ger : zero where no other product is small enough for them
    transpose : `transpose` or, where there is a thread pool, `parallel_transpose`; zero where no layer has `FAR_APART`
        outputs, or where there is one row
    one : (1,), the number 1, read-only
    panel : (size,), scratch
    transposed : scratch for the outputs of a layer, transposed, where one is so wide; else (0, 0)
    pool : as `pool_memory` makes it
    prefetch_range : (2,) int64, as for `set_prefetch_range`: what to ask the memory for while `gemm` is at work
    """

    n_rows: int
    gemm: int
    gemv: int
    gemm_nt_small: int
    gemm_small: int
    ger: int
    transpose: int
    one: np.ndarray
    panel: np.ndarray
    transposed: np.ndarray
    pool: np.ndarray
    prefetch_range: np.ndarray


def products(dtype: np.dtype, n_rows: int, k: int, n_outputs: Sequence[int] = (FEW,), n_workers: int = 1) -> Products:
    """The kernels for micro-batches of up to so many rows, with a panel for sums over so many products.

    n_outputs : of each layer
    n_workers : the threads of a thread pool
    """
    n_widest = max(n_outputs)
    is_wide = n_widest >= FAR_APART and n_rows > 1
    length, width = (-(-n // MOST_LANES) * MOST_LANES if is_wide else 0 for n in (n_widest, n_rows))
    is_few = any(n > 1 and min(n_rows, n) < FEW for n in n_outputs)
    is_pool, pool = n_workers > 1, pool_memory(n_workers)
    if is_pool:
        compile_for(np.dtype(dtype))
        pool[GEMM], pool[GEMM_BLOCK] = gemm.pointer(dtype), gemm_block.pointer(dtype)
        pool[WORTH_SHARING] = WORTH_SHARING_OPERATIONS
        if is_wide:
            pool[TRANSPOSE], pool[TRANSPOSE_COLUMNS] = transpose.pointer(dtype), transpose_columns.pointer(dtype)
    return Products(
        n_rows,
        (parallel_gemm if is_pool else gemm).pointer(dtype),
        gemv.pointer(dtype) if min(n_outputs) == 1 else 0,
        gemm_nt_small.pointer(dtype) if is_few else 0,
        gemm_small.pointer(dtype),
        ger.pointer(dtype) if n_rows == 1 else 0,
        (parallel_transpose if is_pool else transpose).pointer(dtype) if is_wide else 0,
        _one(np.dtype(dtype)),
        aligned_empty(panel_size(k), dtype),
        aligned_empty(length * width, dtype).reshape(length, width),
        pool,
        np.zeros(2, np.int64),
    )


@functools.cache
def _one(dtype: np.dtype) -> np.ndarray:
    one = np.ones(1, dtype)
    one.flags.writeable = False
    return one


def panel_size(k: int) -> int:
    """How much of the scratch memory panels take."""
    # Transposing writes whole tiles of lanes beyond the panel's last row.
    return (min(k, PANEL_ROWS) + MOST_LANES) * MOST_LANES * TILE_VECTORS


def _product_types(number):
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, strides, types.int64, matrix_of(number), given, types.boolean


def _gemm_types(number):
    block, pool = types.UniTuple(types.int64, 4), vector_of(types.int64)
    return *_product_types(number), vector_of(number), block, pool, types.int64


call_gemm = call_through(_gemm_types)


def _block_job_types(number):
    return *_product_types(number), types.UniTuple(types.int64, 2)


@inlined_kernel
def pack_panel(b, begin, row_length, n_rows, n_columns, width, panel):
    """panel[k, j] = b[begin + k · row_length + j] for j below the width, zero from n_columns on."""
    zero = panel.dtype.type(0)
    count = lane_count(zero)
    for p in range(n_rows):
        for j in range(0, width, count):
            n = min(n_columns - j, count)
            store(panel, p * width + j, count, load(b, begin + p * row_length + j, n, zero))


@inlined_kernel
def pack_transposed_panel(b, begin, row_length, n_rows, n_columns, width, panel):
    """panel[k, j] = b[begin + j · row_length + k] for j below n_columns, any numbers from there to the width."""
    count = lane_count(panel.dtype.type(0))
    for j in range(0, width, count):
        for p in range(0, n_rows, count):
            place = begin + j * row_length + p
            transpose_tile(b, place, row_length, n_columns - j, n_rows - p, panel, p * width + j, width)


def _to_column_major_types(number):
    return vector_of(number), types.int64, vector_of(number)


call_to_column_major = call_through(_to_column_major_types)


@pointer_kernel(_to_column_major_types)
def to_column_major(matrix, n_columns, scratch):
    """Have a matrix that lies row by row lie column by column.

    matrix : (size,), modified in place          n_columns : int          scratch : (size and more,)
    """
    n_rows = matrix.size // n_columns
    for i in range(n_rows):
        for j in range(n_columns):
            scratch[j * n_rows + i] = element(matrix, i * n_columns + j)
    copy(span(scratch, 0, matrix.size), matrix)


@pointer_kernel(_gemm_types)
def gemm(a, a_strides, b, b_strides, k, c, bias, accumulate, panel, block, pool, prefetch_range):
    """c = a b + bias,  or c += a b,  in a block of c,  for a (m, k), b (k, n).

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : flat          b_strides : the same, (n, 1) or (1, k)          k : int
    c : (m, n), modified in place; not read unless it adds          bias : (n,), or (0,); not read where it adds
    accumulate : bool, whether to add to what c has          panel : as `products` makes it
    block : (first row, end of rows, first column, end of columns)          pool : not used
    prefetch_range : as for `prefetch_some`
    """
    count = lane_count(panel.dtype.type(0))
    n = c.shape[1]
    first_row, end_row, first_column, end_column = block
    row, step = a_strides
    n_panels = (k + PANEL_ROWS - 1) // PANEL_ROWS
    panel_rows = (k + n_panels * count - 1) // (n_panels * count) * count
    for p in range(0, k, panel_rows):
        n_rows = min(panel_rows, k - p)
        accumulate_here = accumulate or p > 0
        j = first_column
        while j < end_column:
            # Columns that would leave a register of a tile empty go by narrow ones.
            is_wide = end_column - j > (TILE_VECTORS - 1) * count
            width = TILE_VECTORS * count if is_wide else count
            n_columns = min(width, end_column - j)
            panel_place = address(panel, 0), width
            if b_strides[0] == 1:
                pack_transposed_panel(b, j * k + p, k, n_rows, n_columns, width, panel)
            elif n_columns < width or n_rows * n * c.itemsize > BYTES_READ_IN_PLACE:
                pack_panel(b, p * n + j, n, n_rows, n_columns, width, panel)
            else:
                panel_place = address(b, p * n + j), n
            tile_rows = TILE_ROWS if is_wide else NARROW_TILE_ROWS
            for i in range(first_row, end_row, tile_rows):
                prefetch_some(prefetch_range)
                a_place, c_place = (i * row + p * step, row, step), (i * n + j, n)
                shape = (min(tile_rows, end_row - i), n_columns)
                if is_wide:
                    micro_kernel(a, a_place, panel_place, n_rows, c, c_place, shape, bias, j, accumulate_here)
                else:
                    narrow_micro_kernel(a, a_place, panel_place, n_rows, c, c_place, shape, bias, j, accumulate_here)
            j += width


_block_job = job_of(_block_job_types)


@pointer_kernel(block_types)
def gemm_block(pool, block_number, panel):
    """Multiply for one of the blocks that `parallel_gemm` cuts c into: rows of blocks, from left to right.

    pool, block_number, panel : as `block_types` says
    """
    a, a_strides, b, b_strides, k, c, bias, accumulate, size = _block_job(pool, panel)
    m, n = c.shape
    n_rows, n_columns = size
    n_across = (n + n_columns - 1) // n_columns
    i, j = block_number // n_across * n_rows, block_number % n_across * n_columns
    block = i, min(i + n_rows, m), j, min(j + n_columns, n)
    call_gemm(pool[GEMM], (a, a_strides, b, b_strides, k, c, bias, accumulate, panel, block, pool, 0))


@pointer_kernel(_gemm_types)
def parallel_gemm(a, a_strides, b, b_strides, k, c, bias, accumulate, panel, block, pool, prefetch_range):
    """As `gemm`, by all threads of a pool where that takes less time than by one.

    block : of the whole c          pool : as `products` makes it          prefetch_range : as for `prefetch_some`
    """
    m, n = c.shape
    if 2 * m * n * k < pool[WORTH_SHARING]:
        call_gemm(pool[GEMM], (a, a_strides, b, b_strides, k, c, bias, accumulate, panel, block, pool, prefetch_range))
        return
    n_blocks, width = pool[N_WORKERS] * BLOCKS_PER_WORKER, TILE_VECTORS * lane_count(panel.dtype.type(0))
    # Columns are cut first: each thread copies panels of its own, so rows that are cut have them copied again.
    n_columns = rounded_up((n + n_blocks - 1) // n_blocks, width)
    n_across = (n + n_columns - 1) // n_columns
    n_down = max((n_blocks + n_across - 1) // n_across, 1)
    n_rows = rounded_up(max((m + n_down - 1) // n_down, FEWEST_BLOCK_ROWS), max(TILE_ROWS, NARROW_TILE_ROWS))
    n_down = (m + n_rows - 1) // n_rows
    size = n_rows, n_columns
    put_job(pool, (a, a_strides, b, b_strides, k, c, bias, accumulate, size))
    parallel_for(pool, pool[GEMM_BLOCK], n_down * n_across, panel)
