"""The numbers of a trace are those that training computes, bit for bit, and leave it as it is."""

import copy
import itertools

import numpy as np
import pytest
from cases import built, rows_for
from loss_cases import CASES
from optimizer_cases import OPTIMIZERS
from stacks import STACKS

import fastgd as gd
from fastgd.losses import as_loss, name_of
from fastgd.reference import exact
from fastgd.reference.comparison import as_reference
from fastgd.tracing import Trace

SMALL = [gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)]


def assert_is_what_training_does(model, X, y, trainer_of, batch_size, sample_weight=None):
    """Traced and untraced, steps have the same bits; loss and gradient are the model's without Dropout."""
    traced, plain = (trainer_of(copy.deepcopy(model)) for _ in range(2))
    traced.batch_size = batch_size
    trace = traced.trace(X, y, sample_weight)
    drops = any(isinstance(layer, gd.Dropout) for layer in model.layers)
    adapts = isinstance(traced.optimizer, gd.NormalizedSGD)
    for step in trace:
        rows = slice(*step.rows)
        v = None if sample_weight is None else sample_weight[rows]
        rate = plain.learning_rate
        if not adapts:
            np.testing.assert_array_equal(step.parameters_before, plain.model.parameters)
        loss, gradient = plain.model.loss_and_gradient(
            X[rows], y[rows], traced.loss, v, parameters=step.parameters_before
        )
        if not drops:
            assert step.loss == loss
            np.testing.assert_array_equal(step.gradient, gradient)
        loss = plain.step(X[rows], y[rows], v)
        # A neuron's loop adds up in another order.
        assert loss == pytest.approx(step.loss, rel=1e-12) if model.is_neuron else loss == step.loss
        np.testing.assert_array_equal(step.parameters_after, plain.model.parameters)
        assert step.learning_rate == rate
        assert step.update == plain.n_updates
    np.testing.assert_array_equal(traced.model.parameters, plain.model.parameters)
    for name, state in traced.optimizer_state.items():
        np.testing.assert_array_equal(state, plain.optimizer_state[name])
    return trace


def assert_chains(model, step):
    """Each number follows from its neighbours by the formula that the table shows, to rounding."""
    eps = 100 * np.finfo(model.dtype).eps
    given, gradient, before = step.x, step.by_name(step.gradient), step.by_name(step.parameters_before)
    for k, layer in enumerate(step.layers):
        out, d_in, d_out = step.outputs[k], step.deltas[k], step.deltas[k + 1]
        if isinstance(layer, gd.Linear):
            w, b = before[f"{k}.weight"], before.get(f"{k}.bias", 0)
            np.testing.assert_allclose(out, given @ w.T + b, rtol=eps, atol=eps)
            np.testing.assert_allclose(d_in, d_out @ w, rtol=eps, atol=eps)
            np.testing.assert_allclose(gradient[f"{k}.weight"], d_out.T @ given, rtol=eps, atol=eps)
            if layer.has_bias:
                np.testing.assert_allclose(gradient[f"{k}.bias"], d_out.sum(0), rtol=eps, atol=eps)
        elif isinstance(layer, gd.ReLU):
            np.testing.assert_array_equal(out, np.maximum(given, 0))
            np.testing.assert_array_equal(d_in, np.where(step.masks[k], d_out, 0))
        elif isinstance(layer, gd.Dropout):
            np.testing.assert_allclose(out, np.where(step.masks[k], given / (1 - layer.p), 0), rtol=eps)
            np.testing.assert_allclose(d_in, np.where(step.masks[k], d_out / (1 - layer.p), 0), rtol=eps)
        given = out


@pytest.mark.parametrize("batch_size", [1, 2, None])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_network(batch_size, momentum):
    model = built(SMALL, "float32")
    X, y, v = rows_for(model, 5)

    def trainer_of(model):
        return gd.Trainer(model, optimizer=gd.SGD(0.1, momentum=momentum))

    trace = assert_is_what_training_does(model, X, y, trainer_of, batch_size)
    assert len(trace) == {1: 5, 2: 3, None: 1}[batch_size]
    for step in trace:
        assert_chains(model, step)
        if momentum == 0:
            # The update is added as it is computed.
            np.testing.assert_allclose(
                step.parameters_after, step.parameters_before - 0.1 * step.gradient, rtol=1e-6, atol=1e-7
            )
    assert_is_what_training_does(model, X, y, trainer_of, batch_size, v)


