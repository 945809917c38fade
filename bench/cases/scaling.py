"""Rows per second of replicas: on threads, and on a cluster of processes on this machine.

Beside them stands how much faster as many threads read the same rows than one does: what takes its rows from the
memory cannot be scaled further. The cluster makes synthetic rows itself; what a round costs there besides is that of
few rows, most of it that of tasks which do nothing. Rows of Dask arrays are trained on beside what else does that on a
cluster, where it is installed and does.
"""

import argparse
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import fastgd as gd
from bench.readme import machine_line, markdown
from fastgd import kernels
from fastgd.threads import usable_processors

if TYPE_CHECKING:
    import dask.array as da
    from distributed import Client

MARKERS = "scaling"
REPLICAS = (2, 4, 8)
# A round of the cluster takes about a tenth of a second.
_ROUND_ROWS, _CLUSTER_ROWS = 2_000_000, 32_000_000
# What a round costs besides: so many of them, of few rows.
_FEW_ROWS, _N_ROUNDS = 64, 100
_ARRAY_ROWS, _N_FEATURES, _EPOCHS = 1_000_000, 100, 10
# Workers are not to pause as this machine's memory is used by others.
CLUSTER = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": ":0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=9, help="epochs by turns, of which the best counts")
    parser.add_argument("--without-cluster", action="store_true", help="leave Dask out")


def report(options: argparse.Namespace) -> str:
    parts = [machine_line(), threads_table(options.repeats)]
    if not options.without_cluster:
        parts += [cluster_table(options.repeats), peers_table(options.repeats)]
    return "\n\n".join(parts)


def threads_table(repeats: int) -> str:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 100), dtype=np.float32)
    pixels = rng.integers(0, 3, (3_000_000, 100), dtype=np.uint8)
    neuron, network = (lambda: [gd.Linear(100, 1)]), (lambda: [gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)])
    cases = {
        "neuron, 100 inputs, batch 1": (neuron, X, 1),
        "neuron, 100 inputs, batch 1, uint8": (neuron, pixels, 1),
        "100-64-1, batch 32": (network, X, 32),
    }
    n_threads = usable_processors()
    header = ["rows a second, one replica = 1", *(f"{n} replicas" for n in REPLICAS), f"reading by {n_threads} threads"]
    rows = []
    for name, (layers, features, batch_size) in cases.items():
        rows.append([name, *ratios(layers, features, batch_size, n_threads, repeats)])
    return markdown(header, rows)


def ratios(
    layers: Callable[[], list], features: np.ndarray, batch_size: int, n_threads: int, repeats: int
) -> list[str]:
    """Of one workload: the speeds with replicas, and that of reading."""
    y = np.random.default_rng(1).standard_normal(len(features)).astype(np.float32)

    def epochs_of(n_replicas: int) -> Callable[[], object]:
        trainer = gd.Trainer(
            gd.Model(layers()),
            optimizer=gd.SGD(1e-6),
            batch_size=batch_size,
            replicas=n_replicas,
            n_threads=min(n_replicas, n_threads),
        )
        return lambda: trainer.fit(features, y)

    require_equal_on_threads(layers, features[:20_000], y[:20_000], batch_size)
    seconds = best({n: epochs_of(n) for n in (1, *REPLICAS)}, repeats)
    reading = best({n: lambda n=n: read(features, n) for n in (1, n_threads)}, repeats)
    return [f"{seconds[1] / seconds[n]:.2f}" for n in REPLICAS] + [f"{reading[1] / reading[n_threads]:.2f}"]


def require_equal_on_threads(layers: Callable[[], list], X: np.ndarray, y: np.ndarray, batch_size: int) -> None:
    """Raise an AssertionError unless two replicas come to the same parameters on one thread and on two."""
    found = []
    for n_threads in (1, 2):
        model = gd.Model(layers(), seed=0)
        options = {"optimizer": gd.SGD(1e-3), "batch_size": batch_size, "replicas": 2, "round_rows": 1_000}
        gd.Trainer(model, n_threads=n_threads, **options).fit(X, y)
        found.append(model.parameters)
    np.testing.assert_array_equal(*found)


