"""scikit-learn's own callbacks, of its versions that have them (1.9 and later): each epoch of `fit` is a task."""

import copy
from typing import Any

from fastgd.history import EpochRecord
from fastgd.trainer import Trainer

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Nothing."""

    def with_callbacks(method: Any) -> Any:
        """Leave the method as it is."""
        return method


class EpochTasks:
    """Tells scikit-learn's callbacks of each epoch: a callback of `Trainer.fit`.

    X, y, metadata : what callbacks are given, as `fit` was
    """

    def __init__(self, estimator: Any, X: Any, y: Any, metadata: dict[str, Any]) -> None:
        self._estimator = estimator
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._context.call_on_fit_task_begin(**self._given)
        self._epoch: Any = None
        self._n_epochs = 0

    @classmethod
    def of(cls, estimator: Any, X: Any, y: Any, metadata: dict[str, Any]) -> list["EpochTasks"]:
        """One, or none where no callbacks were set."""
        return [cls(estimator, X, y, metadata)] if getattr(estimator, "_skl_callbacks", None) else []

    def on_begin(self, trainer: Trainer) -> None:
        """Begin the first epoch."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._given)

    def __call__(self, trainer: Trainer, record: EpochRecord) -> bool:
        """End an epoch, and begin the next; whether a callback wants training to stop."""
        stops = self._epoch.call_on_fit_task_end(
            **self._given, reconstruction_attributes=lambda: {"model_": copy.deepcopy(trainer.model)}
        )
        self._n_epochs += 1
        if not (stops or self._estimator._stopping.has_converged) and self._n_epochs < self._estimator.max_iter:
            self.on_begin(trainer)
        return stops

    def end(self) -> None:
        """End the whole."""
        model = self._estimator.model_
        self._context.call_on_fit_task_end(**self._given, reconstruction_attributes=lambda: {"model_": model})
