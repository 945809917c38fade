"""A baseline for a network's epoch: the matrix products that it contains as np.dot calls, and nothing else.

fastgd's own products may be faster; `machine.py` has the limit.
"""

import numba
import numpy as np

import fastgd as gd
from fastgd import kernels
from fastgd.kernels.codegen.function_pointer import settings_at
from fastgd.kernels.codegen.views import matrix
from fastgd.kernels.loops.network import Layer
from fastgd.network import network_of


@numba.njit
def products(network, parameters, gradient, X):
    """Every product of an epoch by np.dot, on the views that `kernels.train_network` has.

    Forward x Wᵀ; backward d_outᵀ x, and d_out W except for the first layer. Nothing is updated and no product's result
    is another's input where a ReLU stands between them, so the numbers stay as they are, finite.

    network : Network, filled          parameters, gradient : (size,)          X : (n_samples, n_in)
    """
    n_layers = network.layers.shape[0]
    for begin in range(0, X.shape[0], network.micro_batch_rows):
        x = X[begin : begin + network.micro_batch_rows]
        n = x.shape[0]
        for k in range(n_layers):
            layer = settings_at(Layer, network.layers, k)
            n_in, n_out = layer.n_in, layer.n_out
            if layer.forward == 0:
                layer_input = matrix(network.outputs, layer.input, n, n_in) if k else x
                weight = matrix(parameters, layer.weight, n_out, n_in)
                np.dot(layer_input, weight.T, matrix(network.outputs, layer.output, n, n_out))
        for k in range(n_layers - 1, -1, -1):
            layer = settings_at(Layer, network.layers, k)
            n_in, n_out = layer.n_in, layer.n_out
            if layer.backward == 0:
                layer_input = matrix(network.outputs, layer.input, n, n_in) if k else x
                d_out = matrix(network.deltas, layer.output, n, n_out)
                np.dot(d_out.T, layer_input, matrix(gradient, layer.weight, n_out, n_in))
                if k:
                    weight = matrix(parameters, layer.weight, n_out, n_in)
                    np.dot(d_out, weight, matrix(network.deltas, layer.input, n, n_in))


def filled_network(model: gd.Model, batch_size: int) -> kernels.Network:
    """The model's network with numbers of common size in its buffers."""
    network = network_of(model, batch_size)
    rng = np.random.default_rng(0)
    network.outputs[:] = rng.standard_normal(network.outputs.size)
    network.deltas[:] = rng.standard_normal(network.deltas.size)
    return network
