"""Arrays of other libraries that are read by slices, as those of h5py and Zarr are, which lie in files."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgd.data import checks
from fastgd.data.as_dataset import is_sliced
from fastgd.data.block import take_rows
from fastgd.data.chunks.chunked import ChunkedDataset, starts_of
from fastgd.data.request import Request
from fastgd.data.stamps import Stamps

_PARTS = ("X", "y", "sample_weight")


class Sliced:
    """Rows of anything that has a shape and a dtype, and gives an array for array[start:stop].

    array : of shape (n_rows, n_columns) or (n_rows,), of real numbers
    name : what errors call it
    n_dimensions : 1 or 2, what rows are given as; a flat array is a column for 2
    stamps : of the files that it lies in, where they are known
    folder : of these files, where they are those of Zarr
    """

    def __init__(
        self,
        array: Any,
        name: str,
        n_dimensions: int = 2,
        stamps: Stamps | None = None,
        folder: Path | None = None,
    ) -> None:
        self._array, self._name, self._stamps, self._folder = array, name, stamps, folder
        shape, self.dtype = tuple(map(int, array.shape)), np.dtype(array.dtype)
        if self.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {self.dtype}; expected real numbers (floats, integers or booleans)")
        if len(shape) not in (1, n_dimensions) or 0 in shape[1:]:
            expected = "(n_samples,)" if n_dimensions == 1 else "(n_samples, n_columns) or (n_samples,)"
            raise ValueError(f"{name} has shape {shape}; expected {expected}")
        self.shape = (shape[0], *(shape[1:] or (1,))) if n_dimensions == 2 else shape

    @property
    def chunk_rows(self) -> int:
        """How many rows are stored together."""
        chunks = getattr(self._array, "chunks", None)
        rows = chunks[0] if chunks else 1
        return max(int(max(rows) if isinstance(rows, tuple) else rows), 1)

    @property
    def reads_in_parallel(self) -> bool:
        """Libraries have locks of their own, or none."""
        return False

    @property
    def gap_bytes(self) -> int:
        """What is stored together is read together."""
        return self.chunk_rows * self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    def row_number(self, row: int) -> int:
        """As it is."""
        return row

    def require_unchanged(self) -> None:
        """Raise an error where the file is not as it was opened."""
        if self._stamps is not None:
            self._stamps.require_same()

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """out[:] = rows start to stop, converted; errors name the rows."""
        try:
            rows = np.asarray(self._array[start:stop])
            # HDF5 gives zeros for what a file has lost, and Zarr for files that are.
            if self._stamps is not None:
                self._stamps.require_same(self._files_of(start, stop))
        except Exception as error:
            error.add_note(f"while fastgd read rows {start} to {stop} of {self._name}")
            raise
        if len(rows) != stop - start:
            raise ValueError(
                f"{self._name} gave {len(rows)} rows for rows {start} to {stop}, and had {self.shape[0]} rows when it "
                "was opened; expected an array that stays as it is"
            )
        take_rows(rows.reshape(out.shape), slice(0, len(rows)), out=out)

    def _files_of(self, start: int, stop: int) -> list[Path] | None:
        """The files that some rows lie in; None stands for all."""
        if self._folder is None:
            return None
        array = self._array
        if not hasattr(array, "shards"):
            # Before version 3, Zarr did not tell what they are called.
            return []
        sizes = array.shards or array.chunks
        places = [range(start // sizes[0], -(-stop // sizes[0]))]
        places += [range(-(-length // size)) for length, size in zip(array.shape[1:], sizes[1:], strict=True)]
        keys = map(array.metadata.encode_chunk_key, itertools.product(*places))
        return [self._folder / array.path / key for key in keys]


def sliced_dataset(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    names: Sequence[str] = _PARTS,
    feature_names: Any = None,
    stamps: Stamps | None = None,
    folder: Path | None = None,
) -> ChunkedDataset:
    """Rows of arrays that are read by slices; y and the weights may be in memory.

    stamps, folder : as for `Sliced`

    Examples
    --------
    >>> import fastgd as gd
    >>> import h5py  # doctest: +SKIP
    >>> file = h5py.File("rows.h5")  # doctest: +SKIP
    >>> gd.Trainer(model).fit(file["X"], file["y"])  # doctest: +SKIP
    """
    files = {"stamps": stamps, "folder": folder}
    of_X = Sliced(X, names[0], **files)
    if len(X.shape) != 2:
        raise ValueError(f"{names[0]} has shape {tuple(X.shape)}; expected (n_samples, n_features)")
    if y is not None:
        y = Sliced(y if is_sliced(y) else checks.targets(y, of_X.shape[0]), names[1], **files)
    weights = sample_weight
    if weights is not None:
        given = weights if is_sliced(weights) else checks.sample_weights(weights, of_X.shape[0])
        weights = Sliced(given, names[2], n_dimensions=1, **files)
    starts = starts_of(np.array([0, of_X.shape[0]]), of_X, of_X.chunk_rows)
    return ChunkedDataset(of_X, y, weights, starts, feature_names)


def open_hdf5(paths: list[Path], request: Request) -> ChunkedDataset:
    """As `open`, of an HDF5 file: features and target are names of its arrays, by default "X" and "y"."""
    if len(paths) > 1:
        raise ValueError(f"{len(paths)} HDF5 files were given; expected one")
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f'{paths[0]} needs h5py: pip install "fastgd[hdf5]"') from error
    stamps = Stamps(paths)
    try:
        file = h5py.File(paths[0], "r")
    except OSError as error:
        raise OSError(f"{paths[0]} cannot be read as HDF5: {error}") from None
    return _of_group(file, paths[0], request, stamps)


def open_zarr(paths: list[Path], request: Request) -> ChunkedDataset:
    """As `open`, of a Zarr group: features and target are names of its arrays, by default "X" and "y"."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(f'{paths[0]} needs zarr: pip install "fastgd[zarr]"') from error
    stamps = Stamps(path for path in paths[0].rglob("*") if path.is_file())
    group = zarr.open(str(paths[0]), mode="r")
    if hasattr(group, "shape"):
        raise ValueError(f"{paths[0]} is one Zarr array; expected a group of X and y, or Trainer.fit(array, y)")
    return _of_group(group, paths[0], request, stamps, paths[0])


