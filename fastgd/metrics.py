"""How good predictions are, in numbers that mean the same for every data set.

Names and formulas are scikit-learn's. y stands for the targets, p for what the model expects them to be: its outputs z,
or exp(z) for the Poisson loss. v stands for the rows' weights.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import read_only
from fastgd.history import EpochRecord
from fastgd.losses import Loss, kind_of, name_of, takes_classes
from fastgd.model import Model

MetricName = Literal["accuracy", "r2", "mae", "mse", "rmse"]
Mode = Literal["min", "max"]
Metric = MetricName | Callable[..., float]


class Kind(NamedTuple):
    """What is known of a metric.

    formula : over all rows, and outputs where there are several
    mode : whether a better model has a larger one, or a smaller
    of_classes : whether targets must be classes, or else numbers
    """

    formula: str
    mode: Mode
    of_classes: bool = False


#: Every metric by name.
METRICS = {
    "accuracy": Kind("the share of rows whose class, or classes, are all right", "max", of_classes=True),
    "r2": Kind("1 - Σ v (y - p)² / Σ v (y - ȳ)², the mean over the outputs that vary; NaN where none does", "max"),
    "mae": Kind("Σ v |y - p| / Σ v", "min"),
    "mse": Kind("Σ v (y - p)² / Σ v", "min"),
    "rmse": Kind("√(Σ v (y - p)² / Σ v), the mean over outputs", "min"),
}

# What scikit-learn and Keras call them, or people do.
_ELSEWHERE = {
    **dict.fromkeys(("acc", "accuracy_score", "binary_accuracy", "categorical_accuracy"), "accuracy"),
    **dict.fromkeys(("r2_score", "r²", "r_squared"), "r2"),
    **dict.fromkeys(("mean_absolute_error", "l1"), "mae"),
    **dict.fromkeys(("mean_squared_error", "l2"), "mse"),
    **dict.fromkeys(("root_mean_squared_error",), "rmse"),
}


def as_metrics(metrics: Any, loss: Loss) -> tuple[Metric, ...]:
    """The metrics of a run, checked: names of `METRICS` that suit its loss, and functions of one's own."""
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics is {metrics!r}; expected a list, as in metrics=['accuracy']")
    checked: list[Metric] = []
    for index, metric in enumerate(metrics):
        place = f"metrics[{index}]"
        if callable(metric):
            _require_name(metric, place)
        else:
            _require_suited(checks.choice(metric, place, METRICS, _ELSEWHERE), place, loss)
        if name_of_metric(metric) in map(name_of_metric, checked):
            raise ValueError(f"{place} is a second {name_of_metric(metric)!r}; expected each name once")
        checked.append(metric)
    return tuple(checked)


def _require_name(metric: Callable[..., float], place: str) -> None:
    """Raise a ValueError where a function has no name that can stand in a table, or one that stands for another."""
    name = getattr(metric, "__name__", None)
    if name is None or not name.isidentifier():
        raise ValueError(f"{place} is {metric!r}; expected a function with a name, as def gives it one")
    if name in METRICS or name in EpochRecord._fields:
        raise ValueError(f"{place} is a function named {name!r}, as another number is; expected another name")


def _require_suited(name: str, place: str, loss: Loss) -> None:
    has_classes = takes_classes(loss)
    if METRICS[name].of_classes != has_classes:
        suited = [repr(other) for other, kind in METRICS.items() if kind.of_classes == has_classes]
        targets = "classes" if has_classes else "numbers"
        raise ValueError(
            f"{place} is {name!r} and the targets of {name_of(loss)} are {targets}; expected {', '.join(suited)}, or "
            "a function of (y, prediction)"
        )


def name_of_metric(metric: Metric) -> str:
    """What a metric is called in the history."""
    return metric if isinstance(metric, str) else metric.__name__


