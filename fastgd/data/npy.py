"""Arrays in .npy files: read through the file, and held where they are small; or memory-mapped."""

import os
from pathlib import Path

import numpy as np

from fastgd.data.arrays import ArrayDataset
from fastgd.data.chunks.chunked import ChunkedDataset
from fastgd.data.chunks.shards import npy_dataset
from fastgd.data.request import Request

# Features of so many bytes are held in memory: a larger file takes about as much while it is read and shuffled.
_HELD_BYTES = 512 << 20


class HeldFiles(ArrayDataset):
    """Rows of files, all of which are in memory, and have to be in the files as they were read."""

    def __init__(self, files: ChunkedDataset) -> None:
        super().__init__(*files.arrays_as_they_lie())
        self._files = files

    def require_whole(self) -> None:
        """As `Dataset.require_unchanged`: also where several epochs are one pass."""
        self._files.require_unchanged()


def open_npy(paths: list[Path], request: Request) -> ArrayDataset | ChunkedDataset:
    """As `open`, of one X.npy, or of several that are shards; target and sample_weight are paths, or as many."""
    request.require_only("target", "sample_weight", kind=".npy")
    rows = npy_dataset(paths if len(paths) > 1 else paths[0], request.target, request.sample_weight)
    is_small = len(paths) == 1 and rows.n_samples * rows.row_bytes <= _HELD_BYTES
    return HeldFiles(rows) if is_small else rows


def open_folder(paths: list[Path], request: Request) -> ArrayDataset:
    """As `open`, of a folder that `Dataset.save` wrote."""
    (folder,) = paths
    if request.target is not None or request.sample_weight is not None:
        raise ValueError(f"{folder} is a folder and brings its own y.npy; expected no target and no sample_weight")
    weights = folder / "sample_weight.npy"
    request = request._replace(target=folder / "y.npy", sample_weight=weights if weights.exists() else None)
    return open_npy([folder / "X.npy"], request)


def map_array(path: str | os.PathLike) -> np.ndarray:
    """The array in a .npy file, memory-mapped for reading, of numbers or strings.

    Raises ValueError for a suffix other than .npy and for a file that is no array, or one of Python objects.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import fastgd as gd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/X.npy", np.eye(3))
    ...     X = gd.data.map_array(f"{folder}/X.npy")
    ...     print(X.shape, X.dtype, X.flags.writeable)
    (3, 3) float64 False
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
