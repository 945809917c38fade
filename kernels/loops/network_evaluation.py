"""Outputs, losses and gradients of a network, of rows that change nothing."""

import numpy as np

from ..codegen.function_pointer import settings_at
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel
from ..codegen.simd import broadcast, horizontal_sum, load, vector_width
from ..codegen.views import copy, read_only_rows, read_only_span, span, vector
from ..gemm.prefetch import set_prefetch_range
from ..nn.layer import Layer
from .network import backward, evaluate, forward, last_layer, weights_of


@inlined_kernel
def _has_finite_sum(x):
    """Whether Σ x_i is finite, as it is not where any x_i is NaN or infinite."""
    zero = x.dtype.type(0)
    count = vector_width(zero)
    s0 = s1 = broadcast(zero)
    for i in range(0, x.size, 2 * count):
        s0 += load(x, i, x.size - i, zero)
        s1 += load(x, i + count, x.size - i - count, zero)
    return np.isfinite(horizontal_sum(s0 + s1))


@inlined_kernel
def _differentiate(network, parameters, objective, update, first, x, y, weights, scale, gradient):
    """Forward pass, loss and backward pass on one micro-batch; as `loss_and_gradient_of_micro_batch`."""
    forward(network, parameters, x, False, update, first, 0, network.layers.shape[0])
    evaluate(network, objective, y, weights, scale)
    backward(network, parameters, x, False, False, gradient, 0)


@kernel
def loss_and_gradient_of_micro_batch(
    network, parameters, objective, update, first, x, y, sample_weight, scale, gradient
):
    """Forward pass, loss and backward pass on one micro-batch of rows; the sums are left in objective.sums.

    network : Network          parameters : (size,)          objective : Objective
    update, first : int, the number of updates made and the rows' first in its batch, for random layers
    x : (n_samples, n_in)          y : (n_samples, n_targets)
    sample_weight : (n_samples,), or (0,)          scale : scalar, one over the size of the batch
    gradient : like parameters, overwritten
    """
    n = x.shape[0]
    rows, weights = read_only_rows(x, 0, n), weights_of(sample_weight, 0, n)
    _differentiate(
        network, parameters, objective, update, first, rows, read_only_rows(y, 0, n), weights, scale, gradient
    )


@kernel
def loss_and_gradient(network, parameters, objective, update, X, y, sample_weight, scale, gradient, part, loss_sum):
    """Forward pass, loss and backward pass on any number of rows; return whether gradient and loss have finite sums.

    network : Network          parameters : (size,)          objective : Objective
    update : int, the number of updates made, for random layers
    X : (n_samples, n_in)          y : (n_samples, n_targets)
    sample_weight : (n_samples,), or (0,)          scale : scalar, one over the size of the batch
    gradient : like parameters, each micro-batch's is added to it          part : like it, scratch
    loss_sum : (1,) float64, each micro-batch's sum of losses is added to it
    """
    row = 0
    while row < X.shape[0]:
        end = minimum(row + network.micro_batch_rows, X.shape[0])
        x, targets = read_only_rows(X, row, end), read_only_rows(y, row, end)
        weights = weights_of(sample_weight, row, end)
        set_prefetch_range(network.products.prefetch_range, X, end, minimum(end + network.micro_batch_rows, X.shape[0]))
        _differentiate(network, parameters, objective, update, row, x, targets, weights, scale, part)
        for i in range(gradient.size):
            gradient[i] += part[i]
        loss_sum[0] += objective.sums[0]
        row = end
    return _has_finite_sum(gradient) and np.isfinite(loss_sum[0])


@inlined_kernel
def _forward_at(network, parameters, X, row):
    """Run the forward pass on the micro-batch from a row on. Return its end, and what the first layer tells of it.

    That is whether a Linear's outputs have a finite sum; True of an activation. Each of them depends on all of a row:
    where they are finite, so are the rows, and need not be looked at.
    """
    end = minimum(row + network.micro_batch_rows, X.shape[0])
    set_prefetch_range(network.products.prefetch_range, X, end, minimum(end + network.micro_batch_rows, X.shape[0]))
    x = read_only_rows(X, row, end)
    is_finite = True
    # A loop, as the compiler takes its time for each place that a forward pass stands in.
    for begin in range(2):
        forward(network, parameters, x, False, 0, 0, begin, network.layers.shape[0] if begin else 1)
        first = settings_at(Layer, network.layers, 0)
        if begin == 0 and first.forward == 0:
            is_finite = _has_finite_sum(read_only_span(network.outputs, first.output, (end - row) * first.n_out))
    return end, is_finite


@kernel
def evaluate_network(network, parameters, objective, X, y, sample_weight, loss_sum):
    """Run the forward pass and the loss on any number of rows.

    Return whether the outputs of a first layer that is a Linear have a finite sum, and X is finite then; else True.

    network : Network          parameters : (size,)          objective : Objective
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    loss_sum : (1,) float64, each micro-batch's sum of losses is added to it
    """
    row, is_finite = 0, True
    while row < X.shape[0]:
        end, is_micro_batch_finite = _forward_at(network, parameters, X, row)
        is_finite = is_finite and is_micro_batch_finite
        weights = weights_of(sample_weight, row, end)
        evaluate(network, objective, read_only_rows(y, row, end), weights, parameters.dtype.type(0))
        loss_sum[0] += objective.sums[0]
        row = end
    return is_finite


@kernel
def predict_network(network, parameters, X, out):
    """Run the forward pass on any number of rows.

    Return as `evaluate_network` does.

    network : Network          parameters : (size,)
    X : (n_samples, n_in)          out : (n_samples, n_out), overwritten
    """
    begin, n_out = last_layer(network).output, out.shape[1]
    row, is_finite = 0, True
    while row < X.shape[0]:
        end, is_micro_batch_finite = _forward_at(network, parameters, X, row)
        is_finite = is_finite and is_micro_batch_finite
        size = (end - row) * n_out
        copy(read_only_span(network.outputs, begin, size), span(vector(out), row * n_out, size))
        row = end
    return is_finite
