"""CSV files, read block by block under one schema."""

import codecs
import contextlib
import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from fastgd.data.columnar.arrow_columns import EXAMPLE, NEARLY_NUMBERS, REMEDY
from fastgd.data.columnar.table import Batch, Table, name_of, read_from, skip
from fastgd.data.request import Request, listed
from fastgd.data.stamps import Stamps
from fastgd.errors import warn

# Types are found on so many bytes of the first file.
_SAMPLE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
# What is taken for nulls in columns of numbers; and whether these are such is told by so many values.
_NULLS, _LOOKED_AT = frozenset(pa_csv.ConvertOptions().null_values), 1000

# Of a first column.
_INDEX_NAMES = ("", "Unnamed: 0")
_IN_UTF_8 = "a file in UTF-8, as iconv -f LATIN1 -t UTF-8 makes of one in Latin-1"
_POINTS = "Write numbers with a point, as pandas.read_csv(..., decimal=',') and to_csv make of those with a comma"
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)


class CSVTable(Table):
    """Rows of CSV files, one file after the other. The first line names the columns, unless the request does.

    What is a number in the first rows is read as float64 in all, so that 4.5 may follow 4. Nothing between delimiters
    or quotes, and NA, null and the like, are nulls, in columns of words too, as they are to pandas and R.
    """

    may_lack_names = True

    def __init__(self, paths: list[Path], request: Request) -> None:
        self._paths, stamps = paths, Stamps(paths)
        self._names = None if request.column_names is None else list(request.column_names)
        self._delimiter = _delimiter(paths[0])
        sample = self._sample(paths[0])
        declared, fills = request.declared, request.filled
        fields = [field.with_type(_declared(field, declared.get(field.name), field.name in fills)) for field in sample]
        super().__init__(pa.schema(fields, sample.metadata), request, name_of(paths, request.folder), stamps)
        is_named = request.columns is not None or request.features is not None
        first = sample.names[0]
        if sample.pandas_metadata and not is_named and first not in (*self.chosen.all, *listed(request.drop, "drop")):
            called = f"is called {first!r}, as pandas calls an index" if first else "has no name, as an index has none"
            warn(f"the first column of {paths[0]} {called}: it is left out (features=[{first!r}, ...] takes it)")
        chosen = set(self.chosen.all)
        self._types = {field.name: field.type for field in fields if field.name in chosen}

    def batches(self, cursor: int) -> Generator[Batch, None, None]:
        """As `Table.batches`; rows before are read, too."""
        yield from skip(itertools.chain.from_iterable(map(self._read, self._paths)), cursor)

    def _read(self, path: Path) -> Iterator[Batch]:
        options = pa_csv.ConvertOptions(
            column_types=self._types, include_columns=list(self._types), strings_can_be_null=True
        )
        yield from read_from(self._record_batches(path, options), 0, str(path))

    def _record_batches(self, path: Path, options: Any) -> Iterator[Any]:
        try:
            with self._opened(path, _BLOCK_BYTES, options) as reader:
                yield from reader
        except pa.ArrowKeyError:
            raise ValueError(f"{path} has not the columns {list(self._types)}; expected those of {self.name}") from None
        except pa.ArrowInvalid as error:
            raise self._explained(error, path) from error

    def _sample(self, path: Path) -> Any:
        """The schema that the first rows of a file seem to have."""
        try:
            with _decompressed(path), self._opened(path, _SAMPLE_BYTES, pa_csv.ConvertOptions()) as reader:
                schema, names = reader.schema, reader.schema.names
                first_rows = next(iter(reader), None)
        except pa.ArrowInvalid as error:
            raise self._explained(error, path) from error
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line 1 of {path} holds {error.object!r}, which is not UTF-8; expected {_IN_UTF_8}"
            ) from error
        if self._names is None and all(map(_is_number, names)):
            raise ValueError(
                f"the first line of {path} holds numbers, {self._delimiter.join(names[:6])}; expected names, or "
                "column_names=[...]"
            )
        if first_rows is None or not first_rows.num_rows:
            raise ValueError(f"{path} has no rows; expected at least one")

        def line_of(row: int) -> int:
            return _line_of(path, row + (1 if self._names else 2))

        columns = zip(schema, first_rows.columns, strict=True)
        fields = [_with_example(field, column, line_of, self._delimiter) for field, column in columns]
        # So pandas and R write an index, or the rows' names, or what they read of one; and so pandas marks an index in
        # other files.
        has_index = self._names is None and names[0] in _INDEX_NAMES and names.count(names[0]) == 1
        return pa.schema(fields, {"pandas": json.dumps({"index_columns": names[:1]})} if has_index else None)

    def _opened(self, path: Path, block_size: int, options: Any) -> Any:
        # In one thread, which is what tells errors the line.
        read_options = pa_csv.ReadOptions(use_threads=False, block_size=block_size, column_names=self._names)
        parse_options = pa_csv.ParseOptions(delimiter=self._delimiter)
        try:
            return pa_csv.open_csv(path, read_options, parse_options, options)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is gone; expected a file that stays where it is") from None

    def _explained(self, error: Exception, path: Path) -> ValueError:
        """An error of pyarrow's, with the file, the line and the column's name."""
        text, names = str(error), self._names or _first_names(path, self._delimiter)
        line = re.search(r"Row #(\d+)", text)
        column = re.search(r"In CSV column #(\d+)", text)
        value = re.search(r"conversion error to (\S+): invalid value '(.*)'", text, re.DOTALL)
        place = f"line {_line_of(path, int(line[1]))} of {path}" if line else str(path)
        if "Empty CSV file" in text:
            return ValueError(f"{path} is empty; expected a line of names, and rows")
        width = re.search(r"Expected (\d+) columns, got (\d+): (.*)", text, re.DOTALL)
        if width is not None:
            found = f"{width[2]} value{'' if width[2] == '1' else 's'}"
            return ValueError(f"{place} has {found}, {width[3]!r}; expected {width[1]}, one for each column")
        if column is None:
            return ValueError(f"{place} cannot be read: {text}")
        name = names[int(column[1])] if int(column[1]) < len(names) else column[1]
        if "invalid UTF8" in text:
            return ValueError(f"column {name!r} is not UTF-8 in {place}; expected {_IN_UTF_8}")
        if value is None:
            return ValueError(f"{place} cannot be read: {text}")
        return ValueError(
            f"column {name!r} holds {value[2]!r} in {place}, and numbers in the first rows (as {value[1]}); expected a "
            f"number, or drop=[{name!r}]"
        )


