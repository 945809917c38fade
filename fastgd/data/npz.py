"""Archives of arrays: X, y and weights as `numpy.savez` writes them, or CSR matrices as SciPy does."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from fastgd.data.arrays import ArrayDataset
from fastgd.data.chunks import sparse_files
from fastgd.data.chunks.sparse_chunks import SparseChunks
from fastgd.data.request import Request
from fastgd.data.stamps import Stamps

_NAMES = ("X", "y", "sample_weight")


class HeldArchive(ArrayDataset):
    """Rows of an archive of arrays, all in memory, which has to stay as it was read."""

    def __init__(self, path: Path) -> None:
        self._stamps = Stamps([path])
        try:
            with np.load(path, allow_pickle=False) as archive:
                others = [name for name in archive.files if name not in _NAMES]
                arrays = [archive.get(name) for name in _NAMES]
        except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} cannot be read as an archive of arrays of numbers: {error}") from error
        if others:
            raise ValueError(f"{path} holds {others[0]!r}; expected X, y and sample_weight, or some of them, alone")
        super().__init__(*arrays)

    def require_whole(self) -> None:
        """As `Dataset.require_unchanged`: also where several epochs are one pass."""
        self._stamps.require_same()


def open_npz(paths: list[Path], request: Request) -> HeldArchive | SparseChunks:
    """As `open`, of X, y and sample_weight as `numpy.savez` names them; or of CSR matrices, one a shard, whose target
    and weights are .npy paths.
    """
    if len(paths) > 1 or "X" not in _names_in(paths[0]):
        return sparse_files.open_npz(paths, request)
    request.require_only(kind="numpy.savez's")
    return HeldArchive(paths[0])


def _names_in(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, RuntimeError):
        # `sparse_files` says what is wrong with it.
        return []
