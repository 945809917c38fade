"""Which columns of a table are features, targets and weights, by name."""

import difflib
import math
import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from fastgd.data.columns import Columns
from fastgd.data.request import Request, listed


class ChosenColumns(NamedTuple):
    """Names of columns.

    features, targets : tuple of str          weight : str, or None
    categories : mapping of some of them to the values that are declared, or to a number of hashes
    are_of_model : whether the features are those that a model was trained on
    fills : mapping of features to the numbers in place of nulls
    ignores_unknown : whether features may hold values that are none of their categories
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    categories: Mapping[str, Sequence[Any] | int]
    are_of_model: bool = False
    fills: Mapping[str, float] = MappingProxyType({})
    ignores_unknown: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read, once."""
        return (*self.features, *self.targets, *(() if self.weight is None else (self.weight,)))


def choose(request: Request, names: Sequence[str], table: str, unless_named: Sequence[str] = ()) -> ChosenColumns:
    """The columns of a table that a request names.

    names : of all columns          table : what errors call it
    unless_named : columns that are features only where a request says so

    Raises ValueError for names that the table has not, or has twice, and for those that stand for two things.
    """
    features, drop = listed(request.features, "features"), listed(request.drop, "drop")
    targets = listed(request.target, "target")
    weight = request.weight
    if weight is not None and not isinstance(weight, str):
        raise TypeError(f"weight is {weight!r}; expected the name of a column")
    categories, known = request.declared, Counter(names)
    if request.columns is not None:
        features = _in_place_of(request.columns, features, drop, names, table)
    elif request.features is not None and drop:
        raise ValueError("features and drop are both given; expected one of them")
    if request.features is not None and not features:
        raise ValueError("features is empty; expected at least one column")
    others = (*targets, *(() if weight is None else (weight,)))
    for role, given in ((request.role, features), ("drop", drop), ("target", targets), ("weight", others)):
        counts = Counter(given)
        for name in given:
            _require_name(name, role, known, table)
            if counts[name] > 1:
                raise ValueError(f"column {name!r} is named twice in {role}; expected each column once")
    if not features:
        left_out = {*others, *drop, *unless_named}
        features = tuple(name for name in names if name not in left_out)
        if not features:
            raise ValueError(f"{table} has no columns but {shown(names)}; expected one for X besides")
    both = [name for name in features if name in others]
    if both:
        raise ValueError(f"column {both[0]!r} is both a feature and target or weight; expected each column once")
    of_model, ignores_unknown = request.columns is not None, request.ignores_unknown
    chosen = ChosenColumns(features, targets, weight, categories, of_model, request.filled, ignores_unknown)
    for name, fill in chosen.fills.items():
        _require_name(name, "fill_nulls", known, table)
        if name not in features or name in categories:
            raise ValueError(f"fill_nulls names column {name!r}, which is no feature of numbers")
        if isinstance(fill, bool) or not isinstance(fill, numbers.Real) or not math.isfinite(fill):
            raise TypeError(f"fill_nulls of column {name!r} is {fill!r}; expected a number, or 'mean'")
    for name in categories:
        _require_name(name, "categories", known, table)
        if name not in (*features, *targets):
            raise ValueError(f"categories names column {name!r}, which is neither feature nor target")
    repeated = [name for name in chosen.all if known[name] > 1]
    if repeated:
        raise ValueError(f"{table} has several columns called {repeated[0]!r}; expected names that differ")
    return chosen


def _in_place_of(
    columns: Columns, features: tuple[str, ...], drop: tuple[str, ...], names: Sequence[str], table: str
) -> tuple[str, ...]:
    """The columns of a table that a model takes: its own, or those that are named in their place."""
    for name in drop:
        if name in columns.features:
            raise ValueError(f"drop names column {name!r}, which the model was trained on; expected others, or none")
    if not features:
        known = set(names)
        missing = next((name for name in columns.features if name not in known), None)
        if missing is not None:
            raise ValueError(
                f"{table} has no column {missing!r}, which the model was trained on; expected "
                f"{shown(columns.features)}, or others in their place by features=[...], one for each in this order"
                f"{_meant(missing, names)}"
            )
        return columns.features
    if len(features) != len(columns.features):
        raise ValueError(
            f"features names {len(features)} column{'s' * (len(features) > 1)}; expected {len(columns.features)}, one "
            f"for each that the model was trained on: {shown(columns.features)}"
        )
    own = set(columns.features)
    for place, name in enumerate(features):
        # As it is called, it can hardly be meant to stand for another one.
        if name in own and columns.features[place] != name:
            raise ValueError(
                f"features names column {name!r} in place {place}, which the model has in place "
                f"{columns.features.index(name)}; expected one for each of {shown(columns.features)}, in this order"
            )
    return features


def _require_name(name: str, role: str, known: Mapping[str, int], table: str) -> None:
    if name in known:
        return
    names = list(known)
    raise ValueError(f"{role} names column {name!r}; expected one of {table}: {shown(names)}{_meant(name, names)}")


def _meant(name: str, names: Sequence[str]) -> str:
    """A question after the name that is most like one that is not there."""
    by_small_letters = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
    return f". Did you mean {by_small_letters[near[0]]!r}?" if near else ""


def shown(names: Sequence[str], most: int = 12) -> str:
    """Names of columns in a message."""
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
