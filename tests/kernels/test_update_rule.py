"""What an update calls; all else is left uncompiled."""

import math

import numpy as np
import pytest

from fastgd import kernels
from fastgd.kernels.optim.optimizers import PlainSGD

NOTHING = kernels.Regularization(
    l2=0.0,
    l1=0.0,
    is_proximal=False,
    clip_value=math.inf,
    clip_norm=math.inf,
    max_norm=math.inf,
    average_from=math.inf,
)
GRADIENT, PARAMETERS, AVERAGE = "regularize_gradient", "prox_and_project", "average"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, []),
        ({"l2": 0.1}, [GRADIENT]),
        ({"l1": 0.1, "is_proximal": True}, [PARAMETERS]),
        ({"l1": 0.1}, [GRADIENT, PARAMETERS]),
        ({"clip_value": 1.0}, [GRADIENT]),
        ({"clip_norm": 1.0}, [GRADIENT]),
        ({"max_norm": 1.0}, [PARAMETERS]),
        ({"average_from": 1.0}, [AVERAGE]),
    ],
)
def test_regularization_calls_what_it_needs(limits, expected):
    weights, dtype = np.array([[0, 1, 1]]), np.dtype("float32")
    regularization = NOTHING._replace(**limits)
    step = kernels.update_rule(PlainSGD(), regularization, weights, dtype, False, has_rows=False).step
    assert [name for name in (GRADIENT, PARAMETERS, AVERAGE) if getattr(step, name)] == expected


def test_without_regularization_nothing_is_called():
    weights, dtype = np.array([[0, 1, 1]]), np.dtype("float32")
    step = kernels.update_rule(PlainSGD(), kernels.NoRegularization(), weights, dtype, True, has_rows=False).step
    assert not any(getattr(step, name) for name in (GRADIENT, PARAMETERS, AVERAGE))
