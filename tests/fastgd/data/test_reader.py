"""Blocks that are made ahead: the same rows whichever thread makes them, and no thread that outlives them."""

import contextlib
import gc
import itertools
import signal
import threading
import time

import numpy as np
import pytest
from cases import model_of

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.base import Dataset
from fastgd.data.reader import Reader, blocks
from fastgd.data.ring import Ring
from fastgd.data.shuffle import Shuffle

FLOAT32 = np.dtype(np.float32)
BLOCK_ROWS, N_ROWS, N_FEATURES = 50, 1777, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(readers, "_BLOCK_BYTES", BLOCK_ROWS * N_FEATURES * 4)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)


def readers_alive():
    return [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


def require_no_thread():
    """Fails unless all threads end within some seconds."""
    for thread in readers_alive():
        thread.join(5)
    assert not readers_alive()


class Numbers(Dataset):
    """Rows that count up, made in whatever thread asks; `on_read` is called with the first row of each call."""

    n_samples, n_features, n_outputs, dtype = N_ROWS, N_FEATURES, 1, FLOAT32

    def __init__(self, on_read=lambda row: None, reads_in_parallel=False):
        self.reads_in_parallel = reads_in_parallel
        self._on_read = on_read

    def read(self, rows, out):
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        self._on_read(int(rows[0]))
        out.X[: len(rows)] = rows[:, None] * np.arange(1, N_FEATURES + 1)
        out.y[: len(rows)] = rows[:, None] % 7


def read_all(reader, end_of_part=None, n_threads=2):
    with contextlib.closing(reader.parts(end_of_part, n_threads)) as parts:
        return [(part.start, part.stop, part.n_epoch, part.block.X.copy(), part.block.y.copy()) for part in parts]


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("reads_in_parallel", [False, True])
@pytest.mark.parametrize("mean_and_scale", [None, (np.full(N_FEATURES, 3.0), np.full(N_FEATURES, 0.5))])
def test_blocks_are_the_same_whoever_makes_them(is_shuffled, reads_in_parallel, mean_and_scale):
    """And a second epoch's, in the same memory."""
    reader = Reader(Numbers(reads_in_parallel=reads_in_parallel), FLOAT32, mean_and_scale=mean_and_scale)
    for epoch in range(2):
        reader.order = Shuffle(N_ROWS, N_FEATURES, 0, epoch) if is_shuffled else None
        alone = read_all(reader, n_threads=1)
        ahead = read_all(reader)
        assert [part[:3] for part in ahead] == [part[:3] for part in alone]
        assert ahead[0][:3] == (0, BLOCK_ROWS, N_ROWS)
        assert ahead[-1][1] == N_ROWS
        for one, other in zip(alone, ahead, strict=True):
            np.testing.assert_array_equal(one[3], other[3])
            np.testing.assert_array_equal(one[4], other[4])
    require_no_thread()


def test_a_block_holds_until_the_next():
    """However far ahead the others are made."""
    with contextlib.closing(Reader(Numbers(reads_in_parallel=True), FLOAT32).parts(n_threads=2)) as parts:
        for part in parts:
            before = part.block.X.copy()
            time.sleep(1e-3)
            np.testing.assert_array_equal(part.block.X, before)
            assert part.block.X[0, 0] == part.start


def test_parts_end_where_calls_may():
    def end_of_part(start, target, n_epoch):
        return n_epoch if target >= n_epoch else target // 16 * 16

    parts = read_all(Reader(Numbers(), FLOAT32), end_of_part)
    assert [part[1] % 16 for part in parts[:-1]] == [0] * (len(parts) - 1)
    assert [part[0] for part in parts[1:]] == [part[1] for part in parts[:-1]]
    np.testing.assert_array_equal(np.concatenate([part[3] for part in parts])[:, 0], np.arange(N_ROWS))


def threads_of_reading(reads_in_parallel=False, n_threads=2, pause=0.0):
    """Those that read what comes after the first blocks."""
    seen = set()

    def on_read(row):
        if row >= readers._TIMED * BLOCK_ROWS:
            seen.add(threading.current_thread().name)
            time.sleep(pause)

    read_all(Reader(Numbers(on_read, reads_in_parallel), FLOAT32), n_threads=n_threads)
    return seen


def test_who_reads(monkeypatch):
    here = threading.current_thread().name
    assert threads_of_reading() == {"fastgd reader"}
    assert threads_of_reading(reads_in_parallel=True, pause=1e-3) == {"fastgd reader", here}
    assert threads_of_reading(n_threads=1) == {here}
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 1e6)
    assert threads_of_reading() == {here}