def test_the_gradient_is_what_the_optimizer_gets():
    """Momentum begins with the gradient itself; Dropout drops in the trace what it drops in training."""
    model = built([gd.Linear(3, 8), gd.ReLU(), gd.Dropout(0.5), gd.Linear(8, 1)], "float32")
    X, y, _ = rows_for(model, 5)
    for seed in (0, 7):
        trainer = gd.Trainer(copy.deepcopy(model), optimizer=gd.SGD(0.1, momentum=0.9), batch_size=None, seed=seed)
        first = trainer.trace(X, y)[0]
        np.testing.assert_array_equal(trainer.optimizer_state["m"], first.gradient)
        m = trainer.optimizer_state["m"].copy()
        second = trainer.trace(X, y)[0]
        np.testing.assert_allclose(trainer.optimizer_state["m"], 0.9 * m + second.gradient, rtol=1e-6, atol=1e-7)
        assert 0 < first.masks[2].mean() < 1
        assert (first.masks[2] != second.masks[2]).any()
        assert_chains(model, first)


def test_rows_are_seen_as_the_layers_see_them():
    model = gd.Model([gd.Standardize(3), *SMALL, gd.StandardizedTargets(1)], "float32", seed=1)
    X, y, _ = rows_for(model, 5)
    X, y = 100 * X + 5, 1000 * y - 3
    model.layers[0].fit(X)
    model.layers[-1].fit(y)
    trace = assert_is_what_training_does(model, X, y, lambda model: gd.Trainer(model, optimizer=gd.SGD(0.1)), 2)
    np.testing.assert_allclose(
        np.concatenate([step.x for step in trace]), (X - X.mean(0)) / X.std(0), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        np.concatenate([step.y for step in trace]), (y - y.mean(0)) / y.std(0), rtol=1e-4, atol=1e-5
    )
    assert trace[0].first_layer == 1
    assert list(trace[0].by_name(trace[0].gradient)) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert "3 Linear(4, 1)" in str(trace)
    assert "o1 = x, standardised" in str(trace)
    assert "y, standardised" in str(trace)


def test_the_rate_is_the_one_that_was_used():
    model = built(SMALL, "float32")
    X, y, _ = rows_for(model, 4)

    def trainer_of(model):
        trainer = gd.Trainer(model, optimizer=gd.SGD(gd.schedules.InverseScaling(0.1)))
        trainer.learning_rate_factor = 0.5
        return trainer

    trace = assert_is_what_training_does(model, X, y, trainer_of, 1)
    assert trace[0].learning_rate == 0.05
    assert trace[3].learning_rate < 0.05


def test_the_rule_is_named():
    model = built(SMALL)
    X, y, _ = rows_for(model, 1)
    assert "ŵ2 by SGD and regularisation " in str(gd.Trainer(model, alpha=0.1).trace(X, y))
    assert "ŵ2 = w2 - α δw2" in str(gd.Trainer(model).trace(X, y))


def test_forward_passes_alone():
    model = built([gd.Linear(3, 4), gd.ReLU(), gd.Dropout(0.5), gd.Linear(4, 1)], "float32")
    X, _, _ = rows_for(model, 5)
    trace = gd.trace(model, X, batch_size=2)
    found = np.concatenate([step.outputs[-1] for step in trace])
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-6)
    step = trace[0]
    np.testing.assert_array_equal(step.outputs[1], step.outputs[2])
    assert step.masks[2] is None
    assert step.masks[1].dtype == bool
    assert (step.y, step.loss, step.deltas, step.gradient, step.parameters_after) == (None, None, (), None, None)
    assert "δ" not in str(trace)


