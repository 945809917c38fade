"""Forward pass, backward pass and the training loop over a stack of layers.

A stack is described by numbers, never by functions, so one compiled loop per dtype serves every architecture of Linear
and ReLU; a second one serves those with other activations. All the layers' weights and biases lie in one flat vector;
everything else that training keeps is parallel to it.

Rows are worked on in chunks of at most `network.chunk_rows`. A batch that is larger than a chunk adds up the gradients
of its chunks, so memory stays bounded for any batch size. Chunks are cut from the start of each batch: their bounds,
and so every rounding, depend on the epoch and the batch size alone, never on how many rows one call is given.
"""

from typing import NamedTuple

import numpy as np

from ._jit import by_type, inlined_kernel, kernel
from .activation import (
    DROPOUT,
    LEAKY_RELU,
    LINEAR,
    RELU,
    SIGMOID,
    TANH,
    copy_elements,
    dropout_backward,
    dropout_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .linear import linear_backward_input, linear_backward_parameters, linear_forward
from .loss import loss_and_derivative
from .random import subkey
from .regularization import after_update, before_update
from .update import observe, update_parameters
from .views import matrix, vector

# Columns of Network.layers: where a layer's weight and bias begin in the flat parameter vector, where the bias ends
# (where it begins, for a layer without), and where its output begins in the buffers.
KIND, N_IN, N_OUT, WEIGHT, BIAS, BIAS_END, OUTPUT = range(7)
N_COLUMNS = 7


class Network(NamedTuple):
    """A stack of Linear and ReLU as numbers, with the buffers that one chunk of rows needs.

    layers : (n_layers, N_COLUMNS) int64
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    numbers : (n_layers,), a ReLU's tolerance, a LeakyReLU's slope, a Dropout's probability
    chunk_rows : int
    outputs, deltas : (chunk_rows · sum of all N_OUT,), the layers' outputs and the loss's derivatives by them
    masks : the same size, bool
    seed : (1,) uint64, what Dropout draws from; zero where nothing is dropped
    progress : (4,) float64, as `train_network` keeps it
    """

    layers: np.ndarray
    weights: np.ndarray
    numbers: np.ndarray
    chunk_rows: int
    outputs: np.ndarray
    deltas: np.ndarray
    masks: np.ndarray
    seed: np.ndarray
    progress: np.ndarray


class GeneralNetwork(Network):
    """A stack of any layers; the same fields, and code of its own."""


@inlined_kernel
def _activate_relu(network, k, z, out, mask):
    relu_forward(z, network.numbers[k], out, mask)


@inlined_kernel
def _activate_any(network, k, z, out, mask):
    kind, number = network.layers[k, KIND], network.numbers[k]
    if kind == RELU:
        relu_forward(z, number, out, mask)
    elif kind == LEAKY_RELU:
        leaky_relu_forward(z, number, out)
    elif kind == TANH:
        tanh_forward(z, out)
    elif kind == SIGMOID:
        sigmoid_forward(z, out)
    elif kind == DROPOUT and network.seed[0] > 0:
        key = subkey(subkey(network.seed[0], np.int64(network.progress[1])), k)
        first = np.int64(network.progress[3]) * network.layers[k, N_OUT]
        dropout_forward(z, number, key, first, out, mask)
    else:
        copy_elements(z, out)


@inlined_kernel
def _deactivate_relu(network, k, d_out, z, out, mask, d_z):
    relu_backward(d_out, mask, d_z)


@inlined_kernel
def _deactivate_any(network, k, d_out, z, out, mask, d_z):
    kind, number = network.layers[k, KIND], network.numbers[k]
    if kind == RELU:
        relu_backward(d_out, mask, d_z)
    elif kind == LEAKY_RELU:
        leaky_relu_backward(d_out, z, number, d_z)
    elif kind == TANH:
        tanh_backward(d_out, out, d_z)
    elif kind == SIGMOID:
        sigmoid_backward(d_out, out, d_z)
    elif kind == DROPOUT and network.seed[0] > 0:
        dropout_backward(d_out, mask, number, d_z)
    else:
        copy_elements(d_out, d_z)


@by_type({Network: _activate_relu, GeneralNetwork: _activate_any})
def _activate(kernel):
    return lambda network, k, z, out, mask: kernel(network, k, z, out, mask)


@by_type({Network: _deactivate_relu, GeneralNetwork: _deactivate_any})
def _deactivate(kernel):
    return lambda network, k, d_out, z, out, mask, d_z: kernel(network, k, d_out, z, out, mask, d_z)


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
            _activate(network, k, vector(layer_input), vector(out), mask)
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
            mask, out = network.masks[begin : begin + size], network.outputs[begin : begin + size]
            z, d_z = network.outputs[previous : previous + size], network.deltas[previous : previous + size]
            _deactivate(network, k, vector(d_out), z, out, mask, d_z)


@inlined_kernel
def loss_and_gradient(network, parameters, loss, x, y, sample_weight, scale, gradient):
    """Forward pass, loss and backward pass on one chunk of rows; return its sums of losses and of weights' sizes.

    network : Network or GeneralNetwork          parameters : (size,)          loss : a record of `loss.py`
    x : (n_samples, n_in)          y : (n_samples, n_targets)
    sample_weight : (n_samples,), or (0,)          scale : scalar, one over the size of the batch
    gradient : like parameters, overwritten
    """
    out = forward(network, parameters, x)
    d_out = matrix(network.deltas, network.layers[-1, OUTPUT], out.shape[0], out.shape[1])
    sums = loss_and_derivative(loss, out, y, sample_weight, scale, d_out)
    backward(network, parameters, x, gradient)
    return sums


@kernel
def train_network(network, vectors, loss, optimizer, regularization, rates, X, y, sample_weight, batch, progress):
    """Train on consecutive rows of an epoch, one update after each batch; a batch of weight zero counts for nothing.

    network : Network or GeneralNetwork          vectors : Vectors, modified in place
    loss, optimizer, regularization : records of `loss.py`, `update.py` and `regularization.py`
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    batch : (size of a batch, position of X[0] in the epoch, rows of the epoch); X ends at the end of a chunk
    progress : (4,) float64: the sum of losses, the number of updates, and of an unfinished batch the weight and the
        rows before the latest chunk; carried on
    """
    batch_size, first, n_epoch = batch
    dtype = vectors.parameters.dtype
    n_before = progress[1]
    row = 0
    while row < X.shape[0]:
        done = (first + row) % batch_size
        batch_rows = min(batch_size, n_epoch - (first + row - done))
        end = min(row + min(network.chunk_rows, batch_rows - done), X.shape[0])
        x = X[row:end]
        weights = sample_weight[row:end] if sample_weight.size else sample_weight
        gradient = vectors.chunk_gradient if done else vectors.gradient
        progress[3] = done
        observe(optimizer, vectors, x, weights)
        scale = dtype.type(1.0 / batch_rows)
        losses, weight = loss_and_gradient(network, vectors.parameters, loss, x, y[row:end], weights, scale, gradient)
        progress[0] += losses
        progress[2] += weight
        if done:
            for j in range(gradient.size):
                vectors.gradient[j] += gradient[j]
        if done + end - row == batch_rows:
            if progress[2] > 0:
                progress[1] += 1
                t = np.int64(progress[1])
                rate = dtype.type(rates[min(t - np.int64(n_before), rates.size) - 1])
                before_update(regularization, network.weights, vectors)
                update_parameters(optimizer, vectors, rate, t)
                after_update(regularization, network.weights, vectors, rate, t)
            progress[2] = 0
        row = end


@kernel
def evaluate_network(network, parameters, loss, X, y, sample_weight, loss_sum):
    """Run the forward pass and the loss on any number of rows.

    network : Network or GeneralNetwork          parameters : (size,)          loss : a record of `loss.py`
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    loss_sum : (1,) float64, each chunk's sum of losses is added to it
    """
    for row in range(0, X.shape[0], network.chunk_rows):
        end = min(row + network.chunk_rows, X.shape[0])
        out = forward(network, parameters, X[row:end])
        d_out = matrix(network.deltas, network.layers[-1, OUTPUT], out.shape[0], out.shape[1])
        weights = sample_weight[row:end] if sample_weight.size else sample_weight
        loss_sum[0] += loss_and_derivative(loss, out, y[row:end], weights, parameters.dtype.type(0), d_out)[0]


@kernel
def predict_network(network, parameters, X, out):
    """Run the forward pass on any number of rows.

    network : Network or GeneralNetwork          parameters : (size,)
    X : (n_samples, n_in)          out : (n_samples, n_out), overwritten
    """
    for row in range(0, X.shape[0], network.chunk_rows):
        end = min(row + network.chunk_rows, X.shape[0])
        out[row:end] = forward(network, parameters, X[row:end])
