"""What is asked of a table besides its files: which columns it has, and what they are made into."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from fastgd.data.columns import Columns

Names = str | Sequence[str]
#: What a column's categories may be: a list of values, a number of hashes, or "auto", for values that are found.
Categories = Sequence[Any] | int | Literal["auto"]
#: By column, of which None stands for all other columns of words; or "auto", for all of them.
AllCategories = Mapping[str | None, Categories] | Literal["auto"]
#: What takes the place of nulls: a number by column, or "mean", for that of the column; or "mean" for all columns.
Fills = Mapping[str, float | Literal["mean"]] | Literal["mean"]
#: What becomes of values that are none of a column's categories.
HandleUnknown = Literal["error", "ignore"]

# What only some files take.
_OF_FILES = ("target", "sample_weight", "features", "drop", "weight", "categories", "column_names", "fill_nulls")


class Request(NamedTuple):
    """What `open` was asked for, besides the files.

    folder : Path, or None, the folder that the files were found in
    takes_any : bool, whether columns that hold no numbers are taken, as one of hashes each, to be described
    role : str, what errors call the features
    others : as for `open`
    """

    target: Any = None
    sample_weight: Any = None
    features: Names | None = None
    drop: Names = ()
    weight: str | None = None
    categories: AllCategories | None = None
    column_names: Sequence[str] | None = None
    columns: Columns | None = None
    fill_nulls: Fills | None = None
    handle_unknown: HandleUnknown = "error"
    n_features: int | None = None
    zero_based: bool | Literal["auto"] = "auto"
    folder: Path | None = None
    takes_any: bool = False
    role: str = "features"

    @property
    def declared(self) -> Mapping[str, Categories]:
        """The categories of columns that are named, with those that a model has for them."""
        given = {} if self.categories is None or is_auto(self.categories) else self.categories
        if not isinstance(given, Mapping):
            raise TypeError(
                f"categories is {given!r}; expected 'auto', or a mapping from columns to lists, ints or 'auto'"
            )
        given = {name: each for name, each in given.items() if name is not None}
        if self.columns is None:
            return given
        of_model = self._of_model.by_features(self._of_model.categories, listed(self.features, "features"))
        return of_model | {name: each for name, each in given.items() if not (is_auto(each) and name in of_model)}

    @property
    def ignores_unknown(self) -> bool:
        """Whether values that are none of a column's categories are taken."""
        if self.handle_unknown not in get_args(HandleUnknown):
            raise ValueError(f"handle_unknown is {self.handle_unknown!r}; expected 'error' or 'ignore'")
        return self.handle_unknown == "ignore"

    @property
    def finds_words(self) -> bool:
        """Whether columns of words that no categories name have those that are found; with a model, its own are all."""
        is_wanted = is_auto(self.categories) or (self.categories is not None and None in self.categories)
        return is_wanted and self.columns is None

    @property
    def filled(self) -> Fills:
        """What takes the place of nulls, with what a model has for them."""
        fills = {} if self.fill_nulls is None else self.fill_nulls
        if not (isinstance(fills, Mapping) or is_mean(fills)):
            raise TypeError(f"fill_nulls is {fills!r}; expected 'mean', or a mapping from columns to numbers or 'mean'")
        if self.columns is None:
            return fills
        of_model = self._of_model.by_features(self._of_model.fills, listed(self.features, "features"))
        names = [] if is_mean(fills) else [name for name, fill in fills.items() if is_mean(fill)]
        if not of_model.keys() >= set(names) or (is_mean(fills) and not of_model):
            # The mean of these rows would be another number in each file.
            column = f" of column {names[0]!r}" if names else ""
            raise ValueError(
                f"fill_nulls{column} is 'mean', and the model was trained without one; expected a number, or a model "
                "that was trained with fill_nulls"
            )
        return of_model if is_mean(fills) else of_model | {name: fills[name] for name in fills if name not in names}

    @property
    def _of_model(self) -> Columns:
        if not isinstance(self.columns, Columns):
            raise TypeError(f"columns is {self.columns!r}; expected model.columns, or those of a data set or stream")
        return self.columns

    def require_only(self, *names: str, kind: str) -> None:
        """Raise a ValueError for what was given besides these, which files of a kind do not take."""
        for name in _OF_FILES:
            value = getattr(self, name)
            if name not in names and value is not None and value != ():
                raise ValueError(f"{name} is {value!r}, which {kind} files do not take; expected none")
        if self.ignores_unknown:
            raise ValueError(f"handle_unknown is 'ignore', and {kind} files have no categories; expected none")


def is_auto(categories: Any) -> bool:
    """Whether values are to be found."""
    return isinstance(categories, str) and categories == "auto"


def is_mean(fill: Any) -> bool:
    """Whether a mean is to be found."""
    return isinstance(fill, str) and fill == "mean"


def listed(given: Names | None, role: str) -> tuple[str, ...]:
    """Names of columns that may be a single one.

    role : what errors call them
    """
    names = () if given is None else (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{role} is {given!r}; expected the name of a column, or a list of names")
    return tuple(names)
