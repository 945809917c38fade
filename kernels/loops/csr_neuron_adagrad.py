"""The training loop of a single output neuron on sparse rows, by Adagrad, whose steps may be bounded.

What a column needs, its weight, sum of squares and what that has left out, is read once for each batch and written
once. In between, the batch's columns are numbered from 0 in the order in which they come, and all passes over its
entries work on a few short arrays in the nearest caches:

    number      of each entry its column's, its value, and the products with the weights
    accumulate  the gradient
    direction   from the sums of squares, column by column, in whole vectors
    measure     what a step that is bounded changes in the outputs
    step        and forget the numbers

The numbers are kept beside the weights while a batch lasts, in `Columns`, so that no sorting or searching is needed.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.function_pointer import settings_of
from ..codegen.jit import by_type, exact_inlined_kernel, inlined_kernel, kernel
from ..codegen.simd import prefetch
from ..codegen.views import element, matrix, read_only_matrix, read_only_rows
from ..nn.loss import loss_and_derivative
from ..optim.bounded import Bounded, bounded_length, curvature_along
from ..optim.compensated import add_square
from ..rows.csr import column_of, prefetch_row, prefetch_scale, value_of
from ..tuning import CSR_COLUMNS_PREFETCH, CSR_ROWS_PREFETCH
from .network import weights_of
from .neuron_online import LinearNeuron, ReLUNeuron


class Columns(NamedTuple):
    """What the loop keeps of column j, at place j << shift of each array.

    weight, total, missing : parameters and state of the optimiser, the bias's behind them
    number : integers as wide as these, -1 outside of a batch
    shift : int, 0 where each is an array of its own; 2 where they take turns in one, so that a column is one piece of
        memory, which is worth copying them to and fro where they are larger than a cache and rows are many
    """

    weight: np.ndarray
    total: np.ndarray
    missing: np.ndarray
    number: np.ndarray
    shift: int


class Scratch(NamedTuple):
    """Scratch for batches of up to n_rows rows and n - 1 entries, the bias being one more column.

    values : (n,), each entry's          numbers : (n,) integers as those of `Columns`, that of its column
    places : (n,) int64, where each numbered column stands
    gradient : (n,), zeros          direction, total, missing : (n,), of each numbered column
    z : (n_rows,)          outputs, derivatives : (n_rows, 1)
    """

    values: np.ndarray
    numbers: np.ndarray
    places: np.ndarray
    gradient: np.ndarray
    direction: np.ndarray
    total: np.ndarray
    missing: np.ndarray
    z: np.ndarray
    outputs: np.ndarray
    derivatives: np.ndarray


class Samples(NamedTuple):
    """The samples of one call.

    X : CSR          y : (n_samples, 1)          sample_weight : (n_samples,), or (0,) where every weight is one
    """

    X: NamedTuple
    y: np.ndarray
    sample_weight: np.ndarray


@inlined_kernel
def _output_linear(neuron, z):
    return z


@inlined_kernel
def _output_relu(neuron, z):
    return type(z)(0) if z < 0 else z


@by_type({LinearNeuron: _output_linear, ReLUNeuron: _output_relu})
def _output(kernel):
    """The neuron's output from z."""
    return lambda neuron, z: kernel(neuron, z)


@inlined_kernel
def _masked_linear(neuron, z, derivative):
    return derivative


@inlined_kernel
def _masked_relu(neuron, z, derivative):
    return type(derivative)(0) if z < -neuron.tolerance else derivative


@by_type({LinearNeuron: _masked_linear, ReLUNeuron: _masked_relu})
def _masked(kernel):
    """The derivative by z from that by the neuron's output."""
    return lambda neuron, z, derivative: kernel(neuron, z, derivative)


@inlined_kernel
def _prefetch_column(columns, X, p):
    """Prefetch what the loop keeps of an entry's column."""
    column = column_of(X, p)
    place = column << columns.shift
    prefetch(columns.weight, place)
    prefetch_scale(X.scaling, column)
    if columns.shift == 0:
        prefetch(columns.number, place)
        prefetch(columns.total, place)
        prefetch(columns.missing, place)


