"""Forward pass, backward pass and the training loop over a stack of layers.

A stack is described by numbers, never by functions, so one compiled loop per dtype serves every architecture, loss and
optimiser. All the layers' weights and biases lie in one flat vector; everything else that training keeps is parallel
to it.

Rows are worked on in micro-batches of at most `network.micro_batch_rows`. A batch that is larger adds up the gradients
of its micro-batches, so memory stays bounded for any batch size. They are cut from the start of each batch: their
bounds, and so every rounding, depend on the epoch and the batch size alone, never on how many rows one call is given.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.function_pointer import settings_at
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel
from ..codegen.views import copy, element, matrix, read_only_matrix, read_only_rows, read_only_span, span
from ..gemm import Products
from ..gemm.prefetch import set_prefetch_range
from ..gemm.transpose import call_to_column_major
from ..nn.activation import call_backward, call_forward
from ..nn.layer import Layer
from ..nn.linear import linear_backward_input, linear_backward_parameters, linear_forward
from ..nn.loss import loss_and_derivative
from ..optim.hooks import call_after_backward, call_before_forward
from ..optim.step import call_make_update
from .progress import begin_next_epoch


class Network(NamedTuple):
    """A stack of layers as numbers, with the buffers that one micro-batch of rows needs.

    layers : (n_layers, fields of a Layer) int64
    numbers : (n_layers,), each activation's setting
    micro_batch_rows : int
    outputs, deltas : (micro_batch_rows · sum of all n_out and more,), the layers' outputs and the loss's derivatives by
        them, times the scale that `evaluate` is given
    masks : the same size, bool
    products : Products
    to_column_major : int, the kernel's pointer where `train_network` is to keep the first layer's weights column by
        column; the panel has room for them then
    seed : int64, what random layers draw from
    """

    layers: np.ndarray
    numbers: np.ndarray
    micro_batch_rows: int
    outputs: np.ndarray
    deltas: np.ndarray
    masks: np.ndarray
    products: Products
    to_column_major: int
    seed: int


@inlined_kernel
def forward(network, parameters, x, is_column_major, update, first, begin, end):
    """Run the layers from number `begin` to before `end` on one micro-batch; their outputs stand in network.outputs.

    x : (n_samples, n_in of the first layer), read-only, n_samples <= network.micro_batch_rows
    is_column_major : whether the first layer's weights lie column by column
    update, first : int, the number of updates made and the micro-batch's first row in the batch, for random layers
    begin : int, 0, or 1 where the first layer's output stands in the buffers          end : int
    """
    n_samples = x.shape[0]
    for k in range(begin, end):
        layer = settings_at(Layer, network.layers, k)
        n_in, n_out = layer.n_in, layer.n_out
        layer_input = read_only_matrix(network.outputs, layer.input, n_samples, n_in) if k else x
        if layer.forward == 0:
            weight = read_only_matrix(parameters, layer.weight, n_out, n_in)
            bias = read_only_span(parameters, layer.bias, layer.bias_end - layer.bias)
            out = matrix(network.outputs, layer.output, n_samples, n_out)
            linear_forward(layer_input, weight, is_column_major and k == 0, bias, out, network.products, k == 0)
        else:
            size, draw = n_samples * n_out, (network.seed, update, k, first * n_out)
            out, mask = span(network.outputs, layer.output, size), span(network.masks, layer.output, size)
            if layer.input != layer.output or k == 0:
                copy(read_only_span(layer_input, 0, size), out)
            call_forward(layer.forward, (out, element(network.numbers, k), draw, mask))


@inlined_kernel
def backward(network, parameters, x, is_column_major, accumulate, gradient, begin):
    """Run the layers in reverse on the micro-batch that `forward` has just seen: gradient = ∂loss/∂w, or +=.

    The derivative by the last layer's output must stand in network.deltas; what that is multiplied by, the gradient is.
    `gradient` may be the parameters: a layer's are changed after all that depends on them.

    x, is_column_major : as given to `forward`          accumulate : bool
    gradient : like parameters, modified in place, not read unless it adds
    begin : int, 0, or 1 to leave the first layer out, with the derivative by its output in network.deltas
    """
    n_samples = x.shape[0]
    for k in range(network.layers.shape[0] - 1, begin - 1, -1):
        layer = settings_at(Layer, network.layers, k)
        n_in, n_out, place, previous = layer.n_in, layer.n_out, layer.output, layer.input
        if layer.backward == 0:
            d_out = read_only_matrix(network.deltas, place, n_samples, n_out)
            if k:
                weight = read_only_matrix(parameters, layer.weight, n_out, n_in)
                linear_backward_input(
                    d_out, weight, matrix(network.deltas, previous, n_samples, n_in), network.products
                )
            layer_input = read_only_matrix(network.outputs, previous, n_samples, n_in) if k else x
            d_weight = matrix(gradient, layer.weight, n_out, n_in)
            d_bias = span(gradient, layer.bias, layer.bias_end - layer.bias)
            is_by_columns = is_column_major and k == 0
            linear_backward_parameters(
                d_out, layer_input, is_by_columns, accumulate, d_weight, d_bias, network.products
            )
        elif k:
            size = n_samples * n_out
            out, mask = read_only_span(network.outputs, place, size), read_only_span(network.masks, place, size)
            d = span(network.deltas, previous, size)
            if previous != place:
                copy(read_only_span(network.deltas, place, size), d)
            call_backward(layer.backward, (out, mask, element(network.numbers, k), d))


@inlined_kernel
def last_layer(network):
    """The Layer whose output is the network's."""
    return settings_at(Layer, network.layers, network.layers.shape[0] - 1)


