"""What a classifier's targets are: labels as numbers, as a loss takes them, and the way back from a model's outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from fastgd import losses
from fastgd.data import checks
from fastgd.labels import Labels, balanced_weights, shown
from fastgd.losses import Loss, kind_of


@dataclass(frozen=True)
class Classes:
    """The classes that rows may have: one each, or, of labels of zero and one, several.

    labels : (n_classes,), sorted; the numbers of the labels where a row may have several
    """

    labels: np.ndarray
    is_multilabel: bool

    @classmethod
    def of(cls, y: np.ndarray, labels: Any = None) -> "Classes":
        """Those of targets, or all that there will be, where they are given."""
        is_multilabel = _is_multilabel(y)
        if labels is not None:
            return cls(_declared(labels), is_multilabel)
        if is_multilabel:
            found = np.arange(y.shape[1])
        else:
            found = _unique(column_or_1d(y), "y")
            # A few of each say as much as all rows, and take a fraction of the time.
            check_classification_targets(np.resize(found, min(len(y), 4 * len(found))))
        if len(found) < 2:
            raise ValueError(f"y holds {len(found)} class ({shown(found)}); expected at least two classes")
        return cls(found, is_multilabel)

    def require_same(self, labels: Any) -> None:
        """Raise a ValueError unless these are all labels."""
        if not np.array_equal(_declared(labels), self.labels):
            raise ValueError(
                f"`classes={labels!r}` is not the same as on last call to partial_fit, or in fit: {shown(self.labels)}"
            )

    def require_all_in(self, y: np.ndarray) -> None:
        """Raise a ValueError unless targets have these labels, each of them: one class a row."""
        found = self.labels if self.is_multilabel or _is_multilabel(y) else np.unique(y)
        if not np.array_equal(found, self.labels):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.labels}, `y` has {found}; expected all of them, or partial_fit"
            )

    def numbers(self, y: np.ndarray) -> np.ndarray:
        """The place of each row's label among all, (n_samples,); of several labels a row, y as it is."""
        is_multilabel = _is_multilabel(y)
        if is_multilabel != self.is_multilabel:
            kinds = "one class a row", "several labels a row"
            raise ValueError(f"y holds {kinds[is_multilabel]}; expected {kinds[self.is_multilabel]}, as before")
        if is_multilabel:
            if y.shape[1] != len(self.labels):
                raise ValueError(f"y has {y.shape[1]} labels a row; expected {len(self.labels)}")
            return y
        y = column_or_1d(y, warn=True)
        places = np.minimum(np.searchsorted(self.labels, y), len(self.labels) - 1)
        is_unknown = np.asarray(self.labels[places] != y)
        if is_unknown.any():
            row = int(is_unknown.argmax())
            raise ValueError(
                f"y holds {shown(y[row : row + 1])} in row {row}; expected one of the classes {shown(self.labels)}, "
                "those of the first call of partial_fit, or of fit"
            )
        return places

    @property
    def n_outputs(self) -> int:
        """How many outputs a model has: one for two classes."""
        return 1 if len(self.labels) == 2 and not self.is_multilabel else len(self.labels)

    def loss(self, loss: Loss) -> Loss:
        """The loss that learns these classes where `loss` is chosen: for more than two, log_loss is the softmax's."""
        is_softmax = kind_of(loss).link == "logit" and not self.is_multilabel and len(self.labels) > 2
        return losses.cross_entropy() if is_softmax else loss

    def encoded(self, numbers: np.ndarray, loss: Loss) -> np.ndarray:
        """`numbers` as the loss takes them, (n_samples, n_targets).

        0 and 1 for log_loss, the class for cross_entropy; for all others -1 and +1, of each class against the rest.
        """
        if kind_of(loss).link in ("logit", "softmax"):
            return numbers.reshape(len(numbers), -1)
        if self.n_outputs == 1 or self.is_multilabel:
            return (2 * numbers.reshape(len(numbers), -1) - 1).astype(np.int8)
        signs = np.full((len(numbers), len(self.labels)), -1, np.int8)
        signs[np.arange(len(numbers)), numbers] = 1
        return signs

    def weights(self, class_weight: Any, numbers: np.ndarray, v: np.ndarray | None) -> np.ndarray:
        """What multiplies the weights v of each class's rows, (n_classes,).

        class_weight : a dict by labels, or "balanced", for which all classes come to weigh the same
        """
        if self.is_multilabel:
            raise ValueError("class_weight with several labels a row; expected sample_weight, or class_weight=None")
        if not isinstance(class_weight, str):
            if isinstance(class_weight, Mapping):
                for label, weight in class_weight.items():
                    checks.non_negative(weight, f"class_weight[{label!r}]")
            return compute_class_weight(class_weight, classes=self.labels, y=self.labels)
        if class_weight != "balanced":
            raise ValueError(f"class_weight is {class_weight!r}; expected a dict, 'balanced' or None")
        return balanced_weights(numbers, len(self.labels), v)

    def predicted(self, z: np.ndarray) -> np.ndarray:
        """The label of each row of outputs, or, of several, which of them it has."""
        if self.is_multilabel:
            return (z > 0).astype(np.int64)
        return self.labels[(z[:, 0] > 0).astype(np.intp) if z.shape[1] == 1 else z.argmax(axis=1)]

    def probabilities(self, z: np.ndarray, loss: Loss) -> np.ndarray:
        """The probability of each label, (n_samples, n_classes), by a loss that gives some; z may be written to."""
        if kind_of(loss).link in ("logit", "softmax"):
            return Labels(losses.name_of(loss), None if self.is_multilabel else self.labels).probabilities(z)
        p = (np.clip(z, -1, 1) + 1) / 2
        if self.is_multilabel:
            return p
        if self.n_outputs == 1:
            return np.hstack([1 - p, p])
        p[(p == 0).all(axis=1)] = 1
        return p / p.sum(axis=1, keepdims=True)

    def log_probabilities(self, z: np.ndarray, loss: Loss) -> np.ndarray:
        """Their logarithms, to all digits where the probabilities are close to 0 or 1."""
        if kind_of(loss).link == "softmax":
            z = z - z.max(axis=1, keepdims=True)
            return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        if kind_of(loss).link == "logit":
            positive = -np.logaddexp(0, -z)
            return positive if self.is_multilabel else np.hstack([-np.logaddexp(0, z), positive])
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities(z, loss))


def _is_multilabel(y: np.ndarray) -> bool:
    if y.ndim == 1 or y.shape[1] == 1:
        return False
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y holds several classes a row; expected one, (n_samples,), or labels of 0 and 1, (n_samples, n_labels); "
            "or sklearn.multioutput.MultiOutputClassifier"
        )
    return kind == "multilabel-indicator"


def _unique(labels: np.ndarray, name: str) -> np.ndarray:
    """Each label once, sorted."""
    try:
        return np.unique(labels)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(f"{name} holds labels of the kinds {', '.join(kinds)}; expected one kind") from None


def _declared(classes: Any) -> np.ndarray:
    """All labels that there will be, sorted."""
    labels = np.asarray(classes)
    if labels.ndim != 1:
        raise TypeError(f"classes is {classes!r}; expected a list of labels")
    found = _unique(labels, "classes")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"classes is {classes!r}; expected no NaN or infinity, which y may not hold either")
    if len(found) < 2:
        raise ValueError(f"classes is {classes!r}; expected at least two different labels")
    return found
