"""The rows of a stream where they can be read in any order: in memory, or in temporary files where they are many."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.chunks.shards import npy_dataset

#: So many bytes of rows are kept in memory; and of each temporary file of X.
KEPT_BYTES, SHARD_BYTES = 1 << 30, 128 << 20

_Parts = list[tuple[np.ndarray, ...]]


def in_memory(stream: Stream) -> ArrayDataset | None:
    """The rows of a stream in arrays, or None where they take more than `KEPT_BYTES`.

    Raises ValueError where there are none.
    """
    if _is_large(stream):
        return None
    parts, is_all = _parts_of(_copied(stream), KEPT_BYTES)
    return _dataset_of(stream, parts) if is_all else None


@contextmanager
def spooled(stream: Stream) -> Iterator[Dataset]:
    """The rows of a stream, read once: in arrays up to `KEPT_BYTES`, else in .npy files that go at the end.

    Raises ValueError where there are none, and OSError, which names the folder, where the files find no room.
    """
    blocks = _copied(stream)
    parts, is_all = _parts_of(blocks, SHARD_BYTES if _is_large(stream) else KEPT_BYTES)
    if is_all:
        yield _dataset_of(stream, parts)
        return
    with tempfile.TemporaryDirectory(prefix="fastgd-") as folder:
        try:
            shards = _Shards(Path(folder), stream)
            while True:
                shards.add(parts)
                if is_all:
                    break
                parts, is_all = _parts_of(blocks, SHARD_BYTES)
            dataset = shards.dataset()
        except OSError as error:
            error.add_note(
                f"while fastgd wrote the rows of a stream to {folder}, as they are to be read in any order; expected "
                "room for them there, or TMPDIR to name a folder that has it"
            )
            raise
        yield dataset


class _Shards:
    """Files of rows in a folder, one after the other."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self._folder, self._stream = folder, stream
        self._names = ["X", *["y"] * (stream.n_outputs > 0), *["sample_weight"] * stream.has_sample_weight]
        self._paths: dict[str, list[Path]] = {name: [] for name in self._names}

    def add(self, parts: _Parts) -> None:
        """Write parts, which are removed from the list, to files of about `SHARD_BYTES`."""
        while parts:
            taken = [parts.pop(0)]
            while parts and sum(part[0].nbytes for part in taken) < SHARD_BYTES:
                taken.append(parts.pop(0))
            arrays = dict(zip(("X", "y", "sample_weight"), map(np.concatenate, zip(*taken, strict=True)), strict=True))
            for name in self._names:
                path = self._folder / f"{name}-{len(self._paths[name])}.npy"
                # Blocks of a stream may have different dtypes, and the shards of a data set may not.
                np.save(path, arrays[name].astype(self._stream.dtype if name == "X" else np.float64, copy=False))
                self._paths[name].append(path)

    def dataset(self) -> Dataset:
        """All rows that were added."""
        dataset = npy_dataset(*(self._paths.get(name) for name in ("X", "y", "sample_weight")))
        dataset.feature_names = self._stream.feature_names
        return dataset


def _is_large(stream: Stream) -> bool:
    """Whether a stream is known to have more than is kept in memory."""
    return stream.n_samples is not None and stream.n_samples * stream.n_features * stream.dtype.itemsize > KEPT_BYTES


def _copied(stream: Stream) -> Iterator[tuple[np.ndarray, ...]]:
    for block in stream.open():
        yield tuple(np.array(array) for array in block[:3])


def _parts_of(blocks: Iterator[tuple[np.ndarray, ...]], most_bytes: int) -> tuple[_Parts, bool]:
    """The next blocks, up to the first with which they take more bytes, and whether they are all that are left."""
    parts, n_bytes = [], 0
    for arrays in blocks:
        parts.append(arrays)
        n_bytes += sum(array.nbytes for array in arrays)
        if n_bytes > most_bytes:
            return parts, False
    return parts, True


def _dataset_of(stream: Stream, parts: _Parts) -> ArrayDataset:
    if not sum(len(part[0]) for part in parts):
        raise ValueError("the stream has no rows; expected at least one")
    X, y, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    dataset = ArrayDataset(X, y if stream.n_outputs else None, weights if stream.has_sample_weight else None)
    dataset.feature_names = stream.feature_names
    return dataset
