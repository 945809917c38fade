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
from .lanes import lane_count, prefetch
from .linear import (
    linear_backward_input,
    linear_backward_input_by_blas,
    linear_backward_parameters,
    linear_backward_parameters_by_blas,
    linear_forward,
    linear_forward_by_blas,
)
from .loss import loss_and_derivative
from .product import Products
from .random import subkey
from .regularization import after_update, before_update, is_unregularized
from .update import is_plain, observe, update_parameters
from .views import matrix, vector

# Columns of Network.layers: where a layer's weight and bias begin in the flat parameter vector, where the bias ends
# (where it begins, for a layer without), and where its output begins in the buffers.
KIND, N_IN, N_OUT, WEIGHT, BIAS, BIAS_END, OUTPUT = range(7)
N_COLUMNS = 7

# So many numbers of the next chunk are asked for while this one is worked on.
_PREFETCHED = 8192


class Network(NamedTuple):
    """A stack of Linear and ReLU as numbers, with the buffers that one chunk of rows needs.

    layers : (n_layers, N_COLUMNS) int64
    weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends in the parameters, and its n_in
    numbers : (n_layers,), a ReLU's tolerance, a LeakyReLU's slope, a Dropout's probability
    chunk_rows : int
    outputs, deltas : (chunk_rows · sum of all N_OUT,), the layers' outputs and the loss's derivatives by them
    masks : the same size, bool
    products : Products, with a panel for sums over the largest width or chunk_rows; for BLAS, of a weight's size
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
    products: Products
    seed: np.ndarray
    progress: np.ndarray


class GeneralNetwork(Network):
    """A stack of any layers; the same fields, and code of its own."""


class WideNetwork(Network):
    """A stack of Linear and ReLU whose products are worth all processors."""


class WideGeneralNetwork(Network):
    """A stack of any layers whose products are worth all processors."""


_OWN_PRODUCTS = (linear_forward, linear_backward_input, linear_backward_parameters)
_BLAS_PRODUCTS = (linear_forward_by_blas, linear_backward_input_by_blas, linear_backward_parameters_by_blas)
_PRODUCTS = {
    Network: _OWN_PRODUCTS,
    GeneralNetwork: _OWN_PRODUCTS,
    WideNetwork: _BLAS_PRODUCTS,
    WideGeneralNetwork: _BLAS_PRODUCTS,
}


@by_type({kind: products[0] for kind, products in _PRODUCTS.items()})
def _forward_linear(kernel):
    return lambda network, x, weight, bias, out: kernel(x, weight, bias, out, network.products)


@by_type({kind: products[1] for kind, products in _PRODUCTS.items()})
def _backward_linear_input(kernel):
    return lambda network, d_out, weight, d_x: kernel(d_out, weight, d_x, network.products)


@by_type({kind: products[2] for kind, products in _PRODUCTS.items()})
def _backward_linear_parameters(kernel):
    return lambda network, d_out, x, alpha, beta, d_weight, d_bias: kernel(
        d_out, x, alpha, beta, d_weight, d_bias, network.products
    )


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


@by_type(
    dict.fromkeys((Network, WideNetwork), _activate_relu)
    | dict.fromkeys((GeneralNetwork, WideGeneralNetwork), _activate_any)
)
def _activate(kernel):
    return lambda network, k, z, out, mask: kernel(network, k, z, out, mask)


@by_type(
    dict.fromkeys((Network, WideNetwork), _deactivate_relu)
    | dict.fromkeys((GeneralNetwork, WideGeneralNetwork), _deactivate_any)
)
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
            _forward_linear(network, layer_input, weight, parameters[layer[BIAS] : layer[BIAS_END]], out)
        else:
            mask = network.masks[begin : begin + n_samples * n_out]
            _activate(network, k, vector(layer_input), vector(out), mask)
        layer_input = out
    return matrix(network.outputs, begin, n_samples, n_out)


@inlined_kernel
def backward(network, parameters, x, alpha, beta, gradient):
    """Run the layers in reverse on the chunk that `forward` has just seen: gradient = beta gradient + alpha ∂loss/∂w.

    The derivative by the last layer's output must stand in network.deltas. `gradient` may be the parameters: a layer's
    are changed after all that depends on them.

    x : as given to `forward`          alpha, beta : scalars
    gradient : like parameters, modified in place, not read where beta is zero
    """
    n_samples = x.shape[0]
    for k in range(network.layers.shape[0] - 1, -1, -1):
        layer = network.layers[k]
        n_in, n_out, begin = layer[N_IN], layer[N_OUT], layer[OUTPUT]
        d_out = matrix(network.deltas, begin, n_samples, n_out)
        previous = network.layers[k - 1, OUTPUT] if k else 0
        if layer[KIND] == LINEAR:
            if k:
                d_x = matrix(network.deltas, previous, n_samples, n_in)
                _backward_linear_input(network, d_out, matrix(parameters, layer[WEIGHT], n_out, n_in), d_x)
            layer_input = matrix(network.outputs, previous, n_samples, n_in) if k else x
            d_weight = matrix(gradient, layer[WEIGHT], n_out, n_in)
            d_bias = gradient[layer[BIAS] : layer[BIAS_END]]
            _backward_linear_parameters(network, d_out, layer_input, alpha, beta, d_weight, d_bias)
        elif k:
            size = n_samples * n_out
            mask, out = network.masks[begin : begin + size], network.outputs[begin : begin + size]
            z, d_z = network.outputs[previous : previous + size], network.deltas[previous : previous + size]
            _deactivate(network, k, vector(d_out), z, out, mask, d_z)


@inlined_kernel
def forward_and_loss(network, parameters, loss, x, y, sample_weight, scale):
    """Forward pass and loss on one chunk of rows; return its sums of losses and of weights' sizes.

    network : Network or one of its kinds          parameters : (size,)          loss : a record of `loss.py`
    x : (n_samples, n_in)          y : (n_samples, n_targets)
    sample_weight : (n_samples,), or (0,)          scale : scalar, one over the size of the batch
    """
    out = forward(network, parameters, x)
    d_out = matrix(network.deltas, network.layers[-1, OUTPUT], out.shape[0], out.shape[1])
    return loss_and_derivative(loss, out, y, sample_weight, scale, d_out)


@inlined_kernel
def loss_and_gradient(network, parameters, loss, x, y, sample_weight, scale, gradient):
    """As `forward_and_loss`, and the backward pass.

    network, parameters, loss, x, y, sample_weight, scale : as for `forward_and_loss`
    gradient : like parameters, overwritten
    """
    sums = forward_and_loss(network, parameters, loss, x, y, sample_weight, scale)
    backward(network, parameters, x, type(scale)(1), type(scale)(0), gradient)
    return sums


@inlined_kernel
def prefetch_rows(X, row, n_rows):
    """Ask for the memory of the rows of the next chunk, as far as the first-level cache has room for them."""
    begin = row * X.shape[1]
    zero = X.dtype.type(0)
    for place in range(begin, min(begin + min(n_rows * X.shape[1], _PREFETCHED), X.size), lane_count(zero)):
        prefetch(X, place)


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
        prefetch_rows(X, end, end - row)
        weights = sample_weight[row:end] if sample_weight.size else sample_weight
        progress[3] = done
        observe(optimizer, vectors, x, weights)
        losses, weight = forward_and_loss(
            network, vectors.parameters, loss, x, y[row:end], weights, dtype.type(1.0 / batch_rows)
        )
        progress[0] += losses
        progress[2] += weight
        t = np.int64(progress[1]) + 1
        rate = dtype.type(rates[min(t - np.int64(n_before), rates.size) - 1])
        # The gradient of a whole batch may go from the registers into the parameters: w += -rate · g.
        is_direct = end - row == batch_rows and is_plain(optimizer) and is_unregularized(regularization)
        target = vectors.parameters if is_direct else vectors.gradient
        alpha, beta = dtype.type(-rate if is_direct else 1), dtype.type(1 if is_direct or done else 0)
        if weight > 0 or not is_direct:
            backward(network, vectors.parameters, x, alpha, beta, target)
        if done + end - row == batch_rows:
            if progress[2] > 0:
                progress[1] = t
                if not is_direct:
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
