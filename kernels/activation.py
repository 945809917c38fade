"""The activations: layers without parameters, element by element.

Each is a pair of kernels, which the network calls by their addresses. All have the same arguments, whether they need
them or not:

forward(z, number, draw, out, mask)          backward(d_out, z, out, mask, number, d_z)

z : (size,), the layer's input          out : (size,), its output, overwritten by the forward pass
mask : (size,) bool, overwritten by the forward pass where the backward pass needs it
number : scalar of z's dtype, the layer's setting
draw : what random numbers depend on: (seed, number of updates made, layer, position of z[0] in the batch), int64
d_out : (size,), the derivative of the loss by out          d_z : (size,), that by z, overwritten
"""

import numpy as np
from numba import types

from .addressed import addressed_kernel, read_only_vector_of, vector_of
from .random import subkey


def _forward(number):
    draw = types.UniTuple(types.int64, 4)
    return read_only_vector_of(number), number, draw, vector_of(number), vector_of(types.boolean)


def _backward(number):
    given = read_only_vector_of(number)
    return given, given, given, read_only_vector_of(types.boolean), number, vector_of(number)


@addressed_kernel(_forward)
def relu_forward(z, tolerance, draw, out, mask):
    """out = z if z >= 0 else 0;  mask = z >= -tolerance  (the article's o3).

    A pre-activation that is negative by no more than rounding error counts as zero: its output is 0 and its gradient
    passes. The mask is written as a negated comparison so that NaN is never hidden.
    """
    zero = z.dtype.type(0)
    for i in range(z.size):
        mask[i] = not z[i] < -tolerance
        out[i] = zero if z[i] < zero else z[i]


@addressed_kernel(_backward)
def relu_backward(d_out, z, out, mask, tolerance, d_z):
    """d_z = d_out where the mask is set, else 0  (the article's δ3)."""
    zero = d_out.dtype.type(0)
    for i in range(d_out.size):
        d_z[i] = d_out[i] if mask[i] else zero


@addressed_kernel(_forward)
def leaky_relu_forward(z, slope, draw, out, mask):
    """out = z if z >= 0 else slope · z."""
    for i in range(z.size):
        out[i] = slope * z[i] if z[i] < 0 else z[i]


@addressed_kernel(_backward)
def leaky_relu_backward(d_out, z, out, mask, slope, d_z):
    """d_z = d_out where z >= 0, else slope · d_out."""
    for i in range(d_out.size):
        d_z[i] = slope * d_out[i] if z[i] < 0 else d_out[i]


@addressed_kernel(_forward)
def tanh_forward(z, number, draw, out, mask):
    """out = tanh(z)."""
    for i in range(z.size):
        out[i] = np.tanh(z[i])


@addressed_kernel(_backward)
def tanh_backward(d_out, z, out, mask, number, d_z):
    """d_z = d_out (1 - out²)."""
    for i in range(d_out.size):
        d_z[i] = d_out[i] * (1 - out[i] * out[i])


@addressed_kernel(_forward)
def sigmoid_forward(z, number, draw, out, mask):
    """out = 1 / (1 + exp(-z))."""
    one = z.dtype.type(1)
    for i in range(z.size):
        # The exponential of a negative number cannot overflow.
        small = np.exp(-abs(z[i]))
        out[i] = (small if z[i] < 0 else one) / (one + small)


@addressed_kernel(_backward)
def sigmoid_backward(d_out, z, out, mask, number, d_z):
    """d_z = d_out · out (1 - out)."""
    for i in range(d_out.size):
        d_z[i] = d_out[i] * out[i] * (1 - out[i])


@addressed_kernel(_forward)
def dropout_forward(z, probability, draw, out, mask):
    """out = z / (1 - probability) or, with that probability in [0, 1), 0;  mask = whether it passed.

    Element i is drawn from the seed, the update, the layer and its position in the batch.
    """
    seed, update, layer, first = draw
    key = subkey(subkey(np.uint64(seed), update), layer)
    scale = z.dtype.type(1 / (1 - probability))
    zero = z.dtype.type(0)
    threshold = np.uint64(probability * 2.0**64)
    for i in range(z.size):
        mask[i] = subkey(key, first + i) >= threshold
        out[i] = scale * z[i] if mask[i] else zero


@addressed_kernel(_backward)
def dropout_backward(d_out, z, out, mask, probability, d_z):
    """d_z = d_out / (1 - probability) where the mask is set, else 0."""
    scale = d_out.dtype.type(1 / (1 - probability))
    zero = d_out.dtype.type(0)
    for i in range(d_out.size):
        d_z[i] = scale * d_out[i] if mask[i] else zero


@addressed_kernel(_forward)
def identity_forward(z, number, draw, out, mask):
    """out = z."""
    for i in range(z.size):
        out[i] = z[i]


@addressed_kernel(_backward)
def identity_backward(d_out, z, out, mask, number, d_z):
    """d_z = d_out."""
    for i in range(d_out.size):
        d_z[i] = d_out[i]
