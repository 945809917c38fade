"""Classification: of two classes or more, or of several labels a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from fastgd import losses
from fastgd.kernels.nn.loss import CrossEntropy, LogLoss
from fastgd.labels import Labels, shown
from fastgd.losses import Loss
from fastgd.sklearn import settings
from fastgd.sklearn.base import GradientDescent


def _has_probabilities(classifier: "GDClassifier") -> bool:
    """Whether the loss gives any."""
    if classifier.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(
            f"outputs of loss={classifier.loss!r} are no probabilities; expected loss='log_loss' or 'modified_huber'"
        )
    return True


class GDClassifier(ClassifierMixin, GradientDescent):
    """TODO."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (),
        *,
        loss: str = "log_loss",
        epsilon: float | None = None,
        activation: str | Sequence[str] = "relu",
        penalty: str | None = "l2",
        alpha: float | str = "auto",
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        solver: Any = "auto",
        learning_rate: Any = "auto",
        learning_rate_init: float | None = None,
        power_t: float = 0.25,
        momentum: float = 0.0,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        batch_size: int | str | None = "auto",
        max_iter: int = 100,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        shuffle: bool = True,
        random_state: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        average: bool | int = False,
        standardize: bool | str = True,
        callbacks: Sequence[Callable[..., Any]] = (),
        verbose: int = 0,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            loss=loss,
            epsilon=epsilon,
            activation=activation,
            penalty=penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            fit_intercept=fit_intercept,
            solver=solver,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            shuffle=shuffle,
            random_state=random_state,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            average=average,
            standardize=standardize,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> "GDClassifier":
        """TODO."""
        self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val), is_partial=False)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> "GDClassifier":
        """TODO."""
        self._train(X, y, sample_weight, (X_val, y_val, sample_weight_val), is_partial=True, classes=classes)
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """TODO."""
        z = self._outputs(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: ArrayLike) -> np.ndarray:
        """TODO."""
        z = self._outputs(X)
        if self._is_multilabel:
            return (z > 0).astype(np.int64)
        return self.classes_[(z[:, 0] > 0).astype(np.intp) if z.shape[1] == 1 else z.argmax(axis=1)]

    @available_if(_has_probabilities)
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """TODO."""
        z = self._outputs(X)
        loss = self._architecture.loss
        if isinstance(loss, LogLoss | CrossEntropy):
            return Labels(losses.name_of(loss), None if self._is_multilabel else self.classes_).probabilities(z)
        p = (np.clip(z, -1, 1) + 1) / 2
        if self._is_multilabel:
            return p
        if z.shape[1] == 1:
            return np.hstack([1 - p, p])
        p[(p == 0).all(axis=1)] = 1
        return p / p.sum(axis=1, keepdims=True)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """TODO."""
        loss = self._architecture.loss if hasattr(self, "model_") else None
        if isinstance(loss, CrossEntropy):
            z = self._outputs(X)
            z -= z.max(axis=1, keepdims=True)
            return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        if isinstance(loss, LogLoss):
            z = self._outputs(X)
            positive = -np.logaddexp(0, -z)
            return positive if self._is_multilabel else np.hstack([-np.logaddexp(0, z), positive])
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @property
    def coef_(self) -> np.ndarray:
        """The weights of a linear model on raw features, (n_outputs, n_features)."""
        return self._only_linear.weight.copy()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def _is_numeric(self) -> bool:
        return False

    def _noted(self, y: np.ndarray, classes: Any, is_first: bool, is_partial: bool = False) -> np.ndarray:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y holds several classes a row; expected one a row, (n_samples,), or labels of 0 and 1, (n_samples, "
                "n_labels), or sklearn.multioutput.MultiOutputClassifier"
            )
        is_multilabel = kind == "multilabel-indicator"
        if is_first:
            if is_partial and classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            if classes is None:
                found = np.arange(y.shape[1]) if is_multilabel else np.unique(column_or_1d(y))
            else:
                found = np.unique(classes)
            if len(found) < 2:
                raise ValueError(
                    f"the number of classes is {len(found)} ({shown(found)}); expected at least two classes"
                )
            self.classes_, self._is_multilabel = found, is_multilabel
        elif is_multilabel != self._is_multilabel:
            kinds = "one class a row", "several labels a row"
            raise ValueError(f"y holds {kinds[is_multilabel]}; expected {kinds[self._is_multilabel]}, as before")
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on the first call to partial_fit, {shown(self.classes_)}"
            )
        if is_multilabel:
            if y.shape[1] != len(self.classes_):
                raise ValueError(f"y has {y.shape[1]} labels a row; expected {len(self.classes_)}")
            return y
        return self._places(column_or_1d(y, warn=True))

    def _places(self, y: np.ndarray) -> np.ndarray:
        """The place of each label among the classes."""
        places = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        is_unknown = np.asarray(self.classes_[places] != y)
        if is_unknown.any():
            row = int(is_unknown.argmax())
            raise ValueError(
                f"y holds {y[row]!r} in row {row}; expected one of the classes {shown(self.classes_)} (those of the "
                "first call to partial_fit, or of fit)"
            )
        return places

    def _loss(self) -> Loss:
        loss = settings.loss_of(self, settings.LOSSES_OF_CLASSES)
        is_softmax = isinstance(loss, LogLoss) and not self._is_multilabel and len(self.classes_) > 2
        return CrossEntropy(0.0) if is_softmax else loss

    def _encoded(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        """0 and 1 for log_loss, the class for cross_entropy, and for all others -1 and +1, one against the rest."""
        if isinstance(loss, LogLoss | CrossEntropy):
            return y.reshape(len(y), -1)
        if self._is_multilabel or len(self.classes_) == 2:
            return (2 * y.reshape(len(y), -1) - 1).astype(np.int8)
        signs = np.full((len(y), len(self.classes_)), -1, np.int8)
        signs[np.arange(len(y)), y] = 1
        return signs

    @property
    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 and not self._is_multilabel else len(self.classes_)

    def _weights_of_classes(self, y: np.ndarray, v: np.ndarray | None, is_partial: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if self._is_multilabel:
            raise ValueError("class_weight with several labels a row; expected sample_weight, or class_weight=None")
        if not isinstance(self.class_weight, str):
            return compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        if self.class_weight != "balanced":
            raise ValueError(f"class_weight is {self.class_weight!r}; expected a dict, 'balanced' or None")
        if is_partial:
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, as nothing tells how many rows of each class "
                "there will be; expected a dict, as from sklearn.utils.class_weight.compute_class_weight"
            )
        totals = np.bincount(y, v, len(self.classes_))
        return totals.sum() / (len(totals) * np.where(totals > 0, totals, totals.sum() / len(totals)))

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None if self._is_multilabel else y