@pytest.mark.parametrize(("environment", "is_ahead"), [("1", False), ("2", True)])
def test_threads_are_those_that_the_environment_allows(environment, is_ahead, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    monkeypatch.setattr("fastgd.threads.usable_processors", lambda: 4)
    assert (threads_of_reading(n_threads=None) == {"fastgd reader"}) == is_ahead
    # With both of them busy, there is none to spare.
    with contextlib.closing(Reader(Numbers(), FLOAT32).parts(None, None, 2)) as parts:
        for _ in itertools.islice(parts, 5):
            assert not readers_alive()


def test_rows_in_place_need_no_thread(monkeypatch):
    monkeypatch.setattr(readers, "Ring", None)
    X = np.zeros((N_ROWS, N_FEATURES), np.float32)
    for _ in blocks(gd.data.ArrayDataset(X, X[:, :1]), FLOAT32, n_threads=2):
        pass


def test_wide_blocks_are_not_read_ahead(monkeypatch):
    """Several of them would take a part of the memory that nobody has asked for."""
    monkeypatch.setattr(readers, "_PLACE_BYTES", BLOCK_ROWS * N_FEATURES * 4 - 1)
    monkeypatch.setattr(readers, "Ring", None)
    assert len(read_all(Reader(Numbers(), FLOAT32))) > 30


@pytest.mark.parametrize("reads_in_parallel", [False, True])
def test_an_error_comes_in_its_place(reads_in_parallel):
    """After the blocks before it, with the rows that were to be read."""

    def on_read(row):
        if row >= 20 * BLOCK_ROWS:
            raise OSError(f"no row {row}")

    parts = Reader(Numbers(on_read, reads_in_parallel), FLOAT32).parts(n_threads=2)
    assert [next(parts).start for _ in range(20)] == [BLOCK_ROWS * k for k in range(20)]
    with pytest.raises(OSError, match=f"no row {20 * BLOCK_ROWS}") as caught:
        next(parts)
    assert caught.value.__notes__ == [f"while fastgd read rows {20 * BLOCK_ROWS} to {21 * BLOCK_ROWS} of the epoch"]
    require_no_thread()


def fit_on(data, n_threads=2):
    trainer = gd.Trainer(gd.Model([gd.Linear(N_FEATURES, 1)]), optimizer=gd.SGD(1e-9), n_threads=n_threads)
    trainer.fit(data)
    return trainer.model


@pytest.mark.parametrize("n_threads", [1, 2])
def test_threads_are_those_that_a_run_may_have(n_threads):
    here, seen = threading.current_thread().name, set()
    data = Numbers(lambda row: seen.add(threading.current_thread().name))
    expected = {here} if n_threads == 1 else {here, "fastgd reader"}
    model = fit_on(data, n_threads)
    assert seen == expected
    for use in (model.predict, model.loss, model.loss_and_gradient):
        seen.clear()
        use(data, n_threads=n_threads)
        assert seen == expected


def test_training_that_fails_ends_the_thread():
    class Failing(Exception):
        pass

    def fail(trainer, record):
        raise Failing

    # What is caught still refers to all that was at work.
    with pytest.raises(ValueError, match="row 1003") as caught:
        fit_on(Bad())
    require_no_thread()
    assert caught.tb is not None
    trainer = gd.Trainer(gd.Model([gd.Linear(N_FEATURES, 1)]), optimizer=gd.SGD(1e-9), n_threads=2)
    with pytest.raises(Failing):
        trainer.fit(Numbers(), callbacks=[fail])
    require_no_thread()


class Bad(Numbers):
    def read(self, rows, out):
        super().read(rows, out)
        if rows.start <= 1003 < rows.stop:
            out.X[1003 - rows.start, 0] = np.nan


@pytest.mark.parametrize("reads_in_parallel", [False, True])
def test_ctrl_c_ends_the_thread(reads_in_parallel):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_on(Numbers(lambda row: row < 500 or signal.raise_signal(signal.SIGINT), reads_in_parallel))
    finally:
        signal.signal(signal.SIGINT, before)
    require_no_thread()


def test_a_read_that_never_ends_hangs_nobody(monkeypatch):
    monkeypatch.setattr("fastgd.data.ring._SECONDS_TO_END", 0.01)
    goes_on, is_reading = threading.Event(), threading.Event()

    def on_read(row):
        if row >= 3 * BLOCK_ROWS:
            is_reading.set()
            goes_on.wait()

    reader = Reader(Numbers(on_read), FLOAT32)
    parts = reader.parts(n_threads=2)
    first = list(itertools.islice(parts, 3))[-1].block
    assert is_reading.wait(5)
    parts.close()
    assert readers_alive()
    goes_on.set()
    # The thread that was left behind had memory that nobody else has since.
    assert not any(np.shares_memory(first.X, part.block.X) for part in reader.parts(n_threads=2))
    require_no_thread()


@pytest.mark.slow
def test_what_is_forgotten_ends_by_itself():
    parts = blocks(Numbers(), FLOAT32, n_threads=2)
    assert len(list(itertools.islice(parts, 3))) == 3
    assert readers_alive()
    del parts
    gc.collect()
    require_no_thread()


def test_a_system_without_threads_reads_here(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert len(read_all(Reader(Numbers(), FLOAT32))) == -(-N_ROWS // BLOCK_ROWS)


def test_no_task_is_taken_before_there_is_a_place():
    taken = []

    def tasks():
        for k in range(20):
            taken.append(k)
            yield k

    ring = Ring(tasks(), lambda task, place: (task, place), places=["a", "b"])
    assert ring.start()
    seen = []
    for task, _ in ring.blocks():
        time.sleep(1e-3)
        assert len(taken) <= task + 2
        seen.append(task)
    assert seen == list(range(20))
    assert ring.close()


def test_nothing_is_made_after_an_error():
    begun = []

    def make(task, place):
        begun.append(task)
        raise OSError("no block")

    ring = Ring(iter(range(20)), make, places=["a", "b", "c"])
    assert ring.start()
    with pytest.raises(OSError, match="no block"):
        next(ring.blocks())
    assert ring.close()
    assert begun == [0]


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("name", ["neuron", "two Linears in a row"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_training_has_the_same_bits(name, batch_size, shuffle, monkeypatch):
    data = gd.data.synthetic(N_ROWS, 5)
    monkeypatch.setattr(readers, "_BLOCK_BYTES", BLOCK_ROWS * 5 * 4)
    results = []
    for seconds in (0, 1e6):
        monkeypatch.setattr(readers, "_WORTH_A_THREAD", seconds)
        model = model_of(name, "float32")
        trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=shuffle, n_threads=2)
        trainer.fit(data, epochs=2, validation=data)
        results.append((model.parameters, trainer.history.loss, trainer.history.validation_loss))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]
