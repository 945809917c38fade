"""Shards of .npy files: the rows that arrays of them have, and errors that name file and rows."""

import os
import pickle
import threading
from itertools import pairwise

import numpy as np
import pytest

import fastgd as gd
from fastgd.data import npy
from fastgd.data import reader as readers
from fastgd.data.base import first_rows
from fastgd.data.block import allocate
from fastgd.data.chunks import chunked
from fastgd.data.chunks.shards import npy_dataset

N_ROWS, N_FEATURES = 640, 5
FLOAT32 = np.dtype(np.float32)


@pytest.fixture
def arrays(rng):
    X = rng.standard_normal((N_ROWS, N_FEATURES)).astype("float32")
    return X, X[:, :1] - X[:, 1:2], rng.uniform(0, 2, N_ROWS).astype("float32")


def write(folder, arrays, cuts=(0, 1, 1, 300, N_ROWS), names="{part}-{k}.npy", layout=np.ascontiguousarray):
    """Shards between cuts, one of them empty."""
    folder.mkdir(exist_ok=True)
    for k, (begin, end) in enumerate(pairwise(cuts)):
        for part, array in zip(("X", "y", "sample_weight"), arrays, strict=False):
            path = folder / names.format(part=part, k=k)
            path.parent.mkdir(exist_ok=True)
            np.save(path, layout(array[begin:end]))
    return folder


def trainer(**settings):
    model = gd.Model([gd.Linear(N_FEATURES, 1)], seed=0)
    return gd.Trainer(model, **{"optimizer": gd.SGD(0.01), "batch_size": 4} | settings)


def trained(*data, **options):
    settings = {name: options.pop(name) for name in ("shuffle", "n_threads") if name in options}
    run = trainer(**settings)
    run.fit(*data, epochs=2, **options)
    return [*run.model.parameters, *run.history.loss, *run.history.validation_loss]


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in ({}, {"shuffle": True, "validation": 0.2, "n_threads": 2})
        ),
    ],
)
def test_shards_train_to_the_bits_of_their_rows(options, arrays, tmp_path, monkeypatch):
    """Few rows are shuffled alike, too."""
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * N_FEATURES * 4)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)
    X, y, weights = arrays
    for k, layout in enumerate((np.ascontiguousarray, np.asfortranarray, lambda part: part.astype(">f4"))):
        data = gd.data.open(write(tmp_path / str(k), arrays, layout=layout))
        assert trained(data, **options) == trained(X, y, sample_weight=weights, **options)


@pytest.mark.parametrize("names", ["{part}{k}.npy", "{part}_{k}.npy", "part {k}/{part}.npy"])
def test_shards_come_in_the_order_of_their_numbers(names, tmp_path):
    rows = np.arange(24.0)[:, None]
    data = gd.data.open(write(tmp_path / "shards", (rows, rows), cuts=np.arange(0, 25, 2), names=names))
    np.testing.assert_array_equal(data.arrays()[0], rows)


def test_shards_of_several_dtypes(arrays, tmp_path):
    X, y, _ = arrays
    write(tmp_path, (X, y.ravel()))
    np.save(tmp_path / "X-2.npy", X[1:300].astype("float64") * 1e60)
    data = gd.data.open(tmp_path)
    assert data.dtype == "float64"
    np.testing.assert_array_equal(first_rows(data, 2, data.dtype).X, [X[0], X[1].astype("float64") * 1e60])


@pytest.mark.parametrize("is_held", [False, True])
def test_rows_are_read_in_any_order(is_held, arrays, tmp_path, rng):
    data = gd.data.open(write(tmp_path, arrays))
    if is_held:
        data.prefetch(np.array([320]))
    rows = rng.integers(0, N_ROWS, 200)
    block = allocate(data, 200, FLOAT32)
    pickle.loads(pickle.dumps(data)).read(rows, block)
    again = allocate(data, 200, FLOAT32)
    data.read(rows, again)
    for k, array in enumerate(arrays):
        np.testing.assert_array_equal(block[k], array[rows])
        np.testing.assert_array_equal(again[k], array[rows])
    for some in (rows, np.tile(rows, 2)):
        found = data.targets(np.dtype(np.float64), (np.array([1.0]), np.array([2.0])), indices=some)
        np.testing.assert_array_equal(found.y, (arrays[1][some].astype("float64") - 1) * 2)
        np.testing.assert_array_equal(found.sample_weight, arrays[2][some])


def test_rows_whose_chunks_make_room_while_they_are_copied(tmp_path, monkeypatch, rng):
    """As another thread may have others held meanwhile: what was overwritten is read once more."""
    monkeypatch.setattr(chunked, "_CHUNK_BYTES", 40)
    rows = rng.random((60, 5), np.float32)
    data = gd.data.open(write(tmp_path, (rows, rows[:, :1]), cuts=(0, 60)))
    data.window_rows = 4
    data.prefetch(np.arange(8))
    wanted, take = np.array([7, 0, 30, 3]), chunked.take_rows

    def hold_others_first(*arguments, **options):
        data.prefetch(np.arange(40, 60))
        take(*arguments, **options)

    block = allocate(data, 4, FLOAT32)
    monkeypatch.setattr(chunked, "take_rows", hold_others_first)
    data.read(wanted, block)
    np.testing.assert_array_equal(block.X, rows[wanted])
    np.testing.assert_array_equal(block.y, rows[wanted, :1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_large_file_is_read_and_not_held(shuffle, arrays, tmp_path, monkeypatch):
    """To the bits of its rows; one that is cut off meanwhile is an error that names file and row."""
    monkeypatch.setattr(npy, "_HELD_BYTES", 1000)
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 100 * N_FEATURES * 4)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)
    gd.data.ArrayDataset(*arrays).save(tmp_path)
    data = gd.data.open(tmp_path)
    assert not data.is_in_memory
    options = {"shuffle": shuffle, "n_threads": 2}
    assert trained(data, **options) == trained(*arrays[:2], sample_weight=arrays[2], **options)
    data, run = gd.data.open(tmp_path), trainer(shuffle=shuffle, n_threads=2)
    size = (tmp_path / "X.npy").stat().st_size
    read = type(data).read

    def cut_first(self, rows, out):
        os.truncate(tmp_path / "X.npy", size // 2)
        read(self, rows, out)

    monkeypatch.setattr(type(data), "read", cut_first)
    monkeypatch.setattr(type(data), "prefetch", lambda *_: None)
    with pytest.raises(ValueError, match=r"X\.npy ends in row 31\d, and had 640 rows when it was opened"):
        run.fit(data)
    assert np.isfinite(run.model.parameters).all()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]


