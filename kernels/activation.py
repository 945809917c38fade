"""The ReLU layer, with the mask that its backward pass needs."""

from ._jit import inlined_kernel


@inlined_kernel
def relu_forward(z, tolerance, out, mask):
    """out = z if z >= 0 else 0;  mask = z >= -tolerance  (the article's o3).

    A pre-activation that is negative by no more than rounding error counts as zero: its output is 0 and its gradient
    passes. The mask is written as a negated comparison so that NaN is never hidden.

    z : (size,)          tolerance : scalar of z's dtype, >= 0
    out : (size,), overwritten          mask : (size,) bool, overwritten
    """
    zero = z.dtype.type(0)
    for i in range(z.size):
        mask[i] = not z[i] < -tolerance
        out[i] = zero if z[i] < zero else z[i]


@inlined_kernel
def relu_backward(d_out, mask, d_z):
    """d_z = d_out where the mask is set, else 0  (the article's δ3).

    d_out : (size,)          mask : (size,) bool
    d_z : (size,), overwritten
    """
    zero = d_out.dtype.type(0)
    for i in range(d_out.size):
        d_z[i] = d_out[i] if mask[i] else zero
