"""Forward pass, backward pass and the training loop over a stack of layers.

A stack is described by numbers, never by functions, so one compiled loop per dtype serves every architecture. All the
layers' weights and biases lie in one flat vector `parameters`; `gradient` is parallel to it.

Rows are worked on in chunks of at most `network.chunk_rows`. A batch that is larger than a chunk adds up the gradients
of its chunks, so memory stays bounded for any batch size. Chunks are cut from the start of each batch: their bounds,
and so every rounding, depend on the epoch and the batch size alone, never on how many rows one call is given.
"""

from typing import NamedTuple

import numpy as np

from ._jit import inlined_kernel, kernel
from .activation import relu_backward, relu_forward
from .linear import linear_backward_input, linear_backward_parameters, linear_forward
from .loss import half_squared_error
from .update import sgd_update

# Kinds of layer.
LINEAR, RELU = 0, 1

# Columns of Network.layers: where a layer's weight and bias begin in the flat parameter vector, where the bias ends
# (where it begins, for a layer without), and where its output begins in the buffers.
KIND, N_IN, N_OUT, WEIGHT, BIAS, BIAS_END, OUTPUT = range(7)
N_COLUMNS = 7


class Network(NamedTuple):
    """A stack of layers as numbers, with the buffers that one chunk of rows needs.

    layers : (n_layers, N_COLUMNS) int64     tolerance : (n_layers,), each ReLU's
    chunk_rows : int
    outputs, deltas : (chunk_rows · sum of all N_OUT,), the layers' outputs and the loss's derivatives by them
    masks : the same size, bool
    """

    layers: np.ndarray
    tolerance: np.ndarray
    chunk_rows: int
    outputs: np.ndarray
    deltas: np.ndarray
    masks: np.ndarray


@kernel
def matrix(flat, begin, n_rows, n_columns):
    """View of a part of a flat vector as a matrix."""
    return flat[begin : begin + n_rows * n_columns].reshape(n_rows, n_columns)


@inlined_kernel
def forward(network, parameters, x):
    """Run every layer on one chunk of rows; return the view of the last layer's output.

    x : (n_samples, n_in of the first layer), n_samples <= network.chunk_rows
    """
    n_samples = x.shape[0]
    layer_input = x
    for k in range(network.layers.shape[0]):
        layer = network.layers[k]
        n_in, n_out, begin = layer[N_IN], layer[N_OUT], layer[OUTPUT]
        out = matrix(network.outputs, begin, n_samples, n_out)
        if layer[KIND] == LINEAR:
            weight = matrix(parameters, layer[WEIGHT], n_out, n_in)
            linear_forward(layer_input, weight, parameters[layer[BIAS] : layer[BIAS_END]], out)
        else:
            mask = network.masks[begin : begin + n_samples * n_out]
            relu_forward(layer_input.reshape(-1), network.tolerance[k], out.reshape(-1), mask)
        layer_input = out
    return matrix(network.outputs, begin, n_samples, n_out)


@inlined_kernel
def backward(network, parameters, x, gradient):
    """Run the layers in reverse on the chunk that `forward` has just seen.

    The derivative by the last layer's output must stand in network.deltas.

    x : as given to `forward`          gradient : like parameters, overwritten
    """
    n_samples = x.shape[0]
    for k in range(network.layers.shape[0] - 1, -1, -1):
        layer = network.layers[k]
        n_in, n_out, begin = layer[N_IN], layer[N_OUT], layer[OUTPUT]
        d_out = matrix(network.deltas, begin, n_samples, n_out)
        previous = network.layers[k - 1, OUTPUT] if k else 0
        if layer[KIND] == LINEAR:
            layer_input = matrix(network.outputs, previous, n_samples, n_in) if k else x
            d_weight = matrix(gradient, layer[WEIGHT], n_out, n_in)
            linear_backward_parameters(d_out, layer_input, d_weight, gradient[layer[BIAS] : layer[BIAS_END]])
            if k:
                d_x = matrix(network.deltas, previous, n_samples, n_in)
                linear_backward_input(d_out, matrix(parameters, layer[WEIGHT], n_out, n_in), d_x)
        elif k:
            size = n_samples * n_out
            mask = network.masks[begin : begin + size]
            relu_backward(d_out.reshape(-1), mask, network.deltas[previous : previous + size])


