"""scikit-learn's parameters as what a Model and a Trainer are made of."""

import math
import numbers
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from fastgd import losses
from fastgd._engine.callback_list import require_callables
from fastgd._engine.sparse_checks import can_be_searched, optimizer_of_networks, penalty_is_costly
from fastgd.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.layers import Layer, Linear
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.optimizers import SGD, Adagrad, Adam, AdamW, NormalizedSGD, Optimizer, RMSprop
from fastgd.recommended import ALPHA_OF_NETWORKS, recommended_alpha, unit_of_loss, usual_alpha
from fastgd.schedules import InverseScaling, Optimal, Schedule
from fastgd.standardize import Standardize
from fastgd.trainer import Trainer

LOSSES_OF_REGRESSION = (
    *("squared_error", "absolute_error", "huber", "quantile"),
    *("epsilon_insensitive", "squared_epsilon_insensitive", "poisson"),
)
LOSSES_OF_CLASSES = (
    *("log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"),
    *("squared_error", "absolute_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"),
)
_ACTIVATIONS = {"relu": ReLU, "tanh": Tanh, "logistic": Sigmoid, "identity": Identity, "leaky_relu": LeakyReLU}
_PENALTIES = ("l2", "l1", "elasticnet")
_LEARNING_RATES = ("auto", "constant", "invscaling", "optimal", "adaptive")
_SOLVERS = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "normalized_sgd": NormalizedSGD,
}

# The alpha of SGD*; and what `bench/studies/estimators.py` has found good.
_ALPHA, _BATCH_SIZE = 1e-4, 32
# Of epochs without gain. The loss of an epoch of few updates is as much chance as gain, so that many are waited for;
# and the first updates of a network in full batches may raise it before they lower it.
_N_ITER_NO_CHANGE, _UPDATES_NO_CHANGE, _NETWORK_UPDATES_NO_CHANGE, _FULL_BATCHES_NO_CHANGE = 5, 200, 60, 20


@dataclass(frozen=True)
class Architecture:
    """What a model is, apart from how many features and outputs it has: training that goes on cannot change it."""

    hidden_layer_sizes: tuple[int, ...]
    activation: tuple[str, ...]
    fit_intercept: bool
    standardize: bool | Literal["scale"]
    standardize_targets: bool
    loss: Loss

    def model(
        self, n_features: int, n_outputs: int, dtype: np.dtype, seed: int, is_sparse: bool, is_drawn: bool = True
    ) -> Model:
        """A new model.

        is_sparse : whether it takes sparse rows, and centres no feature that is zero in some
        is_drawn : whether its weights are drawn; or else zeros, as drawing millions takes as long as an epoch may
        """
        with_mean = "nonzero" if self.centres_features and is_sparse else self.centres_features
        layers: list[Layer] = [Standardize(n_features, with_mean)] if self.standardize else []
        sizes = pairwise([n_features, *self.hidden_layer_sizes, n_outputs])
        for (n_in, n_out), activation in zip(sizes, (*self.activation, "identity"), strict=True):
            init = "he_normal" if is_drawn else "zeros"
            layers += [Linear(n_in, n_out, bias=self.fit_intercept, init=init), _ACTIVATIONS[activation]()]
        return Model(layers[:-1], dtype, seed)

    @property
    def centres_features(self) -> bool:
        """Whether features are brought to mean 0, which takes an intercept."""
        return self.standardize is True and self.fit_intercept

    def n_robust(self, n_samples: int) -> int | None:
        """As `Scales` takes it, of so many rows."""
        return n_samples if losses.kind_of(self.loss).is_robust else None

    def require_same(self, other: "Architecture") -> None:
        """Raise a ValueError where training cannot go on with these settings."""
        for field in fields(self):
            before, now = getattr(other, field.name), getattr(self, field.name)
            if before != now:
                raise ValueError(
                    f"{field.name} was {before!r} when training began and is {now!r}; expected the same to go on, or "
                    "fit with warm_start=False"
                )


