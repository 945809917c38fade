"""The training loop of a network whose every row is an update, by plain SGD: the article's algorithm for many layers.

With one row, the first layer's weights are most of what is loaded and stored. They are kept column by column for the
time of a call, so that units lie side by side in SIMD vectors, each with its sum. One pass over them makes the steps
of two rows and multiplies the two rows to come, so that they are loaded and stored once for two rows. The second row is
then multiplied with weights that lack the first row's step, δ xᵀ with a δ of -rate times the derivative of the loss:
its outputs are made exact by + δ (x · x_second).
"""

from typing import NamedTuple

import numpy as np

from ..codegen.alignment import aligned_empty
from ..codegen.function_pointer import settings_at
from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel, kernel
from ..codegen.simd import broadcast, horizontal_sum, load, store, vector_width
from ..codegen.views import element, read_only_rows, span, vector
from ..nn.layer import Layer
from ..tuning import MAX_VECTOR_WIDTH
from .network import backward, evaluate, forward, weights_of

# Calls that begin after so many rows, or a multiple of them, leave the pairs as they are.
ROWS_AT_ONCE = 2


class _FirstLayer(NamedTuple):
    """Scratch memory for the first layer; the width is its n_out, rounded up to whole registers.

    columns : (n_in · width,), the weights, column by column
    steps : (2 · width,), what each of two rows adds to the bias, and times x to the weights
    outputs : (2 · width,), the layer's outputs for two rows
    """

    columns: np.ndarray
    steps: np.ndarray
    outputs: np.ndarray


