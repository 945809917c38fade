"""What the callbacks of `fastgd.callbacks` share, and what `Trainer.fit` knows of them."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

from fastgd.data import checks
from fastgd.history import EpochRecord, History
from fastgd.metrics import METRICS, MetricName, Mode

MonitorName = Literal["loss", "validation_loss"] | MetricName

_LOSSES = "loss", "validation_loss"


class Monitor:
    """Tells whether a number of the record has become better than it was, and remembers that in a saved run."""

    #: Whether it saves the run, to be called when all others were.
    saves_run: ClassVar[bool] = False
    #: The attributes that tell whether one of a saved run is the same, and those that epochs change.
    _SETTINGS: ClassVar[tuple[str, ...]] = ("monitor", "mode", "min_delta")
    _STATE: ClassVar[tuple[str, ...]] = ("best", "best_epoch", "_last_gain")

    def __init__(self, monitor: MonitorName | str, mode: Mode | None, min_delta: float) -> None:
        self.monitor, self.mode = _monitor_and_mode(monitor, mode)
        self.min_delta = checks.non_negative(min_delta, "min_delta")
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_epoch = 0
        self._last_gain: int | None = None
        # That of the run that it watches, as no other run has it.
        self._history: History | None = None

    @property
    def is_new(self) -> bool:
        """Whether it has seen no epoch."""
        return self._last_gain is None

    def settings(self) -> dict[str, Any]:
        """What tells whether another is of the same kind, as JSON can hold it."""
        return {"type": type(self).__name__} | self._described()

    def _described(self) -> dict[str, Any]:
        is_usual = self.mode == _mode_of(self.monitor)
        return {name: getattr(self, name) for name in self._SETTINGS if name != "mode" or not is_usual}

    def saved_state(self) -> dict[str, Any]:
        """What it has learnt from the epochs, by name: numbers, arrays and None."""
        return {name.lstrip("_"): getattr(self, name) for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `saved_state` gave."""
        for name in self._STATE:
            setattr(self, name, state[name.lstrip("_")])

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._described().items())
        best = f", best {self.best:.6g} in epoch {self.best_epoch}" if self.best_epoch else ""
        return f"{type(self).__name__}({settings}{best})"

    def watch(self, history: History) -> None:
        """Take note of whose run is watched; a ValueError where it has seen epochs of another."""
        if self._history is not None and self._history is not history and not self.is_new:
            raise ValueError(
                f"this {type(self).__name__} has watched another Trainer's run, up to its epoch {self._last_gain}; "
                "expected a new one for each (in a loaded run, one of the same settings goes on where this one was)"
            )
        self._history = history

    def check(self, has_validation: bool, metrics: Sequence[str]) -> None:
        """Raise a ValueError where there will be nothing to watch, before training begins.

        metrics : the names of the trainer's
        """
        if self.monitor == "validation_loss" and not has_validation:
            raise ValueError(
                f"{type(self).__name__} watches validation_loss and validation is None; expected "
                "fit(..., validation=...), or monitor='loss'"
            )
        if self.monitor not in (*_LOSSES, *metrics):
            wanted = repr(self.monitor) if self.monitor in METRICS else self.monitor
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor} and the Trainer's metrics are {list(metrics)}; expected "
                f"Trainer(..., metrics=[{wanted}])"
            )

    def improves(self, record: EpochRecord) -> bool:
        """Take note of an epoch; whether it is the best so far by more than `min_delta`."""
        if self._last_gain is None:
            # Before the first epoch that it sees, which need not be that of the run, nothing was lost.
            self._last_gain = record.epoch - 1
        value = record.by_name().get(self.monitor)
        if value is None:
            expected = "fit(..., validation=...)" if self.monitor in _LOSSES else "the Trainer to have this metric"
            raise ValueError(f"{self.monitor} is None in epoch {record.epoch}; expected {expected}")
        # So written, what is no number is no gain.
        is_gain = value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta
        if not is_gain:
            return False
        self.best, self.best_epoch, self._last_gain = value, record.epoch, record.epoch
        return True


def _mode_of(monitor: str) -> Mode | None:
    """Whether less of it is better, or more; None for a metric of a user's own."""
    return METRICS[monitor].mode if monitor in METRICS else "min" if monitor in _LOSSES else None


def _monitor_and_mode(monitor: str, mode: Mode | None) -> tuple[str, Mode]:
    """Both, checked: the name of a metric of one's own needs a mode."""
    if mode is not None:
        checks.choice(mode, "mode", get_args(Mode))
    if mode is None or not isinstance(monitor, str) or monitor in EpochRecord._fields:
        try:
            checks.choice(monitor, "monitor", (*_LOSSES, *METRICS))
        except ValueError as error:
            raise ValueError(f"{error}; for a metric of your own, mode='min' or mode='max' too") from None
    return monitor, mode or _mode_of(monitor)
