"""The derivative of a batch's loss by its rows, which training has no use for."""

from ..codegen.function_pointer import settings_at
from ..codegen.jit import kernel
from ..codegen.views import copy, element, read_only_matrix, read_only_span, span, vector
from ..nn.activation import call_backward
from ..nn.layer import Layer
from ..nn.linear import linear_backward_input


@kernel
def input_derivative(network, parameters, d_x):
    """d_x = ∂loss/∂x for the micro-batch that `loss_and_gradient` has just seen  (the article's δ1).

    network, parameters : as given to it          d_x : (n_samples, n_in of the first layer), overwritten
    """
    n_samples, n_in = d_x.shape
    layer = settings_at(Layer, network.layers, 0)
    n_out, size = layer.n_out, n_samples * layer.n_out
    if layer.backward == 0:
        d_out = read_only_matrix(network.deltas, layer.output, n_samples, n_out)
        weight = read_only_matrix(parameters, layer.weight, n_out, n_in)
        linear_backward_input(d_out, weight, d_x, network.products)
    else:
        out, d = read_only_span(network.outputs, layer.output, size), span(vector(d_x), 0, size)
        mask = read_only_span(network.masks, layer.output, size)
        copy(read_only_span(network.deltas, layer.output, size), d)
        call_backward(layer.backward, (out, mask, element(network.numbers, 0), d))
