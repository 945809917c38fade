"""The settings of a run, as `Trainer` takes them and lets them be assigned, and what can be read of its state."""

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, ParamSpec

import numpy as np

from fastgd import losses
from fastgd._engine.callback_list import SavedCallback
from fastgd._engine.checkpoint import SETTINGS
from fastgd._engine.exclusive import Exclusive
from fastgd._engine.monitor import Monitor
from fastgd._engine.replica_threads import Threads
from fastgd._engine.replicas import ReplicatedEngine, Shares, Workers
from fastgd._engine.run import Run
from fastgd.data import checks
from fastgd.data.block import read_only
from fastgd.data.reader import Reader
from fastgd.history import History
from fastgd.losses import Loss, LossName
from fastgd.metrics import Metric, as_metrics
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.recommended import resolved
from fastgd.regularization import Regularization
from fastgd.replicas import Nesterov, recommended
from fastgd.schedules import Constant

_P = ParamSpec("_P")

# What the engine has compiled in, or a mean over updates counts from, cannot change under it.
_FIXED = {"model", "loss", "metrics", "standardize_targets", "n_threads", "outer", *SETTINGS} - {
    "batch_size",
    "shuffle",
}


def _names_checked(init: Callable[_P, None]) -> Callable[_P, None]:
    """A constructor of Trainer, whose errors of unknown names say so, and where a learning rate belongs."""
    names = inspect.signature(init).parameters
    # So Python's own errors say.
    init.__qualname__ = "Trainer"

    @functools.wraps(init)
    def checked(*args: _P.args, **settings: _P.kwargs) -> None:
        unknown = next((name for name in settings if name not in names), None)
        if unknown in ("learning_rate", "lr"):
            rate = settings[unknown]
            raise TypeError(f"Trainer takes no {unknown}; expected an optimiser's, as optimizer=gd.SGD({rate!r})")
        if unknown is not None:
            raise TypeError(f"Trainer takes no {unknown}; expected some of {', '.join(list(names)[1:])}")
        init(*args, **settings)

    return checked


