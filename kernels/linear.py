"""The linear layer: z = x Wᵀ + b, and the products of its backward pass.

The products are BLAS calls; see `fastgd.kernels` for the conventions.
"""

import numpy as np

from ._jit import inlined_kernel


@inlined_kernel
def linear_forward(x, weight, bias, out):
    """out = x Wᵀ + b  (the article's o2).

    x : (n_samples, n_in)          weight : (n_out, n_in)
    bias : (n_out,), or (0,) for a layer without bias
    out : (n_samples, n_out), overwritten
    """
    np.dot(x, weight.T, out)
    if bias.size:
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] += bias[j]


@inlined_kernel
def linear_backward_input(d_out, weight, d_x):
    """d_x = d_out W  (the article's δ2).

    d_out : (n_samples, n_out)     weight : (n_out, n_in)
    d_x : (n_samples, n_in), overwritten
    """
    np.dot(d_out, weight, d_x)


@inlined_kernel
def linear_backward_parameters(d_out, x, d_weight, d_bias):
    """d_weight = d_outᵀ x;  d_bias = sum of d_out over the samples  (the article's δw).

    d_out : (n_samples, n_out)     x : (n_samples, n_in)
    d_weight : (n_out, n_in), overwritten
    d_bias : (n_out,), overwritten, or (0,) for a layer without bias
    """
    np.dot(d_out.T, x, d_weight)
    if d_bias.size:
        d_bias[:] = 0
        for i in range(d_out.shape[0]):
            for j in range(d_out.shape[1]):
                d_bias[j] += d_out[i, j]
