"""What an estimator's numbers and switches may be, whether its other parameters have a use for them or not."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgd.data import checks


def _share(value: Any, name: str) -> None:
    checks.between(value, name, 0, 1)


def _at_least_one(value: Any, name: str) -> None:
    checks.integer(value, name, 1)


def _verbosity(value: Any, name: str) -> None:
    if not isinstance(value, bool | np.bool_):
        checks.integer(value, name, 0)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "max_iter": _at_least_one,
    "epsilon": checks.non_negative,
    "quantile": _share,
    "l1_ratio": _share,
    "learning_rate_init": checks.positive,
    "power_t": checks.non_negative,
    "momentum": checks.below_one,
    "beta_1": checks.below_one,
    "beta_2": checks.below_one,
    "tol": checks.non_negative,
    "validation_fraction": _share,
    "verbose": _verbosity,
} | dict.fromkeys(
    ["fit_intercept", "shuffle", "nesterovs_momentum", "early_stopping", "warm_start", "standardize_targets"],
    checks.switch,
)
# None stands for another rule, or for none.
_MAY_BE_NONE = {"epsilon", "l1_ratio", "learning_rate_init", "tol"}


def require_in_range(estimator: Any) -> None:
    """Raise a ValueError or TypeError that names the first parameter that is not."""
    for name, value in estimator.get_params(deep=False).items():
        if name in _CHECKS and not (value is None and name in _MAY_BE_NONE):
            _CHECKS[name](value, name)
