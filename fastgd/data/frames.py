"""Frames and tensors of other libraries as arrays, column by column; none of these libraries is imported."""

from collections.abc import Callable, Iterator
from numbers import Number
from typing import Any

import numpy as np

#: What to do about targets that are words.
CLASSES_HINT = "; where these are classes, gd.labels.encode(y, gd.labels.classes_of(y), loss) with loss='cross_entropy'"

# What pyarrow calls numbers.
_ARROW_NUMBERS = {
    *("bool", "halffloat", "float", "double"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


def to_array(values: Any, name: str) -> Any:
    """A frame or a tensor as an array; whatever else it is, as it is.

    A frame of one NumPy dtype gives a view where pandas can, and any other is copied once.

    Raises
    ------
    TypeError, ValueError
        For columns that hold no numbers, or nulls, and for what holds no rows at all, with what to do about it.
    """
    if isinstance(values, np.ndarray | list | tuple):
        return values
    converters: dict[str, Callable[[Any, str], Any]] = {
        "pandas": _from_pandas,
        "polars": _from_polars,
        "pyarrow": _from_pyarrow,
        "torch": _from_torch,
        "scipy": _refuse_sparse,
    }
    for cls in type(values).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in converters:
            return converters[library](values, name)
    if isinstance(values, dict):
        raise TypeError(f"{name} is a dict; expected rows, as in np.column_stack(list({name}.values()))")
    if isinstance(values, set | frozenset):
        raise TypeError(f"{name} is a set, which has no order; expected a list or an array")
    if isinstance(values, Iterator):
        raise TypeError(
            f"{name} is a {type(values).__name__}, which can be read only once; expected an array, a list(...) of its "
            "rows, or a gd.data.Dataset"
        )
    return values


def require_no_times(values: Any, name: str) -> None:
    """Raise a TypeError for a Polars frame with times or dates, which it gives others as numbers of some unit."""
    is_frame = type(values).__module__.startswith("polars.") and hasattr(values, "get_columns")
    for series in values.get_columns() if is_frame else ():
        if str(series.dtype).lower().startswith(TIMES):
            _polars_column(series, _place(name, series.name))


def feature_names(values: Any) -> tuple[str, ...] | None:
    """What a frame calls its columns, where all of them have names."""
    if isinstance(values, np.ndarray | list | tuple):
        return None
    labels = getattr(values, "column_names", None)
    if labels is None:
        labels = getattr(values, "columns", None)
    names = () if labels is None else tuple(labels)
    return names if names and all(isinstance(name, str) for name in names) else None


def target_names(values: Any) -> tuple[str, ...]:
    """What a frame calls its columns, or a column itself; nothing where it has no name."""
    name = getattr(values, "name", None)
    return (name,) if isinstance(name, str) and name else feature_names(values) or ()


def _from_pandas(values: Any, name: str) -> Any:
    if values.ndim == 1:
        return _pandas_column(values, name)
    dtypes = set(values.dtypes)
    if len(dtypes) == 1 and _is_number(dtypes.pop()):
        return np.asarray(values)
    labels = list(values.columns)
    return _joined([_pandas_column(values.iloc[:, k], _place(name, label)) for k, label in enumerate(labels)], name)


def _pandas_column(series: Any, place: str) -> np.ndarray:
    dtype = series.dtype
    if _is_number(dtype):
        return series.to_numpy()
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        numbers = np.array(series.tolist())
        if numbers.dtype.kind in "fiub":
            return numbers
    is_null = series.isna().to_numpy()
    if getattr(dtype, "kind", "O") not in "fiub":
        word = next((value for value in series[~is_null] if not isinstance(value, Number)), None)
        if word is not None or not is_null.any():
            raise _no_numbers(place, dtype, word)
    # A sparse column's are its NaN, which have their own place in an error.
    if is_null.any() and not hasattr(dtype, "subtype"):
        raise _null(place, int(is_null.argmax()), "fillna or dropna")
    return np.asarray(series, getattr(dtype, "numpy_dtype", None) or dtype.subtype)


def _from_polars(values: Any, name: str) -> Any:
    if hasattr(values, "collect"):
        raise TypeError(f"{name} is a {type(values).__name__}; expected what its collect() returns")
    if hasattr(values, "get_columns"):
        return _joined([_polars_column(s, _place(name, s.name)) for s in values.get_columns()], name)
    return _polars_column(values, name)


def _polars_column(series: Any, place: str) -> np.ndarray:
    if not (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
        present = series.drop_nulls()
        raise _no_numbers(place, series.dtype, present[0] if len(present) else None)
    if series.null_count():
        raise _null(place, int(series.is_null().arg_max()), "fill_null or drop_nulls")
    array = series.to_numpy()
    # Decimals come as objects.
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def _from_pyarrow(values: Any, name: str) -> Any:
    if hasattr(values, "column_names"):
        labels = values.column_names
        return _joined([_arrow_column(values.column(k), _place(name, label)) for k, label in enumerate(labels)], name)
    return _arrow_column(values, name)


def _arrow_column(column: Any, place: str) -> np.ndarray:
    is_decimal = str(column.type).startswith("decimal")
    if not is_decimal and str(column.type) not in _ARROW_NUMBERS:
        present = column.drop_null()
        raise _no_numbers(place, column.type, present[0].as_py() if len(present) else None)
    if column.null_count:
        raise _null(place, column.is_null().to_pylist().index(True), "fill_null or drop_null")
    if is_decimal:
        return np.array(column.cast("float64").to_pylist(), np.float64)
    # A ChunkedArray copies by itself, and an Array has to be allowed to, where it holds bits.
    return column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)


def _from_torch(values: Any, name: str) -> Any:
    if values.device.type != "cpu":
        raise TypeError(f"{name} is a tensor on {values.device}; expected one in memory, as {name}.cpu() returns it")
    if str(values.layout) != "torch.strided":
        raise TypeError(f"{name} is a sparse tensor; expected a dense one, as {name}.to_dense() returns it")
    return values.detach().numpy()


def _refuse_sparse(values: Any, name: str) -> Any:
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is a sparse {values.format} matrix; expected a dense array, as from {name}.toarray()")
    return values


def _is_number(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _place(name: str, label: Any) -> str:
    return f"column {label!r} of {name}"


def _joined(columns: list[np.ndarray], name: str) -> np.ndarray:
    """One matrix of columns, in the narrowest dtype that holds them all."""
    if not columns:
        raise ValueError(f"{name} has no columns; expected at least one")
    matrix = np.empty((len(columns[0]), len(columns)), np.result_type(*(column.dtype for column in columns)))
    for k, column in enumerate(columns):
        matrix[:, k] = column
    return matrix


#: What libraries call times, dates and what lies between them.
TIMES = ("date", "time", "duration", "period")


def _no_numbers(place: str, dtype: Any, value: Any) -> TypeError:
    found = "" if value is None else f", as {value!r}"
    remedy = (
        ": leave the column out, or make one of each of its values, as scikit-learn's OneHotEncoder does, or "
        "gd.data.from_stream(frame, ..., categories={name: 'auto'}), for a model of such rows columns=model.columns"
    )
    if place == "y":
        remedy = CLASSES_HINT
    elif str(dtype).lower().startswith(TIMES):
        remedy = ": leave the column out, or make numbers of it, such as days since some date"
    return TypeError(f"{place} holds {dtype}{found}; expected numbers{remedy}")


def _null(place: str, row: int, remedy: str) -> ValueError:
    return ValueError(f"{place} has a null in row {row}; expected a number in its place, or no such row (see {remedy})")
