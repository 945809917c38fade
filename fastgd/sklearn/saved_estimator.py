"""Fitted estimators as files: parameters and what is known of the training as JSON, all else as tensors."""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastgd import losses, optimizers, schedules, storage
from fastgd._engine import checkpoint
from fastgd._engine.monitor import Monitor
from fastgd.export import onnx
from fastgd.labels import Labels
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.schedules import Schedule
from fastgd.sklearn.scales import Scales
from fastgd.sklearn.settings import Architecture, Training
from fastgd.sklearn.stopping import Stopping
from fastgd.trainer import Trainer

_PREFIX, _BEST = storage.ESTIMATOR_PREFIX, storage.ESTIMATOR_MODEL_PREFIX
_KEYS = [
    *("type", "parameters", "callbacks", "targets", "n_features_in", "feature_names_in", "seed", "is_stream"),
    *("n_iter", "architecture", "training", "stopping", "scales", "has_best"),
]


class FileMethods:
    """Saving, loading and exporting; what the two kinds differ in, they say."""

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted estimator as one safetensors file, without pickle, for `load`.

        It goes on with `fit`, where warm_start is True, and `partial_fit` with the same bits. Of callbacks and of a
        schedule of your own, the file has no more than the names; of what scikit-learn keeps itself, as by
        `set_fit_request` and `set_callbacks`, nothing. (skops writes estimators too: all types that it then asks to be
        trusted begin with "fastgd.")

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            For a parameter that JSON cannot hold, such as a RandomState, or labels that are neither strings nor
            numbers.

        Examples
        --------
        >>> from fastgd.sklearn import GDRegressor
        >>> regressor = GDRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
        >>> regressor.save("regressor.safetensors")  # doctest: +SKIP
        >>> same = GDRegressor.load("regressor.safetensors")  # doctest: +SKIP
        """
        check_is_fitted(self)
        tensors, descriptions = checkpoint.describe(self.trainer_)
        estimator, own = _described(self)
        storage.write(path, tensors | own, estimator=estimator, **descriptions)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        schedule: Schedule | None = None,
        callbacks: Sequence[Callable[..., Any]] | None = None,
    ) -> Self:
        """Read a fitted estimator that `save` wrote.

        Parameters
        ----------
        path : path
        schedule : Schedule, optional
            The learning rate's, where its class is one of your own.
        callbacks : sequence of callables, optional
            The parameter `callbacks`; needed where the estimator had some, for `fit` to go on with. Those of
            `fastgd.callbacks` that have the same settings take up what theirs had seen. `()` is none.

        Raises
        ------
        ValueError
            If the file is not one of an estimator of this class, or was damaged; if it needs a schedule or callbacks,
            or another schedule.
        """
        with storage.opened(path, "estimator", "architecture", "run") as (tensors, description, architecture, run):
            storage.require_names(description, "estimator", _KEYS)
            if description["type"] != cls._name_in_files():
                raise ValueError(f"the file holds a {description['type']}; expected {description['type']}.load")
            if description["callbacks"] and callbacks is None:
                raise ValueError(
                    f"the estimator has the callbacks {', '.join(description['callbacks'])}; expected "
                    "load(path, callbacks=[...]), or callbacks=() to go on without"
                )
            own = {name: tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
            of_run = {name: tensor for name, tensor in tensors.items() if name not in own}
            trainer = checkpoint.restored(Trainer, of_run, architecture, run, schedule)
            parameters = {name: _decoded(value, schedule) for name, value in description["parameters"].items()}
            estimator = cls(**parameters, callbacks=() if callbacks is None else callbacks)
            _restore(estimator, description, own, trainer, architecture, schedule)
            return estimator

    @classmethod
    def _name_in_files(cls) -> str:
        return cls.__name__

    def to_onnx(self, path: str | os.PathLike) -> None:
        """Write the fitted estimator as ONNX, in the dtype of the rows that it was fitted on.

        The input "X", (n_samples, n_features), is tensor(float) or tensor(double). A regressor has the output
        "variable", (n_samples, n_outputs), in the units of y. A classifier has "label", (n_samples,), or of several
        labels a row (n_samples, n_labels) of zeros and ones, and "probabilities", (n_samples, n_classes), as skl2onnx
        gives them with zipmap=False; for losses without any, "scores" as `decision_function`. See `Model.to_onnx`.

        Raises
        ------
        ImportError
            Without the package onnx: `pip install "fastgd[onnx]"`.
        sklearn.exceptions.NotFittedError
        ValueError
            For labels that are neither strings nor booleans nor numbers.
        """
        check_is_fitted(self)
        onnx.write(path, onnx.graph_of(self.model_, self._onnx_outputs()))

    def _onnx_outputs(self) -> onnx.Outputs:
        """What the model's outputs stand for."""
        raise NotImplementedError

    def _labels(self) -> Labels | None:
        """What the model itself is told that its outputs stand for, where it can be."""
        raise NotImplementedError

    def _described_targets(self) -> dict[str, Any]:
        """What is known of the targets."""
        raise NotImplementedError

    def _restore_targets(self, description: dict[str, Any]) -> None:
        """Take up what `_described_targets` described."""
        raise NotImplementedError


