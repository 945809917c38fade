"""Means and deviations of the columns of sparse rows, whose zeros count without being seen."""

import numpy as np

from fastgd import kernels
from fastgd.data.base import Dataset
from fastgd.data.block import MeanAndScale, read_only, require_finite
from fastgd.data.reader import blocks
from fastgd.data.sparse_rows import SparseRows


class SquareMeans:
    """The root of the mean square of columns whose rows, sparse or dense, come block by block, in float64."""

    def __init__(self, n_columns: int) -> None:
        self._total, self._squares, self._of_entries = 0.0, np.zeros(n_columns), np.zeros(n_columns)

    def add(self, values: np.ndarray | SparseRows, sample_weight: np.ndarray) -> None:
        """Take a block of rows, (n_rows, n_columns), each by its weight; (0,) weights are ones."""
        v = sample_weight.astype(np.float64)
        self._total += float(v.sum()) if v.size else len(values)
        if isinstance(values, SparseRows):
            zeros = [np.zeros_like(self._squares) for _ in range(2)]
            kernels.csr_moments(values.csr, read_only(v), *zeros, self._of_entries, self._squares)
        else:
            squares, v = values.astype(np.float64) ** 2, v if v.size else np.ones(len(values))
            self._squares += v @ squares
            self._of_entries += v @ (values != 0)

    def result(self) -> MeanAndScale | None:
        """Zeros and the roots of the mean squares; None where no row had a weight."""
        if self._total == 0:
            return None
        return np.zeros_like(self._squares), np.sqrt(self._squares / self._total)


# Of sums of weights, relatively.
_ROUNDING = 1e-9


class EntryScales(SquareMeans):
    """What columns of sparse rows are divided by, so that numbers among them are of the size of the others: the root
    mean square of a column's entries where that is above 1, or where every row has an entry; else 1.

    Words, categories and hashed features so keep the values that they were given. Divided by a deviation over all rows,
    the rarest would count most; and words that most texts have, which say least, once tf-idf has made them small.
    """

    def result(self) -> MeanAndScale | None:
        """Zeros and the divisors; None where no row had a weight."""
        if self._total == 0:
            return None
        size = np.sqrt(self._squares / np.where(self._of_entries > 0, self._of_entries, 1.0))
        is_everywhere = self._of_entries >= (1 - _ROUNDING) * self._total
        is_number = (size > 1) | ((size > 0) & is_everywhere)
        return np.zeros_like(size), np.where(is_number, size, 1.0)


def mean_and_deviation(dataset: Dataset) -> MeanAndScale | None:
    """Mean and deviation of each column, each row by its weight, in float64 and two passes; None without any weight.

    The variance is  (Σ v (x - m)² over the entries + m² · the weight of the zeros) / the weight of all rows,  which
    cancels nothing. Deviations of less than the smallest normal number are zero.

    Raises ValueError for values that are not finite, or whose squares are not.
    """
    n_columns, double = dataset.n_features, np.dtype(np.float64)
    sums, mean, squares, of_entries = (np.zeros(n_columns) for _ in range(4))
    total, no_mean = 0.0, np.empty(0)
    for start, block in blocks(dataset, double):
        require_finite(block, lambda row, start=start: dataset.row_number(start + row))
        kernels.csr_moments(block.X.csr, block.sample_weight, no_mean, sums, of_entries, mean)
        total += float(block.sample_weight.sum()) if block.sample_weight.size else block.n_samples
    if total == 0:
        return None
    mean /= total
    zeros = np.maximum(total - of_entries, 0)
    of_entries[:] = 0
    for _, block in blocks(dataset, double):
        kernels.csr_moments(block.X.csr, block.sample_weight, mean, sums, of_entries, squares)
    with np.errstate(over="ignore"):
        deviation = np.sqrt((squares + zeros * mean**2) / total)
    if not np.isfinite(deviation).all():
        column = int(np.flatnonzero(~np.isfinite(deviation))[0])
        raise ValueError(f"X has squares in column {column} that overflow; expected features divided by a large number")
    deviation[deviation < np.finfo(double).tiny] = 0
    return mean, deviation
