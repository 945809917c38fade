"""The losses, by name. Each is summed over a row's outputs and averaged over the rows of a batch.

A loss without parameters goes by its name, as in `Trainer(model, loss="log_loss")`; one with parameters also by a
function of this module, as in `loss=gd.losses.huber(delta=2.0)`, which raises a ValueError or TypeError for a parameter
out of its range. z stands for the model's output, y for the target, both (n_samples, n_outputs), or one class a row.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastgd.data import checks
from fastgd.kernels import all_within
from fastgd.kernels import loss as kernels

# What users call; `help` shows these alone.
__all__ = ["cross_entropy", "epsilon_insensitive", "huber", "quantile", "squared_epsilon_insensitive"]

LossName = Literal[
    "half_squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
    "poisson",
    "log_loss",
    "hinge",
    "squared_hinge",
    "modified_huber",
    "perceptron",
    "cross_entropy",
]


Loss = tuple
"""The settings of a loss, as `fastgd.kernels.nn.loss` has them."""

#: Beyond, a probability or a count is as good as zero.
LARGEST_LOGIT = 30.0


def _log_shares(loss: Loss, y: np.ndarray, weight: np.ndarray, n_outputs: int) -> np.ndarray:
    """The logarithms of the classes' shares, smoothed: the constant logits for which the cross-entropy is least."""
    shares = np.bincount(y[:, 0].astype(np.int64), weight, n_outputs) / max(weight.sum(), np.finfo(np.float64).tiny)
    shares = (1 - loss.label_smoothing) * shares + loss.label_smoothing / n_outputs
    return np.log(np.maximum(shares, np.exp(-LARGEST_LOGIT)))


class Kind(NamedTuple):
    """What is known of a loss.

    settings : their type in the kernels          formula : of one output, or of a row
    targets : which targets it takes: "any number", "at least 0", "in [0, 1]", "-1 or +1" or "a class"
    curvature : the most that its second derivative by the outputs comes to; None where that is no guide to a step
    link : what the outputs are of what is expected of the targets: "identity", "log", "logit", or "softmax" for the
        logits of classes
    is_robust : whether a target of regression that lies far out has no more say than one that is a little off
    best_constant : of a loss of all outputs together, (loss, y, sample weights, n_outputs) to the constant outputs for
        which it is least; of the others, a search finds each
    """

    settings: type
    formula: str
    targets: str = "any number"
    curvature: float | None = None
    link: str = "identity"
    is_robust: bool = False
    best_constant: Callable[[Loss, np.ndarray, np.ndarray, int], np.ndarray] | None = None

    @property
    def is_smooth(self) -> bool:
        """Whether it has a derivative everywhere."""
        return self.curvature is not None or self.link == "log"


#: Every loss by name. Formulas and conventions are PyTorch's where it has the loss, else those of scikit-learn's SGD.
LOSSES = {
    "half_squared_error": Kind(kernels.HalfSquaredError, "½ (z - y)²", curvature=1.0),
    "absolute_error": Kind(kernels.AbsoluteError, "|z - y|", is_robust=True),
    "huber": Kind(
        kernels.Huber, "½ e² where |e| <= delta, else delta (|e| - ½ delta); e = z - y", curvature=1.0, is_robust=True
    ),
    "quantile": Kind(kernels.Quantile, "quantile (y - z) where z <= y, else (1 - quantile) (z - y)", is_robust=True),
    "epsilon_insensitive": Kind(kernels.EpsilonInsensitive, "max(0, |z - y| - epsilon)", is_robust=True),
    "squared_epsilon_insensitive": Kind(kernels.SquaredEpsilonInsensitive, "max(0, |z - y| - epsilon)²", curvature=2.0),
    "poisson": Kind(kernels.Poisson, "exp(z) - y z", "at least 0", link="log"),
    "log_loss": Kind(kernels.LogLoss, "log(1 + exp(z)) - y z", "in [0, 1]", 0.25, "logit"),
    "hinge": Kind(kernels.Hinge, "max(0, 1 - y z)", "-1 or +1"),
    "squared_hinge": Kind(kernels.SquaredHinge, "max(0, 1 - y z)²", "-1 or +1", 2.0),
    "modified_huber": Kind(kernels.ModifiedHuber, "max(0, 1 - y z)² where y z >= -1, else -4 y z", "-1 or +1", 2.0),
    "perceptron": Kind(kernels.Perceptron, "max(0, -y z)", "-1 or +1"),
    "cross_entropy": Kind(
        kernels.CrossEntropy, "log Σ_k exp(z_k) - Σ_k q_k z_k", "a class", 0.5, "softmax", best_constant=_log_shares
    ),
}