class Settings:
    """Checks the settings and makes the run; `Trainer` describes them."""

    @_names_checked
    def __init__(
        self,
        model: Model,
        loss: LossName | Loss = "half_squared_error",
        optimizer: Optimizer | Literal["auto"] | None = None,
        batch_size: int | None = 1,
        shuffle: bool = False,
        seed: int = 0,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        average_from: int | None = None,
        standardize_targets: bool = False,
        metrics: Sequence[Metric] = (),
        n_threads: int | None = None,
        replicas: int = 1,
        round_rows: int | None = None,
        outer: Nesterov | Literal["auto"] | None = "auto",
        sync: Literal["average", "gradient"] = "average",
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model is {model!r}; expected a Model")
        self.model = model
        self.loss = losses.as_loss(loss)
        losses.require_outputs(self.loss, model.out_features)
        self.seed = checks.integer(seed, "seed", 0)
        regularization = Regularization(alpha, l1_ratio, clip_value, clip_norm, max_norm, average_from).checked()
        self.alpha, self.l1_ratio, self.clip_value, self.clip_norm, self.max_norm, self.average_from = regularization
        self.metrics = as_metrics(metrics, self.loss)
        self.standardize_targets = checks.switch(standardize_targets, "standardize_targets") or (
            model.standardized_targets is not None
        )
        if self.standardize_targets:
            losses.require_any_number(self.loss)
        self.n_threads = None if n_threads is None else checks.integer(n_threads, "n_threads", 1)
        self.replicas = checks.integer(replicas, "replicas", 1)
        self.round_rows = None if round_rows is None else checks.integer(round_rows, "round_rows", 1)
        if not (outer is None or outer == "auto" or isinstance(outer, Nesterov)):
            raise TypeError(f"outer is {outer!r}; expected 'auto', None or gd.replicas.Nesterov(...)")
        self.outer = outer
        self.sync = checks.choice(sync, "sync", ("average", "gradient"))
        if outer == "auto":
            # A rate that nobody has chosen is as large as one replica bears.
            is_chosen = "auto" not in (optimizer, getattr(optimizer, "learning_rate", None))
            combines = self.replicas > 1 and self.sync == "average"
            outer = recommended(self.replicas) if combines and is_chosen else None
        shares = Shares(self.replicas, self.round_rows, outer, self.sync)
        _check_shares(shares, average_from)
        self._run = Run(model, self.loss, regularization, self.metrics, self.seed, self.n_threads, shares)
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.shuffle = shuffle
        if self.standardize_targets:
            # Last: settings that are refused leave the model as it is.
            model.add_standardized_targets()
        self._calls = Exclusive()
        self._monitors: list[Monitor] = []
        self._loaded_callbacks: list[SavedCallback] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and name in vars(self):
            raise AttributeError(f"{name} is fixed when a Trainer is made; expected a new Trainer")
        if name in ("learning_rate", "lr"):
            raise AttributeError(
                f"{name} follows from the optimizer; expected trainer.learning_rate_factor = ..., or another "
                "trainer.optimizer"
            )
        super().__setattr__(name, value)

    @property
    def batch_size(self) -> int | None:
        """Rows per update; one that is assigned counts from the next call of `fit` on."""
        return self._run.batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int | None) -> None:
        if isinstance(batch_size, str):
            raise TypeError(f"batch_size is {batch_size!r}; expected a number of rows, or None for all of them")
        self._run.batch_size = None if batch_size is None else checks.integer(batch_size, "batch_size", 1)

    @property
    def shuffle(self) -> bool:
        """Whether epochs have orders of their own; what is assigned counts from the next epoch on."""
        return self._run.shuffle

    @shuffle.setter
    def shuffle(self, shuffle: bool) -> None:
        self._run.shuffle = checks.switch(shuffle, "shuffle")

    @property
    def learning_rate_factor(self) -> float:
        """What multiplies the rate; one that is assigned counts from the next epoch or step on."""
        return self._run.learning_rate_factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, factor: float) -> None:
        self._run.learning_rate_factor = checks.non_negative(factor, "learning_rate_factor")

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; one that is assigned starts afresh with the next update."""
        return self._run.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | Literal["auto"] | None) -> None:
        self._run.optimizer = resolved(optimizer, self.model, self.loss, self.batch_size, self.replicas)

    @property
    def optimizer_state(self) -> dict[str, np.ndarray]:
        """The optimiser's vectors of state, by the names that its formulas have for them.

        Each is a read-only view, (n_parameters,), parallel to `model.parameters` and of their dtype. One that is taken
        once training with the optimiser has begun follows it until another is assigned; one from before holds what
        training begins with, and follows nothing. SGD: m with momentum or weight decay, else nothing; Adam, AdamW: m
        and v, without the correction of m̂ and v̂; Adagrad: G; RMSprop: v, a, m; NormalizedSGD: sqrt_G, the root of G,
        and s and m, those of the features in the places of the first unit's weights.
        """
        engine = self._run.engine or self._run.engine_of(self.model, Constant(0.0))
        return dict(zip(self.optimizer.state_names, map(read_only, engine.state.optimizer_state), strict=False))

    def averaged_model(self) -> Model:
        """A copy of the model with the mean of its parameters since update `average_from`.

        Raises
        ------
        ValueError
            If no average was asked for, or none has begun.
        """
        engine = self._run.engine
        if engine is None or engine.average is None:
            n_updates = 0 if engine is None else engine.n_updates
            found = f"average_from is {self.average_from} and {n_updates} updates were made with this optimizer"
            raise ValueError(f"{found}; expected to be past it")
        averaged = copy.deepcopy(self.model)
        averaged.parameters = engine.average
        return averaged

    @property
    def history(self) -> History:
        """One entry per completed epoch, over all calls of `fit`."""
        return self._run.history

    @property
    def n_updates(self) -> int:
        """Updates so far; batches of weight zero make none."""
        return self._run.n_updates

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of the next update; None where it is still to be measured."""
        if self.optimizer.learning_rate == "auto" and self._run.measured_rate is None:
            return None
        engine = self._run.prepared_engine()
        engine.rates.factor = self.learning_rate_factor
        return engine.rates.at()

    @contextlib.contextmanager
    def replicas_trained_by(self, workers: Callable[[ReplicatedEngine, Reader], Workers]) -> Iterator[None]:
        """Inside, other workers than threads train the replicas; see `fastgd.dask.fit`."""
        self._run.workers = workers
        try:
            yield
        finally:
            self._run.workers = Threads


def _check_shares(shares: Shares, average_from: int | None) -> None:
    """Raise a ValueError for settings of replicas that contradict one another."""
    if shares.n_copies > 1 and average_from is not None:
        raise ValueError(
            f"average_from is {average_from} with {shares.n_replicas} replicas; expected None, sync='gradient', or one "
            "replica"
        )
    has_rounds = not (shares.round_rows is None and shares.outer is None)
    if has_rounds and shares.sync == "gradient":
        raise ValueError(
            "round_rows and outer are for sync='average'; expected neither of them with sync='gradient', where every "
            "batch is a round"
        )
    if has_rounds and shares.n_replicas == 1:
        raise ValueError("round_rows and outer are for replicas, of which there is 1; expected replicas=2 or more")
