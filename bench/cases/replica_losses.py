"""Replicas' validation loss against wall time, and what a round takes on 10, 100 and 1000 workers, on paper.

Losses are means over three seeds. What an epoch takes is of the table that `report.py scaling` has written: a loss is
taken after as many epochs as one replica's, and after as many as take as long. On a cluster both are measured at once,
with rows that its workers make. On paper, a round of R replicas takes

    T = T_rows · (1 + c √(2 ln R)) + a + R · (b + e P + s / B)

with T_rows the time of a replica's rows, c what its times vary by (standard deviation over mean, of which the slowest
of R is about √(2 ln R) above the mean), a and b what Dask takes for a round and for each of its tasks, e P the time to
combine P parameters, s the bytes that a task is sent and sends back, and B the network's bytes a second at the client.
"""

import argparse
import contextlib
import functools
import math
import pickle
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fastgd as gd
from bench.cases.scaling import CLUSTER, best, empty_round
from bench.readme import TABLES, machine_line, markdown
from bench.summary import between, tables
from fastgd._engine.replicas import Plan
from fastgd._engine.round_tasks import packed_plan
from fastgd.data.subset import Subset
from fastgd.losses import as_loss
from fastgd.regularization import NO_REGULARIZATION
from fastgd.replicas import combine
from fastgd.schedules import Constant

MARKERS = "replicas"
REPLICAS = (1, 2, 4, 8)
WORKERS = (10, 100, 1000)
SEEDS = (0, 1, 2)
# What is no measurement: a network of 10 Gbit/s.
_BYTES_PER_SECOND = 1.25e9
_N_ROWS, _N_JUDGED = 200_000, 50_000
# A round takes more than ten times as long as Dask does for it.
_CLUSTER_ROWS, _CLUSTER_ROUND_ROWS = 1_000_000, 62_500


class Workload(NamedTuple):
    """What learns, by which settings, the teacher's hidden layers, and what takes as long."""

    layers: Callable[[], list]
    hidden: tuple[int, ...]
    is_classes: bool
    options: dict[str, Any]
    timed: str


def _linear(rate: float, loss: str = "half_squared_error") -> Workload:
    optimizer = gd.SGD(gd.schedules.InverseScaling(rate, 0.25))
    options = {"loss": loss, "optimizer": optimizer, "batch_size": 8}
    return Workload(lambda: [gd.Linear(100, 1)], (), loss == "log_loss", options, "neuron, 100 inputs, batch 1")


def _network(optimizer: Any, **options: Any) -> Workload:
    layers = lambda: [gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)]  # noqa: E731 (a line of a table)
    return Workload(layers, (64,), False, {"optimizer": optimizer, "batch_size": 32} | options, "100-64-1, batch 32")


WORKLOADS = {
    "linear, squared error": _linear(0.01),
    "linear, log loss": _linear(0.1, "log_loss"),
    "100-64-1, SGD": _network(gd.SGD(0.02)),
    "100-64-1, SGD, momentum 0.9": _network(gd.SGD(0.004, momentum=0.9)),
    "100-64-1, Adam": _network(gd.Adam(1e-3)),
    "100-64-1, SGD, outer=None": _network(gd.SGD(0.02), outer=None),
    "100-64-1, Adam, outer=None": _network(gd.Adam(1e-3), outer=None),
}
_MODELS = {
    "100-1": lambda: [gd.Linear(100, 1)],
    "100-64-1": lambda: [gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)],
    "784-1024-1024-10": lambda: [
        *(gd.Linear(784, 1024), gd.ReLU(), gd.Linear(1024, 1024), gd.ReLU(), gd.Linear(1024, 10)),
    ],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=int, default=8, help="of one replica, that the others are beside")
    parser.add_argument("--repeats", type=int, default=60, help="rounds on a cluster, of which the best counts")


