"""Arrow and Feather files, read record batch by record batch.

They are read through the file, which takes no longer than to map it, and makes one that becomes shorter meanwhile an
error and no signal. Only where a batch is too large to be in memory is it a map that it is read from, part by part.
"""

import itertools
import mmap
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fastgd.data.columnar.table import Batch, Table, name_of, read_from, skip
from fastgd.data.request import Request
from fastgd.data.stamps import Stamps

# How files begin whose batches may be read in any order, and Feather files of before Arrow.
_ANY_ORDER, _OLD_FEATHER = b"ARROW1", b"FEA1"
# Larger batches are mapped. Pages of a map count as the process's memory until so many are given back.
_MAPPED_BYTES = 64 << 20


class ArrowTable(Table):
    """Rows of Arrow files, one file after the other.

    Attributes
    ----------
    starts : (n_batches,) int64, the rows that record batches begin with, or None where a file is a stream
    """

    def __init__(self, paths: list[Path], request: Request) -> None:
        self._paths, stamps = paths, Stamps(paths)
        # Of each file, the rows that its batches begin with, and their end; None for a stream.
        self._starts: list[np.ndarray | None] = []
        self._are_large: list[bool] = []
        for path in paths:
            file = _File(path, is_mapped=True)
            if not self._starts:
                super().__init__(file.schema, request, name_of(paths, request.folder), stamps)
            else:
                self.require_columns(file.schema, str(path))
            self._starts.append(file.starts())
            self._are_large.append(file.is_large())
        known = [starts for starts in self._starts if starts is not None]
        if len(known) == len(paths):
            firsts = np.cumsum([0, *(starts[-1] for starts in known)], dtype=np.int64)
            self.n_samples = int(firsts[-1])
            self.starts = np.concatenate([first + starts[:-1] for first, starts in zip(firsts, known, strict=False)])

    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """As `Table.batches`, where batches may be read in any order without those before."""
        left, rest = cursor, list(zip(self._paths, self._starts, self._are_large, strict=True))
        while rest and rest[0][1] is not None and left >= rest[0][1][-1]:
            left -= int(rest.pop(0)[1][-1])
        number = 0
        if rest and rest[0][1] is not None:
            starts = rest[0][1]
            number = int(np.searchsorted(starts, left, side="right")) - 1
            left -= int(starts[number])
        numbers = (number, *itertools.repeat(0, len(rest)))
        read = (self._read(*file, number) for file, number in zip(rest, numbers, strict=False))
        yield from skip(itertools.chain.from_iterable(read), left)

    def null_counts(self) -> dict[str, int]:
        """As `Table.null_counts`: record batches say so; where they are not compressed, no more of them is read."""
        counts = dict.fromkeys(self.chosen.all, 0)
        for path in self._paths:
            for batch in read_from(_File(path, is_mapped=True).batches(), 0, str(path)):
                for name in counts:
                    counts[name] += batch.columns.column(name).null_count
        return counts

    def _read(self, path: Path, starts: np.ndarray | None, is_large: bool, number: int) -> Iterator[Batch]:
        """The batches of a file from one of them on."""
        file = _File(path, self.chosen.all, is_mapped=is_large)
        self.require_columns(file.schema, str(path))
        now = file.starts()
        if starts is not None and not np.array_equal(now, starts):
            raise ValueError(f"{path} has other record batches than before; expected a file that stays as it is")
        first = 0 if starts is None else int(starts[number])
        n_bytes = 0
        for batch in read_from(file.batches(number, first), first, str(path)):
            for start in range(0, batch.columns.num_rows, self.batch_rows):
                columns = batch.columns.slice(start, self.batch_rows)
                file.require_whole(batch.first + start)
                yield Batch(columns, batch.first + start, batch.place)
                n_bytes += columns.nbytes
                if n_bytes > _MAPPED_BYTES:
                    file.release()
                    n_bytes = 0


