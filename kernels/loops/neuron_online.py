"""The training loop of a single output neuron, one sample at a time: the article's algorithm, row by row.

The rows stay where they are: any real dtype, converted in registers, in the data's order or in another. What bounds
this loop is the memory, as long as the processor waits for nothing else:

- One pass over the weights updates them with the row before and multiplies them with the row to come, so the weights
  are loaded and stored once.
- Rows are asked for long before they are needed.

z of a row needs the weights that the row before leaves. For narrow rows that wait is longer than the work: they have
the loop of `neuron_online_by_4.py`.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel, kernel, linked_kernel
from ..codegen.simd import broadcast_like, clipped, horizontal_sum, load, simd_vector_for, store, vector_width
from ..codegen.views import element, vector
from ..nn.loss import pointwise
from ..nn.loss_of_4 import pointwise_of_4
from ..optim.regularization import NoRegularization, Regularization
from ..tuning import ROW_L1_BYTES, ROW_L1_ROWS
from .row_access import InOrder, n_samples_of, prefetch_places, prefetch_row, row, target_row


class LinearNeuron(NamedTuple):
    """Linear with one output.

    n_features : int
    """

    n_features: int


class ReLUNeuron(NamedTuple):
    """Linear with one output, then a ReLU.

    n_features : int          tolerance : scalar, the ReLU's
    """

    n_features: int
    tolerance: float


class Equal(NamedTuple):
    """Every row counts once."""


class Weighted(NamedTuple):
    """Rows count as much as they weigh.

    sample_weight : (n_rows,)
    """

    sample_weight: np.ndarray


class Rows(NamedTuple):
    """The samples of one call.

    X : (n_rows, n_features), C-contiguous, of any real dtype, or a HalfPrecision
    y : (n_rows, 1)          weights : Equal or Weighted
    order : of `row_access.py`
    """

    X: np.ndarray
    y: np.ndarray
    weights: NamedTuple = Equal()
    order: NamedTuple = InOrder()


@inlined_kernel
def _weight_equal(weights, t, one):
    return one


@inlined_kernel
def _weight_given(weights, t, one):
    return element(weights.sample_weight, t)


@by_type({Equal: _weight_equal, Weighted: _weight_given})
def weight_of(kernel):
    """Return a row's weight; one, of the model's dtype, is known to the compiler and costs no operation."""
    return lambda weights, t, one: kernel(weights, t, one)


@inlined_kernel
def _total_equal(weights, order, first, last):
    return np.float64(last - first)


@inlined_kernel
def _total_given(weights, order, first, last):
    result = 0.0
    for i in range(first, last):
        result += abs(element(weights.sample_weight, target_row(order, i)))
    return result


@by_type({Equal: _total_equal, Weighted: _total_given})
def total_weight(kernel):
    """Return what samples first to last weigh together."""
    return lambda weights, order, first, last: kernel(weights, order, first, last)


@inlined_kernel
def _output_linear(neuron, z):
    return z


@inlined_kernel
def _output_relu(neuron, z):
    zero = type(z)(0)
    return zero if z < zero else z


@by_type({LinearNeuron: _output_linear, ReLUNeuron: _output_relu})
def _output_of(kernel):
    """Return a neuron's output."""
    return lambda neuron, z: kernel(neuron, z)


@inlined_kernel
def _masked_linear(neuron, z, derivative):
    return derivative


@inlined_kernel
def _masked_relu(neuron, z, derivative):
    return type(z)(0) if z < -neuron.tolerance else derivative


@by_type({LinearNeuron: _masked_linear, ReLUNeuron: _masked_relu})
def _masked(kernel):
    """Return a derivative by z from that by the output."""
    return lambda neuron, z, derivative: kernel(neuron, z, derivative)


@inlined_kernel
def _counting(z, weight):
    """Return z, or zero where it does not count: nothing may overflow there, as zero times infinity is NaN."""
    return type(z)(0) if weight == 0 else z


@inlined_kernel
def loss_and_grad(neuron, loss, z, target, weight):
    """Return the loss of one sample and its derivative by z, times its weight."""
    z = _counting(z, weight)
    value, derivative = pointwise(loss, _output_of(neuron, z), target)
    return weight * value, weight * _masked(neuron, z, derivative)


@inlined_kernel
def losses_and_grads(neuron, loss, z, targets, weights):
    """As `loss_and_grad`, of four samples: losses, and derivatives."""
    v0, v1, v2, v3 = weights
    z0, z1, z2, z3 = _counting(z[0], v0), _counting(z[1], v1), _counting(z[2], v2), _counting(z[3], v3)
    outs = _output_of(neuron, z0), _output_of(neuron, z1), _output_of(neuron, z2), _output_of(neuron, z3)
    values, d = pointwise_of_4(loss, outs, targets)
    d0, d1 = _masked(neuron, z0, d[0]), _masked(neuron, z1, d[1])
    d2, d3 = _masked(neuron, z2, d[2]), _masked(neuron, z3, d[3])
    return (v0 * values[0], v1 * values[1], v2 * values[2], v3 * values[3]), (v0 * d0, v1 * d1, v2 * d2, v3 * d3)


@linked_kernel
def learning_rate_at(rates, n_updates, weight):
    """Return the rate of a sample's update, zero for a row of weight zero, and how many updates were made with it."""
    # A constant rate is an array of one element.
    rate = type(weight)(element(rates, n_updates * minimum(rates.size - 1, 1)))
    return (type(weight)(0), n_updates) if weight == 0 else (rate, n_updates + 1)


