"""Replicas on a cluster: the bits of the same trainer on threads, and faults."""

import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest

import fastgd as gd

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
gd_dask = pytest.importorskip("fastgd.dask")
waiting = pytest.importorskip("fastgd.dask.waiting")

# What Dask leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
N_ROWS = 800


def data():
    return gd.data.synthetic(N_ROWS, 5, hidden=(4,), noise=0.1, seed=2)


def trainer_of(replicas=3, rate=0.01, **options):
    model = gd.Model([gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)], seed=3)
    options = {"optimizer": gd.SGD(rate, momentum=0.9), "batch_size": 4, "round_rows": 100} | options
    return gd.Trainer(model, replicas=replicas, **options)


def same(trainer, other):
    np.testing.assert_array_equal(trainer.model.parameters, other.model.parameters)
    assert trainer.history.loss == other.history.loss
    assert trainer.n_updates == other.n_updates


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_that_workers_make(shuffle, client):
    here, there = (trainer_of(shuffle=shuffle, outer=gd.replicas.Nesterov()) for _ in range(2))
    others = gd.data.synthetic(50, 5, hidden=(4,), seed=9)
    here.fit(data(), epochs=2, validation=others)
    gd_dask.fit(there, data(), client, epochs=1, validation=others)
    there.fit(data(), validation=others)
    same(here, there)
    assert here.history.validation_loss == there.history.validation_loss


def test_rows_that_workers_open(client, tmp_path):
    data().save(tmp_path)
    opened = partial(gd.data.open, tmp_path / "X.npy", target=tmp_path / "y.npy")
    here, there = trainer_of(shuffle=True), trainer_of(shuffle=True)
    here.fit(opened())
    gd_dask.fit(there, opened, client)
    same(here, there)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_dask_arrays(is_weighted, client, rng):
    X, y = data().arrays()
    arrays = [X, y[:, 0], rng.uniform(0, 2, N_ROWS)][: 2 + is_weighted]
    here, there = trainer_of(), trainer_of()
    here.fit(X, y, sample_weight=arrays[2] if is_weighted else None, epochs=2)
    chunked = [da.from_array(each, chunks=(150, *each.shape[1:])) for each in arrays]
    gd_dask.fit(there, chunked, client, epochs=2)
    same(here, there)


def test_blocks_are_shuffled_by_themselves(client):
    X, y = data().arrays()
    arrays = da.from_array(X), da.from_array(y)
    found = []
    for shuffle in (False, True, True):
        trainer = trainer_of(shuffle=shuffle)
        gd_dask.fit(trainer, arrays, client, epochs=2)
        found.append(trainer.model.parameters)
    assert (found[0] != found[1]).any()
    np.testing.assert_array_equal(found[1], found[2])


def test_scales_and_auto_are_learnt_through_the_client(client):
    X, y = data().arrays()
    X *= 1000
    layers = [gd.Standardize(5), gd.Linear(5, 1)]
    trainer = gd.Trainer(gd.Model(layers), optimizer="auto", batch_size=8, replicas=2, standardize_targets=True)
    gd_dask.fit(trainer, (da.from_array(X, chunks=300), da.from_array(y, chunks=300)), client, epochs=3)
    twin = gd.Trainer(
        gd.Model([gd.Standardize(5), gd.Linear(5, 1)]),
        optimizer="auto",
        batch_size=8,
        replicas=2,
        standardize_targets=True,
    )
    twin.fit(X, y, epochs=3)
    np.testing.assert_allclose(trainer.model.parameters, twin.model.parameters, rtol=1e-4, atol=1e-6)


def test_predictions_are_made_block_by_block(client):
    X, _ = data().arrays()
    model = trainer_of().model
    out = gd_dask.predict(model, da.from_array(X, chunks=(300, 2)))
    assert (out.shape, out.dtype) == ((N_ROWS, 1), np.float32)
    np.testing.assert_allclose(out.compute(), model.predict(X), rtol=1e-6)


