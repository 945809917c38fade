"""What estimators on Dask collections do not take."""

import numpy as np
import pytest
from dask_tables import N_ROWS, QUICK, chunked

pytest.importorskip("distributed")
pytest.importorskip("dask.array")
gd_dask = pytest.importorskip("fastgd.dask")

# What Dask leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_a_bad_row_is_named_and_nothing_is_fitted(client, table):
    X, y = table
    X[333, 1] = np.nan
    regressor = gd_dask.GDRegressor(**QUICK)
    with pytest.raises(ValueError, match="in row 333"):
        regressor.fit(*chunked(X, y))
    assert not hasattr(regressor, "model_")
    assert "_client" not in vars(regressor)


@pytest.mark.slow
def test_going_on_with_other_labels(client, table):
    X, y = table
    labels = np.where(y > np.median(y), "a", "b")
    classifier = gd_dask.GDClassifier(warm_start=True, **QUICK).fit(*chunked(X, labels))
    for others in (np.where(X[:, 0] > 5, "c", labels), np.full(N_ROWS, "a")):
        with pytest.raises(ValueError, match="the same classes as in the previous call to fit"):
            classifier.fit(*chunked(X, others))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"replicas": 1}, ValueError, "replicas"),
        ({"average": True}, ValueError, "average is True with 4 replicas"),
        ({"early_stopping": True}, ValueError, "expected X_val and y_val"),
        ({"solver": "normalized_sgd"}, ValueError, "scales of features of its own"),
        ({"hidden_layer_sizes": (0,)}, ValueError, "hidden_layer_sizes"),
    ],
)
def test_what_is_not_supported(options, error, message, client, table):
    with pytest.raises(error, match=message):
        gd_dask.GDRegressor(**options).fit(*chunked(*table))


def test_rows_that_are_not_supported(client, table):
    X, y = table
    lazy = chunked(X, y)
    with pytest.raises(TypeError, match=r"or fastgd\.sklearn\.GDRegressor"):
        gd_dask.GDRegressor().fit(X, y)
    with pytest.raises(ValueError, match="y is None"):
        gd_dask.GDRegressor().fit(lazy[0])
    with pytest.raises(TypeError, match="expected a Dask array of numbers"):
        gd_dask.GDRegressor().fit(lazy[0][:, 0], lazy[1])
    with pytest.raises(ValueError, match=r"y has shape \(399,\); expected \(400,\)"):
        gd_dask.GDRegressor().fit(lazy[0], lazy[1][1:])
    with pytest.raises(ValueError, match="expected numbers, or a GDClassifier"):
        gd_dask.GDRegressor().fit(lazy[0], lazy[1].astype(str))
    with pytest.raises(ValueError, match="expected one label a row"):
        gd_dask.GDClassifier().fit(lazy[0], lazy[0] > 5)
    with pytest.raises(ValueError, match="holds 1 class"):
        gd_dask.GDClassifier().fit(lazy[0], lazy[1] * 0)
    for weights, message in ((-(lazy[1] ** 2), "expected finite numbers of at least 0"), (0 * lazy[1], "are zero")):
        with pytest.raises(ValueError, match=message):
            gd_dask.GDRegressor().fit(*lazy, weights)
    with pytest.raises(AttributeError, match="has no partial_fit"):
        gd_dask.GDRegressor().partial_fit(X, y)
    assert not hasattr(gd_dask.GDClassifier(loss="hinge"), "predict_proba")
