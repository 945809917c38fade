"""The update after a batch of sparse rows, for a stack of layers whose first is a Linear on them.

What an update costs is a matter of its type:

LazySGD         plain SGD with L1 and L2 penalties: the entries of the batch
SparseUpdate    an optimiser for which a gradient of zero is no update, as Adagrad: the same
BoundedEntries  such a one whose steps are bounded: the same
EveryWeight     any other: all weights, for each update

Adagrad with a penalty is among the others: l2 · w is a part of each gradient, and its square of G, for a weight that no
row touches too, so that w and G after many updates have no closed form.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.function_pointer import settings_at
from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel
from ..codegen.views import element, span
from ..nn.layer import Layer
from ..optim.bounded import bounded_length, curvature_along
from ..optim.hooks import call_direction_at, call_update, call_update_at
from ..optim.lazy_penalty import apply_pending, begin_step, end_step, factor_of, flush
from ..optim.step import Step, UpdateRule, apply_step_along, call_apply_gradient
from ..optim.vectors import Vectors
from ..rows.csr import column_of, value_of


class LazySGD(NamedTuple):
    """Plain SGD, the first layer's penalties by `lazy_penalty.py`.

    penalty : with nothing pending
    apply_gradient, step : as of an UpdateRule, for the parameters behind the first layer's weights
    rest : Vectors, those of these parameters
    """

    penalty: NamedTuple
    apply_gradient: int
    step: Step
    rest: Vectors


class SparseUpdate(NamedTuple):
    """Weights whose gradient is zero stay as they are.

    step : Step, of an optimiser with an `update_at`, without regularisation          update_at : int, its address
    places : (n,) int64, scratch
    """

    step: Step
    update_at: int
    places: np.ndarray


class BoundedEntries(NamedTuple):
    """Weights whose gradient is zero stay as they are, and a step is bounded.

    step : Step, of an optimiser with a `direction_at`, without regularisation          direction_at : int, its address
    direction : like the parameters, zeros; scratch
    slope : (1,) float64, scratch          places : (n,) int64, scratch
    """

    step: Step
    direction_at: int
    direction: np.ndarray
    slope: np.ndarray
    places: np.ndarray


class EveryWeight(NamedTuple):
    """All parameters are updated.

    rule : UpdateRule, not direct, of an optimiser that sees no rows
    """

    rule: UpdateRule


@inlined_kernel
def _factor_of_lazy(update, one):
    return factor_of(update.penalty, one)


@inlined_kernel
def _factor_of_others(update, one):
    return one


@by_type(
    {
        LazySGD: _factor_of_lazy,
        SparseUpdate: _factor_of_others,
        BoundedEntries: _factor_of_others,
        EveryWeight: _factor_of_others,
    }
)
def first_factor(kernel):
    """What the first layer's weights are to be multiplied by."""
    return lambda update, one: kernel(update, one)


@inlined_kernel
def _pending_lazy(update, weight, X, i, n_in, n_out):
    for p in range(X.begin[i], X.end[i]):
        apply_pending(update.penalty, weight, column_of(X, p), n_in, n_out)


@inlined_kernel
def _pending_none(update, weight, X, i, n_in, n_out):
    pass


@by_type(
    {LazySGD: _pending_lazy, SparseUpdate: _pending_none, BoundedEntries: _pending_none, EveryWeight: _pending_none}
)
def apply_pending_row(kernel):
    """Bring the weights that a row needs up to date."""
    return lambda update, weight, X, i, n_in, n_out: kernel(update, weight, X, i, n_in, n_out)


@inlined_kernel
def _update_lazy(update, network, vectors, X, begin, end, rate, t, sample_weight):
    layer = settings_at(Layer, network.layers, 0)
    n_in, n_out = layer.n_in, layer.n_out
    u, gradient = span(vectors.parameters, layer.weight, n_in * n_out), vectors.gradient
    begin_step(update.penalty, u, n_in, rate)
    step = rate / factor_of(update.penalty, type(rate)(1))
    for i in range(begin, end):
        for k in range(n_out):
            for p in range(X.begin[i], X.end[i]):
                place = k * n_in + column_of(X, p)
                u[place] -= step * gradient[place]
                # A row to come may have an entry here, too.
                gradient[place] = 0
    end_step(update.penalty, rate)
    call_apply_gradient(update.apply_gradient, (update.rest, update.step, rate, t))


