"""Rows that come block after block: the same bits as those of a data set, and errors where that is not enough."""

import threading

import numpy as np
import pytest
from cases import model_of
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd as gd
from fastgd.data import reader as readers
from fastgd.data.base import Stream
from fastgd.data.block import Block
from fastgd.data.reader import UNKNOWN
from fastgd.data.stream_reader import StreamReader

FLOAT32 = np.dtype(np.float32)


class Blocks(Stream):
    """Rows of arrays, in blocks of the sizes given, over and over again."""

    def __init__(self, X, y, sample_weight=None, sizes=(7,), n_samples=None):
        self._arrays = X, y, np.empty(0) if sample_weight is None else sample_weight
        self._sizes, self.n_samples = sizes, n_samples
        self.n_features, self.n_outputs, self.dtype = X.shape[1], y.shape[1], X.dtype
        self.has_sample_weight = sample_weight is not None

    def open(self, cursor=0):
        k = 0
        while cursor < len(self._arrays[0]):
            stop = cursor + self._sizes[k % len(self._sizes)]
            # A block holds until the next: what comes after it must not be needed.
            block = Block(*(array[cursor:stop].copy() for array in self._arrays))
            yield block
            for array in block[:3]:
                array.fill(np.nan)
            cursor, k = stop, k + 1


def rows(n_samples, n_features=5, dtype="float32"):
    rng = np.random.default_rng(n_samples)
    X = rng.normal(size=(n_samples, n_features)).astype(dtype)
    return X, np.abs(X[:, :1] - 0.3 * X[:, 1:2] + 0.1), rng.uniform(0, 2, n_samples).astype(dtype)


@settings(max_examples=40)
@given(
    n_samples=st.integers(1, 200),
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4).filter(any),
    block_rows=st.integers(1, 70),
    unit=st.integers(1, 9),
    n_threads=st.integers(1, 2),
)
def test_every_row_comes_once_and_parts_end_where_calls_may(n_samples, sizes, block_rows, unit, n_threads):
    """And the last part is known to be the last."""
    X, y, weights = rows(n_samples, 3)

    def end_of_part(start, target, n_epoch):
        return n_epoch if target >= n_epoch else max(target // unit * unit, min(start // unit * unit + unit, n_epoch))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_BLOCK_BYTES", block_rows * 3 * 4)
        reader = StreamReader(Blocks(X, y, weights, sizes), FLOAT32, min_rows=unit)
    for _ in range(2):
        parts = [
            part._replace(block=Block(*(array.copy() for array in part.block[:3])))
            for part in reader.parts(end_of_part, n_threads)
        ]
        assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
        assert [part.n_epoch for part in parts] == [UNKNOWN] * (len(parts) - 1) + [n_samples]
        assert all(part.stop % unit == 0 for part in parts[:-1])
        for k, array in enumerate((X, y, weights)):
            np.testing.assert_array_equal(np.concatenate([part.block[k] for part in parts]), array)


def test_three_parts_are_read_while_the_first_is_used(monkeypatch):
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 10 * 5 * 4)
    given = threading.Semaphore(0)

    class Counted(Blocks):
        def open(self, cursor=0):
            for block in super().open(cursor):
                given.release()
                yield block

    X, y, _ = rows(120)
    parts = StreamReader(Counted(X, y, sizes=(40,)), FLOAT32).parts(n_threads=2)
    next(parts)
    # Of the first block's four parts, whether the last one is the stream's shows in the second block.
    assert all(given.acquire(timeout=20) for _ in range(2))
    parts.close()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(("name", "batch_size"), [("neuron", 1), ("neuron", 32), ("two Linears in a row", 32)])
@pytest.mark.parametrize("n_samples", [1, 640, 1003])
def test_a_stream_trains_to_the_bits_of_its_rows(n_samples, name, batch_size, is_weighted, n_threads, monkeypatch):
    X, y, weights = rows(n_samples)
    weights = weights if is_weighted else None
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * 5 * 4)
    results = []
    for n_known in (None, n_samples):
        stream = Blocks(X, y, weights, sizes=(3, 150, 1), n_samples=n_known)
        for data in ({"X": stream}, {"X": X, "y": y, "sample_weight": weights}):
            model = model_of(name, "float32")
            size = min(batch_size, n_samples)
            trainer = gd.Trainer(model, optimizer=gd.SGD(0.05), batch_size=size, n_threads=n_threads)
            trainer.fit(**data, epochs=3, validation=(X, y))
            results.append((model.parameters.copy(), trainer.history.loss, trainer.history.validation_loss))
    for parameters, *losses in results[1:]:
        np.testing.assert_array_equal(parameters, results[0][0])
        assert losses == [*results[0][1:]]


def test_what_is_learnt_of_scales_is_used(monkeypatch):
    """Features in float64, far from zero, standardised into a float32 model."""
    X, y, _ = rows(700, dtype="float64")
    X = 1e6 + X
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * 5 * 8)
    results = []
    for data in ((Blocks(X, y, sizes=(64,)),), (X, y)):
        model = gd.Model([gd.Standardize(5), gd.Linear(5, 1)], seed=0)
        model.layers[0].fit(X)
        gd.Trainer(model, optimizer=gd.SGD(0.01), n_threads=2).fit(*data)
        results.append(model.parameters)
    np.testing.assert_array_equal(*results)


def trainer_of(*layers, **options):
    return gd.Trainer(gd.Model([*layers, gd.Linear(5, 1)], seed=0), **{"optimizer": gd.SGD(0.01)} | options)


