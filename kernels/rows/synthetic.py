"""Rows of a teacher network: any range of them, in any order, from (seed, row) alone.

The bits are the same on any machine: random integers are a function of seed and row, features are small multiples of
1/1024, and no sum depends on how a compiler orders it, as either every partial sum is exact or the order is fixed.
"""

import numpy as np

from ..codegen.integer_simd import (
    as_float32,
    even_lanes,
    halves,
    in_dtype_of,
    lane_numbers,
    n_lanes,
    odd_lanes,
)
from ..codegen.integers import minimum
from ..codegen.jit import exact_kernel, kernel
from ..codegen.simd import broadcast_like, store
from ..random import GOLDEN, mix, subkey

_S10, _S20, _TEN_BITS = (np.uint32(bits) for bits in (10, 20, 1023))
_SCALE, _CENTRE = np.float32(1 / 512), np.float32(-1534.5 / 512)

#: Variance of one random value: three uniform integers of 10 bits, centred and divided by 512.
VARIANCE = 1 - 2.0**-20

#: Rows are loaded anew, in vectors that begin elsewhere, once they have reached the cache.
ROWS_AT_ONCE = 16


@exact_kernel
def bell(words):
    """Of each word's halves, the low 30 bits as bell-shaped multiples of 1/1024 in (-3, 3).

    Their mean is 0 and their variance `VARIANCE`. Every step is exact.

    words : vector of uint64          returns those of the lower halves and of the upper ones, vectors of float32
    """
    bits = halves(words)
    total = as_float32((bits & _TEN_BITS) + ((bits >> _S10) & _TEN_BITS) + ((bits >> _S20) & _TEN_BITS))
    values = total * broadcast_like(total, _SCALE) + broadcast_like(total, _CENTRE)
    return even_lanes(values), odd_lanes(values)


@exact_kernel
def _store_bell(words, j, n, half, out):
    """Write the values of the first n words into places j and half + j of `out`, and those that follow."""
    low, high = bell(words)
    store(out, j, n, in_dtype_of(out, low))
    store(out, half + j, n, in_dtype_of(out, high))


@exact_kernel
def _fill_bell(key, out):
    """Fill `out` with the values that belong to `key`; each random word of 64 bits gives two of them.

    With w_j = mix(key + (j + 1) GOLDEN), half of the values are those of the words' lower halves, and the other half
    those of the upper ones; of an odd number, the last is that of one more word's lower half.

    key : uint64          out : (size,), overwritten
    """
    half = out.size // 2
    # Two registers at once, as long as there are so many words, wait for one another half as long.
    z = key + GOLDEN + lane_numbers(key, 2) * GOLDEN
    n, j = n_lanes(z), 0
    while j + n <= half:
        _store_bell(mix(z), j, n, half, out)
        z += np.uint64(n) * GOLDEN
        j += n
    z = key + np.uint64(j + 1) * GOLDEN + lane_numbers(key, 1) * GOLDEN
    n = n_lanes(z)
    while j < half:
        _store_bell(mix(z), j, half - j, half, out)
        z += np.uint64(n) * GOLDEN
        j += n
    if out.size % 2:
        low, _ = bell(mix(key + np.uint64(half + 1) * GOLDEN + lane_numbers(key, 1)))
        store(out, 2 * half, 1, in_dtype_of(out, low))


@exact_kernel
def teacher_weights(key, out):
    """Fill `out` with the weights of the data set's teacher network.

    key : uint64          out : (size,), overwritten
    """
    _fill_bell(mix(~key), out)


@kernel
def _exact_dot(x, weight):
    """Σ x_j w_j over multiples of 1/1024 below 4: every partial sum is exact in float64, so its order is free.

    x : (n,) float32 or float64          weight : (n,) float64
    """
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * weight[j]
    return total


@exact_kernel
def _later_layers(values, widths, weights, noise, scratch, y):
    """y = outputs + noise · y  of one row, from what the teacher network's first layer makes of it.

    values : (widths[1],) float64          scratch : (2, at least max(widths[2:])) float64
    widths, weights, noise : as for `synthetic_rows`          y : (widths[-1],)
    """
    begin = widths[0] * widths[1]
    for k in range(1, widths.size - 1):
        n_in, n_out = widths[k], widths[k + 1]
        sums = scratch[k % 2, :n_out]
        sums[:] = 0.0
        scale = np.sqrt(2.0 / n_in)
        for j in range(n_in):
            # A fixed order over j, and lanes over u: exact_kernel keeps each sum as written.
            if values[j] > 0.0:
                for u in range(n_out):
                    sums[u] += values[j] * weights[begin + j * n_out + u]
        for u in range(n_out):
            sums[u] *= scale
        values = sums
        begin += n_in * n_out
    for u in range(y.size):
        y[u] = values[u] + noise * y[u]


@exact_kernel
def synthetic_rows(key, rows, widths, weights, noise, scratch, X, y):
    """Write the given rows of the teacher network's data set.

    The network is Linear, ReLU, Linear, ReLU, ..., Linear over `widths`; without hidden layers a ReLU follows the only
    Linear. Its first layer's weights are bell values times 1/√n_features, the later ones' √(2 / n_in).
    y = network(x) + noise · (a bell value).

    key : uint64, the data set's          rows : (n_samples,) int64
    widths : (n_layers + 1,) int64, features first, outputs last
    weights : flat float64, unscaled; the first layer's (n_out, n_in), the later ones' (n_in, n_out), one after another
    noise : float64, the standard deviation
    scratch : (`ROWS_AT_ONCE` + 2, at least max(widths[1:])) float64
    X : (n_samples, widths[0]), overwritten          y : (n_samples, widths[-1]), overwritten
    """
    n_features, n_units, n_outputs = widths[0], widths[1], widths[-1]
    scale = 1.0 / np.sqrt(n_features)
    for begin in range(0, rows.size, ROWS_AT_ONCE):
        n_rows = minimum(ROWS_AT_ONCE, rows.size - begin)
        for i in range(begin, begin + n_rows):
            row_key = subkey(key, rows[i])
            _fill_bell(row_key, X[i])
            _fill_bell(mix(~row_key), y[i])
        for i in range(n_rows):
            for u in range(n_units):
                scratch[i, u] = _exact_dot(X[begin + i], weights[u * n_features : (u + 1) * n_features]) * scale
        if widths.size == 2:
            for i in range(n_rows):
                for u in range(n_outputs):
                    y[begin + i, u] = max(scratch[i, u], 0.0) + noise * y[begin + i, u]
        else:
            for i in range(n_rows):
                _later_layers(scratch[i], widths, weights, noise, scratch[ROWS_AT_ONCE:], y[begin + i])
