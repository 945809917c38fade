"""The training loop of a single output neuron, one sample at a time: the article's algorithm, row by row."""

from ._jit import kernel


@kernel
def train_neuron(parameters, is_relu, tolerance, X, y, sample_weight, learning_rate, loss_sum):
    """One update after each row:  z = w·x + b;  out = ReLU(z) or z;  w -= learning_rate v (out - y) mask x.

    parameters : (n_features,), or (n_features + 1,) with the bias last; modified in place
    is_relu : bool, whether a ReLU follows the linear layer          tolerance : scalar, the ReLU's
    X : (n_samples, n_features)          y : (n_samples, 1)          sample_weight : (n_samples,), or (0,)
    learning_rate : float64
    loss_sum : (1,) float64, each row's loss v ½ (out - y)² is added to it
    """
    zero = parameters.dtype.type(0)
    weight = parameters[: X.shape[1]]
    bias = parameters[X.shape[1] :]
    step = parameters.dtype.type(learning_rate)
    v = parameters.dtype.type(1)
    total = loss_sum[0]
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
        total += 0.5 * v * (float(error) * error)
        if not (is_relu and z < -tolerance):
            delta = step * (v * error)
            for j in range(weight.size):
                weight[j] -= delta * X[i, j]
            if bias.size:
                bias[0] -= delta
    loss_sum[0] = total + trace
