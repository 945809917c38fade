"""What comes into an estimator: rows and weights, checked as scikit-learn does, and none of them copied whole."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from fastgd.data import checks
from fastgd.data.as_dataset import array_dataset, as_rows, gives_blocks
from fastgd.data.base import Dataset, Stream
from fastgd.data.frames import require_no_times, to_array
from fastgd.data.sparse import as_csr
from fastgd.data.sparse import is_sparse as is_matrix
from fastgd.data.spooled import spooled
from fastgd.data.with_targets import WithTargets
from fastgd.sklearn.settings import Architecture


class Given(NamedTuple):
    """What `fit` or `partial_fit` is given, as it is."""

    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    classes: Any = None
    coef_init: Any = None
    intercept_init: Any = None


class Found(NamedTuple):
    """What is to be learnt from it.

    X : features, of which dtype, shape and whether they are sparse count          y : targets as they were noted
    learnt : of both          held_out : to validate on, or None          architecture : of what learns it
    """

    X: Any
    y: Any
    learnt: Dataset
    held_out: Dataset | None
    architecture: Architecture


def in_any_order(X: Any) -> AbstractContextManager:
    """X, or the rows of a stream where they can be read in any order."""
    return spooled(X) if isinstance(X, Stream) else nullcontext(X)


@contextmanager
def all_in_any_order(given: Given, takes_blocks: bool) -> Iterator[Given]:
    """The same, with rows of streams as above, and so those of blocks (X, y) if they are taken and there is no y."""
    pairs = [(given.X, given.y), (given.X_val, given.y_val)]
    with ExitStack() as stack:
        X, X_val = (stack.enter_context(in_any_order(_with_targets(X, y) if takes_blocks else X)) for X, y in pairs)
        yield given._replace(X=X, X_val=X_val)


def _with_targets(X: Any, y: Any) -> Any:
    """Rows that bring their own targets where there are no others: blocks (X, y) as a stream."""
    return as_rows(X) if y is None and X is not None and gives_blocks(X) else X


def features(estimator: BaseEstimator, X: Any, reset: bool = False) -> Any:
    """X as an array of any real dtype, or a CSR matrix, the caller's own where it is one.

    reset : whether the estimator takes note of how many features there are and of their names, or compares both
    """
    if not reset:
        require_uncentred(estimator, X)
    if isinstance(X, Dataset):
        return _noted(estimator, X, reset)
    with _columns_named(X):
        return _numbers(validate_data(estimator, _dense_or_csr(X), reset=reset, dtype="numeric", accept_sparse="csr"))


def features_and_targets(
    estimator: BaseEstimator, X: Any, y: Any, reset: bool, is_numeric: bool
) -> tuple[Any, np.ndarray]:
    """X as above, and y, (n_samples,) or (n_samples, n_outputs); numbers, if it must be."""
    if isinstance(X, Dataset):
        return _noted(estimator, X, reset), _own_targets(X, y, is_numeric)
    checks.require_unmasked(y, "y")
    _require_one_kind(y)
    checked = {"dtype": "numeric", "accept_sparse": "csr", "multi_output": True, "y_numeric": is_numeric}
    with _columns_named(X, y if is_numeric else None):
        try:
            X, y = validate_data(estimator, _dense_or_csr(X), y, reset=reset, **checked)
        except (TypeError, ValueError):
            _require_targets(y)
            raise
        X = _numbers(X)
    if hasattr(y, "toarray"):
        raise TypeError("y is a sparse matrix; expected a dense array, as from y.toarray()")
    if y.dtype.kind == "O":
        _require_targets(y)
    if is_numeric and y.dtype.kind not in "fiub":
        raise ValueError(f"y has dtype {y.dtype}; expected numbers, or GDClassifier for classes")
    return X, y


@contextmanager
def to_score(X: Any, y: Any, sample_weight: Any, is_numeric: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Features, targets and weights as scikit-learn's scores take them: a data set or stream brings the latter two
    where no y is given, and blocks (X, y) do.
    """
    with in_any_order(_with_targets(X, y)) as X:
        if y is None and isinstance(X, Dataset):
            y, sample_weight = _own_targets(X, y, is_numeric), weights(sample_weight, X)
        require_given(y)
        yield X, y, sample_weight


