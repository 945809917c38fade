"""What is large in one direction: rows that 32 bits do not count, rows of a million features."""

import sys

import numpy as np
import pytest

import fastgd as gd

pytestmark = pytest.mark.slow


N_ROWS = 2**31 + 1


@pytest.fixture
def many_rows(tmp_path):
    """All but the last of them are zeros, which take no place."""
    for name, shape in (("X", (N_ROWS, 1)), ("y", (N_ROWS,))):
        rows = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.uint8, shape)
        rows[-1] = 1
        del rows
    return gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy")


@pytest.mark.skipif(sys.platform != "linux", reason="makes files of holes")
def test_more_rows_than_32_bits_count(many_rows):
    """The last one is all that there is to learn from, a batch by itself."""
    model = gd.Model([gd.Linear(1, 1, bias=False, init="zeros")])
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.5), batch_size=4096)
    trainer.fit(many_rows)
    assert model.parameters[0] == 0.5
    assert trainer.n_updates == -(-N_ROWS // 4096)


@pytest.mark.skipif(sys.platform != "linux", reason="makes files of holes")
def test_an_order_of_more_rows_than_32_bits_count(many_rows):
    order = many_rows.order(0, 0)
    rows = np.concatenate([order.rows(start, start + 4096) for start in (0, 2**30, 2**31 - 8192, N_ROWS - 4096)])
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < N_ROWS


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_million_features(shuffle, tmp_path, rng):
    n_features = 10**6
    X, y = rng.standard_normal((40, n_features), np.float32), rng.standard_normal(40, np.float32)
    for k in range(4):
        np.save(tmp_path / f"X-{k}.npy", X[10 * k : 10 * k + 10])
        np.save(tmp_path / f"y-{k}.npy", y[10 * k : 10 * k + 10])
    shards, learnt = gd.data.open(tmp_path), []
    chosen = np.concatenate([shards.order(0, epoch).rows(0, 40) if shuffle else range(40) for epoch in range(2)])
    for data, epochs, in_order in (((shards,), 2, False), ((X[chosen], y[chosen]), 1, True)):
        model = gd.Model([gd.Linear(n_features, 1)], seed=0)
        trainer = gd.Trainer(model, optimizer=gd.SGD(1e-7), batch_size=4, shuffle=shuffle and not in_order)
        trainer.fit(*data, epochs=epochs)
        learnt.append(model.parameters)
    np.testing.assert_array_equal(*learnt)
