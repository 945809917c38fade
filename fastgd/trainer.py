"""Gradient descent: epochs over a data set, or one update at a time."""

import contextlib
import copy
import inspect
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastgd import kernels, losses, optimizers, schedules, storage
from fastgd._engine import callback_list as _calling
from fastgd._engine.callback_list import CallbackList, SavedCallback
from fastgd._engine.data_warnings import warn_of_targets
from fastgd._engine.learning_rate_search import automatic_schedule, chosen_rate, largest_rate, most_rows_of_trials
from fastgd._engine.monitor import Monitor
from fastgd._engine.progress import Progress, ProgressMode, log_setback
from fastgd._engine.safeguard import LongestRows, Safeguard
from fastgd._engine.slices import Engine
from fastgd._engine.validation import errors_of_validation, split_validation
from fastgd.data import checks
from fastgd.data.arrays import ArrayDataset, as_dataset
from fastgd.data.base import Dataset, Reader, read_only
from fastgd.data.shuffle import Shuffle
from fastgd.history import EpochRecord, History, Setback
from fastgd.kernels.optim.optimizers import PlainSGD
from fastgd.losses import Loss, LossName
from fastgd.metrics import Metric, as_metrics, measure, name_of_metric
from fastgd.metrics import describe as describe_metrics
from fastgd.metrics import restore as restore_metrics
from fastgd.model import Model
from fastgd.optimizers import Optimizer
from fastgd.recommended import falling_schedule, needs_no_search, resolved, start_at_constant
from fastgd.schedules import Constant, Schedule, as_schedule
from fastgd.standardize import learn_scales

Callback = Callable[["Trainer", EpochRecord], Any]

# What multiplies a rate of "auto" each time that an epoch is taken back.
_SETBACK = 0.25

# What tells the draws of held-out rows and of the trials of "auto" from those of the epochs' orders.
_HELD_OUT, _TRIALS = 1, 2


class _Running(NamedTuple):
    """A call that trains: its name, the thread that makes it, and what tells it from all others."""

    name: str
    thread: int
    identity: object