def test_a_bad_row_is_named_and_its_round_undone(client):
    X, y = data().arrays()
    X[700, 2] = np.inf
    here, there = trainer_of(), trainer_of()
    with pytest.raises(ValueError, match="in row 700"):
        here.fit(X, y)
    with pytest.raises(ValueError, match="in row 700") as raised:
        gd_dask.fit(there, (da.from_array(X), da.from_array(y)), client)
    assert any("replica 3 of 3" in note for note in raised.value.__notes__)
    np.testing.assert_array_equal(here.model.parameters, there.model.parameters)
    gd_dask.fit(there, data(), client)
    here.fit(data())
    same(here, there)


def test_what_cannot_go_to_workers(client):
    X, y = data().arrays()
    with pytest.raises(ValueError, match=r"expected Trainer\(replicas=2\)"):
        gd_dask.fit(trainer_of(1, round_rows=None), data(), client)
    with pytest.raises(ValueError, match="every batch would be a round of tasks"):
        gd_dask.fit(trainer_of(round_rows=None, sync="gradient"), data(), client)
    with pytest.raises(ValueError, match="expected a callable that opens them"):
        gd_dask.fit(trainer_of(), gd.data.ArrayDataset(X, y), client)
    with pytest.raises(ValueError, match=r"validation is 0\.2 of the rows"):
        gd_dask.fit(trainer_of(), data(), client, validation=0.2)
    with pytest.raises(TypeError, match="of Dask arrays"):
        gd_dask.fit(trainer_of(), (X, y), client)
    with pytest.raises(ValueError, match=r"y has shape \(800, 1, 1\)"):
        gd_dask.fit(trainer_of(), (da.from_array(X), da.from_array(y[:, :, None])), client)
    with pytest.raises(ValueError, match=r"\[800, 799\] rows"):
        gd_dask.fit(trainer_of(), (da.from_array(X), da.from_array(y[1:])), client)
    with pytest.raises(TypeError, match=r"data\(\) gave list"):
        gd_dask.fit(trainer_of(), list, client)


@pytest.mark.parametrize("n_rows", [2, 5])
def test_more_replicas_than_rows_or_blocks(n_rows, client):
    """Of replicas without rows there are no tasks; of Dask arrays each must have some."""
    few = gd.data.synthetic(n_rows, 5, seed=2)
    here, there = trainer_of(7), trainer_of(7)
    here.fit(few, epochs=2)
    gd_dask.fit(there, few, client, epochs=2)
    same(here, there)
    X, y = few.arrays()
    with pytest.raises(ValueError, match="at least one for each of 7 replicas"):
        gd_dask.fit(trainer_of(7), (da.from_array(X), da.from_array(y)), client)
    X, y = data().arrays()
    here, there = trainer_of(7), trainer_of(7)
    here.fit(X, y)
    gd_dask.fit(there, (da.from_array(X, chunks=(500, 5)), da.from_array(y, chunks=(500, 1))), client)
    same(here, there)


def test_two_fits_at_once_on_one_cluster(client):
    alone, at_once = [trainer_of(3), trainer_of(2, shuffle=True)], [trainer_of(3), trainer_of(2, shuffle=True)]
    for trainer in alone:
        trainer.fit(data(), epochs=4)
    errors = []

    def fit(trainer):
        try:
            gd_dask.fit(trainer, data(), client, epochs=4)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fit, args=(trainer,)) for trainer in at_once]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not errors
    for before, after in zip(alone, at_once, strict=True):
        same(before, after)


