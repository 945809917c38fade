"""The least of a smooth function and a sum of absolute values, where many of these are exactly zero."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

# How often weights may join those that are looked at.
_MOST_ROUNDS = 20


def minimize_with_l1(
    smooth: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    n_weights: int,
    l1: float,
    options: dict[str, Any],
) -> OptimizeResult:
    """The least of  f(x) + l1 Σ |x_i|  over the first n_weights numbers of x, by L-BFGS-B.

    Each x_i is the difference of two numbers of at least 0, whose sum is its absolute value at the least: see Byrd, Lu,
    Nocedal and Zhu, "A limited memory algorithm for bound constrained optimization" (1995). Only those that are not
    zero, or would not stay so, are looked at, and others join them until none would: see Tibshirani et al., "Strong
    rules for discarding predictors in lasso-type problems" (2012).

    smooth : f and its gradient, (n,)          start : (n,) float64          l1 : above 0
    options : of L-BFGS-B; its maxfun holds for all rounds together, its gtol for what does not join, too

    Returns
    -------
    As `scipy.optimize.minimize`: x; fun, by which the objective has fallen at least, which is below 0 where x is better
    than the start; and success.
    """
    x, left = start.copy(), options["maxfun"]
    at_start, gradient = smooth(x)
    at_start += l1 * float(np.abs(x[:n_weights]).sum())
    is_active = np.ones(len(x), np.bool_)
    is_active[:n_weights] = (x[:n_weights] != 0) | (np.abs(gradient[:n_weights]) > l1)
    found = OptimizeResult(x=x, fun=0.0, success=False)
    for _ in range(_MOST_ROUNDS):
        split = _Split(smooth, x, is_active, n_weights, l1, at_start)
        found = minimize(
            split,
            split.variables(),
            jac=True,
            method="L-BFGS-B",
            bounds=split.bounds(),
            options=options | {"maxfun": left},
        )
        x = found.x = split.joined(found.x)
        left -= found.nfev
        if not found.success:
            break
        joins = ~is_active & (np.abs(smooth(x)[1]) > l1 + options["gtol"])
        if not joins.any():
            break
        found.success = False
        if left <= 0:
            break
        is_active |= joins
    return found


class _Split:
    """The objective as a function of the numbers that are looked at: weights' positive parts and all others, then
    weights' negative parts.
    """

    def __init__(
        self,
        smooth: Callable[[np.ndarray], tuple[float, np.ndarray]],
        x: np.ndarray,
        is_active: np.ndarray,
        n_weights: int,
        l1: float,
        at_start: float,
    ) -> None:
        self._smooth, self._x, self._l1, self._at_start = smooth, x, l1, at_start
        self._active = np.flatnonzero(is_active)
        self._n_weights = int(np.count_nonzero(is_active[:n_weights]))

    def variables(self) -> np.ndarray:
        """Of x."""
        active = self._x[self._active]
        weights = active[: self._n_weights]
        return np.concatenate([np.maximum(weights, 0), active[self._n_weights :], np.maximum(-weights, 0)])

    def bounds(self) -> Bounds:
        """Of at least 0 for both parts of weights."""
        least = np.zeros(len(self._active) + self._n_weights)
        least[self._n_weights : len(self._active)] = -np.inf
        return Bounds(least, np.inf)

    def joined(self, variables: np.ndarray) -> np.ndarray:
        """The x of variables."""
        x, n_active = self._x.copy(), len(self._active)
        active = variables[:n_active].copy()
        active[: self._n_weights] -= variables[n_active:]
        x[self._active] = active
        return x

    def __call__(self, variables: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective's fall since the start, and its gradient."""
        value, gradient = self._smooth(self.joined(variables))
        n_weights, gradient = self._n_weights, gradient[self._active]
        gradient = np.concatenate([gradient, -gradient[:n_weights]])
        parts = (slice(n_weights), slice(len(self._active), None))
        for part in parts:
            gradient[part] += self._l1
        absolute = sum(float(variables[part].sum()) for part in parts)
        return value + self._l1 * absolute - self._at_start, gradient