def cut_off(path):
    content = path.read_bytes()
    path.write_bytes(content[:-30])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: cut_off(folder / "X-3.npy"),
            r"X-3\.npy is cut off: it says that it has 340 rows, and holds only",
        ),
        (lambda folder: (folder / "X-3.npy").write_bytes(b"no array"), r"X-3\.npy cannot be read as a \.npy array"),
        (
            lambda folder: np.save(folder / "X-3.npy", np.ones((340, 6))),
            r"X-3\.npy has shape \(340, 6\), and .*X-0\.npy",
        ),
        (lambda folder: np.save(folder / "y-3.npy", np.ones(339)), r"y-3\.npy has 339 rows and .*X-3\.npy has 340"),
        (lambda folder: (folder / "y-2.npy").unlink(), r"X-2\.npy has no y beside it, in shard '-2'"),
        (lambda folder: (folder / "y-2.npy").rename(folder / "Y.npy"), r"Y\.npy is neither X\*\.npy nor y\*\.npy"),
    ],
)
def test_shards_that_do_not_fit_are_named(change, message, arrays, tmp_path):
    change(write(tmp_path, arrays[:2]))
    with pytest.raises(ValueError, match=message):
        gd.data.open(tmp_path)


def test_what_is_no_shard(tmp_path):
    np.save(tmp_path / "X-0.npy", np.zeros((0, 3)))
    np.save(tmp_path / "y-0.npy", np.zeros(0))
    with pytest.raises(ValueError, match="there are no rows"):
        gd.data.open(tmp_path)
    np.save(tmp_path / "y-0.npy", np.array(["a"]))
    with pytest.raises(TypeError, match=r"y-0\.npy has dtype <U1; expected real numbers"):
        gd.data.open(tmp_path)
    with pytest.raises(ValueError, match=r"target is 'y', which sharded \.npy files do not take"):
        gd.data.open(tmp_path, target="y")


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (cut_off, ValueError, r"X-3\.npy ends in row 338, and had 340 rows when it was opened"),
        (lambda path: path.unlink(), FileNotFoundError, r"where fastgd read rows 0 to \d+: .*X-3\.npy"),
    ],
)
def test_a_shard_that_is_lost_while_rows_are_read(
    change, error, message, shuffle, arrays, tmp_path, monkeypatch, change_in_a_pass
):
    """The model is as after the last good update, the other rows can still be read, and no thread is left."""
    monkeypatch.setattr(readers, "_BLOCK_BYTES", 10 * N_FEATURES * 4)
    monkeypatch.setattr(readers, "_WORTH_A_THREAD", 0)
    data = gd.data.open(write(tmp_path, arrays))
    change(tmp_path / "X-3.npy")
    run = trainer(shuffle=shuffle, n_threads=2)
    before = run.model.parameters.copy()
    with pytest.raises(error, match=message):
        run.fit(data)
    assert np.isfinite(run.model.parameters).all()
    assert (run.model.parameters == before).all() == shuffle
    assert not [thread for thread in threading.enumerate() if thread.name == "fastgd reader"]
    assert first_rows(data, 300, FLOAT32).X.shape == (300, N_FEATURES)


def test_many_shards_of_one_row(tmp_path):
    """More than a process may have open."""
    rows = np.random.default_rng(0).random((600, 2), np.float32)
    data = gd.data.open(write(tmp_path, (rows, rows[:, :1]), cuts=range(601)))
    for _ in range(2):
        np.testing.assert_array_equal(data.arrays()[0], rows)
    assert len(data._X._open) <= 32


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_row_that_training_refuses_is_called_by_its_file(shuffle, tmp_path):
    """But where there is one file alone."""
    X = np.ones((300, 2), np.float32)
    X[170, 1] = np.nan
    for k in range(3):
        np.save(tmp_path / f"X-{k}.npy", X[100 * k : 100 * k + 100])
        np.save(tmp_path / f"y-{k}.npy", np.ones(100))
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), optimizer=gd.SGD(0.01), shuffle=shuffle)
    with pytest.raises(ValueError, match=r"X holds nan .* in row 70 of .*X-1\.npy, column 1; expected"):
        trainer.fit(gd.data.open(tmp_path))
    one = npy_dataset(tmp_path / "X-1.npy", tmp_path / "y-1.npy")
    with pytest.raises(ValueError, match=r"X holds nan \(as float32\) in row 70, column 1; expected"):
        trainer.fit(one)
