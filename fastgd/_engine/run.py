"""A run of training: its settings, and what training has made of them between one epoch and the next."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastgd._engine.automatic_rate import automatic_rate, longest_rows
from fastgd._engine.cut_epoch import CutEpoch, UnderWay
from fastgd._engine.progress import log_setback
from fastgd._engine.replica_threads import Threads
from fastgd._engine.replicas import Plan, ReplicatedEngine, Shares, Workers
from fastgd._engine.safeguard import LongestRows, Safeguard
from fastgd._engine.slices import Engine
from fastgd._engine.sparse_checks import require_sparse_support
from fastgd._engine.stream_checks import require_stream_support
from fastgd._engine.validation import errors_of_validation
from fastgd.data.base import Dataset, Stream
from fastgd.data.reader import Reader
from fastgd.data.stream_reader import StreamReader
from fastgd.errors import warn
from fastgd.history import EpochRecord, History, Setback
from fastgd.losses import Loss
from fastgd.metrics import Metric, measure
from fastgd.model import Model
from fastgd.model_data import check_fits, learn_missing_scales, note_columns, reader_of
from fastgd.optimizers import Optimizer
from fastgd.recommended import start_at_constant
from fastgd.regularization import Regularization
from fastgd.schedules import Constant, Schedule
from fastgd.schedules.formulas import as_schedule

# What multiplies a rate of "auto" each time that an epoch is taken back.
_SETBACK = 0.25


class Prepared(NamedTuple):
    """What trains on a data set: an engine, a reader, and a watch over a rate that nobody has chosen."""

    engine: Engine | ReplicatedEngine
    reader: Reader | StreamReader
    safeguard: Safeguard | None = None


class Run:
    """Settings and state of a run.

    Attributes
    ----------
    model, loss, regularization, metrics, seed, n_threads
        As `Trainer` has them.
    shares : Shares
        Of the replicas.
    optimizer, batch_size, shuffle, learning_rate_factor
        The same; they may be assigned.
    history : History
    measured_rate : Schedule or None
        What "auto" has found for the optimiser.
    cut : CutEpoch or None
        Where a loaded run goes on in the midst of an epoch.
    under_way : UnderWay or None
        The epoch that is trained.
    is_stopped : bool
        Whether a callback has ended the run.
    fingerprint : dict or None
        Of the data that `fit` trains on, or that a loaded run was saved with; None where nobody asks.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        regularization: Regularization,
        metrics: list[Metric],
        seed: int,
        n_threads: int | None,
        shares: Shares,
    ) -> None:
        self.shares = shares
        self.model, self.loss, self.regularization = model, loss, regularization
        self.metrics, self.seed, self.n_threads = metrics, seed, n_threads
        self.batch_size: int | None = 1
        self.shuffle = False
        self.learning_rate_factor = 1.0
        self.history = History()
        self.measured_rate: Schedule | None = None
        #: What makes the workers that train replicas.
        self.workers: Callable[[ReplicatedEngine, Reader], Workers] = Threads
        # What "auto" has put in the place of a model that was worse than a constant, after what that was.
        self.replaced: tuple[np.ndarray, np.ndarray] | None = None
        self.cut: CutEpoch | None = None
        self.under_way: UnderWay | None = None
        self.is_stopped = False
        self.fingerprint: dict[str, Any] | None = None
        self._last_epoch: UnderWay | None = None
        self._factor_after_epoch = 1.0
        self._safeguard: Safeguard | None = None
        self._optimizer: Optimizer | None = None
        self._updates_before = 0
        self._engine: Engine | ReplicatedEngine | None = None
        self._engine_optimizer: Optimizer | None = None

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser; one that is assigned starts afresh with the next update."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        if optimizer is not self._optimizer:
            # "auto" measures for one optimiser.
            self.measured_rate = None
        self._optimizer = optimizer

    @property
    def assigned(self) -> dict[str, Any]:
        """What may be assigned, and is not to change in the midst of an epoch."""
        return {"batch_size": self.batch_size, "shuffle": self.shuffle, "optimizer": self.optimizer}

    # -- the engine

    @property
    def engine(self) -> Engine | ReplicatedEngine | None:
        """What has trained, unless another optimiser is to begin afresh."""
        return self._engine if self._engine_optimizer is self.optimizer else None

    @property
    def n_updates(self) -> int:
        """Updates so far."""
        return self._updates_before + (0 if self._engine is None else self._engine.n_updates)

    @property
    def updates_before_engine(self) -> int:
        """How many updates were made before those that the state of `engine` counts."""
        return self.n_updates if self.engine is None else self._updates_before

    @updates_before_engine.setter
    def updates_before_engine(self, n_updates: int) -> None:
        self._updates_before = n_updates

    def prepared_engine(self) -> Engine | ReplicatedEngine:
        """The engine, made where there is none yet."""
        if self.engine is None:
            rate = self.measured_rate if self.optimizer.learning_rate == "auto" else self.optimizer.learning_rate
            engine = self._new_engine(as_schedule(rate))
            # A new optimiser starts afresh, and so does its count of updates; in one call, which no Ctrl-C divides.
            vars(self).update(_updates_before=self.n_updates, _engine=engine, _engine_optimizer=self.optimizer)
        return self._engine

    def engine_of(self, model: Model, schedule: Schedule, n_shares: int = 1) -> Engine:
        """A new engine that trains a model as this run is set, but for replicas; of so many shares of a batch."""
        return Engine(
            model, self.loss, self.optimizer, schedule, self.regularization, self.seed, self.n_threads, n_shares
        )

    def _new_engine(self, schedule: Schedule) -> Engine | ReplicatedEngine:
        if self.shares.n_copies == 1:
            return self.engine_of(self.model, schedule, self.shares.n_gradients)
        plan = Plan(self.loss, self.optimizer, schedule, self.regularization, self.seed)
        return ReplicatedEngine(self.model, self.shares, plan, self.n_threads)

    # -- from a data set to what trains on it

    def go_on(self) -> None:
        """Have the model where training was, unless it was given other parameters since."""
        self.model.may_be_untrained = False
        if self.replaced is not None:
            were, given = self.replaced
            if np.array_equal(self.model.parameters, given):
                self.model.parameters = were
            self.replaced = None

    def leave_cut_epoch(self) -> None:
        """Train on from the parameters that the run was saved with, in the midst of an epoch."""
        if self.cut is not None and self.cut.is_loaded:
            warn(
                f"the run was saved in epoch {len(self.history) + 1} after {self.cut.position} of its rows, and what "
                "was left of it is not trained; expected fit(..., resume=True), with epochs those of the whole run"
            )
        self.cut = None

    def prepare_step(self, dataset: Dataset) -> Prepared:
        """What makes one update from all rows of a data set, by `make_step`."""
        check_fits(self.model, dataset, self.loss)
        require_sparse_support(dataset, self)
        for layer in self.model.unfitted_layers:
            call = "[0].fit(X)" if layer is self.model.standardize else "[-1].fit(y)"
            raise ValueError(
                f"the {type(layer).__name__} layer has no mean and scale yet, and one batch is too few rows to "
                f"learn them from; expected model.layers{call} with rows of every kind first"
            )
        self.leave_cut_epoch()
        self.go_on()
        self._learn_scales(dataset)
        longest = longest_rows(self, dataset) if self.measured_rate is None else None
        prepared = self._prepared(dataset, dataset.n_samples, longest)
        prepared.engine.rates.factor = self.learning_rate_factor
        return prepared

    def make_step(self, prepared: Prepared) -> float:
        """Make the update that `prepare_step` has prepared, and return the batch's mean loss before it."""
        return prepared.engine.train_epoch(prepared.reader, len(self.history) + 1)

    def prepare_epochs(self, dataset: Dataset | Stream, batch_rows: int, epochs: int) -> Prepared:
        """What trains for epochs on a data set.

        batch_rows : of an update          epochs : that a rate is found for, where one has to be
        """
        self._safeguard = None
        self._learn_scales(dataset)
        if isinstance(dataset, Stream):
            return self._prepared(dataset, batch_rows, None, self.batch_size is None)
        longest = longest_rows(self, dataset)
        is_fresh = self.n_updates == 0 and self.measured_rate is None
        prepared = self._prepared(dataset, batch_rows, longest, self.batch_size is None, epochs)
        if longest is None or self.measured_rate is None:
            return prepared
        safeguard = self._safeguard = Safeguard(prepared.engine, self.model, dataset, self.loss, longest)
        if is_fresh and self.optimizer.needs_no_search:
            start_at_constant(self.model, safeguard.constant, self.loss, dataset.n_samples)
        return prepared._replace(safeguard=safeguard)

    def _learn_scales(self, dataset: Dataset | Stream) -> None:
        """Have Standardize and StandardizedTargets learn, where they are to."""
        self.model.require_finite("to start from")
        learn_missing_scales(self.model, dataset, self.loss)

    def _prepared(
        self,
        dataset: Dataset | Stream,
        batch_rows: int,
        longest: LongestRows | None,
        is_full_batch: bool = False,
        epochs: int = 1,
    ) -> Prepared:
        """What trains on a data set, with a rate that is found first where it must be."""
        if longest is not None and self.measured_rate is None:
            began = time.perf_counter()
            self.measured_rate = automatic_rate(self, dataset, batch_rows, longest, is_full_batch, epochs)
            self.history.search_seconds += time.perf_counter() - began
        # Where every weight is zero, there is nothing to learn or to measure, and no update to come.
        is_measured = self.optimizer.learning_rate != "auto" or self.measured_rate is not None
        engine = self.prepared_engine() if is_measured else self._new_engine(Constant(0.0))
        if isinstance(engine, ReplicatedEngine):
            engine.workers = self.workers
        engine.prepare(batch_rows, is_full_batch, dataset.entries_per_row if isinstance(dataset, Dataset) else None)
        reader = reader_of(self.model, dataset, engine.micro_batch_rows, in_place=engine.takes_rows_in_place)
        # Not before: rows that are refused leave no names.
        note_columns(self.model, dataset)
        return Prepared(engine, reader)

    # -- an epoch

    def train_epoch(
        self, prepared: Prepared, validation: Dataset | None, on_rows: Callable[[int, float], None] | None
    ) -> EpochRecord:
        """Train for an epoch, and add what came of it to the history."""
        engine, reader, safeguard = prepared
        require_stream_support(reader.dataset, self, validation)
        under_way = self._begin_epoch(engine)
        epoch, n_updates = under_way.number, under_way.n_updates
        reader.order = reader.dataset.order(self.seed, epoch) if self.shuffle else None
        engine.rates.factor = under_way.rate_factor
        cut, self.cut = self.cut, None
        if safeguard is None or (cut is not None and cut.is_over):
            loss = engine.train_epoch(reader, epoch + 1, on_rows, cut is not None)
        else:
            before = None if cut is None else cut.before
            loss = safeguard.train_epoch(reader, epoch + 1, on_rows, self._slow_down, before)
        seconds = under_way.seconds_so_far
        with errors_of_validation():
            validation_loss = None
            if validation is not None:
                validation_loss = self.model.loss(validation, loss=self.loss, n_threads=self.n_threads)
        judged = reader.dataset if validation is None else validation
        measured = measure(self.metrics, self.model, judged, self.loss, self.n_threads)
        middle = n_updates + max((engine.n_updates - n_updates + 1) // 2, 1)
        rate = engine.rates.at(middle) if self.engine is engine else None
        record = EpochRecord(epoch + 1, loss, validation_loss, seconds, rate, measured)
        self._factor_after_epoch = self.learning_rate_factor
        self.history.append(record)
        self.under_way = None
        return record

    def _begin_epoch(self, engine: Engine) -> UnderWay:
        """Have the state be that of an epoch's beginning, or of the place in it where a loaded run goes on."""
        if self.cut is None:
            engine.begin_epoch()
            under_way = UnderWay(len(self.history), engine.n_updates, self.learning_rate_factor)
        else:
            engine.state.load_epoch(self.cut.state)
            under_way = UnderWay(len(self.history), self.cut.n_updates, self.cut.rate_factor, self.cut.seconds)
        self.under_way = self._last_epoch = under_way
        return under_way

    @contextlib.contextmanager
    def last_epoch_reopened(self) -> Iterator[None]:
        """Inside, the run is where it was before the last epoch was over."""
        factor = self.learning_rate_factor
        try:
            if self.engine is not None and self._last_epoch is not None:
                self.under_way, self.learning_rate_factor = self._last_epoch, self._factor_after_epoch
            yield
        finally:
            self.under_way, self.learning_rate_factor = None, factor

    def cut_here(self) -> CutEpoch | None:
        """Where the epoch is that is trained; None between two epochs."""
        under_way, engine, safeguard = self.under_way, self.engine, self._safeguard
        if under_way is None:
            return self.cut
        if engine is None:
            return None
        before = None if safeguard is None else safeguard.before
        state = engine.state.within_epoch()
        return CutEpoch(under_way.n_updates, under_way.seconds_so_far, under_way.rate_factor, state, before)

    def _slow_down(self, epoch: int, reason: str) -> float:
        """Lower the rate from here on, as an epoch went wrong, and return what it is multiplied by."""
        self.learning_rate_factor *= _SETBACK
        self.under_way.rate_factor = self.learning_rate_factor
        self.history.setbacks.append(Setback(epoch, reason, self.learning_rate_factor))
        log_setback(self.history.setbacks[-1])
        return self.learning_rate_factor

    def end(self) -> None:
        """Leave a good model behind, and remember where training was if that is another."""
        safeguard, self._safeguard = self._safeguard, None
        if safeguard is not None:
            were = safeguard.end()
            self.replaced = None if were is None else (were, self.model.parameters.copy())

    # -- copies

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
        # A copied engine would train vectors that are no longer those of the copied model.
        engine = self.engine
        attributes = {"_updates_before": self.updates_before_engine, "_engine": None, "_engine_optimizer": None}
        attributes |= {"under_way": None, "_last_epoch": None, "_safeguard": None}
        return vars(self) | attributes, None if engine is None else engine.state.between_epochs()

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, np.ndarray] | None]) -> None:
        attributes, arrays = state
        vars(self).update(attributes)
        if arrays is not None:
            self.prepared_engine().state.load(arrays)
