"""Layers over one flat vector of parameters."""

import copy
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import storage
from fastgd.activations import Dropout, Identity, ReLU
from fastgd.data import checks
from fastgd.data.block import MeanAndScale
from fastgd.data.columns import Columns
from fastgd.kernels import Network, aligned_empty
from fastgd.labels import Labels
from fastgd.layers import LAYERS, Layer, Layers, Linear, widths_of
from fastgd.standardize import Standardize, StandardizedTargets


class LayerStack:
    """What a model consists of, and how it is described; `Model` computes with it.

    Parameters and attributes are those of `Model`, and

    labels : Labels or None
        What the outputs stand for.
    columns : Columns or None
        What the features and targets are called that it was trained on.
    """

    def __init__(self, layers: Sequence[Layer], dtype: DTypeLike = "float32", seed: int = 0) -> None:
        self._assemble(layers, dtype, seed)
        #: Whether its parameters may be the random ones that it begins with, which none has been warned of.
        self.may_be_untrained = True
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Linear):
                layer.initialize(self._rng(index))

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dtype" and name in vars(self):
            raise AttributeError("dtype is fixed when a Model is made; expected a new Model(layers, dtype=...)")
        super().__setattr__(name, value)

    def _assemble(self, layers: Sequence[Layer], dtype: DTypeLike, seed: int) -> None:
        """Set everything but the values of the parameters."""
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is {layers!r}; expected a list of layers")
        self.dtype = checks.model_dtype(dtype)
        self._seed = checks.integer(seed, "seed", 0)
        self.layers = Layers(copy.copy(layer) for layer in layers)
        self.standardize = self.layers[0] if self.layers and isinstance(self.layers[0], Standardize) else None
        self.labels: Labels | None = None
        self.columns: Columns | None = None
        #: Those of `fastgd.network.NetworkForCall` that no call uses, by their size and settings.
        self.idle_networks: dict[tuple, list[Network]] = {}
        self.widths = widths_of(self.layers)
        self.in_features, self.out_features = self.widths[0], self.widths[-1]
        self._parameters = aligned_empty(sum(layer.n_parameters for layer in self.layers), self.dtype)
        begin = 0
        for layer in self.layers:
            if isinstance(layer, Linear):
                layer.bind(self._parameters[begin : begin + layer.n_parameters])
                begin += layer.n_parameters

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """What the features are called that the model was trained on; None where they had no names."""
        return None if self.columns is None else self.columns.feature_names

    @property
    def target_names(self) -> tuple[str, ...] | None:
        """What the targets are called; None where they had no names."""
        return None if self.columns is None or not self.columns.targets else self.columns.targets

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

    @property
    def is_as_drawn(self) -> bool:
        """Whether all weights are the random ones that the model began with, and all biases zero."""
        linear = [(k, layer) for k, layer in enumerate(self.layers) if isinstance(layer, Linear)]
        return all(layer.is_as_drawn(self._rng(k)) for k, layer in linear) and not any(
            layer.has_bias and layer.bias.any() for _, layer in linear
        )

    @property
    def is_as_initialized(self) -> bool:
        """Whether all parameters are the random ones that the model began with, none of them given."""
        linear = [(k, layer) for k, layer in enumerate(self.layers) if isinstance(layer, Linear)]
        return all(layer.is_as_initialized(self._rng(k)) for k, layer in linear)

    @property
    def parameters(self) -> np.ndarray:
        """Every weight and bias, (n_parameters,), layer by layer; assigning to it writes into the model."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self._parameters[...] = values

    def require_finite(self, purpose: str) -> None:
        """Raise a ValueError that says what they are wanted for unless all parameters are finite."""
        if not np.isfinite(self.parameters).all():
            raise ValueError(f"the model's parameters hold a NaN or infinity; expected finite numbers {purpose}")

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
        return min(max(2**20 // max(self.widths), 32), 1024)

    @property
    def weights(self) -> np.ndarray:
        """Where each Linear's weight begins and ends in `parameters`, and its in_features: (n_linear_layers, 3)."""
        places, begin = [], 0
        for layer in self.layers:
            if isinstance(layer, Linear):
                places.append((begin, begin + layer.in_features * layer.out_features, layer.in_features))
            begin += layer.n_parameters
        return np.array(places, np.int64)

    @property
    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What a Standardize layer has learnt; None without such a layer, a ValueError before it has learnt."""
        return None if self.standardize is None else self.standardize.mean_and_scale

    @property
    def mean_and_scale_of_y(self) -> MeanAndScale | None:
        """The m and s of standardised targets (y - m) · s, in the same way."""
        return None if self.standardized_targets is None else self.standardized_targets.mean_and_inverse_scale

    @property
    def unfitted_layers(self) -> list[Standardize | StandardizedTargets]:
        """Those that are yet to learn mean and scale."""
        layers = (self.standardize, self.standardized_targets)
        return [layer for layer in layers if layer is not None and layer.mean is None]

    def architecture(self) -> dict[str, Any]:
        """The layers, the dtype, the seed, and the labels and columns, if there are any, as JSON can hold them."""
        layers = [{"type": type(layer).__name__} | layer.arguments() for layer in self.layers]
        labels = {} if self.labels is None else {"labels": self.labels.describe()}
        columns = {} if self.columns is None else {"columns": self.columns.describe()}
        return {"dtype": self.dtype.name, "layers": layers, "seed": self._seed} | labels | columns

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
    def restore(cls, architecture: dict[str, Any], tensors: Mapping[str, np.ndarray | storage.SavedTensor]) -> Self:
        """The model that `architecture` and `tensors` describe.

        Raises
        ------
        ValueError
            Unless there are the tensors of this architecture and no others, in their shapes and dtypes.
        """
        storage.require_names(architecture, "architecture", ("dtype", "layers"), ("seed", "labels", "columns"))
        layers = []
        for description in architecture["layers"]:
            arguments = dict(description)
            layer = LAYERS[checks.choice(arguments.pop("type"), "layer type", LAYERS)]
            layers.append(layer(**arguments))
        dtype = checks.model_dtype(architecture["dtype"])
        # Before there is memory for as many parameters as a damaged file may ask for.
        _require_tensors(tensors, _expected_tensors(layers, dtype, tensors))
        stack = cls.__new__(cls)
        stack._assemble(layers, dtype, architecture.get("seed", 0))
        stack.may_be_untrained = False
        if "labels" in architecture:
            stack.labels = Labels.restore(architecture["labels"], stack.out_features)
        if "columns" in architecture:
            stack.columns = Columns.restore(architecture["columns"], stack.in_features)
        for index, layer in enumerate(stack.layers):
            if isinstance(layer, Standardize | StandardizedTargets) and f"{index}.mean" in tensors:
                width = stack.in_features if layer is stack.standardize else stack.out_features
                layer.mean, layer.scale = np.empty(width), np.empty(width)
        for name, view in stack.tensors().items():
            view[...] = tensors[name]
        return stack


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
