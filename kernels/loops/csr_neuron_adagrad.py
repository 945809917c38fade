"""The training loop of a single output neuron on sparse rows, by Adagrad, whose steps may be bounded.

What a column needs is one record, (w, G, what G has left out, g), so that an entry costs one line of the cache, which
is prefetched some rows ahead. Of a batch, all entries are gone over four times:

    forward     products with the weights
    accumulate  the gradient g
    direct      s = g / (√(G + g²) + eps), and what s changes in each row's output
    step        w -= length · s,  G += g²,  g = 0

The third leaves the records as they are, and so comes to the same s wherever a column comes again; the fourth finds a g
of zero there, and changes nothing. No column has to be looked for, or told from others, and the last two take four
entries at a time.
"""

from typing import NamedTuple

import numpy as np

from ..codegen.function_pointer import settings_of
from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel, kernel, linked_kernel
from ..codegen.records import RECORD, in_records, load_records, square_root, store_records, where_not_zero
from ..codegen.simd import load, prefetch, store
from ..codegen.views import element, matrix, read_only_matrix, read_only_rows
from ..nn.loss import loss_and_derivative
from ..optim.bounded import Bounded, bounded_length, curvature_along
from ..rows.csr import column_of, prefetch_row, prefetch_scale, value_of
from ..tuning import CSR_COLUMNS_PREFETCH, CSR_ROWS_PREFETCH
from .network import weights_of
from .neuron_online import LinearNeuron, ReLUNeuron

# The numbers of a record.
_WEIGHT, _SQUARES, _MISSING, _GRADIENT = range(RECORD)


class Scratch(NamedTuple):
    """Scratch for batches of up to n_rows rows, each of which begins at a multiple of four of the n places.

    values : (n,), the entries          direction : (n,), the s of each one's column
    z : (n_rows,)          outputs, derivatives : (n_rows, 1)
    bias : (1,) int64, the record of the bias
    """

    values: np.ndarray
    direction: np.ndarray
    z: np.ndarray
    outputs: np.ndarray
    derivatives: np.ndarray
    bias: np.ndarray


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
def _prefetch_column(table, X, p):
    """Prefetch what the loop needs of an entry's column."""
    column = column_of(X, p)
    prefetch(table, column * RECORD)
    prefetch_scale(X.scaling, column)


@inlined_kernel
def _forward(table, X, i, later, values, first):
    """Row i times the weights; its entries are left in `values` from `first` on.

    later : a row whose columns are prefetched, one for each entry here: all at once, memory would be waited for
    """
    zero = values.dtype.type(0)
    z, k, ahead, last = zero, first, element(X.begin, later), element(X.end, later)
    for p in range(element(X.begin, i), element(X.end, i)):
        if ahead < last:
            _prefetch_column(table, X, ahead)
            ahead += 1
        column = column_of(X, p)
        value = value_of(X, p, column, zero)
        values[np.uint64(k)] = value
        z += table[np.uint64(column), _WEIGHT] * value
        k += 1
    for p in range(ahead, last):
        _prefetch_column(table, X, p)
    return z


@inlined_kernel
def _room_of(X, i):
    """How many places row i takes of the scratch."""
    return (element(X.end, i) - element(X.begin, i) + RECORD - 1) // RECORD * RECORD


@inlined_kernel
def _accumulate(table, columns, begin, end, values, first, d):
    """g += d · x for the entries from begin to before end."""
    for p in range(begin, end):
        table[np.uint64(element(columns, p)), _GRADIENT] += d * element(values, first + p - begin)


@inlined_kernel
def _with_square(total, missing, g):
    """G + g², and what that leaves out; as `add_square`, for vectors, whose roundings stay as written."""
    square = g * g + missing
    after = total + square
    return after, square - (after - total)


