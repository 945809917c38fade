"""Which columns of a table are features, targets and weights, by name."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastgd.data.files import Names, Request


class ChosenColumns(NamedTuple):
    """Names of columns.

    features, targets : tuple of str          weight : str, or None
    categories : mapping of some of them to the values that are declared, or to a number of hashes
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    categories: Mapping[str, Sequence[Any] | int]

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
    features, drop = _listed(request.features, "features"), _listed(request.drop, "drop")
    targets = _listed(request.target, "target")
    weight = request.weight
    if weight is not None and not isinstance(weight, str):
        raise TypeError(f"weight is {weight!r}; expected the name of a column")
    categories = {} if request.categories is None else request.categories
    if not isinstance(categories, Mapping):
        raise TypeError(f"categories is {categories!r}; expected a mapping from columns to lists of values")
    if request.features is not None and drop:
        raise ValueError("features and drop are both given; expected one of them")
    if request.features is not None and not features:
        raise ValueError("features is empty; expected at least one column")
    others = (*targets, *(() if weight is None else (weight,)))
    for role, given in (("features", features), ("drop", drop), ("target", targets), ("weight", others)):
        for name in given:
            _require_name(name, role, names, table)
            if given.count(name) > 1:
                raise ValueError(f"column {name!r} is named twice in {role}; expected each column once")
    if request.features is None:
        left_out = {*others, *drop, *unless_named}
        features = tuple(name for name in names if name not in left_out)
        if not features:
            raise ValueError(f"{table} has no columns but {_shown(names)}; expected one for X besides")
    both = [name for name in features if name in others]
    if both:
        raise ValueError(f"column {both[0]!r} is both a feature and target or weight; expected each column once")
    chosen = ChosenColumns(features, targets, weight, categories)
    for name in categories:
        _require_name(name, "categories", names, table)
        if name not in (*features, *targets):
            raise ValueError(f"categories names column {name!r}, which is neither feature nor target")
    repeated = [name for name in chosen.all if list(names).count(name) > 1]
    if repeated:
        raise ValueError(f"{table} has several columns called {repeated[0]!r}; expected names that differ")
    return chosen


def _listed(given: Names | None, role: str) -> tuple[str, ...]:
    listed = () if given is None else (given,) if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{role} is {given!r}; expected the name of a column, or a list of names")
    return tuple(listed)


def _require_name(name: str, role: str, names: Sequence[str], table: str) -> None:
    if name in names:
        return
    by_small_letters = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
    meant = f". Did you mean {by_small_letters[near[0]]!r}?" if near else ""
    raise ValueError(f"{role} names column {name!r}; expected one of {table}: {_shown(names)}{meant}")


def _shown(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
