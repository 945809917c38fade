"""Shuffled epochs of a stream that can be read from some of its rows on."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.data import stream_shuffle
from fastgd.data.base import Stream
from fastgd.data.block import Block
from fastgd.data.stream_reader import StreamReader

FLOAT32 = np.dtype(np.float32)


class Parts(Stream):
    """Rows of arrays, each part in blocks of 7 rows."""

    n_outputs, has_sample_weight = 1, True

    def __init__(self, X, y, sizes):
        self._X, self._y = X, y
        self.n_features, self.dtype = X.shape[1], X.dtype
        self.starts = np.cumsum([0, *sizes])[:-1]
        self.n_blocks = 0

    def open(self, cursor=0):
        for row in range(cursor, len(self._X), 7):
            part = slice(row, row + 7)
            block = Block(self._X[part].copy(), self._y[part].copy(), self._y[part, 0] + 1)
            self.n_blocks += 1
            yield block
            block.X.fill(np.nan)


@pytest.fixture
def rows():
    X = np.arange(400, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    return X, (X[:, :1] % 10) / 10


def expected_order(sizes, window_rows, seed, epoch):
    """As the docstring has it."""
    starts = np.cumsum([0, *sizes])
    parts = np.random.default_rng([seed, epoch]).permutation(len(sizes))
    rows = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in parts])
    windows = [rows[begin : begin + window_rows] for begin in range(0, len(rows), window_rows)]
    return np.concatenate([np.random.default_rng([seed, epoch, w, 1]).permutation(p) for w, p in enumerate(windows)])


@pytest.mark.parametrize("sizes", [(400,), (30, 100, 1, 269), (40,) * 10])
@pytest.mark.parametrize("window_rows", [50, 400, 1000])
def test_the_order_is_that_of_the_docstring(sizes, window_rows, rows, monkeypatch):
    """Of X, y and weights, in every epoch, with the row of every position."""
    monkeypatch.setattr(stream_shuffle, "WINDOW_BYTES", window_rows * 12)
    monkeypatch.setattr(stream_shuffle, "_BLOCK_BYTES", 21 * 12)
    stream = Parts(*rows, sizes)
    reader = StreamReader(stream, FLOAT32)
    for epoch in range(2):
        reader.order = stream.order(5, epoch)
        blocks = [(Block(*(part.copy() for part in part.block[:3])), part.start) for part in reader.parts()]
        order = expected_order(sizes, window_rows, 5, epoch)
        np.testing.assert_array_equal(np.concatenate([block.X for block, _ in blocks])[:, 0], order)
        np.testing.assert_array_equal(np.concatenate([block.y for block, _ in blocks]), rows[1][order])
        np.testing.assert_array_equal(
            np.concatenate([block.sample_weight for block, _ in blocks]), rows[1][order, 0] + 1
        )
        assert reader.row(399) == order[399]
    # A block may have rows of two parts.
    assert stream.n_blocks <= 2 * (400 // 7 + 1 + len(sizes))


def trained(*data, **settings):
    model = gd.Model([gd.Linear(3, 1)], seed=0)
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-6), batch_size=4, **settings)
    for rows in data:
        trainer.fit(*rows)
    return model.parameters


def test_a_shuffled_stream_trains_as_the_rows_in_that_order(rows, monkeypatch):
    monkeypatch.setattr(stream_shuffle, "WINDOW_BYTES", 100 * 12)
    X, y = rows
    sizes = (30, 100, 1, 269)
    found = trained(((Parts(X, y, sizes)),), ((Parts(X, y, sizes)),), shuffle=True, seed=3)
    orders = [expected_order(sizes, 100, 3, epoch) for epoch in range(2)]
    data = [(X[order], y[order], 1, y[order, 0] + 1) for order in orders]
    np.testing.assert_array_equal(found, trained(*data))


def test_bad_values_are_named_by_their_rows(rows):
    X, y = rows[0].copy(), rows[1]
    X[217, 1] = np.inf
    with pytest.raises(ValueError, match=r"X holds inf .* in row 217, column 1"):
        trained((Parts(X, y, (200, 200)),), shuffle=True)


def test_what_has_one_part_is_not_shuffled(rows):
    with pytest.raises(ValueError, match="files with several parts"):
        trained((Parts(*rows, (400,)),), shuffle=True)
