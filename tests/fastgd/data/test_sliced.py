"""Arrays that are read by slices: those of h5py, and others that say how they are stored in chunks."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.data.chunks.sliced import is_sliced, sliced_dataset


class Stored:
    """As libraries have them, in chunks; it says which slices were asked for."""

    def __init__(self, array, chunks):
        self._array, self.shape, self.dtype, self.chunks, self.slices = array, array.shape, array.dtype, chunks, []

    def __getitem__(self, rows):
        self.slices.append((rows.start, rows.stop))
        return self._array[rows]


@pytest.fixture
def arrays(rng):
    X = rng.standard_normal((640, 5)).astype("float32")
    return X, X[:, 0] - X[:, 1], rng.uniform(0, 2, 640)


def trained(*data, **options):
    settings = {name: options.pop(name) for name in ("shuffle",) if name in options}
    model = gd.Model([gd.Linear(5, 1)], seed=0)
    gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4, **settings).fit(*data, epochs=2, **options)
    return model.parameters.tolist()


@pytest.mark.parametrize("chunks", [None, (100, 5), ((300, 300, 40), (5,))])
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"shuffle": True, "validation": 0.2}])
def test_slices_train_to_the_bits_of_their_rows(chunks, options, arrays):
    X, y, weights = arrays
    stored = [Stored(array, chunks) for array in arrays]
    expected = trained(X, y, sample_weight=weights, **options)
    assert trained(stored[0], stored[1], sample_weight=stored[2], **options) == expected
    assert trained(stored[0], y, sample_weight=weights, **options) == expected
    assert all(stop <= 640 for _, stop in stored[0].slices)


def test_predictions_read_no_more_than_blocks(arrays):
    X, y, _ = arrays
    model = gd.Model([gd.Linear(5, 1, init="zeros")])
    np.testing.assert_array_equal(model.predict(Stored(X, (100, 5))), model.predict(X))
    assert model.loss(Stored(X, None), Stored(y, None)) == model.loss(X, y)


def test_chunks_are_read_whole(arrays):
    """However few bytes they have, several at a time."""
    data = sliced_dataset(Stored(np.zeros((1_000_000, 2)), (1000, 2)), np.zeros(1_000_000))
    assert set(np.diff(data.starts)) == {65_000}
    large = sliced_dataset(Stored(np.zeros((1_000_000, 2)), (300_000, 2)), np.zeros(1_000_000))
    assert large.starts.tolist() == [0, 300_000, 600_000, 900_000]


def test_what_does_not_fit_is_named(arrays):
    X, y, _ = arrays
    for data, error, message in (
        ((Stored(X.astype("U"), None), y), TypeError, "X has dtype <U32; expected real numbers"),
        ((Stored(X[:, 0], None), y), ValueError, r"X has shape \(640,\); expected \(n_samples, n_features\)"),
        ((Stored(X, None), Stored(y[:5], None)), ValueError, "y has 5 rows and X has 640"),
        ((Stored(X[:0], None), y[:0]), ValueError, "there are no rows"),
    ):
        with pytest.raises(error, match=message):
            trained(*data)
    stored = Stored(X, None)
    data = sliced_dataset(stored, y)
    stored._array = X[:600]
    with pytest.raises(ValueError, match=r"X gave \d+ rows for rows 0 to 640, and had 640 rows when it was opened"):
        trained(data)


def test_arrays_in_memory_are_not_sliced(arrays):
    assert not any(map(is_sliced, (*arrays, arrays[0].tolist(), memoryview(b"ab"))))


def test_hdf5(arrays, tmp_path):
    h5py = pytest.importorskip("h5py")
    X, y, weights = arrays
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(100, 5), compression="gzip")
        file["y"], file["more/weights"] = y, weights
    data = gd.data.open(tmp_path / "rows.h5", weight="more/weights")
    assert trained(data, shuffle=True) == trained(X, y, sample_weight=weights, shuffle=True)
    with h5py.File(tmp_path / "rows.h5") as file:
        assert trained(file["X"], file["y"]) == trained(X, y)
    with pytest.raises(ValueError, match="has no array 'z'; expected target= one of X, more/weights, y"):
        gd.data.open(tmp_path / "rows.h5", target="z")
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"bad\.h5 cannot be read as HDF5"):
        gd.data.open(tmp_path / "bad.h5")
