"""Each loss: its value, and its derivative with respect to the model's output, in one pass."""

import numpy as np

from ._jit import inlined_kernel


@inlined_kernel
def half_squared_error(out, target, sample_weight, scale, d_out):
    """Return Σ_i v_i ½ |out_i - target_i|²;  d_out_i = scale v_i (out_i - target_i)  (the article's δ4).

    out : (n_samples, n_out)          target : (n_samples, n_out)
    sample_weight : the v, (n_samples,), or (0,) where every weight is one
    scale : scalar, one over the size of the batch, so that the gradient is a mean over it
    d_out : (n_samples, n_out), overwritten
    """
    total = 0.0
    weight = out.dtype.type(1)
    for i in range(out.shape[0]):
        if sample_weight.size:
            weight = sample_weight[i]
        squares = 0.0
        for j in range(out.shape[1]):
            error = out[i, j] - target[i, j]
            squares += np.float64(error) * error
            d_out[i, j] = scale * weight * error
        total += 0.5 * weight * squares
    return total