__doc__ = f"{__doc__}\n" + "".join(
    f"    {name:28} {kind.formula}, for targets that are {kind.targets}\n" for name, kind in LOSSES.items()
)

_CLASSES = "in [0, 1]", "-1 or +1", "a class"
#: The losses of classes.
OF_CLASSES = [name for name, kind in LOSSES.items() if kind.targets in _CLASSES]


def kind_of(loss: str | Loss) -> Kind:
    """What is known of a loss."""
    return LOSSES[name_of(loss if isinstance(loss, tuple) else as_loss(loss))]


def huber(delta: float = 1.35) -> Loss:
    """½ e² where |e| <= delta, else delta (|e| - ½ delta), with e = z - y; delta > 0. As PyTorch's HuberLoss.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> model.loss([[1], [5]], [0, 0], loss=gd.losses.huber(delta=2.0))  # the mean of ½ · 1 and 2 (5 - 1)
    4.25
    """
    return kernels.Huber(checks.positive(delta, "delta"))


def quantile(quantile: float = 0.5) -> Loss:
    """The pinball loss: quantile (y - z) where z <= y, else (1 - quantile) (z - y); quantile in [0, 1].

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> model.loss([[1], [3]], [2, 2], loss=gd.losses.quantile(0.75))  # too low costs .75, too high .25
    0.5
    """
    return kernels.Quantile(checks.between(quantile, "quantile", 0, 1))


def epsilon_insensitive(epsilon: float = 0.1) -> Loss:
    """max(0, |z - y| - epsilon); epsilon >= 0. As scikit-learn's SGDRegressor.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> model.loss([[1], [3]], [1, 1], loss=gd.losses.epsilon_insensitive(0.5))
    0.75
    """
    return kernels.EpsilonInsensitive(checks.non_negative(epsilon, "epsilon"))


def squared_epsilon_insensitive(epsilon: float = 0.1) -> Loss:
    """max(0, |z - y| - epsilon)²; epsilon >= 0. As scikit-learn's SGDRegressor.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> model.loss([[1], [3]], [1, 1], loss=gd.losses.squared_epsilon_insensitive(0.5))
    1.125
    """
    return kernels.SquaredEpsilonInsensitive(checks.non_negative(epsilon, "epsilon"))


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """log Σ_k exp(z_k) - Σ_k q_k z_k over a row's logits z, for a target that is a class from 0 to n_outputs - 1.

    q is 1 - label_smoothing at the class, plus label_smoothing / n_outputs everywhere; label_smoothing in [0, 1]. As
    PyTorch's CrossEntropyLoss.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 2, bias=False, init=[[0], [1]])], dtype="float64")
    >>> round(model.loss([[2]], [1], loss=gd.losses.cross_entropy()), 3)
    0.127
    >>> round(model.loss([[2]], [1], loss=gd.losses.cross_entropy(label_smoothing=0.1)), 3)
    0.227
    """
    return kernels.CrossEntropy(checks.between(label_smoothing, "label_smoothing", 0, 1))


_WITH_PARAMETERS = {
    "huber": huber,
    "quantile": quantile,
    "epsilon_insensitive": epsilon_insensitive,
    "squared_epsilon_insensitive": squared_epsilon_insensitive,
    "cross_entropy": cross_entropy,
}


# What PyTorch, Keras and scikit-learn call them, or people do.
_ELSEWHERE = {
    **dict.fromkeys(
        ("mse", "mse_loss", "mean_squared_error", "squared_error", "squared_loss", "l2"), "half_squared_error"
    ),
    **dict.fromkeys(("mae", "l1", "l1_loss", "mean_absolute_error"), "absolute_error"),
    **dict.fromkeys(("pinball", "pinball_loss", "quantile_loss"), "quantile"),
    **dict.fromkeys(("smooth_l1", "huber_loss"), "huber"),
    **dict.fromkeys(("poisson_nll", "poisson_nll_loss", "half_poisson_loss"), "poisson"),
    **dict.fromkeys(("bce", "bce_with_logits", "binary_crossentropy", "binary_cross_entropy", "logistic"), "log_loss"),
    **dict.fromkeys(("categorical_crossentropy", "sparse_categorical_crossentropy", "softmax", "nll"), "cross_entropy"),
    **dict.fromkeys(("svm", "hinge_loss"), "hinge"),
}


def as_loss(loss: Any) -> Loss:
    """The settings of a loss given by its name or made by a function of this module."""
    if any(kind.settings is type(loss) for kind in LOSSES.values()):
        return loss
    if callable(loss) and getattr(loss, "__name__", None) in _WITH_PARAMETERS:
        raise TypeError(f"loss is the function {loss.__name__}; expected a call of it, as in {loss.__name__}()")
    if callable(loss) and not isinstance(loss, type):
        raise TypeError(
            f"loss is {loss!r}; expected a name or a call of a function of gd.losses. For a loss L(z, y) of your own, "
            "z = model.predict(X) and trainer.step(X, z - dL_dz) with half_squared_error make its step"
        )
    return _named(checks.choice(loss, "loss", LOSSES, _ELSEWHERE))


