"""What a benchmark of one kernel consists of."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Results = tuple[Any, ...]


class Case(NamedTuple):
    """One kernel at one shape, in three libraries that return the same results.

    fastgd, numpy : called without arguments; they write into arrays made beforehand
    python : called with `inputs`, of which arrays have become lists
    operations : how many dependent operations, each rounding once, lead to one number of the results
    """

    fastgd: Callable[[], Results]
    numpy: Callable[[], Results]
    python: Callable[..., Results]
    inputs: tuple[Any, ...]
    operations: int

    def library(self, name: str) -> Callable[[], Results]:
        """One of "fastgd", "NumPy" and "pure Python"."""
        if name != "pure Python":
            return {"fastgd": self.fastgd, "NumPy": self.numpy}[name]
        inputs = [value.tolist() if isinstance(value, np.ndarray) else value for value in self.inputs]
        return lambda: self.python(*inputs)

    def require_equal(self, results: Results, expected: Results) -> None:
        """Raise an AssertionError unless the results agree up to rounding, errors adding up at worst."""
        for array, other in zip(results, expected, strict=True):
            tolerance = 4 * self.operations * float(np.finfo(np.float32).eps) * float(np.abs(other).max())
            np.testing.assert_allclose(np.asarray(array, np.float64), other, rtol=0, atol=tolerance)


def normal(*shapes: int | tuple[int, ...]) -> list[np.ndarray]:
    """Float32 arrays of standard normal numbers."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]
