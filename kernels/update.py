"""The optimisers: each a record of its settings, and a loop over the flat vectors that makes one update.

A new optimiser is one record, one kernel and one line in `UPDATES`. The formulas are PyTorch's. g stands for the mean
gradient of the batch, w for the parameters. All kernels have the same arguments:

vectors : Vectors; parameters, state and scalars are modified in place, the gradient is read
numbers : (n_fields,) float64, the record's
rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
"""

from typing import NamedTuple

import numpy as np
from numba import types

from ._jit import inlined_kernel
from .addressed import addressed_kernel, matrix_of, read_only_vector_of, record_of, vector_of

# Smaller squares lose digits in float32.
_SMALL_SQUARE = np.float32(1e-30)


class Vectors(NamedTuple):
    """What training changes: flat vectors of one dtype, parallel to one another.

    parameters, gradient : (size,)
    chunk_gradient : (size,), scratch; (0,) where no batch is larger than a chunk
    state : (n_states, size), the optimiser's
    scalars : (4,) float64, the optimiser's
    average : (size,), the running mean of the parameters; (0,) where none is kept
    orthant : (size,), the signs that an L1 penalty holds the weights to; (0,) without one
    """

    parameters: np.ndarray
    gradient: np.ndarray
    chunk_gradient: np.ndarray
    state: np.ndarray
    scalars: np.ndarray
    average: np.ndarray
    orthant: np.ndarray


class PlainSGD(NamedTuple):
    """w -= rate · g."""


class MomentumSGD(NamedTuple):
    """g += weight_decay · w;  m = momentum · m + (1 - dampening) g, g at first;  w -= rate · m.

    With Nesterov's look-ahead:  w -= rate (g + momentum · m).

    state : m
    """

    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool


class Adam(NamedTuple):
    """m = β1 m + (1 - β1) g;  v = β2 v + (1 - β2) g²;  w -= rate · m̂ / (√v̂ + eps).

    m̂ = m / (1 - β1^t),  v̂ = v / (1 - β2^t).
    With weight decay, g += weight_decay · w first; decoupled (AdamW), w *= 1 - rate · weight_decay.

    state : m, v
    """

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    decoupled: bool


class Adagrad(NamedTuple):
    """g += weight_decay · w;  G += g²;  w -= rate / (1 + (t - 1) rate_decay) · g / (√G + eps).

    state : G
    """

    rate_decay: float
    weight_decay: float
    eps: float


class RMSprop(NamedTuple):
    """g += weight_decay · w;  v = α v + (1 - α) g²;  w -= rate · g / (√v + eps).

    Centred, √v is √(v - a²) with a = α a + (1 - α) g.
    With momentum:  m = momentum · m + g / (√v + eps);  w -= rate · m.

    state : v, a, m
    """

    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool


class NormalizedSGD(NamedTuple):
    """The normalised adaptive gradient descent of Ross, Mineiro and Langford, "Normalized online learning" (UAI 2013).

    Algorithm 2 for the first layer's weights, with s_i the largest |x_i| seen so far, n the sum of the weights v of the
    rows seen (their number, where all are one), and N the sum of v x_i² / s_i² over them:

        G += g²;  w_i -= rate √(n / N) / s_i · g_i / √G_i.

    When s_i grows, w_i shrinks in proportion. At its feature's first value it shrinks as if s_i had been 1, for which
    weights are initialised, or not at all. All other parameters have s = 1 and n / N = 1.

    state : √G, s (in the places of the first unit's weights; before a feature's first value 0, or -1 for weights that
        are not to shrink at it)
    scalars : n, N, how many weights the first layer has, n_in
    """


def vectors_of(number):
    """The type of Vectors."""
    flat = vector_of(number)
    return types.NamedTuple([flat, flat, flat, matrix_of(number), vector_of(types.float64), flat, flat], Vectors)


def _update_types(number):
    return vectors_of(number), vector_of(types.float64), number, types.int64


@addressed_kernel(_update_types)
def plain_sgd(vectors, numbers, rate, t):
    parameters, gradient = vectors.parameters, vectors.gradient
    for i in range(parameters.size):
        parameters[i] -= rate * gradient[i]


@addressed_kernel(_update_types)
def momentum_sgd(vectors, numbers, rate, t):
    optimizer = record_of(MomentumSGD, numbers)
    w, gradient, m = vectors.parameters, vectors.gradient, vectors.state[0]
    number = type(rate)
    momentum, decay = number(optimizer.momentum), number(optimizer.weight_decay)
    kept, fresh = (momentum, number(1 - optimizer.dampening)) if t > 1 else (number(0), number(1))
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        m[i] = kept * m[i] + fresh * g
        w[i] -= rate * (g + momentum * m[i] if optimizer.nesterov else m[i])