@linked_kernel
def _direct(table, columns, begin, end, scratch, first, eps):
    """Leave the s of the columns of entries in the scratch, from `first` on; return s · x, in float64."""
    least, change = in_records(eps), 0.0
    for p in range(begin, end, RECORD):
        _, total, missing, g = load_records(table, columns, p, end - p)
        after, _ = _with_square(total, missing, g)
        store(scratch.direction, first + p - begin, RECORD, g / (square_root(after) + least))
    for k in range(first, first + end - begin):
        # Of many rows, what they want may nearly cancel.
        change += np.float64(element(scratch.direction, k)) * element(scratch.values, k)
    return change


@linked_kernel
def _step(table, columns, begin, end, scratch, first, length):
    """w -= length · s,  G += g²,  g = 0  for the columns of entries, once for each."""
    zero, lengths = in_records(type(length)(0)), in_records(length)
    for p in range(begin, end, RECORD):
        w, total, missing, g = load_records(table, columns, p, end - p)
        s = load(scratch.direction, first + p - begin, RECORD, zero)
        w -= lengths * where_not_zero(g, s)
        total, missing = _with_square(total, missing, g)
        store_records(table, columns, p, end - p, (w, total, missing, zero))


@inlined_kernel
def _forward_rows(neuron, X, table, scratch, bias, begin, end):
    """Outputs of rows begin to end; return zero, or NaN where z is not finite."""
    k, nan_sentinel, last = 0, scratch.values.dtype.type(0), X.begin.size - 1
    for i in range(begin, end):
        prefetch_row(X, minimum(i + CSR_ROWS_PREFETCH, last))
        z = bias + _forward(table, X, i, minimum(i + CSR_COLUMNS_PREFETCH, last), scratch.values, k)
        k += _room_of(X, i)
        scratch.z[i - begin], scratch.outputs[i - begin, 0] = z, _output(neuron, z)
        nan_sentinel += z * type(z)(0)
    return nan_sentinel


@inlined_kernel
def _accumulate_rows(neuron, X, table, scratch, begin, end):
    """The gradient of the weights, in their records; the derivatives by z come in place of z. Return their sum."""
    k, d_bias = 0, scratch.values.dtype.type(0)
    for i in range(begin, end):
        d = _masked(neuron, scratch.z[i - begin], scratch.derivatives[i - begin, 0])
        _accumulate(table, X.indices, element(X.begin, i), element(X.end, i), scratch.values, k, d)
        k += _room_of(X, i)
        scratch.z[i - begin] = d
        d_bias += d
    return d_bias


@inlined_kernel
def _direct_rows(X, table, scratch, of_bias, weights, begin, end, n_measured, eps):
    """Leave s in the scratch; return the mean of v |s·x + of_bias|², and s·g.

    The mean is that over the last rows of a batch, as dense rows are measured: a micro-batch.
    """
    first = begin + (end - begin - 1) // n_measured * n_measured
    k, squares, slope = 0, 0.0, 0.0
    for i in range(begin, end):
        change = of_bias + _direct(table, X.indices, element(X.begin, i), element(X.end, i), scratch, k, eps)
        k += _room_of(X, i)
        slope += change * scratch.z[i - begin]
        if i >= first:
            v = np.float64(element(weights, i - begin)) if weights.size else 1.0
            squares += v * change * change
    return squares / (end - first), slope


@inlined_kernel
def _direct_bias(table, scratch, d_bias, eps):
    """The s of the bias, which is one more column, of ones; it is left in the scratch, at the end."""
    place, last = scratch.bias[0], scratch.values.size - RECORD
    table[place, _GRADIENT] = d_bias
    scratch.values[last] = 1
    return _direct(table, scratch.bias, 0, 1, scratch, last, eps)


@inlined_kernel
def _step_rows(X, table, scratch, begin, end, length):
    k = 0
    for i in range(begin, end):
        _step(table, X.indices, element(X.begin, i), element(X.end, i), scratch, k, length)
        k += _room_of(X, i)


