"""Estimators on data sets: what they learn from the arrays that these are of."""

import numpy as np
import pytest
from scipy import sparse

import fastgd as gd
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


def test_what_does_not_fit(arrays):
    X, y, _ = arrays
    data = sliced_dataset(Stored(X), y)
    model = GDRegressor(**SETTINGS)
    for arguments, error, message in (
        ((data, y), TypeError, "brings its own targets"),
        ((data, None, y), TypeError, "expected sample_weight to be None"),
        ((sliced_dataset(Stored(X)),), ValueError, "the data set has no targets"),
        ((gd.data.from_blocks([(X, y)]),), TypeError, "X is a BlockStream, whose rows come in one order"),
        ((sliced_dataset(Stored(X), np.where(y > 1, np.nan, y)),), ValueError, r"y holds \[nan\] in row"),
    ):
        with pytest.raises(error, match=message):
            model.fit(*arguments)
    model.fit(data)
    with pytest.raises(ValueError, match="X has 2 features, but GDRegressor is expecting 3"):
        model.predict(sliced_dataset(Stored(X[:, :2])))