@inlined_kernel
def _number_row(X, i, later, columns, scratch, first, n_columns):
    """Number the columns of row i, whose entries are the batch's from `first` on; return the products' sum.

    later : a row whose columns are prefetched, one for each entry here: all at once, memory would be waited for
    n_columns : of how many columns the batch knows so far; returned, with those of this row, before the sum
    """
    zero = scratch.values.dtype.type(0)
    z, k, ahead, last = zero, first, element(X.begin, later), element(X.end, later)
    for p in range(element(X.begin, i), element(X.end, i)):
        if ahead < last:
            _prefetch_column(columns, X, ahead)
            ahead += 1
        column = column_of(X, p)
        place = np.uint64(column << columns.shift)
        value = value_of(X, p, column, zero)
        known = element(columns.number, place)
        # No branch: whether a column has come before is hard to predict.
        is_new = known < 0
        number = type(known)(n_columns) if is_new else known
        columns.number[place] = number
        scratch.places[np.uint64(number)] = place
        n_columns += is_new
        scratch.values[np.uint64(k)], scratch.numbers[np.uint64(k)] = value, number
        z += element(columns.weight, place) * value
        k += 1
    for p in range(ahead, last):
        _prefetch_column(columns, X, p)
    return n_columns, z


@inlined_kernel
def _accumulate(scratch, first, end, d):
    """gradient += d · row, of the entries from first to before end."""
    for k in range(first, end):
        scratch.gradient[np.uint64(element(scratch.numbers, k))] += d * element(scratch.values, k)


@inlined_kernel
def _change(scratch, first, end):
    """direction · row, of the entries from first to before end."""
    change = scratch.values.dtype.type(0)
    for k in range(first, end):
        change += element(scratch.direction, element(scratch.numbers, k)) * element(scratch.values, k)
    return change


# Reordered, the compensation would be zero.
@exact_inlined_kernel
def _take_direction(total, missing, gradient, direction, eps, n):
    """G += g²,  s = g / (√G + eps)  for the first n elements."""
    for k in range(n):
        g = gradient[k]
        add_square(total, missing, k, g)
        direction[k] = g / (np.sqrt(total[k]) + eps)


@inlined_kernel
def _directions(columns, scratch, n_columns, eps):
    """The batch's direction s from its gradient g, which is zero again; return s·g."""
    total, missing, gradient, direction = scratch.total, scratch.missing, scratch.gradient, scratch.direction
    for k in range(n_columns):
        place = np.uint64(element(scratch.places, k))
        total[k], missing[k] = element(columns.total, place), element(columns.missing, place)
    _take_direction(total, missing, gradient, direction, eps, n_columns)
    slope = 0.0
    for k in range(n_columns):
        slope += np.float64(direction[k]) * gradient[k]
        gradient[k] = 0
    return slope


@inlined_kernel
def _step(columns, scratch, n_columns, length):
    """w -= length · s, with what was found of the sums of squares."""
    for k in range(n_columns):
        place = np.uint64(element(scratch.places, k))
        columns.weight[place] -= length * element(scratch.direction, k)
        columns.total[place], columns.missing[place] = element(scratch.total, k), element(scratch.missing, k)
        columns.number[place] = -1


@inlined_kernel
def _forget(columns, scratch, n_columns):
    """Leave a batch without an update."""
    for k in range(n_columns):
        columns.number[np.uint64(element(scratch.places, k))] = -1


@inlined_kernel
def _forward_and_number(neuron, X, columns, scratch, bias, begin, end):
    """Outputs of rows begin to end; return how many columns they have, and zero, or NaN where z is not finite."""
    zero = scratch.values.dtype.type(0)
    n_entries, n_columns, nan_sentinel, last = 0, 0, zero, X.begin.size - 1
    for i in range(begin, end):
        prefetch_row(X, min(i + CSR_ROWS_PREFETCH, last))
        later = min(i + CSR_COLUMNS_PREFETCH, last)
        n_columns, z = _number_row(X, i, later, columns, scratch, n_entries, n_columns)
        n_entries += element(X.end, i) - element(X.begin, i)
        z += bias
        scratch.z[i - begin], scratch.outputs[i - begin, 0] = z, _output(neuron, z)
        nan_sentinel += z * zero
    return n_columns, nan_sentinel


@inlined_kernel
def _gradient(neuron, X, scratch, begin, end):
    """The gradient of the weights, in the scratch, from the derivatives by the outputs; return that of the bias."""
    k, d_bias = 0, scratch.values.dtype.type(0)
    for i in range(begin, end):
        d = _masked(neuron, scratch.z[i - begin], scratch.derivatives[i - begin, 0])
        stop = k + element(X.end, i) - element(X.begin, i)
        _accumulate(scratch, k, stop, d)
        k, d_bias = stop, d_bias + d
    return d_bias


