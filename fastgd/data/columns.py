"""Which columns of a table X was made of, and how: enough to make the same of another table, and JSON can hold it."""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fastgd import storage

#: What to do about columns that are others, or in another order.
BY_NAME = (
    "by name, a table's are gd.data.open(..., columns=model.columns), and a frame's frame[list(model.feature_names)]"
)
# What JSON gives back as it was.
_PLAIN = (str, int, float, bool, type(None))


class Named(Protocol):
    """Rows that may say which columns they have."""

    columns: "Columns | None"
    feature_names: Sequence[str] | None


@dataclass(frozen=True)
class Columns:
    """Columns of a table, by name.

    Attributes
    ----------
    features : tuple of str
        Those that X was made of, in its order.
    categories : mapping from some of them to lists of values or to an int
        As for `gd.data.open`.
    lists : mapping from some of them to int
        How many numbers a row of the column is a list of.
    targets : tuple of str
        Those of y, none where their names are not known.
    fills : mapping from some of them to float
        What takes the place of nulls.
    labels : mapping from some of the targets to lists of values
        What 0, 1 and so on stand for in y; a model has no need of it.
    """

    features: tuple[str, ...]
    categories: Mapping[str, Sequence[Any] | int] = field(default_factory=dict)
    lists: Mapping[str, int] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    fills: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Named) -> "Columns | None":
        """Those of a data set or stream, of which the names may be all that is known; None where it has none."""
        if rows.columns is not None or rows.feature_names is None:
            return rows.columns
        return cls(tuple(map(str, rows.feature_names)))

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        """What the columns of X are called."""
        parts = (expanded(name, self.categories.get(name), self.lists.get(name)) for name in self.features)
        return tuple(name for names in parts for name in names)

    def by_features(self, settings: Mapping[str, Any], features: Sequence[str]) -> dict[str, Any]:
        """Categories or fills, by the columns that take the place of these, one for each; or by these."""
        pairs = zip(features or self.features, self.features, strict=False)
        return {name: settings[mine] for name, mine in pairs if mine in settings}

    def labels_of(self, y: np.ndarray) -> np.ndarray | None:
        """What targets, (n_samples, 1), stand for, (n_samples,); None where they are numbers, or several a row."""
        values = self.labels.get(self.targets[0]) if len(self.targets) == 1 else None
        return None if values is None else np.array(values)[y[:, 0].astype(np.int64)]

    def storable(self) -> "Columns":
        """The same with categories that JSON can hold; where it cannot, what is left are the names of X's columns."""
        listed = {name: _listed(categories) for name, categories in self.categories.items()}
        if not all(map(_are_plain, listed.values())):
            return Columns(self.feature_names, targets=self.targets)
        return Columns(self.features, listed, dict(self.lists), self.targets, dict(self.fills))

    def describe(self) -> dict[str, Any]:
        """What `storable` gave, as JSON can hold it."""
        described = {"categories": self.categories, "lists": self.lists, "targets": list(self.targets)}
        described["fills"] = {name: float(fill) for name, fill in self.fills.items()}
        return {"features": list(self.features)} | {name: value for name, value in described.items() if value}

    @classmethod
    def restore(cls, description: dict[str, Any], n_features: int) -> "Columns":
        """What `describe` described, of a model of so many features."""
        storage.require_names(description, "columns", ("features",), ("categories", "lists", "targets", "fills"))
        features, targets = (_names(description.get(name, []), name) for name in ("features", "targets"))
        categories, lists, fills = (dict(description.get(name, {})) for name in ("categories", "lists", "fills"))
        # Before there is memory for as many names as a damaged file may ask for.
        widths = [_width(categories.get(name), lists.get(name)) for name in features]
        if sum(widths) != n_features:
            raise ValueError(f"columns {description!r:.200} are of {sum(widths)} features; expected {n_features}")
        others = {*categories, *lists, *fills}.difference(features)
        if others:
            raise ValueError(f"columns: {min(others)!r} is none of the features {', '.join(map(repr, features))}")
        for values in categories.values():
            if not _are_plain(values):
                raise ValueError(f"columns: categories {values!r:.200}; expected strings, numbers, booleans or None")
        for fill in fills.values():
            if type(fill) is not float or not math.isfinite(fill):
                raise ValueError(f"columns: fill {fill!r}; expected a finite number")
        return cls(features, categories, lists, targets, fills)


def expanded(name: str, categories: Sequence[Any] | int | None, size: int | None = None) -> list[str]:
    """What the columns of X are called that a column becomes.

    categories : of the column, or None          size : of its lists, or None
    """
    if size is not None:
        return [f"{name}[{k}]" for k in range(size)]
    if categories is None:
        return [name]
    if isinstance(categories, int):
        return [f"{name}#{k}" for k in range(categories)]
    return [f"{name}={value}" for value in categories]


def require_same_names(expected: Columns | None, rows: Named, of_whom: str = "as the model was trained on") -> None:
    """Raise a ValueError unless rows have the names that are expected, or there are none to compare.

    of_whom : what errors say of the expected ones
    """
    found = None if expected is None else Columns.of(rows)
    if found is None or found.feature_names == expected.feature_names:
        return
    pairs = enumerate(itertools.zip_longest(found.feature_names, expected.feature_names))
    place, (name, wanted) = next((k, pair) for k, pair in pairs if pair[0] != pair[1])
    raise ValueError(f"feature {place} of X is {name!r}; expected {wanted!r}, {of_whom} ({BY_NAME})")


def _width(categories: Any, size: Any) -> int:
    given = size if size is not None else len(categories) if isinstance(categories, list) else categories
    if given is not None and (type(given) is not int or given < 1):
        raise ValueError(f"columns: found {given!r}; expected a list of categories, or a number of at least 1")
    return 1 if given is None else given


def _names(given: Any, what: str) -> tuple[str, ...]:
    if not (isinstance(given, list) and all(isinstance(name, str) for name in given)):
        raise ValueError(f"{what} of the columns are {given!r:.200}; expected a list of names")
    return tuple(given)


def _are_plain(categories: list[Any] | int) -> bool:
    return isinstance(categories, int) or all(type(value) in _PLAIN for value in categories)


def _listed(categories: Sequence[Any] | int) -> list[Any] | int:
    if isinstance(categories, int):
        return categories
    values = [value.item() if isinstance(value, np.generic) else value for value in categories]
    return [str(value) if isinstance(value, str) else value for value in values]