@addressed_kernel(_update_types)
def adam(vectors, numbers, rate, t):
    optimizer = record_of(Adam, numbers)
    w, gradient, m, v = vectors.parameters, vectors.gradient, vectors.state[0], vectors.state[1]
    number = type(rate)
    beta1, beta2, eps = number(optimizer.beta1), number(optimizer.beta2), number(optimizer.eps)
    fresh1, fresh2 = number(1 - optimizer.beta1), number(1 - optimizer.beta2)
    step = number(rate / (1 - optimizer.beta1**t))
    spread = number(np.sqrt(1 - optimizer.beta2**t))
    decay = number(0 if optimizer.decoupled else optimizer.weight_decay)
    shrink = number(1 - rate * optimizer.weight_decay if optimizer.decoupled else 1)
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        m[i] = beta1 * m[i] + fresh1 * g
        v[i] = beta2 * v[i] + fresh2 * g * g
        w[i] = shrink * w[i] - step * m[i] / (np.sqrt(v[i]) / spread + eps)


@addressed_kernel(_update_types)
def adagrad(vectors, numbers, rate, t):
    optimizer = record_of(Adagrad, numbers)
    w, gradient, total = vectors.parameters, vectors.gradient, vectors.state[0]
    number = type(rate)
    decay, eps = number(optimizer.weight_decay), number(optimizer.eps)
    step = number(rate / (1 + (t - 1) * optimizer.rate_decay))
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        total[i] += g * g
        w[i] -= step * g / (np.sqrt(total[i]) + eps)


@addressed_kernel(_update_types)
def rmsprop(vectors, numbers, rate, t):
    optimizer = record_of(RMSprop, numbers)
    w, gradient = vectors.parameters, vectors.gradient
    v, a, m = vectors.state[0], vectors.state[1], vectors.state[2]
    number = type(rate)
    alpha, fresh, eps = number(optimizer.alpha), number(1 - optimizer.alpha), number(optimizer.eps)
    decay, momentum = number(optimizer.weight_decay), number(optimizer.momentum)
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        v[i] = alpha * v[i] + fresh * g * g
        spread = v[i]
        if optimizer.centered:
            a[i] = alpha * a[i] + fresh * g
            spread = max(spread - a[i] * a[i], number(0))
        m[i] = momentum * m[i] + g / (np.sqrt(spread) + eps)
        w[i] -= rate * m[i]


@inlined_kernel
def add_squares(root, gradient):
    """root = √(root² + g²), for features of any scale."""
    is_extreme = False
    for i in range(root.size):
        square = root[i] * root[i] + gradient[i] * gradient[i]
        is_extreme |= (square == np.inf) | ((square < _SMALL_SQUARE) & (gradient[i] != 0))
    if not is_extreme:
        for i in range(root.size):
            root[i] = np.sqrt(root[i] * root[i] + gradient[i] * gradient[i])
        return
    for i in range(root.size):
        # Squares may be infinite, or zero, or few digits, where their roots are not.
        largest = max(root[i], abs(gradient[i]))
        if not largest <= 0:
            before, now = root[i] / largest, gradient[i] / largest
            root[i] = largest * np.sqrt(before * before + now * now)


@addressed_kernel(_update_types)
def normalized_sgd(vectors, numbers, rate, t):
    w, gradient, root, scale = vectors.parameters, vectors.gradient, vectors.state[0], vectors.state[1]
    number = type(rate)
    n_weights, n_in = int(vectors.scalars[2]), int(vectors.scalars[3])
    # Without any value but zero there is no gradient either.
    total = vectors.scalars[1] if vectors.scalars[1] > 0 else 1.0
    step = number(rate * np.sqrt(vectors.scalars[0] / total))
    add_squares(root, gradient)
    for i in range(w.size):
        move = gradient[i] if root[i] == 0 else gradient[i] / root[i]
        if i >= n_weights:
            w[i] -= rate * move
        elif not scale[i % n_in] <= 0:
            w[i] -= step * move / scale[i % n_in]


UPDATES = {
    PlainSGD: plain_sgd,
    MomentumSGD: momentum_sgd,
    Adam: adam,
    Adagrad: adagrad,
    RMSprop: rmsprop,
    NormalizedSGD: normalized_sgd,
}


def _observe_types(number):
    return vectors_of(number), types.Array(number, 2, "C", readonly=True), read_only_vector_of(number)


@addressed_kernel(_observe_types)
def observe_features(vectors, x, sample_weight):
    """Show NormalizedSGD the features of some rows before their forward pass. Rows of weight zero do not count.

    vectors : Vectors, modified in place
    x : (n_samples, n_features)          sample_weight : (n_samples,), or (0,)
    """
    scale = vectors.state[1]
    weight = np.float64(1)
    for i in range(x.shape[0]):
        if sample_weight.size:
            weight = np.float64(sample_weight[i])
            if weight == 0:
                continue
        for j in range(x.shape[1]):
            size = abs(x[i, j])
            if size > max(scale[j], 0):
                if scale[j] >= 0:
                    shrink = (scale[j] if scale[j] > 0 else type(size)(1)) / size
                    for place in range(j, int(vectors.scalars[2]), x.shape[1]):
                        vectors.parameters[place] *= shrink
                scale[j] = size
        vectors.scalars[0] += weight
        for j in range(x.shape[1]):
            if scale[j] > 0:
                share = np.float64(x[i, j] / scale[j])
                vectors.scalars[1] += weight * share * share