@pytest.mark.parametrize(
    ("trainer", "options", "message"),
    [
        (lambda: trainer_of(shuffle=True), {}, "shuffle is True"),
        (lambda: trainer_of(optimizer=gd.SGD("auto")), {}, 'the learning rate is "auto"'),
        (lambda: trainer_of(optimizer="auto", batch_size=8), {}, 'the learning rate is "auto"'),
        (lambda: trainer_of(batch_size=None), {}, "batch_size is None"),
        (lambda: trainer_of(metrics=["r2"]), {}, "expected validation data"),
        (trainer_of, {"validation": 0.1}, "validation is 0.1 of a stream's rows"),
    ],
)
def test_what_needs_rows_in_any_order_says_so(trainer, options, message):
    """Before any row is read."""

    class Untouched(Blocks):
        def open(self, cursor=0):
            raise AssertionError("rows were read")

    X, y, _ = rows(50)
    with pytest.raises(ValueError, match=message):
        trainer().fit(Untouched(X, y), **options)


@pytest.mark.parametrize("layer", [gd.Standardize, gd.RobustStandardize])
@pytest.mark.parametrize("n_samples", [None, 700])
@pytest.mark.parametrize("with_weights", [False, True])
def test_scales_are_learnt_in_a_pass_of_their_own(layer, n_samples, with_weights, monkeypatch):
    """With the bits of the same rows in memory, whatever the stream's blocks, and the weights of rows."""
    X, y, weights = rows(700)
    weights = weights if with_weights else None
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * 5 * 4)
    learnt = []
    for data in ((Blocks(X, y, weights, (64, 3), n_samples),), (X, y, 2, weights)):
        trainer = trainer_of(layer(5), standardize_targets=True, n_threads=2)
        trainer.fit(*data) if len(data) > 1 else trainer.fit(*data, epochs=2)
        first, *_, last = trainer.model.layers
        learnt.append((*first.mean_and_scale[:2], *last.mean_and_scale, trainer.model.parameters))
    for streamed, expected in zip(*learnt, strict=True):
        np.testing.assert_array_equal(streamed, expected)
    np.testing.assert_array_equal(layer(5).fit(Blocks(X, y)).mean, layer(5).fit(X).mean)


def test_scales_of_what_is_read_once():
    X, y, _ = rows(50)
    blocks = gd.data.from_blocks(iter([(X, y)]))
    with pytest.raises(ValueError, match=r"read only once; expected a function .*model.layers\[0\].fit\(X\)"):
        trainer_of(gd.Standardize(5)).fit(blocks)
    # And not one of its rows was used up.
    assert len(trainer_of().fit(blocks)) == 1


def test_nothing_is_learnt_of_rows_that_training_refuses():
    X, y, _ = rows(50)
    y[30] = 0.5
    trainer = trainer_of(gd.Standardize(5), loss="hinge")
    with pytest.raises(ValueError, match=r"in row 30; hinge expects"):
        trainer.fit(Blocks(X, np.where(y == 0.5, y, 1)))
    assert trainer.model.layers[0].mean is None
    X[20, 3] = np.nan
    with pytest.raises(ValueError, match=r"X holds nan.*row 20, column 3"):
        trainer.fit(Blocks(X, np.ones_like(y)))
    assert trainer.model.layers[0].mean is None


def test_a_shuffle_that_a_callback_asks_for():
    X, y, _ = rows(50)
    trainer = trainer_of()
    with pytest.raises(ValueError, match="shuffle is True"):
        trainer.fit(Blocks(X, y), epochs=2, callbacks=[lambda trainer, record: setattr(trainer, "shuffle", True)])
    assert len(trainer.history) == 1


def test_a_full_batch_of_a_known_size():
    X, y, _ = rows(50)
    results = []
    for data in ((Blocks(X, y, n_samples=50),), (X, y)):
        trainer = trainer_of(batch_size=None)
        trainer.fit(*data, epochs=2)
        results.append(trainer.model.parameters)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (lambda X, y: Blocks(X[:0], y[:0]), "the stream has no rows"),
        (lambda X, y: Blocks(X, y, n_samples=51), "ended after 50 rows; expected n_samples, 51"),
        (lambda X, y: Blocks(X, y[:45], sizes=(20,)), r"shapes \(\(10, 5\), \(5, 1\), \(0,\)\) after row 40"),
    ],
)
def test_streams_that_are_not_what_they_say(stream, message):
    X, y, _ = rows(50)
    with pytest.raises(ValueError, match=message):
        trainer_of().fit(stream(X, y))


def test_bad_values_are_named_by_their_rows():
    X, y, _ = rows(90)
    X[77, 2] = np.inf
    with pytest.raises(ValueError, match=r"X holds inf .* in row 77, column 2"):
        trainer_of(batch_size=4).fit(Blocks(X, y))


def test_only_training_takes_a_stream():
    X, y, _ = rows(50)
    stream, model = Blocks(X, y), gd.Model([gd.Linear(5, 1)])
    with pytest.raises(TypeError, match=r"X is a Blocks, and only Trainer\.fit takes a Stream"):
        model.loss(stream)
    with pytest.raises(TypeError, match="a Stream brings its own targets"):
        trainer_of().fit(stream, y)


@pytest.mark.parametrize("progress", [True, "epochs"])
def test_progress_without_a_number_of_rows(progress, capsys):
    X, y, _ = rows(50)
    trainer_of().fit(Blocks(X, y), progress=progress)
    assert "loss" in capsys.readouterr().err