@inlined_kernel
def _update_entries(update, network, vectors, X, begin, end, rate, t, sample_weight):
    layer, step = settings_at(Layer, network.layers, 0), update.step
    n_in, n_out = layer.n_in, layer.n_out
    for i in range(begin, end):
        for k in range(n_out):
            p = X.begin[i]
            while p < X.end[i]:
                n = minimum(X.end[i] - p, update.places.size)
                for q in range(n):
                    update.places[q] = k * n_in + column_of(X, p + q)
                call_update_at(update.update_at, (vectors, step.optimizer, rate, t, update.places, n))
                p += n
    call_update(step.update, (vectors, step.optimizer, rate, t, (n_in * n_out, vectors.parameters.size)))


@inlined_kernel
def _mean_square_along_csr(network, direction, X, begin, end, sample_weight):
    """The mean over a batch's rows of v |s·x + s_b|², for the direction s of a step that is to be bounded."""
    layer, zero = settings_at(Layer, network.layers, 0), direction.dtype.type(0)
    # Dense rows are measured on the last micro-batch.
    begin += (end - begin - 1) // network.micro_batch_rows * network.micro_batch_rows
    squares = 0.0
    for i in range(begin, end):
        v = np.float64(element(sample_weight, i)) if sample_weight.size else 1.0
        for k in range(layer.n_out):
            change = element(direction, layer.bias + k) if layer.bias_end > layer.bias else zero
            for p in range(X.begin[i], X.end[i]):
                column = column_of(X, p)
                change += element(direction, layer.weight + k * layer.n_in + column) * value_of(X, p, column, zero)
            squares += v * np.float64(change) * change
    return squares / (end - begin)


@inlined_kernel
def _take_direction(update, vectors, n):
    call_direction_at(
        update.direction_at, (vectors, update.step.optimizer, update.direction, update.slope, update.places, n)
    )


@inlined_kernel
def _step_at(w, direction, place, length):
    w[place] -= length * direction[place]
    # A row to come may have an entry here, too.
    direction[place] = 0


@inlined_kernel
def _update_bounded(update, network, vectors, X, begin, end, rate, t, sample_weight):
    layer, w, direction = settings_at(Layer, network.layers, 0), vectors.parameters, update.direction
    n_in, n_out, n = layer.n_in, layer.n_out, 0
    update.slope[0] = 0
    for i in range(begin, end):
        for k in range(n_out):
            for p in range(X.begin[i], X.end[i]):
                update.places[n] = k * n_in + column_of(X, p)
                n += 1
                if n == update.places.size:
                    _take_direction(update, vectors, n)
                    n = 0
    _take_direction(update, vectors, n)
    for place in range(n_in * n_out, w.size):
        update.places[0] = place
        _take_direction(update, vectors, 1)
    mean_square = _mean_square_along_csr(network, direction, X, begin, end, sample_weight)
    curvature = curvature_along(vectors, update.step.optimizer, mean_square)
    length = bounded_length(update.step.optimizer, rate, t, curvature, update.slope[0])
    for i in range(begin, end):
        for k in range(n_out):
            for p in range(X.begin[i], X.end[i]):
                _step_at(w, direction, k * n_in + column_of(X, p), length)
    for place in range(n_in * n_out, w.size):
        _step_at(w, direction, place, length)


@inlined_kernel
def _update_every_weight(update, network, vectors, X, begin, end, rate, t, sample_weight):
    rule, layer = update.rule, settings_at(Layer, network.layers, 0)
    call_apply_gradient(rule.apply_gradient, (vectors, rule.step, rate, t))
    if rule.step.step_along != 0:
        mean_square = _mean_square_along_csr(network, vectors.gradient, X, begin, end, sample_weight)
        apply_step_along(vectors, rule, rate, t, mean_square)
    for i in range(layer.n_in * layer.n_out):
        vectors.gradient[i] = 0


@by_type(
    {
        LazySGD: _update_lazy,
        SparseUpdate: _update_entries,
        BoundedEntries: _update_bounded,
        EveryWeight: _update_every_weight,
    }
)
def make_update(kernel):
    """Make the update of a batch, rows begin to end of a CSR, and have zeros for the gradient by the first weights."""
    return lambda update, network, vectors, X, begin, end, rate, t, sample_weight: kernel(
        update, network, vectors, X, begin, end, rate, t, sample_weight
    )


@inlined_kernel
def _flush_lazy(update, weight, n_in):
    flush(update.penalty, weight, n_in)


@inlined_kernel
def _flush_none(update, weight, n_in):
    pass


@by_type({LazySGD: _flush_lazy, SparseUpdate: _flush_none, BoundedEntries: _flush_none, EveryWeight: _flush_none})
def flush_first(kernel):
    """Bring all of the first layer's weights up to date."""
    return lambda update, weight, n_in: kernel(update, weight, n_in)