def test_the_reference_has_the_same_numbers():
    model = built([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 2, bias=False)])
    X, y, v = rows_for(model, 5)
    by_kernels = gd.trace(model, X, y, learning_rate=0.1, batch_size=2, sample_weight=v)
    by_reference = exact.trace(as_reference(model), X.tolist(), y.tolist(), 0.1, 2, v.tolist())
    for ours, theirs in zip(by_kernels, by_reference, strict=True):
        for name in ("x", "y", "loss", "gradient", "parameters_before", "parameters_after", "sample_weight"):
            expected = np.array(getattr(theirs, name), float)
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-12, atol=1e-14, err_msg=name)
        for name in ("outputs", "deltas"):
            for found, expected in zip(getattr(ours, name), getattr(theirs, name), strict=True):
                np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-12, atol=1e-14, err_msg=name)
        np.testing.assert_array_equal(ours.masks[1], theirs.masks[1])
        assert (ours.rows, ours.update, ours.learning_rate) == (theirs.rows, theirs.update, theirs.learning_rate)
    assert str(by_kernels).splitlines()[0] == str(by_reference).splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    for layers in (SMALL, [gd.Linear(3, 1), gd.ReLU()]):
        model = gd.Model(layers, "float64", seed=3)
        X, y, v = rows_for(model, 9)

        def trainer_of(model):
            return gd.Trainer(model, optimizer=OPTIMIZERS[name], alpha=0.01, l1_ratio=0.5, max_norm=1.0)

        assert_is_what_training_does(model, X, np.abs(y), trainer_of, 3, v)


@pytest.mark.slow
@pytest.mark.parametrize("loss", CASES)
def test_every_loss(loss):
    n_out = 3 if loss == "cross_entropy" else 2
    model = built([gd.Linear(3, 4), gd.Tanh(), gd.Linear(4, n_out)])
    X, y, v = rows_for(model, 6)
    y = CASES[loss].target(np.round(8 * y) / 8, n_out)
    for batch_size in (1, 4):
        trace = assert_is_what_training_does(
            model, X, y, lambda model: gd.Trainer(model, CASES[loss].loss, gd.SGD(0.01)), batch_size, v
        )
        for step in trace:
            assert_chains(model, step)
            assert name_of(as_loss(CASES[loss].loss)) in str(Trace([step]))


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKS)
def test_every_layer(name):
    model = built(STACKS[name], "float64")
    X, y, _ = rows_for(model, 40)
    for batch_size in (3, 40):
        trace = assert_is_what_training_does(
            model, X, y, lambda m: gd.Trainer(m, optimizer=gd.Adam(), seed=5), batch_size
        )
        assert_chains(model, trace[0])
    # The derivative by x, which training never computes, by central differences.
    if not any(isinstance(layer, gd.Dropout) for layer in model.layers):
        step, h = gd.trace(model, X[:2], y[:2], 0.1, batch_size=2)[0], 1e-6
        for i, j in np.ndindex(2, model.in_features):
            shift = np.zeros((2, model.in_features))
            shift[i, j] = h
            up, down = (model.loss(X[:2] + sign * shift, y[:2]) for sign in (1, -1))
            np.testing.assert_allclose(step.deltas[0][i, j], (up - down) / (2 * h), rtol=1e-5, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_networks(dtype):
    rng = np.random.default_rng(7)
    for seed in range(40):
        widths = rng.integers(1, 40, rng.integers(2, 5)).tolist()
        layers = []
        for n_in, n_out in itertools.pairwise(widths):
            layers += [gd.Linear(n_in, n_out, bias=bool(rng.integers(2))), gd.ReLU()]
        model = built(layers[: len(layers) - rng.integers(2)], dtype, seed)
        X, y, v = rows_for(model, 20, seed)
        optimizer = [gd.SGD(0.001), gd.SGD(0.001, momentum=0.9), gd.Adam()][seed % 3]
        batch_size = int(rng.integers(1, 21))
        trace = assert_is_what_training_does(
            model, X, y, lambda model, optimizer=optimizer: gd.Trainer(model, optimizer=optimizer), batch_size, v
        )
        by_reference = exact.trace(as_reference(model), X.tolist(), y.tolist(), 0.001, batch_size, v.tolist())
        eps = 1000 * np.finfo(dtype).eps
        # The first step begins with the same parameters, whatever the optimiser.
        for name in ("outputs", "deltas"):
            for found, expected in zip(getattr(trace[0], name), getattr(by_reference[0], name), strict=True):
                scale = np.abs(expected.astype(float)).max() + 1
                np.testing.assert_allclose(found, expected.astype(float), rtol=eps, atol=eps * scale)
        expected = by_reference[0].gradient.astype(float)
        np.testing.assert_allclose(trace[0].gradient, expected, rtol=eps, atol=eps * (np.abs(expected).max() + 1))