@kernel
def train_neuron_csr_adagrad(neuron, vectors, table, scratch, objective, numbers, rates, samples, batch_rows, progress):
    """Train on whole batches, one update after each; a batch of weight zero counts for nothing.

    neuron : LinearNeuron or ReLUNeuron
    vectors : Vectors, of which `own` is used, where steps are bounded
    table : (n_parameters, 4), the records of the columns, and of the bias behind them; modified in place
    scratch : Scratch          objective : Objective, of a loss of `POINTWISE`
    numbers : (n_fields,) float64, settings of Bounded that is scaled; a curvature of zero stands for no bound
    rates : (n,) float64, the learning rates of this call's updates; the last one serves all later ones
    samples : Samples
    batch_rows : pair of int, rows of a batch, and of how many of its last ones a bounded step is measured
    progress : Progress, modified in place
    """
    number, n_features = table.dtype.type, neuron.n_features
    optimizer, has_bias = settings_of(Bounded, numbers), table.shape[0] > n_features
    X, eps = samples.X, number(optimizer.eps)
    first, n_epoch, n_before = progress.position[0], progress.n_rows[0], progress.n_updates[0]
    start, n_samples, nan_sentinel = 0, samples.y.shape[0], number(0)
    while start < n_samples:
        stop = start + minimum(batch_rows[0], n_epoch - (first + start))
        bias = table[n_features, _WEIGHT] if has_bias else number(0)
        # Zero, unless an output is NaN or infinite, of which there might be no other trace.
        nan_sentinel += _forward_rows(neuron, X, table, scratch, bias, start, stop)
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
            rate = number(element(rates, minimum(t - np.int64(n_before), rates.size) - 1))
            d_bias = _accumulate_rows(neuron, X, table, scratch, start, stop)
            of_bias = _direct_bias(table, scratch, d_bias, eps) if has_bias else 0.0
            mean_square, slope = _direct_rows(X, table, scratch, of_bias, weights, start, stop, batch_rows[1], eps)
            curvature = 0.0
            if optimizer.curvature > 0:
                curvature = curvature_along(vectors, numbers, mean_square)
                # Below zero, it is but rounding.
                slope = 0.0 if slope < 0 else slope
            else:
                # A free step is as long whatever it is.
                slope = 1.0
            length = bounded_length(numbers, rate, t, curvature, slope)
            _step_rows(X, table, scratch, start, stop, length)
            if has_bias:
                _step(table, scratch.bias, 0, 1, scratch, scratch.values.size - RECORD, length)
        start = stop
    progress.loss_sum[0] += nan_sentinel
    progress.position[0] = first + n_samples


@inlined_kernel
def _pack(vectors, j, table):
    table[j, _WEIGHT], table[j, _GRADIENT] = vectors.parameters[j], 0
    table[j, _SQUARES], table[j, _MISSING] = vectors.state[0, j], vectors.state[1, j]


@inlined_kernel
def _unpack(table, j, vectors):
    vectors.parameters[j] = table[j, _WEIGHT]
    vectors.state[0, j], vectors.state[1, j] = table[j, _SQUARES], table[j, _MISSING]


@kernel
def pack_records(vectors, table):
    """Copy weights, bias and sums of squares to their records.

    vectors : Vectors          table : as for `train_neuron_csr_adagrad`, overwritten
    """
    for j in range(vectors.parameters.size):
        _pack(vectors, j, table)


@kernel
def unpack_records(table, vectors):
    """Copy weights, bias and sums of squares back from their records.

    table : as for `pack_records`          vectors : Vectors, overwritten
    """
    for j in range(vectors.parameters.size):
        _unpack(table, j, vectors)


@kernel
def pack_records_of(X, n_features, vectors, table):
    """As `pack_records`, for the columns of some rows, and for the bias.

    X : CSR          n_features : int
    """
    for i in range(X.begin.size):
        for p in range(X.begin[i], X.end[i]):
            _pack(vectors, column_of(X, p), table)
    for j in range(n_features, vectors.parameters.size):
        _pack(vectors, j, table)


@kernel
def unpack_records_of(X, n_features, table, vectors):
    """As `unpack_records`, for the columns of some rows, and for the bias.

    X : CSR          n_features : int
    """
    for i in range(X.begin.size):
        for p in range(X.begin[i], X.end[i]):
            _unpack(table, column_of(X, p), vectors)
    for j in range(n_features, vectors.parameters.size):
        _unpack(table, j, vectors)
