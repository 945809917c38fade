"""Products of matrices with few rows or columns, row by row: where packing a panel would cost more than it saves."""

from numba import types

from ..codegen.function_pointer import call_through, matrix_of, pointer_kernel, read_only_vector_of
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.simd import broadcast, elements_in, horizontal_sum, load, prefetch, prefetch_l2, store, vector_width
from ..codegen.views import element, vector
from ..tuning import GEMM_L1_BYTES, GEMM_L2_BYTES


@inlined_kernel
def _prefetch_distances(x, prefetches):
    """How many elements ahead lines are prefetched into L1 and L2; none where nothing is to be prefetched.

    A line that is there already costs no wait, and a branch would have the compiler take its time for two loops.
    """
    return prefetches * elements_in(x, GEMM_L1_BYTES), prefetches * elements_in(x, GEMM_L2_BYTES)


def gemv_types(number):
    """The arguments of `gemv` and `gemm_nt_small`."""
    given = read_only_vector_of(number)
    return given, types.int64, given, given, matrix_of(number), types.boolean


call_gemv = call_through(gemv_types)


@pointer_kernel(gemv_types)
def gemv(a, k, b, bias, c, prefetches):
    """As `gemm_nt_small`, for a b of one row: in four sums, and one row of a after the other."""
    zero = c.dtype.type(0)
    count = vector_width(zero)
    flat = vector(c)
    shift = load(bias, 0, bias.size, zero)
    l1, l2 = _prefetch_distances(a, prefetches)
    n_full = k // (4 * count) * (4 * count)
    for i in range(flat.size):
        place = i * k
        s0, s1, s2, s3 = shift, broadcast(zero), broadcast(zero), broadcast(zero)
        for p0 in range(0, n_full, 4 * count):
            p1, p2, p3 = p0 + count, p0 + 2 * count, p0 + 3 * count
            at0, at1, at2, at3 = place + p0, place + p1, place + p2, place + p3
            prefetch(a, at0 + l1)
            prefetch(a, at1 + l1)
            prefetch(a, at2 + l1)
            prefetch(a, at3 + l1)
            prefetch_l2(a, at0 + l2)
            prefetch_l2(a, at1 + l2)
            prefetch_l2(a, at2 + l2)
            prefetch_l2(a, at3 + l2)
            s0 += load(a, at0, count, zero) * load(b, p0, count, zero)
            s1 += load(a, at1, count, zero) * load(b, p1, count, zero)
            s2 += load(a, at2, count, zero) * load(b, p2, count, zero)
            s3 += load(a, at3, count, zero) * load(b, p3, count, zero)
        for p in range(n_full, k, count):
            at = place + p
            prefetch(a, at + l1)
            prefetch_l2(a, at + l2)
            s0 += load(a, at, k - p, zero) * load(b, p, k - p, zero)
        flat[i] = horizontal_sum((s0 + s1) + (s2 + s3))


@pointer_kernel(gemv_types)
def gemm_nt_small(a, k, b, bias, c, prefetches):
    """c = a bᵀ + bias, row by row of both: for few rows of either.

    a : (m · k,), rows of a matrix          k : int          b : (n · k,), as a
    bias : (n,), or (0,)          c : (m, n), overwritten
    prefetches : bool, whether a comes from memory: what lies behind its rows is prefetched
    """
    zero = c.dtype.type(0)
    count = vector_width(zero)
    m, n = c.shape
    flat = vector(c)
    has_bias = minimum(bias.size, 1)
    l1, l2 = _prefetch_distances(a, prefetches)
    # The matrix that has more rows is read once.
    n_fours = (n + 3) // 4
    is_tall = n < m
    n_outer, n_inner = (m, n_fours) if is_tall else (n_fours, m)
    for outer in range(n_outer):
        for inner in range(n_inner):
            i, j0 = (outer, 4 * inner) if is_tall else (inner, 4 * outer)
            # Where the rows do not fill the four, the last one is repeated, and its result written again.
            j1, j2, j3 = minimum(j0 + 1, n - 1), minimum(j0 + 2, n - 1), minimum(j0 + 3, n - 1)
            at0, at1, at2, at3 = j0 * k, j1 * k, j2 * k, j3 * k
            place = i * k
            s0 = s1 = s2 = s3 = broadcast(zero)
            for p in range(0, k, count):
                rest, at = k - p, place + p
                prefetch(a, at + l1)
                prefetch_l2(a, at + l2)
                x = load(a, at, rest, zero)
                s0 += x * load(b, at0 + p, rest, zero)
                s1 += x * load(b, at1 + p, rest, zero)
                s2 += x * load(b, at2 + p, rest, zero)
                s3 += x * load(b, at3 + p, rest, zero)
            place = i * n
            flat[place + j0] = horizontal_sum(s0 + load(bias, j0, has_bias, zero))
            flat[place + j1] = horizontal_sum(s1 + load(bias, j1, has_bias, zero))
            if j0 + 2 < n:
                flat[place + j2] = horizontal_sum(s2 + load(bias, j2, has_bias, zero))
                flat[place + j3] = horizontal_sum(s3 + load(bias, j3, has_bias, zero))


