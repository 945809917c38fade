"""The layers of a model. Each describes itself; the arithmetic is in `fastgd.kernels`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _check
from fastgd.kernels.network import LINEAR, RELU

INITS = ("he_normal", "zeros")


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
    """

    kind = LINEAR

    def __init__(
        self, in_features: int, out_features: int, bias: bool | ArrayLike = True, init: str | ArrayLike = "he_normal"
    ) -> None:
        self.in_features = _check.integer(in_features, "in_features", 1)
        self.out_features = _check.integer(out_features, "out_features", 1)
        self.has_bias = bias if isinstance(bias, bool | np.bool_) else True
        self._initial_bias = None if isinstance(bias, bool | np.bool_) else self._given(bias, "bias", (out_features,))
        if isinstance(init, str):
            self._init = _check.choice(init, "init", INITS)
        else:
            self._init = self._given(init, "init", (out_features, in_features))
        self._weight: np.ndarray | None = None
        self._bias: np.ndarray | None = None

    @staticmethod
    def _given(values: ArrayLike, name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = _check.real_array(values, name)
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
            self._weight[...] = rng.standard_normal(self._weight.shape) * np.sqrt(2 / self.in_features)
        else:
            self._weight[...] = 0
        if self._bias is not None:
            self._bias[...] = 0 if self._initial_bias is None else self._initial_bias

    def arguments(self) -> dict[str, Any]:
        """What `Linear(**arguments)` needs to describe the same layer."""
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": bool(self.has_bias)}

    def __repr__(self) -> str:
        bias = "" if self.has_bias else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"


class ReLU:
    """out = z if z >= 0 else 0, element by element.

    The gradient passes where z >= -tolerance. With the tolerance at zero, a pre-activation that is zero but for
    rounding would mask the gradient at random; in the article's worked example nothing would be learnt.

    Parameters
    ----------
    tolerance : float, optional
        How far below zero a pre-activation counts as zero; at least 0. By default 8 eps of the model's dtype.
    """

    kind = RELU
    n_parameters = 0

    def __init__(self, tolerance: float | None = None) -> None:
        self.tolerance = None if tolerance is None else _check.non_negative(tolerance, "tolerance")

    def tolerance_in(self, dtype: np.dtype) -> float:
        """The tolerance in a model of this dtype."""
        return 8 * float(np.finfo(dtype).eps) if self.tolerance is None else self.tolerance

    def arguments(self) -> dict[str, Any]:
        """What `ReLU(**arguments)` needs to describe the same layer."""
        return {"tolerance": self.tolerance}

    def __repr__(self) -> str:
        return "ReLU()" if self.tolerance is None else f"ReLU(tolerance={self.tolerance!r})"


#: Every kind of layer, by the name that a saved model uses.
LAYERS = {"Linear": Linear, "ReLU": ReLU}

Layer = Linear | ReLU
