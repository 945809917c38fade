"""Where rows come from: `synthetic`, `open`, arrays, and the protocol that they all implement."""

import os
from pathlib import Path

import numpy as np

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset
from fastgd.data.sparse import SparseDataset
from fastgd.data.synthetic import SyntheticDataset as synthetic

__all__ = ["ArrayDataset", "Dataset", "SparseDataset", "open", "synthetic"]


def open(
    path: str | os.PathLike, target: str | os.PathLike | None = None, sample_weight: str | os.PathLike | None = None
) -> ArrayDataset:
    """A data set in .npy files, memory-mapped: only the rows in use are in memory.

    Parameters
    ----------
    path : path of X as .npy, or of a folder that `Dataset.save` wrote
    target : path of y as .npy
        Not for a folder.
    sample_weight : path of the weights as .npy, optional

    Raises
    ------
    ValueError
        For a suffix other than .npy, a file that is no array, or shapes that do not fit.
    """
    path = Path(path)
    if path.is_dir():
        if target is not None or sample_weight is not None:
            raise ValueError(f"{path} is a folder and brings its own y.npy; expected no target and no sample_weight")
        weights = path / "sample_weight.npy"
        return open(path / "X.npy", path / "y.npy", weights if weights.exists() else None)
    return ArrayDataset(*(None if part is None else map_array(part) for part in (path, target, sample_weight)))


def map_array(path: str | os.PathLike) -> np.ndarray:
    """The array in a .npy file, memory-mapped for reading, of numbers or strings.

    Raises ValueError for a suffix other than .npy and for a file that is no array, or one of Python objects.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise ValueError(f"{path} ends in {path.suffix!r}; expected a .npy file, as numpy.save writes it")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        if "Python objects" in str(error):
            raise ValueError(
                f"{path} holds Python objects, which loading could run code of; expected numbers, or strings as saved "
                "by np.save(path, y.astype(str))"
            ) from None
        raise ValueError(f"{path} cannot be read as a .npy array of numbers: {error}") from None