@inlined_kernel
def loss_and_gradient(network, parameters, x, y, sample_weight, scale, gradient):
    """Forward pass, loss and backward pass on one chunk of rows; return the chunk's sum of losses.

    network : Network          parameters : (size,)
    x : (n_samples, n_in)          y : (n_samples, n_out)
    sample_weight : (n_samples,), or (0,)          scale : scalar, one over the size of the batch
    gradient : like parameters, overwritten
    """
    out = forward(network, parameters, x)
    d_out = matrix(network.deltas, network.layers[-1, OUTPUT], out.shape[0], out.shape[1])
    loss = half_squared_error(out, y, sample_weight, scale, d_out)
    backward(network, parameters, x, gradient)
    return loss


@kernel
def train_network(network, parameters, gradient, chunk_gradient, X, y, sample_weight, learning_rate, batch, loss_sum):
    """Train on consecutive rows of an epoch, one update after each batch.

    network : Network          parameters : (size,), modified in place
    gradient : (size,), the sum over the chunks of an unfinished batch, kept from call to call
    chunk_gradient : (size,), scratch; (0,) where no batch is larger than a chunk
    X : (n_samples, n_in)          y : (n_samples, n_out)          sample_weight : (n_samples,), or (0,)
    learning_rate : float64
    batch : (size of a batch, position of X[0] in the epoch, rows of the epoch); X ends at the end of a chunk
    loss_sum : (1,) float64, each chunk's sum of losses is added to it
    """
    batch_size, first, n_epoch = batch
    dtype = parameters.dtype
    row = 0
    while row < X.shape[0]:
        done = (first + row) % batch_size
        batch_rows = min(batch_size, n_epoch - (first + row - done))
        end = min(row + min(network.chunk_rows, batch_rows - done), X.shape[0])
        target = chunk_gradient if done else gradient
        scale = dtype.type(1.0 / batch_rows)
        weights = sample_weight[row:end] if sample_weight.size else sample_weight
        loss_sum[0] += loss_and_gradient(network, parameters, X[row:end], y[row:end], weights, scale, target)
        if done:
            for j in range(gradient.size):
                gradient[j] += chunk_gradient[j]
        if done + end - row == batch_rows:
            sgd_update(parameters, gradient, dtype.type(learning_rate))
        row = end


@kernel
def evaluate_network(network, parameters, X, y, sample_weight, loss_sum):
    """Run the forward pass and the loss on any number of rows.

    network : Network          parameters : (size,)
    X : (n_samples, n_in)          y : (n_samples, n_out)          sample_weight : (n_samples,), or (0,)
    loss_sum : (1,) float64, each chunk's sum of losses is added to it
    """
    for row in range(0, X.shape[0], network.chunk_rows):
        end = min(row + network.chunk_rows, X.shape[0])
        out = forward(network, parameters, X[row:end])
        d_out = matrix(network.deltas, network.layers[-1, OUTPUT], out.shape[0], out.shape[1])
        weights = sample_weight[row:end] if sample_weight.size else sample_weight
        loss_sum[0] += half_squared_error(out, y[row:end], weights, parameters.dtype.type(0), d_out)


@kernel
def predict_network(network, parameters, X, out):
    """Run the forward pass on any number of rows.

    network : Network          parameters : (size,)
    X : (n_samples, n_in)          out : (n_samples, n_out), overwritten
    """
    for row in range(0, X.shape[0], network.chunk_rows):
        end = min(row + network.chunk_rows, X.shape[0])
        out[row:end] = forward(network, parameters, X[row:end])
