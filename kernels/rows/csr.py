"""Sparse rows as kernels read them: where they lie, in their own dtypes."""

from typing import NamedTuple

import numpy as np

from ..codegen.integers import minimum
from ..codegen.jit import by_type, inlined_kernel, kernel
from ..codegen.simd import prefetch
from ..codegen.views import element
from ..tuning import CSR_COLUMNS_PREFETCH, ENTRIES_PER_PREFETCH


class Unscaled(NamedTuple):
    """Entries count as they are."""


class Scaled(NamedTuple):
    """Entries count times the scale of their column.

    scale : (n_columns,) float64
    """

    scale: np.ndarray


class Standardized(NamedTuple):
    """Entries count (x - mean) · scale, by their column; each row has one entry where a mean is not zero.

    means_and_scales : (2 n_columns,) float64, of one column after the other
    """

    means_and_scales: np.ndarray


class CSR(NamedTuple):
    """Sparse rows: row i has the entries from begin[i] to before end[i]. Entries of one column add up, in any order.

    begin, end : (n_rows,) int64, so that rows may be any of those of a matrix
    indices : (n_entries,) int32 or int64, their columns, each in range
    values : (n_entries,), of any dtype that can be loaded          scaling : Unscaled, Scaled or Standardized
    """

    begin: np.ndarray
    end: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    scaling: NamedTuple = Unscaled()


@inlined_kernel
def _entry_unscaled(scaling, value, column, zero):
    return type(zero)(value)


@inlined_kernel
def _entry_scaled(scaling, value, column, zero):
    return type(zero)(np.float64(value) * element(scaling.scale, column))


@inlined_kernel
def _entry_standardized(scaling, value, column, zero):
    mean, scale = element(scaling.means_and_scales, 2 * column), element(scaling.means_and_scales, 2 * column + 1)
    return type(zero)((np.float64(value) - mean) * scale)


@by_type({Unscaled: _entry_unscaled, Scaled: _entry_scaled, Standardized: _entry_standardized})
def _entry_of(kernel):
    """An entry, scaled, in the dtype of zero; the product is rounded once, as that of dense rows is."""
    return lambda scaling, value, column, zero: kernel(scaling, value, column, zero)


@inlined_kernel
def _prefetch_nothing(scaling, column):
    pass


@inlined_kernel
def _prefetch_scale(scaling, column):
    prefetch(scaling.scale, column)


@inlined_kernel
def _prefetch_mean_and_scale(scaling, column):
    prefetch(scaling.means_and_scales, 2 * column)


@by_type({Unscaled: _prefetch_nothing, Scaled: _prefetch_scale, Standardized: _prefetch_mean_and_scale})
def prefetch_scale(kernel):
    """Prefetch what `value_of` needs of a column."""
    return lambda scaling, column: kernel(scaling, column)


@inlined_kernel
def column_of(X, p):
    """The column of entry p."""
    return np.int64(element(X.indices, p))


@inlined_kernel
def value_of(X, p, column, zero):
    """Entry p of a CSR, in its column, in the dtype of zero."""
    return _entry_of(X.scaling, element(X.values, p), column, zero)


@kernel
def densify_rows(X, out):
    """out = the rows of a CSR.

    X : CSR          out : (n_rows, n_columns), overwritten
    """
    zero = out.dtype.type(0)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = zero
        for p in range(X.begin[i], X.end[i]):
            column = column_of(X, p)
            out[i, column] += value_of(X, p, column, zero)


@kernel
def compact_rows(X, indices, values):
    """The entries of all rows, one row after the other.

    X : CSR          indices : (n_entries,), values : (n_entries,), overwritten
    """
    zero = values.dtype.type(0)
    place = 0
    for i in range(X.begin.size):
        for p in range(X.begin[i], X.end[i]):
            column = column_of(X, p)
            indices[place], values[place] = column, value_of(X, p, column, zero)
            place += 1


@inlined_kernel
def prefetch_row(X, i):
    """Prefetch a row's entries."""
    for p in range(element(X.begin, i), element(X.end, i), ENTRIES_PER_PREFETCH):
        prefetch(X.indices, p)
        prefetch(X.values, p)


