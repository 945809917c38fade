"""Class labels of any kind, the numbers that losses want in their place, and the way back.

Labels are strings, bytes, booleans, integers or floats.

    classes = gd.labels.classes_of(y)
    model = gd.Model([gd.Linear(n_features, gd.labels.n_outputs(classes, "cross_entropy"))])
    model.set_classes(classes, "cross_entropy")
    gd.Trainer(model, loss="cross_entropy").fit(X, gd.labels.encode(y, classes, "cross_entropy"))
    model.predict_classes(X)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import losses, storage
from fastgd.data import checks
from fastgd.losses import Loss

# Labels may be a memory map of more than fits in memory.
_BLOCK_ROWS = 1 << 18
# Up to so many classes need not have several rows each.
_FEW_CLASSES = 20

# What JSON holds exactly, by the name of the dtype.
_NUMBERS = [
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]


def classes_of(y: ArrayLike, name: str = "y") -> np.ndarray:
    """The distinct labels of a data set, sorted.

    Parameters
    ----------
    y : array of shape (n_samples,) or (n_samples, 1)
        Strings, bytes, booleans, integers or finite floats.
    name : str
        What errors call it.

    Returns
    -------
    ndarray of shape (n_classes,), of y's dtype

    Raises
    ------
    ValueError
        For a label that is not finite, for less than two classes, and for more than 20 where there are fewer than two
        rows for each, or fractions among them: such targets are names or measurements.
    TypeError
        For labels of another kind.

    Examples
    --------
    >>> from fastgd import labels
    >>> labels.classes_of(["cat", "dog", "cat"]).tolist()
    ['cat', 'dog']
    """
    column = _column(y, name)
    classes = column[:0]
    for start, block in _blocks(column):
        _require_finite(block, name, start)
        classes = np.union1d(classes, block)
    if not len(column):
        raise ValueError(f"{name} is empty; expected labels of at least two classes")
    if len(classes) < 2:
        raise ValueError(f"{name} holds {shown(classes)} in every row; expected at least two classes")
    are_measured = classes.dtype.kind == "f" and not np.array_equal(classes, np.floor(classes))
    if len(classes) > (_FEW_CLASSES if are_measured else max(_FEW_CLASSES, len(column) // 2)):
        raise ValueError(
            f"{name} holds {len(classes)} different values in {len(column)} rows ({shown(classes)}); expected classes "
            "of several rows each"
        )
    # Strings are as long as the longest of them.
    return np.array(classes.tolist()) if classes.dtype.kind in "US" else classes


def encode(y: ArrayLike, classes: ArrayLike, loss: str | Loss, name: str = "y") -> np.ndarray:
    """What a loss wants in the place of labels.

    0 to n_classes - 1 for cross_entropy, 0 and 1 for log_loss, -1 and +1 for hinge, squared_hinge, modified_huber and
    perceptron, in the order of the classes.

    Parameters
    ----------
    y : array of shape (n_samples,) or (n_samples, 1)
    classes : array of shape (n_classes,)
    loss : str, or what a function of `fastgd.losses` returns
    name : str
        What errors call y.

    Returns
    -------
    ndarray of shape (n_samples,), float32

    Raises
    ------
    ValueError, TypeError
        For a label that is none of the classes, by its row; for a loss that is not of classes, or not of so many.

    Examples
    --------
    >>> from fastgd import labels
    >>> labels.encode(["cat", "dog", "cat"], labels.classes_of(["cat", "dog"]), "hinge").tolist()
    [-1.0, 1.0, -1.0]
    """
    column, classes = _column(y, name), _column(classes, "classes")
    n_outputs(classes, loss)
    if _kind(column.dtype) != _kind(classes.dtype):
        raise TypeError(
            f"{name} holds {_kind(column.dtype)}, as {shown(column[:1])}; expected one of the classes {shown(classes)}"
        )
    values = np.arange(len(classes), dtype=np.float32)
    if losses.kind_of(loss).targets == "-1 or +1":
        values = 2 * values - 1
    order = np.argsort(classes, kind="stable")
    in_order = classes[order]
    out = np.empty(len(column), np.float32)
    for start, block in _blocks(column):
        place = np.minimum(np.searchsorted(in_order, block), len(classes) - 1)
        is_unknown = in_order[place] != block
        if is_unknown.any():
            row = int(is_unknown.argmax())
            raise ValueError(
                f"{name} holds {block[row].item()!r} in row {start + row}; expected one of the classes {shown(classes)}"
            )
        out[start : start + len(block)] = values[order[place]]
    return out


def balanced_weights(numbers: np.ndarray, n_classes: int, sample_weight: np.ndarray | None = None) -> np.ndarray:
    """What multiplies the weights of each class's rows for all classes to weigh the same: Σ v / (n_classes Σ_class v).

    Parameters
    ----------
    numbers : integer array of shape (n_samples,)
        The class of each row, from 0 to n_classes - 1.
    n_classes : int
    sample_weight : array of shape (n_samples,) or None
        The rows' weights v; None: 1.

    Returns
    -------
    ndarray of shape (n_classes,), float64; scikit-learn's ``class_weight="balanced"``, and 1 for a class without rows

    Examples
    --------
    >>> from fastgd import labels
    >>> labels.balanced_weights(np.array([0, 0, 0, 1]), 2).tolist()
    [0.6666666666666666, 2.0]
    """
    totals = np.bincount(numbers, sample_weight, n_classes)
    mean = totals.mean()
    return mean / np.where(totals > 0, totals, mean)


def n_outputs(classes: Sequence | np.ndarray, loss: str | Loss) -> int:
    """How many outputs a model of these classes has: one for each for cross_entropy, and else a single one.

    Raises
    ------
    ValueError
        For a loss that is not of classes, or of two where there are more.
    """
    name = losses.name_of(losses.as_loss(loss))
    if not losses.takes_classes(loss):
        raise ValueError(f"loss is {name!r}, which is not of classes; expected one of {', '.join(losses.OF_CLASSES)}")
    if losses.kind_of(loss).link == "softmax":
        return len(classes)
    if len(classes) != 2:
        raise ValueError(
            f"{name} takes two classes, and there are {len(classes)} ({shown(classes)}); expected loss 'cross_entropy'"
        )
    return 1


@dataclass(frozen=True)
class Labels:
    """What a model's outputs stand for.

    loss : the name of one of classes, or "poisson"
    classes : (n_classes,), or None where targets are probabilities, or rates
    """

    loss: str
    classes: np.ndarray | None

    @classmethod
    def of(cls, classes: ArrayLike | None, loss: str | Loss, out_features: int) -> "Labels":
        """Checked, for a model of so many outputs."""
        name = losses.name_of(losses.as_loss(loss))
        if classes is None:
            if losses.kind_of(name).link not in ("logit", "log"):
                raise ValueError(f"classes is None with loss {name!r}; expected classes, or 'log_loss' or 'poisson'")
            return cls(name, None)
        column = _column(classes, "classes").copy()
        _require_finite(column, "classes", 0)
        if len(column) < 2 or len(np.unique(column)) < len(column):
            raise ValueError(f"classes is {shown(column)}; expected at least two, and none twice")
        expected = n_outputs(column, name)
        if out_features != expected:
            raise ValueError(
                f"classes is {shown(column)} and the model has {out_features} outputs; expected {expected} for {name}"
            )
        column.flags.writeable = False
        return cls(name, column)

    def require_classes(self) -> None:
        """Raise a ValueError where there are none."""
        if self.classes is None:
            kind, function = ("rates", "predict_rates") if self.are_rates else ("probabilities", "predict_proba")
            raise ValueError(f"the model's targets are {kind}, not classes; expected predict, or {function}")

    def require_probabilities(self) -> None:
        """Raise a ValueError where the loss gives none."""
        if not losses.has_probabilities(self.loss):
            raise ValueError(f"outputs of {self.loss} are no probabilities; expected loss cross_entropy or log_loss")

    @property
    def are_rates(self) -> bool:
        """Whether outputs are logarithms of rates."""
        return losses.kind_of(self.loss).link == "log"

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The label of each row of outputs: of the largest of them, or, of a single one, whether it is positive."""
        return self.classes[(z[:, 0] > 0).astype(np.intp) if z.shape[1] == 1 else z.argmax(axis=1)]

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """As `Model.predict_proba`; z may be written to."""
        if losses.kind_of(self.loss).link == "softmax":
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
            return z
        # Neither is taken from 1: a small probability keeps all its digits.
        small = np.exp(-np.abs(z))
        small /= 1 + small
        large = 1 / (1 + np.exp(-np.abs(z)))
        positive = np.where(z > 0, large, small)
        return positive if self.classes is None else np.hstack([np.where(z > 0, small, large), positive])

    def describe(self) -> dict[str, Any]:
        """The labels as JSON can hold them."""
        if self.classes is None:
            return {"loss": self.loss}
        kind = self.classes.dtype.kind
        values = self.classes.tolist()
        if kind == "S":
            values = [value.decode("latin-1") for value in values]
        return {"loss": self.loss, "dtype": {"U": "str", "S": "bytes"}.get(kind, self.classes.dtype.name)} | {
            "classes": values
        }

    @classmethod
    def restore(cls, description: dict[str, Any], out_features: int) -> "Labels":
        """What `describe` described."""
        storage.require_names(description, "labels", ("loss",), ("dtype", "classes"))
        if "classes" not in description:
            return cls.of(None, description["loss"], out_features)
        dtype = checks.choice(description["dtype"], "dtype of the classes", ("str", "bytes", *_NUMBERS))
        values = description["classes"]
        if dtype == "bytes":
            values = [value.encode("latin-1") for value in values]
        classes = np.array(values) if dtype in ("str", "bytes") else np.array(values, dtype)
        return cls.of(classes, description["loss"], out_features)


