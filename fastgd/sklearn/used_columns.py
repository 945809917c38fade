"""A linear model of those columns of sparse rows alone that hold something: of hashed words, few do."""

import copy

import numpy as np

from fastgd.data.base import Dataset
from fastgd.data.sparse import SparseDataset
from fastgd.layers import Layer, Linear
from fastgd.model import Model
from fastgd.standardize import Standardize

# A copy of the numbers of the columns, of 4 or 8 bytes an entry, is small beside what L-BFGS holds for a weight.
_ENTRIES_PER_WEIGHT = 32


def used_columns(model: Model, dataset: Dataset) -> np.ndarray | None:
    """The columns that some row has an entry in, in their order; None where they are most of all, or none, or rows are
    not sparse and in memory, or too many.
    """
    if not isinstance(dataset, SparseDataset):
        return None
    columns = dataset.X.used_columns()
    n_weights = len(columns) * model.out_features
    is_worth_it = 0 < 2 * len(columns) <= model.in_features and dataset.X.n_entries <= _ENTRIES_PER_WEIGHT * n_weights
    return columns if is_worth_it else None


class UsedColumns:
    """A model, rows and parameters without the columns that no row has: no gradient ever reaches their weights.

    model : starts with a Linear, its only one, or with a Standardize before it
    columns : (n_used,) int64, as of `used_columns`
    """

    def __init__(self, model: Model, dataset: SparseDataset, columns: np.ndarray) -> None:
        self._columns, self._whole = columns, model
        self._n_features, self._n_outputs = model.in_features, model.out_features
        self.dataset = copy.copy(dataset)
        self.dataset.X, self.dataset.n_features = dataset.X.with_columns(columns), len(columns)
        self.dataset.feature_names = None
        self.model = Model([self._layer(layer) for layer in model.layers], model.dtype)
        self.model.parameters = self._used(model.parameters)

    def of_all_columns(self, parameters: np.ndarray, is_penalized: bool) -> np.ndarray:
        """The parameters of the whole model.

        is_penalized : whether weights of columns that no row has are better zero than as they are
        """
        n_weights = self._n_outputs * self._n_features
        whole = self._whole.parameters.astype(np.float64)
        if is_penalized:
            whole[:n_weights] = 0
        used = parameters[: self._n_outputs * len(self._columns)].reshape(self._n_outputs, -1)
        whole[:n_weights].reshape(self._n_outputs, -1)[:, self._columns] = used
        whole[n_weights:] = parameters[used.size :]
        return whole

    def _used(self, parameters: np.ndarray) -> np.ndarray:
        n_weights = self._n_outputs * self._n_features
        weights = parameters[:n_weights].reshape(self._n_outputs, -1)[:, self._columns]
        return np.concatenate([weights.ravel(), parameters[n_weights:]])

    def _layer(self, layer: Layer) -> Layer:
        if isinstance(layer, Linear):
            return Linear(len(self._columns), self._n_outputs, bias=layer.has_bias, init="zeros")
        if isinstance(layer, Standardize):
            layer = copy.copy(layer)
            layer.n_features = len(self._columns)
            layer.mean, layer.scale = layer.mean[self._columns], layer.scale[self._columns]
        return layer
