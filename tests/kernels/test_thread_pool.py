"""The thread pool: which networks get one, that workers come and go, and that bits stay."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from shared_products import share_every_product

import fastgd as gd
from fastgd import kernels
from fastgd.kernels.optim.bounded import Bounded
from fastgd.kernels.optim.normalized_sgd import NormalizedSGD
from fastgd.kernels.optim.optimizers import PlainSGD
from fastgd.kernels.parallel.thread_pool import _N_BLOCKS, N_WORKERS, WORTH_SHARING, pool_memory
from fastgd.kernels.tuning import FAR_APART, FEW, PART
from fastgd.network import network_of
from fastgd.threads import ThreadPool


def n_workers(network):
    return int(network.products.pool[N_WORKERS]) if network.products.pool.size else 1


@pytest.mark.parametrize(
    ("most", "n_samples", "expected"),
    [(1, 1024, 1), (2, 1024, 2), (64, 8, 8), (64, FEW - 1, 1), (64, FEW, FEW), (64, 1024, 64)],
)
def test_which_networks_get_a_pool(most, n_samples, expected, monkeypatch):
    """A thread for every two million multiplications and additions: a row of a thousand features to as many units."""
    monkeypatch.setattr("fastgd.network.most_threads", lambda: most)
    network = network_of(gd.Model([gd.Linear(1000, 1000), gd.ReLU(), gd.Linear(1000, 1)]), n_samples)
    assert n_workers(network) == expected
    kernel = kernels.parallel_gemm if expected > 1 else kernels.gemm
    assert network.products.gemm == (kernel.pointer(np.float32) if n_samples >= FEW else 0)


@pytest.mark.parametrize(("n_outputs", "expected"), [(FEW - 1, 1), (FEW, 2)])
def test_few_outputs_get_no_pool(n_outputs, expected, monkeypatch):
    monkeypatch.setattr("fastgd.network.most_threads", lambda: 2)
    assert n_workers(network_of(gd.Model([gd.Linear(1000, n_outputs)]), 1000)) == expected


@pytest.mark.parametrize("batch_size", [1, 7, 30, None])
@pytest.mark.parametrize("activation", [gd.ReLU(), gd.Tanh()])
def test_any_number_of_threads_trains_to_the_same_bits(activation, batch_size, dtype, monkeypatch):
    """Micro-batches smaller than the batch too, where gradients add up."""
    monkeypatch.setattr(gd.Model, "micro_batch_rows", 20)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((70, 320)).astype(dtype), rng.standard_normal((70, 2)).astype(dtype)
    results = []
    for workers in (1, 2, 3):
        share_every_product(monkeypatch, workers)
        twin = gd.Model([gd.Linear(320, 262), activation, gd.Linear(262, 2, bias=False)], dtype=dtype)
        assert n_workers(network_of(twin, 8)) == workers
        momentum = 0.5 if batch_size == 7 else 0
        trainer = gd.Trainer(twin, optimizer=gd.SGD(1e-3, momentum=momentum), batch_size=batch_size)
        history = trainer.fit(X, y, epochs=2)
        results.append((twin.parameters, history.loss, twin.loss_and_gradient(X, y)[1], twin.predict(X)))
    for alone, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(alone, other)


OPTIMIZERS = {
    "momentum": gd.SGD(1e-3, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": gd.Adam(1e-3),
    "AdamW": gd.AdamW(1e-3, weight_decay=0.1),
    "Adagrad": gd.Adagrad(1e-3),
    "RMSprop": gd.RMSprop(1e-3, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD(),
    "SGD with limits": gd.SGD(1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_number_of_threads_makes_the_same_updates(name, monkeypatch):
    """Of 39,263 parameters: four whole parts and a last one that no loop divides."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 300), np.float32), rng.standard_normal((40, 3), np.float32)
    limits = {"clip_norm": 0.5, "alpha": 0.01, "max_norm": 3.0, "average_from": 2} if "limits" in name else {}
    results = []
    for workers in (1, 2, 3):
        share_every_product(monkeypatch, workers)
        twin = gd.Model([gd.Linear(300, 129), gd.ReLU(), gd.Linear(129, 3, bias=True)])
        gd.Trainer(twin, optimizer=OPTIMIZERS[name], batch_size=8, **limits).fit(X, y, epochs=3)
        assert len(twin.parameters) > 4 * PART
        results.append(twin.parameters)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("optimizer", kernels.OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_which_updates_are_shared(optimizer):
    """All but those that are made in one, or by the product itself; and none without a pool."""
    settings = optimizer(*[0] * len(optimizer._fields))
    for pool in (kernels.ALONE, pool_memory(2)):
        for keeps_gradient in (False, True):
            weights, dtype = np.array([[0, 1, 1]]), np.dtype("float32")
            none = kernels.NoRegularization()
            rule = kernels.update_rule(settings, none, weights, dtype, keeps_gradient, has_rows=True, pool=pool)
            is_direct = optimizer is PlainSGD and not keeps_gradient
            expected = pool.size > 0 and not is_direct and optimizer not in (Bounded, NormalizedSGD)
            assert (rule.step.parallel_update != 0, rule.step.update_block != 0) == (expected, expected)


def product_and_operands(workers):
    made = kernels.products(np.dtype("float64"), 1, 30, n_workers=workers)
    rng = np.random.default_rng(0)
    # Small integers: every order of adding them up is exact.
    a, b = (rng.integers(-9, 10, shape).astype(float) for shape in ((100, 30), (30, 90)))
    c = np.empty((100, 90))
    made.pool[WORTH_SHARING] = 0
    share = kernels.parallel_gemm.bound(a, b, c, np.empty(0), False, made.panel, made.pool, 0)
    return made, share, c, a @ b


def test_a_pool_whose_workers_sleep_gets_its_work_done():
    _, share, c, expected = product_and_operands(3)
    share()
    np.testing.assert_array_equal(c, expected)


def test_one_job_after_another():
    """Thousands of small jobs: one that a worker took twice, or not at all, or before it was ready would show."""
    made, share, c, expected = product_and_operands(3)
    with ThreadPool(made).working():
        for _ in range(3000):
            c[:] = np.nan
            share()
            np.testing.assert_array_equal(c, expected)


def test_threads_go_when_the_work_ends():
    made, share, _, _ = product_and_operands(3)
    before = threading.active_count()

    def interrupted():
        with ThreadPool(made).working():
            assert threading.active_count() == before + 2
            share()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == before
    with ThreadPool(made).working():
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def test_a_thread_that_cannot_start_is_done_without(monkeypatch):
    """Where the number of processes is limited, for instance."""
    made, share, c, expected = product_and_operands(3)
    before = threading.active_count()
    start, n_starts = threading.Thread.start, iter([True, False])

    def start_or_not(thread):
        if not next(n_starts):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    with ThreadPool(made).working():
        assert threading.active_count() == before + 1
        share()
    np.testing.assert_array_equal(c, expected)
    assert threading.active_count() == before


def test_a_worker_left_behind_ends_with_the_next_generation():
    """As an interrupted call may leave a thread; until then it is one more that takes blocks."""
    made, share, c, expected = product_and_operands(2)
    generation = kernels.begin_generation(made.pool)
    left = threading.Thread(target=kernels.work, args=(made.pool, 1, made.panel.copy(), generation), daemon=True)
    left.start()
    share()
    np.testing.assert_array_equal(c, expected)
    with ThreadPool(made).working():
        left.join(60)
        assert not left.is_alive()
        share()
    np.testing.assert_array_equal(c, expected)


class Watched:
    """A kernel, with the number of threads that wait for work at each of its compilations and calls."""

    def __init__(self, kernel, n_busy):
        self.compiled, self.called, self._kernel, self._n_busy = [], [], kernel, n_busy
        self.typeof_pyval = kernel.typeof_pyval

    def compile(self, signature):
        self.compiled.append(self._n_busy())
        # That of the call before.
        assert signature in self._kernel.overloads

    def __call__(self, *arguments):
        self.called.append(self._n_busy())
        self._kernel(*arguments)


@pytest.mark.parametrize(("n_workers", "n_compiled"), [(1, 0), (3, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_thread_waits_for_the_compiler(n_workers, n_compiled, dtype, monkeypatch):
    share_every_product(monkeypatch, n_workers)
    wide = gd.Model([gd.Linear(20, 30)], dtype=dtype)
    X, y = np.ones((50, 20), dtype), np.ones((50, 30), dtype)
    calls = {
        "train_network": lambda: gd.Trainer(wide, batch_size=10).fit(X, y),
        "predict_network": lambda: wide.predict(X),
        "evaluate_network": lambda: wide.loss(X, y),
        "loss_and_gradient": lambda: wide.loss_and_gradient(X, y),
    }
    busy, working = [], ThreadPool.working

    @contextlib.contextmanager
    def counted(pool):
        with working(pool):
            busy.extend(pool._threads)
            yield
            busy.clear()

    monkeypatch.setattr(ThreadPool, "working", counted)
    for name, call in calls.items():
        call()
        watched = Watched(getattr(kernels, name), lambda: len(busy))
        monkeypatch.setattr(kernels, name, watched)
        call()
        call()
        assert watched.compiled == [0] * n_compiled
        assert set(watched.called) == {n_workers - 1}


def test_several_models_at_once_and_one_of_them_twice(monkeypatch):
    share_every_product(monkeypatch, 2)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 320), np.float32), rng.standard_normal((60, 250), np.float32)

    def trained(seed):
        twin = gd.Model([gd.Linear(320, 250)], seed=seed)
        gd.Trainer(twin, optimizer=gd.Adam(1e-3), batch_size=20).fit(X, y, epochs=3)
        return twin.parameters

    shared = gd.Model([gd.Linear(320, 250)])
    alone = [trained(0), trained(1), shared.predict(X), shared.predict(X)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            tasks = [pool.submit(trained, seed) for seed in (0, 1)]
            tasks += [pool.submit(shared.predict, X) for _ in range(2)]
            for task, expected in zip(tasks, alone, strict=True):
                np.testing.assert_array_equal(task.result(), expected)


@pytest.mark.parametrize(("n_columns", "is_shared"), [(49, False), (50, True)])
def test_small_products_are_not_shared(n_columns, is_shared):
    """From a million multiplications and additions on they are; the pool's memory says into how many blocks."""
    made = kernels.products(np.dtype("float64"), 100, 100, n_workers=2)
    a, b, c = np.ones((100, 100)), np.ones((100, n_columns)), np.empty((100, n_columns))
    kernels.parallel_gemm(a, b, c, np.empty(0), False, made.panel, made.pool, 0)
    np.testing.assert_array_equal(c, 100)
    assert (made.pool[_N_BLOCKS] > 0) == is_shared


@pytest.mark.parametrize(("n_columns", "is_shared"), [(156, False), (157, True)])
def test_small_layers_are_not_transposed_together(n_columns, is_shared):
    """As products, at sixty-four multiplications and additions a number."""
    made = kernels.products(np.dtype("float64"), 100, 100, (FAR_APART,), n_workers=2)
    a, c, sums = np.ones(100 * n_columns), np.zeros((n_columns + 16, 112)), np.ones(n_columns)
    kernels.parallel_transpose(a, 100, n_columns, c, True, sums, (0, n_columns), made.pool, made.panel)
    np.testing.assert_array_equal(c[:n_columns, :100], 1)
    np.testing.assert_array_equal(sums, 101)
    assert (made.pool[_N_BLOCKS] > 0) == is_shared
