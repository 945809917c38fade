"""A Trainer's replicas as tasks of dask.distributed.

Each round of a `Trainer(replicas=R)` is R tasks that depend on nothing but their arguments: parameters, state of the
optimiser, rows, epoch. Dask runs them where their rows are, and again where a worker is lost; the results, a few times
the parameters, come back and are combined in the order of the replicas. So the numbers are those of the same trainer on
the threads of one machine, whatever the number of workers and whatever happens to them.
"""

import contextlib
import numbers
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastgd._engine.replica_threads import result_of
from fastgd._engine.replicas import ReplicatedEngine
from fastgd._engine.round_tasks import Rows, Task, over_rows, packed_plan, train_task
from fastgd.dask.placement import placed
from fastgd.dask.waiting import gathered
from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import Block, take_rows
from fastgd.data.reader import Reader
from fastgd.history import History
from fastgd.model import Model
from fastgd.trainer import Trainer

if TYPE_CHECKING:
    import dask.array
    from distributed import Client

# A data set that goes to the workers with every task has no more bytes than this.
_MOST_BYTES = 1 << 20
# So many bytes of chosen rows are kept where they came to.
_KEPT_BYTES = 1 << 28
_RETRIES = 2


def fit(
    trainer: Trainer,
    data: "Dataset | Callable[[], Dataset] | Sequence[dask.array.Array]",
    client: "Client | None" = None,
    epochs: int = 1,
    **options: Any,
) -> History:
    """Train for some epochs on a cluster.

    Parameters
    ----------
    trainer : Trainer
        With `replicas` of 2 or more, each of which is a task of a round. A round should take ten times as long as the
        10 ms or so that Dask takes for it: choose `round_rows` accordingly.
    data : Dataset, callable, or (X, y) or (X, y, sample_weight) of Dask arrays
        A Dataset that is made of few numbers, as of `gd.data.synthetic`, goes to the workers, which make their rows
        themselves; a callable of no arguments is called there and here, and opens what all of them see, as in
        `functools.partial(gd.data.open, "/shared/X.npy", target="/shared/y.npy")`. Both give the bits of `trainer.fit`
        on the same rows. Dask arrays, X of shape (n_samples, in_features), are cut into a block of consecutive rows for
        each replica, persisted, and balanced over the workers before anything is timed; with `shuffle=True` each block
        is shuffled by itself. Scales are learnt by the workers; for rates of "auto", all rows pass through the client.
    client : distributed.Client, optional
        By default the current one.
    epochs : int
        At least 1.
    options
        `validation`, `callbacks` and `progress`, as for `Trainer.fit`; validation data are rows of their own.

    Returns
    -------
    History
        The trainer's.

    Raises
    ------
    ValueError, TypeError
        For a trainer of one replica, rows that cannot go to workers, and all that `Trainer.fit` raises.
    RuntimeError
        Where for 20 seconds no worker is left, or all are paused for want of memory; the trainer keeps what the rounds
        so far have come to.

    Examples
    --------
    >>> import fastgd as gd
    >>> import fastgd.dask
    >>> from distributed import Client
    >>> data = gd.data.synthetic(100_000, 20, noise=0.1)
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(20, 1)]), optimizer=gd.SGD(0.01), replicas=4, round_rows=5000)
    >>> with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:  # doctest: +SKIP
    ...     gd.dask.fit(trainer, data, client, epochs=2)
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer is {trainer!r}; expected a Trainer")
    if trainer.replicas == 1:
        raise ValueError("the trainer has 1 replica, which is one task; expected Trainer(replicas=2) or more")
    if trainer.sync == "gradient":
        raise ValueError(
            "sync is 'gradient', where every batch would be a round of tasks, 10 ms or so each; expected a trainer "
            "with sync='average', or trainer.fit, on threads"
        )
    if isinstance(options.get("validation"), numbers.Real):
        raise ValueError(
            f"validation is {options['validation']} of the rows, which lie on the workers; expected (X, y) or a "
            "Dataset of other rows"
        )
    client = client_or_current(client)
    source = source_of(data, client, trainer.replicas)
    with trained_on_cluster(trainer, source, client):
        return trainer.fit(source.dataset, epochs=epochs, **options)


def client_or_current(client: "Client | None") -> "Client":
    """The client that was given, or the current one."""
    from distributed import get_client

    if client is not None:
        return client
    try:
        return get_client()
    except ValueError:
        raise ValueError(
            "client is None, and there is no current one; expected client=..., or client = dask.distributed.Client() "
            "before, which starts a cluster on this machine"
        ) from None


def trained_on_cluster(trainer: Trainer, source: "Source", client: "Client") -> contextlib.AbstractContextManager:
    """Inside, calls of `trainer.fit` on the source's data set have the cluster train the replicas."""

    def workers(engine: ReplicatedEngine, reader: Reader) -> "_ClusterWorkers":
        return _ClusterWorkers(engine, reader, source, client)

    return trainer.replicas_trained_by(workers)


