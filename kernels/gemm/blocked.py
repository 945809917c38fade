"""Products of matrices of any size, in blocks that stay in the caches, by one thread or by a thread pool.

As fast as the processor multiplies, where a BLAS loses time on the call or to threads: see `bench/limits`. b is
packed, panel by panel, so that the micro-kernel reads it in order, unless it lies so already; a is read number by
number where it lies. Large products are cut into blocks for a thread pool; every sum is added up in the same order
whatever the blocks, so their number changes no bit.
"""

from numba import types

from ..codegen.function_pointer import call_through, pointer_kernel, read_only_vector_of, strided_of, vector_of
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.micro_kernel import micro_kernel_of, no_micro_kernel
from ..codegen.simd import vector_width
from ..codegen.views import address, read_only_span, submatrix
from ..parallel.thread_pool import (
    GEMM,
    GEMM_BLOCK,
    N_WORKERS,
    WORTH_SHARING,
    block_types,
    job_of,
    parallel_for,
    put_job,
    rounded_up,
)
from ..tuning import (
    BLOCKS_PER_WORKER,
    BYTES_READ_IN_PLACE,
    EDGE_MR,
    FEWEST_BLOCK_ROWS,
    MR,
    NARROW_MR,
    NR_VECTORS,
    PANEL_ROWS,
)
from .packing import pack, pack_transposed
from .prefetch import prefetch_some

micro_kernel = micro_kernel_of(MR, NR_VECTORS)
edge_micro_kernel = micro_kernel_of(EDGE_MR, NR_VECTORS) if EDGE_MR else no_micro_kernel
narrow_micro_kernel = micro_kernel_of(NARROW_MR, 1)


def _product_types(number):
    given = strided_of(number, readonly=True)
    return given, given, strided_of(number), read_only_vector_of(number), types.boolean


def gemm_types(number):
    """The arguments of `gemm`."""
    return *_product_types(number), vector_of(number), vector_of(types.int64), types.int64


call_gemm = call_through(gemm_types)


@inlined_kernel
def _part_of_bias(bias, j, n):
    """bias[j : j + n], or the bias itself where it has no elements."""
    has_bias = minimum(bias.size, 1)
    return read_only_span(bias, has_bias * j, has_bias * n)


@inlined_kernel
def _is_edge(n_rows):
    """Whether the next rows go by `EDGE_MR`, where so many remain: fewer sums are left without use then."""
    return n_rows <= EDGE_MR or MR < n_rows <= 2 * EDGE_MR


@pointer_kernel(gemm_types)
def gemm(a, b, c, bias, accumulate, panel, pool, prefetch_range):
    """c = a b + bias,  or c += a b.

    a : (m, k), strided, as all three are          b : (k, n), rows or columns in one piece
    c : (m, n), rows in one piece, modified in place; not read unless it accumulates
    bias : (n,), or (0,); not read where it accumulates          accumulate : bool
    panel : as `products` makes it          pool : not used          prefetch_range : as for `prefetch_some`
    """
    count = vector_width(panel.dtype.type(0))
    (m, k), n = a.shape, c.shape[1]
    n_panels = (k + PANEL_ROWS - 1) // PANEL_ROWS
    panel_rows = (k + n_panels * count - 1) // (n_panels * count) * count
    for p in range(0, k, panel_rows):
        n_rows = minimum(panel_rows, k - p)
        accumulate_here = accumulate or p > 0
        j = 0
        while j < n:
            # Columns that would leave a vector of NR empty go by narrow micro-kernels.
            is_wide = n - j > (NR_VECTORS - 1) * count
            width = NR_VECTORS * count if is_wide else count
            n_columns = minimum(width, n - j)
            part, shift = submatrix(b, p, j, n_rows, n_columns), _part_of_bias(bias, j, n_columns)
            b_address, b_row = address(panel, 0), width
            if b.strides[0] == b.itemsize:
                pack_transposed(part, width, panel)
            elif n_columns < width or n_rows * b.strides[0] > BYTES_READ_IN_PLACE:
                pack(part, width, panel)
            else:
                b_address, b_row = address(part, 0), b.strides[0] // b.itemsize
            i = 0
            while i < m:
                prefetch_some(prefetch_range)
                is_edge = is_wide and _is_edge(m - i)
                rows = minimum(EDGE_MR if is_edge else MR if is_wide else NARROW_MR, m - i)
                a_rows, c_rows = submatrix(a, i, p, rows, n_rows), submatrix(c, i, j, rows, n_columns)
                if is_edge:
                    edge_micro_kernel(a_rows, b_address, b_row, c_rows, shift, accumulate_here)
                elif is_wide:
                    micro_kernel(a_rows, b_address, b_row, c_rows, shift, accumulate_here)
                else:
                    narrow_micro_kernel(a_rows, b_address, b_row, c_rows, shift, accumulate_here)
                i += rows
            j += width


def _block_job_types(number):
    return *_product_types(number), types.UniTuple(types.int64, 2)


_block_job = job_of(_block_job_types)


@pointer_kernel(block_types)
def gemm_block(pool, block_number, panel):
    """Multiply for one of the blocks that `parallel_gemm` cuts c into: rows of blocks, from left to right.

    pool, block_number, panel : as `block_types` says
    """
    a, b, c, bias, accumulate, size = _block_job(pool, panel)
    (m, k), n = a.shape, c.shape[1]
    n_rows, n_columns = size
    n_across = (n + n_columns - 1) // n_columns
    i, j = block_number // n_across * n_rows, block_number % n_across * n_columns
    n_rows, n_columns = minimum(n_rows, m - i), minimum(n_columns, n - j)
    parts = submatrix(a, i, 0, n_rows, k), submatrix(b, 0, j, k, n_columns), submatrix(c, i, j, n_rows, n_columns)
    call_gemm(pool[GEMM], (*parts, _part_of_bias(bias, j, n_columns), accumulate, panel, pool, 0))


@pointer_kernel(gemm_types)
def parallel_gemm(a, b, c, bias, accumulate, panel, pool, prefetch_range):
    """As `gemm`, by all threads of a pool where that takes less time than by one.

    pool : as `products` makes it          prefetch_range : as for `prefetch_some`
    """
    (m, k), n = a.shape, c.shape[1]
    if 2 * m * n * k < pool[WORTH_SHARING]:
        call_gemm(pool[GEMM], (a, b, c, bias, accumulate, panel, pool, prefetch_range))
        return
    n_blocks, width = pool[N_WORKERS] * BLOCKS_PER_WORKER, NR_VECTORS * vector_width(panel.dtype.type(0))
    # Columns are cut first: each thread packs panels of its own, so rows that are cut have them packed again.
    n_columns = rounded_up((n + n_blocks - 1) // n_blocks, width)
    n_across = (n + n_columns - 1) // n_columns
    n_down = max((n_blocks + n_across - 1) // n_across, 1)
    n_rows = rounded_up(max((m + n_down - 1) // n_down, FEWEST_BLOCK_ROWS), max(MR, NARROW_MR))
    n_down = (m + n_rows - 1) // n_rows
    size = n_rows, n_columns
    put_job(pool, (a, b, c, bias, accumulate, size))
    parallel_for(pool, pool[GEMM_BLOCK], n_down * n_across, panel)
