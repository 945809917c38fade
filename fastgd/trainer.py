"""Gradient descent: epochs over a data set, or one update at a time."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _check, storage
from fastgd.arrays import ArrayDataset, as_dataset
from fastgd.dataset import Dataset, Reader
from fastgd.engine import Engine
from fastgd.history import EpochRecord, History
from fastgd.losses import check_loss
from fastgd.model import Model
from fastgd.optimizers import OPTIMIZERS, Optimizer, check_optimizer

Callback = Callable[["Trainer", EpochRecord], Any]


class Trainer:
    """Trains a model by gradient descent.

    With the defaults it runs the article's algorithm: each row in the data's order is a step of its own, whose forward
    pass sees the parameters as the row before it left them.

    Parameters
    ----------
    model : Model
        Trained in place.
    loss : str
        See `fastgd.losses`.
    optimizer : optimiser, optional
        By default `SGD()`.
    batch_size : int or None
        Rows per update: 1 is online, B is mini-batch (the gradient is the mean over the B rows; the last batch of an
        epoch may be smaller), None is full batch.
    shuffle : bool
        Whether each epoch takes the rows in an order of its own, `default_rng([seed, epoch]).permutation(n_samples)`
        with epoch counted from 0, or all in the data's order.
    seed : int
        Of the orders, at least 0.

    Attributes
    ----------
    history : History
        One entry per completed epoch of this trainer, over all calls of `fit`.
    n_updates : int
        Updates so far.

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
        loss: str = "half_squared_error",
        optimizer: Optimizer | None = None,
        batch_size: int | None = 1,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model is {model!r}; expected a Model")
        if not isinstance(shuffle, bool | np.bool_):
            raise TypeError(f"shuffle is {shuffle!r}; expected True or False")
        self.model = model
        self.loss = check_loss(loss)
        self.optimizer = check_optimizer(optimizer)
        self.batch_size = None if batch_size is None else _check.integer(batch_size, "batch_size", 1)
        self.shuffle = bool(shuffle)
        self.seed = _check.integer(seed, "seed", 0)
        self.history = History()
        self.n_updates = 0
        self._engine: Engine | None = None

    def fit(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        validation: Dataset | Sequence[ArrayLike] | None = None,
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
        validation : Dataset, (X, y) or (X, y, sample_weight), optional
            Data to take `validation_loss` on after each epoch.
        callbacks : sequence of callables
            Each is called as `callback(trainer, record)` after each epoch; one that returns True stops the training.
        progress : bool
            Whether to show a progress bar with loss and rows per second.

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
        self.model.check_fits(dataset)
        epochs = _check.integer(epochs, "epochs", 1)
        validation_data = self._validation(validation)
        self._check_parameters()
        n_samples = dataset.n_samples
        engine = self._engine_for(n_samples if self.batch_size is None else min(self.batch_size, n_samples))
        reader = Reader(dataset, self.model.dtype, min_rows=min(engine.batch_rows, self.model.chunk_rows))
        with _Progress(epochs * n_samples, progress) as bar:
            for _ in range(epochs):
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
            reader.order = np.random.default_rng([self.seed, epoch]).permutation(reader.dataset.n_samples)
        try:
            loss = engine.train_epoch(reader, epoch + 1, on_rows)
        finally:
            self._count_updates(engine)
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
        self.model.check_fits(dataset)
        self._check_parameters()
        engine = self._engine_for(dataset.n_samples)
        reader = Reader(dataset, self.model.dtype, min_rows=min(engine.batch_rows, self.model.chunk_rows))
        try:
            return engine.train_epoch(reader, len(self.history) + 1)
        finally:
            self._count_updates(engine)

    def _engine_for(self, batch_rows: int) -> Engine:
        engine = self._engine
        if engine is None or engine.batch_rows != batch_rows or engine.optimizer is not self.optimizer:
            engine = self._engine = Engine(self.model, self.optimizer, batch_rows)
        return engine

    def _count_updates(self, engine: Engine) -> None:
        self.n_updates += engine.n_updates
        engine.n_updates = 0

    def _validation(self, validation: Any) -> Dataset | None:
        if validation is None:
            return None
        if isinstance(validation, Dataset):
            dataset = validation
        elif isinstance(validation, tuple | list) and len(validation) in (2, 3):
            dataset = ArrayDataset(*validation)
        else:
            raise TypeError(
                f"validation is a {type(validation).__name__}; expected a Dataset, (X, y) or (X, y, sample_weight)"
            )
        try:
            self.model.check_fits(dataset)
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
        return dataset

    def _check_parameters(self) -> None:
        if not np.isfinite(self.model.parameters).all():
            raise ValueError("the model's parameters hold a NaN or infinity; expected finite numbers to start from")

    def save(self, path: str | os.PathLike) -> None:
        """Write the model and everything that the run needs to go on with the same bits, as safetensors.

        To be called between epochs or steps; a callback may.
        """
        run = {
            "loss": self.loss,
            "optimizer": {"type": type(self.optimizer).__name__} | self.optimizer.arguments(),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "n_updates": self.n_updates,
            "history": [list(record) for record in self.history],
        }
        storage.write(path, self.model.tensors(), architecture=self.model.architecture(), run=run)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Trainer":
        """Read a run that `save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of fastgd's, or holds a model alone.
        """
        tensors, architecture, run = storage.read(path, "architecture", "run")
        optimizer = run.pop("optimizer")
        run["optimizer"] = OPTIMIZERS[_check.choice(optimizer.pop("type"), "optimizer", OPTIMIZERS)](**optimizer)
        n_updates, history = run.pop("n_updates"), run.pop("history")
        trainer = cls(Model.restore(architecture, tensors), **run)
        trainer.n_updates = n_updates
        for record in history:
            trainer.history.append(EpochRecord(*record))
        return trainer


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