def predict(model: Model, X: "dask.array.Array") -> "dask.array.Array":
    """The model's outputs for a Dask array, block by block when they are computed.

    X : (n_samples, in_features), any chunks

    Returns an array of shape (n_samples, out_features) and the model's dtype.

    Examples
    --------
    >>> import dask.array as da
    >>> import fastgd as gd
    >>> import fastgd.dask
    >>> gd.dask.predict(gd.Model([gd.Linear(20, 1)]), da.ones((100_000, 20), chunks=(10_000, 20))).shape
    (100000, 1)
    """
    X = X.rechunk({1: -1})
    chunks = X.chunks[0], (model.out_features,)
    return X.map_blocks(_predict_block, model, chunks=chunks, dtype=model.dtype, meta=np.empty((0, 0), model.dtype))


def _predict_block(X: np.ndarray, model: Model) -> np.ndarray:
    return model.predict(X, n_threads=1)


class Source(NamedTuple):
    """Rows as the trainer sees them, and as tasks get them.

    dataset : Dataset
    of_replicas : what the task of each replica is given: the whole, as Rows, or a tuple of futures of its arrays
    is_cut : whether these are its rows alone
    """

    dataset: Dataset
    of_replicas: list[Rows | tuple]
    is_cut: bool


def source_of(data: Any, client: "Client", n_replicas: int) -> Source:
    """What `fit` is given, shared out; its errors."""
    if callable(data) and not isinstance(data, Dataset):
        dataset = data()
        if not isinstance(dataset, Dataset):
            raise TypeError(f"data() gave {type(dataset).__name__}; expected a Dataset, as gd.data.open returns")
        return Source(dataset, [Rows(pickle.dumps(data))] * n_replicas, is_cut=False)
    if isinstance(data, Dataset):
        if data.is_mapped or data.is_in_memory:
            raise ValueError(
                f"data is a {type(data).__name__}, whose rows are in this process's memory or files; expected a "
                "callable that opens them where it is called, or Dask arrays, as from dask.array.from_array"
            )
        opener = pickle.dumps(data)
        if len(opener) > _MOST_BYTES:
            raise ValueError(
                f"data is a {type(data).__name__} of {len(opener)} bytes, which every task would get; expected at most "
                f"{_MOST_BYTES}, a callable that opens it where it is called, or Dask arrays"
            )
        return Source(data, [Rows(opener)] * n_replicas, is_cut=False)
    return _cut_arrays(data, client, n_replicas)


