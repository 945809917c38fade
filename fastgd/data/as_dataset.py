"""What users give as rows, as a data set or a stream."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.sparse import SparseDataset, is_sparse

if TYPE_CHECKING:
    from fastgd.data.chunks.chunked import ChunkedDataset


def array_dataset(
    X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> "ArrayDataset | ChunkedDataset":
    """A data set of arrays, whose X may be sparse, or an array in a file that is read by slices."""
    if is_sliced(X):
        from fastgd.data.chunks.sliced import sliced_dataset

        return sliced_dataset(X, y, sample_weight)
    return (SparseDataset if is_sparse(X) else ArrayDataset)(X, y, sample_weight)


def is_sliced(values: Any) -> bool:
    """Whether an array is one that is read by slices: it says how it is stored in chunks, and nothing of NumPy's."""
    has = all(hasattr(values, name) for name in ("shape", "dtype", "chunks", "__getitem__"))
    return has and not isinstance(values, np.ndarray) and not hasattr(values, "tocsr")


def as_rows(X: Any, y: Any = None, sample_weight: Any = None) -> Dataset | Stream:
    """A data set or stream as it is, or one made of arrays, whose X may be sparse, or of blocks."""
    if type(X) is np.ndarray and y is not None:
        return ArrayDataset(X, y, sample_weight)
    if isinstance(X, Dataset | Stream):
        if y is not None or sample_weight is not None:
            kind = "Dataset" if isinstance(X, Dataset) else "Stream"
            raise TypeError(f"a {kind} brings its own targets and weights; expected y and sample_weight to be None")
        return X
    if y is None and sample_weight is None and gives_blocks(X):
        from fastgd.data.block_stream import BlockStream

        return BlockStream(X)
    if y is None:
        raise TypeError("y is None; expected targets beside an array X")
    return array_dataset(X, y, sample_weight)


def gives_blocks(X: Any) -> bool:
    """Whether X is a function, or gives (X, y), and is no array or frame itself."""
    if callable(X):
        return True
    if isinstance(X, list | tuple):
        return bool(X) and isinstance(X[0], tuple | list) and any(getattr(part, "shape", ()) for part in X[0])
    return isinstance(X, Iterable) and not any(hasattr(X, name) for name in ("shape", "columns", "keys", "__array__"))


def as_dataset(X: Any, y: Any = None, sample_weight: Any = None) -> Dataset:
    """A data set as it is, or one made of arrays, whose X may be sparse."""
    rows = as_rows(X, y, sample_weight)
    if isinstance(rows, Stream):
        raise TypeError(f"X is a {type(X).__name__}, and only Trainer.fit takes a Stream; expected arrays or a Dataset")
    return rows