@dataclass(frozen=True)
class Training:
    """How a model is trained."""

    optimizer: Optimizer | Literal["auto"]
    batch_size: int | None
    shuffle: bool
    alpha: float
    l1_ratio: float
    average_from: int | None
    has_chosen_alpha: bool = True

    @property
    def has_chosen_rate(self) -> bool:
        """Whether the user has said what the learning rate is."""
        return self.optimizer != "auto" and self.optimizer.learning_rate != "auto"

    def starts_at_zero(self, architecture: Architecture) -> bool:
        """Whether it is known beforehand that `start_at_zero` has all weights be zero."""
        return not architecture.hidden_layer_sizes and self.has_chosen_rate and not self.optimizer.wants_random_weights

    def trainer(
        self, model: Model, architecture: Architecture, seed: int, is_stream: bool, learnt: Dataset, **replicas: Any
    ) -> Trainer:
        """A new trainer of a model.

        is_stream : whether nothing tells how many rows there will be, over which a rate could fall or be looked for
        learnt : the rows to learn from, which choose alpha where nobody has chosen it or the rate
        replicas : settings of a Trainer for them
        """
        optimizer, alpha = self.optimizer, self.alpha
        is_sparse_auto = learnt.is_sparse and optimizer == "auto" and self.batch_size is not None
        is_costly = is_sparse_auto and (is_stream or penalty_is_costly(model, learnt.n_samples, self.batch_size))
        may_be_searched = can_be_searched(model.in_features)
        is_lazy = is_costly and alpha > 0 and not is_stream and (may_be_searched or model.is_linear)
        if is_lazy:
            # Of a linear model its rate is known once the scales are: see `sparse_rate.py`.
            optimizer = SGD("auto")
        if not (self.has_chosen_alpha or alpha == 0):
            if is_costly and not is_lazy:
                alpha = 0.0
            elif not (is_stream or self.has_chosen_rate):
                alpha = self._alpha_of(learnt, architecture)
        trainer = Trainer(
            model,
            architecture.loss,
            optimizer,
            self.batch_size,
            self.shuffle,
            seed,
            alpha,
            self.l1_ratio,
            average_from=self.average_from,
            standardize_targets=architecture.standardize_targets,
            **replicas,
        )
        if is_sparse_auto and isinstance(trainer.optimizer, NormalizedSGD):
            trainer.optimizer = optimizer_of_networks(model.in_features, may_search=not is_costly)
        if is_stream and trainer.optimizer.learning_rate == "auto":
            rate = trainer.optimizer.auto_rate(architecture.loss, is_full_batch=False)
            trainer.optimizer = replace(trainer.optimizer, learning_rate=rate)
        return trainer

    def _alpha_of(self, learnt: Dataset, architecture: Architecture) -> float:
        """The alpha that nobody chose, for rows to learn from."""
        is_network = bool(architecture.hidden_layer_sizes)
        is_scaled = architecture.standardize_targets or not losses.takes_every_number(architecture.loss)
        if self.optimizer != "auto" or self.l1_ratio > 0 or architecture.standardize is not True or not is_scaled:
            return usual_alpha(learnt.n_samples, architecture.loss, is_network)
        return recommended_alpha(learnt, architecture.loss, is_network, architecture.centres_features)


def start_at_zero(trainer: Trainer, is_stream: bool) -> None:
    """Have a new model predict zero, or the mean of standardised targets, unless training itself sees to its start.

    Random weights are left where they are needed: in hidden layers, for NormalizedSGD, which is to know them as such,
    and for rates that are found when training begins.

    is_stream : whether the rate is one for streams that nobody chose
    """
    linear = [layer for layer in trainer.model.layers if isinstance(layer, Linear)]
    if len(linear) == 1:
        is_left = trainer.optimizer.wants_random_weights or trainer.optimizer.learning_rate == "auto"
    else:
        is_left = not is_stream
    if not is_left:
        linear[-1].weight = 0