def measure(
    metrics: Sequence[Metric], model: Model, dataset: Dataset, loss: Loss, n_threads: int | None = None
) -> dict[str, float]:
    """Each metric of a model on a data set, by its name.

    Predictions and targets of all rows are held in memory meanwhile. Where every weight is zero, all are NaN.

    metrics : as `as_metrics` gives them          dataset : rows with targets
    loss : what the model is trained by, which says what its outputs are
    """
    if not metrics:
        return {}
    rows, z = dataset.targets(np.dtype(np.float64)), read_only(model.predict(dataset, "float64", n_threads))
    v = rows.sample_weight if rows.sample_weight.size else np.ones(len(rows.y))
    if not v.any():
        return dict.fromkeys(map(name_of_metric, metrics), math.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        known = {metric: _known(metric, rows.y, z, v, loss) for metric in metrics if isinstance(metric, str)}
    weight = rows.sample_weight if dataset.has_sample_weight else None
    return {
        name_of_metric(metric): known[metric] if isinstance(metric, str) else _own(metric, rows.y, z, weight)
        for metric in metrics
    }


def score(model: Model, dataset: Dataset, loss: Loss) -> tuple[str, float]:
    """The accuracy, for a loss of classes, or R², for any other: see `METRICS`.

    model : trained          dataset : rows with targets, with a weight above zero among them
    loss : what the model was trained by

    Returns
    -------
    name : "accuracy" or "R²"
    score : float
    """
    metric: MetricName = "accuracy" if takes_classes(loss) else "r2"
    value = measure([metric], model, dataset, loss)[metric]
    return {"accuracy": "accuracy", "r2": "R²"}[metric], value


def _known(name: str, y: np.ndarray, z: np.ndarray, v: np.ndarray, loss: Loss) -> float:
    if name == "accuracy":
        return float(np.average(_is_right(y, z, loss), weights=v))
    error = y - (np.exp(z) if kind_of(loss).link == "log" else z)
    if name == "mae":
        return float(np.average(np.abs(error).mean(axis=1), weights=v))
    if name == "mse":
        return float(np.average((error**2).mean(axis=1), weights=v))
    if name == "rmse":
        return float(np.sqrt(np.average(error**2, axis=0, weights=v)).mean())
    # A power of two rounds nothing, and keeps squares from overflow at any scale. Counted from the first
    # row, an output that does not vary has a deviation of exactly zero.
    exponent = -np.frexp(np.abs(y).max(axis=0))[1]
    error, y = np.ldexp(error, exponent), np.ldexp(y - y[0], exponent)
    squares = v @ (y - np.average(y, axis=0, weights=v)) ** 2
    varies = squares > 0
    return float(np.mean(1 - (v @ error**2)[varies] / squares[varies])) if varies.any() else math.nan


def _is_right(y: np.ndarray, z: np.ndarray, loss: Loss) -> np.ndarray:
    """Whether each row's class is right, or all of its classes are, (n_samples,)."""
    targets = kind_of(loss).targets
    if targets == "a class":
        return z.argmax(axis=1) == y[:, 0]
    # Probabilities, most of them 0 or 1, are divided at one half, and signs at zero.
    return ((z > 0) == (y > (0.5 if targets == "in [0, 1]" else 0))).all(axis=1)


def _own(metric: Callable[..., float], y: np.ndarray, z: np.ndarray, weight: np.ndarray | None) -> float:
    """A user's function of (y, prediction), and of the weights where there are some and it takes them."""
    flat = [array[:, 0] if array.shape[1] == 1 else array for array in (y, z)]
    weights = {} if weight is None or not _takes_weights(metric) else {"sample_weight": weight}
    try:
        value = metric(*flat, **weights)
    except Exception as error:
        error.add_note(f"In the metric {metric.__name__}.")
        raise
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"the metric {metric.__name__} gave {value!r}; expected a number") from None


def _takes_weights(metric: Callable[..., float]) -> bool:
    try:
        return "sample_weight" in inspect.signature(metric).parameters
    except (TypeError, ValueError):
        # Some functions that are written in C do not say what they take.
        return False


def describe(metrics: Sequence[Metric]) -> list[str | dict[str, str]]:
    """The metrics as JSON can hold them; of a user's own, no more than the name."""
    return [metric if isinstance(metric, str) else {"own": metric.__name__} for metric in metrics]


def restore(descriptions: Sequence[str | dict[str, str]], own: Sequence[Callable[..., float]]) -> tuple[Metric, ...]:
    """The metrics that `describe` described; `own` are the user's of those names."""
    given = {name_of_metric(metric): metric for metric in own}
    wanted = [description["own"] for description in descriptions if isinstance(description, dict)]
    if sorted(given) != sorted(wanted):
        needed = f", metrics=[{', '.join(wanted)}]" if wanted else ""
        raise ValueError(
            f"metrics has {list(given)} and the run's metrics of your own are {wanted}; expected "
            f"Trainer.load(path{needed})"
        )
    return tuple(given[each["own"]] if isinstance(each, dict) else each for each in descriptions)
