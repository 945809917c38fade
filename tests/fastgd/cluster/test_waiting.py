"""Nothing waits for workers that take no tasks."""

import time

import numpy as np
import pytest

import fastgd as gd

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
gd_dask = pytest.importorskip("fastgd.dask")
waiting = pytest.importorskip("fastgd.dask.waiting")

# What Dask leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture
def paused():
    """A worker with less memory than Python takes."""
    options = {"processes": False, "memory_limit": "1MiB", "dashboard_address": ":0", "silence_logs": 50}
    with distributed.Client(n_workers=1, threads_per_worker=1, **options) as client:
        deadline = time.monotonic() + 60
        while any(each["status"] != "paused" for each in waiting.workers_of(client).values()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield client


@pytest.mark.slow
def test_paused_workers_are_an_error(paused, monkeypatch):
    monkeypatch.setattr(waiting, "_SECONDS_WITHOUT_WORKERS", 0.3)
    monkeypatch.setattr(waiting, "_SECONDS_BETWEEN_LOOKS", 0.05)
    X, y = (da.from_array(np.ones(shape), chunks=20) for shape in ((40, 3), 40))
    layers = [gd.Standardize(3), gd.Linear(3, 1)]
    waits = {
        "a round": lambda: gd_dask.fit(trainer_of([gd.Linear(3, 1)]), gd.data.synthetic(40, 3), paused),
        "rows": lambda: gd_dask.fit(trainer_of(layers), (X, y), paused),
        "labels": lambda: gd_dask.GDClassifier(replicas=2).fit(X, y, client=paused),
        "validation": lambda: gd_dask.GDRegressor(replicas=2).fit(X, y, X_val=X, y_val=y, client=paused),
    }
    for wait in waits.values():
        with pytest.raises(RuntimeError, match=r"are paused: .* 1 MiB here; .* memory_limit=None"):
            wait()


def test_a_look_without_the_workers_is_taken_again(client, monkeypatch):
    """The client's own, which come every other second, may overwrite what was asked."""
    look = client.scheduler_info
    looks = [{"n_workers": 2, "workers": {}}]
    monkeypatch.setattr(client, "scheduler_info", lambda **asked: looks.pop() if looks else look(**asked))
    assert len(waiting.workers_of(client)) == 2
    assert not looks


def trainer_of(layers):
    return gd.Trainer(gd.Model(layers), optimizer=gd.SGD(0.01), replicas=2)


def test_what_a_worker_does_is_waited_for():
    """One that is paused ends what it has begun."""
    busy, idle = ({"executing": n} for n in (1, 0))
    assert waiting._is_at_work({"status": "running", "metrics": {}})
    assert waiting._is_at_work({"status": "paused", "metrics": {"task_counts": busy}})
    assert not waiting._is_at_work({"status": "paused", "metrics": {"task_counts": idle}})


def test_a_task_may_raise_a_timeout_of_its_own(client):
    """The first by number is told of, and the others are cancelled."""

    def task(k):
        if k:
            raise TimeoutError(f"task {k}")

    futures = client.map(task, range(3), pure=False)
    with pytest.raises(TimeoutError, match="task 1"):
        waiting.gathered(client, futures)
    assert {future.status for future in futures} == {"cancelled"}