def first_layer(layer: Layer, dtype: np.dtype) -> _FirstLayer:
    """The memory that `train_network_online` works in."""
    width = -(-layer.n_out // MAX_VECTOR_WIDTH) * MAX_VECTOR_WIDTH
    sizes = layer.n_in * width, ROWS_AT_ONCE * width, ROWS_AT_ONCE * width
    return _FirstLayer(*(aligned_empty(size, dtype) for size in sizes))


@inlined_kernel
def _copy_to_columns(weight, n_in, n_out, columns, width):
    """columns[k, j] = weight[j, k] for j below n_out, zero up to the width."""
    for k in range(n_in):
        for j in range(n_out):
            columns[k * width + j] = weight[j * n_in + k]
        for j in range(n_out, width):
            columns[k * width + j] = 0


@inlined_kernel
def _copy_from_columns(columns, width, weight, n_in, n_out):
    """weight[j, k] = columns[k, j]."""
    for j in range(n_out):
        for k in range(n_in):
            weight[j * n_in + k] = columns[k * width + j]


@inlined_kernel
def _pass_of_vectors(columns, place, x, step0, step1, z0, z1):
    """Make the steps of two rows in one register's worth of weights, and add their products with two rows to come.

    x : a number of each of the four rows, broadcast
    """
    count = vector_width(columns.dtype.type(0))
    w = load(columns, place, count, columns.dtype.type(0)) + x[0] * step0 + x[1] * step1
    store(columns, place, count, w)
    return z0 + x[2] * w, z1 + x[3] * w


@inlined_kernel
def _column_of(X, places, k):
    """The number k of each of four rows, broadcast."""
    return (
        broadcast(element(X, places[0] + k)),
        broadcast(element(X, places[1] + k)),
        broadcast(element(X, places[2] + k)),
        broadcast(element(X, places[3] + k)),
    )


@inlined_kernel
def _gemv_columns(first, width, X, places, n_in, bias):
    """first.outputs = x Wᵀ + bias for two rows,  after  W += Σ step xᵀ over two rows before.

    first : _FirstLayer, its columns modified in place          bias : (n_out,), or (0,)
    X : flat          places : where two rows before and two to come begin in it
    """
    columns, steps, outputs = first.columns, first.steps, first.outputs
    zero = columns.dtype.type(0)
    count = vector_width(zero)
    n_in_twos = width // (2 * count) * (2 * count)
    for j in range(0, n_in_twos, 2 * count):
        left, right = j, j + count
        step00, step10 = load(steps, left, count, zero), load(steps, width + left, count, zero)
        step01, step11 = load(steps, right, count, zero), load(steps, width + right, count, zero)
        z00 = z10 = load(bias, left, bias.size - left, zero)
        z01 = z11 = load(bias, right, bias.size - right, zero)
        for k in range(n_in):
            x = _column_of(X, places, k)
            z00, z10 = _pass_of_vectors(columns, k * width + left, x, step00, step10, z00, z10)
            z01, z11 = _pass_of_vectors(columns, k * width + right, x, step01, step11, z01, z11)
        store(outputs, left, count, z00)
        store(outputs, right, count, z01)
        store(outputs, width + left, count, z10)
        store(outputs, width + right, count, z11)
    for j in range(n_in_twos, width, count):
        step0, step1 = load(steps, j, count, zero), load(steps, width + j, count, zero)
        z0 = z1 = load(bias, j, bias.size - j, zero)
        for k in range(n_in):
            z0, z1 = _pass_of_vectors(columns, k * width + j, _column_of(X, places, k), step0, step1, z0, z1)
        store(outputs, j, count, z0)
        store(outputs, width + j, count, z1)


@inlined_kernel
def _complete_outputs(first, width, r, lacks, n_out, out):
    """out = first.outputs[r] + lacks · first.steps[0].

    lacks : how much of the first row's step the outputs lack          out : (n_out and more,)
    """
    zero = out.dtype.type(0)
    count = vector_width(zero)
    factors = broadcast(lacks)
    for j in range(0, n_out, count):
        z = load(first.outputs, r * width + j, count, zero) + factors * load(first.steps, j, count, zero)
        store(out, j, minimum(n_out - j, count), z)


@inlined_kernel
def _keep_step(first, width, r, deltas, n_out, bias):
    """first.steps[r] = deltas, zero beyond n_out;  bias += first.steps[r].

    deltas : (n_out and more,)          bias : (n_out,), or (0,)
    """
    zero = deltas.dtype.type(0)
    count = vector_width(zero)
    for j in range(0, width, count):
        step = load(deltas, j, n_out - j, zero)
        store(first.steps, r * width + j, count, step)
        n = minimum(bias.size - j, count)
        store(bias, j, n, load(bias, j, n, zero) + step)


@inlined_kernel
def dot(X, left, right, n):
    """Σ_k X[left + k] X[right + k]."""
    zero = X.dtype.type(0)
    count = vector_width(zero)
    sums = broadcast(zero)
    for k in range(0, n, count):
        sums += load(X, left + k, n - k, zero) * load(X, right + k, n - k, zero)
    return horizontal_sum(sums)


@kernel
def train_network_online(network, first, vectors, objective, rates, X, y, sample_weight, progress):
    """One update by plain SGD after each row; a row of weight zero counts for nothing.

    network : Network that begins with a Linear and has room for one row          vectors : Vectors, modified in place
    first : _FirstLayer, scratch
    objective : Objective          rates : (n,) float64, the learning rates of this call's updates, or (1,), that of all
    X : (n_samples, n_in)          y : (n_samples, n_targets)          sample_weight : (n_samples,), or (0,)
    progress : Progress, modified in place
    """
    parameters = vectors.parameters
    number = parameters.dtype.type
    layer = settings_at(Layer, network.layers, 0)
    n_in, n_out = layer.n_in, layer.n_out
    weight = span(parameters, layer.weight, n_in * n_out)
    bias = span(parameters, layer.bias, layer.bias_end - layer.bias)
    width = first.steps.size // 2
    out_of_first, delta_of_first = span(network.outputs, layer.output, n_out), span(network.deltas, layer.output, n_out)
    rows = vector(X)
    _copy_to_columns(weight, n_in, n_out, first.columns, width)
    none, one = number(0), number(1)
    _keep_step(first, width, 0, network.deltas, 0, bias)
    _keep_step(first, width, 1, network.deltas, 0, bias)
    before0 = before1 = n_made = 0
    for i in range(0, X.shape[0], 2):
        n_rows = minimum(2, X.shape[0] - i)
        place0, place1 = i * n_in, (i + n_rows - 1) * n_in
        _gemv_columns(first, width, rows, (before0, before1, place0, place1), n_in, bias)
        # As x · x_second, and 1 for the bias.
        lacks = dot(rows, place0, place1, n_in) + (one if bias.size else none)
        for r in range(2):
            row, n_steps = i + r, 0
            if r < n_rows:
                _complete_outputs(first, width, r, lacks if r else none, n_out, out_of_first)
                x, weights = read_only_rows(X, row, row + 1), weights_of(sample_weight, row, row + 1)
                forward(network, parameters, x, False, progress.n_updates[0], 0, 1, network.layers.shape[0])
                # All of backward is linear in the loss's derivatives: times -rate, they end in the update.
                scale = number(-rates[minimum(n_made, rates.size - 1)])
                evaluate(network, objective, read_only_rows(y, row, row + 1), weights, scale)
                progress.loss_sum[0] += objective.sums[0]
                if objective.sums[1] > 0:
                    n_steps = n_out
                    n_made += 1
                    progress.n_updates[0] += 1
                    backward(network, parameters, x, False, True, parameters, 1)
            _keep_step(first, width, r, delta_of_first, n_steps, bias)
        before0, before1 = place0, place1
    # A last pass for its steps alone.
    _gemv_columns(first, width, rows, (before0, before1, before0, before1), n_in, bias)
    _copy_from_columns(first.columns, width, weight, n_in, n_out)
    progress.position[0] += X.shape[0]
