"""A model: what it predicts, its losses and gradients, and how it is saved."""

import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import evaluation, storage
from fastgd.class_predictions import ClassPredictions
from fastgd.data import checks
from fastgd.data.as_dataset import array_dataset, as_dataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.block import require_finite
from fastgd.data.block_rows import blocks_of
from fastgd.errors import warn
from fastgd.export.methods import ExportMethods
from fastgd.folding import folded
from fastgd.labels import shown
from fastgd.losses import Loss, LossName, as_loss
from fastgd.model_data import check_fits, checked_blocks, row_number
from fastgd.network import NetworkForCall, predict_rows

if TYPE_CHECKING:
    from fastgd.summary import Summary


class Model(ClassPredictions, ExportMethods):
    """A network: layers applied one after another to rows of features.

    Parameters
    ----------
    layers : sequence of layers
        At least one Linear; each layer's width must fit the next. They are copied: `model.layers` holds the model's.
        A Standardize may stand first, and a StandardizedTargets last, after a Linear.
    dtype : "float32" or "float64"
        Of the parameters and of all arithmetic.
    seed : int
        Of the initial weights, at least 0. Each layer has its own by its place, where layers without weights count.

    Attributes
    ----------
    layers : tuple of layers
        Each Linear's `weight` and `bias` are writable views into `parameters`, the weight row by row before the bias.
    in_features, out_features : int
    dtype : numpy dtype
    feature_names, target_names : tuple of str, or None
        The column names of the table or frame that the model was trained on; None for arrays. They are saved with the
        model. Tables with other names, or with these in another order, are refused; arrays are taken as they are.
    columns : Columns, or None
        How the features were made of the table's columns: `gd.data.open(path, columns=model.columns)` makes the same of
        any other table. Set it to None to take tables of any names again.

    Raises
    ------
    ValueError, TypeError
        For layers that do not fit one another, none at all, or an unknown dtype.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(3, 1, bias=False, init="zeros"), gd.ReLU()], dtype="float64")
    >>> model.layers[0].weight[:] = [[1, 2, 3]]
    >>> model.predict([[1, 1, 1], [0, 0, -1]])
    array([[6.],
           [0.]])
    """

    def predict(
        self, X: ArrayLike | Dataset | Stream, dtype: DTypeLike = None, n_threads: int | None = None
    ) -> np.ndarray:
        """The last layer's output for each row.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, in_features), Dataset or Stream
            Any real dtype and layout; converted to the model's dtype block by block. Columns with names are those that
            the model was trained on, in this order, as `gd.data.open(path, columns=model.columns)` takes them from a
            table, and `frame[list(model.feature_names)]` from a frame. Sparse rows, as
            `fastgd.data.sparse.SparseDataset` takes them, stay sparse: the model must start with a Linear then,
            Standardize(..., with_mean=False) apart, or "nonzero".
        dtype : "float32" or "float64", optional
            Of what is returned; by default the model's. A float32 model learns standardised targets of any size, but
            its predictions have float32's 7 digits and range, unless float64 is asked for.
        n_threads : int, optional
            How many threads may share the products of wide layers, at least 1; by default one for each processor that
            this process may use, or as many as OMP_NUM_THREADS and the like allow. The results are the same.

        Returns
        -------
        ndarray of shape (n_samples, out_features)

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype, columns of other names, a NaN or infinity in X, or, with standardised
            targets, predictions that the dtype cannot hold; without, these are infinite.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[2]])], dtype="float64")
        >>> model.predict([[1], [3]])
        array([[2.],
               [6.]])
        """
        if isinstance(X, Stream):
            check_fits(self, X)
            parts = [self.predict(rows, dtype, n_threads) for rows in blocks_of(X)]
            if not parts:
                raise ValueError(f"{X.name} has no rows; expected at least one")
            return np.concatenate(parts)
        dataset = X if isinstance(X, Dataset) else array_dataset(X)
        check_fits(self, dataset)
        dtype = self.dtype if dtype is None else checks.model_dtype(dtype)
        self._warn_if_untrained()
        out = np.empty((dataset.n_samples, self.out_features), dtype)
        targets = self.standardized_targets
        if targets is not None:
            targets.require_range(dtype)
        is_direct = targets is None and dtype == self.dtype
        with NetworkForCall(self, dataset.n_samples, n_threads) as (network, pool):
            looks_at_X, n_busy = not self.starts_linear, pool.n_threads
            for start, block in checked_blocks(self, dataset, None, looks_at_X, n_threads, n_busy):
                part = out[start : start + len(block.X)]
                z = part if is_direct else np.empty(part.shape, self.dtype)
                if not predict_rows(pool, network, self.parameters, block.X, z):
                    require_finite(block, functools.partial(row_number, dataset, start))
                if not is_direct:
                    part[...] = z if targets is None else targets.predictions(z, dtype)
        return out

    def loss(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: LossName | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Mean loss over the rows; arguments and errors as in `loss_and_gradient`.

        With a StandardizedTargets layer it is that of the standardised targets: 1 - 2 · half_squared_error is R², but
        for their mean and variance in these rows.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[2]])], dtype="float64")
        >>> model.loss([[1], [2]], [0, 2])  # the mean of ½ (2 - 0)² and ½ (4 - 2)²
        2.0
        """
        loss = as_loss(loss)
        dataset = as_dataset(X, y, sample_weight)
        check_fits(self, dataset, loss)
        return evaluation.mean_loss(self, dataset, loss, n_threads)

    def loss_and_gradient(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: LossName | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
        parameters: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[float, np.ndarray]:
        """Mean loss over the rows, 1/n Σ_i v_i loss(out_i, y_i), and its gradient by the parameters.

        With a StandardizedTargets layer, out and y are the standardised ones.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, in_features), or Dataset
            As for `predict`.
        y : array of shape (n_samples, out_features), or (n_samples,) for one output
            Not with a Dataset.
        loss : str, or what a function of `fastgd.losses` returns
            See `fastgd.losses`. Dropout drops nothing here.
        sample_weight : array of shape (n_samples,), optional
            The v, at least 0; ones by default.
        parameters : array of shape (n_parameters,), optional
            Where to take loss and gradient, in place of the model's own parameters, which stay as they are. So
            `lambda p: model.loss_and_gradient(X, y, parameters=p)` suits `scipy.optimize.minimize(..., jac=True)`.
        n_threads : int, optional
            As for `predict`.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,), of the model's dtype

        Raises
        ------
        ValueError, TypeError
            For wrong shapes or dtypes, an unknown loss, a NaN or infinity in X, y or the weights, or a negative weight.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[2]])], dtype="float64")
        >>> model.loss_and_gradient([[1], [2]], [0, 2])  # the mean of 2 · 1 and 2 · 2
        (2.0, array([3.]))
        """
        loss = as_loss(loss)
        dataset = as_dataset(X, y, sample_weight)
        check_fits(self, dataset, loss)
        if parameters is None:
            at = self.parameters
        else:
            at = np.require(checks.real_array(parameters, "parameters"), self.dtype, ["C", "A", "W"])
            if at.shape != self.parameters.shape:
                raise ValueError(f"parameters has shape {at.shape}; expected {self.parameters.shape}")
        return evaluation.loss_and_gradient(self, dataset, loss, at, n_threads)

    def _warn_if_untrained(self) -> None:
        """Warn, once, where the parameters are the random ones that the model began with."""
        has_features = self.standardize is None or self.standardize.mean is not None
        if not (self.may_be_untrained and has_features):
            return
        self.may_be_untrained = False
        if self.is_as_initialized:
            warn(
                "predict was called on a model with the random weights that it began with; expected "
                "Trainer(model, ...).fit(X, y) before, or parameters of your own"
            )

    def fold(self) -> "Model":
        """A model of the layers between, which takes raw features and gives raw predictions.

        Standardize is built into the Linear that follows it: W' = W · scale and b' = b - W' mean, so that x W'ᵀ + b' =
        ((x - mean) · scale) Wᵀ + b. StandardizedTargets is built into the last Linear, output by output: W' = scale · W
        and b' = scale · b + mean. A Linear without a bias gets one.

        Equal but for rounding, which grows with what cancels: where a feature's mean is 10 000 of its deviations, a
        folded float32 model has some 3 digits left of the 7 that Standardize keeps, as it subtracts in float64.

        Raises
        ------
        ValueError
            Where there is neither of the two, or one that has not learnt; with another layer between Standardize and
            the first Linear; or where the dtype cannot hold the folded parameters.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Standardize(1).fit([[10], [20]]), gd.Linear(1, 1, init=[[1]])], dtype="float64")
        >>> folded = model.fold()
        >>> folded
        Model([Linear(1, 1)], dtype='float64')
        >>> model.predict([[30]]), folded.predict([[30]])
        (array([[1.5]]), array([[1.5]]))
        """
        layers, parameters = folded(self.layers, self.dtype)
        model = Model(layers, self.dtype, self._seed)
        model.parameters = parameters
        model.labels, model.columns = self.labels, self.columns
        return model

    def summary(self) -> "Summary":
        """The layers with their shapes, parameters and multiplications a row, as a table for terminal and notebook.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)]).summary()
        Model, float32: 21 parameters in 84 bytes
        layer           features  parameters  multiplications a row
        --------------  --------  ----------  ---------------------
        0 Linear(3, 4)  3 → 4             16                     12
        1 ReLU()        4 → 4              0                      0
        2 Linear(4, 1)  4 → 1              5                      4
        all             3 → 1             21                     16
        """
        from fastgd.summary import summary_of

        return summary_of(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the model as safetensors, with the architecture as JSON in the metadata.

        The tensors carry PyTorch's names, so a `torch.nn.Sequential` of the same layers can load the same file.

        Examples
        --------
        >>> model.save("model.safetensors")  # doctest: +SKIP
        """
        storage.write(path, self.tensors(), architecture=self.architecture())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Model":
        """Read a model that `save` wrote; or that of a run that `Trainer.save` wrote, or of an estimator.

        Raises
        ------
        ValueError
            If the file is not one of fastgd's, or was damaged.

        Examples
        --------
        >>> import tempfile
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[2]])], dtype="float64")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     again = gd.Model.load(f"{folder}/model.safetensors")
        >>> again, again.predict([[1]])
        (Model([Linear(1, 1, bias=False)], dtype='float64'), array([[2.]]))
        """
        known = {"ignored": ("run", "estimator"), "preferred": storage.ESTIMATOR_MODEL_PREFIX}
        with storage.opened(path, "architecture", **known) as (tensors, architecture):
            return cls.restore(architecture, tensors)

    def __getstate__(self) -> dict[str, Any]:
        tensors = {name: tensor.copy() for name, tensor in self.tensors().items()}
        return {
            "architecture": self.architecture(),
            "tensors": tensors,
            "may_be_untrained": self.may_be_untrained,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Layers are views of the parameters, which no copy of their attributes would be.
        vars(self).update(vars(Model.restore(state["architecture"], state["tensors"])))
        self.may_be_untrained = state["may_be_untrained"]

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", classes=[{shown(self.classes)}]"
        return f"Model([{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r}{classes})"
