"""Parquet files, of which a row group or less is in memory at a time."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastgd.data.columnar import hive
from fastgd.data.columnar.table import Batch, Table, name_of, read_from, skip
from fastgd.data.request import Request
from fastgd.data.stamps import Stamps

# Larger row groups are read through buffers of this size, one a column, and not whole, which takes some percent less
# time; pages are in memory whole, of each column one or two.
_READ_WHOLE, _BUFFER_BYTES = 64 << 20, 1 << 16


class _File(NamedTuple):
    """A file of a table.

    starts : (n_row_groups + 1,) int64, the rows of the file that its row groups begin with, and their end
    is_large : bool, whether its row groups are read piece by piece
    keys : mapping, the values of the columns that its folders' names stand for
    """

    path: Path
    starts: np.ndarray
    is_large: bool
    keys: dict[str, Any]

    @property
    def n_rows(self) -> int:
        return int(self.starts[-1])


class ParquetTable(Table):
    """Rows of Parquet files, one file after the other.

    Attributes
    ----------
    starts : (n_row_groups,) int64, the rows that row groups begin with
    """

    def __init__(self, paths: list[Path], request: Request) -> None:
        stamps = Stamps(paths)
        self._keys = hive.types_of(paths, request.folder)
        self._files: list[_File] = []
        first, starts = 0, []
        for path in paths:
            with _opened(path) as file:
                schema = hive.with_keys(file.schema_arrow, self._keys)
                if not self._files:
                    super().__init__(schema, request, name_of(paths, request.folder), stamps)
                else:
                    self.require_columns(schema, str(path))
                self._files.append(_described(path, file.metadata, hive.keys_of(path, request.folder)))
            starts.append(first + self._files[-1].starts[:-1])
            first += self._files[-1].n_rows
        self.n_samples = first
        self.starts = np.concatenate(starts)

    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """As `Table.batches`, without the row groups before."""
        for file in self._files:
            if cursor < file.n_rows:
                yield from skip(*self._batches_of(file, cursor))
            cursor = max(cursor - file.n_rows, 0)

    def null_counts(self) -> dict[str, int] | None:
        """As `Table.null_counts`, by the statistics of the row groups."""
        counts = {name: 0 for name in self.chosen.all if name not in self._keys}
        for file in self._files:
            with _opened(file.path) as opened:
                groups = [opened.metadata.row_group(k) for k in range(opened.metadata.num_row_groups)]
                for column in (group.column(j) for group in groups for j in range(group.num_columns)):
                    path, statistics = column.path_in_schema, column.statistics
                    # That of lists goes on with what they hold.
                    name = path if path in counts else path.split(".")[0]
                    if name in counts:
                        if statistics is None or not statistics.has_null_count:
                            return None
                        counts[name] += statistics.null_count
        return counts

    def _batches_of(self, file: _File, cursor: int) -> tuple[Iterator[Batch], int]:
        """Batches from the row group on that a row of the file is in, and which of their rows it is."""
        group = int(np.searchsorted(file.starts, cursor, side="right")) - 1
        first = int(file.starts[group])
        return self._read(file, group), cursor - first

    def _read(self, file: _File, group: int) -> Iterator[Batch]:
        stored = [name for name in self.chosen.all if name not in self._keys]
        with _opened(file.path, _BUFFER_BYTES if file.is_large else 0) as opened:
            if not np.array_equal(_described(file.path, opened.metadata, {}).starts, file.starts):
                raise ValueError(
                    f"{file.path} has {opened.metadata.num_rows} rows in {opened.metadata.num_row_groups} row groups, "
                    f"and had {file.n_rows} in {len(file.starts) - 1}; expected a file that stays as it is"
                )
            self.require_columns(hive.with_keys(opened.schema_arrow, self._keys), str(file.path))
            wanted = {key: value for key, value in file.keys.items() if key in self.chosen.all}
            for k in range(group, len(file.starts) - 1):
                # All groups that are asked for at once are in memory at once. Order and memory are those of one
                # thread: another one trains meanwhile.
                read = opened.iter_batches(self.batch_rows, row_groups=[k], columns=stored, use_threads=False)
                for batch in read_from(read, int(file.starts[k]), str(file.path)):
                    yield batch._replace(columns=hive.add_keys(batch.columns, wanted, self._keys))


def open_parquet(paths: list[Path], request: Request) -> ParquetTable:
    """As `open`, of Parquet files."""
    return ParquetTable(paths, request)


def _opened(path: Path, buffer_size: int = 0) -> Any:
    # Through the file and not a map of it: one that shrinks meanwhile would end the process.
    try:
        return pq.ParquetFile(path, buffer_size=buffer_size, pre_buffer=buffer_size == 0)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is gone; expected a file that stays where it is") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error


def _described(path: Path, metadata: Any, keys: dict[str, Any]) -> _File:
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64)
    return _File(path, starts, any(group.total_byte_size > _READ_WHOLE for group in groups), keys)
