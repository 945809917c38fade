"""Penalties on the weights, bounds on gradient and weights, and the average of the parameters."""

import math
from typing import NamedTuple, Self

from fastgd import kernels
from fastgd.data import checks


class Regularization(NamedTuple):
    """What `Trainer` takes by these names."""

    alpha: float
    l1_ratio: float
    clip_value: float | None
    clip_norm: float | None
    max_norm: float | None
    average_from: int | None

    def checked(self) -> Self:
        """The same, or a ValueError or TypeError that names what is wrong."""
        return type(self)(
            checks.non_negative(self.alpha, "alpha"),
            checks.between(self.l1_ratio, "l1_ratio", 0, 1),
            *(
                None if bound is None else checks.positive(bound, name)
                for name, bound in zip(self._fields[2:5], self[2:5], strict=True)
            ),
            None if self.average_from is None else checks.integer(self.average_from, "average_from", 1),
        )

    def settings(self, is_proximal: bool) -> kernels.NoRegularization | kernels.Regularization:
        """As the kernels take it.

        is_proximal : whether the optimiser's update is  w -= rate · g  and no more
        """
        bounds = self[2:]
        if self.alpha == 0 and bounds == (None,) * 4:
            return kernels.NoRegularization()
        l2, l1 = self.alpha * (1 - self.l1_ratio), self.alpha * self.l1_ratio
        return kernels.Regularization(
            l2, l1, is_proximal, *(math.inf if bound is None else float(bound) for bound in bounds)
        )


NO_REGULARIZATION = Regularization(0.0, 0.0, None, None, None, None)
