"""Rows that iterables and functions give, block after block."""

import threading
from itertools import pairwise

import numpy as np
import pytest

import fastgd as gd

CUTS = [0, 100, 100, 350, 640]


@pytest.fixture
def arrays(rng):
    X = rng.standard_normal((640, 5)).astype("float32")
    return X, X[:, 0] - X[:, 1], rng.uniform(0, 2, 640)


def blocks_of(*arrays, cuts=CUTS):
    return [tuple(array[begin:end] for array in arrays) for begin, end in pairwise(cuts)]


def trained(*data, epochs=2, **options):
    model = gd.Model([gd.Linear(5, 1)], seed=0)
    gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4).fit(*data, epochs=epochs, **options)
    return model.parameters.tolist()


class Rereadable:
    def __init__(self, blocks):
        self._blocks = blocks

    def __iter__(self):
        yield from self._blocks


@pytest.mark.parametrize("kind", [list, tuple, Rereadable, lambda blocks: lambda: iter(blocks), lambda b: lambda: b])
def test_blocks_train_to_the_bits_of_their_rows(kind, arrays):
    X, y, weights = arrays
    assert trained(kind(blocks_of(X, y))) == trained(X, y)
    assert trained(kind(blocks_of(*arrays))) == trained(X, y, sample_weight=weights)


def test_a_generator_is_good_for_one_epoch(arrays):
    X, y, _ = arrays
    assert trained((block for block in blocks_of(X, y)), epochs=1) == trained(X, y, epochs=1)
    used = iter(blocks_of(X, y))
    with pytest.raises(ValueError, match=r"epochs is 2, and .* read only once; expected epochs=1, or a function"):
        trained(used)
    stream = gd.data.from_blocks(iter(blocks_of(X, y)))
    trained(stream, epochs=1)
    assert stream.n_samples == 640
    with pytest.raises(ValueError, match=r"come from a list_iterator, .* and was; expected a function"):
        trained(stream, epochs=1)


def test_what_was_used_up_or_changed_is_told(arrays):
    X, y, _ = arrays
    one = iter(blocks_of(X, y))
    list(one)
    with pytest.raises(ValueError, match="were all used before; expected a function"):
        trained(one, epochs=1)
    shared = iter(blocks_of(X, y))
    with pytest.raises(ValueError, match="were used up this time, and 640 rows the first time"):
        trained(lambda: shared)
    for second, found in ((blocks_of(X[:300], y[:300], cuts=[0, 300]), "300"), (blocks_of(X, y) * 2, "more")):
        given = iter([blocks_of(X, y), second])
        with pytest.raises(ValueError, match=rf"had {found} rows this time, and 640 rows the first time"):
            trained(lambda given=given: next(given))
    given = iter([blocks_of(X, y), blocks_of(X, y) * 2])
    stream = gd.data.from_blocks(lambda: next(given))
    n_rows = sum(len(block.X) for block in stream.open())
    blocks = stream.open()
    while n_rows > 0:
        n_rows -= len(next(blocks).X)
    assert n_rows == 0
    with pytest.raises(ValueError, match="had more rows"):
        next(blocks)


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        (lambda X, y: lambda: 5, TypeError, r"the function gave 5; expected an iterable of \(X, y\)"),
        (lambda X, y: iter([X, X]), TypeError, r"block 0 is of type ndarray; expected \(X, y\)"),
        (lambda X, y: [(X, y[:5])], ValueError, "block 0: y has 5 rows and X has 640"),
        (lambda X, y: [(X, y), (X[:, :4], y)], ValueError, r"block 1 has X of shape \(640, 4\) .*expected 5 features"),
        (lambda X, y: [(X, y), (X, y, y)], ValueError, "block 1 has sample_weight, unlike the first"),
        (lambda X, y: [(X, y), (X.astype("f8"), y)], ValueError, "block 1 has X of float64, which float32"),
        (lambda X, y: [(X, y), (np.array([["a"] * 5] * 640), y)], TypeError, "block 1: X has dtype <U1"),
    ],
)
def test_blocks_that_do_not_fit_are_named(blocks, error, message, arrays):
    with pytest.raises(error, match=message):
        trained(blocks(*arrays[:2]), epochs=1)


def test_an_error_of_the_function_itself_comes_through(arrays):
    """With the rows before it, and without a thread that is left."""
    X, y, _ = arrays

    def failing():
        yield from blocks_of(X, y)
        raise RuntimeError("the line is dead")

    with pytest.raises(RuntimeError, match="the line is dead") as caught:
        trained(failing)
    assert caught.value.__notes__ == ["while fastgd read the rows that come after row 640"]
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


def test_rows_before_a_cursor_are_left_out(arrays):
    X, y, _ = arrays
    found = list(gd.data.from_blocks(blocks_of(X, y)).open(120))
    np.testing.assert_array_equal(np.concatenate([block.X for block in found]), X[120:])


def test_arrays_are_no_blocks(arrays):
    for X in (arrays[0], arrays[0].tolist(), {"a": [1.0]}):
        with pytest.raises(TypeError, match="y is None; expected targets"):
            trained(X)


def test_a_stream_in_memory_is_a_data_set(tmp_path, monkeypatch):
    """Whose rows can be shuffled, held out and searched."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.standard_normal(200)
    rows = gd.data.in_memory(gd.data.from_blocks([(X[:70], y[:70]), (X[70:], y[70:])]))
    np.testing.assert_array_equal(rows.X, X)
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer="auto", batch_size=32, shuffle=True)
    assert len(trainer.fit(rows, epochs=2, validation=0.2)) == 2
    with pytest.raises(ValueError, match=r"shuffle is True.* gd\.data\.in_memory\(rows\), arrays, or a Dataset"):
        trainer.fit(gd.data.from_blocks([(X, y)]))
    with pytest.raises(TypeError, match="stream is a ndarray; expected a Stream"):
        gd.data.in_memory(X)
    monkeypatch.setattr("fastgd.data.spooled.KEPT_BYTES", 1000)
    with pytest.raises(ValueError, match="has more than 0 MB of rows; expected fewer, files of several parts"):
        gd.data.in_memory(gd.data.from_blocks([(X, y)]))
