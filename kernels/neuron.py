"""The training loop of a single output neuron, one sample at a time: the article's algorithm, row by row."""

import numpy as np

from ._jit import kernel


@kernel
def train_neuron(parameters, is_relu, tolerance, X, y, sample_weight, rates, progress):
    """One update after each row:  z = w·x + b;  out = ReLU(z) or z;  w -= rate v (out - y) mask x.

    The loss is the half squared error, the optimiser plain SGD. A row of weight zero counts for nothing.

    parameters : (n_features,), or (n_features + 1,) with the bias last; modified in place
    is_relu : bool, whether a ReLU follows the linear layer          tolerance : scalar, the ReLU's
    X : (n_samples, n_features)          y : (n_samples, 1)          sample_weight : (n_samples,), or (0,)
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    progress : (4,) float64: the sum of losses v ½ (out - y)² and the number of updates; added to
    """
    number = parameters.dtype.type
    zero = number(0)
    weight = parameters[: X.shape[1]]
    bias = parameters[X.shape[1] :]
    v = number(1)
    total = progress[0]
    n_updates = 0
    trace = zero
    for i in range(X.shape[0]):
        z = bias[0] if bias.size else zero
        for j in range(weight.size):
            z += weight[j] * X[i, j]
        if sample_weight.size:
            v = sample_weight[i]
        out = zero if is_relu and z < zero else z
        # Stays zero unless z is NaN or infinite: a ReLU at minus infinity would otherwise leave no trace of a bad row.
        trace += z * zero
        error = out - y[i, 0]
        total += 0.5 * v * (np.float64(error) * error)
        rate = number(rates[min(n_updates, rates.size - 1)])
        if v != 0:
            n_updates += 1
        if not (is_relu and z < -tolerance):
            delta = rate * (v * error)
            for j in range(weight.size):
                weight[j] -= delta * X[i, j]
            if bias.size:
                bias[0] -= delta
    progress[0] = total + trace
    progress[1] += n_updates
