"""The training loop of a network whose every row is an update, by plain SGD: the article's algorithm for many layers.

With one row, the first layer's weights are most of what is loaded and stored. They are kept column by column for the
time of a call, so that the units lie side by side in the lanes, each with its sum; and one pass over them updates them
with the row before and multiplies them with the row to come, so that they are loaded and stored once for each row.
"""

from ._jit import inlined_kernel, kernel
from .lanes import everywhere, lane_count, load, store
from .network import backward, evaluate, forward, layer_at, rows_of, weights_of
from .views import element, span, vector

# So many registers' worth of units are worked on at once.
_VECTORS = 4


@inlined_kernel
def copy_to_columns(parameters, begin, n_in, n_out, columns, width):
    """columns[k, j] = weight[j, k] for j below n_out, zero up to the width."""
    for k in range(n_in):
        for j in range(n_out):
            columns[k * width + j] = parameters[begin + j * n_in + k]
        for j in range(n_out, width):
            columns[k * width + j] = 0


@inlined_kernel
def copy_from_columns(columns, width, parameters, begin, n_in, n_out):
    """weight[j, k] = columns[k, j]."""
    for j in range(n_out):
        for k in range(n_in):
            parameters[begin + j * n_in + k] = columns[k * width + j]


@inlined_kernel
def pass_of_lanes(columns, place, before, x, step, z):
    """Update one row's worth of lanes with the row before, and add their product with the next row's number to z."""
    zero = columns.dtype.type(0)
    count = lane_count(zero)
    w = load(columns, place, count, zero) - before * step
    store(columns, place, count, w)
    return z + x * w


@inlined_kernel
def multiply_columns(columns, width, X, before, row, n_in, deltas, n_steps, rate, bias, n_out, out):
    """out = x Wᵀ + bias, after  W -= rate δ x_beforeᵀ,  for W column by column.

    columns : (n_in · width,), modified in place          X : flat; before, row : where x_before and x begin in it
    deltas : flat, δ first          n_steps : int, n_out, or zero where nothing is to be updated
    bias : (n_out,), or (0,)          out : flat, its first n_out elements are overwritten
    """
    zero = columns.dtype.type(0)
    count = lane_count(zero)
    rates = everywhere(rate)
    j = 0
    while j < width:
        if j + _VECTORS * count <= width:
            j1, j2, j3 = j + count, j + 2 * count, j + 3 * count
            s0 = rates * load(deltas, j, n_steps - j, zero)
            s1 = rates * load(deltas, j1, n_steps - j1, zero)
            s2 = rates * load(deltas, j2, n_steps - j2, zero)
            s3 = rates * load(deltas, j3, n_steps - j3, zero)
            z0 = load(bias, j, bias.size - j, zero)
            z1 = load(bias, j1, bias.size - j1, zero)
            z2 = load(bias, j2, bias.size - j2, zero)
            z3 = load(bias, j3, bias.size - j3, zero)
            for k in range(n_in):
                old, new = everywhere(element(X, before + k)), everywhere(element(X, row + k))
                place = k * width
                z0 = pass_of_lanes(columns, place + j, old, new, s0, z0)
                z1 = pass_of_lanes(columns, place + j1, old, new, s1, z1)
                z2 = pass_of_lanes(columns, place + j2, old, new, s2, z2)
                z3 = pass_of_lanes(columns, place + j3, old, new, s3, z3)
            store(out, j, n_out - j, z0)
            store(out, j1, n_out - j1, z1)
            store(out, j2, n_out - j2, z2)
            store(out, j3, n_out - j3, z3)
            j += _VECTORS * count
        else:
            step, z = rates * load(deltas, j, n_steps - j, zero), load(bias, j, bias.size - j, zero)
            for k in range(n_in):
                old, new = everywhere(element(X, before + k)), everywhere(element(X, row + k))
                z = pass_of_lanes(columns, k * width + j, old, new, step, z)
            store(out, j, n_out - j, z)
            j += count


@kernel
def train_network_online(network, columns, vectors, objective, rates, X, y, sample_weight, progress):
    """One update by plain SGD after each row; a row of weight zero counts for nothing.

    network : Network that begins with a Linear and has room for one row          vectors : Vectors, modified in place
    columns : scratch, (n_in · width,) with the first layer's n_out rounded up to whole registers as the width
    objective : Objective          rates : (n,) float64, the learning rates of this call's updates, or (1,), that of all
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    progress : (3,) float64, as for `train_network`
    """
    parameters = vectors.parameters
    number = parameters.dtype.type
    zero = number(0)
    first = layer_at(network, 0)
    n_in, n_out, begin = first.n_in, first.n_out, first.weight
    bias = span(parameters, first.bias, first.bias_end - first.bias)
    width = columns.size // n_in
    rows = vector(X)
    copy_to_columns(parameters, begin, n_in, n_out, columns, width)
    before, n_steps, rate, n_made = 0, 0, zero, 0
    for i in range(X.shape[0]):
        x, weights = rows_of(X, i, i + 1), weights_of(sample_weight, i, i + 1)
        multiply_columns(
            columns, width, rows, before, i * n_in, n_in, network.deltas, n_steps, rate, bias, n_out, network.outputs
        )
        out = forward(network, parameters, x, int(progress[1]), 0, 1)
        evaluate(network, objective, out, rows_of(y, i, i + 1), weights, number(1))
        progress[0] += objective.sums[0]
        n_steps, before = 0, i * n_in
        if objective.sums[1] > 0:
            rate = number(rates[min(n_made, rates.size - 1)])
            n_made += 1
            progress[1] += 1
            backward(network, parameters, x, -rate, number(1), parameters, 1)
            n_steps = n_out
            for j in range(bias.size):
                bias[j] -= rate * network.deltas[j]
    # A last pass for its update alone.
    multiply_columns(
        columns, width, rows, before, before, n_in, network.deltas, n_steps, rate, bias, n_out, network.outputs
    )
    copy_from_columns(columns, width, parameters, begin, n_in, n_out)
