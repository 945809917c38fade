"""What learning classes asks for, beside learning numbers."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgd import losses
from fastgd.export.onnx import Outputs
from fastgd.labels import Labels
from fastgd.losses import Loss
from fastgd.sklearn import settings
from fastgd.sklearn.base import GradientDescent
from fastgd.sklearn.classes import Classes


def has_probabilities(classifier: "ClassLearner") -> bool:
    """Whether the loss gives probabilities; else an AttributeError, as scikit-learn wants it."""
    if classifier.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(
            f"probability estimates are not available for loss={classifier.loss!r}; expected loss='log_loss' or "
            "'modified_huber'"
        )
    return True


class ClassLearner(GradientDescent):
    """Gradient descent on the numbers of classes."""

    class_weight: Mapping[Any, float] | str | None

    @property
    def _is_numeric(self) -> bool:
        return False

    def _noted(self, y: np.ndarray, classes: Any, is_first: bool, is_partial: bool = False) -> np.ndarray:
        if is_first:
            if is_partial and classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            self._classes = Classes.of(y, classes)
        elif classes is not None:
            self._classes.require_same(classes)
        elif not is_partial:
            self._classes.require_all_in(y)
        return self._classes.numbers(y)

    def _loss(self) -> Loss:
        return self._classes.loss(settings.loss_of(self, settings.LOSSES_OF_CLASSES))

    def _encoded(self, y: np.ndarray, loss: Loss) -> np.ndarray:
        return self._classes.encoded(y, loss)

    @property
    def _n_outputs(self) -> int:
        return self._classes.n_outputs

    def _weights_of_classes(self, y: np.ndarray, v: np.ndarray | None, is_partial: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if is_partial and isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                "sample of the full training set target to properly estimate the class frequency distributions. Pass "
                "the resulting weights as the class_weight parameter."
            )
        return self._classes.weights(self.class_weight, y, v)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None if self._classes.is_multilabel else y

    def _onnx_outputs(self) -> Outputs:
        loss, classes = self._architecture.loss, self._classes
        link = "clip" if losses.name_of(loss) == "modified_huber" else losses.kind_of(loss).link
        has_any = link in ("clip", "logit", "softmax")
        return Outputs(link if has_any else None, classes.labels, classes.is_multilabel)

    def _labels(self) -> Labels | None:
        labels = None if self._classes.is_multilabel else self._classes.labels
        # One class against the rest, and labels of other kinds, a model does not know.
        with contextlib.suppress(TypeError, ValueError):
            return Labels.of(labels, self._architecture.loss, self._n_outputs)
        return None

    def _described_targets(self) -> dict[str, Any]:
        return {"classes": self._classes.labels, "is_multilabel": self._classes.is_multilabel}

    def _restore_targets(self, description: dict[str, Any]) -> None:
        self._classes = Classes(description["classes"], description["is_multilabel"])