@inlined_kernel
def _mean_square(X, scratch, of_bias, weights, begin, end, n_measured):
    """The mean of v |s·x + of_bias|² over the last rows of a batch, as dense rows are measured: a micro-batch."""
    first = begin + (end - begin - 1) // n_measured * n_measured
    k, squares = 0, 0.0
    for i in range(begin, end):
        stop = k + element(X.end, i) - element(X.begin, i)
        if i >= first:
            change = _change(scratch, k, stop) + of_bias
            v = np.float64(element(weights, i - begin)) if weights.size else 1.0
            squares += v * np.float64(change) * change
        k = stop
    return squares / (end - first)


@kernel
def train_neuron_csr_adagrad(
    neuron, vectors, columns, scratch, objective, numbers, rates, samples, batch_rows, progress
):
    """Train on whole batches, one update after each; a batch of weight zero counts for nothing.

    neuron : LinearNeuron or ReLUNeuron
    vectors : Vectors, of which `own` is used, where steps are bounded          columns : Columns, modified in place
    scratch : Scratch          objective : Objective, of a loss of `POINTWISE`
    numbers : (n_fields,) float64, settings of Bounded that is scaled; a curvature of zero stands for no bound
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    samples : Samples
    batch_rows : pair of int, rows of a batch, and of how many of its last ones a bounded step is measured
    progress : Progress, modified in place
    """
    number, n_features = vectors.parameters.dtype.type, neuron.n_features
    optimizer, has_bias = settings_of(Bounded, numbers), vectors.parameters.size > n_features
    X, eps, place_of_bias = samples.X, number(optimizer.eps), n_features << columns.shift
    first, n_epoch, n_before = progress.position[0], progress.n_rows[0], progress.n_updates[0]
    start, n_samples, nan_sentinel = 0, samples.y.shape[0], number(0)
    while start < n_samples:
        stop = start + min(batch_rows[0], n_epoch - (first + start))
        bias = element(columns.weight, place_of_bias) if has_bias else number(0)
        n_columns, not_finite = _forward_and_number(neuron, X, columns, scratch, bias, start, stop)
        # Zero, unless an output is NaN or infinite, of which there might be no other trace.
        nan_sentinel += not_finite
        weights = weights_of(samples.sample_weight, start, stop)
        out, d_out = (
            read_only_matrix(scratch.outputs, 0, stop - start, 1),
            matrix(scratch.derivatives, 0, stop - start, 1),
        )
        scale = number(1.0 / (stop - start))
        loss_and_derivative(objective, out, read_only_rows(samples.y, start, stop), weights, scale, d_out)
        progress.loss_sum[0] += objective.sums[0]
        if objective.sums[1] > 0:
            t = progress.n_updates[0] + 1
            progress.n_updates[0] = t
            rate = number(element(rates, min(t - np.int64(n_before), rates.size) - 1))
            d_bias, of_bias = _gradient(neuron, X, scratch, start, stop), number(0)
            if has_bias:
                # One more column, of ones.
                scratch.places[n_columns], scratch.gradient[n_columns] = place_of_bias, d_bias
                n_columns += 1
            slope = _directions(columns, scratch, n_columns, eps)
            if has_bias:
                of_bias = scratch.direction[n_columns - 1]
            curvature = 0.0
            if optimizer.curvature > 0:
                mean_square = _mean_square(X, scratch, of_bias, weights, start, stop, batch_rows[1])
                curvature = curvature_along(vectors, numbers, mean_square)
            _step(columns, scratch, n_columns, bounded_length(numbers, rate, t, curvature, slope))
        else:
            _forget(columns, scratch, n_columns)
        start = stop
    progress.loss_sum[0] += nan_sentinel
    progress.position[0] = first + n_samples


@kernel
def interleave_columns(vectors, columns):
    """Copy weights, bias and sums of squares to where columns take turns.

    vectors : Vectors          columns : Columns with a shift of 2, modified in place
    """
    for j in range(vectors.parameters.size):
        place = j << 2
        columns.weight[place], columns.number[place] = vectors.parameters[j], -1
        columns.total[place], columns.missing[place] = vectors.state[0, j], vectors.state[1, j]


@kernel
def separate_columns(columns, vectors):
    """Copy weights, bias and sums of squares back from where columns take turns.

    columns : Columns with a shift of 2          vectors : Vectors, modified in place
    """
    for j in range(vectors.parameters.size):
        place = j << 2
        vectors.parameters[j] = columns.weight[place]
        vectors.state[0, j], vectors.state[1, j] = columns.total[place], columns.missing[place]
