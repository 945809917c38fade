"""Tables as streams: batches of columns, which become blocks of rows."""

import bisect
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from fastgd.data.base import Stream
from fastgd.data.block import Block, FileRow
from fastgd.data.columnar.arrow_columns import NEARLY_NUMBERS, REMEDY, ArrowColumn, Lists, column_of
from fastgd.data.columnar.chosen_columns import ChosenColumns, choose, shown
from fastgd.data.columnar.column_rows import ColumnRows
from fastgd.data.columns import Columns
from fastgd.data.request import Request
from fastgd.data.stamps import Stamps

# Batches outweigh what each costs, mostly for its columns one by one, and are no burden on the memory.
_BATCH_BYTES = 16 << 20
_FEWEST_ROWS, _MOST_ROWS = 1 << 10, 1 << 17


class Batch(NamedTuple):
    """Rows of a table, as they are read.

    columns : pyarrow.RecordBatch, with those that are chosen by their names
    first : int, the row of `place` that it begins with
    place : str, what errors call the file or stream
    """

    columns: Any
    first: int
    place: str


class Table(Stream):
    """Rows of a table, in its order.

    Parameters
    ----------
    schema : pyarrow.Schema
    request : Request
    name : str, what errors call it
    stamps : Stamps, of the files where it has some
    """

    may_lack_names = False

    def __init__(self, schema: Any, request: Request, name: str, stamps: Stamps | None = None) -> None:
        if request.sample_weight is not None:
            raise ValueError("sample_weight is a file beside .npy files; expected weight, the name of a column")
        if request.column_names is not None and not self.may_lack_names:
            raise ValueError(f"column_names are given, and {name} has names of its own; expected none")
        self.name, self._stamps = name, stamps
        # Where the rows of another file begin, as (row, row of the file, file), once they have been read.
        self._begins: list[tuple[int, int, str]] = []
        self.chosen = choose(request, schema.names, name, _index_names(schema))
        self.types = {each: str(schema.field(each).type) for each in self.chosen.all}
        #: Those of the features that hold no numbers, and were taken all the same.
        refused = _refused(schema, self.chosen) if request.takes_any else ()
        self.others = tuple(each for each in refused if each in self.chosen.features)
        #: Those of them that hold text of numbers, but for some values or for the decimal point.
        nearly = _nearly_numbers(schema)
        self.nearly_numbers = tuple(each for each in self.others if each in nearly)
        if self.others:
            self.chosen = self.chosen._replace(categories={**self.chosen.categories, **dict.fromkeys(self.others, 1)})
        self._features, self._targets, self._weight = columns_of(schema, self.chosen, name)
        # What takes the place of a model's columns is called as they are.
        called = self.chosen.features if request.columns is None else request.columns.features
        self.columns = _described(called, self._features, self.chosen, schema)
        self.feature_names = self.columns.feature_names
        self.n_features = len(self.feature_names)
        self.n_outputs = sum(column.width for column in self._targets)
        self.has_sample_weight = self._weight is not None
        self.dtype = np.dtype(_dtype_of(self._features))

    @property
    def batch_rows(self) -> int:
        """How many rows a batch should have."""
        return min(max(_BATCH_BYTES // (8 * len(self.chosen.all)), _FEWEST_ROWS), _MOST_ROWS)

    @abstractmethod
    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """The table's rows from number `cursor` on."""

    def open(self, cursor: int = 0) -> Iterator[Block]:
        """As `Stream.open`: views of the batches' columns, which become rows where they are needed."""
        n_rows = cursor
        with closing(self.batches(cursor)) as batches:
            for batch in batches:
                self._note_place(n_rows, batch)
                if batch.columns.num_rows:
                    yield self._block(batch)
                    n_rows += batch.columns.num_rows
        if self.n_samples is None:
            self.n_samples = n_rows
        elif n_rows != self.n_samples:
            self._refuse_size(n_rows)

    def require_unchanged(self) -> None:
        """As `Stream.require_unchanged`."""
        if self._stamps is not None:
            self._stamps.require_same()

    def null_counts(self) -> dict[str, int] | None:
        """How many nulls each of the chosen columns has, where the files say so without being read; else None."""
        return None

    def row_number(self, row: int) -> int:
        """As `Stream.row_number`; of several files, the row of a file, printed with its name."""
        if not self._begins or self._begins[0][2] == self._begins[-1][2]:
            return row
        begin, first, place = self._begins[bisect.bisect_right(self._begins, row, key=lambda each: each[0]) - 1]
        return FileRow.of(first + row - begin, place)

    def _note_place(self, row: int, batch: Batch) -> None:
        """Remember where the rows of a file begin."""
        k = bisect.bisect_right(self._begins, row, key=lambda each: each[0])
        if k == 0 or self._begins[k - 1][2] != batch.place:
            self._begins.insert(k, (row, batch.first, batch.place))

    def _refuse_size(self, n_rows: int) -> None:
        raise ValueError(f"{self.name} has {n_rows} rows and had {self.n_samples}; expected the same rows each time")

    def require_columns(self, schema: Any, place: str) -> None:
        """Raise an error unless a part of the table with its own schema has the columns of the others."""
        missing = [name for name in self.chosen.all if schema.get_field_index(name) < 0]
        if missing:
            raise ValueError(f"{place} has no column {missing[0]!r}; expected the columns of {self.name}")
        features, targets, _ = columns_of(schema, self.chosen, place)
        for mine, its in zip((*self._features, *self._targets), (*features, *targets), strict=True):
            if mine.width != its.width:
                raise ValueError(
                    f"column {mine.name!r} of {place} has {its.width} numbers a row; expected {mine.width}"
                )
        if _dtype_of(features) == np.float64:
            self.dtype = np.dtype(np.float64)

    def _block(self, batch: Batch) -> Block:
        columns, first, place = batch

        def row_name(row: int) -> str:
            return f"row {first + row} of {place}"

        def rows_of(wanted: Sequence[ArrowColumn], dtype: DTypeLike = np.float64) -> ColumnRows | np.ndarray:
            parts = [column.part(columns.column(column.name), row_name) for column in wanted]
            if len(parts) == 1 and isinstance(parts[0], np.ndarray):
                return parts[0]
            return ColumnRows(parts, columns.num_rows, dtype)

        X, y = rows_of(self._features, self.dtype), rows_of(self._targets)
        weights = np.empty(0) if self._weight is None else np.asarray(rows_of([self._weight])).reshape(-1)
        return Block(X, y, weights)


def read_from(columns: Iterator[Any], first: int, place: str) -> Generator[Batch, None, None]:
    """Record batches of a file or stream, from its row `first` on; errors say where they occurred."""
    while True:
        try:
            batch = next(columns)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"{place} cannot be read from row {first} on: {' '.join(str(error).split())}") from error
        yield Batch(batch, first, place)
        first += batch.num_rows


def skip(batches: Iterator[Batch], n_rows: int) -> Iterator[Batch]:
    """The batches without so many rows."""
    for batch in batches:
        n_skipped = min(n_rows, batch.columns.num_rows)
        n_rows -= n_skipped
        if n_skipped < batch.columns.num_rows:
            yield Batch(batch.columns.slice(n_skipped), batch.first + n_skipped, batch.place)
    if n_rows:
        raise ValueError(f"the rows end {n_rows} rows before the one to go on from; expected the same rows each time")


def name_of(paths: Sequence[Path], folder: Path | None) -> str:
    """What errors call files."""
    return str(paths[0]) if len(paths) == 1 else str(folder or f"{paths[0]} and the other files")


def columns_of(
    schema: Any, chosen: ChosenColumns, table: str
) -> tuple[list[ArrowColumn], list[ArrowColumn], ArrowColumn | None]:
    """How the chosen columns of a table with a schema become features, targets and weights."""

    def column(name: str, is_target: bool = False) -> ArrowColumn:
        try:
            is_of_model = chosen.are_of_model and not is_target
            found = column_of(_field(schema, name, chosen), chosen.categories.get(name), is_target, is_of_model)
        except TypeError as error:
            apart = {name} | _nearly_numbers(schema)
            others = [other for other in _refused(schema, chosen) if other not in apart]
            either = f". No numbers are in {shown(others)}, either; categories='auto' takes all words" if others else ""
            raise TypeError(f"{table}: {error}{either}") from error.__cause__
        if name in chosen.fills:
            found.fill_nulls_with(chosen.fills[name])
        found.ignores_unknown = chosen.ignores_unknown and not is_target
        return found

    features, targets = [column(name) for name in chosen.features], [column(name, True) for name in chosen.targets]
    weight = None if chosen.weight is None else column(chosen.weight)
    if weight is not None and weight.width > 1:
        raise ValueError(f"{table}: weight is column {chosen.weight!r}, which holds lists; expected a number a row")
    return features, targets, weight


def _described(called: tuple[str, ...], features: Sequence[ArrowColumn], chosen: ChosenColumns, schema: Any) -> Columns:
    """The chosen columns, of which those of X are called so."""
    pairs = list(zip(called, features, strict=True))
    categories = {name: chosen.categories[column.name] for name, column in pairs if column.name in chosen.categories}
    lists = {name: column.width for name, column in pairs if isinstance(column, Lists)}
    fills = {name: chosen.fills[column.name] for name, column in pairs if column.name in chosen.fills}
    truths = {name: [False, True] for name in chosen.targets if schema.field(name).type == pa.bool_()}
    labels = truths | {name: chosen.categories[name] for name in chosen.targets if name in chosen.categories}
    return Columns(called, categories, lists, chosen.targets, fills, labels)


def _refused(schema: Any, chosen: ChosenColumns) -> tuple[str, ...]:
    """The columns that cannot become numbers."""
    found = []
    for name in chosen.all:
        try:
            column_of(_field(schema, name, chosen), chosen.categories.get(name), name in chosen.targets)
        except TypeError:
            found.append(name)
    return tuple(found)


def _field(schema: Any, name: str, chosen: ChosenColumns) -> Any:
    """A column; where all that was seen of it is null and filled with numbers, one of these."""
    field = schema.field(name)
    return field.with_type(pa.float64()) if name in chosen.fills and pa.types.is_null(field.type) else field


def _nearly_numbers(schema: Any) -> set[str]:
    """Columns of text that hold numbers, but for some values or for the decimal point."""
    return {field.name for field in schema if {NEARLY_NUMBERS, REMEDY} & set(field.metadata or ())}


def _dtype_of(columns: Sequence[ArrowColumn]) -> type:
    return np.float32 if all(column.is_short for column in columns) else np.float64


def _index_names(schema: Any) -> list[str]:
    """Columns that pandas writes its index into, which is no feature unless named."""
    described = schema.pandas_metadata or {}
    return [name for name in described.get("index_columns", []) if isinstance(name, str)]