def require_given(y: Any) -> None:
    """Raise a TypeError where there are no targets to score by."""
    if y is None:
        raise TypeError("y is None; expected the targets of X, which only a Dataset or Stream brings itself")


def _dense_or_csr(X: Any) -> Any:
    """X, in CSR format where it is sparse; a TypeError for masked elements and times, which scikit-learn lets pass."""
    if is_matrix(X):
        return as_csr(X)
    checks.require_unmasked(X, "X")
    require_no_times(X, "X")
    # Of a list, scikit-learn would not see that a None is a missing number.
    return np.asarray(X) if isinstance(X, list) else X


def _numbers(X: Any) -> Any:
    """X as it is; a TypeError where scikit-learn has let other values pass, as those of categories."""
    return X if is_matrix(X) else checks.real_array(X, "X")


@contextmanager
def _columns_named(X: Any, y: Any = None) -> Iterator[None]:
    """Errors within name the column of a frame that holds no numbers, or say that it is y; scikit-learn's do not."""
    try:
        yield
    except TypeError:
        _require_numbers(X, y)
        raise
    except ValueError as error:
        try:
            _require_numbers(X, y)
        except (TypeError, ValueError) as named:
            raise ValueError(f"{named} ({error})") from None
        raise


def _require_numbers(X: Any, y: Any) -> None:
    """Raise an error that names a frame's column without numbers, or y where that holds words."""
    if not is_matrix(X):
        to_array(X, "X")
    word = next((value for value in np.ravel([] if y is None else y) if isinstance(value, str | bytes)), None)
    if word is not None:
        raise TypeError(f"y holds words, as {str(word)!r}; expected numbers, or GDClassifier for classes")


def _require_one_kind(y: Any) -> None:
    """Raise a ValueError for a list of words and other values, which NumPy would make words of."""
    if not isinstance(y, list | tuple):
        return
    is_word = [isinstance(value, str) for value in y]
    if any(is_word) and not all(is_word):
        row = is_word.index(False)
        raise ValueError(f"y holds {y[row]!r} in row {row} and words in others; expected words alone, or numbers alone")


def _require_targets(y: Any) -> None:
    """Raise a ValueError that names the first row without a target, where there is one."""
    is_missing = _is_missing(np.asarray([] if y is None else y))
    if is_missing.any():
        raise ValueError(
            f"Input y contains NaN or no value in row {np.argwhere(is_missing)[0, 0]}; expected a target in each row: "
            "leave out those rows of X and y, as with y.notna() of pandas"
        )


def _is_missing(values: np.ndarray) -> np.ndarray:
    """Whether each is None, a NaN or pandas.NA."""
    if values.dtype.kind != "O":
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    return np.fromiter(map(_is_no_value, values.ravel()), bool, values.size).reshape(values.shape)


def _is_no_value(value: Any) -> bool:
    try:
        return value is None or (np.ndim(value) == 0 and bool(value != value))
    except TypeError:
        # So pandas.NA answers, which is neither equal to itself nor not.
        return True


def require_uncentred(estimator: BaseEstimator, X: Any) -> None:
    """Raise a ValueError for sparse rows after dense ones whose means are subtracted."""
    layer = estimator.model_.standardize if hasattr(estimator, "model_") else None
    if layer is not None and not layer.keeps_zeros and is_sparse(X):
        raise ValueError(
            f"X is sparse, and this {type(estimator).__name__} subtracts the means of the dense rows that it was "
            "fitted on; expected dense rows, as from X.toarray(), or standardize='scale' in fit"
        )


@contextmanager
def errors_about(names: str) -> Iterator[None]:
    """Errors within begin with these names of arguments, as scikit-learn's always say X and y."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{names}: {error}") from error


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse matrix, or a data set of sparse rows."""
    return X.is_sparse if isinstance(X, Dataset) else is_matrix(X)


def with_targets(X: Any, y: np.ndarray, v: np.ndarray | None) -> Dataset:
    """Rows of features with targets as a loss takes them, and weights."""
    return WithTargets(X, y, v) if isinstance(X, Dataset) else array_dataset(X, y, v)


