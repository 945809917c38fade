"""A layer's derivatives, transposed, and their sums, by one thread or by a team."""

from numba import types

from ..codegen.function_pointer import addressed_kernel, calls, matrix_of, read_only_vector_of, vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.simd import everywhere, lane_count, load, store
from ..codegen.tile import transpose_tile
from ..codegen.views import vector
from ..parallel.thread_pool import (
    N_WORKERS,
    TRANSPOSE,
    TRANSPOSE_COLUMNS,
    WORTH_SHARING,
    job_of,
    put_job,
    rounded_up,
    work_together,
    work_types,
)
from ..tuning import COLUMN_BLOCKS_PER_WORKER, MOST_LANES, OPERATIONS_A_NUMBER


def _job_types(number):
    given = read_only_vector_of(number), types.int64, types.int64
    return *given, matrix_of(number), types.boolean, vector_of(number)


def _transpose_types(number):
    block, team = types.UniTuple(types.int64, 2), vector_of(types.int64)
    return *_job_types(number), block, team, vector_of(number)


call_transpose = calls(_transpose_types)


@addressed_kernel(_transpose_types)
def transpose(a, m, n, c, adds, sums, block, team, scratch):
    """c = aᵀ,  and  sums_j = Σ_i a[i, j]  or, if it adds, +=,  for a block of a's columns.

    a : (m · n,), row by row          m, n : int
    c : at least (n, m), both rounded up to whole registers, modified in place: beyond n rows and m columns, any numbers
    sums : (n,), modified in place, not read unless it adds; or (0,) where they are not wanted          adds : bool
    block : (first column, end of columns), each a multiple of `MOST_LANES` or the end of all
    team, scratch : not used
    """
    zero = c.dtype.type(0)
    count = lane_count(zero)
    begin, end = block
    width = c.shape[1]
    has_sums = 1 if sums.size else 0
    for j in range(begin, end, count):
        rest = end - j
        n_sums, total = has_sums * rest, everywhere(zero)
        for i in range(0, m, count):
            transpose_tile(a, i * n + j, n, m - i, rest, vector(c), j * width + i, width)
            # Row after row, as `multiply_few` adds: calls that turn the weights, and transpose nothing, round alike.
            for k in range(i, min(i + count, m)):
                total += load(a, k * n + j, rest, zero)
        store(sums, j, n_sums, load(sums, j, n_sums if adds else 0, zero) + total)


@inlined_kernel
def width_of_block(team, n):
    """Of how many columns the blocks are that a team cuts n columns into: whole registers."""
    n_blocks = COLUMN_BLOCKS_PER_WORKER * team[N_WORKERS]
    return rounded_up((n + n_blocks - 1) // n_blocks, MOST_LANES)


_job = job_of(_job_types)


@addressed_kernel(work_types)
def transpose_columns(team, unit, scratch):
    """Transpose and sum up one of the blocks that `share_transpose` cuts a into.

    team, unit, scratch : as `work_types` says
    """
    a, m, n, c, adds, sums = _job(team, scratch)
    width = width_of_block(team, n)
    block = unit * width, min((unit + 1) * width, n)
    call_transpose(team[TRANSPOSE], (a, m, n, c, adds, sums, block, team, scratch))


@addressed_kernel(_transpose_types)
def share_transpose(a, m, n, c, adds, sums, block, team, scratch):
    """As `transpose`, by all threads of a team where that takes less time than by one.

    block : all columns          team : as `products` makes it          scratch : of this thread
    """
    if OPERATIONS_A_NUMBER * m * n < team[WORTH_SHARING]:
        call_transpose(team[TRANSPOSE], (a, m, n, c, adds, sums, block, team, scratch))
        return
    width = width_of_block(team, n)
    put_job(team, (a, m, n, c, adds, sums))
    work_together(team, team[TRANSPOSE_COLUMNS], (n + width - 1) // width, scratch)
