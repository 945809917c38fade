"""Means and deviations of the columns of sparse rows, whose zeros count without being seen."""

import numpy as np

from fastgd import kernels
from fastgd.data.base import Dataset
from fastgd.data.block import Block, MeanAndScale, read_only, require_finite
from fastgd.data.reader import blocks
from fastgd.data.sparse_rows import SparseRows
from fastgd.data.two_values import TwoValues

# Of sums of weights, relatively; of what varies by less, next to its mean, the deviation is rounding; what makes most
# rows; and of the columns whose entries vary, how many of most rows there are in a table, at least, and not in texts.
_ROUNDING, _LEAST_DEVIATION, _MOST, _OF_TABLE = 1e-9, 1e-9, 0.9, 0.25
# Counts of words are rarely larger.
_LARGE = 10.0


class SquareMeans:
    """The root of the mean square of columns whose rows, sparse or dense, come block by block, in float64."""

    def __init__(self, n_columns: int) -> None:
        self._total, self._squares = 0.0, np.zeros(n_columns)

    def add(self, values: np.ndarray | SparseRows, sample_weight: np.ndarray) -> None:
        """Take a block of rows, (n_rows, n_columns), each by its weight; (0,) weights are ones."""
        v = sample_weight.astype(np.float64)
        self._total += float(v.sum()) if v.size else len(values)
        if isinstance(values, SparseRows):
            mean, scratch, of_entries = (np.zeros_like(self._squares) for _ in range(3))
            kernels.csr_moments(values.csr, read_only(v), mean, scratch, of_entries, self._squares)
        else:
            v = v if v.size else np.ones(len(values))
            self._squares += v @ values.astype(np.float64) ** 2

    def result(self) -> MeanAndScale | None:
        """Zeros and the roots of the mean squares; None where no row had a weight."""
        if self._total == 0:
            return None
        return np.zeros_like(self._squares), np.sqrt(self._squares / self._total)


def is_everywhere(of_entries: np.ndarray, total: float) -> np.ndarray:
    """Which columns are zero in no row, by the weights of the rows where each is not, and of all."""
    return of_entries >= (1 - _ROUNDING) * total


class EntryScales:
    """By what columns of sparse rows are standardised where words may be among them, in float64.

    Numbers that no row lacks, with a root mean square of more than 1, get mean 0 and variance 1, as dense ones do, and
    keep it as long as nine rows of ten have one. Smaller ones, and numbers of more than 10 that some rows lack, are
    divided by the root mean square of the entries. Words, their counts, categories and hashed features keep the values
    that they were given: divided by a deviation over all rows, the rarest would count most; and words that most texts
    have, which say least, once tf-idf has made them small.

    What one row of ten may lack is a number, too, in a table: where of all columns with entries that vary, as those of
    categories do not, a quarter or more are in nine rows of ten. Of the words of texts, few are.

    with_mean : whether means are subtracted, or columns are divided only
    """

    def __init__(self, n_columns: int, with_mean: bool) -> None:
        self._with_mean = with_mean
        self._total = 0.0
        self._of_entries, self._sums, self._squares = (np.zeros(n_columns) for _ in range(3))
        self._was_centred = np.zeros(n_columns, np.bool_)
        # Squares are those of distances from the columns' first entries, as numbers may lie far from zero. Those of a
        # column that does not vary are exactly zero.
        self._origin = np.zeros(n_columns)

    def add(self, values: np.ndarray | SparseRows, sample_weight: np.ndarray) -> None:
        """Take a block of rows, as `SquareMeans.add`."""
        v = sample_weight.astype(np.float64) if sample_weight.size else np.ones(len(values))
        if not v.any():
            return
        _add_first_entries(self._origin, values[v > 0])
        self._total += float(v.sum())
        if isinstance(values, SparseRows):
            scratch, again = (np.zeros(len(self._sums)) for _ in range(2))
            kernels.csr_moments(values.csr, read_only(v), np.empty(0), scratch, self._of_entries, self._sums)
            kernels.csr_moments(values.csr, read_only(v), self._origin, scratch, again, self._squares)
            return
        is_entry = values != 0
        self._of_entries += v @ is_entry
        self._sums += v @ values.astype(np.float64)
        self._squares += v @ np.where(is_entry, values - self._origin, 0) ** 2

    def result(self) -> MeanAndScale | None:
        """What is subtracted of columns and what they are divided by; None where no row had a weight."""
        if self._total == 0:
            return None
        # Of hashed features, most have no entries.
        columns = np.flatnonzero(self._of_entries)
        of_entries, squares, sums = self._of_entries[columns], self._squares[columns], self._sums[columns]
        origin, shift = self._origin[columns], sums / of_entries - self._origin[columns]
        size = np.sqrt(np.maximum(squares / of_entries + origin * (2 * shift + origin), 0))
        has_most = of_entries >= _MOST * self._total
        varies = squares > 0
        is_table = np.count_nonzero(varies & has_most) > _OF_TABLE * np.count_nonzero(varies)
        is_number = is_everywhere(of_entries, self._total) | (varies & has_most & is_table)
        divisor = np.where((size > _LARGE) | ((size > 0) & is_number), size, 1.0)
        is_centred = (is_number | (self._was_centred[columns] & has_most)) & (size > 1) & self._with_mean
        self._was_centred[columns] = is_centred
        # Over all rows, of which those without an entry are zero.
        mean = sums / self._total
        squares += np.maximum(self._total - of_entries, 0) * origin**2
        deviation = np.sqrt(np.maximum(squares / self._total - (mean - origin) ** 2, 0))
        deviation[deviation < _LEAST_DEVIATION * np.abs(mean)] = 0
        subtracted, scale = np.zeros(len(self._sums)), np.ones(len(self._sums))
        subtracted[columns] = np.where(is_centred, mean, 0.0)
        scale[columns] = np.where(is_centred, deviation, divisor)
        return subtracted, scale


