"""Forward pass, backward pass and the training loop of a stack of layers whose first is a Linear on sparse rows.

The first layer's products and its gradient cost the rows' entries times its outputs; the layers behind it are those of
`network.py`. What an update costs is a matter of its type, see `csr_updates.py`.
"""

import numpy as np

from ..codegen.function_pointer import settings_at
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel, linked_kernel
from ..codegen.simd import prefetch
from ..codegen.views import copy, element, matrix, read_only_matrix, read_only_rows, read_only_span, span, vector
from ..nn.layer import Layer
from ..rows.csr import column_of, prefetch_row, value_of
from ..tuning import CSR_COLUMNS_PREFETCH, CSR_ROWS_PREFETCH
from .csr_updates import apply_pending_row, first_factor, flush_first, make_update
from .network import backward, evaluate, forward, last_layer, weights_of


@inlined_kernel
def _prefetch_weights(parameters, begin, X, i):
    """Prefetch the first output's weights for a row."""
    for p in range(element(X.begin, i), element(X.end, i)):
        prefetch(parameters, begin + column_of(X, p))


@linked_kernel
def _forward_first(network, parameters, factor, X, begin, end):
    """The first layer's outputs for rows begin to end of a CSR; return zero, or NaN where one of them is not finite."""
    layer = settings_at(Layer, network.layers, 0)
    n_in, n_out, zero = layer.n_in, layer.n_out, parameters.dtype.type(0)
    out = matrix(network.outputs, layer.output, end - begin, n_out)
    nan_sentinel, last = zero, X.begin.size - 1
    for i in range(begin, end):
        prefetch_row(X, minimum(i + CSR_ROWS_PREFETCH, last))
        _prefetch_weights(parameters, layer.weight, X, minimum(i + CSR_COLUMNS_PREFETCH, last))
        # Output by output, as the weights lie.
        for k in range(n_out):
            z, weight = zero, layer.weight + k * n_in
            for p in range(X.begin[i], X.end[i]):
                column = column_of(X, p)
                z += element(parameters, weight + column) * value_of(X, p, column, zero)
            z *= factor
            if layer.bias_end > layer.bias:
                z += element(parameters, layer.bias + k)
            out[i - begin, k] = z
            nan_sentinel += z * zero
    return nan_sentinel


@linked_kernel
def _backward_first(network, X, begin, end, accumulate, gradient):
    """Add the gradient of the first layer's weights; overwrite that of its bias, or add it."""
    layer = settings_at(Layer, network.layers, 0)
    n_in, n_out, zero = layer.n_in, layer.n_out, gradient.dtype.type(0)
    d_out = read_only_matrix(network.deltas, layer.output, end - begin, n_out)
    d_bias = span(gradient, layer.bias, layer.bias_end - layer.bias)
    if not accumulate:
        for k in range(d_bias.size):
            d_bias[k] = zero
    for i in range(begin, end):
        for k in range(n_out):
            d, weight = d_out[i - begin, k], layer.weight + k * n_in
            if d == 0:
                continue
            for p in range(X.begin[i], X.end[i]):
                column = column_of(X, p)
                gradient[weight + column] += d * value_of(X, p, column, zero)
            if d_bias.size:
                d_bias[k] += d


@inlined_kernel
def _rows_for_shape(network, n_rows):
    """An empty matrix of n_rows rows: of a first layer that they leave out, `forward` and `backward` read no more."""
    return read_only_matrix(network.outputs, 0, n_rows, 0)


@inlined_kernel
def _forward_csr(network, parameters, factor, X, begin, end, n_updates, done):
    """As `forward`, on rows begin to end of a CSR; return as `_forward_first` does."""
    nan_sentinel = _forward_first(network, parameters, factor, X, begin, end)
    x = _rows_for_shape(network, end - begin)
    forward(network, parameters, x, False, n_updates, done, 1, network.layers.shape[0])
    return nan_sentinel


@inlined_kernel
def _backward_csr(network, parameters, X, begin, end, accumulate, gradient):
    """As `backward`; the gradient of the first layer's weights is added to what stands there."""
    backward(network, parameters, _rows_for_shape(network, end - begin), False, accumulate, gradient, 1)
    _backward_first(network, X, begin, end, accumulate, gradient)


