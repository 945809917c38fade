"""What a table is asked for by "auto" and "mean": the categories of columns and their means, as a pass finds them."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fastgd.data.columnar.arrow_columns import decoded
from fastgd.data.columnar.contents import MOST_VALUES, contents_of
from fastgd.data.columnar.table import Table
from fastgd.data.request import Request, is_auto, is_mean, listed

Maker = Callable[[Request], Table]

# What pyarrow calls text; and so many values may be those of a few rows: of more, most have to come more than once.
_TEXT, _FEW_VALUES = ("string", "large_string", "string_view"), 20


def with_values_found(make: Maker, request: Request) -> Request:
    """A request with lists in place of "auto", and with numbers in place of "mean".

    The lists hold the values that columns have; a null is None, the last of them, but for targets, which have none.
    Raises a ValueError for more values than are worth a column each, as of names, for columns without a mean, and for
    rows that can be read only once.

    make : gives the table of a request
    """
    declared = request.declared
    if request.finds_words:
        declared = {**dict.fromkeys(_columns_of_words(make, request), "auto"), **declared}
        request = request._replace(categories=declared)
    names = [name for name, categories in declared.items() if is_auto(categories)]
    if names:
        request = request._replace(categories={**declared, **_categories(make, request, names)})
    fills = request.filled
    if is_mean(fills):
        table, features = _of_any_kind(make, request)
        apart = {*table.others, *table.chosen.categories}
        fills = {name: "mean" for name in features if name not in apart}
    names = [name for name, fill in fills.items() if is_mean(fill)]
    return request._replace(fill_nulls={**fills, **(_means(make, request, names) if names else {})})


def _alone(make: Maker, request: Request, names: Sequence[str], role: str, as_text: bool) -> Table:
    """The table of some columns.

    role : what errors call them          as_text : whether files of text have them be that
    """
    alone = Request(features=names, folder=request.folder, column_names=request.column_names, takes_any=True, role=role)
    table = make(alone._replace(categories=dict.fromkeys(names, 1)) if as_text else alone)
    if getattr(table, "is_read_once", False):
        raise ValueError(
            f"{role} of column {names[0]!r} are to be found, and the rows can be read only once; expected them to be "
            "given, or a callable that gives the rows anew each time"
        )
    return table


def _of_any_kind(make: Maker, request: Request) -> tuple[Table, list[str]]:
    """The table with whatever its columns hold, and the features that are asked for."""
    apart = {*listed(request.target, "target"), request.weight}
    declared = {name: each for name, each in request.declared.items() if name not in apart}
    table = make(request._replace(target=None, weight=None, categories=declared, fill_nulls=None, takes_any=True))
    return table, [name for name in table.chosen.features if name not in apart]


def words_in(table: Table) -> list[str]:
    """Those of its `others` that hold text, of which each value may be a category; not dates, rarely the same."""
    kinds = {name: table.types[name].removeprefix("dictionary<values=").partition(",")[0] for name in table.others}
    return [name for name in table.others if kinds[name] in _TEXT]


def are_too_many(values: Sequence[Any] | None, n_rows: int) -> bool:
    """Whether values of so many rows are more than are worth a column each, as names are; None are too many to list."""
    return values is None or (len(values) > _FEW_VALUES and 2 * len(values) > n_rows)


def _columns_of_words(make: Maker, request: Request) -> list[str]:
    """Features that hold text. Of numbers with a stray "?", each would be a word: these are to be named, or mended."""
    table, features = _of_any_kind(make, request)
    words = set(words_in(table)).difference(table.nearly_numbers)
    return [name for name in features if name in words]


def _categories(make: Maker, request: Request, names: Sequence[str]) -> dict[str, list]:
    table = _alone(make, request, names, "categories", as_text=True)
    n_rows, null_counts, values = contents_of(table, names=names)
    if not n_rows:
        raise ValueError(f"{table.name} has no rows; expected at least one")
    for name, known in values.items():
        many = f"more than {MOST_VALUES}, or lists and the like" if known is None else f"{len(known)} in {n_rows} rows"
        if are_too_many(known, n_rows):
            raise ValueError(
                f"categories of column {name!r} are to be found, and it has {many}; expected drop=[{name!r}], a list "
                f"of values, or a number of hashes, categories={{{name!r}: 64}}"
            )
    with_null = [name for name in names if null_counts[name] and name not in listed(request.target, "target")]
    return {name: [*known, None] if name in with_null else known for name, known in values.items()}


def _means(make: Maker, request: Request, names: Sequence[str]) -> dict[str, float]:
    """The mean of what is no null."""
    table = _alone(make, request, names, "fill_nulls", as_text=False)
    if table.others:
        raise ValueError(f"fill_nulls of column {table.others[0]!r} is its mean, and it holds no numbers")
    sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    with closing(table.batches(0)) as batches:
        for batch in batches:
            for name in names:
                column = decoded(batch.columns.column(name))
                counts[name] += len(column) - column.null_count
                sums[name] += pc.sum(column.cast(pa.float64())).as_py() or 0.0
    for name in names:
        if counts[name] == 0:
            raise ValueError(
                f"column {name!r} holds nulls alone; expected drop=[{name!r}], or a number in place of them"
            )
        if not math.isfinite(sums[name]):
            raise ValueError(f"column {name!r} has no mean, as it holds NaN, or infinite numbers; expected numbers")
    return {name: sums[name] / counts[name] for name in names}