def report(options: argparse.Namespace) -> str:
    losses = losses_table(options.epochs), cluster_losses_table(options.epochs // 2)
    return "\n\n".join([machine_line(), *losses, *paper_tables(options.repeats)])


def losses_table(epochs: int) -> str:
    """Of each workload, by how many replicas."""
    header = ["validation loss, one replica's = 1", "replicas", "seconds of an epoch on two cores"]
    header += [f"after {epochs} epochs", "after as many seconds"]
    rows = []
    for name, workload in WORKLOADS.items():
        data = [_rows_of(workload, seed) for seed in SEEDS]
        seconds = _seconds(workload.timed)
        curves = {n: [_losses(workload, *data[k], n, 3 * epochs, k) for k in SEEDS] for n in REPLICAS}
        ones = [curve[epochs - 1] for curve in curves[1]]
        for n in REPLICAS:
            ratio = seconds[n] / seconds[1]
            # Of three times as many epochs, as more were not trained.
            n_in_time = min(max(round(epochs / ratio), 1), 3 * epochs)
            pairs = list(zip(curves[n], ones, strict=True))
            means = [statistics.mean(curve[k - 1] / one for curve, one in pairs) for k in (epochs, n_in_time)]
            rows.append([name, str(n), f"{ratio:.2f}", *map(_shown, means)])
    return markdown(header, rows)


def _shown(ratio: float) -> str:
    return f"{ratio:.3f}" if math.isfinite(ratio) else "diverged"


def _rows_of(workload: Workload, seed: int) -> tuple:
    X, y = gd.data.synthetic(_N_ROWS + _N_JUDGED, 100, hidden=workload.hidden, noise=0.3, seed=seed).arrays()
    y = (y > np.median(y)).astype(np.float32) if workload.is_classes else y
    return (X[:_N_ROWS], y[:_N_ROWS]), (X[_N_ROWS:], y[_N_ROWS:])


def _losses(workload: Workload, train: tuple, judged: tuple, n_replicas: int, epochs: int, seed: int) -> list[float]:
    """On the rows to judge by, after each epoch; infinite once training has diverged."""
    model = gd.Model(workload.layers(), seed=seed)
    trainer = gd.Trainer(model, replicas=n_replicas, shuffle=True, seed=seed, **workload.options)
    with contextlib.suppress(gd.DivergenceError):
        trainer.fit(*train, epochs=epochs, validation=judged)
    losses = list(trainer.history.validation_loss)
    return losses + [math.inf] * (epochs - len(losses))


def _seconds(name: str) -> dict[int, float]:
    """Of an epoch, one replica's = 1, by the number of replicas; of a line of the table of `report.py scaling`."""
    line = tables(between("scaling", TABLES.read_text(encoding="utf-8")), 1)[name]
    return {1: 1.0} | {n: 1 / float(line[f"{n} replicas"]) for n in REPLICAS if n > 1}


def cluster_losses_table(epochs: int) -> str:
    """Of 100-64-1 on rows that two workers make, beside one replica in this process, which makes them too."""
    from distributed import Client, LocalCluster

    import fastgd.dask as gd_dask

    histories = {}
    with LocalCluster(n_workers=2, **CLUSTER) as cluster, Client(cluster) as client:
        for seed in SEEDS:
            data = gd.data.synthetic(_CLUSTER_ROWS, 100, hidden=(64,), noise=0.3, seed=seed)
            # The same teacher's next rows.
            more = gd.data.synthetic(_CLUSTER_ROWS + _N_JUDGED, 100, hidden=(64,), noise=0.3, seed=seed)
            judged = Subset(more, np.arange(_CLUSTER_ROWS, more.n_samples))
            for n in REPLICAS:
                trainer = _network_trainer(seed, n)
                fit = trainer.fit if n == 1 else functools.partial(gd_dask.fit, trainer, client=client)
                # Twice as many epochs, as they may take half as long.
                histories[n, seed] = fit(data, epochs=epochs if n == 1 else 2 * epochs, validation=judged)
    rows = []
    for n in REPLICAS:
        ratio = _least_seconds(histories, n) / _least_seconds(histories, 1)
        n_in_time = min(max(round(epochs / ratio), 1), len(histories[n, 0]))
        means = [
            statistics.mean(
                histories[n, k].validation_loss[count - 1] / histories[1, k].validation_loss[-1] for k in SEEDS
            )
            for count in (epochs, n_in_time)
        ]
        rows.append([str(n), f"{ratio:.2f}", *map(_shown, means)])
    header = ["on two workers, 100-64-1, SGD: replicas", "seconds of an epoch, one replica = 1"]
    return markdown([*header, f"loss after {epochs} epochs", "after as many seconds"], rows)


def _network_trainer(seed: int, n_replicas: int) -> gd.Trainer:
    workload = WORKLOADS["100-64-1, SGD"]
    rounds = {} if n_replicas == 1 else {"replicas": n_replicas, "round_rows": _CLUSTER_ROUND_ROWS}
    return gd.Trainer(gd.Model(workload.layers(), seed=seed), seed=seed, n_threads=1, **workload.options, **rounds)


def _least_seconds(histories: dict[tuple[int, int], gd.History], n_replicas: int) -> float:
    """Of an epoch."""
    return min(min(histories[n_replicas, seed].seconds) for seed in SEEDS)


def paper_tables(repeats: int) -> list[str]:
    """The constants, and what comes of them."""
    a, b = _cost_of_rounds(repeats)
    c, e = _variation(), _seconds_to_combine()
    constants = markdown(
        ["constant", "measured"],
        [
            ["a, a round of tasks", f"{1e3 * a:.1f} ms"],
            ["b, a task", f"{1e3 * b:.2f} ms"],
            ["c, how replicas' times vary", f"{c:.3f}"],
            ["e, to combine a parameter of a replica", f"{1e9 * e:.2f} ns"],
            ["B, assumed", f"{_BYTES_PER_SECOND / 1e9:.2f} GB/s"],
        ],
    )
    rows = []
    for name, layers in _MODELS.items():
        size, sent = _sizes(gd.Model(layers()))
        # A replica's rows take so long that all else is a tenth of the round.
        besides = {n: a + n * (b + e * size + sent / _BYTES_PER_SECOND) for n in WORKERS}
        needed = {n: 9 * besides[n] / (1 + c * math.sqrt(2 * math.log(n))) for n in WORKERS}
        row = [name, f"{sent:,.0f}"]
        for n in WORKERS:
            slowest = needed[n] * c * math.sqrt(2 * math.log(n))
            row.append(f"{1e3 * besides[n]:,.0f} ms, {1e3 * slowest:,.0f} ms, {needed[n]:,.1f} s")
        rows.append(row)
    header = ["model, SGD", "bytes a task, s", *(f"{n} workers: besides, slowest, rows" for n in WORKERS)]
    return [constants, markdown(header, rows)]


def _cost_of_rounds(repeats: int) -> tuple[float, float]:
    """What a round takes, and each of its tasks, of tasks that do nothing."""
    from distributed import Client, LocalCluster

    few, many = 2, 100
    with LocalCluster(n_workers=2, **CLUSTER) as cluster, Client(cluster) as client:
        seconds = best({n: lambda n=n: empty_round(client, n) for n in (few, many)}, repeats)
    per_task = (seconds[many] - seconds[few]) / (many - few)
    return max(seconds[few] - few * per_task, 0.0), per_task


def _variation() -> float:
    """Standard deviation over mean of the processor time of rounds, each of about 10 ms, of one replica."""
    model = gd.Model([gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)])
    X, y = gd.data.synthetic(37_000, 100).arrays()
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-6), batch_size=32, n_threads=1)
    trainer.fit(X, y)
    seconds = []
    for _ in range(100):
        began = time.process_time()
        trainer.fit(X, y)
        seconds.append(time.process_time() - began)
    return statistics.stdev(seconds) / statistics.mean(seconds)


def _seconds_to_combine(size: int = 100_000, n_replicas: int = 10) -> float:
    """For each parameter of each replica."""
    replicas = [np.ones(size, np.float32) for _ in range(n_replicas)]
    parameters, velocity = np.zeros(size, np.float32), np.empty(0)
    seconds = best({0: lambda: combine(parameters, replicas, [1] * n_replicas, velocity, None)}, 20)[0]
    return seconds / (size * n_replicas)


def _sizes(model: gd.Model) -> tuple[int, int]:
    """How many parameters there are, and the bytes that a task is sent and sends back, of plain SGD."""
    plan = Plan(as_loss("half_squared_error"), gd.SGD(0.01), Constant(0.01), NO_REGULARIZATION, seed=0)
    engine = plan.engine_of(model)
    engine.prepare(32)
    state = pickle.dumps(engine.state.copy())
    return model.parameters.size, 2 * len(state) + len(packed_plan(model, plan, (32, False, None)))
