"""The layers of a model. Each describes itself; the arithmetic is in `fastgd.kernels`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args, overload

import numpy as np
from numpy.typing import ArrayLike

from fastgd.activations import Activation, Dropout, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.data import checks
from fastgd.standardize import RobustStandardize, Standardize, StandardizedTargets

InitName = Literal["he_normal", "zeros"]


class Linear:
    """out = x Wᵀ + b.

    Parameters
    ----------
    in_features, out_features : int
        Width of the input and of the output, at least 1.
    bias : bool or array of shape (out_features,)
        Whether there is a b, which starts at zero; or the values it starts from.
    init : "he_normal", "zeros" or array of shape (out_features, in_features)
        What the weight starts from. "he_normal" draws from N(0, 2 / in_features), after He, Zhang, Ren and Sun,
        "Delving deep into rectifiers" (ICCV 2015), equation 10.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(2, 1, bias=[3], init=[[1, 2]])], dtype="float64")
    >>> model.predict([[1, 1]])
    array([[6.]])
    >>> model.layers[0].weight
    array([[1., 2.]])
    >>> model.layers[0].bias = 0
    >>> model.predict([[1, 1]])
    array([[3.]])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool | ArrayLike = True,
        init: InitName | ArrayLike = "he_normal",
    ) -> None:
        self.in_features = checks.integer(in_features, "in_features", 1)
        self.out_features = checks.integer(out_features, "out_features", 1)
        self.has_bias = bias if isinstance(bias, bool | np.bool_) else True
        self._initial_bias = None if isinstance(bias, bool | np.bool_) else self._given(bias, "bias", (out_features,))
        if isinstance(init, str):
            self._init = checks.choice(init, "init", get_args(InitName))
        else:
            self._init = self._given(init, "init", (out_features, in_features))
        self._weight: np.ndarray | None = None
        self._bias: np.ndarray | None = None

    @staticmethod
    def _given(values: ArrayLike, name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = checks.real_array(values, name)
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}; expected {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a NaN or infinity")
        return array

    @property
    def n_parameters(self) -> int:
        """How many numbers the layer learns."""
        return self.out_features * (self.in_features + self.has_bias)

    @property
    def weight(self) -> np.ndarray:
        """View of the weight, (out_features, in_features); assigning to it writes into the model."""
        if self._weight is None:
            raise AttributeError("this Linear is not part of a model yet; take it from model.layers")
        return self._weight

    @weight.setter
    def weight(self, values: ArrayLike) -> None:
        self.weight[...] = values

    @property
    def bias(self) -> np.ndarray | None:
        """View of the bias, (out_features,), or None; assigning to it writes into the model."""
        if self._weight is None:
            raise AttributeError("this Linear is not part of a model yet; take it from model.layers")
        return self._bias

    @bias.setter
    def bias(self, values: ArrayLike) -> None:
        if self.bias is None:
            raise AttributeError("this Linear has no bias: it was made with bias=False")
        self._bias[...] = values

    def bind(self, parameters: np.ndarray) -> None:
        """Make the layer a view of its stretch of the model's parameters: the weight row by row, then the bias."""
        n_weights = self.out_features * self.in_features
        self._weight = parameters[:n_weights].reshape(self.out_features, self.in_features)
        self._bias = parameters[n_weights:] if self.has_bias else None

    def initialize(self, rng: np.random.Generator) -> None:
        """Write the starting values into the bound parameters."""
        if isinstance(self._init, np.ndarray):
            self._weight[...] = self._init
        elif self._init == "he_normal":
            self._weight[...] = self._drawn(rng)
        else:
            self._weight[...] = 0
        if self._bias is not None:
            self._bias[...] = 0 if self._initial_bias is None else self._initial_bias

    def is_as_drawn(self, rng: np.random.Generator) -> bool:
        """Whether the weight is what `initialize` draws from the same generator, and neither given nor learnt."""
        if not isinstance(self._init, str) or self._init != "he_normal":
            return False
        return bool((self._weight == self._drawn(rng).astype(self._weight.dtype)).all())

    def is_as_initialized(self, rng: np.random.Generator) -> bool:
        """Whether all is as `initialize` leaves it where neither weight nor bias are given."""
        return self.is_as_drawn(rng) and (self._bias is None or not self._bias.any())

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(self._weight.shape) * np.sqrt(2 / self.in_features)

    def arguments(self) -> dict[str, Any]:
        """What `Linear(**arguments)` needs to describe the same layer."""
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": bool(self.has_bias)}

    def __repr__(self) -> str:
        bias = "" if self.has_bias else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"


#: Every kind of layer, by the name that a saved model uses.
LAYERS = {
    layer.__name__: layer
    for layer in (
        Linear,
        ReLU,
        LeakyReLU,
        Tanh,
        Sigmoid,
        Identity,
        Dropout,
        Standardize,
        RobustStandardize,
        StandardizedTargets,
    )
}

Layer = Linear | Activation | Standardize | StandardizedTargets


def widths_of(layers: Sequence[Layer]) -> list[int]:
    """The width of the input and of each layer's output, Standardize and StandardizedTargets apart."""
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
        elif isinstance(layer, StandardizedTargets):
            if index < len(layers) - 1 or layer.n_outputs != widths[-1]:
                raise ValueError(
                    f"layers[{index}] is {layer!r}; expected it last, with n_outputs={widths[-1]}, or not at all"
                )
            before = next((k for k in layers[index - 1 :: -1] if not isinstance(k, Identity | Dropout)), None)
            if not isinstance(before, Linear):
                raise ValueError(
                    f"the model ends in {before!r}, and standardised targets are below 0 for about half of the rows; "
                    "expected a Linear at its end, Identity and Dropout apart, to standardise targets"
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


if TYPE_CHECKING:

    class Layers(tuple[Layer, ...]):
        """The layers of a model: each that is gone through is a Layer; one that is named by its place may be any.

        A type checker cannot know which layer stands where, and so whether it has a weight.
        """

        @overload
        def __getitem__(self, place: SupportsIndex, /) -> Any: ...
        @overload
        def __getitem__(self, place: slice, /) -> tuple[Layer, ...]: ...
        def __getitem__(self, place: Any, /) -> Any: ...

else:
    Layers = tuple
