"""How many threads a run may use."""

import os
import threading

import numpy as np
import pytest
from shared_products import share_every_product

import fastgd as gd
from fastgd import kernels, threads
from fastgd.threads import ThreadPool


@pytest.mark.parametrize("name", threads.LIMITS)
def test_limits_of_the_environment_count(name, monkeypatch):
    for other in threads.LIMITS:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr(threads, "usable_processors", lambda: 8)
    for value, expected in (
        ("1", 1),
        ("3", 3),
        ("8", 8),
        ("9", 8),
        ("0", 8),
        ("", 8),
        ("many", 8),
        ("2,4", 2),
        (" 2 ", 2),
        ("²", 8),
    ):
        monkeypatch.setenv(name, value)
        assert threads.most_threads() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    assert threads.most_threads() == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("20000 100000", 1), ("900000 100000", 4), ("max 100000", 4), ("", 4)],
)
def test_a_container_s_quota_counts(text, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(4), raising=False)
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    assert threads.usable_processors() == 4
    (tmp_path / "cpu.max").write_text(text)
    assert threads.usable_processors() == expected


def test_the_threads_of_a_fit_stay_for_all_of_its_calls(monkeypatch):
    share_every_product(monkeypatch, 2)
    monkeypatch.setattr("fastgd._engine.slices._SLICE_SECONDS", 1e-9)
    monkeypatch.setattr("fastgd._engine.slices._MOST_GROWTH", 1)
    starts, calls = [], []
    start, working = threading.Thread.start, ThreadPool.working
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (starts.append(thread), start(thread)))
    monkeypatch.setattr(ThreadPool, "working", lambda pool: (calls.append(pool), working(pool))[1])
    X, y = np.ones((80, 20), np.float32), np.ones((80, 30), np.float32)
    trainer = gd.Trainer(gd.Model([gd.Linear(20, 30)]), batch_size=10)
    trainer.fit(X, y, epochs=3)
    assert (len(starts), len(calls)) == (1, 24)
    before = threading.active_count()
    trainer.fit(X, y)
    assert (len(starts), len(calls)) == (2, 32)
    assert threading.active_count() == before


def test_a_run_uses_as_many_threads_as_it_is_given(monkeypatch):
    share_every_product(monkeypatch, 8)
    given = []
    make = kernels.products
    monkeypatch.setattr(kernels, "products", lambda *sizes: (given.append(sizes[-1]), make(*sizes))[1])
    X, y = np.ones((40, 20), np.float32), np.ones((40, 30), np.float32)
    model = gd.Model([gd.Linear(20, 30)])
    gd.Trainer(model, optimizer="auto", batch_size=10, n_threads=2, metrics=["r2"]).fit(X, y, validation=0.5)
    gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=10, n_threads=2).fit(X, y)
    model.predict(X, n_threads=2)
    model.loss(X, y, n_threads=2)
    model.loss_and_gradient(X, y, n_threads=2)
    assert set(given) == {2}
    model.predict(X)
    assert given[-1] == 8


@pytest.mark.parametrize(
    ("n_threads", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)]
)
def test_what_is_no_number_of_threads_is_refused(n_threads, error):
    model = gd.Model([gd.Linear(2, 1)])
    X, y = np.ones((3, 2)), np.ones(3)
    # What is kept of a model from one call to the next does not tell 1 from True.
    model.loss_and_gradient(X, y, n_threads=1)
    for call in (
        lambda: gd.Trainer(model, n_threads=n_threads),
        lambda: model.predict(X, n_threads=n_threads),
        lambda: model.loss(X, y, n_threads=n_threads),
        lambda: model.loss_and_gradient(X, y, n_threads=n_threads),
    ):
        with pytest.raises(error, match="n_threads is"):
            call()
