"""Rows of a teacher network: any range of them, in any order, from (seed, row) alone.

The bits are the same on any machine: random integers are a function of seed and row, features are small multiples of
1/1024, and no sum depends on how a compiler orders it, as either every partial sum is exact or the order is fixed.
"""

import numpy as np

from ..codegen.jit import exact_kernel, kernel
from ..random import GOLDEN, mix, subkey

_S10, _S20, _S32 = (np.uint64(s) for s in (10, 20, 32))
_TEN_BITS = np.uint64(1023)

#: Variance of one random value: three uniform integers of 10 bits, centred and divided by 512.
VARIANCE = 1 - 2.0**-20


@exact_kernel
def bell(bits):
    """The low 30 bits as a bell-shaped multiple of 1/1024 in (-3, 3), of mean 0 and variance `VARIANCE`."""
    total = (bits & _TEN_BITS) + ((bits >> _S10) & _TEN_BITS) + ((bits >> _S20) & _TEN_BITS)
    return (np.float32(np.int32(total)) - np.float32(1534.5)) * np.float32(1 / 512)


@exact_kernel
def fill_bell(key, out):
    """Fill `out` with the values that belong to `key`; each random word of 64 bits gives two of them.

    key : uint64          out : (size,), overwritten
    """
    half = out.size // 2
    for j in range(half):
        word = mix(key + np.uint64(j + 1) * GOLDEN)
        out[j] = bell(word)
        out[half + j] = bell(word >> _S32)
    if out.size % 2:
        out[2 * half] = bell(mix(key + np.uint64(half + 1) * GOLDEN))


@exact_kernel
def teacher_weights(key, out):
    """Fill `out` with the weights of the data set's teacher network.

    key : uint64          out : (size,), overwritten
    """
    fill_bell(mix(~key), out)


@kernel
def exact_dot(x, weight):
    """Σ x_j w_j over multiples of 1/1024 below 4: every partial sum is exact in float64, so its order is free.

    x : (n,) float32 or float64          weight : (n,) float64
    """
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * weight[j]
    return total


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
    scratch : (3, at least max(widths)) float64
    X : (n_samples, widths[0]), overwritten          y : (n_samples, widths[-1]), overwritten
    """
    n_features, n_outputs, n_layers = widths[0], widths[-1], widths.size - 1
    noise_values = scratch[2, :n_outputs]
    for i in range(rows.size):
        row_key = subkey(key, rows[i])
        fill_bell(row_key, X[i])
        values = scratch[0, : widths[1]]
        scale = 1.0 / np.sqrt(n_features)
        for u in range(widths[1]):
            values[u] = exact_dot(X[i], weights[u * n_features : (u + 1) * n_features]) * scale
        begin = n_features * widths[1]
        for k in range(1, n_layers):
            n_in, n_out = widths[k], widths[k + 1]
            out = scratch[k % 2, :n_out]
            out[:] = 0.0
            scale = np.sqrt(2.0 / n_in)
            for j in range(n_in):
                # A fixed order over j, and lanes over u: exact_kernel keeps each sum as written.
                if values[j] > 0.0:
                    for u in range(n_out):
                        out[u] += values[j] * weights[begin + j * n_out + u]
            for u in range(n_out):
                out[u] *= scale
            values = out
            begin += n_in * n_out
        fill_bell(mix(~row_key), noise_values)
        for u in range(n_outputs):
            clean = max(values[u], 0.0) if n_layers == 1 else values[u]
            y[i, u] = clean + noise * noise_values[u]
