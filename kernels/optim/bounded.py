"""SGD and Adagrad for one Linear, with each step bounded by the curvature of its batch's loss along it.

With s what they would subtract at rate 1, h the most that the loss's second derivative by an output comes to, and Δz
what s changes in the outputs of the batch's rows, of weights v,

    c = h · mean(v |Δz|²) + l2 Σ s_w²;    f = η / (1 + η c / s·g);    w -= f s

The batch's loss after the step is at most  -f s·g + ½ f² c  above where it was, and f <= s·g / c: so no step raises
it, however long its rows, and a large η makes each step the best along its direction, as far as h tells. With g for s,
a single row and squared errors that is the implicit update of Toulis and Airoldi, "Asymptotic and finite-sample
properties of estimators based on stochastic gradients" (Annals of Statistics, 2017). An activation behind the Linear
changes outputs by no more than Δz where its slope is at most 1; as its own curvature is left out, f is a guide there.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from ..codegen.function_pointer import (
    call_through,
    matrix_of,
    pointer_kernel,
    read_only_vector_of,
    settings_of,
    vector_of,
)
from ..codegen.jit import inlined_kernel
from ..codegen.views import read_only_matrix, read_only_span
from ..gemm import Products
from ..nn.linear import linear_forward
from .optimizers import add_square
from .vectors import part_of, update_types, vectors_of


class Bounded(NamedTuple):
    """Steps that are bounded.

    is_scaled : whether  s = g / (√G + eps), G += g², or  s = g
    rate_decay, weight_decay, eps : as Adagrad's          curvature : h

    state : as Adagrad's, where g is scaled; else none
    """

    is_scaled: bool
    rate_decay: float
    weight_decay: float
    eps: float
    curvature: float


# Reordered, the compensation would be zero.
@pointer_kernel(update_types, exact=True)
def bounded_direction(vectors, numbers, rate, t, part):
    """Leave s in the gradient; arguments as for the kernels of `optimizers.py`."""
    optimizer = settings_of(Bounded, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    decay, eps = type(rate)(optimizer.weight_decay), type(rate)(optimizer.eps)
    if not optimizer.is_scaled:
        for i in range(w.size):
            gradient[i] += decay * w[i]
        return
    total, missing = part_of(vectors.state[0], part), part_of(vectors.state[1], part)
    for i in range(w.size):
        g = gradient[i] + decay * w[i]
        add_square(total, missing, i, g)
        gradient[i] = g / (np.sqrt(total[i]) + eps)


@inlined_kernel
def square_of(direction, end):
    """Σ s² of the elements before an end, in float64."""
    squares = 0.0
    for i in range(end):
        squares += np.float64(direction[i]) * direction[i]
    return squares


# Where the mean of v |Δz|² stands among the scalars.
MEAN_SQUARE = 0


def _products_type(number):
    numbers, integers = vector_of(number), vector_of(types.int64)
    fields = [*[types.int64] * 7, read_only_vector_of(number), numbers, matrix_of(number), integers, integers]
    return types.NamedTuple(fields, Products)


def _look_types(number):
    given, rows = read_only_vector_of(number), types.Array(number, 2, "C", readonly=True)
    return vectors_of(number), types.Array(types.int64, 2, "C"), rows, given, matrix_of(number), _products_type(number)


call_look_along = call_through(_look_types)


@pointer_kernel(_look_types)
def look_along(vectors, weights, x, sample_weight, change, products):
    """Have the mean over some rows of v |Δz|² among the scalars, for the s that stands in the gradient.

    vectors : Vectors          weights : (1, 3) int64, as in `Step`
    x : (n_samples, n_in)          sample_weight : (n_samples,), or (0,)
    change : (n_samples, n_out), overwritten with Δz          products : Products
    """
    begin, end, n_in = weights[0, 0], weights[0, 1], weights[0, 2]
    direction = read_only_matrix(vectors.gradient, begin, (end - begin) // n_in, n_in)
    of_bias = read_only_span(vectors.gradient, end, vectors.gradient.size - end)
    linear_forward(x, direction, False, of_bias, change, products, False)
    squares = 0.0
    for row in range(change.shape[0]):
        of_row = 0.0
        for k in range(change.shape[1]):
            of_row += np.float64(change[row, k]) * change[row, k]
        squares += of_row * (np.float64(sample_weight[row]) if sample_weight.size else 1.0)
    vectors.scalars[MEAN_SQUARE] = squares / change.shape[0]


@inlined_kernel
def step_along(vectors, optimizer, l2, weights, rate, t):
    """w -= f s, for the s that stands in the gradient and its Δz among the scalars; no step where s·g is zero.

    vectors : Vectors, the parameters are modified in place          optimizer : Bounded
    l2 : float64, of the penalty          weights : (1, 3) int64, as in `Step`
    rate : scalar of the parameters' dtype          t : int, the number of the update, from 1
    """
    w, direction = vectors.parameters, vectors.gradient
    slope = 0.0
    if optimizer.is_scaled:
        total, eps = vectors.state[0], type(rate)(optimizer.eps)
        for i in range(w.size):
            # The gradient itself is gone.
            slope += np.float64(direction[i]) * direction[i] * np.float64(np.sqrt(total[i]) + eps)
    else:
        slope = square_of(direction, w.size)
    curvature = optimizer.curvature * vectors.scalars[MEAN_SQUARE]
    if l2 > 0:
        curvature += l2 * square_of(direction, weights[0, 1])
    if optimizer.weight_decay > 0:
        curvature += optimizer.weight_decay * square_of(direction, w.size)
    most = np.float64(rate) / (1 + (t - 1) * optimizer.rate_decay)
    # NaN has to stay one.
    step = type(rate)(most / (1 + most * curvature / slope) if slope != 0 else 0.0)
    for i in range(w.size):
        w[i] -= step * direction[i]
