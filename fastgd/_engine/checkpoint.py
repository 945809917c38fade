"""A run as a file holds it: descriptions in JSON, and tensors."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import losses, optimizers, schedules, storage
from fastgd._engine import callback_list
from fastgd._engine.callback_list import SavedCallback
from fastgd._engine.cut_epoch import PREFIX as _OF_EPOCH
from fastgd._engine.cut_epoch import CutEpoch
from fastgd._engine.run import Run
from fastgd.data import checks
from fastgd.history import EpochRecord, Setback
from fastgd.metrics import describe as describe_metrics
from fastgd.metrics import restore as restore_metrics
from fastgd.model import Model
from fastgd.replicas import Nesterov
from fastgd.schedules import Schedule
from fastgd.schedules.formulas import as_schedule

if TYPE_CHECKING:
    from fastgd._engine.settings import Settings

#: The settings of a Trainer that a file holds as they are.
SETTINGS = ["batch_size", "shuffle", "seed", "alpha", "l1_ratio", "clip_value", "clip_norm", "max_norm", "average_from"]
SETTINGS += ["replicas", "round_rows", "sync"]
# What describes a run.
_RUN = [*SETTINGS, "loss", "optimizer", "metrics", "outer", "learning_rate_factor", "measured_rate", "past_updates"]
_RUN += ["history", "setbacks", "search_seconds", "callbacks", "epoch", "fingerprint", "is_stopped", "tensors"]
# The name of the tensor that training goes on from.
_REPLACED = "parameters"
# What the names of a run's tensors begin with, beside those of its model.
_PREFIX = "run."


def describe(trainer: "Settings") -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """A trainer's run as tensors, and as descriptions that `storage.write` takes beside them.

    Raises
    ------
    RuntimeError
        While a call in another thread trains.
    """
    trainer._calls.require_none_elsewhere("save")
    run = trainer._run
    callbacks = [SavedCallback(monitor.settings(), monitor.saved_state()) for monitor in trainer._monitors]
    descriptions, callback_tensors = callback_list.describe(callbacks or trainer._loaded_callbacks)
    cut = run.cut_here()
    epoch, epoch_tensors = (None, {}) if cut is None else cut.describe()
    # An epoch is part of the history once its callbacks have heard of it.
    records = list(run.history) if run.under_way is None else list(run.history)[: run.under_way.number]
    description = {name: getattr(trainer, name) for name in SETTINGS} | {
        "callbacks": descriptions,
        "loss": losses.describe(run.loss),
        "optimizer": run.optimizer.describe(),
        "learning_rate_factor": run.learning_rate_factor,
        "measured_rate": run.measured_rate and run.measured_rate.describe(),
        "past_updates": run.updates_before_engine,
        "history": [list(record) for record in records],
        "metrics": describe_metrics(run.metrics),
        "setbacks": [list(setback) for setback in run.history.setbacks],
        "search_seconds": run.history.search_seconds,
        "outer": dataclasses.asdict(trainer.outer) if isinstance(trainer.outer, Nesterov) else trainer.outer,
        "epoch": epoch,
        "fingerprint": run.fingerprint,
        "is_stopped": run.is_stopped,
    }
    state = ({} if run.engine is None else run.engine.state.between_epochs()) | callback_tensors | epoch_tensors
    if run.replaced is not None:
        state[_REPLACED] = run.replaced[0]
    description["tensors"] = sorted(state)
    tensors = run.model.tensors() | {f"{_PREFIX}{name}": tensor for name, tensor in state.items()}
    return tensors, {"architecture": run.model.architecture(), "run": description}


def restored(
    kind: type["Settings"],
    tensors: dict[str, storage.SavedTensor],
    architecture: dict[str, Any],
    run: dict[str, Any],
    schedule: Schedule | None = None,
    metrics: Sequence[Callable[..., float]] = (),
) -> Any:
    """The trainer, of a class, whose run `describe` described; arguments and errors as of `Trainer.load`."""
    if schedule is not None and "own" not in as_schedule(schedule).describe():
        raise ValueError(f"schedule is {schedule!r}; expected one of your own, as the file holds all others")
    storage.require_names(run, "run", _RUN)
    of_model, of_run = _split(tensors)
    outer = run["outer"]
    trainer = kind(
        Model.restore(architecture, of_model),
        loss=losses.restore(run["loss"]),
        optimizer=optimizers.restore(run["optimizer"], schedule),
        metrics=restore_metrics(run["metrics"], metrics),
        outer=Nesterov(**outer) if isinstance(outer, dict) else outer,
        **{name: run[name] for name in SETTINGS},
    )
    trainer._loaded_callbacks = _take_up(trainer._run, run, of_run)
    return trainer


def _split(
    tensors: dict[str, storage.SavedTensor],
) -> tuple[dict[str, storage.SavedTensor], dict[str, storage.SavedTensor]]:
    """The tensors of the model, and those of the run by their own names."""
    of_model = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    of_run = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name not in of_model}
    return of_model, of_run


def _take_up(run: Run, description: dict[str, Any], tensors: dict[str, storage.SavedTensor]) -> list[SavedCallback]:
    """Have a new run of the same settings go on from where the written one was; return what its callbacks knew."""
    run.learning_rate_factor = checks.non_negative(description["learning_rate_factor"], "learning_rate_factor")
    run.measured_rate = description["measured_rate"] and schedules.restore(description["measured_rate"])
    run.updates_before_engine = checks.integer(description["past_updates"], "past_updates", 0)
    for record in description["history"]:
        run.history.append(EpochRecord(*record))
    run.history.setbacks = [Setback(*setback) for setback in description["setbacks"]]
    run.history.search_seconds = description["search_seconds"]
    descriptions = description["callbacks"]
    of_callbacks = set(callback_list.tensor_names(descriptions))
    storage.require_names(tensors, "tensors of the run", description["tensors"])
    run.fingerprint, run.is_stopped = description["fingerprint"], bool(description["is_stopped"])
    of_epoch = {name: tensor for name, tensor in tensors.items() if name.startswith(_OF_EPOCH)}
    if description["epoch"] is not None:
        run.cut = CutEpoch.restore(description["epoch"], of_epoch)
        run.cut.settings, run.cut.is_loaded = run.assigned, True
    others = {_REPLACED, *of_callbacks, *of_epoch}
    of_engine = {name: tensor for name, tensor in tensors.items() if name not in others}
    if _REPLACED in tensors:
        run.replaced = np.array(tensors[_REPLACED]), run.model.parameters.copy()
    if of_engine:
        run.prepared_engine().state.load(of_engine)
    return callback_list.restore(descriptions, {name: np.array(tensors[name]) for name in of_callbacks})