def _noted(estimator: BaseEstimator, X: Dataset, reset: bool) -> Dataset:
    """A data set as it is, once its features were taken note of or compared, as `validate_data` does."""
    names = None if X.feature_names is None else np.array(X.feature_names, object)
    if reset:
        estimator.n_features_in_ = X.n_features
        vars(estimator).pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = names
    elif X.n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.n_features} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
            "features as input"
        )
    elif names is not None and not np.array_equal(names, getattr(estimator, "feature_names_in_", names)):
        raise ValueError(
            f"X has other feature names than those seen in fit; expected {', '.join(estimator.feature_names_in_)}"
        )
    return X


def _own_targets(X: Dataset, y: Any, is_numeric: bool) -> np.ndarray:
    """The targets of a data set, in memory; labels that are whole numbers as such."""
    if y is not None:
        raise TypeError("a Dataset brings its own targets and weights; expected y to be None")
    if X.n_outputs == 0:
        raise ValueError("the data set has no targets; expected gd.data.open(..., target=...)")
    y = X.targets(np.dtype(np.float64)).y
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y).all(axis=1))[0])
        raise ValueError(f"y holds {y[row]} in row {X.row_number(row)}; expected finite numbers")
    labels = None if X.columns is None else X.columns.labels_of(y)
    if labels is not None and not (is_numeric and labels.dtype.kind == "b"):
        if is_numeric:
            raise TypeError(
                f"the data set's targets are words, as {labels[0].item()!r}; expected GDClassifier, or numbers"
            )
        return labels
    y = y[:, 0] if y.shape[1] == 1 else y
    return y.astype(np.int64) if not is_numeric and (np.floor(y) == y).all() else y


def weights(sample_weight: Any, X: Any) -> np.ndarray | None:
    """One weight a row, at least 0, or None."""
    if isinstance(X, Dataset):
        if sample_weight is not None:
            raise TypeError("a Dataset brings its own targets and weights; expected sample_weight to be None")
        sample_weight = X.targets(np.dtype(np.float64)).sample_weight if X.has_sample_weight else None
    if sample_weight is None:
        return None
    checks.require_unmasked(sample_weight, "sample_weight")
    v = check_array(
        sample_weight, ensure_2d=False, dtype=[np.float64, np.float32], input_name="sample_weight", copy=False
    )
    check_consistent_length(X, v)
    v = checks.sample_weights(v, X.shape[0])
    if (v < 0).any():
        row = int((v < 0).argmax())
        raise ValueError(f"sample_weight holds {v[row]} in row {row}; expected at least 0")
    return v


def of_mean_one(v: np.ndarray | None, place: str = "sample_weight") -> np.ndarray | None:
    """Weights times what makes their mean 1, so that neither rates nor penalties depend on their unit.

    Raises ValueError where all are zero.
    """
    if v is None:
        return None
    largest = float(v.max())
    if largest == 0:
        raise ValueError(f"{place}: all weights are zero; expected some above zero, to learn from")
    if (v == largest).all():
        return None
    # In units of the largest, no sum overflows.
    shares = v / largest
    return shares / shares.mean(dtype=np.float64)


def weighted(v: np.ndarray | None, y: np.ndarray, of_classes: np.ndarray | None) -> np.ndarray | None:
    """The weights of rows times those of their classes."""
    if of_classes is None:
        return v
    return of_classes[y] if v is None else v * of_classes[y]


def held_out(n_samples: int, fraction: float, rng: np.random.Generator, classes: np.ndarray | None) -> np.ndarray:
    """Which rows are held out to validate on: a fraction of them, at random, and as nearly as can be of each class.

    classes : (n_samples,), numbers; None for regression

    Raises ValueError where none would be left on one side.
    """
    n_held_out = math.ceil(n_samples * fraction)
    if not 0 < n_held_out < n_samples:
        raise ValueError(
            f"validation_fraction is {fraction} of n_samples = {n_samples} rows; expected a fraction that leaves rows "
            "on both sides, or X_val and y_val"
        )
    rows = rng.permutation(n_samples)
    if classes is not None:
        # Evenly spaced places of an order by class, random within each, have every class by its share.
        rows = rows[np.argsort(classes[rows], kind="stable")]
    places = ((np.arange(n_held_out) + rng.random()) * n_samples / n_held_out).astype(np.int64)
    is_held_out = np.zeros(n_samples, np.bool_)
    is_held_out[rows[places]] = True
    return is_held_out