def gemm_small_types(number):
    """The arguments of `gemm_small`."""
    given, strides = read_only_vector_of(number), types.UniTuple(types.int64, 2)
    return given, strides, given, types.int64, types.boolean, matrix_of(number)


call_gemm_small = call_through(gemm_small_types)


@pointer_kernel(gemm_small_types)
def gemm_small(a, a_strides, b, k, accumulate, c):
    """c = a b,  or c += a b,  row by row of c: for few rows or few products.

    a : flat          a_strides : a pair of ints: a[i, k] stands at place i · a_strides[0] + k · a_strides[1]
    b : (k · n,), row by row          k : int
    accumulate : bool, whether to add to what c has          c : (m, n), modified in place; not read unless it adds
    """
    zero = c.dtype.type(0)
    count = vector_width(zero)
    m, n = c.shape
    row, step = a_strides
    flat = vector(c)
    for i in range(m):
        place = i * n
        # Two registers side by side, as the sum of one has to wait for itself from product to product.
        for j in range(0, n, 2 * count):
            j1, n0, n1 = j + count, n - j, n - j - count
            s0 = s1 = broadcast(zero)
            for p in range(k):
                x = broadcast(element(a, i * row + p * step))
                s0 += x * load(b, p * n + j, n0, zero)
                s1 += x * load(b, p * n + j1, n1, zero)
            if accumulate:
                s0 += load(flat, place + j, n0, zero)
                s1 += load(flat, place + j1, n1, zero)
            store(flat, place + j, n0, s0)
            store(flat, place + j1, n1, s1)


def ger_types(number):
    """The arguments of `ger`."""
    given = read_only_vector_of(number)
    return given, given, types.boolean, matrix_of(number)


call_ger = call_through(ger_types)


@inlined_kernel
def _add_scaled(b, factors, c, begin, j, n):
    """c += factors b  for n lanes, from place j of b and begin + j of c on."""
    zero = c.dtype.type(0)
    store(c, begin + j, n, load(c, begin + j, n, zero) + factors * load(b, j, n, zero))


@pointer_kernel(ger_types)
def ger(a, b, accumulate, c):
    """c = a bᵀ,  or c += a bᵀ,  the product of a column and a row.

    a : (m,)          b : (n,)          accumulate : bool, whether to add to what c has
    c : (m, n), modified in place; not read unless it adds
    """
    zero = c.dtype.type(0)
    count = vector_width(zero)
    m, n = c.shape
    n_full = n // count * count
    flat = vector(c)
    if not accumulate:
        flat[:] = 0
    for i in range(m):
        factors = broadcast(element(a, i))
        if n < count:
            _add_scaled(b, factors, flat, i * n, 0, n)
            continue
        # The last lanes overlap the ones before, so they are computed first. A store of fewer lanes would make the load
        # of the next row wait for it.
        last = load(flat, i * n + n - count, count, zero) + factors * load(b, n - count, count, zero)
        for j in range(0, n_full, count):
            _add_scaled(b, factors, flat, i * n, j, count)
        store(flat, i * n + n - count, count, last)
