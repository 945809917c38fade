"""The layers of a model. Each describes itself; the arithmetic is in `fastgd.kernels`."""

from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args, overload

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _check
from fastgd.arrays import ArrayDataset
from fastgd.dataset import Dataset, blocks, require_finite
from fastgd.kernels import activation
from fastgd.kernels.addressed import AddressedKernel

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
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool | ArrayLike = True,
        init: InitName | ArrayLike = "he_normal",
    ) -> None:
        self.in_features = _check.integer(in_features, "in_features", 1)
        self.out_features = _check.integer(out_features, "out_features", 1)
        self.has_bias = bias if isinstance(bias, bool | np.bool_) else True
        self._initial_bias = None if isinstance(bias, bool | np.bool_) else self._given(bias, "bias", (out_features,))
        if isinstance(init, str):
            self._init = _check.choice(init, "init", get_args(InitName))
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


class Activation:
    """A layer without parameters that works element by element."""

    kernels: tuple[AddressedKernel, AddressedKernel]
    n_parameters = 0

    def number_in(self, dtype: np.dtype) -> float:
        """The layer's one setting, as the kernels take it, in a model of this dtype."""
        return 0.0

    def arguments(self) -> dict[str, Any]:
        """What `type(layer)(**arguments)` needs to describe the same layer."""
        return {}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items() if value is not None)
        return f"{type(self).__name__}({given})"


class ReLU(Activation):
    """out = z if z >= 0 else 0.

    The gradient passes where z >= -tolerance. With the tolerance at zero, a pre-activation that is zero but for
    rounding would mask the gradient at random; in the article's worked example nothing would be learnt.

    Parameters
    ----------
    tolerance : float, optional
        How far below zero a pre-activation counts as zero; at least 0. By default 8 eps of the model's dtype.
    """

    kernels = activation.relu_forward, activation.relu_backward

    def __init__(self, tolerance: float | None = None) -> None:
        self.tolerance = None if tolerance is None else _check.non_negative(tolerance, "tolerance")

    def number_in(self, dtype: np.dtype) -> float:
        """The tolerance."""
        return 8 * float(np.finfo(dtype).eps) if self.tolerance is None else self.tolerance

    def arguments(self) -> dict[str, Any]:
        """The tolerance, if it was given."""
        return {"tolerance": self.tolerance}


class LeakyReLU(Activation):
    """out = z if z >= 0 else slope · z.

    Parameters
    ----------
    slope : float
        At least 0.
    """

    kernels = activation.leaky_relu_forward, activation.leaky_relu_backward

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = _check.non_negative(slope, "slope")

    def number_in(self, dtype: np.dtype) -> float:
        """The slope."""
        return self.slope

    def arguments(self) -> dict[str, Any]:
        """The slope."""
        return {"slope": self.slope}


class Tanh(Activation):
    """out = tanh(z)."""

    kernels = activation.tanh_forward, activation.tanh_backward


class Sigmoid(Activation):
    """out = 1 / (1 + exp(-z))."""

    kernels = activation.sigmoid_forward, activation.sigmoid_backward


class Identity(Activation):
    """out = z."""

    kernels = activation.identity_forward, activation.identity_backward


class Dropout(Activation):
    """While training, out = z / (1 - p), or 0 with probability p; else out = z (inverted dropout).

    What is dropped follows from the trainer's seed, the number of the update, the layer, the row's place in the batch
    and the unit, so that a run may be cut anywhere. After Srivastava and others, "Dropout" (JMLR 2014).

    Parameters
    ----------
    p : float
        Share of the elements to drop, in [0, 1).
    """

    kernels = activation.dropout_forward, activation.dropout_backward

    def __init__(self, p: float = 0.5) -> None:
        self.p = _check.below_one(p, "p")

    def number_in(self, dtype: np.dtype) -> float:
        """The probability."""
        return self.p

    def arguments(self) -> dict[str, Any]:
        """The probability."""
        return {"p": self.p}


# Numbers of less than 2^-1000 are subnormal, or soon are, when others are added to them.
_LEAST_EXPONENT = -1000


