"""In calls of many batches the first layer's weights are column-major: the numbers are the same."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.kernels import tuning
from fastgd.kernels.tuning import FAR_APART, FEW

STACKS = {
    "one layer": lambda n_in: [gd.Linear(n_in, 7)],
    "no bias": lambda n_in: [gd.Linear(n_in, 33, bias=False), gd.ReLU(), gd.Linear(33, 7)],
    "hidden layers": lambda n_in: [
        *(gd.Linear(n_in, 19), gd.Tanh(), gd.Dropout(0.3)),
        *(gd.Linear(19, 8), gd.LeakyReLU(), gd.Linear(8, 7)),
    ],
    "few outputs in the middle": lambda n_in: [gd.Linear(n_in, 9), gd.Linear(9, FEW - 1), gd.Linear(FEW - 1, 7)],
    "wide": lambda n_in: [gd.Linear(n_in, FAR_APART + 4), gd.ReLU(), gd.Linear(FAR_APART + 4, 7)],
    "standardised": lambda n_in: [gd.Standardize(n_in), gd.Linear(n_in, 16), gd.ReLU(), gd.Linear(16, 7)],
}


def is_column_major(trainer):
    """Whether a call has reordered the weights."""
    return "_column_major_network" in vars(trainer._run.prepared_engine()._loop)


def trained(monkeypatch, stack, dtype, batch_size, column_major_bytes, n_in=13):
    monkeypatch.setattr(tuning, "COLUMN_MAJOR_BYTES", column_major_bytes)
    rng = np.random.default_rng(0)
    X, y, weight = rng.standard_normal((701, n_in)), rng.standard_normal((701, 7)), rng.integers(0, 3, 701)
    model = gd.Model(STACKS[stack](n_in), dtype=dtype)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=True, seed=3)
    history = trainer.fit(X, y, epochs=2, sample_weight=weight)
    assert is_column_major(trainer) == (column_major_bytes > 0)
    return model.parameters, history.loss


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("batch_size", [FEW, 8, 31])
def test_column_major_weights_change_nothing(stack, batch_size, dtype, monkeypatch):
    """Whichever calls reorder them: the first are of few batches. The last batch has few rows."""
    assert 701 % batch_size in (5, 19)
    expected, losses = trained(monkeypatch, stack, dtype, batch_size, 0)
    for n_batches in (16, 2, 1):
        monkeypatch.setattr(tuning, "BATCHES_PER_REORDERING", n_batches)
        parameters, column_major_losses = trained(monkeypatch, stack, dtype, batch_size, 1 << 16)
        np.testing.assert_array_equal(parameters, expected)
        assert column_major_losses == losses


def test_a_bad_row_leaves_the_weights_as_they_lay(rng):
    n_good, batch_size = 40 * tuning.BATCHES_PER_REORDERING, 8
    X, y = rng.standard_normal((2 * n_good, 5)), rng.standard_normal((2 * n_good, 1))
    X[n_good, 3] = np.nan
    model, twin = (gd.Model([gd.Linear(5, 9), gd.ReLU(), gd.Linear(9, 1)]) for _ in range(2))
    gd.Trainer(twin, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(X[:n_good], y[:n_good])
    with pytest.raises(ValueError, match=f"row {n_good}, column 3"):
        gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


RULES = {
    "plain SGD": ({}, [gd.Linear(5, FEW)], True),
    "few outputs": ({}, [gd.Linear(5, FEW - 1)], False),
    "few rows": ({"batch_size": FEW - 1}, [gd.Linear(5, FEW)], False),
    "batches of several micro-batches": ({"batch_size": 17}, [gd.Linear(5, FEW)], False),
    "batches of a micro-batch": ({"batch_size": 16}, [gd.Linear(5, FEW)], True),
    "as many weights as may be": ({}, [gd.Linear(1 << 10, 8)], True),
    "more weights": ({}, [gd.Linear(1 << 10, 9)], False),
    "momentum": ({"optimizer": gd.SGD(0.1, momentum=0.5)}, [gd.Linear(5, FEW)], False),
    "a penalty": ({"alpha": 0.1}, [gd.Linear(5, FEW)], False),
    "an activation first": ({}, [gd.Tanh(), gd.Linear(5, FEW)], False),
}


@pytest.mark.parametrize("rule", RULES)
def test_whose_weights_may_be_column_major(rule, monkeypatch):
    settings, layers, expected = RULES[rule]
    monkeypatch.setattr(gd.Model, "micro_batch_rows", 16)
    monkeypatch.setattr(tuning, "BATCHES_PER_REORDERING", 0)
    model = gd.Model(layers, dtype="float64")
    settings = {"optimizer": gd.SGD(0), "batch_size": 8} | settings
    trainer = gd.Trainer(model, **settings)
    trainer.fit(np.ones((17, layers[-1].in_features)), np.ones((17, model.out_features)))
    assert is_column_major(trainer) == expected
