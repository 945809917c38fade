"""A learning rate that is safe on the data at hand: measured, not searched for."""

import numpy as np

from fastgd import kernels
from fastgd.dataset import Block
from fastgd.kernels.network import N_OUT, OUTPUT
from fastgd.layers import Linear
from fastgd.model import Model

# As shares of half the step at which a linear layer would begin to diverge. One Linear alone is soon as good as the
# noise of its last steps allows, so they are small; with hidden layers, getting there is what takes time.
_SHARE_OF_ONE_LINEAR = 0.05
_SHARE_OF_SEVERAL = 0.5


def safe_learning_rate(model: Model, block: Block, batch_rows: int) -> float:
    """share / max over the Linear layers of (λ + r / batch_rows); share is 1/20 for one Linear, 1/2 for several.

    For a layer's inputs x over the block's rows, biases included as inputs of 1, λ is the largest eigenvalue of the
    mean of x xᵀ, the curvature that a full batch meets, and r the mean of |x|², what single rows add to it. Steps
    beyond about 2 / (λ + r / B) diverge; compare Ma, Bassily and Belkin, "The power of interpolation" (ICML 2018).

    model : as initialised          block : rows as the first layer takes them
    """
    network = model.network(len(block.X))
    rows = block.rows(0, network.chunk_rows)
    stack = [layer for layer in model.layers if layer is not model.standardize]
    if any(isinstance(layer, Linear) for layer in stack[1:]):
        # Leaves every layer's output in the network's buffers.
        out = np.empty((len(rows.X), model.out_features), model.dtype)
        kernels.predict_network(network, model.parameters, rows.X, out)
    curvatures = []
    inputs = rows.X
    for layer, row in zip(stack, network.layers, strict=True):
        if isinstance(layer, Linear):
            x = inputs.astype(np.float64)
            if layer.bias is not None:
                x = np.hstack([x, np.ones((len(x), 1))])
            largest = np.linalg.norm(x, ord=2) ** 2 / len(x)
            curvatures.append(largest + (x**2).sum() / len(x) / batch_rows)
        size = len(rows.X) * row[N_OUT]
        inputs = network.outputs[row[OUTPUT] : row[OUTPUT] + size].reshape(len(rows.X), row[N_OUT])
    share = _SHARE_OF_ONE_LINEAR if len(curvatures) == 1 else _SHARE_OF_SEVERAL
    return share / max(max(curvatures), np.finfo(np.float64).tiny)