def _of_group(
    group: Any, path: str | os.PathLike, request: Request, stamps: Stamps, folder: Path | None = None
) -> ChunkedDataset:
    request.require_only("target", "sample_weight", "features", "weight", kind="HDF5 and Zarr")
    has_weight = request.sample_weight is not None
    if has_weight and request.weight is not None:
        raise ValueError("sample_weight and weight are given, which are one; expected weight, the name of an array")
    given = (request.features, request.target, request.sample_weight if has_weight else request.weight)
    names = []
    for name, default in zip(given, _PARTS, strict=True):
        if isinstance(name, list | tuple) and len(name) == 1:
            (name,) = name
        if name is None and (default == "X" or default in group):
            name = default
        if name is not None and not isinstance(name, str):
            raise ValueError(f"{name!r} stands for an array of {path}; expected its name, as in 'group/X'")
        if name is not None and (name not in group or not hasattr(group[name], "shape")):
            what = "features" if default == "X" else "target" if default == "y" else "weight"
            raise ValueError(
                f"{path} has no array {name!r}; expected {what}= one of {', '.join(sorted(_arrays_in(group)))}"
            )
        names.append(name)
    arrays = [None if name is None else group[name] for name in names]
    return sliced_dataset(*arrays, names=[f"{name} of {path}" for name in names], stamps=stamps, folder=folder)


def _arrays_in(group: Any, prefix: str = "") -> list[str]:
    """The names of all arrays, with those of the groups that they are in."""
    found = []
    for name in group:
        member = group[name]
        found += [prefix + name] if hasattr(member, "shape") else _arrays_in(member, f"{prefix}{name}/")
    return found
