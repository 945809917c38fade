"""What columns hold that training refuses, such as words: which values, and how many nulls."""

from contextlib import closing
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fastgd.data.columnar.table import Table

# More values are not counted.
_MOST_VALUES = 1000


class Values(NamedTuple):
    """The values of a column.

    known : list of str, sorted, or None where there are more than a thousand, or where they are lists and the like
    n_nulls : int
    """

    known: list[str] | None
    n_nulls: int


def values_of(table: Table) -> dict[str, Values]:
    """Those of the columns of a table that are `others`, in one pass over it."""
    known: dict[str, set | None] = {name: set() for name in table.others}
    n_nulls = dict.fromkeys(table.others, 0)
    with closing(table.batches(0)) as batches:
        for batch in batches:
            for name in table.others:
                column = batch.columns.column(name)
                n_nulls[name] += column.null_count
                if known[name] is not None:
                    known[name] = _with(known[name], column)
    return {name: Values(_sorted(known[name]), n_nulls[name]) for name in table.others}


def _with(known: set, column: pa.Array) -> set | None:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        found = known.union(pc.unique(column.drop_null()).to_pylist())
    except (pa.ArrowNotImplementedError, TypeError):
        return None
    return found if len(found) <= _MOST_VALUES else None


def _sorted(known: set | None) -> list[str] | None:
    return None if known is None else [str(value) or "''" for value in sorted(known)]
