"""What is large in one direction: rows that 32 bits do not count, rows of a million features."""

import sys

import numpy as np
import pytest

import fastgd as gd

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="makes files of holes")
@pytest.mark.parametrize("shuffle", [False, True])
def test_more_rows_than_32_bits_count(shuffle, tmp_path):
    """The last one is all that there is to learn from, and is taken once."""
    n_rows = 2**31 + 1
    for name, shape in (("X", (n_rows, 1)), ("y", (n_rows,))):
        rows = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.uint8, shape)
        rows[-1] = 1
        del rows
    data = gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy")
    model = gd.Model([gd.Linear(1, 1, bias=False, init="zeros")])
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.5), batch_size=4096, shuffle=shuffle)
    trainer.fit(data)
    # In the data's order it is a batch by itself.
    assert model.parameters[0] == (0.5 / 4096 if shuffle else 0.5)
    assert trainer.n_updates == -(-n_rows // 4096)


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
