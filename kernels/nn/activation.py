"""The activations: layers without parameters, element by element, in place.

Each is a pair of kernels, which the network calls by their addresses. All have the same arguments, whether they need
them or not:

forward(x, number, draw, mask)          backward(out, mask, number, d)

x : (size,), the layer's input z, overwritten by its output
mask : (size,) bool, overwritten by the forward pass where the backward pass needs it
number : scalar of x's dtype, the layer's setting
draw : what random numbers depend on: (seed, number of updates made, layer, position of x[0] in the batch), int64
out : (size,), the layer's output          d : (size,), the derivative of the loss by it, overwritten by that by z
"""

import numpy as np
from numba import types

from ..codegen.floats import keep_where, select_not_less, store_not_less
from ..codegen.function_pointer import call_through, pointer_kernel, read_only_vector_of, vector_of
from ..codegen.jit import inlined_kernel
from ..codegen.simd import broadcast, load, store, vector_width
from ..random import subkey
from .functions import sigmoid, tanh


def _forward(number):
    draw = types.UniTuple(types.int64, 4)
    return vector_of(number), number, draw, vector_of(types.boolean)


def _backward(number):
    return read_only_vector_of(number), read_only_vector_of(types.boolean), number, vector_of(number)


call_forward, call_backward = call_through(_forward), call_through(_backward)


@inlined_kernel
def _relu(x, i, n, tolerance, mask):
    """`relu_forward` of the n elements from place i on, of one SIMD vector."""
    zero = broadcast(x.dtype.type(0))
    z = load(x, i, n, zero)
    store_not_less(mask, i, n, z, broadcast(-tolerance))
    store(x, i, n, select_not_less(z, zero, z, zero))


@pointer_kernel(_forward)
def relu_forward(x, tolerance, draw, mask):
    """out = z if z >= 0 else 0;  mask = z >= -tolerance  (the article's o3).

    A pre-activation that is negative by no more than rounding error counts as zero: its output is 0 and its gradient
    passes. Both comparisons are written as negated ones so that NaN is never hidden.
    """
    count = vector_width(x.dtype.type(0))
    n_whole = x.size // count * count
    for i in range(0, n_whole, count):
        _relu(x, i, count, tolerance, mask)
    if n_whole < x.size:
        _relu(x, n_whole, x.size - n_whole, tolerance, mask)


@inlined_kernel
def _relu_derivative(mask, i, n, d):
    """`relu_backward` of the same elements."""
    store(d, i, n, keep_where(load(d, i, n, d.dtype.type(0)), mask, i, n))


@pointer_kernel(_backward)
def relu_backward(out, mask, tolerance, d):
    """d_z = d_out where the mask is set, else 0  (the article's δ3)."""
    count = vector_width(d.dtype.type(0))
    n_whole = d.size // count * count
    for i in range(0, n_whole, count):
        _relu_derivative(mask, i, count, d)
    if n_whole < d.size:
        _relu_derivative(mask, n_whole, d.size - n_whole, d)


@pointer_kernel(_forward)
def leaky_relu_forward(x, slope, draw, mask):
    """out = slope · z if z < 0 else z;  mask = z < 0."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(x.size):
        mask[i] = x[i] < zero
        # A product always: a choice of what to store would become a store under a mask, which takes far longer.
        x[i] *= slope if x[i] < zero else one


@pointer_kernel(_backward)
def leaky_relu_backward(out, mask, slope, d):
    """d_z = slope · d_out where the mask is set, else d_out."""
    one = d.dtype.type(1)
    for i in range(d.size):
        d[i] *= slope if mask[i] else one


@pointer_kernel(_forward)
def tanh_forward(x, number, draw, mask):
    """out = tanh(z)."""
    zero = x.dtype.type(0)
    count = vector_width(zero)
    for i in range(0, x.size, count):
        store(x, i, x.size - i, tanh(load(x, i, x.size - i, zero)))


@pointer_kernel(_backward)
def tanh_backward(out, mask, number, d):
    """d_z = d_out (1 - out²)."""
    # A literal 1 would widen float32 to float64, at half the speed.
    one = d.dtype.type(1)
    for i in range(d.size):
        d[i] *= one - out[i] * out[i]


@pointer_kernel(_forward)
def sigmoid_forward(x, number, draw, mask):
    """out = 1 / (1 + exp(-z))."""
    zero = x.dtype.type(0)
    count = vector_width(zero)
    for i in range(0, x.size, count):
        store(x, i, x.size - i, sigmoid(load(x, i, x.size - i, zero)))


@pointer_kernel(_backward)
def sigmoid_backward(out, mask, number, d):
    """d_z = d_out · out (1 - out)."""
    one = d.dtype.type(1)
    for i in range(d.size):
        d[i] *= out[i] * (one - out[i])


@pointer_kernel(_forward)
def dropout_forward(x, probability, draw, mask):
    """out = z / (1 - probability) or, with that probability in [0, 1), 0;  mask = whether it passed.

    Element i is drawn from the seed, the update, the layer and its position in the batch.
    """
    seed, update, layer, first = draw
    key = subkey(subkey(np.uint64(seed), update), layer)
    scale = x.dtype.type(1 / (1 - probability))
    zero = x.dtype.type(0)
    threshold = np.uint64(probability * 2.0**64)
    for i in range(x.size):
        mask[i] = subkey(key, first + i) >= threshold
        x[i] = scale * x[i] if mask[i] else zero


@pointer_kernel(_backward)
def dropout_backward(out, mask, probability, d):
    """d_z = d_out / (1 - probability) where the mask is set, else 0."""
    scale = d.dtype.type(1 / (1 - probability))
    zero = d.dtype.type(0)
    for i in range(d.size):
        d[i] = scale * d[i] if mask[i] else zero


@pointer_kernel(_forward)
def identity_forward(x, number, draw, mask):
    """out = z."""


@pointer_kernel(_backward)
def identity_backward(out, mask, number, d):
    """d_z = d_out."""
