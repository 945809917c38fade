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

_Arrays = tuple[np.ndarray, ...]


def in_memory(stream: Stream) -> ArrayDataset:
    """The rows of a stream as a data set: in arrays, up to 1 GB of them, so that they can be shuffled and searched.

    Parameters
    ----------
    stream : Stream
        As `open`, `from_stream` and `from_blocks` give. It is read once, here.

    Returns
    -------
    ArrayDataset
        It knows the names of the columns as the stream does.

    Raises
    ------
    ValueError
        For a stream without rows, or with more than 1 GB of them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import fastgd as gd
    >>> table = pa.table({"price": [3.5, 2.5], "rooms": [4, 2], "size": [100.0, 70.0]})
    >>> rows = gd.data.in_memory(gd.data.from_stream(table, target="price"))
    >>> rows.n_samples, rows.feature_names
    (2, ('rooms', 'size'))
    """
    if not isinstance(stream, Stream):
        raise TypeError(f"stream is a {type(stream).__name__}; expected a Stream, as fastgd.data.open gives of a table")
    found = in_memory_if_small(stream)
    if found is None:
        raise ValueError(
            f"{stream.name} has more than {KEPT_BYTES >> 20} MB of rows; expected fewer, files of several parts, such "
            "as row groups, or a folder of .npy shards"
        )
    return found


def in_memory_if_small(stream: Stream) -> ArrayDataset | None:
    """The rows of a stream in arrays, or None where they take more than `KEPT_BYTES`.

    Raises ValueError where there are none.
    """
    if _is_large(stream):
        return None
    first, is_all = _first(_chunks(stream), KEPT_BYTES)
    return _dataset_of(stream, first) if is_all else None


@contextmanager
def spooled(stream: Stream) -> Iterator[Dataset]:
    """The rows of a stream, read once: in arrays up to `KEPT_BYTES`, else in .npy files that go at the end.

    Raises ValueError where there are none, and OSError, which names the folder, where the files find no room.
    """
    chunks = _chunks(stream)
    first, is_all = _first(chunks, 0 if _is_large(stream) else KEPT_BYTES)
    if is_all:
        yield _dataset_of(stream, first)
        return
    with tempfile.TemporaryDirectory(prefix="fastgd-") as folder:
        shards = _Shards(Path(folder), stream)
        while first:
            shards.write(first.pop(0))
        for arrays in chunks:
            shards.write(arrays)
        yield shards.dataset()


class _Shards:
    """Files of rows in a folder, one after the other."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self._folder, self._stream = folder, stream
        names = ["X", *["y"] * (stream.n_outputs > 0), *["sample_weight"] * stream.has_sample_weight]
        self._paths: dict[str, list[Path]] = {name: [] for name in names}

    def write(self, arrays: _Arrays) -> None:
        """Write rows of X, y and the weights to a file each."""
        named = dict(zip(("X", "y", "sample_weight"), arrays, strict=True))
        for name, paths in self._paths.items():
            paths.append(self._folder / f"{name}-{len(paths)}.npy")
            # Blocks of a stream may have different dtypes, and the shards of a data set may not.
            array = named[name].astype(self._stream.dtype if name == "X" else np.float64, copy=False)
            try:
                np.save(paths[-1], array)
            except OSError as error:
                error.add_note(
                    f"while fastgd wrote the rows of a stream to {self._folder}, as they are to be read in any order; "
                    "expected room for them there, or TMPDIR to name a folder that has it"
                )
                raise

    def dataset(self) -> Dataset:
        """All rows that were written."""
        dataset = npy_dataset(*(self._paths.get(name) for name in ("X", "y", "sample_weight")))
        dataset.feature_names, dataset.columns = self._stream.feature_names, self._stream.columns
        return dataset


def _is_large(stream: Stream) -> bool:
    """Whether a stream is known to have more than is kept in memory."""
    return stream.n_samples is not None and stream.n_samples * stream.n_features * stream.dtype.itemsize > KEPT_BYTES


def _chunks(stream: Stream) -> Iterator[_Arrays]:
    """X, y and the weights of about `SHARD_BYTES` of rows after the other, copied."""
    blocks, n_bytes = [], 0
    for block in stream.open():
        blocks.append(tuple(np.array(array) for array in block[:3]))
        n_bytes += sum(array.nbytes for array in blocks[-1])
        if n_bytes >= SHARD_BYTES:
            yield _joined(blocks)
            blocks, n_bytes = [], 0
    if blocks:
        yield _joined(blocks)


def _joined(parts: list[_Arrays]) -> _Arrays:
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _first(chunks: Iterator[_Arrays], most_bytes: int) -> tuple[list[_Arrays], bool]:
    """The next chunks, up to the first with which they take more bytes, and whether no others are left."""
    taken, n_bytes = [], 0
    for arrays in chunks:
        taken.append(arrays)
        n_bytes += sum(array.nbytes for array in arrays)
        if n_bytes > most_bytes:
            return taken, False
    return taken, True


def _dataset_of(stream: Stream, chunks: list[_Arrays]) -> ArrayDataset:
    if not sum(len(arrays[0]) for arrays in chunks):
        raise ValueError(f"{stream.name} has no rows; expected at least one")
    X, y, weights = _joined(chunks)
    dataset = ArrayDataset(X, y if stream.n_outputs else None, weights if stream.has_sample_weight else None)
    dataset.feature_names, dataset.columns = stream.feature_names, stream.columns
    return dataset