class Standardize:
    """out = (x - mean) · scale, feature by feature: as the first layer, it brings features to mean 0 and variance 1.

    It learns mean and scale (one over the standard deviation; one for a feature that does not vary) in one pass over
    the data, each row by its sample weight, by `fit` or when `Trainer.fit` begins, and applies them in float64 while
    rows are read. They are no parameters: training does not change them. `Model.fold` builds them into the next Linear.

    Parameters
    ----------
    n_features : int
        At least 1.
    """

    n_parameters = 0

    def __init__(self, n_features: int) -> None:
        self.n_features = _check.integer(n_features, "n_features", 1)
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    @property
    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """What was learnt: two float64 arrays of shape (n_features,)."""
        if self.mean is None:
            raise ValueError("the Standardize layer has no mean and scale yet; train the model, or call its fit(X)")
        return self.mean, self.scale

    def fit(self, dataset: ArrayLike | Dataset) -> "Standardize":
        """Learn mean and scale from every row of a data set or of an array (n_samples, n_features), in one pass.

        Blocks are joined by the formula of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
        computing sample variances" (1979), in float64. A row counts by its sample weight; where all are
        zero, nothing is learnt.
        """
        dataset = dataset if isinstance(dataset, Dataset) else ArrayDataset(dataset)
        if dataset.n_features != self.n_features:
            shape = (dataset.n_samples, dataset.n_features)
            raise ValueError(f"X has shape {shape}; expected (n_samples, {self.n_features})")
        total, mean, squares = 0.0, np.zeros(self.n_features), np.zeros(self.n_features)
        # Everything counts in units of 2^exponent, a power of two above all values so far, from the first row on.
        origin, exponent = None, np.full(self.n_features, _LEAST_EXPONENT)
        # A model in float64 takes the weights in float64, too.
        dtype = np.dtype(np.float64) if dataset.has_sample_weight else dataset.dtype
        for start, block in blocks(dataset, dtype):
            require_finite(block, lambda row, start=start: dataset.row_number(start + row))
            X, v = block.X.astype(np.float64), block.sample_weight.astype(np.float64)
            if v.size:
                X, v = X[v > 0], v[v > 0]
            if not len(X):
                continue
            largest = np.abs(X).max(axis=0)
            needed = np.where(largest > 0, np.frexp(largest)[1], _LEAST_EXPONENT)
            grown = np.clip(needed, exponent, -_LEAST_EXPONENT)
            if origin is None:
                origin = np.ldexp(X[0], -grown)
            else:
                # A power of two rounds nothing, and keeps squares from overflow.
                shrinkage = np.ldexp(1.0, exponent - grown)
                origin, mean, squares = origin * shrinkage, mean * shrinkage, squares * shrinkage * shrinkage
            exponent = grown
            with np.errstate(under="ignore"):
                # Counted from the first row, a feature that does not vary has a deviation of exactly zero.
                X *= np.ldexp(1.0, -exponent)
                X -= origin
                new, new_mean = (v.sum(), v @ X / v.sum()) if v.size else (len(X), X.mean(axis=0))
                X -= new_mean
                shift = new_mean - mean
                within = np.einsum("i,ij,ij->j", v, X, X) if v.size else np.einsum("ij,ij->j", X, X)
                squares += within + shift**2 * (total * new / (total + new))
                mean += shift * (new / (total + new))
            total += new
        if origin is not None:
            deviation = np.ldexp(np.sqrt(squares / total), exponent)
            # One so small that its inverse is infinite is none.
            scale = 1 / np.where(deviation >= np.finfo(np.float64).tiny, deviation, 1)
            # In one call, which no Ctrl-C divides.
            vars(self).update(mean=np.ldexp(origin + mean, exponent), scale=scale)
        return self

    def arguments(self) -> dict[str, Any]:
        """What `Standardize(**arguments)` needs to describe the same layer, all but what it has learnt."""
        return {"n_features": self.n_features}

    def __repr__(self) -> str:
        return f"Standardize({self.n_features})"


#: Every kind of layer, by the name that a saved model uses.
LAYERS = {layer.__name__: layer for layer in (Linear, ReLU, LeakyReLU, Tanh, Sigmoid, Identity, Dropout, Standardize)}

Layer = Linear | Activation | Standardize

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
