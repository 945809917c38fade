"""Estimators on data sets: what they learn from the arrays that these are of."""

import errno
import tempfile

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import fastgd as gd
from fastgd.data import spooled
from fastgd.data.chunks.sliced import sliced_dataset
from fastgd.sklearn import GDClassifier, GDRegressor


class Stored:
    """A matrix that is read by slices."""

    chunks = (50, 3)

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        return self._array[rows]


SETTINGS = {"max_iter": 3, "tol": None, "random_state": 0, "solver": "sgd", "learning_rate_init": 0.01}


@pytest.fixture
def arrays(rng):
    X = rng.standard_normal((300, 3)).astype("float32")
    return X, X[:, 0] - X[:, 1], rng.uniform(0.5, 2, 300)


def test_regression(arrays):
    X, y, weights = arrays
    one, other = (GDRegressor(early_stopping=True, **SETTINGS) for _ in range(2))
    one.fit(sliced_dataset(Stored(X), y, weights))
    other.fit(X, y, weights)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.n_features_in_ == 3
    np.testing.assert_array_equal(one.predict(sliced_dataset(Stored(X))), other.predict(X))


@pytest.mark.slow
def test_classification(arrays):
    X, y, _ = arrays
    labels = 3 + 2 * (y > 0)
    one, other = (GDClassifier(**SETTINGS) for _ in range(2))
    one.fit(sliced_dataset(Stored(X), labels), X_val=sliced_dataset(Stored(X), labels))
    other.fit(X, labels)
    assert one.classes_.tolist() == [3, 5]
    np.testing.assert_array_equal(one.coef_, other.coef_)


@pytest.mark.slow
def test_sparse_rows(arrays, tmp_path):
    X, y, _ = arrays
    matrix = sparse.csr_array(X * (X > 1))
    sparse.save_npz(tmp_path / "X-0.npz", matrix)
    np.save(tmp_path / "y-0.npy", y)
    one, other = (GDRegressor(**SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(one.fit(gd.data.open(tmp_path)).coef_, other.fit(matrix, y).coef_)


@pytest.mark.parametrize(("kept_bytes", "n_known"), [(0, None), (1000, None), (1000, 300), (1 << 30, 300)])
@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_streams(kind, kept_bytes, n_known, arrays, monkeypatch, tmp_path):
    """Of blocks of two dtypes: in memory or in temporary files, the bits are those of arrays, and no file stays."""
    X, y, v = arrays
    y = y if kind is GDRegressor else (y > 1).astype(float)
    monkeypatch.setattr(spooled, "KEPT_BYTES", kept_bytes)
    monkeypatch.setattr(spooled, "SHARD_BYTES", 500)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parts = [slice(k, k + 40) for k in range(0, len(X), 40)]
    blocks = [(X[part], y[part].astype(np.float64 if part.start else np.float32), v[part]) for part in parts]
    settings = SETTINGS | {"early_stopping": True}
    one, other = (kind(**settings) for _ in range(2))
    given = gd.data.from_blocks(iter(blocks))
    given.n_samples = n_known
    one.fit(given, X_val=lambda: iter(blocks[:2]))
    n_rows = 80
    other.fit(X, y, v, X_val=X[:n_rows], y_val=y[:n_rows], sample_weight_val=v[:n_rows])
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.loss_curve_ == other.loss_curve_
    assert one.validation_loss_curve_ == other.validation_loss_curve_
    np.testing.assert_array_equal(one.predict(gd.data.from_blocks(blocks)), other.predict(X))
    assert one.score(iter(blocks)) == pytest.approx(other.score(X, y, v), rel=1e-6)
    np.testing.assert_array_equal(one.partial_fit(blocks).coef_, other.partial_fit(X, y, sample_weight=v).coef_)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(arrays, monkeypatch, tmp_path):
    X, y, _ = arrays
    monkeypatch.setattr(spooled, "KEPT_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spooled.np, "save", full)
    with pytest.raises(OSError, match="No space") as caught:
        GDRegressor(**SETTINGS).fit(gd.data.from_blocks([(X, y)]))
    assert "TMPDIR" in caught.value.__notes__[0]
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_cannot_be_read_is_not_a_full_disk(arrays, monkeypatch, tmp_path):
    X, y, _ = arrays
    monkeypatch.setattr(spooled, "KEPT_BYTES", 0)
    monkeypatch.setattr(spooled, "SHARD_BYTES", 500)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def blocks():
        yield X[:200], y[:200]
        raise FileNotFoundError("rows.csv is gone")

    with pytest.raises(FileNotFoundError, match="is gone") as caught:
        GDRegressor(**SETTINGS).fit(gd.data.from_blocks(blocks))
    assert not any("TMPDIR" in note for note in getattr(caught.value, "__notes__", []))
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_read_leave_an_estimator_as_it_was(arrays):
    X, y, _ = arrays

    class Gone(Stored):
        def __getitem__(self, rows):
            raise OSError("the disk is gone")

    fitted, new = GDRegressor(**SETTINGS).fit(X, y), GDRegressor(**SETTINGS)
    for estimator in (fitted, new):
        before = dict(vars(estimator))
        with pytest.raises(OSError, match="the disk is gone"):
            estimator.fit(sliced_dataset(Gone(X[:, :2]), y))
        assert vars(estimator) == before
    assert fitted.predict(X).shape == (300,)


def test_what_does_not_fit(arrays):
    X, y, _ = arrays
    data = sliced_dataset(Stored(X), y)
    model = GDRegressor(**SETTINGS)
    for arguments, error, message in (
        ((data, y), TypeError, "brings its own targets"),
        ((data, None, y), TypeError, "expected sample_weight to be None"),
        ((sliced_dataset(Stored(X)),), ValueError, "the data set has no targets"),
        ((gd.data.from_blocks([(X[:0], y[:0])]),), ValueError, "no rows"),
        ((sliced_dataset(Stored(X), np.where(y > 1, np.nan, y)),), ValueError, r"y holds \[nan\] in row"),
    ):
        with pytest.raises(error, match=message):
            model.fit(*arguments)
    model.fit(data)
    assert model.score(data) == pytest.approx(model.score(X, y), rel=1e-6)
    assert model.score(data, y) == model.score(sliced_dataset(Stored(X)), y) == model.score(X, y)
    with pytest.raises(TypeError, match="y is None; expected the targets of X"):
        model.score(X)
    with pytest.raises(ValueError, match="X has 2 features, but GDRegressor is expecting 3"):
        model.predict(sliced_dataset(Stored(X[:, :2])))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_words_and_truths_of_a_table_are_the_classes(suffix, tmp_path):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(
        word=np.where(X[:, 0] > 0, "yes", "no"), truth=X[:, 1] > 0, count=np.digitize(X[:, 0], [-1, 1])
    )
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    for target, expected in (("word", ["no", "yes"]), ("truth", [False, True]), ("count", [0, 1, 2])):
        categories = {"word": "auto"} if target == "word" else None
        data = gd.data.open(path, target=target, features=["a", "b"], categories=categories)
        found = GDClassifier(random_state=0).fit(data)
        assert found.classes_.tolist() == expected
        assert found.score(data) == found.score(frame[["a", "b"]], frame[target]) > 0.8
        if target == "word":
            with pytest.raises(TypeError, match=r"targets are words, as '(yes|no)'; expected GDClassifier, or numbers"):
                GDRegressor().fit(data)
        else:
            assert GDRegressor().fit(data).score(data) > 0.3
