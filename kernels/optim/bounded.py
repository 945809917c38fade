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

from ..codegen.function_pointer import pointer_kernel, settings_of
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.simd import prefetch
from ..codegen.views import read_only_matrix, read_only_span, struct_view
from ..nn.linear import linear_forward
from ..tuning import CSR_PLACES_PREFETCH
from .compensated import add_square
from .hooks import Hooks, direction_at_types, mean_square_along_types, step_along_types, update_types
from .vectors import part_of


class Bounded(NamedTuple):
    """Steps that are bounded.

    is_scaled : whether  s = g / (√G + eps), G += g², or  s = g
    rate_decay, weight_decay, eps : as Adagrad's          curvature : h

    state : as Adagrad's, where g is scaled; else none          own : FIELDS
    """

    is_scaled: bool
    rate_decay: float
    weight_decay: float
    eps: float
    curvature: float


#: mean_square : mean(v |Δz|²) of the latest step: one that is not finite may leave no other trace
FIELDS = np.dtype([("mean_square", np.float64)])


# Reordered, the compensation would be zero.
@pointer_kernel(update_types, exact=True)
def _bounded_direction(vectors, numbers, rate, t, part):
    """Leave s in the gradient; arguments as for `Hooks`."""
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


@pointer_kernel(direction_at_types, exact=True)
def _bounded_direction_at(vectors, numbers, direction, slope, places, n_places):
    """What `_bounded_direction` does without weight decay, to some elements; arguments as for `Hooks`."""
    optimizer = settings_of(Bounded, numbers)
    gradient, eps = vectors.gradient, vectors.gradient.dtype.type(optimizer.eps)
    along = 0.0
    for k in range(n_places):
        ahead = places[minimum(k + CSR_PLACES_PREFETCH, n_places - 1)]
        prefetch(direction, ahead)
        if optimizer.is_scaled:
            prefetch(vectors.state[0], ahead)
            prefetch(vectors.state[1], ahead)
        i = np.uint64(places[k])
        g = gradient[i]
        gradient[i] = 0
        # It is zero where a place comes again.
        if g != 0:
            s = g
            if optimizer.is_scaled:
                add_square(vectors.state[0], vectors.state[1], i, g)
                s = g / (np.sqrt(vectors.state[0][i]) + eps)
            direction[i] = s
            along += np.float64(s) * g
    slope[0] += along


@inlined_kernel
def curvature_along(vectors, numbers, mean_square):
    """What the loss adds to c; the mean square is noted.

    vectors : Vectors, own is modified in place          numbers, mean_square : as for `Hooks`
    """
    struct_view(FIELDS, vectors.own).mean_square = mean_square
    return settings_of(Bounded, numbers).curvature * mean_square


@inlined_kernel
def bounded_length(numbers, rate, t, curvature, slope):
    """f, the length of a step along s.

    numbers, rate, t : as for `Hooks`          curvature : float64, c          slope : float64, s·g
    """
    most = np.float64(rate) / (1 + (t - 1) * settings_of(Bounded, numbers).rate_decay)
    # NaN has to stay one.
    return type(rate)(most / (1 + most * curvature / slope) if slope != 0 else 0.0)


@inlined_kernel
def _square_of(direction, end):
    """Σ s² of the elements before an end, in float64."""
    squares = 0.0
    for i in range(end):
        squares += np.float64(direction[i]) * direction[i]
    return squares


@pointer_kernel(mean_square_along_types)
def mean_square_along(vectors, weights, x, sample_weight, change, products, result):
    """result = the mean over some rows of v |Δz|², for the s that stands in the gradient; arguments as for `Hooks`."""
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
    result[0] = squares / change.shape[0]


@pointer_kernel(step_along_types)
def step_along(vectors, numbers, rate, t, l2, weights, mean_square):
    """w -= f s, for the s that stands in the gradient; no step where s·g is zero; arguments as for `Hooks`."""
    optimizer = settings_of(Bounded, numbers)
    w, direction = vectors.parameters, vectors.gradient
    slope = 0.0
    if optimizer.is_scaled:
        total, eps = vectors.state[0], type(rate)(optimizer.eps)
        for i in range(w.size):
            # The gradient itself is gone.
            slope += np.float64(direction[i]) * direction[i] * np.float64(np.sqrt(total[i]) + eps)
    else:
        slope = _square_of(direction, w.size)
    curvature = curvature_along(vectors, numbers, mean_square)
    if l2 > 0:
        curvature += l2 * _square_of(direction, weights[0, 1])
    if optimizer.weight_decay > 0:
        curvature += optimizer.weight_decay * _square_of(direction, w.size)
    step = bounded_length(numbers, rate, t, curvature, slope)
    for i in range(w.size):
        w[i] -= step * direction[i]


BOUNDED = Hooks(
    _bounded_direction,
    mean_square_along=mean_square_along,
    step_along=step_along,
    direction_at=_bounded_direction_at,
    is_sparse=lambda settings: settings.weight_decay == 0,
    is_parallel=False,
)
