"""What a table holds, as one pass over it tells: how many rows and nulls, and the values that are no numbers."""

import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fastgd.data.columnar.arrow_columns import decoded
from fastgd.data.columnar.table import Table

#: Of values, by default.
MOST_VALUES = 1000


class Contents(NamedTuple):
    """The rows of a table.

    null_counts : int by each column that is chosen
    values : of columns, sorted; None where there are too many, or where they are lists and the like
    """

    n_rows: int
    null_counts: dict[str, int]
    values: dict[str, list[Any] | None]


def contents_of(table: Table, most: float = MOST_VALUES, names: Sequence[str] | None = None) -> Contents:
    """What there is, in one pass.

    most : more values of a column are not counted          names : of the columns to list values of, or `table.others`
    """
    values: dict[str, set | None] = {name: set() for name in (table.others if names is None else names)}
    n_rows, null_counts = 0, dict.fromkeys(table.chosen.all, 0)
    with closing(table.batches(0)) as batches:
        for batch in batches:
            n_rows += batch.columns.num_rows
            for name in null_counts:
                null_counts[name] += batch.columns.column(name).null_count
            for name, known in values.items():
                values[name] = None if known is None else _with(known, batch.columns.column(name), most)
    found = {name: None if known is None else sorted(known, key=_by_size) for name, known in values.items()}
    return Contents(n_rows, null_counts, found)


def _with(known: set, column: pa.Array, most: float) -> set | None:
    try:
        values = pc.unique(decoded(column)).to_pylist()
        found = known.union(_plain(value) for value in values if value is not None)
    except (pa.ArrowNotImplementedError, TypeError):
        return None
    return found if len(found) <= most else None


def _plain(value: Any) -> Any:
    """A value as all that equal it: there are two zeros, and NaN is no value's equal."""
    if not isinstance(value, float):
        return value
    return math.nan if math.isnan(value) else value + 0.0


def _by_size(value: Any) -> tuple[bool, Any]:
    """What values are sorted by: NaN, which has no size, is the last."""
    return (True, 0) if isinstance(value, float) and math.isnan(value) else (False, value)