@inlined_kernel
def evaluate(network, objective, y, sample_weight, scale):
    """The loss on what `forward` has just seen: its derivative in network.deltas, sums in objective.sums.

    y, sample_weight, scale : as for `loss_and_derivative`
    """
    last = last_layer(network)
    out = read_only_matrix(network.outputs, last.output, y.shape[0], last.n_out)
    d_out = matrix(network.deltas, last.output, y.shape[0], last.n_out)
    loss_and_derivative(objective, out, y, sample_weight, scale, d_out)


@inlined_kernel
def weights_of(sample_weight, row, end):
    """The weights of some rows; (0,) where all are one."""
    n = end - row if sample_weight.size else 0
    return read_only_span(sample_weight, row if n else 0, n)


@inlined_kernel
def _make_update(network, vectors, rule, rate, t, x, weights):
    """Make an update from the gradient of a whole batch, whose last micro-batch is x; as `make_update`."""
    # The derivatives by the outputs have done what they were for.
    call_make_update(rule.make_update, (vectors, rule, rate, t, x, weights, network.deltas, network.products))


@kernel
def make_update(network, vectors, rule, rate, t, X, sample_weight):
    """Make an update from the gradient of a whole batch, which stands in the vectors.

    network : Network, with room for the rows          vectors : Vectors, modified in place
    rule : UpdateRule, not direct          rate : scalar of the parameters' dtype          t : int, its number, from 1
    X, sample_weight : the last micro-batch of it, which bounds the step
    """
    n = X.shape[0]
    _make_update(network, vectors, rule, rate, t, read_only_rows(X, 0, n), weights_of(sample_weight, 0, n))


@kernel
def train_network(network, vectors, objective, rule, rates, X, y, sample_weight, batch_size, progress, epoch_losses):
    """Train on consecutive rows of an epoch, one update after each batch; a batch of weight zero counts for nothing.

    network : Network          vectors : Vectors, modified in place
    objective : Objective          rule : UpdateRule; if direct, no batch is larger than a micro-batch
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    batch_size : int; X ends where a micro-batch ends          progress : Progress, where X begins; modified in place
    epoch_losses : (n_epochs,) float64, as `begin_next_epoch` says
    """
    parameters = vectors.parameters
    number = parameters.dtype.type
    n_before = progress.n_updates[0]
    is_column_major = network.to_column_major != 0
    n_in, n_out = X.shape[1], network.layers[0, 1]
    first_weight = span(parameters, 0, n_in * n_out if is_column_major else 0)
    if is_column_major:
        call_to_column_major(network.to_column_major, (first_weight, n_in, network.products.panel))
    epoch = 0
    while begin_next_epoch(progress, epoch_losses, epoch):
        first, n_epoch = progress.position[0], progress.n_rows[0]
        row = 0
        while row < X.shape[0]:
            done = (first + row) % batch_size
            batch_rows = minimum(batch_size, n_epoch - (first + row - done))
            end = minimum(row + minimum(network.micro_batch_rows, batch_rows - done), X.shape[0])
            x, weights = read_only_rows(X, row, end), weights_of(sample_weight, row, end)
            # The rows of the next micro-batch, while this one is worked on.
            set_prefetch_range(network.products.prefetch_range, X, end, minimum(end + end - row, X.shape[0]))
            n_updates = progress.n_updates[0]
            if rule.before_forward != 0:
                call_before_forward(rule.before_forward, (vectors, rule.step.optimizer, x, weights))
            forward(network, parameters, x, is_column_major, n_updates, done, 0, network.layers.shape[0])
            t = n_updates + 1
            rate = rates[minimum(t - np.int64(n_before), rates.size) - 1]
            # All of backward is linear in the loss's derivatives. Where these are times -rate, the gradient is the
            # update, and goes from the registers into the parameters.
            scale = (-rate if rule.is_direct else 1.0) / batch_rows
            evaluate(network, objective, read_only_rows(y, row, end), weights, number(scale))
            progress.loss_sum[0] += objective.sums[0]
            progress.batch_weight[0] += objective.sums[1]
            target, accumulate = parameters if rule.is_direct else vectors.gradient, rule.is_direct or done > 0
            if objective.sums[1] > 0 or not rule.is_direct:
                backward(network, parameters, x, is_column_major, accumulate, target, 0)
            if rule.after_backward != 0:
                call_after_backward(
                    rule.after_backward,
                    (vectors, rule.step.optimizer, network.layers, network.deltas, end - row, accumulate),
                )
            if done + end - row == batch_rows:
                if progress.batch_weight[0] > 0:
                    progress.n_updates[0] = t
                    if not rule.is_direct:
                        _make_update(network, vectors, rule, number(rate), t, x, weights)
                progress.batch_weight[0] = 0
            row = end
        progress.position[0] = first + X.shape[0]
        epoch += 1
    if is_column_major:
        call_to_column_major(network.to_column_major, (first_weight, n_out, network.products.panel))