def _cut_arrays(data: Any, client: "Client", n_replicas: int) -> Source:
    import dask.array as da

    arrays = list(data) if isinstance(data, Sequence) else [data]
    if not (2 <= len(arrays) <= 3 and all(isinstance(each, da.Array) for each in arrays)):
        raise TypeError(
            f"data is {type(data).__name__} of {[type(each).__name__ for each in arrays]}; expected a Dataset, a "
            "callable that opens one, or (X, y) or (X, y, sample_weight) of Dask arrays"
        )
    arrays = [each[:, None] if k == 1 and each.ndim == 1 else each for k, each in enumerate(arrays)]
    for each, ndim, name in zip(arrays, (2, 2, 1), ("X", "y", "sample_weight"), strict=False):
        if each.ndim != ndim or np.isnan(each.shape).any():
            raise ValueError(
                f"{name} has shape {each.shape}; expected {ndim} dimensions of known lengths (compute_chunk_sizes)"
            )
    n_samples = len(arrays[0])
    if any(len(each) != n_samples for each in arrays) or n_samples < n_replicas:
        raise ValueError(
            f"the arrays have {[len(each) for each in arrays]} rows; expected as many of each, and at least one for "
            f"each of {n_replicas} replicas"
        )
    borders = [n_samples * k // n_replicas for k in range(n_replicas + 1)]
    sizes = tuple(int(n) for n in np.diff(borders))
    cut = [each.rechunk({0: sizes, 1: -1} if each.ndim == 2 else {0: sizes}) for each in arrays]
    of_replicas, cut = placed(client, cut)
    return Source(_DaskRows(cut, of_replicas, borders[:-1], client), of_replicas, is_cut=True)


class _DaskRows(Dataset):
    """Dask arrays, whose rows come through the client, but for what workers can make of parts of them.

    Rows that were chosen are kept, up to a bound: a search for rates and its safeguard read the same ones often.

    blocks : the futures of those of each replica          begins : the first row of each
    """

    has_parts = True

    def __init__(self, arrays: list, blocks: list[tuple], begins: list[int], client: "Client") -> None:
        self._arrays, self._client = arrays, client
        self._blocks, self._begins = blocks, begins
        self._kept: OrderedDict[bytes, list[np.ndarray]] = OrderedDict()
        self._kept_bytes = 0
        (self.n_samples, self.n_features), self.n_outputs = arrays[0].shape, arrays[1].shape[1]
        self.has_sample_weight = len(arrays) == 3
        self.dtype = checks.floating_dtype(arrays[0].dtype)

    def over_parts(self, function: Callable[[Dataset], Any]) -> list:
        """As `Dataset.over_parts`, on the workers."""
        options = {"retries": _RETRIES, "pure": False}
        return gathered(
            self._client, self._client.map(over_rows, self._blocks, self._begins, function=function, **options)
        )

    def read(self, rows: slice | np.ndarray, out: Block) -> None:
        """Compute them."""
        parts = self._parts(rows)
        for part, place in zip(parts, out[:3], strict=False):
            take_rows(part, slice(0, len(part)), out=place[: len(part)])

    def _parts(self, rows: slice | np.ndarray) -> list[np.ndarray]:
        key = b"" if isinstance(rows, slice) else rows.tobytes()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        parts = gathered(self._client, self._client.compute([each[rows] for each in self._arrays]))
        parts = [np.asarray(part) for part in parts]
        n_bytes = sum(part.nbytes for part in parts)
        if key and n_bytes <= _KEPT_BYTES:
            self._kept[key] = parts
            self._kept_bytes += n_bytes
            while self._kept_bytes > _KEPT_BYTES:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= sum(part.nbytes for part in dropped)
        return parts


class _ClusterWorkers:
    """Workers that are tasks on a cluster."""

    def __init__(self, engine: ReplicatedEngine, reader: Reader, source: Source, client: "Client") -> None:
        self._engine, self._source, self._client = engine, source, client
        # Workers keep the engines that they make of a plan: it is the same in each epoch.
        self._plans = [packed_plan(engine.model, plan, engine.prepared_for) for plan in engine.plans]
        self._shuffle = reader.order
        self._begins = [begin for begin, _ in engine.shares_of(reader.dataset.n_samples)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def train(self, spans: list[tuple[int, int]], number: int) -> list[float]:
        """As `Workers.train`."""
        engines = self._engine.engines
        busy = [k for k, (begin, end) in enumerate(spans) if end > begin]
        # Of one piece, arguments and results travel in half the time.
        tasks = [pickle.dumps(self._task(k, spans[k], number)) for k in busy]
        rows = [self._source.of_replicas[k] for k in busy]
        futures = self._client.map(train_task, tasks, rows, retries=_RETRIES, pure=False)
        results = gathered(self._client, futures, lambda k, result: result_of(result, busy[k], len(spans)))
        losses = [0.0] * len(spans)
        for k, result in zip(busy, results, strict=True):
            state, loss = pickle.loads(result)
            engines[k].state.assign(state)
            losses[k] = loss
        return losses

    def _task(self, replica: int, span: tuple[int, int], number: int) -> Task:
        engine, first = self._engine.engines[replica], self._begins[replica] if self._source.is_cut else 0
        return Task(
            self._plans[replica],
            engine.state.copy(),
            engine.rates.factor,
            self._shuffle_of(replica),
            (span[0] - first, span[1] - first),
            first,
            number,
        )

    def _shuffle_of(self, replica: int) -> tuple[int, int] | None:
        """What the order is drawn from; a block of Dask arrays is shuffled by itself."""
        if self._shuffle is None:
            return None
        seed, epoch = self._shuffle.drawn_from
        if self._source.is_cut:
            seed = int(np.random.SeedSequence([seed, replica]).generate_state(1)[0])
        return seed, epoch
