"""Features whose scales span twelve orders of magnitude, with no setting touched."""

import numpy as np
import pytest
from scaled_problems import (
    LAYERS,
    LOSSES,
    N_FEATURES,
    SHORT,
    linear_loss_after,
    loss_after,
    problem,
    ratio_of_short_epochs,
    ratios_for_any_means,
    ratios_of_hidden_layers,
    standardized,
    tuned,
)

import fastgd as gd

pytestmark = pytest.mark.slow

OPTIMIZERS = [
    ("linear", gd.NormalizedSGD(), False),
    ("linear", gd.SGD("auto"), True),
    ("neuron", gd.NormalizedSGD(), False),
    ("neuron", gd.SGD("auto"), True),
    ("hidden layer", gd.NormalizedSGD(), False),
]


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(("name", "optimizer", "standardize"), OPTIMIZERS)
def test_within_five_percent_of_a_tuned_step(name, optimizer, standardize, batch_size):
    X, y, scales = problem(name)
    loss = loss_after(name, optimizer, batch_size, X * scales, y, standardize)
    assert loss < 1.05 * tuned(name, batch_size, X, y)


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("loss", [LOSSES[0], *(pytest.param(loss, marks=pytest.mark.slow) for loss in LOSSES[1:])])
@pytest.mark.parametrize("n_samples", [pytest.param(20_000, marks=pytest.mark.slow), 2000])
def test_any_means_within_five_percent_of_a_tuned_step(n_samples, loss, batch_size):
    assert max(ratios_for_any_means(loss, n_samples, batch_size, epochs=5)) < 1.05


FEATURES = {
    "long tails": lambda rng, shape: rng.standard_t(3, shape),
    "mostly zero": lambda rng, shape: rng.random(shape) < 0.05,
    "positive": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "correlated": lambda rng, shape: rng.standard_normal(shape) + 1.5 * rng.standard_normal((shape[0], 1)),
}


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize(
    "loss", ["half_squared_error", *(pytest.param(loss, marks=pytest.mark.slow) for loss in ("log_loss", "poisson"))]
)
@pytest.mark.parametrize("kind", FEATURES)
def test_any_features_within_five_percent_of_a_tuned_step(kind, loss, batch_size):
    rng = np.random.default_rng(0)
    X = FEATURES[kind](rng, (20_000, N_FEATURES)).astype(np.float64)
    z = standardized(X) @ rng.standard_normal((N_FEATURES, 1)) * 0.3
    y = {
        "half_squared_error": z + 0.5 * rng.standard_normal(z.shape),
        "log_loss": z + 0.5 * rng.logistic(size=z.shape) > 0,
        "poisson": rng.poisson(np.exp(np.minimum(z, 3))),
    }[loss]
    settings, layers = (loss, batch_size, 5), [gd.Linear(N_FEATURES, 1)]
    best = min(
        linear_loss_after(gd.SGD(rate), *settings, standardized(X), y, layers) for rate in np.logspace(-4, 1, 21)
    )
    scaled = X * np.random.default_rng(1).permutation(np.logspace(-6, 6, N_FEATURES))
    # The Poisson loss may be negative.
    assert linear_loss_after(gd.NormalizedSGD(), *settings, scaled, y, layers) < best + 0.05 * abs(best)


@pytest.mark.parametrize("batch_size", [*(pytest.param(size, marks=pytest.mark.slow) for size in (1, 8)), 32])
@pytest.mark.parametrize("name", LAYERS)
def test_normalized_sgd_within_five_percent_on_several_data_sets(name, batch_size):
    """No unit may stop learning."""
    for seed in range(4, 9):
        X, y, scales = problem(name, seed)
        loss = loss_after(name, gd.NormalizedSGD(), batch_size, X * scales, y)
        assert loss < 1.05 * tuned(name, batch_size, X, y)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_hidden_layers_within_five_percent_of_a_tuned_step(batch_size):
    """On each of ten data sets."""
    assert max(ratios_of_hidden_layers(batch_size)) < 1.05


WIDE = [(1000, 3, 1), (1000, 5, 1), (200, 5, 1), (1000, 5, 32)]


@pytest.mark.parametrize(("n_samples", "epochs", "batch_size"), WIDE)
def test_normalized_sgd_on_as_many_features_as_rows_and_more(n_samples, epochs, batch_size):
    """The model is much better than its best constant, and what it starts from."""
    n_features = 1000
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, n_features)) + rng.uniform(-1, 1, n_features)
    z = (X - X.mean(axis=0)) @ rng.standard_normal((n_features, 1)) / np.sqrt(n_features)
    y = z + 0.1 * rng.standard_normal(z.shape)
    loss = linear_loss_after(
        gd.NormalizedSGD(), "half_squared_error", batch_size, epochs, X, y, [gd.Linear(n_features, 1)]
    )
    assert loss < 0.2 * y.var() / 2


def test_no_full_batch_sets_normalized_sgd_back_to_its_start():
    X, y, scales = problem("linear")
    model = gd.Model([gd.Linear(N_FEATURES, 1)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=None)
    first, *later = trainer.fit(X[:2000] * scales, y[:2000], epochs=20).loss
    assert max(later) < 0.5 * first
    assert later[-1] < 0.02 * first


def test_normalized_sgd_in_full_batches_ends_no_unit():
    """Where a single update has seen many rows."""
    for seed in range(3, 8):
        X, y, scales = problem("neuron", seed)
        X, y = X[:3000], y[:3000]
        loss = loss_after("neuron", gd.NormalizedSGD(), None, X * scales, y, epochs=20)
        assert loss < 1.05 * tuned("neuron", None, X, y, epochs=20)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_samples", "batch_size", "epochs"), SHORT)
def test_short_epochs_within_five_percent_of_a_tuned_step(name, n_samples, batch_size, epochs):
    """In the mean of five data sets, which a few updates treat very differently."""
    ratios = [ratio_of_short_epochs(name, n_samples, batch_size, epochs, seed) for seed in range(3, 8)]
    assert np.exp(np.log(ratios).mean()) < 1.05