def read(features: np.ndarray, n_threads: int) -> None:
    """Add all elements up."""
    parts = np.array_split(features.reshape(-1).view(np.float32), n_threads)
    threads = [threading.Thread(target=kernels.sum_elements, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cluster_table(repeats: int) -> str:
    """Synthetic rows of 100 features, on one worker and on two."""
    from distributed import Client, LocalCluster

    import fastgd.dask as gd_dask

    data, few = gd.data.synthetic(_CLUSTER_ROWS, 100), gd.data.synthetic(2 * _FEW_ROWS * _N_ROUNDS, 100)
    require_equal(gd_dask.fit)
    seconds, empty, short = {}, {}, {}
    for n_workers in (1, 2):
        cluster = LocalCluster(n_workers=n_workers, **CLUSTER)
        with cluster, Client(cluster) as client:
            trainers = {(n_workers, n): _trainer_on_cluster(_ROUND_ROWS, n) for n in REPLICAS}
            long = {
                key: lambda trainer=trainer, client=client: gd_dask.fit(trainer, data, client)
                for key, trainer in trainers.items()
            }
            seconds |= best(long, max(repeats // 3, 1))
            trainer = _trainer_on_cluster(_FEW_ROWS)
            runs = {
                "empty": lambda client=client: [empty_round(client) for _ in range(_N_ROUNDS)],
                "short": lambda trainer=trainer, client=client: gd_dask.fit(trainer, few, client),
            }
            found = best(runs, max(repeats // 3, 1))
            empty[n_workers], short[n_workers] = found["empty"] / _N_ROUNDS, found["short"] / _N_ROUNDS
    header = ["cluster on this machine", "1 worker", "2 workers"]
    rows = [
        [
            f"rows a second, {n} replicas, two on one worker = 1",
            *(f"{seconds[1, 2] / seconds[n_workers, n]:.2f}" for n_workers in (1, 2)),
        ]
        for n in REPLICAS
    ]
    rows += [
        ["a round of two tasks that do nothing, ms", *(f"{1e3 * empty[n]:.1f}" for n in (1, 2))],
        [f"a round of {_FEW_ROWS} rows each of two, ms", *(f"{1e3 * short[n]:.1f}" for n in (1, 2))],
    ]
    return markdown(header, rows)


def _trainer_on_cluster(round_rows: int, n_replicas: int = 2, rate: float = 1e-6) -> gd.Trainer:
    model = gd.Model([gd.Linear(100, 1), gd.ReLU()])
    return gd.Trainer(model, optimizer=gd.SGD(rate), batch_size=32, replicas=n_replicas, round_rows=round_rows)


def require_equal(fit: Callable) -> None:
    """Raise an AssertionError unless one worker, two, and threads come to the same parameters."""
    from distributed import Client, LocalCluster

    data = gd.data.synthetic(20_000, 100)
    here = _trainer_on_cluster(2_000, rate=1e-3)
    here.fit(data)
    for n_workers in (1, 2):
        cluster = LocalCluster(n_workers=n_workers, **CLUSTER)
        with cluster, Client(cluster) as client:
            there = _trainer_on_cluster(2_000, rate=1e-3)
            fit(there, data, client)
        np.testing.assert_array_equal(there.model.parameters, here.model.parameters)


def peers_table(repeats: int) -> str:
    """Epochs of Dask arrays that lie on two workers, and what goes before, beside other libraries, or why not."""
    from distributed import Client, LocalCluster

    fits = {
        "fastgd, 2 replicas": _fit_fastgd,
        "Dask-ML, Incremental of SGDRegressor": _fit_dask_ml,
        'XGBoost, "gblinear"': _fit_xgboost,
    }
    cells = {}
    with LocalCluster(n_workers=2, **CLUSTER) as cluster, Client(cluster) as client:
        X, y = _arrays_on(client)
        runs = {}
        for name, fit in fits.items():
            try:
                require_learnt(fit(client, X, y), X, y)
                runs[name] = lambda fit=fit: fit(client, X, y)
            except (ImportError, NotImplementedError) as error:
                cells[name] = str(error)
        seconds = best(runs, max(repeats // 3, 1))
    of_fastgd = seconds[next(iter(fits))]
    cells |= {name: f"{of_fastgd / found:.2f}" for name, found in seconds.items()}
    header = [f"{_EPOCHS} epochs of {_ARRAY_ROWS:,} rows of Dask arrays, on two workers", "rows a second, fastgd = 1"]
    return markdown(header, [[name, cells[name]] for name in fits])


def _arrays_on(client: "Client") -> tuple:
    import dask.array as da

    chunks = _ARRAY_ROWS // 8, _N_FEATURES
    X = da.random.default_rng(0).normal(size=(_ARRAY_ROWS, _N_FEATURES), chunks=chunks).astype(np.float32)
    return client.persist([X, X.sum(axis=1)])


def _fit_fastgd(client: "Client", X: "da.Array", y: "da.Array") -> Callable[[np.ndarray], np.ndarray]:
    import fastgd.dask as gd_dask

    model = gd.Model([gd.Linear(_N_FEATURES, 1)])
    gd_dask.fit(gd.Trainer(model, optimizer=gd.SGD(1e-3), replicas=2), (X, y), client, _EPOCHS)
    return lambda rows: model.predict(rows)[:, 0]


def _fit_dask_ml(client: "Client", X: "da.Array", y: "da.Array") -> Callable[[np.ndarray], np.ndarray]:
    from dask_ml.wrappers import Incremental
    from sklearn.linear_model import SGDRegressor

    sgd = SGDRegressor(learning_rate="constant", eta0=1e-3, alpha=0.0, shuffle=False)
    incremental = Incremental(sgd).fit(X, y)
    for _ in range(_EPOCHS - 1):
        incremental.partial_fit(X, y)
    return incremental.estimator_.predict


def _fit_xgboost(client: "Client", X: "da.Array", y: "da.Array") -> Callable[[np.ndarray], np.ndarray]:
    import xgboost.dask

    rows = xgboost.dask.DaskDMatrix(client, X, y)
    found = xgboost.dask.train(client, {"booster": "gblinear"}, rows, num_boost_round=_EPOCHS)
    return lambda X: found["booster"].predict(xgboost.DMatrix(X))


def require_learnt(predict: Callable[[np.ndarray], np.ndarray], X: "da.Array", y: "da.Array") -> None:
    """Raise an AssertionError unless most of the targets' variance is explained on some of the rows."""
    X, y = X[:1000].compute(), y[:1000].compute()
    assert np.var(y - predict(X)) < 0.05 * np.var(y)


def empty_round(client: object, n_tasks: int = 2) -> None:
    client.gather(client.map(_nothing, range(n_tasks), pure=False))


def _nothing(number: int) -> int:
    return number


def best(runs: dict[Any, Callable[[], object]], repeats: int) -> dict[Any, float]:
    """The least seconds of each, taken by turns after a first time that does not count."""
    found = dict.fromkeys(runs, np.inf)
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            found[name] = min(found[name], time.perf_counter() - began)
    return found
