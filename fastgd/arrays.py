"""Rows of arrays, in memory or memory-mapped."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _check
from fastgd.dataset import Block, Dataset, read_only
from fastgd.kernels import gather_rows


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
    """

    def __init__(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> None:
        self.X = _check.features(X)
        self.n_samples, self.n_features = self.X.shape
        self.y = np.empty((self.n_samples, 0), self.X.dtype) if y is None else _check.targets(y, self.n_samples)
        self.n_outputs = self.y.shape[1]
        self.sample_weight = _check.sample_weights(sample_weight, self.n_samples)
        self.has_sample_weight = self.sample_weight is not None
        self.dtype = np.dtype(np.float32 if self.X.dtype.itemsize <= 4 and self.X.dtype.kind == "f" else np.float64)
        self._mapping = _Mapping.of(self.X)

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Copy the rows, or gather them."""
        _fill(self.X, rows, out.X)
        _fill(self.y, rows, out.y)
        if self.sample_weight is not None:
            _fill(self.sample_weight, rows, out.sample_weight)

    def view(self, dtype: np.dtype, any_dtype: bool = False) -> Block | None:
        """The arrays themselves, where X is a C-contiguous array of this dtype; y and the weights may be converted."""
        is_loadable = self.X.dtype == dtype or (any_dtype and self.X.dtype.isnative and self.X.dtype.char != "g")
        if not (is_loadable and self.X.flags.c_contiguous and self.X.flags.aligned):
            return None
        weight = np.empty(0, dtype) if self.sample_weight is None else self.sample_weight
        with np.errstate(over="ignore", invalid="ignore"):
            columns = [np.require(array, dtype, ["C", "A"]) for array in (self.y, weight)]
        return Block(read_only(self.X), *map(read_only, columns))

    @property
    def row_bytes(self) -> int:
        """Size of a row of X as it is given."""
        return self.n_features * self.X.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether X is a read-only memory map."""
        return self._mapping is not None

    @property
    def is_in_memory(self) -> bool:
        """Whether X is anything but a read-only memory map."""
        return not self.is_mapped

    def release(self, start: int, stop: int) -> None:
        """Give the pages of a memory map back."""
        if self._mapping is not None:
            self._mapping.release(self.X[start:stop])


def _fill(source: np.ndarray, rows: slice | np.ndarray, out: np.ndarray) -> None:
    """out[:] = source[rows], converted. What float32 cannot hold becomes infinite, and is found as such."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(rows, slice):
            out[...] = source[rows]
        elif source.dtype.isnative and source.flags.aligned and source.dtype.char not in "eg":
            matrix = source.reshape(len(source), -1) if source.ndim == 1 else source
            gather_rows(read_only(matrix), rows, out.reshape(len(out), -1))
        else:
            # Numba knows neither half precision nor foreign byte orders.
            out[...] = source[rows]


class _Mapping:
    """A read-only memory map, of which the used part can be given back to the operating system."""

    def __init__(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        self._address = np.frombuffer(mapping, np.uint8).ctypes.data

    @classmethod
    def of(cls, array: np.ndarray) -> "_Mapping | None":
        # Only mode "r": releasing pages of a copy-on-write map would undo the caller's changes.
        base: Any = array if array.flags.c_contiguous and hasattr(mmap, "MADV_DONTNEED") else None
        while isinstance(base, np.ndarray):
            if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
                return cls(base.base) if base.mode == "r" else None
            base = base.base
        return None

    def release(self, rows: np.ndarray) -> None:
        """Give back the pages that lie wholly or partly in these rows; the file still holds them."""
        start = (rows.ctypes.data - self._address) // mmap.PAGESIZE * mmap.PAGESIZE
        stop = rows.ctypes.data + rows.nbytes - self._address
        self._mapping.madvise(mmap.MADV_DONTNEED, start, stop - start)


def as_dataset(X: Any, y: Any = None, sample_weight: Any = None) -> Dataset:
    """A data set as it is, or one made of arrays."""
    if isinstance(X, Dataset):
        if y is not None or sample_weight is not None:
            raise TypeError("a Dataset brings its own targets and weights; expected y and sample_weight to be None")
        return X
    if y is None:
        raise TypeError("y is None; expected targets beside an array X")
    return ArrayDataset(X, y, sample_weight)
