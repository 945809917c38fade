"""The layers without parameters, which work element by element."""

from typing import Any

import numpy as np

from fastgd.data import checks
from fastgd.kernels import FunctionPointerKernel, activation


class Activation:
    """A layer without parameters that works element by element."""

    kernels: tuple[FunctionPointerKernel, FunctionPointerKernel]
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

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]]), gd.ReLU()], dtype="float64")
    >>> model.predict([[-2], [0], [3]]).ravel().tolist()
    [0.0, 0.0, 3.0]
    """

    kernels = activation.relu_forward, activation.relu_backward

    def __init__(self, tolerance: float | None = None) -> None:
        self.tolerance = tolerance

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "tolerance" and value is not None:
            value = checks.non_negative(value, name)
        super().__setattr__(name, value)

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

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]]), gd.LeakyReLU(slope=0.1)], dtype="float64")
    >>> model.predict([[-2], [0], [3]]).ravel().tolist()
    [-0.2, 0.0, 3.0]
    """

    kernels = activation.leaky_relu_forward, activation.leaky_relu_backward

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, checks.non_negative(value, name) if name == "slope" else value)

    def number_in(self, dtype: np.dtype) -> float:
        """The slope."""
        return self.slope

    def arguments(self) -> dict[str, Any]:
        """The slope."""
        return {"slope": self.slope}


class Tanh(Activation):
    """out = tanh(z).

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]]), gd.Tanh()], dtype="float64")
    >>> model.predict([[0], [1]]).ravel().round(3).tolist()
    [0.0, 0.762]
    """

    kernels = activation.tanh_forward, activation.tanh_backward


class Sigmoid(Activation):
    """out = 1 / (1 + exp(-z)).

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]]), gd.Sigmoid()], dtype="float64")
    >>> model.predict([[0], [1]]).ravel().round(3).tolist()
    [0.5, 0.731]
    """

    kernels = activation.sigmoid_forward, activation.sigmoid_backward


class Identity(Activation):
    """out = z.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]]), gd.Identity()], dtype="float64")
    >>> model.predict([[-2], [3]]).ravel().tolist()
    [-2.0, 3.0]
    """

    kernels = activation.identity_forward, activation.identity_backward


class Dropout(Activation):
    """While training, out = z / (1 - p), or 0 with probability p; else out = z (inverted dropout).

    What is dropped follows from the trainer's seed, the number of the update, the layer, the row's place in the batch
    and the unit, so that a run may be cut anywhere. After Srivastava and others, "Dropout" (JMLR 2014).

    Parameters
    ----------
    p : float
        Share of the elements to drop, in [0, 1).

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(2, 8), gd.ReLU(), gd.Dropout(0.2), gd.Linear(8, 1)])
    >>> [layer.p for layer in model.layers if isinstance(layer, gd.Dropout)]
    [0.2]
    """

    kernels = activation.dropout_forward, activation.dropout_backward

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, checks.below_one(value, name) if name == "p" else value)

    def number_in(self, dtype: np.dtype) -> float:
        """The probability."""
        return self.p

    def arguments(self) -> dict[str, Any]:
        """The probability."""
        return {"p": self.p}