@functools.cache
def _named(name: str) -> Loss:
    return _WITH_PARAMETERS.get(name, LOSSES[name].settings)()


def name_of(loss: Loss) -> str:
    """What a loss is called."""
    return _name_of(type(loss))


@functools.cache
def _name_of(settings: type) -> str:
    return next(name for name, kind in LOSSES.items() if kind.settings is settings)


def describe(loss: Loss) -> dict[str, Any]:
    """The loss as JSON can hold it."""
    return {"type": name_of(loss)} | loss._asdict()


def restore(description: dict[str, Any]) -> Loss:
    """The loss that `describe` described."""
    arguments = dict(description)
    return LOSSES[checks.choice(arguments.pop("type"), "loss", LOSSES)].settings(**arguments)


def n_targets(loss: Loss, n_outputs: int) -> int:
    """How many targets a row has for a model of so many outputs."""
    return n_outputs if is_pointwise(loss) else 1


def is_pointwise(loss: Loss) -> bool:
    """Whether the loss is a sum over the outputs, each with a target of its own."""
    return type(loss) in kernels.POINTWISE


def takes_every_number(loss: Loss) -> bool:
    """Whether any number may be a target."""
    return kind_of(loss).targets == "any number"


def has_probabilities(loss: str | Loss) -> bool:
    """Whether the outputs are logits, of which there are probabilities."""
    return kind_of(loss).link in ("logit", "softmax")


def require_any_number(loss: Loss) -> None:
    """Raise a ValueError unless any number may be a target."""
    if not takes_every_number(loss):
        name = name_of(loss)
        suitable = ", ".join(known for known, kind in LOSSES.items() if kind.targets == "any number")
        raise ValueError(
            f"loss is {name!r}, whose targets are {LOSSES[name].targets}, as standardised ones are not; "
            f"expected a loss of regression with standardised targets, one of {suitable}"
        )


def takes_classes(loss: str | Loss) -> bool:
    """Whether the loss's targets stand for classes."""
    return kind_of(loss).targets in _CLASSES


def acceptable(loss: Loss, y: np.ndarray, n_outputs: int) -> np.ndarray:
    """Which of the targets the loss takes, as booleans like y."""
    targets = kind_of(loss).targets
    if targets == "at least 0":
        return y >= 0
    if targets == "in [0, 1]":
        return (y >= 0) & (y <= 1)
    if targets == "-1 or +1":
        return np.abs(y) == 1
    if targets == "a class":
        return (y >= 0) & (y < n_outputs) & (np.floor(y) == y)
    return np.ones(y.shape, np.bool_)


def takes_all(loss: Loss, y: np.ndarray, n_outputs: int) -> bool:
    """Whether the loss takes all of these targets, (n_samples, n_targets) C-contiguous, and they are finite."""
    lowest, highest, step = {
        "any number": (-np.inf, np.inf, 0.0),
        "at least 0": (0.0, np.inf, 0.0),
        "in [0, 1]": (0.0, 1.0, 0.0),
        "-1 or +1": (-1.0, 1.0, 2.0),
        "a class": (0.0, n_outputs - 1.0, 1.0),
    }[kind_of(loss).targets]
    return all_within(y.reshape(-1), lowest, highest, step)


def require_outputs(loss: Loss, n_outputs: int) -> None:
    """Raise a ValueError for a loss of classes on a model with a single output, which would be a single class."""
    if kind_of(loss).targets == "a class" and n_outputs < 2:
        raise ValueError(
            f"{name_of(loss)} of a model with {n_outputs} output, which is one class; expected as many outputs as "
            "classes, or log_loss, which has two classes for one output"
        )


def require_targets(loss: Loss, y: np.ndarray, n_outputs: int, row_of: Any = int) -> None:
    """Raise a ValueError that names the first row of y with a target that the loss does not take.

    row_of : callable
        Turns a row of y into a row of the data set.
    """
    good = acceptable(loss, y, n_outputs)
    if good.all():
        return
    row, column = np.argwhere(~good)[0]
    name = name_of(loss)
    expected = f"targets {LOSSES[name].targets}"
    if LOSSES[name].targets == "a class":
        expected = f"a class, an integer from 0 to {n_outputs - 1}, as gd.labels.encode makes of any labels"
    raise ValueError(f"y holds {y[row, column]} in row {row_of(int(row))}; {name} expects {expected}")
