"""Epochs of one and of two replicas, which average parameters or sum gradients, on as many threads as there are."""

import functools

import numpy as np
import pytest

import fastgd as gd

N_ROWS, N_UNTIMED = 100_000, 2_000


@functools.cache
def rows(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    return gd.data.synthetic(n_rows, 100, noise=0.1).arrays()


def trainer_of(replicas: int, sync: str, n_threads: int | None = None) -> gd.Trainer:
    model = gd.Model([gd.Linear(100, 64), gd.ReLU(), gd.Linear(64, 1)], seed=0)
    batch_size = 32 if sync == "average" else 4096
    optimizer = gd.SGD(1e-3)
    return gd.Trainer(
        model, optimizer=optimizer, batch_size=batch_size, replicas=replicas, sync=sync, n_threads=n_threads
    )


@pytest.mark.parametrize("sync", ["average", "gradient"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_epoch(benchmark, replicas, sync):
    X, y = rows(N_ROWS if benchmark.enabled else N_UNTIMED)
    alone, trainer = trainer_of(replicas, sync, n_threads=1), trainer_of(replicas, sync)
    for each in (alone, trainer):
        each.fit(X[:N_UNTIMED], y[:N_UNTIMED])
    np.testing.assert_array_equal(trainer.model.parameters, alone.model.parameters)
    benchmark.group = f"replicas | 100-64-1, {sync}"
    benchmark.extra_info["rows"] = len(X)
    benchmark(trainer.fit, X, y)
