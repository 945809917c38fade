"""Products as anyone would write them: what the tests hold the fast ones to, and what processors without SIMD run.

Each has the signature of its fast counterpart and ignores the parameters that only make that one fast.
"""

from ..codegen.function_pointer import pointer_kernel
from .blocked import gemm_types
from .small import gemm_small_types, gemv_types, ger_types


@pointer_kernel(gemm_types)
def gemm(a, b, c, bias, accumulate, panel, pool, prefetch_range):
    """c = a b + bias,  or c += a b;  arguments as of `blocked.gemm`."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = c.dtype.type(0)
            for p in range(a.shape[1]):
                total += a[i, p] * b[p, j]
            if accumulate:
                total += c[i, j]
            elif bias.size:
                total += bias[j]
            c[i, j] = total


@pointer_kernel(gemm_small_types)
def gemm_small(a, a_strides, b, k, accumulate, c):
    """c = a b,  or c += a b;  arguments as of `small.gemm_small`."""
    row, step = a_strides
    n = c.shape[1]
    for i in range(c.shape[0]):
        for j in range(n):
            total = c.dtype.type(0)
            for p in range(k):
                total += a[i * row + p * step] * b[p * n + j]
            c[i, j] = c[i, j] + total if accumulate else total


@pointer_kernel(gemv_types)
def gemv(a, k, b, bias, c, prefetches):
    """c = a bᵀ + bias;  arguments as of `small.gemv` or, for a b of several rows, `small.gemm_nt_small`."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = c.dtype.type(0)
            for p in range(k):
                total += a[i * k + p] * b[j * k + p]
            if bias.size:
                total += bias[j]
            c[i, j] = total


@pointer_kernel(ger_types)
def ger(a, b, accumulate, c):
    """c = a bᵀ,  or c += a bᵀ;  arguments as of `small.ger`."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            product = a[i] * b[j]
            c[i, j] = c[i, j] + product if accumulate else product
