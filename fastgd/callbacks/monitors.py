"""Callbacks that watch a loss or a metric, and what they do when it gets better, or does not."""

import os
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastgd import storage
from fastgd._engine.monitor import Monitor, MonitorName
from fastgd.data import checks
from fastgd.history import EpochRecord
from fastgd.metrics import METRICS, Mode

if TYPE_CHECKING:
    from fastgd.trainer import Trainer


class EarlyStopping(Monitor):
    """Stop when a loss or a metric has not become better for some epochs, and keep the best parameters.

    They are put back whenever `fit` ends: after its last epoch, stopped by this callback or another, by Ctrl-C or by a
    DivergenceError. Unless it was stopped or ended by an error, a later `fit` with the same callback goes on from where
    training was, so that two calls of one epoch each do the same as one call of two.

    Parameters
    ----------
    patience : int
        How many epochs without gain end the training, at least 1.
    min_delta : float
        By how much it must become better to count as a gain, at least 0.
    restore_best : bool
        Whether the model has the parameters of its best epoch when training ends, or the last.
    monitor : str
        "validation_loss", "loss", or one of the Trainer's metrics.
    mode : "min" or "max", optional
        Whether less is better or more; needed for a metric of your own alone.

    Attributes
    ----------
    best : float
        The best value, where only a gain of more than min_delta counts.
    best_epoch : int
        The epoch that had it, from 1; 0 before there is one.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=2000, n_features=3, noise=0.1)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(3, 1), gd.ReLU()], seed=1), optimizer=gd.SGD(0.01), batch_size=8)
    >>> stop = gd.callbacks.EarlyStopping(patience=3)
    >>> history = trainer.fit(data, epochs=200, validation=0.2, callbacks=[stop])
    >>> len(history) < 200, stop.best == min(history.validation_loss)
    (True, True)
    """

    _SETTINGS: ClassVar = (*Monitor._SETTINGS, "patience", "restore_best")
    _STATE: ClassVar = (*Monitor._STATE, "_parameters", "_where_training_was", "_has_stopped")

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        monitor: MonitorName | str = "validation_loss",
        mode: Mode | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = checks.integer(patience, "patience", 1)
        self.restore_best = checks.switch(restore_best, "restore_best")
        self._parameters: np.ndarray | None = None
        self._where_training_was: np.ndarray | None = None
        self._has_stopped = False

    def on_begin(self, trainer: "Trainer") -> None:
        """Go on from where training was, unless the model was given other parameters since."""
        was, self._where_training_was = self._where_training_was, None
        if was is not None and np.array_equal(trainer.model.parameters, self._parameters):
            trainer.model.parameters = was

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> bool:
        """Return whether to stop."""
        if self.improves(record):
            self._parameters = trainer.model.parameters.copy() if self.restore_best else None
        self._has_stopped = record.epoch - self._last_gain >= self.patience
        return self._has_stopped

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Put the best parameters back."""
        if self._parameters is None:
            return
        if error is None and not self._has_stopped:
            self._where_training_was = trainer.model.parameters.copy()
        trainer.model.parameters = self._parameters


class ReduceOnPlateau(Monitor):
    """Multiply the learning rate by a factor when a loss or a metric has not become better for some epochs.

    Parameters
    ----------
    factor : float
        In (0, 1).
    patience : int
        How many epochs without gain reduce the rate, at least 1.
    min_delta : float
        By how much it must become better to count as a gain, at least 0.
    min_factor : float
        Bound on the product of all factors, at least 0.
    monitor : str
        "validation_loss", "loss", or one of the Trainer's metrics.
    mode : "min" or "max", optional
        Whether less is better or more; needed for a metric of your own alone.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=2000, n_features=3, noise=0.1)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(3, 1), gd.ReLU()], seed=1), optimizer=gd.SGD(0.3), batch_size=8)
    >>> slow_down = gd.callbacks.ReduceOnPlateau(patience=1, factor=0.5)
    >>> history = trainer.fit(data, epochs=40, validation=0.2, callbacks=[slow_down])
    >>> trainer.learning_rate_factor < 1
    True
    """

    _SETTINGS: ClassVar = (*Monitor._SETTINGS, "factor", "patience", "min_factor")
    _STATE: ClassVar = (*Monitor._STATE, "_last_change")

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        min_factor: float = 0.0,
        monitor: MonitorName | str = "validation_loss",
        mode: Mode | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        checks.positive(factor, "factor")
        self.factor = checks.below_one(factor, "factor")
        self.patience = checks.integer(patience, "patience", 1)
        self.min_factor = checks.non_negative(min_factor, "min_factor")
        self._last_change = 0

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Lower the trainer's rate where it is time."""
        if self.improves(record):
            return
        if record.epoch - max(self._last_gain, self._last_change) >= self.patience:
            lowered = max(trainer.learning_rate_factor * self.factor, self.min_factor)
            trainer.learning_rate_factor = min(lowered, trainer.learning_rate_factor)
            self._last_change = record.epoch


