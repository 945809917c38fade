"""The activations: layers without parameters, element by element.

Each has a forward pass, which leaves the output and a mask, and a backward pass, which needs no more than these.
"""

import numpy as np

from ._jit import inlined_kernel
from .random import subkey

# Kinds of layer, as numbers in `Network.layers`.
LINEAR, RELU, LEAKY_RELU, TANH, SIGMOID, IDENTITY, DROPOUT = range(7)


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


@inlined_kernel
def leaky_relu_forward(z, slope, out):
    """out = z if z >= 0 else slope · z.

    z : (size,)          slope : scalar of z's dtype          out : (size,), overwritten
    """
    for i in range(z.size):
        out[i] = slope * z[i] if z[i] < 0 else z[i]


@inlined_kernel
def leaky_relu_backward(d_out, z, slope, d_z):
    """d_z = d_out where z >= 0, else slope · d_out.

    d_out : (size,)          z : (size,)          slope : scalar          d_z : (size,), overwritten
    """
    for i in range(d_out.size):
        d_z[i] = slope * d_out[i] if z[i] < 0 else d_out[i]


@inlined_kernel
def tanh_forward(z, out):
    """out = tanh(z).

    z : (size,)          out : (size,), overwritten
    """
    for i in range(z.size):
        out[i] = np.tanh(z[i])


@inlined_kernel
def tanh_backward(d_out, out, d_z):
    """d_z = d_out (1 - out²).

    d_out, out : (size,)          d_z : (size,), overwritten
    """
    for i in range(d_out.size):
        d_z[i] = d_out[i] * (1 - out[i] * out[i])


@inlined_kernel
def sigmoid_forward(z, out):
    """out = 1 / (1 + exp(-z)).

    z : (size,)          out : (size,), overwritten
    """
    one = z.dtype.type(1)
    for i in range(z.size):
        # The exponential of a negative number cannot overflow.
        small = np.exp(-abs(z[i]))
        out[i] = (small if z[i] < 0 else one) / (one + small)


@inlined_kernel
def sigmoid_backward(d_out, out, d_z):
    """d_z = d_out · out (1 - out).

    d_out, out : (size,)          d_z : (size,), overwritten
    """
    for i in range(d_out.size):
        d_z[i] = d_out[i] * out[i] * (1 - out[i])


@inlined_kernel
def dropout_forward(z, probability, key, first, out, mask):
    """out = z / (1 - probability) or, with that probability, 0;  mask = whether it passed.

    z : (size,)          probability : scalar in [0, 1)
    key : uint64          first : int, the position of z[0] in the batch: element i is drawn from (key, first + i)
    out : (size,), overwritten          mask : (size,) bool, overwritten
    """
    scale = z.dtype.type(1 / (1 - probability))
    zero = z.dtype.type(0)
    threshold = np.uint64(probability * 2.0**64)
    for i in range(z.size):
        mask[i] = subkey(key, first + i) >= threshold
        out[i] = scale * z[i] if mask[i] else zero


@inlined_kernel
def dropout_backward(d_out, mask, probability, d_z):
    """d_z = d_out / (1 - probability) where the mask is set, else 0.

    d_out : (size,)          mask : (size,) bool          probability : scalar          d_z : (size,), overwritten
    """
    scale = d_out.dtype.type(1 / (1 - probability))
    zero = d_out.dtype.type(0)
    for i in range(d_out.size):
        d_z[i] = scale * d_out[i] if mask[i] else zero


@inlined_kernel
def copy_elements(x, out):
    """out = x.

    x : (size,)          out : (size,), overwritten
    """
    for i in range(x.size):
        out[i] = x[i]