@inlined_kernel
def _shrinkage_nothing(regularization, rate):
    return type(rate)(1)


@inlined_kernel
def _shrinkage_l2(regularization, rate):
    return type(rate)(1) - rate * type(rate)(regularization.l2)


@by_type({NoRegularization: _shrinkage_nothing, Regularization: _shrinkage_l2})
def shrinkage(kernel):
    """What an update multiplies the weights by where it is not negative, and else by zero: 1 - rate · l2."""
    return lambda regularization, rate: kernel(regularization, rate)


@inlined_kernel
def _thresholded_nothing(regularization, w, rate):
    return w


@inlined_kernel
def _thresholded_l1(regularization, w, rate):
    return w - clipped(w, broadcast_like(w, rate * type(rate)(regularization.l1)))


@by_type({NoRegularization: _thresholded_nothing, Regularization: _thresholded_l1})
def _thresholded(kernel):
    """A SIMD vector of weights after the L1 penalty's proximal step: towards zero by rate · l1, never across."""
    return lambda regularization, w, rate: kernel(regularization, w, rate)


@inlined_kernel
def copy_weights(source, target, n_features):
    """target[j] = source[j] for j below n_features."""
    for j in range(n_features):
        target[j] = source[j]


@inlined_kernel
def pad_weights(parameters, weight, n_features):
    """The weights, followed by zeros, which a call that was not finite may have left otherwise."""
    copy_weights(parameters, weight, n_features)
    for j in range(n_features, weight.size):
        weight[j] = 0


@inlined_kernel
def pass_of_one(weight, X, j, n, regularization, step, rate, before, begin, prefetched, z):
    """Update elements j to j + n of the weights with one row and add their product with another to z."""
    zero = simd_vector_for(X, weight.dtype.type(0))
    count = vector_width(zero)
    w = broadcast_like(zero, max(shrinkage(regularization, rate), type(rate)(0))) * load(weight, j, count, zero)
    w -= broadcast_like(zero, step) * load(X, before + j, n, zero)
    w = _thresholded(regularization, w, rate)
    store(weight, j, count, w)
    prefetch_row(prefetched, X, j)
    return z + w * load(X, begin + j, n, zero)


@linked_kernel
def pass_over_row(weight, X, n_features, regularization, step, rate, before, begin, prefetched):
    """Update the weights with one row and return a SIMD vector whose sum is their product with another."""
    none = simd_vector_for(X, weight.dtype.type(0))
    count = vector_width(none)
    n_pairs = n_features // (2 * count) * (2 * count)
    # Two sums side by side, as each has to wait for itself.
    even, odd = none, none
    for j in range(0, n_pairs, 2 * count):
        even = pass_of_one(weight, X, j, count, regularization, step, rate, before, begin, prefetched, even)
        odd = pass_of_one(weight, X, j + count, count, regularization, step, rate, before, begin, prefetched, odd)
    for j in range(n_pairs, n_features, count):
        even = pass_of_one(weight, X, j, n_features - j, regularization, step, rate, before, begin, prefetched, even)
    return even + odd


@kernel
def train_neuron_online(neuron, parameters, weight, loss, regularization, rates, rows, progress):
    """One update after each row:  z = w·x + b;  w = max(0, 1 - rate l2) w - rate v loss'(ReLU(z) or z) mask x.

    Then, with an L1 penalty,  w = sign(w) max(0, |w| - rate l1).  A row of weight zero counts for nothing.

    neuron : LinearNeuron or ReLUNeuron
    parameters : (n_features,), or (n_features + 1,) with the bias last; modified in place
    weight : (n_features and at least the SIMD width more,), scratch: a load from where fewer elements than the width
        were just stored would have to wait for them
    loss : the settings of a loss of `POINTWISE`          regularization : NoRegularization or Regularization
    rates : (n,) float64, the learning rates of this call's updates, or (1,), that of all
    rows : Rows, of at least one sample
    progress : Progress, modified in place
    """
    number = parameters.dtype.type
    zero = number(0)
    X, targets, order = rows.X, vector(rows.y), rows.order
    n_features = neuron.n_features
    bias_size = parameters.size - n_features
    pad_weights(parameters, weight, n_features)
    bias = parameters[n_features] if bias_size else zero
    has_bias = number(bias_size)
    before = row(order, 0) * n_features
    step = rate = nan_sentinel = zero
    loss_sum, n_updates, n_samples = progress.loss_sum[0], 0, n_samples_of(order, rows.y)
    for i in range(n_samples):
        r, t = row(order, i), target_row(order, i)
        begin, prefetched = r * n_features, prefetch_places(order, i, ROW_L1_ROWS, n_features, X, targets, ROW_L1_BYTES)
        sums = pass_over_row(weight, X, n_features, regularization, step, rate, before, begin, prefetched)
        v = weight_of(rows.weights, t, number(1))
        rate, n_updates = learning_rate_at(rates, n_updates, v)
        z = horizontal_sum(sums) + bias
        value, derivative = loss_and_grad(neuron, loss, z, element(targets, t), v)
        loss_sum += value
        nan_sentinel += z * zero
        step = rate * derivative
        bias -= has_bias * step
        before = begin
    # A last pass for its update alone.
    pass_over_row(weight, X, n_features, regularization, step, rate, before, before, prefetched)
    copy_weights(weight, parameters, n_features)
    if bias_size:
        parameters[n_features] = bias
    progress.loss_sum[0] = loss_sum + nan_sentinel
    progress.n_updates[0] += n_updates
    progress.position[0] += n_samples
