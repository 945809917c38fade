"""Validation of what a user gives: arrays of the right shape come of it, or an error that says what was expected.

Nothing here copies or converts an array that is already one: blocks of it are converted as they are read.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastgd.data.frames import CLASSES_HINT, to_array

DTYPES = ("float32", "float64")


def model_dtype(dtype: DTypeLike) -> np.dtype:
    """The dtype of a model's parameters."""
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if checked is None or checked.name not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; expected one of {', '.join(DTYPES)}")
    return checked


def floating_dtype(dtype: np.dtype) -> np.dtype:
    """What features of a dtype count as: float32 for floats of no more than 32 bits, float64 for all other numbers."""
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)


def integer(value: Any, name: str, minimum: int) -> int:
    """An integer of at least `minimum`."""
    try:
        checked = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        checked = None
    if checked is None:
        raise TypeError(f"{name} is {value!r}; expected an integer")
    if checked < minimum:
        raise ValueError(f"{name} is {value!r}; expected at least {minimum}")
    return checked


def non_negative(value: Any, name: str) -> float:
    """A finite number, zero or more."""
    try:
        checked = None if isinstance(value, str | bool | np.bool_) else float(value)
    except OverflowError:
        checked = math.inf
    except (TypeError, ValueError):
        checked = None
    if checked is None:
        raise TypeError(f"{name} is {value!r}; expected a number")
    if not math.isfinite(checked) or checked < 0:
        raise ValueError(f"{name} is {value!r}; expected a finite number of at least 0")
    return checked


def positive(value: Any, name: str) -> float:
    """A finite number above zero."""
    checked = non_negative(value, name)
    if checked == 0:
        raise ValueError(f"{name} is {value!r}; expected more than 0")
    return checked


def between(value: Any, name: str, minimum: float, maximum: float) -> float:
    """A number from minimum to maximum."""
    checked = non_negative(value, name)
    if not minimum <= checked <= maximum:
        raise ValueError(f"{name} is {value!r}; expected a number from {minimum} to {maximum}")
    return checked


def below_one(value: Any, name: str) -> float:
    """A number from 0 to less than 1."""
    checked = between(value, name, 0, 1)
    if checked == 1:
        raise ValueError(f"{name} is {value!r}; expected less than 1")
    return checked


def switch(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def choice(value: Any, name: str, allowed: Iterable[str], others: Mapping[str, str] | None = None) -> str:
    """One of the known names.

    others : what they are called elsewhere, in small letters, for the error to say which is meant
    """
    known = list(allowed)
    if isinstance(value, str) and value in known:
        return value
    raise ValueError(
        f"{name} is {value!r}; expected one of {', '.join(map(repr, known))}{_meant(value, known, others)}"
    )


def _meant(value: Any, known: list[str], others: Mapping[str, str] | None) -> str:
    """What may have been meant by a name that is not known."""
    if not isinstance(value, str):
        return ""
    names = {name.lower(): name for name in known} | dict(others or {})
    near = difflib.get_close_matches(value.lower().replace(" ", "_").replace("-", "_"), names, n=1, cutoff=0.75)
    return f". Did you mean {names[near[0]]!r}?" if near else ""


def _is_masked(values: Any) -> bool:
    """Whether an element is masked, in an array or in a list of them."""
    # A frame's column, or an array of pandas, may be called _mask, which is all that NumPy looks for.
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.is_masked(values)
    return isinstance(values, list | tuple) and any(map(_is_masked, values))


def require_unmasked(values: Any, name: str) -> None:
    """Raise a TypeError where an element is masked: what is beneath it is not meant to be seen."""
    if _is_masked(values):
        raise TypeError(f"{name} has masked elements; expected rows without them, or values in their place (filled)")


def real_array(values: Any, name: str) -> np.ndarray:
    """An array of real numbers, the caller's own where it is one."""
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        return values
    require_unmasked(values, name)
    values = to_array(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from None
    if array.dtype.kind not in "fiub":
        hint = CLASSES_HINT if name == "y" and array.dtype.kind in "OSU" else ""
        if name == "X" and array.dtype.kind in "SU":
            hint = "; where they are numbers in strings, X.astype(float)"
        elif array.dtype.kind == "O" and all(isinstance(value, Real | Decimal) for value in array.flat):
            made = f"{name}.astype(float)" if isinstance(values, np.ndarray) else f"np.array({name}, float)"
            hint = f"; its values are numbers: {made}"
        raise TypeError(f"{name} has dtype {array.dtype}; expected real numbers (floats, integers or booleans){hint}")
    return array


def features(X: Any, n_features: int | None = None, name: str = "X") -> np.ndarray:
    """Rows of features, (n_samples, n_features), at least one of each."""
    array = real_array(X, name)
    expected = "n_features" if n_features is None else n_features
    if array.ndim != 2 or array.size == 0 or (n_features is not None and array.shape[1] != n_features):
        raise ValueError(f"{name} has shape {array.shape}; expected (n_samples, {expected}) with at least one row")
    return array


def targets(y: Any, n_samples: int, n_outputs: int | None = None) -> np.ndarray:
    """Targets as (n_samples, n_outputs); a flat y stands for one output."""
    array = real_array(y, "y")
    columns = array.reshape(-1, 1) if array.ndim == 1 else array
    if columns.ndim != 2 or columns.shape[1] == 0 or (n_outputs is not None and columns.shape[1] != n_outputs):
        expected = "n_outputs" if n_outputs is None else n_outputs
        flat = " or (n_samples,)" if n_outputs in (None, 1) else ""
        raise ValueError(f"y has shape {array.shape}; expected (n_samples, {expected}){flat}")
    if len(columns) != n_samples:
        raise ValueError(f"y has {len(columns)} rows and X has {n_samples}; expected as many")
    return columns


def sample_weights(sample_weight: Any, n_samples: int) -> np.ndarray | None:
    """One weight a row, or None."""
    if sample_weight is None:
        return None
    array = real_array(sample_weight, "sample_weight")
    if array.shape != (n_samples,):
        raise ValueError(f"sample_weight has shape {array.shape}; expected ({n_samples},), one weight a row of X")
    return array
