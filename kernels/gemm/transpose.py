"""Matrices transposed: a layer's derivatives, with their sums, by one thread or by a thread pool; and in place."""

from numba import types

from ..codegen.function_pointer import call_through, matrix_of, pointer_kernel, read_only_vector_of, vector_of
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.micro_kernel import transpose_block
from ..codegen.simd import broadcast, load, store, vector_width
from ..codegen.views import copy, element, span, vector
from ..parallel.thread_pool import (
    N_WORKERS,
    TRANSPOSE,
    TRANSPOSE_COLUMNS,
    WORTH_SHARING,
    block_types,
    job_of,
    parallel_for,
    put_job,
    rounded_up,
)
from ..tuning import COLUMN_BLOCKS_PER_WORKER, MAX_VECTOR_WIDTH, OPERATIONS_A_NUMBER


def _job_types(number):
    given = read_only_vector_of(number), types.int64, types.int64
    return *given, matrix_of(number), types.boolean, vector_of(number)


def _transpose_types(number):
    block, pool = types.UniTuple(types.int64, 2), vector_of(types.int64)
    return *_job_types(number), block, pool, vector_of(number)


call_transpose = call_through(_transpose_types)


@pointer_kernel(_transpose_types)
def transpose(a, m, n, c, accumulate, sums, block, pool, scratch):
    """c = aᵀ,  and  sums_j = Σ_i a[i, j]  or, if it adds, +=,  for a block of a's columns.

    a : (m · n,), row by row          m, n : int
    c : at least (n, m), both rounded up to whole registers, modified in place: beyond n rows and m columns, any numbers
    sums : (n,), modified in place, not read unless it accumulates; or (0,) where they are not wanted
    accumulate : bool
    block : (first column, end of columns), each a multiple of `MAX_VECTOR_WIDTH` or the end of all
    pool, scratch : not used
    """
    zero = c.dtype.type(0)
    count = vector_width(zero)
    begin, end = block
    width = c.shape[1]
    has_sums = 1 if sums.size else 0
    for j in range(begin, end, count):
        rest = end - j
        n_sums, total = has_sums * rest, broadcast(zero)
        for i in range(0, m, count):
            transpose_block(a, i * n + j, n, m - i, rest, vector(c), j * width + i, width)
            # Row after row, as `gemm_small` adds: it sums where weights are column-major, and sums shall round alike.
            for k in range(i, minimum(i + count, m)):
                total += load(a, k * n + j, rest, zero)
        store(sums, j, n_sums, load(sums, j, n_sums if accumulate else 0, zero) + total)


@inlined_kernel
def _width_of_block(pool, n):
    """Of how many columns the blocks are that a thread pool cuts n columns into: whole registers."""
    n_blocks = COLUMN_BLOCKS_PER_WORKER * pool[N_WORKERS]
    return rounded_up((n + n_blocks - 1) // n_blocks, MAX_VECTOR_WIDTH)


_job = job_of(_job_types)


@pointer_kernel(block_types)
def transpose_columns(pool, block_number, scratch):
    """Transpose and sum up one of the blocks that `parallel_transpose` cuts a into.

    pool, block_number, scratch : as `block_types` says
    """
    a, m, n, c, accumulate, sums = _job(pool, scratch)
    width = _width_of_block(pool, n)
    block = block_number * width, minimum((block_number + 1) * width, n)
    call_transpose(pool[TRANSPOSE], (a, m, n, c, accumulate, sums, block, pool, scratch))


@pointer_kernel(_transpose_types)
def parallel_transpose(a, m, n, c, accumulate, sums, block, pool, scratch):
    """As `transpose`, by all threads of a pool where that takes less time than by one.

    block : all columns          pool : as `products` makes it          scratch : of this thread
    """
    if OPERATIONS_A_NUMBER * m * n < pool[WORTH_SHARING]:
        call_transpose(pool[TRANSPOSE], (a, m, n, c, accumulate, sums, block, pool, scratch))
        return
    width = _width_of_block(pool, n)
    put_job(pool, (a, m, n, c, accumulate, sums))
    parallel_for(pool, pool[TRANSPOSE_COLUMNS], (n + width - 1) // width, scratch)


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
