"""Products of matrices: `gemm`, `gemv` and `ger`, each with plain loops beside it in `reference.py`.

`blocked` and `packing` multiply matrices of any size, with the micro-kernel of `codegen`; `small` those of few rows or
columns; `transpose` and `prefetch` bring operands nearer. Which of them a network needs stands in `products`.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..codegen.alignment import aligned_empty
from ..codegen.processor import has_simd_registers
from ..parallel.thread_pool import (
    GEMM,
    GEMM_BLOCK,
    TRANSPOSE,
    TRANSPOSE_COLUMNS,
    WORTH_SHARING,
    compile_work,
    pool_memory,
)
from ..tuning import FAR_APART, FEW, MAX_VECTOR_WIDTH, WORTH_SHARING_OPERATIONS
from . import blocked, reference, small
from .packing import panel_size
from .transpose import parallel_transpose, transpose, transpose_columns

# Without registers for the micro-kernel's sums, each of its vectors would be taken apart and kept in memory.
IS_FAST = has_simd_registers()
gemm = blocked.gemm if IS_FAST else reference.gemm
parallel_gemm = blocked.parallel_gemm if IS_FAST else reference.gemm
gemv = small.gemv if IS_FAST else reference.gemv
ger = small.ger if IS_FAST else reference.ger
gemm_small = small.gemm_small if IS_FAST else reference.gemm_small
gemm_nt_small = small.gemm_nt_small if IS_FAST else reference.gemv


class Products(NamedTuple):
    """The kernels of products for one dtype, as the addresses of their machine code, and the memory they work in.

    n_rows : of the largest micro-batch
    gemm : `gemm` or, where there is a thread pool, `parallel_gemm`; zero where all products are small
    gemv : zero where no layer has one output
    gemm_nt_small, ger : zero where no other product is small enough for them
    transpose : `transpose` or, where there is a thread pool, `parallel_transpose`; zero where no layer has `FAR_APART`
        outputs, or where there is one row
    one : (1,), the number 1, read-only
    panel : (size,), scratch
    transposed : scratch for the outputs of a layer, transposed, where one is so wide; else (0, 0)
    pool : as `pool_memory` makes it
    prefetch_range : (2,) int64, as for `set_prefetch_range`: the memory to prefetch while `gemm` is at work
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
    """The kernels for micro-batches of up to n_rows rows, with a panel for sums over up to k products.

    n_outputs : of each layer
    n_workers : the threads of a thread pool
    """
    n_widest = max(n_outputs)
    is_wide = IS_FAST and n_widest >= FAR_APART and n_rows > 1
    length, width = (-(-n // MAX_VECTOR_WIDTH) * MAX_VECTOR_WIDTH if is_wide else 0 for n in (n_widest, n_rows))
    is_few = any(n > 1 and min(n_rows, n) < FEW for n in n_outputs)
    is_large = min(n_rows, n_widest) >= FEW
    is_pool, pool = n_workers > 1, pool_memory(n_workers)
    if is_pool:
        compile_work(np.dtype(dtype))
        pool[WORTH_SHARING] = WORTH_SHARING_OPERATIONS
        if IS_FAST:
            pool[GEMM], pool[GEMM_BLOCK] = gemm.pointer(dtype), blocked.gemm_block.pointer(dtype)
        if is_wide:
            pool[TRANSPOSE], pool[TRANSPOSE_COLUMNS] = transpose.pointer(dtype), transpose_columns.pointer(dtype)
    return Products(
        n_rows,
        (parallel_gemm if is_pool else gemm).pointer(dtype) if is_large else 0,
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