def rates(z: np.ndarray) -> np.ndarray:
    """exp(z), finite wherever z is; a ValueError where the dtype cannot hold it."""
    with np.errstate(over="ignore"):
        found = np.exp(z)
    is_beyond = np.isinf(found) & np.isfinite(z)
    if is_beyond.any():
        raise ValueError(
            f"a prediction is exp({z[is_beyond][0]:.6g}), more than {z.dtype} holds; expected rows like those of fit"
        )
    return found


def shown(classes: Sequence | np.ndarray) -> str:
    """Labels as errors show them."""
    some = ", ".join(map(repr, np.asarray(classes[:6]).tolist()))
    return some if len(classes) <= 6 else f"{some}, ... and {len(classes) - 6} more"


def are_words(y: np.ndarray) -> bool:
    """Whether targets can only be classes: strings, bytes or booleans."""
    return y.dtype.kind in "USb"


def _column(y: ArrayLike, name: str) -> np.ndarray:
    """Labels as (n_samples,), the caller's own array where it is one."""
    array = np.asarray(y)
    if array.dtype.kind in "US" and isinstance(y, list | tuple) and any(isinstance(v, int | float) for v in y):
        raise TypeError(f"{name} holds strings and numbers; expected either")
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat):
        array = array.astype(np.str_)
    if array.dtype.kind not in "US" and array.dtype.name not in _NUMBERS:
        raise TypeError(f"{name} has dtype {array.dtype}; expected strings, booleans, integers or floats, one a row")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}; expected labels, (n_samples,): of a column for each class, "
            f"{name}.argmax(axis=1)"
        )
    return array


def _blocks(column: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(column), _BLOCK_ROWS):
        yield start, column[start : start + _BLOCK_ROWS]


def _require_finite(labels: np.ndarray, name: str, start: int) -> None:
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int((~np.isfinite(labels)).argmax())
        raise ValueError(f"{name} holds {labels[row]} in row {start + row}; expected a label")


def _kind(dtype: np.dtype) -> str:
    return {"U": "strings", "S": "bytes"}.get(dtype.kind, "numbers")