def _add_first_entries(first: np.ndarray, values: np.ndarray | SparseRows) -> None:
    """Put an entry of each column, the first that some row has, where there is none yet, which is zero."""
    if isinstance(values, SparseRows):
        indices, entries = values.entries()
        kept = np.flatnonzero(entries)[::-1]
        new = kept[first[indices[kept]] == 0]
        first[indices[new]] = entries[new]
    elif len(values):
        rows = (values != 0).argmax(axis=0)
        np.copyto(first, values[rows, np.arange(values.shape[1])], where=first == 0)


def mean_and_deviation(dataset: Dataset) -> MeanAndScale | None:
    """Mean and deviation of each column, each row by its weight, in float64 and two passes; None without any weight.
    The mean is zero of columns that are zero in some row, and is not to be subtracted.

    The variance is  (Σ v (x - m)² over the entries + m² · the weight of the zeros) / the weight of all rows,  which
    cancels nothing. Deviations that are rounding, or less than the smallest normal number, are zero; those of columns
    of two values are the difference of these, as dense rows' are.

    Raises ValueError for values that are not finite, or whose squares are not.
    """
    n_columns, double = dataset.n_features, np.dtype(np.float64)
    sums, mean, squares, of_entries, from_first, first = (np.zeros(n_columns) for _ in range(6))
    total, no_mean = 0.0, np.empty(0)
    for start, block in blocks(dataset, double):
        require_finite(block, lambda row, start=start: dataset.row_number(start + row))
        kernels.csr_moments(block.X.csr, block.sample_weight, no_mean, sums, of_entries, mean)
        total += float(block.sample_weight.sum()) if block.sample_weight.size else block.n_samples
        _add_first_entries(first, _weighted(block))
    if total == 0:
        return None
    mean /= total
    zeros = np.maximum(total - of_entries, 0)
    of_entries[:] = 0
    everywhere = np.flatnonzero(is_everywhere(total - zeros, total))
    two_values = TwoValues(len(everywhere))
    for _, block in blocks(dataset, double):
        kernels.csr_moments(block.X.csr, block.sample_weight, mean, sums, of_entries, squares)
        kernels.csr_moments(block.X.csr, block.sample_weight, first, sums, of_entries, from_first)
        if len(everywhere):
            two_values.add(_weighted(block).dense_columns(everywhere, double))
    with np.errstate(over="ignore"):
        deviation = np.sqrt((squares + zeros * mean**2) / total)
    if not np.isfinite(deviation).all():
        column = int(np.flatnonzero(~np.isfinite(deviation))[0])
        raise ValueError(f"X has squares in column {column} that overflow; expected features divided by a large number")
    # So much may be the rounding of a sum of so many equal terms.
    rounding = dataset.n_samples * np.finfo(double).eps * np.abs(mean)
    deviation[deviation < np.maximum(rounding, np.finfo(double).tiny)] = 0
    # Where some row has none, its entries are one of two values and zero is the other.
    width, centre = np.where(from_first == 0, np.abs(first), 0.0), np.zeros(n_columns)
    width[everywhere], centre[everywhere] = two_values.widths(), mean[everywhere]
    return centre, np.where((width > 0) & (deviation > 0), width, deviation)


def _weighted(block: Block) -> SparseRows:
    """The rows of a block that have a weight."""
    return block.X[block.sample_weight > 0] if block.sample_weight.size else block.X
