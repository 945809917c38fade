"""Rows of arrays, in memory or memory-mapped."""

import numpy as np
from numpy.typing import ArrayLike

from fastgd import kernels
from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import Block, MeanAndScale, read_only, take_rows, take_targets
from fastgd.data.columns import Columns
from fastgd.data.frames import feature_names, target_names
from fastgd.data.maps import Maps, map_of


class ArrayDataset(Dataset):
    """Rows of arrays, in memory or memory-mapped; never copied or converted whole.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Any real dtype and layout.
    y : array of shape (n_samples, n_outputs) or (n_samples,), optional
        Any real dtype; without it the data set can only be predicted on.
    sample_weight : array of shape (n_samples,), optional
        Multiplies each row's loss and gradient; at least 0, which is checked as rows are used.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, unequal lengths, no rows, or values that are no real numbers.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.ArrayDataset([[1, 2], [3, 4], [5, 6]], [0, 1, 1])
    >>> data.n_samples, data.n_features
    (3, 2)
    """

    takes_targets_by_index = True
    reads_in_parallel = True
    finds_rows = True

    def __init__(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> None:
        self.X = checks.features(X)
        self.feature_names = feature_names(X)
        if self.feature_names is not None:
            self.columns = Columns(self.feature_names, targets=target_names(y))
        self.n_samples, self.n_features = self.X.shape
        self.y = np.empty((self.n_samples, 0), self.X.dtype) if y is None else checks.targets(y, self.n_samples)
        self.n_outputs = self.y.shape[1]
        self.sample_weight = checks.sample_weights(sample_weight, self.n_samples)
        self.has_sample_weight = self.sample_weight is not None
        self.dtype = checks.floating_dtype(self.X.dtype)
        self._is_mapped = map_of(self.X) is not None
        others = [array for array in (self.y, self.sample_weight) if array is not None]
        is_any_mapped = self._is_mapped or any(map_of(array) is not None for array in others)
        self._maps = Maps(self.X, *others) if is_any_mapped else None

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Copy the rows, or gather them."""
        take_rows(self.X, rows, out=out.X)
        take_rows(self.y, rows, out=out.y)
        if self.sample_weight is not None:
            take_rows(self.sample_weight, rows, out=out.sample_weight)

    def targets(
        self, dtype: np.dtype, mean_and_scale: MeanAndScale | None = None, indices: np.ndarray | None = None
    ) -> Block:
        """As `Dataset.targets`, of all rows or of those of some indices, without a look at X."""
        rows = slice(0, self.n_samples) if indices is None else indices
        n_rows = self.n_samples if indices is None else len(indices)
        out = Block(
            np.empty((0, self.n_features), dtype),
            np.empty((n_rows, self.n_outputs), dtype),
            np.empty(n_rows if self.has_sample_weight else 0, dtype),
        )
        take_targets(self.y, rows, mean_and_scale=mean_and_scale, out=out.y)
        if self.sample_weight is not None:
            take_rows(self.sample_weight, rows, out=out.sample_weight)
        return Block(*map(read_only, out[:3]))

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """The arrays themselves, where X is a C-contiguous array of this dtype."""
        not_loadable = "g" if kernels.converts_halves() else "ge"
        is_loadable = self.X.dtype == dtype or (
            any_dtype and self.X.dtype.isnative and self.X.dtype.char not in not_loadable
        )
        if not (is_loadable and self.X.flags.c_contiguous and self.X.flags.aligned):
            return None
        weight = np.empty(0, dtype) if self.sample_weight is None else self.sample_weight
        return Block(read_only(self.X), read_only(self.y), read_only(weight))

    @property
    def row_bytes(self) -> int:
        """Size of a row of X as it is given."""
        return self.n_features * self.X.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether X is a read-only memory map."""
        return self._is_mapped

    @property
    def is_in_memory(self) -> bool:
        """Whether X is anything but a read-only memory map."""
        return not self.is_mapped

    def require_whole(self) -> None:
        """As `Dataset.require_whole`."""
        if self._maps is not None:
            self._maps.require_whole()

    def release(self, start: int, stop: int) -> None:
        """Give the pages of memory maps back."""
        if self._maps is not None:
            self._maps.release(start, stop)