@inlined_kernel
def _is_increasing(X, begin, end):
    """Whether the columns of entries increase, so that none comes twice."""
    result = True
    for p in range(begin + 1, end):
        result &= element(X.indices, p - 1) < element(X.indices, p)
    return result


@kernel
def mark_columns(X, is_used):
    """is_used_j = whether some row has an entry in column j.

    X : CSR          is_used : (n_columns,) of bools, all false
    """
    for i in range(X.begin.size):
        for p in range(element(X.begin, i), element(X.end, i)):
            is_used[column_of(X, p)] = True


@kernel
def csr_has_one_entry_each(X, places, seen):
    """Whether every row has exactly one entry in each of some columns.

    X : CSR          places : (n_columns,) int64, of each column among them, or -1
    seen : (n_places,) int64, scratch, overwritten
    """
    seen[:] = -1
    result = True
    for i in range(X.begin.size):
        n_found = 0
        for p in range(element(X.begin, i), element(X.end, i)):
            place = element(places, column_of(X, p))
            if place >= 0:
                result &= seen[place] != i
                seen[place] = i
                n_found += 1
        result &= n_found == seen.size
    return result


@kernel
def csr_is_finite(X, zero):
    """Whether no entry counts as NaN or infinity in a dtype.

    X : CSR          zero : scalar of the dtype
    """
    result = True
    for i in range(X.begin.size):
        for p in range(element(X.begin, i), element(X.end, i)):
            # Times zero, the product of value and scale might be taken in another order, which is finite.
            result &= np.isfinite(value_of(X, p, column_of(X, p), zero))
    return result


@kernel
def csr_row_squares(X, sums, out):
    """out_i = Σ_j x_ij².

    X : CSR          sums : (n_columns,) float64 zeros, scratch that is zeros again
    out : (n_rows,) float64, overwritten
    """
    for i in range(out.size):
        begin, end, total = element(X.begin, i), element(X.end, i), 0.0
        if _is_increasing(X, begin, end):
            for p in range(begin, end):
                x = value_of(X, p, column_of(X, p), 0.0)
                total += x * x
        else:
            for p in range(begin, end):
                column = column_of(X, p)
                sums[column] += value_of(X, p, column, 0.0)
            for p in range(begin, end):
                column = column_of(X, p)
                # An entry whose column has been here before finds zero.
                total += sums[column] * sums[column]
                sums[column] = 0
        out[i] = total


@inlined_kernel
def _add_moment(mean, n_weights, moments, column, v, x):
    # Zero is what a column without an entry counts as, and what a second entry finds.
    if x != 0:
        n_weights[column] += v
        moments[column] += v * (x - mean[column]) ** 2 if mean.size else v * x


@inlined_kernel
def _prefetch_columns(vector, X, i):
    """Prefetch the elements of a vector for the columns of a row."""
    for p in range(element(X.begin, i), element(X.end, i)):
        prefetch(vector, column_of(X, p))


@kernel
def csr_moments(X, weights, mean, sums, n_weights, moments):
    """moments_j += Σ_i v_i (x_ij - m_j)^k over the rows that have column j; n_weights_j += Σ_i v_i of these rows.

    X : CSR          weights : the v, (n_rows,) float64, or (0,) where all are one
    mean : the m, (n_columns,), and k is 2; or (0,), and m is 0 and k is 1
    sums : (n_columns,) zeros, scratch that is zeros again
    n_weights, moments : (n_columns,), all of these float64
    """
    for i in range(X.begin.size):
        v = weights[i] if weights.size else 1.0
        if v == 0:
            continue
        later = minimum(i + CSR_COLUMNS_PREFETCH, X.begin.size - 1)
        _prefetch_columns(n_weights, X, later)
        _prefetch_columns(moments, X, later)
        begin, end = element(X.begin, i), element(X.end, i)
        if _is_increasing(X, begin, end):
            for p in range(begin, end):
                column = column_of(X, p)
                _add_moment(mean, n_weights, moments, column, v, value_of(X, p, column, 0.0))
            continue
        for p in range(begin, end):
            column = column_of(X, p)
            sums[column] += value_of(X, p, column, 0.0)
        for p in range(begin, end):
            column = column_of(X, p)
            x = sums[column]
            sums[column] = 0
            _add_moment(mean, n_weights, moments, column, v, x)