def open_csv(paths: list[Path], request: Request) -> CSVTable:
    """As `open`, of CSV files."""
    return CSVTable(paths, request)


def _declared(field: Any, categories: Sequence[Any] | int | None, is_filled: bool) -> Any:
    """The type of a column of which the first rows look like a field.

    is_filled : whether numbers take the place of its nulls
    """
    if categories is None:
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        return pa.float64() if is_number or (is_filled and pa.types.is_null(field.type)) else field.type
    if isinstance(categories, int):
        return pa.large_string()
    type_ = pa.array(list(categories)).type
    return pa.large_string() if pa.types.is_null(type_) else type_


def _with_example(field: Any, values: Any, line_of: Callable[[int], int], delimiter: str) -> Any:
    """A column of text with the first value that is neither number nor null, or not UTF-8, for errors.

    line_of : the line that a row is in
    """
    # What pyarrow calls text that is not UTF-8.
    is_binary = pa.types.is_binary(field.type)
    if not is_binary and not pa.types.is_string(field.type):
        return field
    is_fine = _is_utf_8 if is_binary else _is_number_or_null
    texts = values.to_pylist()
    place = next((k for k, text in enumerate(texts) if text and not is_fine(text)), None)
    if place is None:
        return field
    text = texts[place]
    note = f", which is not UTF-8 (expected {_IN_UTF_8})" if is_binary else ""
    metadata = {EXAMPLE: f"{text!r} in line {line_of(place)}{note}"}
    if not is_binary:
        if delimiter != "," and _DECIMAL_COMMA.fullmatch(text.strip()):
            metadata[REMEDY] = _POINTS
        elif _are_nearly_numbers(texts[: max(_LOOKED_AT, place + 1)]):
            metadata[NEARLY_NUMBERS] = ""
    return field.with_metadata(metadata)


def _are_nearly_numbers(texts: list[str]) -> bool:
    """Whether nine in ten values are, nulls apart."""
    numbers = [_is_number(text) for text in texts if text and text not in _NULLS]
    return sum(numbers) >= 0.9 * len(numbers)


@contextlib.contextmanager
def _decompressed(path: Path) -> Iterator[None]:
    """Inside, a file that cannot be decompressed is a ValueError."""
    try:
        yield
    except OSError as error:
        # The system's own errors have a number.
        if error.errno is not None:
            raise
        raise ValueError(
            f"{path} cannot be decompressed: {error}; expected a whole file, of the kind its name says"
        ) from error


def _delimiter(path: Path) -> str:
    """What stands between the names in the first line."""
    with _decompressed(path), pa.input_stream(str(path), compression="detect") as file:
        begin = file.read(1 << 16)
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} is in UTF-16; expected a file in UTF-8, as iconv -f UTF-16 -t UTF-8 makes of it")
    line = begin.split(b"\n", 1)[0].decode(errors="replace")
    return "\t" if ".tsv" in path.suffixes else max(_DELIMITERS, key=line.count)


def _first_names(path: Path, delimiter: str) -> list[str]:
    """What the first line of a file calls the columns; none where it cannot be read."""
    try:
        with pa.input_stream(str(path), compression="detect") as file:
            line = io.BufferedReader(file).readline()
        return next(csv.reader([line.decode("utf-8-sig")], delimiter=delimiter), [])
    except (OSError, UnicodeDecodeError):
        return []


def _line_of(path: Path, row: int) -> int:
    """The line that a row is in, from 1, as pyarrow counts them: those that are not empty, names among them."""
    with pa.input_stream(str(path), compression="detect") as file:
        lines = (number for number, line in enumerate(io.BufferedReader(file), 1) if line.strip(b"\r\n"))
        return next(itertools.islice(lines, row - 1, None), row)


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_number_or_null(text: str) -> bool:
    return text in _NULLS or _is_number(text)
