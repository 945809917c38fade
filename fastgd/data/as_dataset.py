"""What users give as rows, as a data set or a stream."""

from typing import Any

from numpy.typing import ArrayLike

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.sparse import SparseDataset, is_sparse


def array_dataset(X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> ArrayDataset:
    """A data set of arrays, whose X may be sparse."""
    return (SparseDataset if is_sparse(X) else ArrayDataset)(X, y, sample_weight)


def as_rows(X: Any, y: Any = None, sample_weight: Any = None) -> Dataset | Stream:
    """A data set or stream as it is, or a data set made of arrays, whose X may be sparse."""
    if isinstance(X, Dataset | Stream):
        if y is not None or sample_weight is not None:
            kind = "Dataset" if isinstance(X, Dataset) else "Stream"
            raise TypeError(f"a {kind} brings its own targets and weights; expected y and sample_weight to be None")
        return X
    if y is None:
        raise TypeError("y is None; expected targets beside an array X")
    return array_dataset(X, y, sample_weight)


def as_dataset(X: Any, y: Any = None, sample_weight: Any = None) -> Dataset:
    """A data set as it is, or one made of arrays, whose X may be sparse."""
    rows = as_rows(X, y, sample_weight)
    if isinstance(rows, Stream):
        raise TypeError(f"X is a {type(X).__name__}, and only Trainer.fit takes a Stream; expected arrays or a Dataset")
    return rows