def architecture_of(estimator: Any, loss: Loss) -> Architecture:
    """What an estimator's parameters say of its model; ValueError and TypeError for those that are out of range."""
    hidden = _widths(estimator.hidden_layer_sizes)
    activation = estimator.activation
    if not isinstance(activation, str | list | tuple | np.ndarray):
        raise TypeError(f"activation is {activation!r}; expected a name, or a list of one for each hidden layer")
    names = (activation,) * len(hidden) if isinstance(activation, str) else tuple(activation)
    for name in (activation,) if isinstance(activation, str) else names:
        checks.choice(name, "activation", _ACTIVATIONS)
    if len(names) != len(hidden):
        raise ValueError(f"activation has {len(names)} names; expected one, or one for each of {len(hidden)} layers")
    standardize = estimator.standardize
    if not (isinstance(standardize, bool | np.bool_) or (isinstance(standardize, str) and standardize == "scale")):
        raise ValueError(f"standardize is {standardize!r}; expected True, False or 'scale'")
    scales_targets = bool(getattr(estimator, "standardize_targets", False))
    return Architecture(
        hidden,
        names,
        bool(estimator.fit_intercept),
        standardize if isinstance(standardize, str) else bool(standardize),
        scales_targets and losses.takes_every_number(loss),
        loss,
    )


def training_of(estimator: Any) -> Training:
    """What an estimator's parameters say of its training; errors as for `architecture_of`."""
    require_callables(estimator.callbacks)
    is_network = np.size(estimator.hidden_layer_sizes) > 0
    alpha = estimator.alpha
    has_chosen_alpha = not isinstance(alpha, str)
    if not has_chosen_alpha:
        if alpha != "auto":
            raise ValueError(f"alpha is {alpha!r}; expected a number of at least 0, or 'auto'")
        alpha = ALPHA_OF_NETWORKS if is_network else _ALPHA
    alpha = checks.non_negative(alpha, "alpha")
    optimizer = _optimizer(estimator, alpha, is_network)
    if estimator.penalty is None:
        alpha = l1_ratio = 0.0
    elif estimator.penalty == "none":
        raise ValueError("penalty is 'none'; expected None for no penalty")
    else:
        penalty = checks.choice(estimator.penalty, "penalty", _PENALTIES)
        l1_ratio = 1.0 if penalty == "l1" else 0.0
        if penalty == "elasticnet":
            if estimator.l1_ratio is None:
                raise ValueError("l1_ratio must be set when penalty is 'elasticnet'; expected a number from 0 to 1")
            l1_ratio = float(estimator.l1_ratio)
    batch_size = estimator.batch_size
    if isinstance(batch_size, str):
        if batch_size != "auto":
            raise ValueError(f"batch_size is {batch_size!r}; expected a number of rows, 'auto', or None for all")
        batch_size = _BATCH_SIZE
    if batch_size is not None:
        batch_size = checks.integer(batch_size, "batch_size", 1)
    average = estimator.average
    if isinstance(average, bool | np.bool_):
        average_from = 1 if average else None
    else:
        average_from = math.ceil(checks.integer(average, "average", 0) / (batch_size or 1)) or None
    if average_from is not None and estimator.early_stopping:
        raise ValueError(
            f"average={average!r} with early_stopping=True, which keeps the best epoch's parameters; expected one of "
            "them"
        )
    return Training(optimizer, batch_size, bool(estimator.shuffle), alpha, l1_ratio, average_from, has_chosen_alpha)