class Trainer:
    """Trains a model by gradient descent.

    With the defaults it runs the article's algorithm: each row in the data's order is a step of its own, whose forward
    pass sees the parameters as the row before it left them.

    Parameters
    ----------
    model : Model
        Trained in place.
    loss : str, or what a function of `fastgd.losses` returns
        See `fastgd.losses`.
    optimizer : optimiser or "auto", optional
        See `fastgd.optimizers`; by default `SGD()`. "auto" is the one that learns best of all without any tuning, for
        this model, loss and batch size: see `fastgd.recommended.resolved`. With learning_rate="auto", short trials on
        some of the rows choose the rate r when training begins, and then it follows
        `fastgd._engine.learning_rate_search.one_epoch`; see `fastgd._engine.learning_rate_search.automatic_schedule`.
        Optimisers that need no trials take their own rate, falling to 0 over each epoch, and a model that is as it was
        drawn starts from the best constant prediction: see `fastgd.recommended`. `trainer.learning_rate` is r after
        each epoch. An epoch of `fit` that then diverges, or ends worse than the best constant prediction, is tried
        again at a quarter of the rate, as `fastgd._engine.safeguard.Safeguard` says; `history.setbacks` has each.
    batch_size : int or None
        Rows per update: 1 is online, B is mini-batch (the gradient is the mean over the B rows; the last batch of an
        epoch may be smaller), None is full batch.
    shuffle : bool
        Whether each epoch takes the rows in an order of its own, see `fastgd.data.shuffle.Shuffle`, or all in the
        data's order.
    seed : int
        Of the orders, of Dropout and of held-out rows, at least 0.
    alpha, l1_ratio : float
        The elastic net alpha ((1 - l1_ratio) ½ Σ w² + l1_ratio Σ |w|) over the weights, not the biases; alpha at least
        0, l1_ratio from 0 to 1. Its L2 part is added to the gradient of each batch; its L1 part makes weights
        exactly zero, for every optimiser around the same minimum. Losses are reported without it.
    clip_value, clip_norm : float, optional
        Bounds on each element of the gradient, and then on its norm; more than 0.
    max_norm : float, optional
        Bound on the norm of each unit's incoming weights, more than 0.
    average_from : int, optional
        The number of the optimiser's update, from 1, from which on the mean of the parameters is kept: Polyak-Ruppert
        averaging, see `averaged_model`.
    standardize_targets : bool
        Whether the model learns targets of mean 0 and variance 1, and predicts in the units of y: it gets a last layer
        `StandardizedTargets`, which learns from the training rows when training first begins. Losses, and parameters
        of theirs such as Huber's delta, are those of the standardised targets. For losses of regression, and models
        that end in a Linear. True for any model that has the layer.
    metrics : sequence of str or of functions
        What `fit` takes after each epoch on the validation data, or on the rows of training where there are none, at
        the cost of a pass of prediction over them and of their predictions and targets in memory: "accuracy" for a loss
        of classes; "r2", "mae", "mse" or "rmse" for any other (see `fastgd.metrics`); or a function of one's own, f(y,
        prediction) -> float, with targets and predictions in float64, both (n_samples,) where they have one column, and
        sample_weight=... where there are weights and it takes them, as those of `sklearn.metrics` do. They stand in
        `history.metrics`, under the function's name, and `callbacks` may monitor them. They are the run's, as in Keras,
        and no argument of `fit`: each epoch of the history has them, and a saved run goes on with them.

    Attributes
    ----------
    history : History
        One entry per completed epoch of this trainer, over all calls of `fit`. Losses, those of validation data too,
        are without the penalty, and of the standardised targets where these are learnt.
    learning_rate_factor : float
        Multiplies the optimiser's rate or schedule, at least 0; `callbacks.ReduceOnPlateau` lowers it.

    `optimizer`, `batch_size`, `shuffle` and `learning_rate_factor` may be assigned, and count from the next update or
    epoch on. All other settings are those of the run from its first update to its last.

    A copy, by `copy.deepcopy` or pickle, has a model of its own and goes on with the same bits.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above.
    AttributeError
        Where a setting is assigned that is fixed.

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=20_000, n_features=10, noise=0.1)
    >>> model = gd.Model([gd.Linear(10, 1), gd.ReLU()])
    >>> history = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=16).fit(data, epochs=5)
    >>> len(history), history.loss[-1] < 1.2 * data.noise_loss
    (5, True)
    """

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
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model is {model!r}; expected a Model")
        self.model = model
        self.loss = losses.as_loss(loss)
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.shuffle = shuffle
        self.seed = checks.integer(seed, "seed", 0)
        self.alpha = checks.non_negative(alpha, "alpha")
        self.l1_ratio = checks.between(l1_ratio, "l1_ratio", 0, 1)
        self.clip_value = None if clip_value is None else checks.positive(clip_value, "clip_value")
        self.clip_norm = None if clip_norm is None else checks.positive(clip_norm, "clip_norm")
        self.max_norm = None if max_norm is None else checks.positive(max_norm, "max_norm")
        self.average_from = None if average_from is None else checks.integer(average_from, "average_from", 1)
        self.metrics = as_metrics(metrics, self.loss)
        self.standardize_targets = checks.switch(standardize_targets, "standardize_targets") or (
            model.standardized_targets is not None
        )
        if self.standardize_targets:
            losses.require_any_number(self.loss)
            model.add_standardized_targets()
        self.learning_rate_factor = 1.0
        self.history = History()
        self._monitors: list[Monitor] = []
        self._loaded_callbacks: list[SavedCallback] = []
        self._past_updates = 0
        # What "auto" has put in the place of a model that was worse than a constant, after what that was.
        self._where_training_was: tuple[np.ndarray, np.ndarray] | None = None
        self._engine: Engine | None = None
        self._engine_optimizer: Optimizer | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # What the engine has compiled in, or a mean over updates counts from, cannot change under it.
        if name in _FIXED and name in vars(self):
            raise AttributeError(f"{name} is fixed when a Trainer is made; expected a new Trainer")
        super().__setattr__(name, value)

    @property
    def batch_size(self) -> int | None:
        """Rows per update; one that is assigned counts from the next call of `fit` on."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int | None) -> None:
        self._batch_size = None if batch_size is None else checks.integer(batch_size, "batch_size", 1)

    @property
    def shuffle(self) -> bool:
        """Whether epochs have orders of their own; what is assigned counts from the next epoch on."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, shuffle: bool) -> None:
        self._shuffle = checks.switch(shuffle, "shuffle")

    @property
    def learning_rate_factor(self) -> float:
        """What multiplies the rate; one that is assigned counts from the next epoch or step on."""
        return self._learning_rate_factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, factor: float) -> None:
        self._learning_rate_factor = checks.non_negative(factor, "learning_rate_factor")

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; one that is assigned starts afresh with the next update."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | Literal["auto"] | None) -> None:
        checked = resolved(optimizer, self.model, self.loss, self.batch_size)
        if checked is not getattr(self, "_optimizer", None):
            # "auto" measures for one optimiser.
            self._measured_rate: Schedule | None = None
        self._optimizer = checked

    @property
    def n_updates(self) -> int:
        """Updates so far; batches of weight zero make none."""
        return self._past_updates + (0 if self._engine is None else self._engine.n_updates)

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of the next update; None where it is still to be measured."""
        if self.optimizer.learning_rate == "auto" and self._measured_rate is None:
            return None
        engine = self._prepared_engine()
        engine.rate_factor = self.learning_rate_factor
        return engine.learning_rate()

    @property
    def optimizer_state(self) -> dict[str, np.ndarray]:
        """The optimiser's vectors of state, by the names that its formulas have for them.

        Each is a read-only view, (n_parameters,), parallel to `model.parameters` and of their dtype. One that is taken
        once training with the optimiser has begun follows it until another is assigned; one from before holds what
        training begins with, and follows nothing. SGD: m with momentum or weight decay, else nothing; Adam, AdamW: m
        and v, without the correction of m̂ and v̂; Adagrad: G; RMSprop: v, a, m; NormalizedSGD: sqrt_G, the root of G,
        and s and m, those of the features in the places of the first unit's weights.
        """
        engine = self._current_engine or self._engine_of(self.model, Constant(0.0))
        state = engine.saved_state()["optimizer.state"]
        return dict(zip(optimizers.state_names(self.optimizer), map(read_only, state), strict=False))

    def averaged_model(self) -> Model:
        """A copy of the model with the mean of its parameters since update `average_from`.

        Raises
        ------
        ValueError
            If no average was asked for, or none has begun.
        """
        engine = self._current_engine
        average = None if engine is None else engine.average
        if average is None:
            n_updates = 0 if engine is None else engine.n_updates
            raise ValueError(
                f"average_from is {self.average_from} and {n_updates} updates were made with this optimizer; expected "
                "to be past it"
            )
        averaged = copy.deepcopy(self.model)
        averaged.parameters = average
        return averaged

    def fit(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        validation: Dataset | Sequence[ArrayLike] | float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: ProgressMode = False,
    ) -> History:
        """Train for some epochs more.

        Two calls of one epoch each do the same as one call of two, but that a search for a rate of "auto" on more than
        10 000 rows may take a tenth of the epochs of the call that makes it, where that is more than one epoch. Ctrl-C
        ends the call between two steps; the model keeps what it has learnt, or gets the best parameters where
        `callbacks.EarlyStopping` has them.

        Parameters
        ----------
        X : array of shape (n_samples, in_features), or Dataset
            Any real dtype and layout. Never copied or converted whole.
        y : array of shape (n_samples, out_features), or (n_samples,) for one output
            Not with a Dataset.
        epochs : int
            At least 1.
        sample_weight : array of shape (n_samples,), optional
            Multiplies each row's loss and gradient, at least 0; the mean over a batch still divides by its number of
            rows.
        validation : Dataset, (X, y), (X, y, sample_weight) or float, optional
            Data to take `validation_loss` on after each epoch; a number between 0 and 1 holds out this fraction of the
            rows, drawn from `default_rng([seed, 0, 1])`.
        callbacks : sequence of callables
            Each is called as `callback(trainer, record)` after each epoch; one that returns True stops the training.
            Those with `on_begin(trainer)` or `on_end(trainer, error)` hear of the beginning and of the end, also where
            an error or Ctrl-C is the end. See `fastgd.callbacks`.
        progress : bool or "epochs"
            Whether to show a progress bar with loss, metrics and rows per second, or a line for each epoch, on stderr;
            both with the learning rate that "auto" chose. The logger "fastgd" of `logging` hears of that rate and of
            setbacks at INFO, of epochs at DEBUG, whatever is shown.

        Returns
        -------
        History
            The trainer's, with an entry for each completed epoch.

        Raises
        ------
        ValueError, TypeError
            For arguments that are not as above and for bad validation data in memory, before anything is changed; for a
            NaN, an infinity, a negative weight or a target that the loss does not take in the data, before its row
            changes anything.
        DivergenceError
            Where training stops being finite. The model keeps its last finite parameters, or gets the best as above.
        RuntimeError
            While another call of `fit` or `step` trains: one in another thread, or the one that a callback is called
            by.
        """
        with self._alone("fit"):
            return self._fit(X, y, epochs, sample_weight, validation, callbacks, progress)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Nothing else trains inside: a RuntimeError where something does."""
        call = _Running(name, threading.get_ident(), object())
        try:
            # In one step, as another thread may be at the same line.
            running = vars(self).setdefault("_running", call)
            if running is not call:
                where = "" if running.thread == call.thread else " in another thread"
                raise RuntimeError(
                    f"{name} was called while {running.name} trains{where}; expected one call at a time (a callback "
                    "may train a copy, by copy.deepcopy(trainer))"
                )
            yield
        finally:
            if vars(self).get("_running") is call:
                del self._running

    def _fit(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None,
        epochs: int,
        sample_weight: ArrayLike | None,
        validation: Dataset | Sequence[ArrayLike] | float | None,
        callbacks: Sequence[Callback],
        progress: ProgressMode,
    ) -> History:
        dataset = as_dataset(X, y, sample_weight)
        self.model.check_fits(dataset, self.loss)
        epochs = checks.integer(epochs, "epochs", 1)
        calling = CallbackList(callbacks, validation is not None, list(map(name_of_metric, self.metrics)), self.history)
        shown = Progress(progress)
        draw = self.seed, 0, _HELD_OUT
        dataset, validation_data = split_validation(dataset, validation, self.model, self.loss, draw)
        n_samples = dataset.n_samples
        batch_rows = n_samples if self.batch_size is None else min(self.batch_size, n_samples)
        if not self.history:
            warn_of_targets(self.model, self.loss, dataset, batch_rows, self.shuffle)
        self._go_on()
        was_measured = self._measured_rate is not None
        engine, reader, safeguard = self._ready_for_epochs(dataset, batch_rows, epochs)
        if self._measured_rate is not None and not was_measured:
            shown.found_rate(chosen_rate(self._measured_rate))
        calling.load_state(self._loaded_callbacks)
        self._monitors, self._loaded_callbacks = calling.monitors, []
        try:
            with calling.of(self), shown.over(epochs * n_samples, len(self.history) + epochs):
                for _ in range(epochs):
                    if self._current_engine is None:
                        # A callback has assigned another.
                        engine, reader, safeguard = self._ready_for_epochs(dataset, batch_rows, epochs)
                    record = self._epoch(engine, reader, safeguard, validation_data, shown.on_rows)
                    shown.after_epoch(record)
                    if calling.after_epoch(self, record):
                        break
        finally:
            if safeguard is not None:
                self._where_training_was = self._replaced_by(safeguard)
        return self.history

    def _replaced_by(self, safeguard: Safeguard) -> tuple[np.ndarray, np.ndarray] | None:
        """The parameters at the end of the training and those in their place, where that is a better model."""
        were = safeguard.end()
        return None if were is None else (were, self.model.parameters.copy())

    def _go_on(self) -> None:
        """Have the model where training was, unless it was given other parameters since."""
        self.model.may_be_untrained = False
        if self._where_training_was is not None:
            were, given = self._where_training_was
            if np.array_equal(self.model.parameters, given):
                self.model.parameters = were
            self._where_training_was = None

    def _epoch(
        self,
        engine: Engine,
        reader: Reader,
        safeguard: Safeguard | None,
        validation: Dataset | None,
        on_rows: Callable[[int, float], None] | None,
    ) -> EpochRecord:
        began = time.perf_counter()
        epoch, n_updates = len(self.history), engine.n_updates
        n_samples, n_features = reader.dataset.n_samples, reader.dataset.n_features
        reader.order = Shuffle(n_samples, n_features, self.seed, epoch) if self.shuffle else None
        engine.rate_factor = self.learning_rate_factor
        if safeguard is None:
            loss = engine.train_epoch(reader, epoch + 1, on_rows)
        else:
            loss = safeguard.train_epoch(reader, epoch + 1, on_rows, self._slow_down)
        seconds = time.perf_counter() - began
        with errors_of_validation():
            validation_loss = None if validation is None else self.model.loss(validation, loss=self.loss)
        measured = measure(self.metrics, self.model, reader.dataset if validation is None else validation, self.loss)
        middle = n_updates + max((engine.n_updates - n_updates + 1) // 2, 1)
        rate = engine.learning_rate(middle) if self._current_engine is engine else None
        record = EpochRecord(epoch + 1, loss, validation_loss, seconds, rate, measured)
        self.history.append(record)
        return record

    def _slow_down(self, epoch: int, reason: str) -> float:
        """Lower the rate from here on, as an epoch went wrong, and return what it is multiplied by."""
        self.learning_rate_factor *= _SETBACK
        self.history.setbacks.append(Setback(epoch, reason, self.learning_rate_factor))
        log_setback(self.history.setbacks[-1])
        return self.learning_rate_factor

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one update from one batch, whatever its size, and return the batch's mean loss before it.

        Parameters and errors are those of `fit`. A Standardize layer must have learnt before, and a rate of "auto" is
        measured on the first batch.
        """
        with self._alone("step"):
            dataset = ArrayDataset(X, y, sample_weight)
            self.model.check_fits(dataset, self.loss)
            for layer in self.model.untaught_layers:
                call = "[0].fit(X)" if layer is self.model.standardize else "[-1].fit(y)"
                raise ValueError(
                    f"the {type(layer).__name__} layer has no mean and scale yet, and one batch is too few rows to "
                    f"learn them from; expected model.layers{call} with rows of every kind first"
                )
            self._go_on()
            self._learn_scales(dataset)
            longest = self._longest_rows(dataset) if self._measured_rate is None else None
            engine, reader = self._ready(dataset, dataset.n_samples, longest)
            engine.rate_factor = self.learning_rate_factor
            return engine.train_epoch(reader, len(self.history) + 1)

    def _ready_for_epochs(
        self, dataset: Dataset, batch_rows: int, epochs: int
    ) -> tuple[Engine, Reader, Safeguard | None]:
        """What trains on a data set, and what watches over a rate that nobody has chosen."""
        self._learn_scales(dataset)
        longest = self._longest_rows(dataset)
        is_fresh = self.n_updates == 0 and self._measured_rate is None
        engine, reader = self._ready(dataset, batch_rows, longest, self.batch_size is None, epochs)
        if longest is None or self._measured_rate is None:
            return engine, reader, None
        safeguard = Safeguard(engine, self.model, dataset, self.loss, longest)
        if is_fresh and needs_no_search(self.optimizer):
            start_at_constant(self.model, safeguard.constant, self.loss, dataset.n_samples)
        return engine, reader, safeguard

    def _learn_scales(self, dataset: Dataset) -> None:
        """Have Standardize and StandardizedTargets learn, where they are to."""
        if not np.isfinite(self.model.parameters).all():
            raise ValueError("the model's parameters hold a NaN or infinity; expected finite numbers to start from")
        if self.model.untaught_layers:
            if not losses.takes_every_number(self.loss):
                # Nothing is to be learnt from data with a target that would end training in its first epoch.
                self.model.check_rows(dataset, self.loss)
            learn_scales(dataset, self.model.untaught_layers)

    def _longest_rows(self, dataset: Dataset) -> LongestRows | None:
        """The rows that a rate of "auto" must have in view; None for any other."""
        if self.optimizer.learning_rate != "auto" or self.model.untaught_layers:
            # Nothing is learnt where every weight is zero.
            return None
        began = time.perf_counter()
        longest = LongestRows(dataset, self.model.dtype, self.model.mean_and_scale, self.model.mean_and_scale_of_y)
        self.history.search_seconds += time.perf_counter() - began
        return longest

    def _ready(
        self,
        dataset: Dataset,
        batch_rows: int,
        longest: LongestRows | None,
        is_full_batch: bool = False,
        epochs: int = 1,
    ) -> tuple[Engine, Reader]:
        """What trains on a data set, with a rate that is found first where it must be.

        longest : where a rate may have to be found          epochs : that it is found for
        """
        if longest is not None and self._measured_rate is None:
            began = time.perf_counter()
            if needs_no_search(self.optimizer):
                self._measured_rate = falling_schedule(
                    self.optimizer, self.model, self.loss, dataset, batch_rows, is_full_batch
                )
            else:
                rng = np.random.default_rng([self.seed, 0, _TRIALS])
                most = largest_rate(self.optimizer, self.loss, longest.largest, batch_rows, dataset.n_samples)
                most_rows = most_rows_of_trials(dataset.n_samples, epochs)
                self._measured_rate = automatic_schedule(
                    self.model, dataset, self.loss, batch_rows, rng, self._engine_of, most, most_rows
                )
            self.history.search_seconds += time.perf_counter() - began
        # Where every weight is zero, there is nothing to learn or to measure, and no update to come.
        is_measured = self.optimizer.learning_rate != "auto" or self._measured_rate is not None
        engine = self._prepared_engine() if is_measured else self._engine_of(self.model, Constant(0.0))
        engine.prepare(batch_rows, is_full_batch)
        return engine, self.model.reader(dataset, engine.micro_batch_rows, in_place=engine.takes_rows_in_place)

    @property
    def _current_engine(self) -> Engine | None:
        """What has trained, unless another optimiser is to begin afresh."""
        return self._engine if self._engine_optimizer is self.optimizer else None

    def _prepared_engine(self) -> Engine:
        if self._current_engine is None:
            rate = self._measured_rate if self.optimizer.learning_rate == "auto" else self.optimizer.learning_rate
            engine = self._engine_of(self.model, as_schedule(rate))
            # A new optimiser starts afresh, and so does its count of updates; in one call, which no Ctrl-C divides.
            vars(self).update(_past_updates=self.n_updates, _engine=engine, _engine_optimizer=self.optimizer)
        return self._engine

    def _engine_of(self, model: Model, schedule: Schedule) -> Engine:
        return Engine(model, self.loss, self.optimizer, schedule, self._regularization(), seed=self.seed)

    def _regularization(self) -> kernels.NoRegularization | kernels.Regularization:
        bounds = self.clip_value, self.clip_norm, self.max_norm, self.average_from
        if self.alpha == 0 and bounds == (None, None, None, None):
            return kernels.NoRegularization()
        l2, l1 = self.alpha * (1 - self.l1_ratio), self.alpha * self.l1_ratio
        is_proximal = isinstance(self.optimizer.record_for(self.loss), PlainSGD)
        return kernels.Regularization(
            l2, l1, is_proximal, *(math.inf if bound is None else float(bound) for bound in bounds)
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the model and everything that the run needs to go on with the same bits, as safetensors.

        What the latest `fit`'s callbacks of `fastgd.callbacks` have seen is part of it; of a schedule of your own, no
        more than its name. To be called between epochs or steps; a callback may, though `callbacks.ModelCheckpoint`
        alone is sure to save what the others have done.

        Raises
        ------
        RuntimeError
            While a call of `fit` or `step` in another thread trains.
        """
        running = vars(self).get("_running")
        if running is not None and running.thread != threading.get_ident():
            raise RuntimeError(
                f"save was called while {running.name} trains in another thread; expected it between epochs"
            )
        engine = self._current_engine
        run = {name: getattr(self, name) for name in _SETTINGS}
        callbacks, callback_tensors = _calling.describe(
            [SavedCallback(monitor.settings(), monitor.saved_state()) for monitor in self._monitors]
            or self._loaded_callbacks
        )
        run |= {
            "callbacks": callbacks,
            "loss": losses.describe(self.loss),
            "optimizer": self.optimizer.describe(),
            "learning_rate_factor": self.learning_rate_factor,
            "measured_rate": self._measured_rate and self._measured_rate.describe(),
            "past_updates": self._updates_before_engine(),
            "history": [list(record) for record in self.history],
            "metrics": describe_metrics(self.metrics),
            "setbacks": [list(setback) for setback in self.history.setbacks],
            "search_seconds": self.history.search_seconds,
        }
        state = ({} if engine is None else engine.saved_state()) | callback_tensors
        if self._where_training_was is not None:
            state[_WERE] = self._where_training_was[0]
        run["tensors"] = sorted(state)
        tensors = self.model.tensors() | {f"run.{name}": tensor for name, tensor in state.items()}
        storage.write(path, tensors, architecture=self.model.architecture(), run=run)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        schedule: Schedule | None = None,
        metrics: Sequence[Callable[..., float]] = (),
    ) -> "Trainer":
        """Read a run that `save` wrote.

        The callbacks of its next `fit` take up what those of the same class and settings had seen.

        Parameters
        ----------
        path : path
        schedule : Schedule, optional
            The run's, where its class is one of your own: the file has no more than the name of it.
        metrics : sequence of functions
            The run's that are your own: the file has no more than their names.

        Raises
        ------
        ValueError
            If the file is not one of fastgd's, or was damaged, or holds a model alone, or what another version of
            fastgd kept; if the run needs another schedule, or none; if it has other metrics of your own.
        """
        if schedule is not None and "own" not in as_schedule(schedule).describe():
            raise ValueError(f"schedule is {schedule!r}; expected one of your own, as the file holds all others")
        with storage.opened(path, "architecture", "run") as (tensors, architecture, run):
            return cls._restore(architecture, run, tensors, schedule, metrics)

    @classmethod
    def _restore(
        cls,
        architecture: dict[str, Any],
        run: dict[str, Any],
        tensors: dict[str, storage.SavedTensor],
        schedule: Schedule | None,
        metrics: Sequence[Callable[..., float]],
    ) -> "Trainer":
        """The run that a file's descriptions and tensors describe."""
        storage.require_names(run, "run", _RUN, _LATER)
        model_tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("run.")}
        arrays = {name.removeprefix("run."): tensor for name, tensor in tensors.items() if name not in model_tensors}
        trainer = cls(
            Model.restore(architecture, model_tensors),
            loss=losses.restore(run["loss"]),
            optimizer=optimizers.restore(run["optimizer"], schedule),
            metrics=restore_metrics(run.get("metrics", []), metrics),
            **{name: run[name] for name in _SETTINGS},
        )
        trainer.learning_rate_factor = run["learning_rate_factor"]
        trainer._measured_rate = run["measured_rate"] and schedules.restore(run["measured_rate"])
        trainer._past_updates = checks.integer(run["past_updates"], "past_updates", 0)
        for record in run["history"]:
            trainer.history.append(EpochRecord(*record))
        trainer.history.setbacks = [Setback(*setback) for setback in run.get("setbacks", [])]
        trainer.history.search_seconds = run.get("search_seconds", 0.0)
        descriptions = run.get("callbacks", [])
        of_callbacks = set(_calling.tensor_names(descriptions))
        storage.require_names(arrays, "tensors of the run", run.get("tensors", arrays))
        of_engine = {name: tensor for name, tensor in arrays.items() if name not in of_callbacks and name != _WERE}
        if _WERE in arrays:
            trainer._where_training_was = np.array(arrays[_WERE]), trainer.model.parameters.copy()
        if of_engine:
            trainer._restore_engine(of_engine)
        trainer._loaded_callbacks = _calling.restore(descriptions, {n: np.array(arrays[n]) for n in of_callbacks})
        return trainer

    def __repr__(self) -> str:
        settings = [f"loss={losses.name_of(self.loss)!r}", f"optimizer={self.optimizer!r}"]
        # Those that are not as they are by default.
        defaults = {name: p.default for name, p in inspect.signature(Trainer).parameters.items()}
        settings += [f"{name}={getattr(self, name)!r}" for name in _SETTINGS if getattr(self, name) != defaults[name]]
        settings += [f"metrics={list(map(name_of_metric, self.metrics))}"] if self.metrics else []
        return f"Trainer({self.model!r}, {', '.join(settings)}): {self.history!r}"

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
        # A copied engine would train vectors that are no longer those of the copied model.
        engine = self._current_engine
        attributes = {"_past_updates": self._updates_before_engine(), "_engine": None, "_engine_optimizer": None}
        kept = {name: value for name, value in vars(self).items() if name != "_running"}
        return kept | attributes, None if engine is None else engine.saved_state()

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, np.ndarray] | None]) -> None:
        attributes, arrays = state
        vars(self).update(attributes)
        if arrays is not None:
            self._restore_engine(arrays)

    def _updates_before_engine(self) -> int:
        """How many updates were made before those that the state of `_current_engine` counts."""
        return self.n_updates if self._current_engine is None else self._past_updates

    def _restore_engine(self, arrays: Mapping[str, np.ndarray | storage.SavedTensor]) -> None:
        """Have an engine that goes on from what another one's `saved_state` held."""
        state = self._prepared_engine().saved_state()
        storage.require_names(arrays, "state of the run", state)
        for name, array in state.items():
            found = arrays[name]
            if tuple(found.shape) != array.shape:
                raise ValueError(
                    f"{name} has shape {tuple(found.shape)}; expected {array.shape}, as this version of fastgd saves it"
                )
            # A vector that is not kept has no elements, and none of any dtype.
            if array.size and str(found.dtype) != array.dtype.name:
                raise ValueError(
                    f"{name} has dtype {found.dtype}; expected {array.dtype}, as this version of fastgd saves it"
                )
            array[...] = found


_SETTINGS = [
    *("batch_size", "shuffle", "seed", "alpha", "l1_ratio"),
    *("clip_value", "clip_norm", "max_norm", "average_from"),
]
# What describes a run, in every version.
_RUN = [*_SETTINGS, "loss", "optimizer", "learning_rate_factor", "measured_rate", "past_updates", "history"]
# The name of the tensor that training goes on from.
_WERE = "parameters"
# What runs of earlier versions do not have.
_LATER = ["callbacks", "tensors", "setbacks", "search_seconds", "metrics"]
_FIXED = {"model", "loss", "metrics", "standardize_targets", *_SETTINGS} - {"batch_size", "shuffle"}
