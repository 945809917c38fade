"""Shuffled epochs of rows that are read by chunks: the order against its docstring, and what is in memory meanwhile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd as gd
from fastgd.data.base import Dataset
from fastgd.data.block import allocate
from fastgd.data.chunks import chunk_shuffle, chunked
from fastgd.data.chunks.chunk_shuffle import ChunkShuffle
from fastgd.data.reader import Reader
from fastgd.data.shuffle import Shuffle
from fastgd.data.subset import Subset

FLOAT32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def no_small_data(monkeypatch):
    monkeypatch.setattr(chunk_shuffle, "FEATURES_AT_RANDOM", 0)


def expected_order(sizes, window_rows, seed, epoch):
    """As the docstring has it, in plain Python: the rows of each window, and those of its chunks."""
    starts = np.cumsum([0, *sizes])
    windows, position = {}, 0
    for k in np.random.default_rng([seed, epoch]).permutation(len(sizes)).tolist():
        windows.setdefault(position // window_rows, []).append(range(starts[k], starts[k + 1]))
        position += sizes[k]
    return [
        np.random.default_rng([seed, epoch, w, 1]).permutation([row for chunk in chunks for row in chunk]).tolist()
        for w, chunks in enumerate(windows.values())
    ]


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    window_rows=st.integers(1, 60),
    block=st.integers(1, 50),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 3),
)
def test_the_order_is_that_of_the_docstring(sizes, window_rows, block, seed, epoch):
    """Whatever parts it is asked for in, and its chunks are named before they are needed."""
    n_samples, starts = sum(sizes), np.cumsum([0, *sizes])[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_shuffle, "FEATURES_AT_RANDOM", 0)
        order = ChunkShuffle(starts, n_samples, 3, window_rows, seed, epoch)
    windows = expected_order(sizes, window_rows, seed, epoch)
    rows = [row for window in windows for row in window]
    named = set()
    for begin in range(0, n_samples, block):
        end = min(begin + block, n_samples)
        assert order.rows(begin, end).tolist() == rows[begin:end]
        named |= {int(row) for row in order.upcoming(begin, end)}
        chunks = np.searchsorted(starts, rows[begin:end], side="right") - 1
        assert {int(starts[chunk]) for chunk in chunks} <= named
    assert order.rows(n_samples // 2, n_samples // 2 + 1).tolist() == [rows[n_samples // 2]]


def test_few_rows_are_permuted_as_in_memory(monkeypatch):
    monkeypatch.setattr(chunk_shuffle, "FEATURES_AT_RANDOM", 3000)
    order = ChunkShuffle(np.arange(0, 1000, 7), 1000, 3, 10, 5, 2)
    np.testing.assert_array_equal(order.rows(0, 1000), Shuffle(1000, 3, 5, 2).rows(0, 1000))


class Counted:
    """Rows that count up, and how often each was read."""

    gap_bytes, reads_in_parallel = 4, False

    def __init__(self, n_rows):
        self.shape, self.dtype, self.counts = (n_rows, 2), FLOAT32, np.zeros(n_rows, np.int64)
        self.n_reads = 0

    def require_unchanged(self):
        pass

    def read(self, start, stop, out):
        self.n_reads += 1
        self.counts[start:stop] += 1
        out[:] = np.arange(start, stop)[:, None]


def windowed(n_rows, chunk_rows, window_rows, monkeypatch):
    """Chunks of so many rows, but for the first and the last, which have one row less and more."""
    monkeypatch.setattr(chunked, "WINDOW_BYTES", window_rows * 8)
    source = Counted(n_rows)
    starts = np.unique(np.maximum(np.arange(0, n_rows + 1, chunk_rows) - 1, 0))
    return source, chunked.ChunkedDataset(source, None, None, starts[starts < n_rows - 1])


def epoch_of(data, n_rows, seed=0, epoch=0, block=37):
    """The rows of a shuffled epoch as blocks have them."""
    reader = Reader(data, FLOAT32)
    reader.order = data.order(seed, epoch)
    parts = [reader.read(start, min(start + block, n_rows)).X[:, 0].copy() for start in range(0, n_rows, block)]
    return np.concatenate(parts)


@pytest.mark.parametrize("chunk_rows", [1, 10, 500])
def test_each_row_is_read_once(chunk_rows, monkeypatch):
    """In one read a chunk, whatever the windows hold, of which few are in memory."""
    source, data = windowed(10_000, chunk_rows, 200, monkeypatch)
    rows = epoch_of(data, 10_000)
    np.testing.assert_array_equal(np.sort(rows), np.arange(10_000))
    np.testing.assert_array_equal(rows, data.order(0, 0).rows(0, 10_000))
    assert source.counts.tolist() == [1] * 10_000
    assert source.n_reads == len(data.starts)
    assert len(data._held.rows.X) <= 500 + 3 * (chunk_rows + 1)


def test_chunks_are_read_by_and_by(monkeypatch):
    source, data = windowed(10_000, 10, 1000, monkeypatch)
    reader = Reader(data, FLOAT32)
    reader.order = data.order(0, 0)
    per_block = []
    for start in range(0, 10_000, 100):
        before = source.n_reads
        reader.read(start, start + 100)
        per_block.append(source.n_reads - before)
    assert max(per_block[1:]) <= 12
    assert per_block[0] <= 112


@pytest.mark.parametrize("share", [0.9, 0.1])
def test_a_part_of_the_rows_is_shuffled_too(share, monkeypatch):
    """Most of them by chunks."""
    source, data = windowed(5000, 10, 200, monkeypatch)
    indices = np.flatnonzero(np.random.default_rng(0).random(5000) < share)
    part = Subset(data, indices)
    assert isinstance(part.order(0, 0), ChunkShuffle if share > 0.5 else Shuffle)
    rows = epoch_of(part, len(indices))
    np.testing.assert_array_equal(np.sort(rows), indices)
    np.testing.assert_array_equal(rows, indices[part.order(0, 0).rows(0, len(indices))])
    if share > 0.5:
        assert source.counts.max() == 1
    assert isinstance(Subset(data, indices[::-1]).order(0, 0), Shuffle)


def test_seeds_and_epochs_differ(monkeypatch):
    _, data = windowed(2000, 10, 200, monkeypatch)
    orders = [epoch_of(data, 2000, *key).tolist() for key in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


def test_rows_that_fail_to_come_are_asked_for_again(monkeypatch):
    source, data = windowed(300, 10, 100, monkeypatch)
    read, fails = source.read, [True]

    def failing(start, stop, out):
        if start == 199 and fails[0]:
            raise OSError("the disk is away")
        read(start, stop, out)

    source.read = failing
    with pytest.raises(OSError, match="the disk is away"):
        epoch_of(data, 300)
    fails[0] = False
    np.testing.assert_array_equal(np.sort(epoch_of(data, 300)), np.arange(300))


def test_other_data_sets_keep_their_order():
    class Rows(Dataset):
        n_samples, n_features, n_outputs, dtype = 100, 2, 1, FLOAT32

        def read(self, rows, out):
            raise AssertionError

    rows = Rows()
    np.testing.assert_array_equal(rows.order(3, 1).rows(0, 100), Shuffle(100, 2, 3, 1).rows(0, 100))
    rows.prefetch(np.array([1]))
    assert allocate(rows, 1, FLOAT32).X.shape == (1, 2)
    assert (
        gd.data.ArrayDataset(np.ones((5, 2))).order(0, 0).rows(0, 5).tolist() == Shuffle(5, 2, 0, 0).rows(0, 5).tolist()
    )
