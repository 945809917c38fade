"""A replica's part of a round as a function of its arguments alone, to be run in any process."""

import contextlib
import copy
import pickle
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastgd._engine.replica_threads import train_span
from fastgd._engine.replicas import Plan
from fastgd._engine.slices import Engine
from fastgd.data.arrays import ArrayDataset
from fastgd.data.base import Dataset
from fastgd.model import Model
from fastgd.model_data import reader_of

# So many plans and sources of the latest tasks are kept ready in a process.
_MOST_KEPT = 16


class Rows(NamedTuple):
    """A pickled Dataset, or a callable that opens one."""

    opener: bytes


class Task(NamedTuple):
    """What a replica does in a round.

    plan : as `packed_plan` gives it          state : as `RunState.copy` gives it
    factor : float, of the rates
    shuffle : (seed, epoch) of the order, or None for the data's
    span : (begin, end), positions in the order of the rows that the task has
    first : int, what errors add to the number of a row
    number : int, the epoch's, which errors name
    """

    plan: bytes
    state: dict[str, np.ndarray]
    factor: float
    shuffle: tuple[int, int] | None
    span: tuple[int, int]
    first: int
    number: int


class _Block(ArrayDataset):
    """Consecutive rows of a larger data set.

    first : int, the number of its first row there
    """

    first = 0

    def row_number(self, row: int) -> int:
        """What errors call a row."""
        return self.first + row


class _Kept:
    """What was made of the latest keys, each for one task at a time."""

    def __init__(self) -> None:
        self._made: OrderedDict[Any, list] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Any) -> Any:
        """One that nobody uses, or None."""
        with self._lock:
            free = self._made.get(key)
            return free.pop() if free else None

    def give_back(self, key: Any, value: Any) -> None:
        """Let others use it; what was longest in no use goes where there are many."""
        with self._lock:
            self._made.setdefault(key, []).append(value)
            self._made.move_to_end(key)
            while len(self._made) > _MOST_KEPT:
                self._made.popitem(last=False)


_engines, _datasets = _Kept(), _Kept()


def train_task(pickled: bytes, rows: Rows | tuple[np.ndarray, ...]) -> bytes:
    """The state after training on the span, and the mean loss, pickled.

    pickled : a Task
    rows : where all of the data set comes from, or arrays: X, y and perhaps weights, of the replica's rows alone
    """
    task: Task = pickle.loads(pickled)
    kept = _engines.take(task.plan) or _unpacked(task.plan)
    dataset = _dataset_of(rows, task.first)
    try:
        return pickle.dumps(_trained(task, *kept, dataset))
    finally:
        _engines.give_back(task.plan, kept)
        if isinstance(rows, Rows):
            _datasets.give_back(rows.opener, dataset)


def over_rows(rows: tuple[np.ndarray, ...], first: int, function: Callable[[Dataset], Any]) -> Any:
    """What a function gives for arrays as a data set, whose rows are numbered from the first on."""
    return function(_dataset_of(rows, first))


def packed_plan(model: Model, plan: Plan, prepared_for: tuple) -> bytes:
    """What makes the engine of a replica on another machine: a model of the same layers, whose parameters do not count.

    prepared_for : the arguments of `Engine.prepare`
    """
    # It goes to the workers with every task.
    model = copy.deepcopy(model)
    model.parameters = 0
    return zlib.compress(pickle.dumps((model, plan, prepared_for)), 1)


def _unpacked(packed: bytes) -> tuple[Engine, tuple, Model]:
    model, plan, prepared_for = pickle.loads(zlib.decompress(packed))
    return plan.engine_of(model), prepared_for, model


def _trained(
    task: Task, engine: Engine, prepared_for: tuple, model: Model, dataset: Dataset
) -> tuple[dict[str, np.ndarray], float]:
    engine.prepare(*prepared_for)
    engine.state.assign(task.state)
    engine.rates.factor = task.factor
    reader = reader_of(model, dataset, engine.micro_batch_rows, in_place=engine.takes_rows_in_place)
    if task.shuffle is not None:
        reader.order = dataset.order(*task.shuffle)
    loss = train_span(engine, reader, task.span, task.number, contextlib.nullcontext())
    return engine.state.copy(), loss


def _dataset_of(rows: Rows | tuple[np.ndarray, ...], first: int) -> Dataset:
    if isinstance(rows, Rows):
        dataset = _datasets.take(rows.opener)
        if dataset is None:
            made = pickle.loads(rows.opener)
            dataset = made if isinstance(made, Dataset) else made()
        return dataset
    block = _Block(*rows)
    block.first = first
    return block
