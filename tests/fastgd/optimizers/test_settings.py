"""Settings of optimisers that are refused."""

import math
import re

import numpy as np
import pytest
from cases import model_of

import fastgd as gd


@pytest.mark.parametrize("kind", [gd.Adam, gd.AdamW, gd.Adagrad, gd.RMSprop], ids=lambda kind: kind.__name__)
def test_an_eps_of_zero_is_refused(kind):
    """A gradient of zero would be divided by it."""
    with pytest.raises(ValueError, match="eps is 0; expected more than 0"):
        kind(eps=0)
    with pytest.raises(ValueError, match=r"eps is 1e-46, which is 0 in float32; expected at least 1\.4e-45"):
        gd.Trainer(model_of("neuron", "float32"), optimizer=kind(eps=1e-46))
    for dtype, eps in (("float64", 1e-46), ("float32", 1e-44)):
        model = gd.Model([gd.Linear(2, 1, init="zeros")], dtype=dtype)
        gd.Trainer(model, optimizer=kind(eps=eps)).fit(np.ones((5, 2)), np.zeros(5))
        np.testing.assert_array_equal(model.parameters, 0)


BAD = [
    (lambda: gd.SGD(-0.1), ValueError, r"learning_rate is -0\.1; expected a finite number of at least 0"),
    (lambda: gd.Adam(math.nan), ValueError, "learning_rate is nan; expected a finite number"),
    (lambda: gd.Adagrad(math.inf), ValueError, "learning_rate is inf; expected a finite number"),
    (lambda: gd.RMSprop("fast"), TypeError, "learning_rate is 'fast'; expected a number"),
    (lambda: gd.SGD(True), TypeError, "learning_rate is True; expected a number"),
    (lambda: gd.AdamW(None), TypeError, "learning_rate is None; expected a number"),
    (lambda: gd.NormalizedSGD(-1), ValueError, "learning_rate is -1; expected"),
    (lambda: gd.SGD(momentum=1), ValueError, "momentum is 1; expected less than 1"),
    (lambda: gd.SGD(momentum=-0.5), ValueError, r"momentum is -0\.5; expected"),
    (lambda: gd.SGD(dampening=1.5), ValueError, r"dampening is 1\.5; expected a number from 0 to 1"),
    (lambda: gd.SGD(weight_decay=-1), ValueError, "weight_decay is -1; expected"),
    (lambda: gd.SGD(weight_decay="a"), TypeError, "weight_decay is 'a'; expected a number"),
    (lambda: gd.SGD(nesterov=True), ValueError, r"nesterov with momentum=0\.0.*expected a momentum"),
    (lambda: gd.SGD(momentum=0.9, dampening=0.1, nesterov=True), ValueError, r"dampening=0\.1.*no dampening"),
    (lambda: gd.SGD(momentum=0.9, nesterov=1), TypeError, "nesterov is 1; expected True or False"),
    (lambda: gd.Adam(betas=0.9), TypeError, r"betas is 0\.9; expected a pair"),
    (lambda: gd.Adam(betas=(0.9,)), TypeError, r"betas is \(0\.9,\); expected a pair"),
    (lambda: gd.Adam(betas=(0.9, 1)), ValueError, "betas is 1; expected less than 1"),
    (lambda: gd.AdamW(betas=(-0.1, 0.9)), ValueError, r"betas is -0\.1; expected"),
    (lambda: gd.Adam(eps=-1), ValueError, "eps is -1; expected"),
    (lambda: gd.AdamW(weight_decay=math.nan), ValueError, "weight_decay is nan; expected"),
    (lambda: gd.Adagrad(lr_decay=-1), ValueError, "lr_decay is -1; expected"),
    (lambda: gd.Adagrad(initial_accumulator_value=-1), ValueError, "initial_accumulator_value is -1; expected"),
    (lambda: gd.Adagrad(eps="small"), TypeError, "eps is 'small'; expected a number"),
    (lambda: gd.RMSprop(alpha=1), ValueError, "alpha is 1; expected less than 1"),
    (lambda: gd.RMSprop(momentum=2), ValueError, "momentum is 2; expected"),
    (lambda: gd.RMSprop(centered="yes"), TypeError, "centered is 'yes'; expected True or False"),
    (
        lambda: gd.Trainer(model_of("neuron"), optimizer="SGD"),
        TypeError,
        "optimizer is 'SGD'; expected 'auto' or an instance",
    ),
    (
        lambda: gd.Trainer(model_of("neuron"), optimizer=gd.SGD),
        TypeError,
        "expected 'auto' or an instance of SGD, Adam",
    ),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("given", "expected"),
    [("adam", "gd.Adam()"), ("SGD", "gd.SGD()"), (gd.RMSprop, "gd.RMSprop()"), (0.1, "gd.SGD(0.01)")],
)
def test_an_optimizer_by_its_name_is_told_how_to_make_one(given, expected):
    with pytest.raises(TypeError, match=f"as in {re.escape(expected)}$"):
        gd.Trainer(model_of("neuron"), optimizer=given)