class _File:
    """A file of record batches; where it is mapped, they hold their part of the map as long as they live.

    schema : pyarrow.Schema, of the columns that are wanted: by default, all
    """

    def __init__(self, path: Path, names: tuple[str, ...] | None = None, is_mapped: bool = False) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        try:
            with path.open("rb") as file:
                begin = file.read(max(len(_ANY_ORDER), len(_OLD_FEATHER)))
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if is_mapped and begin else None
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is gone; expected a file that stays where it is") from None
        if not begin:
            raise ValueError(f"{path} is empty; expected an Arrow file")
        if begin.startswith(_OLD_FEATHER):
            raise ValueError(
                f"{path} is a Feather file of version 1; expected version 2, as pandas and polars write it"
            )
        self._is_in_any_order = begin.startswith(_ANY_ORDER)
        self._reader = self._opened([])
        self.schema = self._reader.schema
        if names is not None and not is_mapped:
            # The others are left out. Of a map, they are not looked at, and what is would be copied by being chosen.
            places = [self.schema.get_field_index(name) for name in names]
            self._reader = self._opened([place for place in places if place >= 0])

    def _opened(self, fields: list[int]) -> Any:
        """A reader of some columns, or of all."""
        open_reader = pa.ipc.open_file if self._is_in_any_order else pa.ipc.open_stream
        # In one thread: another one trains meanwhile.
        options = pa.ipc.IpcReadOptions(included_fields=sorted(fields), use_threads=False)
        try:
            source = pa.OSFile(str(self._path)) if self._map is None else pa.BufferReader(pa.py_buffer(self._map))
            return open_reader(source, options=options)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self._path} cannot be read as an Arrow file: {error}") from error

    def is_large(self) -> bool:
        """Whether it is better mapped: a batch that lies in the map is large."""
        if len(self._map) <= _MAPPED_BYTES:
            return False
        memory = pa.py_buffer(self._map)
        for batch in read_from(self.batches(), 0, str(self._path)):
            buffers = [each for column in batch.columns.columns for each in column.buffers() if each and each.size]
            if any(not memory.address <= each.address < memory.address + memory.size for each in buffers):
                return False
            if batch.columns.nbytes > _MAPPED_BYTES:
                return True
        return False

    def starts(self) -> np.ndarray | None:
        """The rows that its batches begin with, and their end; None for a stream."""
        if not self._is_in_any_order:
            return None
        if not len(self.schema):
            return np.zeros(1, np.int64)
        # Of the narrowest column alone: it may be compressed.
        narrowest = min(range(len(self.schema)), key=lambda k: _bits(self.schema.field(k).type))
        reader = self._opened([narrowest])
        batches = read_from((reader.get_batch(k) for k in range(reader.num_record_batches)), 0, str(self._path))
        return np.cumsum([0, *(batch.columns.num_rows for batch in batches)], dtype=np.int64)

    def batches(self, number: int = 0, first: int = 0) -> Iterator[Any]:
        """Its batches from one of them on, whose first row is that."""
        if self._is_in_any_order:
            read = (self._reader.get_batch(k) for k in range(number, self._reader.num_record_batches))
        else:
            read = iter(self._reader)
        while True:
            self.require_whole(first)
            batch = next(read, None)
            if batch is None:
                return
            yield batch
            first += batch.num_rows

    def require_whole(self, row: int) -> None:
        """Raise a ValueError where a map is longer than the file is now: to look there would end the process."""
        if self._map is not None and self._map.size() < len(self._map):
            raise ValueError(
                f"{self._path} has become shorter while it was read from row {row} on; expected a file that stays as "
                "it is"
            )

    def release(self) -> None:
        """Give the pages back that were used; the file still holds them."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _bits(type_: Any) -> int:
    try:
        return type_.bit_width
    except ValueError:
        return 1 << 20


def open_arrow(paths: list[Path], request: Request) -> ArrowTable:
    """As `open`, of Arrow and Feather files."""
    return ArrowTable(paths, request)
