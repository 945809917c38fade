"""Gradient descent: epochs over a data set, or one update at a time."""

import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastgd import losses, storage
from fastgd._engine import checkpoint, fit
from fastgd._engine.callback_list import CallbackList
from fastgd._engine.progress import Progress, ProgressMode
from fastgd._engine.settings import Settings
from fastgd._engine.sparse_checks import require_sparse_support
from fastgd._engine.stream_checks import require_stream_support
from fastgd._engine.validation import split_validation
from fastgd.data import checks
from fastgd.data.as_dataset import array_dataset, as_rows
from fastgd.data.base import Dataset, Stream
from fastgd.history import EpochRecord, History
from fastgd.metrics import name_of_metric
from fastgd.model_data import check_fits
from fastgd.schedules import Schedule

if TYPE_CHECKING:
    from fastgd.tracing import Trace

Callback = Callable[["Trainer", EpochRecord], Any]

# What tells the draw of held-out rows from those of the epochs' orders.
_HELD_OUT = 1


class Trainer(Settings):
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
        See `fastgd.optimizers`; by default `SGD()`. "auto" is the one that is recommended for this model, loss and
        batch size: see `fastgd.recommended.resolved`. With learning_rate="auto", short trials on
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
        0, l1_ratio from 0 to 1. Its L2 part joins each batch's gradient, by w / rate at most in plain SGD; its L1 part
        makes weights exactly zero, for every optimiser around the same minimum. Losses are reported without it.
    clip_value, clip_norm : float, optional
        Bounds on each element of the gradient, and then on its norm; more than 0.
    max_norm : float, optional
        Bound on the norm of each unit's incoming weights, more than 0.
    average_from : int, optional
        The number of the optimiser's update, from 1, from which on the mean of the parameters is kept: Polyak-Ruppert
        averaging, see `averaged_model`.
    standardize_targets : bool
        Whether the model learns targets of mean 0 and variance 1, or of such a median and quartiles where the loss is
        one that outliers hardly move, and predicts in the units of y: it gets a last layer `StandardizedTargets`, which
        learns when training first begins. Losses, and parameters of theirs such as Huber's delta, are those of the
        standardised targets. For losses of regression, and models that end in a Linear. True if there is the layer.
    metrics : sequence of str or of functions
        What `fit` takes after each epoch on the validation data, or on the rows of training where there are none, at
        the cost of a pass of prediction over them and of their predictions and targets in memory: "accuracy" for a loss
        of classes; "r2", "mae", "mse" or "rmse" for any other (see `fastgd.metrics`); or a function of one's own, f(y,
        prediction) -> float, with targets and predictions in float64, both (n_samples,) where they have one column, and
        sample_weight=... where there are weights and it takes them, as those of `sklearn.metrics` do. They stand in
        `history.metrics`, under the function's name, and `callbacks` may monitor them. They are the run's, as in Keras,
        and no argument of `fit`: each epoch of the history has them, and a saved run goes on with them.
    n_threads : int, optional
        How many threads the run may use, at least 1; by default one for each processor that this process may use, or as
        many as OMP_NUM_THREADS and the like allow. The numbers do not depend on it; a saved run has none.
    replicas : int
        How many copies of the model train at once, each on its share of an epoch's rows by an optimiser of its own, and
        are combined after each round: see `fastgd.replicas`. `n_updates` counts those of the copy that makes the most,
        and so do schedules. Not with `average_from`. Streams need sync="gradient".
    round_rows : int, optional
        The most rows of each copy in a round, at least 1; by default as many as take some milliseconds, fewer in short
        epochs, more as the rate falls: see `fastgd.replicas.rows_of_a_round`. An epoch has no more rounds than that
        takes, of whole batches, all about as long.
    outer : "auto", gd.replicas.Nesterov or None
        What steps from the parameters before a round to those after it; None is their mean. "auto" is None where the
        rate is "auto", else `gd.replicas.recommended(R)`: √R times the rate and a momentum, to learn as fast as one.
    sync : {"average", "gradient"}
        What of the replicas is combined: their parameters, after each round, or, "gradient", the gradients of their
        shares of each batch: then every update is that of the whole batch, up to rounding, and `batch_size` counts the
        rows of all shares together. It pays for batches of some thousands of rows. Not for sparse rows.

    Attributes
    ----------
    history : History
        One entry per completed epoch of this trainer, over all calls of `fit`. Losses, those of validation data too,
        are without the penalty, and of the standardised targets where these are learnt.
    learning_rate_factor : float
        Multiplies the optimiser's rate or schedule, at least 0; `callbacks.ReduceOnPlateau` lowers it.

    `optimizer`, `batch_size`, `shuffle` and `learning_rate_factor` may be assigned, and count from the next update or
    epoch on. All other settings are those of the run from its first update to its last. A copy, by `copy.deepcopy` or
    pickle, has a model of its own and goes on with the same bits.

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

    def fit(
        self,
        X: ArrayLike | Dataset | Stream,
        y: ArrayLike | None = None,
        epochs: int = 1,
        sample_weight: ArrayLike | None = None,
        validation: Dataset | Sequence[ArrayLike] | float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: ProgressMode = False,
        resume: bool = False,
    ) -> History:
        """Train for some epochs more, or, with resume=True, until the run has so many.

        Two calls of one epoch each do the same as one call of two, but that a search for a rate of "auto" on more than
        10 000 rows may take a tenth of the epochs of the call that makes it, where that is more than one epoch. Ctrl-C
        ends the call between two steps; the model keeps what it has learnt, or gets the best parameters where
        `callbacks.EarlyStopping` has them.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, in_features), Dataset, Stream, or blocks of rows
            Any real dtype and layout. Never copied or converted whole. A stream's rows come in one order, and so do
            those of an iterable, or of a function that returns one, as for `fastgd.data.from_blocks`. Sparse rows
            (see `fastgd.data.sparse.SparseDataset`) need a Linear as the first layer, apart from
            Standardize(..., with_mean=False) or "nonzero". They cost their entries with SGD() and its penalties, and
            with Adagrad() without penalty or decay; with any other settings, each update costs all weights.
        y : array of shape (n_samples, out_features), or (n_samples,) for one output; not with a Dataset or Stream
        epochs : int
            At least 1; with resume=True those of the whole run, the ones in `history` among them.
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

        resume : bool
            Whether a run of `Trainer.load` goes on where it was saved, in the midst of an epoch too, with the bits of
            one that was never interrupted. The rows and validation data have to be those that it was saved with, where
            a callback or Ctrl-C saved it: sizes, dtype and the checksum of some rows are compared (of a stream, the
            sizes). A stream is opened at its next row; one that cannot seek reads those before and leaves them out.
            Where nothing is left, or a callback had stopped the run, no row is trained.

        Returns
        -------
        History
            The trainer's, with an entry for each completed epoch.

        Raises
        ------
        ValueError, TypeError
            For arguments that are not as above, for other data than the run that is resumed had, and for bad validation
            data in memory, before anything is changed; for a NaN, an infinity, a negative weight or a target that the
            loss does not take in the data, before its row changes anything.
        DivergenceError
            Where training stops being finite. The model keeps its last finite parameters, or gets the best as above.
        RuntimeError
            While another call of `fit` or `step` trains: one in another thread, or the one that a callback is called
            by.

        Examples
        --------
        >>> import numpy as np
        >>> import fastgd as gd
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> y = 2 * X[:, 0] + 1
        >>> model = gd.Model([gd.Linear(1, 1)])
        >>> trainer = gd.Trainer(model, optimizer=gd.SGD(0.1), batch_size=10, shuffle=True)
        >>> history = trainer.fit(X, y, epochs=50, validation=0.2)
        >>> model.layers[0].weight.round(2), model.layers[0].bias.round(2)
        (array([[2.]], dtype=float32), array([1.], dtype=float32))
        >>> len(history), history.validation_loss[-1] < 1e-4
        (50, True)
        """
        with self._calls.call("fit"):
            dataset = as_rows(X, y, sample_weight)
            require_stream_support(dataset, self._run, validation, epochs)
            check_fits(self.model, dataset, self.loss)
            require_sparse_support(dataset, self._run)
            epochs = checks.integer(epochs, "epochs", 1)
            names = list(map(name_of_metric, self.metrics))
            calling = CallbackList(callbacks, validation is not None, names, self.history)
            shown = Progress(progress)
            draw = self.seed, 0, _HELD_OUT
            dataset, validation_data = split_validation(dataset, validation, self.model, self.loss, draw)
            epochs = fit.epochs_to_come(self._run, epochs, checks.switch(resume, "resume"))
            fit.recognise(self._run, dataset, validation_data, resume, calling.may_save)
            prepared = fit.prepare(self._run, dataset, epochs, shown)
            calling.load_state(self._loaded_callbacks)
            self._monitors, self._loaded_callbacks = calling.monitors, []
            rows = fit.rows_to_come(self._run, dataset, epochs)
            try:
                with calling.of(self), shown.over(rows, len(self.history) + epochs):
                    fit.train_epochs(self, self._run, prepared, validation_data, epochs, calling, shown)
            finally:
                self._run.end()
            return self.history

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one update from one batch, whatever its size, and return the batch's mean loss before it.

        Parameters and errors are those of `fit`. A Standardize layer must have learnt before, and a rate of "auto" is
        measured on the first batch.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
        >>> trainer = gd.Trainer(model, optimizer=gd.SGD(0.5))
        >>> trainer.step([[1], [2]], [0, 0])  # the gradient is the mean of 1 · 1 and 2 · 2
        1.25
        >>> model.parameters
        array([-0.25])
        """
        with self._calls.call("step"):
            return self._run.make_step(self._run.prepare_step(array_dataset(X, y, sample_weight)))

    def trace(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "Trace":
        """Make one update after another, `batch_size` rows each in the data's order, and show every number of them.

        The updates have the bits of those that `step` makes of the same batches; arguments and errors are its, and
        sparse rows, replicas, batches of more rows than the model's kernels work on at once (1024, of wide layers
        fewer) and a trace of more than a gigabyte are a ValueError, before anything is changed. See
        `fastgd.tracing.Step` for what is shown; `gd.trace` does the same to a copy of a model.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(2, 1, bias=False, init=[[1, 2]]), gd.ReLU()], dtype="float64")
        >>> trace = gd.Trainer(model, optimizer=gd.SGD(0.5)).trace([[1, 1]], [2])
        >>> trace[0].gradient, model.parameters
        (array([1., 1.]), array([0.5, 1.5]))
        """
        from fastgd.tracing import rows_to_trace, trace_updates

        with self._calls.call("trace"):
            return trace_updates(self._run, rows_to_trace(X, y, sample_weight))

    def save(self, path: str | os.PathLike) -> None:
        """Write the model and everything that the run needs to go on with the same bits, as safetensors.

        What the latest `fit`'s callbacks of `fastgd.callbacks` have seen is part of it; of a schedule of your own, no
        more than its name. A callback may call it, though `callbacks.ModelCheckpoint` alone is sure to save what the
        others have done; while an epoch is trained, `callbacks.Checkpoint` does, and a callback's `on_slice` may.

        Raises
        ------
        RuntimeError
            While a call of `fit` or `step` in another thread trains.

        Examples
        --------
        >>> trainer.save("run.safetensors")  # doctest: +SKIP
        """
        tensors, descriptions = checkpoint.describe(self)
        storage.write(path, tensors, **descriptions)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        schedule: Schedule | None = None,
        metrics: Sequence[Callable[..., float]] = (),
    ) -> "Trainer":
        """Read a run that `save` wrote.

        The callbacks of its next `fit` take up what those of the same class and settings had seen. With resume=True, it
        goes on where the run was saved, in the midst of an epoch too.

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

        Examples
        --------
        >>> import tempfile
        >>> import fastgd as gd
        >>> data = gd.data.synthetic(n_samples=1000, n_features=3)
        >>> trainer = gd.Trainer(gd.Model([gd.Linear(3, 1), gd.ReLU()]), optimizer=gd.Adam(0.01))
        >>> history = trainer.fit(data, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(f"{folder}/run.safetensors")
        ...     again = gd.Trainer.load(f"{folder}/run.safetensors")
        >>> history = again.fit(data, epochs=3, resume=True)
        >>> len(history), again.n_updates
        (3, 3000)
        """
        with storage.opened(path, "architecture", "run") as (tensors, architecture, run):
            return checkpoint.restored(cls, tensors, architecture, run, schedule, metrics)

    def __repr__(self) -> str:
        settings = [f"loss={losses.name_of(self.loss)!r}", f"optimizer={self.optimizer!r}"]
        defaults = inspect.signature(Trainer).parameters
        given = {name: getattr(self, name) for name in checkpoint.SETTINGS}
        settings += [f"{name}={value!r}" for name, value in given.items() if value != defaults[name].default]
        settings += [f"metrics={list(map(name_of_metric, self.metrics))}"] if self.metrics else []
        return f"Trainer({self.model!r}, {', '.join(settings)}): {self.history!r}"
