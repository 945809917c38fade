"""Products of matrices with few rows or columns, row by row: where copying a panel would cost more than it saves."""

from numba import types

from ..codegen.function_pointer import addressed_kernel, calls, matrix_of, read_only_vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.simd import elements_in, everywhere, lane_count, load, prefetch, prefetch_for_later, store, total
from ..codegen.views import element, vector
from ..tuning import PRODUCT_LATER_BYTES, PRODUCT_SOON_BYTES


@inlined_kernel
def ahead_of(x, asks):
    """How many elements further lines are asked for soon and for later; none where nothing is asked for.

    A line that is there already costs no wait, and a branch would have the compiler take its time for two loops.
    """
    return asks * elements_in(x, PRODUCT_SOON_BYTES), asks * elements_in(x, PRODUCT_LATER_BYTES)


def _multiply_rows_types(number):
    given = read_only_vector_of(number)
    return given, types.int64, given, given, matrix_of(number), types.boolean


call_multiply_rows = calls(_multiply_rows_types)


@addressed_kernel(_multiply_rows_types)
def multiply_by_row(a, n_products, b, bias, c, asks):
    """As `multiply_rows`, for a b of one row: in four sums, and one row of a after the other."""
    zero = c.dtype.type(0)
    count = lane_count(zero)
    flat = vector(c)
    shift = load(bias, 0, bias.size, zero)
    soon, later = ahead_of(a, asks)
    n_full = n_products // (4 * count) * (4 * count)
    for i in range(flat.size):
        place = i * n_products
        s0, s1, s2, s3 = shift, everywhere(zero), everywhere(zero), everywhere(zero)
        for k0 in range(0, n_full, 4 * count):
            k1, k2, k3 = k0 + count, k0 + 2 * count, k0 + 3 * count
            p0, p1, p2, p3 = place + k0, place + k1, place + k2, place + k3
            prefetch(a, p0 + soon)
            prefetch(a, p1 + soon)
            prefetch(a, p2 + soon)
            prefetch(a, p3 + soon)
            prefetch_for_later(a, p0 + later)
            prefetch_for_later(a, p1 + later)
            prefetch_for_later(a, p2 + later)
            prefetch_for_later(a, p3 + later)
            s0 += load(a, p0, count, zero) * load(b, k0, count, zero)
            s1 += load(a, p1, count, zero) * load(b, k1, count, zero)
            s2 += load(a, p2, count, zero) * load(b, k2, count, zero)
            s3 += load(a, p3, count, zero) * load(b, k3, count, zero)
        for k in range(n_full, n_products, count):
            p = place + k
            prefetch(a, p + soon)
            prefetch_for_later(a, p + later)
            s0 += load(a, p, n_products - k, zero) * load(b, k, n_products - k, zero)
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
    has_bias = min(bias.size, 1)
    soon, later = ahead_of(a, asks)
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
                rest, p = n_products - k, place + k
                prefetch(a, p + soon)
                prefetch_for_later(a, p + later)
                x = load(a, p, rest, zero)
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


call_multiply_few = calls(_multiply_few_types)


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


def _add_outer_types(number):
    given = read_only_vector_of(number)
    return given, given, types.boolean, matrix_of(number)


call_add_outer = calls(_add_outer_types)


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
