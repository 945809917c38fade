"""A stack of layers over one flat vector of parameters."""

import copy
import functools
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import kernels, storage
from fastgd.data import checks
from fastgd.data.arrays import ArrayDataset, as_dataset
from fastgd.data.base import Block, Dataset, MeanAndScale, Reader, blocks, require_finite
from fastgd.errors import warn
from fastgd.folding import folded
from fastgd.kernels.codegen.alignment import aligned_empty, whole_lines
from fastgd.kernels.loops.network import Layer as NetworkLayer
from fastgd.kernels.tuning import FEW
from fastgd.labels import Labels, shown
from fastgd.layers import LAYERS, Dropout, Identity, Layer, Layers, Linear, ReLU, widths_of
from fastgd.losses import Loss, LossName, as_loss, n_targets, require_any_number, require_targets
from fastgd.standardize import Standardize, StandardizedTargets
from fastgd.threads import call_with_pool, most_threads


class Model:
    """A network: layers applied one after another to rows of features.

    Parameters
    ----------
    layers : sequence of layers
        At least one Linear; each layer's width must fit the next. They are copied: `model.layers` holds the model's.
        A Standardize may stand first, and a StandardizedTargets last, after a Linear.
    dtype : "float32" or "float64"
        Of the parameters and of all arithmetic.
    seed : int
        Of the initial weights, at least 0.

    Attributes
    ----------
    layers : tuple of layers
        Each Linear's `weight` and `bias` are writable views into `parameters`, the weight row by row before the bias.
    in_features, out_features : int
    dtype : numpy dtype

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

    def __init__(self, layers: Sequence[Layer], dtype: DTypeLike = "float32", seed: int = 0) -> None:
        self._assemble(layers, dtype, seed)
        #: Whether its parameters may be the random ones that it begins with, which none has been warned of.
        self.may_be_untrained = True
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                layer.initialize(self._rng(index))

    def _assemble(self, layers: Sequence[Layer], dtype: DTypeLike, seed: int) -> None:
        """Set everything but the values of the parameters."""
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is {layers!r}; expected a list of layers")
        self.dtype = checks.model_dtype(dtype)
        self._seed = checks.integer(seed, "seed", 0)
        self.layers = Layers(copy.copy(layer) for layer in layers)
        self.standardize = self.layers[0] if self.layers and isinstance(self.layers[0], Standardize) else None
        self._labels: Labels | None = None
        self._widths = widths_of(self.layers)
        self.in_features, self.out_features = self._widths[0], self._widths[-1]
        self._parameters = aligned_empty(sum(layer.n_parameters for layer in self.layers), self.dtype)
        begin = 0
        for layer in self.layers:
            if isinstance(layer, Linear):
                layer.bind(self._parameters[begin : begin + layer.n_parameters])
                begin += layer.n_parameters

    @property
    def standardized_targets(self) -> StandardizedTargets | None:
        """The last layer, where it is a StandardizedTargets."""
        last = self.layers[-1]
        return last if isinstance(last, StandardizedTargets) else None

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The layers that the kernels run."""
        first = 0 if self.standardize is None else 1
        return self.layers[first : len(self.layers) - (self.standardized_targets is not None)]

    def add_standardized_targets(self) -> None:
        """Add a StandardizedTargets as the last layer, unless there is one.

        Raises
        ------
        ValueError
            Unless a Linear comes last, but for Identity and Dropout.
        """
        if self.standardized_targets is None:
            layers = Layers((*self.layers, StandardizedTargets(self.out_features)))
            widths_of(layers)
            self.layers = layers

    def _rng(self, index: int) -> np.random.Generator:
        """What the initial weights of a layer are drawn from."""
        return np.random.default_rng([self._seed, index])

    @property
    def starts_as_drawn(self) -> bool:
        """Whether the first Linear's weights are the random ones that the model began with."""
        index, first = next((k, layer) for k, layer in enumerate(self.layers) if isinstance(layer, Linear))
        return first.is_as_drawn(self._rng(index))

    def _warn_if_untrained(self) -> None:
        """Warn, once, where the parameters are the random ones that the model began with."""
        has_features = self.standardize is None or self.standardize.mean is not None
        if not (self.may_be_untrained and has_features):
            return
        self.may_be_untrained = False
        linears = [(index, layer) for index, layer in enumerate(self.layers) if isinstance(layer, Linear)]
        if all(layer.is_as_initialized(self._rng(index)) for index, layer in linears):
            warn(
                "predict was called on a model with the random weights that it began with; expected "
                "Trainer(model, ...).fit(X, y) before, or parameters of your own"
            )

    @property
    def is_as_drawn(self) -> bool:
        """Whether all weights are the random ones that the model began with, and all biases zero."""
        linear = [(k, layer) for k, layer in enumerate(self.layers) if isinstance(layer, Linear)]
        return all(layer.is_as_drawn(self._rng(k)) for k, layer in linear) and not any(
            layer.has_bias and layer.bias.any() for _, layer in linear
        )

    @property
    def parameters(self) -> np.ndarray:
        """Every weight and bias, (n_parameters,), layer by layer; assigning to it writes into the model."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self._parameters[...] = values

    @property
    def is_neuron(self) -> bool:
        """Whether the model is one neuron: Linear to a single output, then perhaps a ReLU."""
        kinds = [type(layer) for layer in self.stack]
        return self.out_features == 1 and kinds in ([Linear], [Linear, ReLU])

    @property
    def is_linear(self) -> bool:
        """Whether the output is linear in the parameters."""
        return [type(layer) for layer in self.stack if not isinstance(layer, Dropout | Identity)] == [Linear]

    @property
    def starts_linear(self) -> bool:
        """Whether a Linear is the first to see the rows, Standardize apart."""
        return isinstance(self.stack[0], Linear)

    @property
    def micro_batch_rows(self) -> int:
        """How many rows the network works on at once; larger batches add up. A matter of the architecture alone."""
        return min(max(2**20 // max(self._widths), 32), 1024)

    def network(self, max_rows: int, dropout_seed: int | None = None) -> kernels.Network:
        """The stack as the kernels see it, with buffers for chunks of at most `max_rows`.

        dropout_seed : what Dropout draws from while training; None where nothing is dropped
        """
        rows = min(self.micro_batch_rows, max_rows)
        table = []
        numbers = np.zeros(len(self.stack), self.dtype)
        parameter = before = size = 0
        for k, layer in enumerate(self.stack):
            n_in, n_out = self._widths[k], self._widths[k + 1]
            end = parameter + layer.n_parameters
            bias, addresses = end, (0, 0)
            if isinstance(layer, Linear):
                bias = parameter + n_in * n_out
            else:
                pair = Identity if isinstance(layer, Dropout) and dropout_seed is None else type(layer)
                addresses = (kernel.pointer(self.dtype) for kernel in pair.kernels)
                numbers[k] = layer.number_in(self.dtype)
            is_in_place = k > 0 and not isinstance(layer, Linear) and isinstance(self.stack[k - 1], Linear)
            place = before if is_in_place else size
            size += 0 if is_in_place else whole_lines(rows * n_out)
            table.append(NetworkLayer(n_in, n_out, parameter, bias, end, before, place, *addresses))
            parameter, before = end, place
        return kernels.Network(
            layers=np.array(table, np.int64),
            numbers=numbers,
            micro_batch_rows=rows,
            outputs=aligned_empty(size, self.dtype),
            deltas=aligned_empty(size, self.dtype),
            masks=np.empty(size, np.bool_),
            products=self._products(rows),
            to_column_major=0,
            seed=0 if dropout_seed is None else _as_int64(dropout_seed % 2**64),
        )

    def _products(self, rows: int) -> kernels.Products:
        widths = self._widths[1:]
        # Products of few rows or outputs are not shared.
        sizes = [end - begin for begin, end, n_in in self.weights if min(rows, (end - begin) // n_in) >= FEW]
        n_wanted = 2 * rows * max(sizes, default=0) // kernels.tuning.WORTH_A_THREAD
        n_workers = min(most_threads(), n_wanted) if n_wanted > 1 else 1
        return kernels.products(self.dtype, rows, max(rows, *self._widths), widths, n_workers)

    @property
    def weights(self) -> np.ndarray:
        """Where each Linear's weight begins and ends in `parameters`, and its in_features: (n_linear_layers, 3)."""
        places, begin = [], 0
        for layer in self.layers:
            if isinstance(layer, Linear):
                places.append((begin, begin + layer.in_features * layer.out_features, layer.in_features))
            begin += layer.n_parameters
        return np.array(places, np.int64)

    def predict(self, X: ArrayLike | Dataset, dtype: DTypeLike = None) -> np.ndarray:
        """The last layer's output for each row.

        Parameters
        ----------
        X : array of shape (n_samples, in_features), or Dataset
            Any real dtype and layout; converted to the model's dtype block by block.
        dtype : "float32" or "float64", optional
            Of what is returned; by default the model's. A float32 model learns standardised targets of any size, but
            its predictions have float32's 7 digits and range, unless float64 is asked for.

        Returns
        -------
        ndarray of shape (n_samples, out_features)

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype, a NaN or infinity in X, or predictions that the dtype cannot hold.
        """
        dataset = X if isinstance(X, Dataset) else ArrayDataset(X)
        self.check_fits(dataset)
        dtype = self.dtype if dtype is None else checks.model_dtype(dtype)
        self._warn_if_untrained()
        out = np.empty((dataset.n_samples, self.out_features), dtype)
        targets = self.standardized_targets
        if targets is not None:
            targets.require_range(dtype)
        is_direct = targets is None and dtype == self.dtype
        network = self.network(dataset.n_samples)
        for start, block in self._blocks(dataset, looks_at_X=not self.starts_linear):
            part = out[start : start + len(block.X)]
            z = part if is_direct else np.empty(part.shape, self.dtype)
            if not call_with_pool(kernels.predict_network, network, self.parameters, block.X, z):
                require_finite(block, functools.partial(_row_number, dataset, start))
            if not is_direct:
                part[...] = z if targets is None else targets.predictions(z, dtype)
        return out

    @property
    def classes(self) -> np.ndarray | None:
        """The labels of the classes, (n_classes,), read-only; None where the model was told of none."""
        return None if self._labels is None else self._labels.classes

    def set_classes(self, classes: ArrayLike | None, loss: str | Loss) -> None:
        """Say what the outputs stand for, for `predict_classes` and `predict_proba`; it is saved with the model.

        Parameters
        ----------
        classes : array of shape (n_classes,), or None
            Strings, bytes, booleans, integers or floats, in the order in which `fastgd.labels.encode` numbers them.
            None where targets are probabilities themselves, as log_loss takes them.
        loss : str, or what a function of `fastgd.losses` returns
            What the model is trained by, one of classes.

        Raises
        ------
        ValueError, TypeError
            Unless there is an output for each class (cross_entropy), or one output and two classes (any other).

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
        >>> model.set_classes(["no", "yes"], "log_loss")
        >>> model.predict_classes([[-1], [0.5]]).tolist()
        ['no', 'yes']
        >>> model.predict_proba([[-1], [0.5]]).round(2).tolist()
        [[0.73, 0.27], [0.38, 0.62]]
        """
        self._labels = Labels.of(classes, loss, self.out_features)

    def predict_classes(self, X: ArrayLike | Dataset) -> np.ndarray:
        """The label of each row, (n_samples,), of the dtype of `classes`: that of the largest output.

        Of two classes with a single output, the second where it is more than 0. Arguments and errors as in `predict`;
        ValueError too where the model has no classes.
        """
        labels = self._require_labels()
        labels.require_classes()
        return labels.decode(self.predict(X))

    def predict_proba(self, X: ArrayLike | Dataset) -> np.ndarray:
        """The probability of each class, (n_samples, n_classes), in the order of `classes`, of the model's dtype.

        exp(z_k) / Σ_j exp(z_j) for cross_entropy; 1 - p and p with p = 1 / (1 + exp(-z)) for log_loss, and p alone, for
        each output, where targets are probabilities themselves. Arguments and errors as in `predict`; ValueError too
        where the model has no classes, or a loss without probabilities.
        """
        labels = self._require_labels()
        labels.require_probabilities()
        return labels.probabilities(self.predict(X))

    def _require_labels(self) -> Labels:
        if self._labels is None:
            raise ValueError(
                "the model has no classes; expected one that was trained on class labels, or model.set_classes before"
            )
        return self._labels

    def loss(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: LossName | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean loss over the rows; arguments and errors as in `loss_and_gradient`.

        With a StandardizedTargets layer it is that of the standardised targets: 1 - 2 · half_squared_error is R², but
        for their mean and variance in these rows.
        """
        loss = as_loss(loss)
        dataset = as_dataset(X, y, sample_weight)
        self.check_fits(dataset, loss)
        network = self.network(dataset.n_samples)
        objective = kernels.objective(loss, self.dtype)
        loss_sum = np.zeros(1)
        for start, block in self._blocks(dataset, loss, looks_at_X=not self.starts_linear):
            rows = block[:3]
            if not call_with_pool(kernels.evaluate_network, network, self.parameters, objective, *rows, loss_sum):
                require_finite(block, functools.partial(_row_number, dataset, start))
        return float(loss_sum[0]) / dataset.n_samples

    def loss_and_gradient(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: LossName | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
        parameters: ArrayLike | None = None,
    ) -> tuple[float, np.ndarray]:
        """Mean loss over the rows, 1/n Σ_i v_i loss(out_i, y_i), and its gradient by the parameters.

        With a StandardizedTargets layer, out and y are the standardised ones.

        Parameters
        ----------
        X : array of shape (n_samples, in_features), or Dataset
        y : array of shape (n_samples, out_features), or (n_samples,) for one output
            Not with a Dataset.
        loss : str, or what a function of `fastgd.losses` returns
            See `fastgd.losses`. Dropout drops nothing here.
        sample_weight : array of shape (n_samples,), optional
            The v, at least 0; ones by default.
        parameters : array of shape (n_parameters,), optional
            Where to take loss and gradient, in place of the model's own parameters, which stay as they are. So
            `lambda p: model.loss_and_gradient(X, y, parameters=p)` suits `scipy.optimize.minimize(..., jac=True)`.

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,), of the model's dtype

        Raises
        ------
        ValueError, TypeError
            For wrong shapes or dtypes, an unknown loss, a NaN or infinity in X, y or the weights, or a negative weight.
        """
        loss = as_loss(loss)
        dataset = as_dataset(X, y, sample_weight)
        self.check_fits(dataset, loss)
        if parameters is None:
            at = self.parameters
        else:
            at = np.require(checks.real_array(parameters, "parameters"), self.dtype, ["C", "A", "W"])
            if at.shape != self.parameters.shape:
                raise ValueError(f"parameters has shape {at.shape}; expected {self.parameters.shape}")
        network = self.network(dataset.n_samples)
        objective = kernels.objective(loss, self.dtype)
        gradient, micro_batch_gradient = np.zeros_like(at), np.empty_like(at)
        scale = self.dtype.type(1 / dataset.n_samples)
        total = 0.0
        for _, block in self._blocks(dataset, loss):
            for begin in range(0, len(block.X), network.micro_batch_rows):
                chunk = block.rows(begin, begin + network.micro_batch_rows)
                call_with_pool(
                    kernels.loss_and_gradient, network, at, objective, *chunk[:3], scale, micro_batch_gradient
                )
                total += objective.sums[0]
                gradient += micro_batch_gradient
        return total / dataset.n_samples, gradient

    def check_rows(self, dataset: Dataset, loss: Loss) -> None:
        """Raise a ValueError that names the first row with a value that training would refuse."""
        # What is standardised is looked at as it is given.
        dtype = self.dtype if self.standardize is None else dataset.dtype
        for _ in self._checked(dataset, loss, blocks(dataset, dtype, y_dtype=self._y_dtype)):
            pass

    @property
    def _y_dtype(self) -> np.dtype:
        """What holds targets as they are given, if they are any that the model can learn."""
        return self.dtype if self.standardized_targets is None else np.dtype(np.float64)

    def _blocks(
        self, dataset: Dataset, loss: Loss | None = None, looks_at_X: bool = True
    ) -> Iterator[tuple[int, Block]]:
        """Every row once, as (first row, block), checked; as the first layer after Standardize takes them.

        looks_at_X : whether X is checked too; if not, the kernels tell from what a Linear first makes of it
        """
        if loss is None:
            # Targets are not used, and need not be there.
            read = blocks(dataset, self.dtype, self.mean_and_scale, y_dtype=self._y_dtype)
        else:
            read = blocks(dataset, self.dtype, self.mean_and_scale, self.mean_and_scale_of_y)
        return self._checked(dataset, loss, read, looks_at_X)

    def _checked(
        self,
        dataset: Dataset,
        loss: Loss | None,
        read: Iterator[tuple[int, Block]],
        looks_at_X: bool = True,
    ) -> Iterator[tuple[int, Block]]:
        for start, block in read:
            row_of = functools.partial(_row_number, dataset, start)
            try:
                require_finite(block if looks_at_X else block._replace(X=block.X[:0]), row_of)
                if loss is not None:
                    require_targets(loss, block.y, self.out_features, row_of)
            except ValueError:
                # A bad X is named before a bad y, looked at beforehand or not.
                require_finite(block, row_of)
                raise
            yield start, block

    @property
    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What a Standardize layer has learnt; None without such a layer, a ValueError before it has learnt."""
        return None if self.standardize is None else self.standardize.mean_and_scale

    @property
    def mean_and_scale_of_y(self) -> MeanAndScale | None:
        """The m and s of standardised targets (y - m) · s, in the same way."""
        return None if self.standardized_targets is None else self.standardized_targets.mean_and_inverse_scale

    @property
    def untaught_layers(self) -> list[Standardize | StandardizedTargets]:
        """Those that are yet to learn mean and scale."""
        layers = (self.standardize, self.standardized_targets)
        return [layer for layer in layers if layer is not None and layer.mean is None]

    def reader(self, dataset: Dataset, min_rows: int = 1, in_place: bool = False) -> Reader:
        """What reads rows as the first layer takes them after Standardize, and targets as the loss does.

        They are zeros where mean and scale are not known, as of rows whose weights are all zero.

        dataset, min_rows, in_place : as for `Reader`
        """
        untaught = self.untaught_layers
        of_X = (np.zeros(self.in_features),) * 2 if self.standardize in untaught else self.mean_and_scale
        of_y = (np.zeros(self.out_features),) * 2 if self.standardized_targets in untaught else self.mean_and_scale_of_y
        return Reader(dataset, self.dtype, min_rows, of_X, in_place=in_place, mean_and_scale_of_y=of_y)

    def targets(self, dataset: Dataset, dtype: np.dtype | None = None) -> Block:
        """y as the loss takes it and the weights of all rows, without X; by default in the model's dtype."""
        return dataset.targets(self.dtype if dtype is None else dtype, self.mean_and_scale_of_y)

    def check_fits(self, dataset: Dataset, loss: Loss | None = None) -> None:
        """Raise a ValueError unless the data set has as many features as the model and as many targets as the loss, and
        the loss takes standardised ones where the model has them.
        """
        if dataset.n_features != self.in_features:
            shape = (dataset.n_samples, dataset.n_features)
            raise ValueError(f"X has shape {shape}; expected (n_samples, {self.in_features}) for this model")
        if loss is None:
            return
        if self.standardized_targets is not None:
            require_any_number(loss)
        expected = n_targets(loss, self.out_features)
        if dataset.n_outputs == 0:
            raise ValueError("the data set has no targets; expected y, or gd.data.open(..., target=...)")
        if dataset.n_outputs != expected:
            shape = (dataset.n_samples, dataset.n_outputs)
            flat = " or (n_samples,)" if expected == 1 else ""
            classes = ", classes as in y.argmax(axis=1)," if expected < dataset.n_outputs == self.out_features else ""
            hint = ". Where y holds classes from 0, loss='cross_entropy' takes them" if dataset.n_outputs == 1 else ""
            raise ValueError(
                f"y has shape {shape}; expected (n_samples, {expected}){flat}{classes} for this model and loss{hint}"
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
        """
        layers, parameters = folded(self.layers, self.dtype)
        model = Model(layers, self.dtype)
        model.parameters = parameters
        model._labels = self._labels
        return model

    def architecture(self) -> dict[str, Any]:
        """The layers, the dtype, the seed and the labels, if there are any, as JSON can hold them."""
        layers = [{"type": type(layer).__name__} | layer.arguments() for layer in self.layers]
        labels = {} if self._labels is None else {"labels": self._labels.describe()}
        return {"dtype": self.dtype.name, "layers": layers, "seed": self._seed} | labels

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights and biases by the names of PyTorch's `state_dict`: "0.weight", "0.bias", ..."""
        tensors = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                tensors[f"{index}.weight"] = layer.weight
                if layer.bias is not None:
                    tensors[f"{index}.bias"] = layer.bias
            elif isinstance(layer, Standardize | StandardizedTargets) and layer.mean is not None:
                tensors |= {f"{index}.mean": layer.mean, f"{index}.scale": layer.scale}
        return tensors

    @classmethod
    def restore(cls, architecture: dict[str, Any], tensors: Mapping[str, np.ndarray | storage.SavedTensor]) -> "Model":
        """The model that `architecture` and `tensors` describe.

        Raises
        ------
        ValueError
            Unless there are the tensors of this architecture and no others, in their shapes and dtypes.
        """
        storage.require_names(architecture, "architecture", ("dtype", "layers"), ("seed", "labels"))
        layers = []
        for description in architecture["layers"]:
            arguments = dict(description)
            layer = LAYERS[checks.choice(arguments.pop("type"), "layer type", LAYERS)]
            layers.append(layer(**arguments))
        dtype = checks.model_dtype(architecture["dtype"])
        # Before there is memory for as many parameters as a damaged file may ask for.
        _require_tensors(tensors, _expected_tensors(layers, dtype, tensors))
        model = cls.__new__(cls)
        model._assemble(layers, dtype, architecture.get("seed", 0))
        model.may_be_untrained = False
        if "labels" in architecture:
            model._labels = Labels.restore(architecture["labels"], model.out_features)
        for index, layer in enumerate(model.layers):
            if isinstance(layer, Standardize | StandardizedTargets) and f"{index}.mean" in tensors:
                width = model.in_features if layer is model.standardize else model.out_features
                layer.mean, layer.scale = np.empty(width), np.empty(width)
        for name, view in model.tensors().items():
            view[...] = tensors[name]
        return model

    def save(self, path: str | os.PathLike) -> None:
        """Write the model as safetensors, with the architecture as JSON in the metadata.

        The tensors carry PyTorch's names, so a `torch.nn.Sequential` of the same layers can load the same file.
        """
        storage.write(path, self.tensors(), architecture=self.architecture())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Model":
        """Read a model that `save` wrote, or the model of a run that `Trainer.save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of fastgd's, or was damaged.
        """
        with storage.opened(path, "architecture", ignored=("run",)) as (tensors, architecture):
            return cls.restore(architecture, tensors)

    def __reduce__(self) -> tuple:
        tensors = {name: tensor.copy() for name, tensor in self.tensors().items()}
        return Model.restore, (self.architecture(), tensors), {"may_be_untrained": self.may_be_untrained}

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", classes=[{shown(self.classes)}]"
        return f"Model([{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r}{classes})"


def _expected_tensors(layers: Sequence[Layer], dtype: np.dtype, names: Container[str]) -> dict[str, tuple]:
    """The shape and the dtype's name of each tensor of a model.

    names : those that there are, which tell what layers have learnt that need not have
    """
    expected: dict[str, tuple] = {}
    for index, layer in enumerate(layers):
        if isinstance(layer, Linear):
            expected[f"{index}.weight"] = (layer.out_features, layer.in_features), dtype.name
            if layer.has_bias:
                expected[f"{index}.bias"] = (layer.out_features,), dtype.name
        elif isinstance(layer, Standardize | StandardizedTargets) and f"{index}.mean" in names:
            width = layer.n_features if isinstance(layer, Standardize) else layer.n_outputs
            expected |= {f"{index}.{name}": ((width,), "float64") for name in ("mean", "scale")}
    return expected


def _require_tensors(tensors: Mapping[str, np.ndarray | storage.SavedTensor], expected: dict[str, tuple]) -> None:
    for name, (shape, _) in expected.items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            found = f"shape {tuple(tensors[name].shape)}" if name in tensors else "no such tensor"
            raise ValueError(f"tensor {name!r}: found {found}; expected shape {shape}")
    for name, tensor in tensors.items():
        if name not in expected:
            raise ValueError(f"tensor {name!r} is not one of this model's; expected {', '.join(expected)} alone")
        if str(tensor.dtype) != expected[name][1]:
            raise ValueError(f"tensor {name!r}: found dtype {tensor.dtype}; expected {expected[name][1]}")


def _row_number(dataset: Dataset, start: int, row: int) -> int:
    return dataset.row_number(start + row)


def _as_int64(number: int) -> int:
    """The signed number of the same 64 bits."""
    return int(np.uint64(number).astype(np.int64))