def _optimizer(estimator: Any, alpha: float, is_network: bool) -> Optimizer | Literal["auto"]:
    solver, rate, first = estimator.solver, estimator.learning_rate, estimator.learning_rate_init
    if isinstance(rate, numbers.Real):
        raise ValueError(f"learning_rate is {rate!r}, and names a schedule; expected learning_rate_init={rate!r}")
    if not isinstance(rate, Schedule):
        checks.choice(rate, "learning_rate", _LEARNING_RATES)
    is_chosen = isinstance(rate, Schedule) or rate != "auto" or first is not None
    if isinstance(solver, Optimizer):
        if first is not None or rate not in ("auto", "adaptive"):
            raise ValueError(
                f"solver is {solver!r} with learning_rate={rate!r} and learning_rate_init={first!r}; expected the "
                "solver's own rate alone"
            )
        return solver
    checks.choice(solver, "solver", ("auto", *_SOLVERS))
    if solver == "auto" and not is_chosen:
        # No model has a lower perceptron loss than the constant 0, so that "auto" would take every epoch back.
        return NormalizedSGD() if str(estimator.loss) == "perceptron" else "auto"
    if solver == "auto":
        solver = "adam" if is_network else "sgd"
    kind = _SOLVERS[solver]
    options: dict[str, Any] = {}
    if kind is SGD:
        options = {"momentum": estimator.momentum, "nesterov": estimator.nesterovs_momentum and estimator.momentum > 0}
    elif issubclass(kind, Adam):
        options = {"betas": (estimator.beta_1, estimator.beta_2)}
    first = kind.learning_rate if first is None else float(first)
    if not is_chosen:
        rate = "auto"
    elif rate == "invscaling":
        rate = InverseScaling(first, estimator.power_t)
    elif rate == "optimal":
        rate = Optimal(alpha)
    elif not isinstance(rate, Schedule):
        rate = first
    return kind(rate, **options)


def patience_of(
    estimator: Any, training: Training, is_partial: bool, learnt: Dataset, loss: Loss
) -> tuple[float, float | None, bool, bool, int]:
    """The arguments of `Stopping.configure`; errors as for `architecture_of`."""
    tol = None if estimator.tol is None else float(estimator.tol) * unit_of_loss(learnt, loss)
    early = bool(estimator.early_stopping)
    is_adaptive = isinstance(estimator.learning_rate, str) and estimator.learning_rate == "adaptive"
    n_iter, n_updates = estimator.n_iter_no_change, 0
    if isinstance(n_iter, str):
        if n_iter != "auto":
            raise ValueError(f"n_iter_no_change is {n_iter!r}; expected 'auto', or an integer of at least 1")
        n_iter = _N_ITER_NO_CHANGE
        if not (training.has_chosen_rate or is_partial):
            is_network = np.size(estimator.hidden_layer_sizes) > 0
            n_updates = _NETWORK_UPDATES_NO_CHANGE if is_network else _UPDATES_NO_CHANGE
            if training.batch_size is None or not (is_network or training.batch_size < learnt.n_samples):
                n_updates = _FULL_BATCHES_NO_CHANGE if is_network else 0
    elif not (isinstance(n_iter, float) and n_iter == math.inf):
        n_iter = checks.integer(n_iter, "n_iter_no_change", 1)
    return n_iter, tol, early, is_adaptive, n_updates


def _widths(given: Any) -> tuple[int, ...]:
    """The widths of hidden layers, of which a single one may be a number."""
    try:
        sizes = given if isinstance(given, list | tuple) else np.atleast_1d(given).tolist()
        return tuple(checks.integer(size, "size", 1) for size in sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"hidden_layer_sizes is {given!r}; expected an integer of at least 1 for each hidden layer, as in (64, 32)"
        ) from None


def loss_of(estimator: Any, known: tuple[str, ...]) -> Loss:
    """The loss that an estimator's parameters name."""
    name = checks.choice(estimator.loss, "loss", known)
    loss = losses.as_loss("half_squared_error" if name == "squared_error" else name)
    if "quantile" in loss._fields:
        return losses.quantile(estimator.quantile)
    # What scikit-learn calls epsilon for all of them is the delta of Huber.
    if estimator.epsilon is not None and {"epsilon", "delta"} & set(loss._fields):
        if "delta" in loss._fields:
            checks.positive(estimator.epsilon, "epsilon")
        return getattr(losses, name)(estimator.epsilon)
    return loss
