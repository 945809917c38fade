"""Estimators on Dask arrays and frames: those of `fastgd.sklearn`, whose rows stay on the cluster."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from fastgd import sklearn as local
from fastgd.dask import collections
from fastgd.dask.on_cluster import OnCluster
from fastgd.sklearn.class_learner import has_probabilities

if TYPE_CHECKING:
    import dask.array


class GDRegressor(OnCluster, local.GDRegressor):
    """Regression by gradient descent on a cluster: `fastgd.sklearn.GDRegressor` on Dask arrays and frames.

    All rows stay where they are, but for a pass or two through the client that learns their scales and what a rate must
    bear. Training is that of `gd.Trainer(replicas=...)`; a linear model goes on from there, by passes that the workers
    make, to where its objective is least. What comes of it depends on the data, `random_state`, the number of replicas
    and the length of a round, and never on the workers.

    Parameters
    ----------
    replicas : int, default=4
        How many copies of the model train at once, at least 2; rows are cut into a block for each. As many as there
        are workers, or some more, are busy best.
    round_rows : int, optional
        As for `gd.Trainer`: rows of each replica between two means. A round should take a tenth of a second or more.

    All others are those of `fastgd.sklearn.GDRegressor`. Of what it does, there is no `partial_fit`, `average`, sparse
    rows, nor early stopping without X_val, and "normalized_sgd" is none of the solvers: "auto" is Adagrad in its place.

    Attributes
    ----------
    As of `fastgd.sklearn.GDRegressor`.

    See Also
    --------
    fastgd.dask.fit : The same for any `gd.Trainer`.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastgd.dask import GDRegressor
    >>> X = da.random.default_rng(0).normal(size=(100_000, 20), chunks=(10_000, 20))
    >>> y = X.sum(axis=1)
    >>> with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:  # doctest: +SKIP
    ...     regressor = GDRegressor(random_state=0).fit(X, y)
    ...     print(regressor.score(X, y), regressor.predict(X))
    """

    _local = local.GDRegressor

    def _noted_on_cluster(self, y: "dask.array.Array", is_first: bool) -> "dask.array.Array":
        if y.dtype.kind not in "biuf":
            raise ValueError(f"y has dtype {y.dtype}; expected numbers, or a GDClassifier")
        return self._noted(y, None, is_first)

    def _score(
        self, predicted: "dask.array.Array", y: "dask.array.Array", v: "dask.array.Array", compute: Callable
    ) -> float:
        y, predicted = (each.astype(np.float64).reshape(len(each), -1) for each in (y, predicted))
        v = v.astype(np.float64)[:, None]
        about = y - (v * y).sum(axis=0) / v.sum()
        residual, total = compute((v * (y - predicted) ** 2).sum(axis=0), (v * about**2).sum(axis=0))
        # As scikit-learn's r2_score has it for targets that do not vary.
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(total > 0, 1 - residual / total, np.where(residual > 0, 0.0, 1.0))
        return float(scores.mean())


class GDClassifier(OnCluster, local.GDClassifier):
    """Classification by gradient descent on a cluster: `fastgd.sklearn.GDClassifier` on Dask arrays and frames.

    See `fastgd.dask.GDRegressor` for what is meant by it, and for `replicas` and `round_rows`. Of several labels a row,
    it learns none.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastgd.dask import GDClassifier
    >>> X = da.random.default_rng(0).normal(size=(100_000, 20), chunks=(10_000, 20))
    >>> y = da.where(X.sum(axis=1) > 0, "more", "less")
    >>> with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:  # doctest: +SKIP
    ...     classifier = GDClassifier(random_state=0).fit(X, y)
    ...     print(classifier.score(X, y), classifier.predict_proba(X), classifier.classes_)
    """

    _local = local.GDClassifier

    def decision_function(self, X: Any) -> Any:
        """As the local estimator's, and as `predict`."""
        return self._by_blocks("decision_function", X)

    @available_if(has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """As the local estimator's, and as `predict`."""
        return self._by_blocks("predict_proba", X)

    @available_if(has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """As the local estimator's, and as `predict`."""
        return self._by_blocks("predict_log_proba", X)

    def _noted_on_cluster(self, y: "dask.array.Array", is_first: bool) -> "dask.array.Array":
        if y.ndim > 1 and y.shape[1] != 1:
            raise ValueError(f"y has shape {y.shape}; expected one label a row, or fastgd.sklearn.GDClassifier")
        y = y[:, 0] if y.ndim > 1 else y
        labels = collections.distinct(self._client, y)
        if is_first:
            self._noted(labels, None, is_first=True)
        else:
            self._classes.require_all_in(labels)
        # Others than those of before are found where their rows are.
        return self._client.persist(collections.map_rows(self._classes.numbers, y, like=np.zeros(1, np.int64)))

    def _weights_of_classes_on_cluster(self, y: "dask.array.Array", v: "dask.array.Array | None") -> np.ndarray | None:
        if self.class_weight is None:
            return None
        totals = partial(_totals, n_classes=len(self._classes.labels))
        sums = np.sum(collections.of_blocks(self._client, totals, y, v), axis=0)
        return self._weights_of_classes(np.arange(len(sums)), sums, is_partial=False)

    def _score(
        self, predicted: "dask.array.Array", y: "dask.array.Array", v: "dask.array.Array", compute: Callable
    ) -> float:
        right, total = compute((v * (predicted == y.reshape(-1))).sum(), v.sum())
        return float(right / total)


def _totals(y: np.ndarray, v: np.ndarray | None, n_classes: int) -> np.ndarray:
    """The weight of each class."""
    return np.bincount(y, v, n_classes)


def _with_signature(estimator: type[OnCluster]) -> None:
    """Have a constructor with the parameters of the local estimator's, whose names scikit-learn reads from there."""

    def __init__(self: OnCluster, *arguments: Any, **parameters: Any) -> None:
        OnCluster.__init__(self, *arguments, **parameters)

    own = inspect.signature(OnCluster.__init__).parameters
    of_local = inspect.signature(estimator._local.__init__).parameters
    __init__.__signature__ = inspect.Signature([*of_local.values(), own["replicas"], own["round_rows"]])
    estimator.__init__ = __init__


for _each in (GDRegressor, GDClassifier):
    _with_signature(_each)
