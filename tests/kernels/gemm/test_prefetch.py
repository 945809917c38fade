"""Prefetching the next micro-batch while this one is worked on: the range, and that all of it is prefetched."""

import numba
import numpy as np
import pytest

import fastgd as gd
from fastgd import kernels
from fastgd.kernels.gemm.prefetch import prefetch_some, set_prefetch_range
from fastgd.kernels.tuning import FEW, LINE_BYTES, LINES_AT_ONCE, MOST_PREFETCHED


@numba.njit
def set_range(prefetch_range, X, row, end):
    set_prefetch_range(prefetch_range, X, row, end)


@numba.njit
def prefetch(prefetch_range):
    prefetch_some(prefetch_range)


@pytest.mark.parametrize("n_lines", [0, 1, LINES_AT_ONCE - 0.5, LINES_AT_ONCE, 3 * LINES_AT_ONCE + 0.25])
def test_the_range_is_prefetched_and_nothing_else(n_lines):
    X, prefetch_range = np.zeros((2000, 1)), np.zeros(2, np.int64)
    n_bytes = int(n_lines * LINE_BYTES)
    set_range(prefetch_range, X, 4, 4 + n_bytes // X.itemsize)
    begin = X.ctypes.data + 4 * X.itemsize
    assert list(prefetch_range) == [begin, begin + n_bytes]
    for done in range(1, 6):
        prefetch(prefetch_range.ctypes.data)
        assert list(prefetch_range) == [begin + min(done * LINES_AT_ONCE * LINE_BYTES, n_bytes), begin + n_bytes]


def test_an_empty_range():
    prefetch_range = np.zeros(2, np.int64)
    prefetch(prefetch_range.ctypes.data)
    assert list(prefetch_range) == [0, 0]
    prefetch(0)


@pytest.mark.parametrize(("end", "n_rows"), [(2, 0), (5, 3), (32, 30), (33, 30), (200, 30)])
def test_a_large_micro_batch_is_not_prefetched_whole(end, n_rows):
    """It would drive out of the second-level cache what is worked on."""
    n_in = MOST_PREFETCHED // 30 + 1
    X, prefetch_range = np.zeros((200, n_in), np.float32), np.zeros(2, np.int64)
    set_range(prefetch_range, X, 2, end)
    n_bytes = min(n_rows * n_in, MOST_PREFETCHED) * X.itemsize
    begin = X.ctypes.data + 2 * n_in * X.itemsize
    assert list(prefetch_range) == [begin, begin + n_bytes]


@pytest.mark.parametrize("name", ["predict_network", "evaluate_network"])
def test_predictions_prefetch_the_next_micro_batch(name, monkeypatch):
    begun = []
    call = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, lambda network, *rest: begun.append(network) or call(network, *rest))
    model = gd.Model([gd.Linear(5, FEW)], dtype="float32")
    X = np.ones((3 * model.micro_batch_rows + 1, 5), np.float32)
    model.predict(X) if name == "predict_network" else model.loss(X, np.ones((len(X), FEW), np.float32))
    (network,) = begun
    assert list(network.products.prefetch_range) == [X.ctypes.data + X.nbytes] * 2


@pytest.mark.parametrize("n_rows", [3 * FEW, 3 * FEW + 1])
def test_products_prefetch_the_next_micro_batch(n_rows, monkeypatch):
    """By the end of an epoch, all of X but its first micro-batch has been prefetched."""
    begun = []
    call = kernels.train_network
    monkeypatch.setattr(kernels, "train_network", lambda network, *rest: begun.append(network) or call(network, *rest))
    model = gd.Model([gd.Linear(5, FEW), gd.ReLU(), gd.Linear(FEW, 1)], dtype="float32")
    X = np.ones((n_rows, 5), np.float32)
    gd.Trainer(model, optimizer=gd.SGD(0), batch_size=FEW).fit(X, np.ones(n_rows))
    (network,) = begun
    assert list(network.products.prefetch_range) == [X.ctypes.data + X.nbytes] * 2
