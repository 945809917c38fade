"""Gradient descent: epochs over a data set, or one update at a time."""

import copy
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _check, kernels, losses, optimizers, schedules, storage
from fastgd.arrays import ArrayDataset, as_dataset
from fastgd.autorate import automatic_schedule
from fastgd.dataset import Dataset, Reader
from fastgd.engine import Engine
from fastgd.history import EpochRecord, History
from fastgd.kernels.update import PlainSGD
from fastgd.losses import Loss
from fastgd.model import Model
from fastgd.optimizers import Optimizer, check_optimizer
from fastgd.schedules import Constant, Schedule, as_schedule
from fastgd.shuffle import Shuffle
from fastgd.subset import split

Callback = Callable[["Trainer", EpochRecord], Any]

# What tells the draws of held-out rows and of the trials of "auto" from those of the epochs' orders.
_HELD_OUT, _TRIALS = 1, 2


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
    optimizer : optimiser, optional
        See `fastgd.optimizers`; by default `SGD()`. With learning_rate="auto", short trials on some of the rows choose
        the rate r when training begins, and then it follows `fastgd.autorate.one_epoch`; see
        `fastgd.autorate.automatic_schedule`. `trainer.learning_rate` is r after each epoch.
    batch_size : int or None
        Rows per update: 1 is online, B is mini-batch (the gradient is the mean over the B rows; the last batch of an
        epoch may be smaller), None is full batch.
    shuffle : bool
        Whether each epoch takes the rows in an order of its own, see `fastgd.shuffle.Shuffle`, or all in the data's
        order.
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
        The number of the update, from 1, from which on the mean of the parameters is kept: Polyak-Ruppert averaging,
        see `averaged_model`.

    Attributes
    ----------
    history : History
        One entry per completed epoch of this trainer, over all calls of `fit`.
    learning_rate_factor : float
        Multiplies the optimiser's rate or schedule; `callbacks.ReduceOnPlateau` lowers it.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above.

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
        loss: str | Loss = "half_squared_error",
        optimizer: Optimizer | None = None,
        batch_size: int | None = 1,
        shuffle: bool = False,
        seed: int = 0,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        average_from: int | None = None,
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model is {model!r}; expected a Model")
        if not isinstance(shuffle, bool | np.bool_):
            raise TypeError(f"shuffle is {shuffle!r}; expected True or False")
        self.model = model
        self.loss = losses.as_loss(loss)
        self.optimizer = optimizer
        self.batch_size = None if batch_size is None else _check.integer(batch_size, "batch_size", 1)
        self.shuffle = bool(shuffle)
        self.seed = _check.integer(seed, "seed", 0)
        self.alpha = _check.non_negative(alpha, "alpha")
        self.l1_ratio = _check.between(l1_ratio, "l1_ratio", 0, 1)
        self.clip_value = None if clip_value is None else _check.positive(clip_value, "clip_value")
        self.clip_norm = None if clip_norm is None else _check.positive(clip_norm, "clip_norm")
        self.max_norm = None if max_norm is None else _check.positive(max_norm, "max_norm")
        self.average_from = None if average_from is None else _check.integer(average_from, "average_from", 1)
        self.learning_rate_factor = 1.0
        self.history = History()
        self._past_updates = 0
        self._engine: Engine | None = None
        self._engine_optimizer: Optimizer | None = None

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; one that is assigned starts afresh with the next update."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | None) -> None:
        checked = check_optimizer(optimizer)
        if isinstance(checked, optimizers.NormalizedSGD) and not self.model.starts_linear:
            raise ValueError(f"NormalizedSGD with {self.model!r}; expected Linear as the first layer")
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

    def averaged_model(self) -> Model:
        """A copy of the model with the mean of its parameters since update `average_from`.

        Raises
        ------
        ValueError
            If no average was asked for, or none has begun.
        """
        average = None if self._engine is None else self._engine.average
        if average is None:
            raise ValueError(
                f"average_from is {self.average_from} and {self.n_updates} updates were made; expected to be past it"
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
        progress: bool = False,
    ) -> History:
        """Train for some epochs more.

        Two calls of one epoch each do the same as one call of two. Ctrl-C ends the call between two steps; the model
        keeps what it has learnt.

        Parameters
        ----------
        X : array of shape (n_samples, in_features), or Dataset
            Any real dtype and layout. Never copied or converted whole.
        y : array of shape (n_samples, out_features), or (n_samples,) for one output
            Not with a Dataset.
        epochs : int
            At least 1.
        sample_weight : array of shape (n_samples,), optional
            Multiplies each row's loss and gradient; the mean over a batch still divides by its number of rows.
        validation : Dataset, (X, y), (X, y, sample_weight) or float, optional
            Data to take `validation_loss` on after each epoch; a number between 0 and 1 holds out this fraction of the
            rows, drawn from `default_rng([seed, 0, 1])`.
        callbacks : sequence of callables
            Each is called as `callback(trainer, record)` after each epoch; one that returns True stops the training.
            See `fastgd.callbacks`.
        progress : bool
            Whether to show a progress bar with loss and rows per second, and the learning rate that "auto" chose.

        Returns
        -------
        History
            The trainer's, with an entry for each completed epoch.

        Raises
        ------
        ValueError, TypeError
            For arguments that are not as above, before anything is changed; for a NaN or infinity in the data, before
            its row changes anything.
        DivergenceError
            Where training stops being finite. The model keeps its last finite parameters.
        """
        dataset = as_dataset(X, y, sample_weight)
        self.model.check_fits(dataset, self.loss)
        epochs = _check.integer(epochs, "epochs", 1)
        dataset, validation_data = self._split(dataset, validation)
        n_samples = dataset.n_samples
        batch_rows = n_samples if self.batch_size is None else min(self.batch_size, n_samples)
        was_measured = self._measured_rate is not None
        engine, reader = self._ready(dataset, batch_rows)
        if progress and self._measured_rate is not None and not was_measured:
            rate = self._measured_rate.learning_rate.learning_rate
            print(f'learning rate "auto": {rate:.4g}', file=sys.stderr)
        with _Progress(epochs * n_samples, progress) as bar:
            for _ in range(epochs):
                engine.rate_factor = self.learning_rate_factor
                record = self._epoch(engine, reader, validation_data, bar.advance if progress else None)
                stops = [bool(callback(self, record)) for callback in callbacks]
                if any(stops):
                    break
        return self.history

    def _epoch(
        self,
        engine: Engine,
        reader: Reader,
        validation: Dataset | None,
        on_rows: Callable[[int, float], None] | None,
    ) -> EpochRecord:
        began = time.perf_counter()
        epoch = len(self.history)
        if self.shuffle:
            dataset = reader.dataset
            reader.order = Shuffle(dataset.n_samples, dataset.n_features, self.seed, epoch)
        loss = engine.train_epoch(reader, epoch + 1, on_rows)
        seconds = time.perf_counter() - began
        validation_loss = None if validation is None else self.model.loss(validation, loss=self.loss)
        record = EpochRecord(epoch + 1, loss, validation_loss, seconds)
        self.history.append(record)
        return record

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one update from one batch, whatever its size, and return the batch's mean loss before it.

        Parameters and errors are those of `fit`.
        """
        dataset = ArrayDataset(X, y, sample_weight)
        self.model.check_fits(dataset, self.loss)
        engine, reader = self._ready(dataset, dataset.n_samples)
        engine.rate_factor = self.learning_rate_factor
        return engine.train_epoch(reader, len(self.history) + 1)

    def _ready(self, dataset: Dataset, batch_rows: int) -> tuple[Engine, Reader]:
        """What trains on a data set: everything learnt from it first that must be."""
        if not np.isfinite(self.model.parameters).all():
            raise ValueError("the model's parameters hold a NaN or infinity; expected finite numbers to start from")
        standardize = self.model.standardize
        if standardize is not None and standardize.mean is None:
            standardize.fit(dataset)
        if self.optimizer.learning_rate == "auto" and self._measured_rate is None:
            rng = np.random.default_rng([self.seed, 0, _TRIALS])
            self._measured_rate = automatic_schedule(self.model, dataset, self.loss, batch_rows, rng, self._engine_of)
        # Where every weight is zero, there is nothing to learn or to measure, and no update to come.
        is_measured = self.optimizer.learning_rate != "auto" or self._measured_rate is not None
        is_learnt = standardize is None or standardize.mean is not None
        engine = self._prepared_engine() if is_measured else self._engine_of(self.model, Constant(0.0))
        mean_and_scale = self.model.mean_and_scale if is_learnt else (np.zeros(self.model.in_features),) * 2
        engine.prepare(batch_rows)
        in_place = engine.takes_rows_in_place
        return engine, Reader(dataset, self.model.dtype, engine.chunk_rows, mean_and_scale, in_place=in_place)

    def _prepared_engine(self) -> Engine:
        if self._engine is None or self._engine_optimizer is not self.optimizer:
            # A new optimiser starts afresh, and so does its count of updates.
            self._past_updates = self.n_updates
            rate = self._measured_rate if self.optimizer.learning_rate == "auto" else self.optimizer.learning_rate
            self._engine = self._engine_of(self.model, as_schedule(rate))
            self._engine_optimizer = self.optimizer
        return self._engine

    def _engine_of(self, model: Model, schedule: Schedule) -> Engine:
        return Engine(model, self.loss, self.optimizer, schedule, self._regularization(), seed=self.seed)

    def _regularization(self) -> kernels.NoRegularization | kernels.Regularization:
        bounds = self.clip_value, self.clip_norm, self.max_norm, self.average_from
        if self.alpha == 0 and bounds == (None, None, None, None):
            return kernels.NoRegularization()
        l2, l1 = self.alpha * (1 - self.l1_ratio), self.alpha * self.l1_ratio
        is_proximal = isinstance(self.optimizer.record(), PlainSGD)
        return kernels.Regularization(
            l2, l1, is_proximal, *(math.inf if bound is None else float(bound) for bound in bounds)
        )

    def _split(self, dataset: Dataset, validation: Any) -> tuple[Dataset, Dataset | None]:
        """The rows to train on, and those to validate on."""
        if validation is None:
            return dataset, None
        if isinstance(validation, float):
            return split(dataset, validation, np.random.default_rng([self.seed, 0, _HELD_OUT]))
        if isinstance(validation, Dataset):
            held_out = validation
        elif isinstance(validation, tuple | list) and len(validation) in (2, 3):
            held_out = ArrayDataset(*validation)
        else:
            raise TypeError(
                f"validation is a {type(validation).__name__}; expected a Dataset, (X, y), (X, y, sample_weight) or a "
                "fraction"
            )
        try:
            self.model.check_fits(held_out, self.loss)
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
        return dataset, held_out

    def save(self, path: str | os.PathLike) -> None:
        """Write the model and everything that the run needs to go on with the same bits, as safetensors.

        To be called between epochs or steps; a callback may.
        """
        is_current = self._engine is not None and self._engine_optimizer is self.optimizer
        run = {name: getattr(self, name) for name in _SETTINGS}
        run |= {
            "loss": losses.describe(self.loss),
            "optimizer": self.optimizer.describe(),
            "learning_rate_factor": self.learning_rate_factor,
            "measured_rate": self._measured_rate and self._measured_rate.describe(),
            "past_updates": self._past_updates if is_current else self.n_updates,
            "history": [list(record) for record in self.history],
        }
        state = self._engine.saved_state() if is_current else {}
        tensors = self.model.tensors() | {f"run.{name}": tensor for name, tensor in state.items()}
        storage.write(path, tensors, architecture=self.model.architecture(), run=run)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Trainer":
        """Read a run that `save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of fastgd's, or holds a model alone.
        """
        tensors, architecture, run = storage.read(path, "architecture", "run")
        trainer = cls(
            Model.restore(architecture, tensors),
            loss=losses.restore(run["loss"]),
            optimizer=optimizers.restore(run["optimizer"]),
            **{name: run[name] for name in _SETTINGS},
        )
        trainer.learning_rate_factor = run["learning_rate_factor"]
        trainer._measured_rate = run["measured_rate"] and schedules.restore(run["measured_rate"])
        trainer._past_updates = run["past_updates"]
        for record in run["history"]:
            trainer.history.append(EpochRecord(*record))
        if "run.progress" in tensors:
            for name, array in trainer._prepared_engine().saved_state().items():
                array[...] = tensors[f"run.{name}"]
        return trainer


_SETTINGS = [
    *("batch_size", "shuffle", "seed", "alpha", "l1_ratio"),
    *("clip_value", "clip_norm", "max_norm", "average_from"),
]


class _Progress:
    """A tqdm bar over rows, or nothing."""

    def __init__(self, n_rows: int, shown: bool) -> None:
        self._bar = None
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(total=n_rows, unit="row", unit_scale=True, dynamic_ncols=True)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_rows: int, loss: float) -> None:
        self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update(n_rows)