def test_divergence_names_the_replica(client):
    trainer = trainer_of(rate=1e20)
    before = trainer.model.parameters.copy()
    with pytest.raises(gd.DivergenceError, match="diverged at epoch 1") as raised:
        gd_dask.fit(trainer, data(), client)
    assert any("in replica 1 of 3" in note for note in raised.value.__notes__)
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_ctrl_c_cancels_the_tasks(client, monkeypatch):
    waited, wait = [], waiting._while_workers_work
    gather = client.gather

    def note(futures, **options):
        waited.extend(futures)
        return gather(futures, **options)

    def interrupt(*arguments):
        if len(waited) > 6:
            raise KeyboardInterrupt
        wait(*arguments)

    monkeypatch.setattr(client, "gather", note)
    monkeypatch.setattr(waiting, "_while_workers_work", interrupt)
    trainer, twin = trainer_of(), trainer_of()
    with pytest.raises(KeyboardInterrupt):
        gd_dask.fit(trainer, data(), client)
    assert {future.status for future in waited[6:]} == {"cancelled"}
    # Two rounds, of 92 and 88 of 267 rows each, were made, and nothing of the third.
    X, y = data().arrays()
    begins = [N_ROWS * k // 3 for k in range(3)]
    rows = np.concatenate([np.arange(begin, begin + 180) for begin in begins])
    twin.fit(X[rows], y[rows])
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


def test_a_run_goes_on_on_other_workers(client, tmp_path):
    """Begun on the cluster and saved in the midst of an epoch, it ends on threads; and the other way round."""

    class Saves:
        n_left = 4

        def __call__(self, trainer, record):
            pass

        def on_slice(self, trainer):
            self.n_left -= 1
            if self.n_left == 0:
                trainer.save(tmp_path / "run.safetensors")
                raise KeyboardInterrupt

    def on_cluster(trainer, **options):
        gd_dask.fit(trainer, data(), client, epochs=3, **options)

    def here(trainer, **options):
        trainer.fit(data(), epochs=3, **options)

    whole = trainer_of(shuffle=True)
    here(whole)
    for first, second in ((on_cluster, here), (here, on_cluster)):
        with pytest.raises(KeyboardInterrupt):
            first(trainer_of(shuffle=True), callbacks=[Saves()])
        loaded = gd.Trainer.load(tmp_path / "run.safetensors")
        second(loaded, resume=True)
        same(whole, loaded)


@pytest.fixture
def processes():
    options = {"memory_limit": None, "dashboard_address": ":0"}
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options)
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_bit(processes):
    here, there = trainer_of(4), trainer_of(4)
    here.fit(data(), epochs=30)
    pids = list(processes.run(os.getpid).values())

    def kill(trainer, record):
        if record.epoch == 5:
            threading.Timer(0.03, os.kill, (pids[0], signal.SIGKILL)).start()

    gd_dask.fit(there, data(), processes, epochs=30, callbacks=[kill])
    same(here, there)


@pytest.mark.slow
def test_without_workers_training_ends(processes, monkeypatch):
    monkeypatch.setattr(waiting, "_SECONDS_WITHOUT_WORKERS", 1.0)
    monkeypatch.setattr(waiting, "_SECONDS_BETWEEN_LOOKS", 0.1)
    trainer = trainer_of(2)

    def retire(_, record):
        if record.epoch == 2:
            processes.cluster.scale(0)
            while processes.nthreads():
                time.sleep(0.05)

    with pytest.raises(RuntimeError, match="no worker for 1 seconds"):
        gd_dask.fit(trainer, data(), processes, epochs=5, callbacks=[retire])
    twin = trainer_of(2)
    twin.fit(data(), epochs=2)
    same(twin, trainer)
    processes.cluster.scale(1)
    processes.wait_for_workers(1)
    gd_dask.fit(trainer, data(), processes)
    twin.fit(data())
    same(twin, trainer)


@pytest.mark.slow
def test_workers_come_and_go(processes):
    """A third one joins, all but one retire, and more workers than replicas have nothing to do for some."""
    here, there = trainer_of(2), trainer_of(2)
    here.fit(data(), epochs=12)
    wanted = {2: 3, 5: 1, 8: 4}

    def scale(_, record):
        if record.epoch in wanted:
            processes.cluster.scale(wanted[record.epoch])
            deadline = time.monotonic() + 60
            while len(processes.nthreads()) != wanted[record.epoch]:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    gd_dask.fit(there, data(), processes, epochs=12, callbacks=[scale])
    same(here, there)
