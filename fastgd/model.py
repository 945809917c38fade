"""A stack of layers over one flat vector of parameters."""

import copy
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import _check, kernels, storage
from fastgd.arrays import ArrayDataset, as_dataset
from fastgd.dataset import Block, Dataset, MeanAndScale, blocks, require_finite
from fastgd.kernels.memory import aligned_empty, whole_lines
from fastgd.kernels.network import Layer as NetworkLayer
from fastgd.kernels.small_product import FEW
from fastgd.layers import LAYERS, Dropout, Identity, Layer, Linear, ReLU, Standardize
from fastgd.losses import Loss, as_loss, n_targets, require_targets
from fastgd.threads import call_with_team, most_threads

# So many multiplications and additions of a network's largest product are worth a thread that waits for them.
_WORTH_A_THREAD = 2_000_000


class Model:
    """A network: layers applied one after another to rows of features.

    Parameters
    ----------
    layers : sequence of layers
        At least one Linear; each layer's width must fit the next. They are copied: `model.layers` holds the model's.
        A Standardize may stand first.
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
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                layer.initialize(self._rng(index))

    def _assemble(self, layers: Sequence[Layer], dtype: DTypeLike, seed: int) -> None:
        """Set everything but the values of the parameters."""
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is {layers!r}; expected a list of layers")
        self.dtype = _check.model_dtype(dtype)
        self._seed = _check.integer(seed, "seed", 0)
        # Any, as a type checker cannot know which layer stands where, and so what it has.
        self.layers: tuple[Any, ...] = tuple(copy.copy(layer) for layer in layers)
        self.standardize = self.layers[0] if self.layers and isinstance(self.layers[0], Standardize) else None
        self._stack = self.layers if self.standardize is None else self.layers[1:]
        self._widths = _widths(self.layers)
        self.in_features, self.out_features = self._widths[0], self._widths[-1]
        self._parameters = aligned_empty(sum(layer.n_parameters for layer in self.layers), self.dtype)
        begin = 0
        for layer in self.layers:
            if isinstance(layer, Linear):
                layer.bind(self._parameters[begin : begin + layer.n_parameters])
                begin += layer.n_parameters

    def _rng(self, index: int) -> np.random.Generator:
        """What the initial weights of a layer are drawn from."""
        return np.random.default_rng([self._seed, index])

    @property
    def starts_as_drawn(self) -> bool:
        """Whether the first Linear's weights are the random ones that the model began with."""
        index, first = next((k, layer) for k, layer in enumerate(self.layers) if isinstance(layer, Linear))
        return first.is_as_drawn(self._rng(index))

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
        kinds = [type(layer) for layer in self._stack]
        return self.out_features == 1 and kinds in ([Linear], [Linear, ReLU])

    @property
    def is_linear(self) -> bool:
        """Whether the output is linear in the parameters."""
        return [type(layer) for layer in self._stack if not isinstance(layer, Dropout | Identity)] == [Linear]

    @property
    def starts_linear(self) -> bool:
        """Whether a Linear is the first to see the rows, Standardize apart."""
        return isinstance(self._stack[0], Linear)

    @property
    def chunk_rows(self) -> int:
        """How many rows the network works on at once; larger batches add up. A matter of the architecture alone."""
        return min(max(2**20 // max(self._widths), 32), 1024)

    def network(self, max_rows: int, dropout_seed: int | None = None) -> kernels.Network:
        """The stack as the kernels see it, with buffers for chunks of at most `max_rows`.

        dropout_seed : what Dropout draws from while training; None where nothing is dropped
        """
        rows = min(self.chunk_rows, max_rows)
        table = []
        numbers = np.zeros(len(self._stack), self.dtype)
        parameter = before = size = 0
        for k, layer in enumerate(self._stack):
            n_in, n_out = self._widths[k], self._widths[k + 1]
            end = parameter + layer.n_parameters
            bias, addresses = end, (0, 0)
            if isinstance(layer, Linear):
                bias = parameter + n_in * n_out
            else:
                pair = Identity if isinstance(layer, Dropout) and dropout_seed is None else type(layer)
                addresses = (kernel.address(self.dtype) for kernel in pair.kernels)
                numbers[k] = layer.number_in(self.dtype)
            is_in_place = k > 0 and not isinstance(layer, Linear) and isinstance(self._stack[k - 1], Linear)
            place = before if is_in_place else size
            size += 0 if is_in_place else whole_lines(rows * n_out)
            table.append(NetworkLayer(n_in, n_out, parameter, bias, end, before, place, *addresses))
            parameter, before = end, place
        return kernels.Network(
            layers=np.array(table, np.int64),
            numbers=numbers,
            chunk_rows=rows,
            outputs=aligned_empty(size, self.dtype),
            deltas=aligned_empty(size, self.dtype),
            masks=np.empty(size, np.bool_),
            products=self._products(rows),
            turn=0,
            seed=0 if dropout_seed is None else _as_int64(dropout_seed % 2**64),
        )

    def _products(self, rows: int) -> kernels.Products:
        widths = self._widths[1:]
        # Products of few rows or outputs are not shared.
        sizes = [end - begin for begin, end, n_in in self.weights if min(rows, (end - begin) // n_in) >= FEW]
        n_wanted = 2 * rows * max(sizes, default=0) // _WORTH_A_THREAD
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

    def predict(self, X: ArrayLike | Dataset) -> np.ndarray:
        """The last layer's output for each row.

        Parameters
        ----------
        X : array of shape (n_samples, in_features), or Dataset
            Any real dtype and layout; converted to the model's dtype block by block.

        Returns
        -------
        ndarray of shape (n_samples, out_features), of the model's dtype

        Raises
        ------
        ValueError, TypeError
            For a wrong shape or dtype, or a NaN or infinity in X.
        """
        dataset = X if isinstance(X, Dataset) else ArrayDataset(X)
        self.check_fits(dataset)
        out = np.empty((dataset.n_samples, self.out_features), self.dtype)
        network = self.network(dataset.n_samples)
        for start, block in self._blocks(dataset, looks_at_X=not self.starts_linear):
            part = out[start : start + len(block.X)]
            if not call_with_team(kernels.predict_network, network, self.parameters, block.X, part):
                require_finite(block, functools.partial(_row_number, dataset, start))
        return out

    def loss(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: str | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean loss over the rows; arguments and errors as in `loss_and_gradient`."""
        loss = as_loss(loss)
        dataset = as_dataset(X, y, sample_weight)
        self.check_fits(dataset, loss)
        network = self.network(dataset.n_samples)
        objective = kernels.objective(loss, self.dtype)
        loss_sum = np.zeros(1)
        for start, block in self._blocks(dataset, loss, looks_at_X=not self.starts_linear):
            rows = block[:3]
            if not call_with_team(kernels.evaluate_network, network, self.parameters, objective, *rows, loss_sum):
                require_finite(block, functools.partial(_row_number, dataset, start))
        return float(loss_sum[0]) / dataset.n_samples

    def loss_and_gradient(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | None = None,
        loss: str | Loss = "half_squared_error",
        sample_weight: ArrayLike | None = None,
        parameters: ArrayLike | None = None,
    ) -> tuple[float, np.ndarray]:
        """Mean loss over the rows, 1/n Σ_i v_i loss(out_i, y_i), and its gradient by the parameters.

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
            at = np.require(_check.real_array(parameters, "parameters"), self.dtype, ["C", "A", "W"])
            if at.shape != self.parameters.shape:
                raise ValueError(f"parameters has shape {at.shape}; expected {self.parameters.shape}")
        network = self.network(dataset.n_samples)
        objective = kernels.objective(loss, self.dtype)
        gradient, chunk_gradient = np.zeros_like(at), np.empty_like(at)
        scale = self.dtype.type(1 / dataset.n_samples)
        total = 0.0
        for _, block in self._blocks(dataset, loss):
            for begin in range(0, len(block.X), network.chunk_rows):
                chunk = block.rows(begin, begin + network.chunk_rows)
                call_with_team(kernels.loss_and_gradient, network, at, objective, *chunk[:3], scale, chunk_gradient)
                total += objective.sums[0]
                gradient += chunk_gradient
        return total / dataset.n_samples, gradient

    def check_rows(self, dataset: Dataset, loss: Loss) -> None:
        """Raise a ValueError that names the first row with a value that training would refuse."""
        for _ in self._checked(dataset, loss, self.dtype if self.standardize is None else dataset.dtype):
            pass

    def _blocks(
        self, dataset: Dataset, loss: Loss | None = None, looks_at_X: bool = True
    ) -> Iterator[tuple[int, Block]]:
        """Every row once, as (first row, block), checked; as the first layer after Standardize takes them.

        looks_at_X : whether X is checked too; if not, the kernels tell from what a Linear first makes of it
        """
        return self._checked(dataset, loss, self.dtype, self.mean_and_scale, looks_at_X)

    def _checked(
        self,
        dataset: Dataset,
        loss: Loss | None,
        dtype: np.dtype,
        mean_and_scale: MeanAndScale | None = None,
        looks_at_X: bool = True,
    ) -> Iterator[tuple[int, Block]]:
        for start, block in blocks(dataset, dtype, mean_and_scale):
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

    def check_fits(self, dataset: Dataset, loss: Loss | None = None) -> None:
        """Raise a ValueError unless the data set has as many features as the model and as many targets as the loss."""
        if dataset.n_features != self.in_features:
            shape = (dataset.n_samples, dataset.n_features)
            raise ValueError(f"X has shape {shape}; expected (n_samples, {self.in_features}) for this model")
        if loss is None:
            return
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
        """A model that takes raw features: the Standardize layer built into the Linear that follows it.

        W' = W · scale and b' = b - W' mean, so that x W'ᵀ + b' = ((x - mean) · scale) Wᵀ + b.

        Equal but for rounding, which grows with what cancels: where a feature's mean is 10 000 of its deviations, a
        folded float32 model has some 3 digits left of the 7 that Standardize keeps, as it subtracts in float64.

        Raises
        ------
        ValueError
            Without a Standardize layer that has learnt, or with another layer between it and the first Linear.
        """
        if self.standardize is None or not isinstance(self._stack[0], Linear):
            raise ValueError(f"layers is {list(self.layers)!r}; expected Standardize, then Linear, to fold")
        mean, scale = self.standardize.mean_and_scale
        first = self._stack[0]
        weight = first.weight.astype(np.float64) * scale
        bias = -weight @ mean + (0 if first.bias is None else first.bias)
        folded = Model([Linear(first.in_features, first.out_features), *self._stack[1:]], self.dtype)
        rest = self.parameters[first.n_parameters :]
        folded.parameters = np.concatenate([weight.ravel(), bias, rest])
        return folded

    def architecture(self) -> dict[str, Any]:
        """The layers, the dtype and the seed, as JSON can hold them."""
        layers = [{"type": type(layer).__name__} | layer.arguments() for layer in self.layers]
        return {"dtype": self.dtype.name, "layers": layers, "seed": self._seed}

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights and biases by the names of PyTorch's `state_dict`: "0.weight", "0.bias", ..."""
        tensors = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                tensors[f"{index}.weight"] = layer.weight
                if layer.bias is not None:
                    tensors[f"{index}.bias"] = layer.bias
            elif isinstance(layer, Standardize) and layer.mean is not None:
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
        storage.require_names(architecture, "architecture", ("dtype", "layers"), ("seed",))
        layers = []
        for description in architecture["layers"]:
            arguments = dict(description)
            layer = LAYERS[_check.choice(arguments.pop("type"), "layer type", LAYERS)]
            layers.append(layer(**arguments))
        dtype = _check.model_dtype(architecture["dtype"])
        # Before there is memory for as many parameters as a damaged file may ask for.
        _require_tensors(tensors, _expected_tensors(layers, dtype, "0.mean" in tensors))
        model = cls.__new__(cls)
        model._assemble(layers, dtype, architecture.get("seed", 0))
        if model.standardize is not None and "0.mean" in tensors:
            model.standardize.mean = np.empty(model.in_features)
            model.standardize.scale = np.empty(model.in_features)
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
        return Model.restore, (self.architecture(), {name: tensor.copy() for name, tensor in self.tensors().items()})

    def __repr__(self) -> str:
        return f"Model([{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r})"


def _expected_tensors(layers: Sequence[Layer], dtype: np.dtype, is_learnt: bool) -> dict[str, tuple]:
    """The shape and the dtype's name of each tensor of a model.

    is_learnt : whether its Standardize layer, if it has one, has a mean and a scale
    """
    expected: dict[str, tuple] = {}
    for index, layer in enumerate(layers):
        if isinstance(layer, Linear):
            expected[f"{index}.weight"] = (layer.out_features, layer.in_features), dtype.name
            if layer.has_bias:
                expected[f"{index}.bias"] = (layer.out_features,), dtype.name
        elif isinstance(layer, Standardize) and is_learnt:
            expected |= {f"{index}.{name}": ((layer.n_features,), "float64") for name in ("mean", "scale")}
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


def _widths(layers: Sequence[Layer]) -> list[int]:
    """The width of the input and of each layer's output, Standardize apart."""
    for index, layer in enumerate(layers):
        if not isinstance(layer, tuple(LAYERS.values())):
            raise TypeError(f"layers[{index}] is {layer!r}; expected one of {', '.join(LAYERS)}")
    first = next((layer for layer in layers if isinstance(layer, Linear)), None)
    if first is None:
        raise ValueError(f"layers is {list(layers)!r}; expected at least one Linear")
    widths = [first.in_features]
    for index, layer in enumerate(layers):
        if isinstance(layer, Standardize):
            if index > 0 or layer.n_features != widths[0]:
                raise ValueError(
                    f"layers[{index}] is {layer!r}; expected it first, with n_features={widths[0]}, or not at all"
                )
        elif isinstance(layer, Linear):
            if layer.in_features != widths[-1]:
                raise ValueError(
                    f"layers[{index}] is {layer!r} and gets {widths[-1]} features; expected in_features={widths[-1]}"
                )
            widths.append(layer.out_features)
        else:
            widths.append(widths[-1])
    return widths
