"""Targets that a loss refuses."""

import re

import numpy as np
import pytest
from loss_cases import CASES, made

import fastgd as gd

BAD_TARGETS = {
    "hinge, 0": ("hinge", 1, 0, "hinge expects targets -1 or +1"),
    "hinge, 2": ("hinge", 3, 2, "hinge expects targets -1 or +1"),
    "squared_hinge, 0": ("squared_hinge", 1, 0, "squared_hinge expects targets -1 or +1"),
    "modified_huber, 0": ("modified_huber", 1, 0, "modified_huber expects targets -1 or +1"),
    "perceptron, 0.5": ("perceptron", 1, 0.5, "perceptron expects targets -1 or +1"),
    "log_loss, 2": ("log_loss", 1, 2, "log_loss expects targets in [0, 1]"),
    "log_loss, -0.125": ("log_loss", 3, -0.125, "log_loss expects targets in [0, 1]"),
    "poisson, -1": ("poisson", 1, -1, "poisson expects targets at least 0"),
    "cross_entropy, 1.5": ("cross_entropy", 3, 1.5, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, -1": ("cross_entropy", 3, -1, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, n_classes": ("cross_entropy", 3, 3, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, far off": ("cross_entropy", 3, 1e30, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, NaN": ("cross_entropy", 3, np.nan, "expected finite numbers"),
    "cross_entropy, infinity": ("cross_entropy", 3, np.inf, "expected finite numbers"),
    "log_loss, NaN": ("log_loss", 1, np.nan, "expected finite numbers"),
    "hinge, NaN": ("hinge", 1, np.nan, "expected finite numbers"),
    "poisson, infinity": ("poisson", 1, np.inf, "expected finite numbers"),
    "absolute_error, NaN": ("absolute_error", 1, np.nan, "expected finite numbers"),
    "quantile, infinity": ("quantile", 1, np.inf, "expected finite numbers"),
}
BAD_ROW = 137


def rows_with_a_bad_target(case, dtype="float32"):
    name, n_outputs, value, message = BAD_TARGETS[case]
    X, y = made(CASES[name], 200, n_outputs)
    X, y = X.astype(dtype), y.astype(dtype)
    y[BAD_ROW, -1] = value
    model = gd.Model([gd.Linear(n_outputs, n_outputs)], dtype=dtype)
    return model, X, y, re.escape(f"y holds {y[BAD_ROW, -1]} ") + rf".*in row {BAD_ROW}; {re.escape(message)}"


# One case of each kind of loss; every loss compiles for seconds.
QUICK_CASES = "log_loss, 2", "cross_entropy, 1.5", "absolute_error, NaN"


def cases_and_ways():
    """Each case in a full batch, and in single rows or shuffled batches by turns, in either dtype by turns."""
    for i, case in enumerate(BAD_TARGETS):
        marks = () if case in QUICK_CASES else pytest.mark.slow
        yield pytest.param(case, None, False, ("float64", "float32")[i // 2 % 2], marks=marks)
        batch_size, shuffle = ((1, False), (16, True))[i % 2]
        yield pytest.param(case, batch_size, shuffle, ("float32", "float64")[i // 2 % 2], marks=pytest.mark.slow)


@pytest.mark.parametrize(("case", "batch_size", "shuffle", "dtype"), list(cases_and_ways()))
def test_bad_target(case, batch_size, shuffle, dtype):
    """The error names the row of the data; the model is as the rows before it left it, as if the row were not there."""
    model, X, y, message = rows_with_a_bad_target(case, dtype)
    loss = BAD_TARGETS[case][0]
    twin = gd.Model([gd.Linear(X.shape[1], X.shape[1])], dtype=dtype)
    options = {"loss": loss, "optimizer": gd.SGD(0.01), "batch_size": batch_size, "seed": 2}
    trainer = gd.Trainer(model, shuffle=shuffle, **options)
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, y)
    order = np.random.default_rng([2, 0]).permutation(200) if shuffle else np.arange(200)
    batch_rows = batch_size or 200
    n_good = int(np.flatnonzero(order == BAD_ROW)[0]) // batch_rows * batch_rows
    if n_good:
        gd.Trainer(twin, **options).fit(X[order[:n_good]], y[order[:n_good]])
    # Rows in another order have kernels of their own.
    rounding = 16 * np.finfo(dtype).eps if shuffle else 0
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=0, atol=rounding)
    assert trainer.n_updates == n_good // batch_rows
    assert len(trainer.history) == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_target_elsewhere(case):
    model, X, y, message = rows_with_a_bad_target(case)
    loss = BAD_TARGETS[case][0]
    before = model.parameters.copy()
    for call in (
        lambda: model.loss(X, y, loss),
        lambda: model.loss_and_gradient(X, y, loss),
        lambda: gd.Trainer(model, loss).step(X, y),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_array_equal(model.parameters, before)
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, loss).fit(X[:20], y[:20], validation=(X, y))


@pytest.mark.parametrize(
    "case",
    [
        "hinge, 0",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("cross_entropy, n_classes", "log_loss, NaN")),
    ],
)
@pytest.mark.parametrize(("seed", "is_held_out"), [(0, True), (2, False)])
def test_bad_target_with_held_out_rows(case, seed, is_held_out):
    """The row is that of the user's data, whichever part it went to."""
    held_out = np.random.default_rng([seed, 0, 1]).permutation(200)[:50]
    assert (BAD_ROW in held_out) == is_held_out
    model, X, y, message = rows_with_a_bad_target(case)
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, BAD_TARGETS[case][0], seed=seed).fit(X, y, validation=0.25)


def test_a_bad_target_counts_whatever_its_weight():
    model, X, y, message = rows_with_a_bad_target("cross_entropy, far off")
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, "cross_entropy").fit(X, y, sample_weight=np.zeros(200))


@pytest.mark.parametrize("source", ["int8", "uint8", "int64", "bool", "float16"])
def test_classes_of_any_dtype(source):
    X, y = made(CASES["cross_entropy"], 30, 2)
    models = [gd.Model([gd.Linear(2, 2)]) for _ in range(2)]
    for model, targets in zip(models, (y, y.ravel().astype(source)), strict=True):
        gd.Trainer(model, "cross_entropy", gd.SGD(0.1), shuffle=True).fit(X, targets)
    np.testing.assert_array_equal(models[0].parameters, models[1].parameters)


COLUMNS = {
    "cross_entropy, one a class": ("cross_entropy", 3, 3, r"y has shape \(6, 3\); expected \(n_samples, 1\) or"),
    "cross_entropy, two of three": ("cross_entropy", 3, 2, r"y has shape \(6, 2\); expected \(n_samples, 1\) or"),
    "hinge, one for three outputs": ("hinge", 3, 1, r"y has shape \(6, 1\); expected \(n_samples, 3\) for"),
    "poisson, two for one output": ("poisson", 1, 2, r"y has shape \(6, 2\); expected \(n_samples, 1\) or"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_wrong_number_of_target_columns(case):
    loss, n_outputs, n_columns, message = COLUMNS[case]
    model = gd.Model([gd.Linear(2, n_outputs)])
    X, y = np.ones((6, 2)), np.ones((6, n_columns))
    trainer = gd.Trainer(model, loss)
    good = np.ones((6, 1 if loss == "cross_entropy" else n_outputs))
    for call in (
        lambda: model.loss(X, y, loss),
        lambda: model.loss_and_gradient(X, y, loss),
        lambda: trainer.step(X, y),
        lambda: trainer.fit(X, y),
        lambda: trainer.fit(X, good, validation=(X, y)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert trainer.n_updates == 0


def test_classes_for_a_loss_of_numbers_are_told_of_the_right_one():
    with pytest.raises(ValueError, match=r"y has shape \(6, 1\); expected \(n_samples, 3\).*loss='cross_entropy'"):
        gd.Trainer(gd.Model([gd.Linear(2, 3)])).fit(np.ones((6, 2)), [0, 1, 2, 0, 1, 2])
