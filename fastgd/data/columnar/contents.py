"""What a table holds, as one pass over it tells: how many rows and nulls, and the values that are no numbers."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fastgd.data.columnar.table import Table
from fastgd.data.files import Request, is_auto, listed

# Of values, by default.
_MOST_VALUES = 1000


class Contents(NamedTuple):
    """The rows of a table.

    null_counts : int by each column that is chosen
    values : of columns, sorted; None where there are too many, or where they are lists and the like
    """

    n_rows: int
    null_counts: dict[str, int]
    values: dict[str, list[Any] | None]


def contents_of(table: Table, most: float = _MOST_VALUES, names: Sequence[str] | None = None) -> Contents:
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
    return Contents(
        n_rows, null_counts, {name: None if known is None else sorted(known) for name, known in values.items()}
    )


def _with(known: set, column: pa.Array, most: float) -> set | None:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        found = known.union(pc.unique(column.drop_null()).to_pylist())
    except (pa.ArrowNotImplementedError, TypeError):
        return None
    return found if len(found) <= most else None


def with_values_found(make: Callable[[Request], Table], request: Request) -> Request:
    """A request with lists in place of "auto": the values that columns of categories have, found in a pass over them.

    A null is None, the last of them, but for targets, which have none. Raises a ValueError for more values than are
    worth a column each, and for rows that can be read only once.

    make : gives the table of a request
    """
    declared = request.declared
    names = tuple(name for name, categories in declared.items() if is_auto(categories))
    if not names:
        return request
    alone = Request(features=names, folder=request.folder, column_names=request.column_names, takes_any=True)
    try:
        table = make(alone)
    except ValueError:
        # What is wrong with a name is said of categories, not of features.
        make(request._replace(categories={**declared, **dict.fromkeys(names, 1)}))
        raise
    if getattr(table, "is_read_once", False):
        raise ValueError(
            f"categories of column {names[0]!r} are to be found, and the rows can be read only once; expected a list "
            "of them, or a callable that gives the rows anew each time"
        )
    _, null_counts, values = contents_of(table, names=names)
    for name, known in values.items():
        if known is None:
            raise ValueError(
                f"categories of column {name!r} are to be found, and it has more than {_MOST_VALUES}; expected "
                f"drop=[{name!r}], a list of values, or a number of hashes, categories={{{name!r}: 64}}"
            )
    with_null = [name for name in names if null_counts[name] and name not in listed(request.target, "target")]
    found = {name: [*known, None] if name in with_null else known for name, known in values.items()}
    return request._replace(categories={**declared, **found})