class ModelCheckpoint(Monitor):
    """Save the run after each epoch, or after each that is the best so far.

    Parameters
    ----------
    path : path
        Where `Trainer.save` writes, into a folder that exists. Numbers of the record in braces are filled in as by
        `str.format`: "runs/{epoch:02d}-{validation_loss:.3f}.safetensors". Metrics are among them, but of your own
        no other than `monitor`.
    save_best_only : bool
    monitor : str
        "validation_loss", "loss", or one of the Trainer's metrics; read with save_best_only alone.
    mode : "min" or "max", optional
        Whether less is better or more; needed for a metric of your own alone.

    Raises
    ------
    ValueError
        For a path with braces that hold anything else; when `fit` begins, where they need validation data or a metric
        and there is none.
    FileNotFoundError
        When `fit` begins, where the folder (the first one, where braces stand in its name) is missing.

    Examples
    --------
    >>> import tempfile
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=2000, n_features=3, noise=0.1)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(3, 1), gd.ReLU()], seed=1), optimizer=gd.SGD(0.01), batch_size=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = gd.callbacks.ModelCheckpoint(f"{folder}/best.safetensors", save_best_only=True)
    ...     history = trainer.fit(data, epochs=5, validation=0.2, callbacks=[keep])
    ...     best = gd.Model.load(f"{folder}/best.safetensors")
    >>> best
    Model([Linear(3, 1), ReLU()], dtype='float32')
    """

    saves_run: ClassVar = True
    # Where a run goes on, it may save elsewhere.
    _SETTINGS: ClassVar = (*Monitor._SETTINGS, "save_best_only")

    def __init__(
        self,
        path: str | os.PathLike,
        save_best_only: bool = False,
        monitor: MonitorName | str = "validation_loss",
        mode: Mode | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.path = os.fsdecode(path)
        storage.require_name(self.path)
        metrics = dict.fromkeys([*METRICS, *{self.monitor} - set(EpochRecord._fields)], 0.5)
        known = EpochRecord(1, 0.5, 0.5, 0.5, 0.5, metrics).by_name()
        try:
            pieces = list(string.Formatter().parse(self.path))
            # Whether the formats suit the fields' types.
            self.path.format(**known)
        except (LookupError, ValueError, AttributeError) as error:
            fields = ", ".join(f"{{{field}}}" for field in known)
            raise ValueError(
                f"path is {self.path!r} ({error}); expected none but these in braces: {fields}, with formats as in "
                "{epoch:02d}, {loss:.3f}"
            ) from None
        self._fields = [field for _, field, _, _ in pieces if field is not None]
        self._folder = os.path.dirname(pieces[0][0] if pieces else "") or os.curdir
        self.save_best_only = checks.switch(save_best_only, "save_best_only")

    def check(self, has_validation: bool, metrics: Sequence[str]) -> None:
        """Raise an error where there will be nothing to watch, nothing to name files by, or no folder to save in."""
        if self.save_best_only:
            super().check(has_validation, metrics)
        if "validation_loss" in self._fields and not has_validation:
            raise ValueError(f"path is {self.path!r} and validation is None; expected fit(..., validation=...)")
        names = [field.partition(".")[0] for field in self._fields]
        missing = [name for name in names if name not in (*EpochRecord._fields, *metrics)]
        if missing:
            raise ValueError(
                f"path is {self.path!r} and the Trainer's metrics are {list(metrics)}; expected "
                f"Trainer(..., metrics=[{', '.join(map(repr, missing))}])"
            )
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(f"path is {self.path!r} and there is no folder {self._folder!r}; expected one")

    def __call__(self, trainer: "Trainer", record: EpochRecord) -> None:
        """Save the run where it is to be kept."""
        if self.improves(record):
            trainer.save(self.path.format(**record.by_name()))

    def improves(self, record: EpochRecord) -> bool:
        """Take note of an epoch; whether the run is to be kept as it is after it."""
        return not self.save_best_only or super().improves(record)
