"""What the estimators on a cluster are besides the local ones: how they find rows, train and predict."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted, validate_data

from fastgd.dask import collections
from fastgd.dask.cluster import Source, client_or_current, source_of, trained_on_cluster
from fastgd.dask.waiting import gathered
from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.losses import Loss
from fastgd.sklearn.base import GradientDescent
from fastgd.sklearn.rows import Found, Given, require_given, weighted

if TYPE_CHECKING:
    import dask.array
    from distributed import Client

_REPLICAS = 4
# What blocks of rows need not know to be predicted.
_OF_TRAINING = {
    "trainer_",
    "callbacks_",
    "callbacks",
    "_stopping",
    "_scales",
    "feature_names_in_",
    "_source",
    "_client",
}


class OnCluster(GradientDescent):
    """What both are besides the local ones, of which each is a kind."""

    #: The local estimator.
    _local: ClassVar[type[GradientDescent]]
    _client: "Client | None" = None
    _source: Source | None = None
    # A function as X opens what the workers share.
    _takes_blocks = False

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (),
        *,
        replicas: int = _REPLICAS,
        round_rows: int | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__(hidden_layer_sizes, **parameters)
        self.replicas = replicas
        self.round_rows = round_rows

    @classmethod
    def _name_in_files(cls) -> str:
        return f"fastgd.dask.{cls.__name__}"

    @property
    def _settings_of_replicas(self) -> Mapping[str, Any]:
        return {"replicas": self.replicas, "round_rows": self.round_rows}

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        client: "Client | None" = None,
    ) -> Self:
        """Learn from rows on a cluster, in up to `max_iter` epochs.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features), Dataset, or callable that opens one
            Numbers. A Dataset or callable, as for `fastgd.dask.fit`, brings y, of which the client holds a copy; of a
            classifier it has the classes 0, 1, ..., and it has no weights.
        y : Dask array, or column or frame, of shape (n_samples,) or (n_samples, n_outputs)
            Numbers; of a classifier labels, one a row.
        sample_weight : Dask array or column of shape (n_samples,), optional
            As for the local estimator.
        X_val, y_val, sample_weight_val : arrays or frames, of Dask or of this process, optional
            Rows to validate on, which come to this process; early_stopping=True needs them.
        coef_init, intercept_init : array-likes, optional
            As for the local estimator.
        client : distributed.Client, optional
            By default the current one.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, fastgd.DivergenceError, RuntimeError
            As for the local estimator and for `fastgd.dask.fit`.
        """
        self._client = client_or_current(client)
        try:
            return super().fit(
                X,
                y,
                sample_weight,
                X_val=X_val,
                y_val=y_val,
                sample_weight_val=sample_weight_val,
                coef_init=coef_init,
                intercept_init=intercept_init,
            )
        finally:
            for name in ("_client", "_source"):
                vars(self).pop(name, None)

    @property
    def partial_fit(self) -> Any:
        """None: blocks of a stream are for the local estimators."""
        raise AttributeError(
            f"a {type(self).__name__} of fastgd.dask has no partial_fit; expected fit, with warm_start=True to go on, "
            f"or fastgd.sklearn.{type(self).__name__}"
        )

    # -- what is learnt from

    def _found(self, given: Given, is_partial: bool, goes_on: bool) -> Found:
        n_replicas = checks.integer(self.replicas, "replicas", 2)
        if self.early_stopping and given.X_val is None:
            raise ValueError(
                "early_stopping is True, and rows of the cluster cannot be held out; expected X_val and y_val"
            )
        if self.average is not False:
            raise ValueError(f"average is {self.average!r} with {n_replicas} replicas; expected average=False")
        if goes_on:
            trained = {name: getattr(self.trainer_, name) for name in self._settings_of_replicas}
            for name, value in trained.items():
                if getattr(self, name) != value:
                    raise ValueError(
                        f"{name} was {value!r} when training began and is {getattr(self, name)!r}; expected the same "
                        "to go on, or fit with warm_start=False"
                    )
        find = self._found_in_collections if collections.is_collection(given.X) else self._found_in_dataset
        return find(given, n_replicas, goes_on)

    def _found_in_dataset(self, given: Given, n_replicas: int, goes_on: bool) -> Found:
        if not (isinstance(given.X, Dataset) or callable(given.X)):
            raise TypeError(
                f"X is a {type(given.X).__name__}; expected a Dask array or frame, a Dataset or a callable that opens "
                f"one, or fastgd.sklearn.{type(self).__name__}"
            )
        self._source = source_of(given.X, self._client, n_replicas)
        dataset = self._source.dataset
        if dataset.has_sample_weight:
            raise ValueError("the data set has weights; expected none, or Dask arrays, whose weights are normalised")
        given = given._replace(X=dataset)
        found = super()._found(given._replace(X_val=None, y_val=None, sample_weight_val=None), False, goes_on)
        own = dataset.targets(np.dtype(np.float64)).y
        if found.learnt.has_sample_weight or not np.array_equal(found.learnt.targets(own.dtype).y, own):
            raise ValueError(
                "the data set's targets are not as the loss takes them; expected classes 0, 1, ... for loss='log_loss' "
                "without class_weight, or Dask arrays, which the workers encode"
            )
        held_out = self._given_validation(given, found.architecture.loss, None)
        return found._replace(learnt=dataset, held_out=held_out)

    def _found_in_collections(self, given: Given, n_replicas: int, goes_on: bool) -> Found:
        client = self._client
        X, y = self._collected_features(given.X, reset=not goes_on), given.y
        if y is None:
            raise ValueError("y is None, and X is of Dask; expected a Dask array of targets")
        y = client.persist(collections.column_like(y, "y", X, self._client))
        y = self._noted_on_cluster(y, not goes_on)
        architecture = self._checked_architecture(goes_on)
        v, of_classes = self._weights_on_cluster(given.sample_weight, y, X)
        like = self._encoded(np.zeros((1, *y.shape[1:]), y.dtype), architecture.loss)
        encoded = collections.map_rows(partial(self._blocks_predictor()._encoded, loss=architecture.loss), y, like=like)
        arrays = [X, encoded] if v is None else [X, encoded, v]
        self._source = source_of(arrays, client, n_replicas)
        held_out = self._given_validation(given, architecture.loss, of_classes)
        return Found(X, y, self._source.dataset, held_out, architecture)

    def _collected_features(self, X: Any, reset: bool = False, knows_lengths: bool = True) -> "dask.array.Array":
        """X as an array, once its features were taken note of or compared."""
        array = collections.features(X, self._client, knows_lengths)
        seen = X._meta if collections.is_frame(X) else np.empty((0, array.shape[1]))
        validate_data(self, seen, reset=reset, skip_check_array=True)
        return array

    def _noted_on_cluster(self, y: "dask.array.Array", is_first: bool) -> "dask.array.Array":
        """As `_noted`."""
        raise NotImplementedError

    def _weights_on_cluster(
        self, sample_weight: Any, y: "dask.array.Array", X: "dask.array.Array"
    ) -> tuple["dask.array.Array | None", np.ndarray | None]:
        """Weights of mean 1, or None, and those of classes."""
        v = None if sample_weight is None else collections.column_like(sample_weight, "sample_weight", X, self._client)
        of_classes = self._weights_of_classes_on_cluster(y, v)
        if of_classes is not None:
            arrays = (y,) if v is None else (y, v)
            v = collections.map_rows(partial(_weights_of_rows, of_classes=of_classes), *arrays, like=np.zeros(1))
        if v is None:
            return None, None
        v = self._client.persist(v)
        least, largest, total = collections.range_and_sum(self._client, v)
        if not (least >= 0 and np.isfinite(total)):
            raise ValueError(f"sample_weight goes from {least} to {largest}; expected finite numbers of at least 0")
        if largest == 0:
            raise ValueError("sample_weight: all weights are zero; expected some above zero, to learn from")
        return (None if least == largest else v / (total / len(v))), of_classes

    def _weights_of_classes_on_cluster(self, y: "dask.array.Array", v: "dask.array.Array | None") -> np.ndarray | None:
        return None

    def _given_validation(self, given: Given, loss: Loss, of_classes: np.ndarray | None) -> Dataset | None:
        names = ("X_val", "y_val", "sample_weight_val")
        parts = [getattr(given, name) for name in names]
        are_there = [collections.is_collection(each) for each in parts]
        if any(are_there):
            there = [each for each, is_there in zip(parts, are_there, strict=True) if is_there]
            here = iter(gathered(self._client, self._client.compute(there)))
            parts = [next(here) if is_there else each for each, is_there in zip(parts, are_there, strict=True)]
            given = given._replace(**dict(zip(names, parts, strict=True)))
        return super()._given_validation(given, loss, of_classes)

    def _fit_trainer(self, learnt: Dataset, **options: Any) -> None:
        with trained_on_cluster(self.trainer_, self._source, self._client):
            super()._fit_trainer(learnt, **options)

    # -- predictions

    def _blocks_predictor(self) -> GradientDescent:
        """The local estimator that predicts a block of rows, in one thread."""
        predictor = object.__new__(self._local)
        kept = {name: value for name, value in vars(self).items() if name not in _OF_TRAINING}
        if "model_" in kept:
            # A graph may be computed after training has gone on.
            kept["model_"] = copy.deepcopy(kept["model_"])
        vars(predictor).update(kept, _n_threads=1)
        return predictor

    def _by_blocks(self, method: str, X: Any) -> Any:
        """What a method of the local estimator gives: lazily for rows of Dask, and at once for others."""
        check_is_fitted(self)
        if not collections.is_collection(X):
            return getattr(super(), method)(X)
        return self._from_array(method, self._collected_features(X, knows_lengths=False))

    def _from_array(self, method: str, X: "dask.array.Array") -> "dask.array.Array":
        call = getattr(self._blocks_predictor(), method)
        return collections.map_rows(call, X, like=call(np.zeros((1, X.shape[1]), X.dtype)))

    def predict(self, X: Any) -> Any:
        """As the local estimator's; of Dask arrays and frames a Dask array of the same blocks, not yet computed."""
        return self._by_blocks("predict", X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """As the local estimator's; computed by the default scheduler, which is that of the current client."""
        import dask
        import dask.array as da

        check_is_fitted(self)
        if not collections.is_collection(X):
            return super().score(X, y, sample_weight)
        require_given(y)
        X = self._collected_features(X)
        y = collections.column_like(y, "y", X, self._client)
        given = sample_weight is not None
        v = (
            collections.column_like(sample_weight, "sample_weight", X, self._client)
            if given
            else da.ones(len(X), chunks=X.chunks[:1])
        )
        return self._score(self._from_array("predict", X), y, v, dask.compute)

    def _score(
        self, predicted: "dask.array.Array", y: "dask.array.Array", v: "dask.array.Array", compute: Callable
    ) -> float:
        """Of predictions, targets and weights."""
        raise NotImplementedError


def _weights_of_rows(y: np.ndarray, v: np.ndarray | None = None, *, of_classes: np.ndarray) -> np.ndarray:
    return weighted(v, y, of_classes)