def _described(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an estimator is beside its trainer: as JSON can hold it, and tensors."""
    scales, stopping = estimator._scales, estimator._stopping
    parameters = estimator.get_params(deep=False)
    callbacks = [getattr(each, "__name__", type(each).__name__) for each in parameters.pop("callbacks")]
    has_best = estimator.model_ is not estimator.trainer_.model
    known = {
        "parameters": parameters,
        "targets": estimator._described_targets(),
        "feature_names_in": getattr(estimator, "feature_names_in_", None),
        "architecture": _as_dict(estimator._architecture) | {"loss": losses.describe(estimator._architecture.loss)},
        "training": _as_dict(estimator._training),
        "stopping": stopping.state(),
    }
    description = {
        name: _encoded(value, name) if not isinstance(value, dict) else {k: _encoded(v, k) for k, v in value.items()}
        for name, value in known.items()
    }
    description |= {
        "type": estimator._name_in_files(),
        "callbacks": callbacks,
        "n_features_in": int(estimator.n_features_in_),
        "seed": estimator._seed,
        "is_stream": estimator._is_stream,
        "n_iter": estimator.n_iter_,
        "scales": None if scales is None else scales.settings,
        "has_best": has_best,
    }
    tensors = {} if scales is None else {f"{_PREFIX}{name}": array for name, array in scales.state().items()}
    if has_best:
        tensors |= {f"{_BEST}{name}": tensor for name, tensor in estimator.model_.tensors().items()}
    return description, tensors


def _restore(
    estimator: Any,
    description: dict[str, Any],
    tensors: dict[str, storage.SavedTensor],
    trainer: Trainer,
    architecture: dict[str, Any],
    schedule: Schedule | None,
) -> None:
    """Have an estimator with its parameters be what `_described` described."""

    def decoded(name: str) -> dict[str, Any]:
        return {key: _decoded(value, schedule) for key, value in description[name].items()}

    settings = decoded("architecture")
    estimator._architecture = Architecture(**settings | {"loss": losses.restore(settings["loss"])})
    estimator._training = Training(**decoded("training"))
    estimator._restore_targets(decoded("targets"))
    estimator._stopping = Stopping()
    estimator._stopping.restore(decoded("stopping"))
    estimator.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"] is not None:
        estimator.feature_names_in_ = _decoded(description["feature_names_in"], None)
    estimator._seed, estimator._is_stream = description["seed"], description["is_stream"]
    estimator.n_iter_ = description["n_iter"]
    estimator.trainer_ = trainer
    estimator.callbacks_ = [copy.copy(each) if isinstance(each, Monitor) else each for each in estimator.callbacks]
    of_best = {name.removeprefix(_BEST): tensor for name, tensor in tensors.items() if name.startswith(_BEST)}
    estimator.model_ = Model.restore(architecture, of_best) if description["has_best"] else trainer.model
    of_scales = {name.removeprefix(_PREFIX): each for name, each in tensors.items() if not name.startswith(_BEST)}
    estimator._scales = None
    if description["scales"] is not None:
        estimator._scales = Scales(trainer.model, *description["scales"])
        estimator._scales.load(of_scales)


def _as_dict(settings: Architecture | Training) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


def _encoded(value: Any, name: str) -> Any:
    """A value as JSON can hold it, to come back the same."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.bool_ | np.number):
        return _encoded(np.asarray(value), name)
    if isinstance(value, list):
        return [_encoded(each, name) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [_encoded(each, name) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_encoded(each, name) for each in item] for item in value.items()]}
    if isinstance(value, Optimizer):
        return {"optimizer": value.describe()}
    if isinstance(value, Schedule):
        return {"schedule": value.describe()}
    if isinstance(value, np.ndarray):
        are_strings = value.dtype.kind == "O" and all(isinstance(each, str) for each in value.flat)
        if are_strings or value.dtype.kind == "U" or (value.dtype.kind in "biuf" and value.dtype.itemsize <= 8):
            return {"array": value.tolist(), "dtype": value.dtype.str}
        value = f"an array of {value.dtype}"
    raise ValueError(
        f"{name} is {value!r}, which a file cannot hold; expected strings, numbers or None, as by "
        f"set_params({name}=...) where it is a parameter"
    )


def _decoded(value: Any, schedule: Schedule | None) -> Any:
    """What `_encoded` encoded."""
    if isinstance(value, list):
        return [_decoded(each, schedule) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], value["dtype"])[()]
    (kind,) = value
    if kind == "optimizer":
        return optimizers.restore(value[kind], schedule)
    if kind == "schedule":
        return schedules.restore(value[kind], schedule)
    parts = _decoded(value[kind], schedule)
    return {"tuple": tuple, "dict": dict}[kind](parts)
