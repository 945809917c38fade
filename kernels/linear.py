"""The linear layer: z = x Wᵀ + b, and the products of its backward pass.

See `fastgd.kernels` for the conventions.
"""

import numpy as np

from ._jit import inlined_kernel
from .llvm import call_at
from .tiles import TILE_ROWS
from .views import matrix, read_only_vector

# Fewer columns do not fill a tile enough.
_FEW_COLUMNS = 12


@inlined_kernel
def strides(row, column):
    """The places between neighbours in a column and in a row; a constant would be a type of its own for Numba."""
    return np.int64(row), np.int64(column)


@inlined_kernel
def linear_forward(x, weight, bias, out, products):
    """out = x Wᵀ + b  (the article's o2).

    x : (n_samples, n_in)          weight : (n_out, n_in)
    bias : (n_out,), or (0,) for a layer without bias
    out : (n_samples, n_out), overwritten          products : Products
    """
    n_samples, n_in = x.shape
    a, b = read_only_vector(x), read_only_vector(weight)
    if n_samples < TILE_ROWS or weight.shape[0] < _FEW_COLUMNS:
        call_at(products.multiply_rows, (a, n_in, b, read_only_vector(bias), out))
    else:
        one, zero = out.dtype.type(1), out.dtype.type(0)
        shift = read_only_vector(bias)
        call_at(
            products.multiply,
            (a, strides(n_in, 1), b, strides(1, n_in), n_in, out, shift, one, zero, products.panel),
        )


@inlined_kernel
def linear_backward_input(d_out, weight, d_x, products):
    """d_x = d_out W  (the article's δ2).

    d_out : (n_samples, n_out)     weight : (n_out, n_in)
    d_x : (n_samples, n_in), overwritten          products : Products
    """
    n_out, n_in = weight.shape
    one, zero = d_x.dtype.type(1), d_x.dtype.type(0)
    a, b = read_only_vector(d_out), read_only_vector(weight)
    call_at(
        products.multiply, (a, strides(n_out, 1), b, strides(n_in, 1), n_out, d_x, a[:0], one, zero, products.panel)
    )


@inlined_kernel
def linear_backward_parameters(d_out, x, alpha, beta, d_weight, d_bias, products):
    """d_weight = beta d_weight + alpha d_outᵀ x;  d_bias = beta d_bias + alpha · sum of d_out over the samples.

    With alpha = 1 and beta = 0 these are the gradients (the article's δw), and with alpha = -rate and beta = 1, on the
    weight and bias themselves, the update (ŵ).

    d_out : (n_samples, n_out)     x : (n_samples, n_in)          alpha, beta : scalars
    d_weight : (n_out, n_in), modified in place, not read where beta is zero
    d_bias : (n_out,), the same, or (0,) for a layer without bias          products : Products
    """
    n_samples, n_out = d_out.shape
    a, b = read_only_vector(d_out), read_only_vector(x)
    if n_samples == 1 and products.add_outer != 0:
        call_at(products.add_outer, (a, b, alpha, beta, d_weight))
    else:
        n_in = x.shape[1]
        call_at(
            products.multiply,
            (a, strides(1, n_out), b, strides(n_in, 1), n_samples, d_weight, a[:0], alpha, beta, products.panel),
        )
    sum_into(d_out, alpha, beta, d_bias)


@inlined_kernel
def sum_into(d_out, alpha, beta, d_bias):
    """d_bias = beta d_bias + alpha · sum of d_out over the samples."""
    if d_bias.size:
        for j in range(d_bias.size):
            d_bias[j] = type(beta)(0) if beta == 0 else beta * d_bias[j]
        for i in range(d_out.shape[0]):
            for j in range(d_out.shape[1]):
                d_bias[j] += alpha * d_out[i, j]


@inlined_kernel
def linear_forward_by_blas(x, weight, bias, out, products):
    """As `linear_forward`, on all processors."""
    np.dot(x, weight.T, out)
    if bias.size:
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] += bias[j]


@inlined_kernel
def linear_backward_input_by_blas(d_out, weight, d_x, products):
    """As `linear_backward_input`, on all processors."""
    np.dot(d_out, weight, d_x)


@inlined_kernel
def linear_backward_parameters_by_blas(d_out, x, alpha, beta, d_weight, d_bias, products):
    """As `linear_backward_parameters`, on all processors; the panel has room for d_weight."""
    product = matrix(products.panel, 0, d_weight.shape[0], d_weight.shape[1])
    np.dot(d_out.T, x, product)
    for i in range(d_weight.shape[0]):
        for j in range(d_weight.shape[1]):
            before = type(beta)(0) if beta == 0 else beta * d_weight[i, j]
            d_weight[i, j] = before + alpha * product[i, j]
    sum_into(d_out, alpha, beta, d_bias)