@kernel
def train_network_csr(
    network, vectors, objective, update, rates, X, y, sample_weight, batch_size, flush_rows, progress
):
    """Train on whole batches, one update after each; a batch of weight zero counts for nothing.

    network : Network, whose first layer is a Linear          vectors : Vectors, modified in place
    objective : Objective          update : of `csr_updates.py`
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    X : CSR          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    batch_size, flush_rows : int, as for `train_neuron_csr`          progress : Progress, modified in place
    """
    parameters, gradient = vectors.parameters, vectors.gradient
    number = parameters.dtype.type
    layer = settings_at(Layer, network.layers, 0)
    n_in, n_out = layer.n_in, layer.n_out
    weight = span(parameters, 0, n_in * n_out)
    first, n_epoch, n_before, n_samples = progress.position[0], progress.n_rows[0], progress.n_updates[0], y.shape[0]
    for i in range(n_in * n_out):
        gradient[i] = 0
    start = 0
    while start < n_samples:
        batch_rows = minimum(batch_size, n_epoch - (first + start))
        stop, weight_sum = start + batch_rows, 0.0
        for begin in range(start, stop, network.micro_batch_rows):
            end = minimum(begin + network.micro_batch_rows, stop)
            n_updates, done = progress.n_updates[0], begin - start
            for i in range(begin, end):
                apply_pending_row(update, weight, X, i, n_in, n_out)
            factor = first_factor(update, number(1))
            progress.loss_sum[0] += _forward_csr(network, parameters, factor, X, begin, end, n_updates, done)
            weights = weights_of(sample_weight, begin, end)
            evaluate(network, objective, read_only_rows(y, begin, end), weights, number(1.0 / batch_rows))
            progress.loss_sum[0] += objective.sums[0]
            weight_sum += objective.sums[1]
            _backward_csr(network, parameters, X, begin, end, done > 0, gradient)
        if weight_sum > 0:
            t = progress.n_updates[0] + 1
            progress.n_updates[0] = t
            rate = number(element(rates, minimum(t - np.int64(n_before), rates.size) - 1))
            make_update(update, network, vectors, X, start, stop, rate, t, sample_weight)
        start = stop
        if (first + start) % flush_rows == 0:
            flush_first(update, weight, n_in)
    flush_first(update, weight, n_in)
    progress.position[0] = first + n_samples


@kernel
def loss_and_gradient_csr(network, parameters, objective, X, y, sample_weight, scale, gradient):
    """As `loss_and_gradient`, of any number of sparse rows; return the sum of their losses.

    network, parameters, objective, y, sample_weight, scale : as there          X : CSR
    gradient : like parameters, the rows' gradient is added to it
    """
    one = parameters.dtype.type(1)
    loss_sum, n_samples = 0.0, y.shape[0]
    for begin in range(0, n_samples, network.micro_batch_rows):
        end = minimum(begin + network.micro_batch_rows, n_samples)
        _forward_csr(network, parameters, one, X, begin, end, 0, 0)
        weights = weights_of(sample_weight, begin, end)
        evaluate(network, objective, read_only_rows(y, begin, end), weights, scale)
        loss_sum += objective.sums[0]
        _backward_csr(network, parameters, X, begin, end, True, gradient)
    return loss_sum


@kernel
def evaluate_network_csr(network, parameters, objective, X, y, sample_weight, loss_sum):
    """As `evaluate_network`, on a CSR, whose outputs of the first layer are looked at one by one."""
    is_finite, one, n_samples = True, parameters.dtype.type(1), y.shape[0]
    for begin in range(0, n_samples, network.micro_batch_rows):
        end = minimum(begin + network.micro_batch_rows, n_samples)
        is_finite = _forward_csr(network, parameters, one, X, begin, end, 0, 0) == 0 and is_finite
        weights = weights_of(sample_weight, begin, end)
        evaluate(network, objective, read_only_rows(y, begin, end), weights, parameters.dtype.type(0))
        loss_sum[0] += objective.sums[0]
    return is_finite


@kernel
def predict_network_csr(network, parameters, X, out):
    """As `predict_network`, on a CSR."""
    is_finite, one = True, parameters.dtype.type(1)
    place, n_out = last_layer(network).output, out.shape[1]
    for begin in range(0, out.shape[0], network.micro_batch_rows):
        end = minimum(begin + network.micro_batch_rows, out.shape[0])
        is_finite = _forward_csr(network, parameters, one, X, begin, end, 0, 0) == 0 and is_finite
        size = (end - begin) * n_out
        copy(read_only_span(network.outputs, place, size), span(vector(out), begin * n_out, size))
    return is_finite
