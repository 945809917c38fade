"""The optimisers: each a tuple of settings, and a loop over the flat vectors that makes one update.

A new optimiser is its settings, its kernels and one line in `OPTIMIZERS`; `hooks.py` says what there is to hook into.
The formulas are PyTorch's. g stands for the mean gradient of the batch, w for the parameters. All updates have the same
arguments:

vectors : Vectors; parameters, state and own are modified in place, the gradient may be
numbers : (n_fields,) float64, the settings
rate : scalar of the parameters' dtype, the learning rate          t : int, the number of the update, from 1
part : (first, end) of the vectors, the part to update; the parts of an update know nothing of one another
"""

from typing import NamedTuple

import numpy as np

from ..codegen.function_pointer import pointer_kernel, settings_of
from .bounded import BOUNDED, Bounded
from .compensated import add_square
from .hooks import Hooks, update_at_types, update_types
from .normalized_sgd import NORMALIZED_SGD, NormalizedSGD
from .vectors import part_of


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

    state : G, and what its roundings have left out so far
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


@pointer_kernel(update_types)
def plain_sgd(vectors, numbers, rate, t, part):
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    for i in range(w.size):
        w[i] -= rate * gradient[i]


@pointer_kernel(update_types)
def _momentum_sgd(vectors, numbers, rate, t, part):
    optimizer = settings_of(MomentumSGD, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    m = part_of(vectors.state[0], part)
    number = type(rate)
    momentum, decay = number(optimizer.momentum), number(optimizer.weight_decay)
    kept, fresh = (momentum, number(1 - optimizer.dampening)) if t > 1 else (number(0), number(1))
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        m[i] = kept * m[i] + fresh * g
        w[i] -= rate * (g + momentum * m[i] if optimizer.nesterov else m[i])


@pointer_kernel(update_types)
def adam(vectors, numbers, rate, t, part):
    optimizer = settings_of(Adam, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    m, v = part_of(vectors.state[0], part), part_of(vectors.state[1], part)
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


# Reordered, the compensation would be zero.
@pointer_kernel(update_types, exact=True)
def adagrad(vectors, numbers, rate, t, part):
    optimizer = settings_of(Adagrad, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    total, missing = part_of(vectors.state[0], part), part_of(vectors.state[1], part)
    number = type(rate)
    decay, eps = number(optimizer.weight_decay), number(optimizer.eps)
    step = number(rate / (1 + (t - 1) * optimizer.rate_decay))
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        add_square(total, missing, i, g)
        w[i] -= step * g / (np.sqrt(total[i]) + eps)


@pointer_kernel(update_at_types, exact=True)
def _adagrad_at(vectors, numbers, rate, t, places, n_places):
    """What `adagrad` does without weight decay, to some elements.

    vectors, numbers, rate, t : as for the others          places : (n_places and more,) int64, the elements
    n_places : int
    """
    optimizer = settings_of(Adagrad, numbers)
    w, gradient, total, missing = vectors.parameters, vectors.gradient, vectors.state[0], vectors.state[1]
    number = type(rate)
    eps, step = number(optimizer.eps), number(rate / (1 + (t - 1) * optimizer.rate_decay))
    for k in range(n_places):
        i = np.uint64(places[k])
        g = gradient[i]
        gradient[i] = 0
        add_square(total, missing, i, g)
        w[i] -= step * g / (np.sqrt(total[i]) + eps)


@pointer_kernel(update_types)
def rmsprop(vectors, numbers, rate, t, part):
    optimizer = settings_of(RMSprop, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    v, a = part_of(vectors.state[0], part), part_of(vectors.state[1], part)
    m = part_of(vectors.state[2], part)
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


#: Every optimiser, by its settings.
OPTIMIZERS = {
    PlainSGD: Hooks(plain_sgd, is_plain=True),
    MomentumSGD: Hooks(_momentum_sgd),
    Adam: Hooks(adam),
    Adagrad: Hooks(adagrad, update_at=_adagrad_at, is_sparse=lambda settings: settings.weight_decay == 0),
    RMSprop: Hooks(rmsprop),
    Bounded: BOUNDED,
    NormalizedSGD: NORMALIZED_SGD,
}
