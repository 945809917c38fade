"""Rows held out of training to watch."""

import math

import numpy as np
import pytest
from callback_cases import problem
from cases import model_of, rows_for

import fastgd as gd


def held_out_rows(n_samples, fraction, seed):
    """As documented: the first of a permutation, in the data's order."""
    drawn = np.random.default_rng([seed, 0, 1]).permutation(n_samples)[: round(fraction * n_samples)]
    return np.isin(np.arange(n_samples), drawn)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.03, np.float64(0.9)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("is_weighted", [False, True], ids=["equal", "weighted"])
def test_held_out_fraction(fraction, shuffle, is_weighted):
    """The same as giving the documented rows by hand; the same rows in each call."""
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, weight = rows_for(model, 41)
    held_out = held_out_rows(41, fraction, seed=7)
    assert 0 < held_out.sum() < 41
    trainers = [gd.Trainer(m, optimizer=gd.SGD(0.01), batch_size=4, shuffle=shuffle, seed=7) for m in (model, twin)]
    given = [array[~held_out] for array in (X, y)], [array[held_out] for array in (X, y)]
    if is_weighted:
        given[1].append(weight[held_out])
    for epochs in (2, 1):
        trainers[0].fit(X, y, epochs=epochs, sample_weight=weight if is_weighted else None, validation=fraction)
        own_weight = weight[~held_out] if is_weighted else None
        trainers[1].fit(*given[0], epochs=epochs, sample_weight=own_weight, validation=given[1])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainers[0].history.loss == trainers[1].history.loss
    assert trainers[0].history.validation_loss == trainers[1].history.validation_loss


def test_held_out_rows_of_a_dataset_and_of_a_file(tmp_path):
    model, twin, third = (model_of("neuron", "float32") for _ in range(3))
    data = gd.data.synthetic(50, 5, seed=1)
    data.save(tmp_path)
    X, y = data.arrays()
    losses = []
    for trained, rows in (
        (model, (data,)),
        (twin, (X, y)),
        (third, (gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy"),)),
    ):
        trainer = gd.Trainer(trained, optimizer=gd.SGD(0.01), shuffle=True)
        losses.append(trainer.fit(*rows, epochs=2, validation=0.2).validation_loss)
        np.testing.assert_array_equal(trained.parameters, model.parameters)
    assert losses[0] == losses[1] == losses[2]


def test_held_out_rows_are_never_trained_on():
    """Rows of features that stand on one axis each: the weights of those held out keep their first values."""
    model = gd.Model([gd.Linear(40, 1, bias=False)], dtype="float64", seed=1)
    before = model.layers[0].weight[0].copy()
    gd.Trainer(model, optimizer=gd.SGD(0.1), seed=3).fit(np.eye(40), np.full(40, 9), epochs=2, validation=0.3)
    np.testing.assert_array_equal(model.layers[0].weight[0] == before, held_out_rows(40, 0.3, seed=3))


def test_held_out_rows_depend_on_the_seed():
    assert (held_out_rows(40, 0.3, seed=3) != held_out_rows(40, 0.3, seed=4)).any()
    losses = set()
    for seed in (3, 4):
        trainer, rows, _ = problem()
        trainer = gd.Trainer(trainer.model, seed=seed)
        losses.add(trainer.fit(*rows, validation=0.3).loss[0])
    assert len(losses) == 2


def test_standardize_learns_from_the_training_rows_alone():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((50, 5)) * [1, 10, 100, 1, 1] + 5, rng.standard_normal((50, 2))
    held_out = held_out_rows(50, 0.2, seed=0)
    X[held_out] += 1000
    model = gd.Model([gd.Standardize(5), *model_of("hidden layer").layers], dtype="float64")
    gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=4).fit(X, y, validation=0.2)
    np.testing.assert_allclose(model.layers[0].mean, X[~held_out].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].scale, 1 / X[~held_out].std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("is_held_out", [False, True], ids=["training row", "held-out row"])
def test_errors_name_rows_of_the_whole_data(is_held_out):
    trainer, (X, y), _ = problem(n_samples=40)
    row = np.flatnonzero(held_out_rows(40, 0.5, seed=4) == is_held_out)[7]
    X[row, 2] = math.nan
    with pytest.raises(ValueError, match=f"X holds nan .* in row {row}, column 2; expected finite"):
        trainer.fit(X, y, validation=0.5)


BAD_FRACTIONS = [
    (0.0, ValueError, r"validation is 0\.0 of 30 rows; expected a fraction that leaves rows on both sides"),
    (1.0, ValueError, r"validation is 1\.0 of 30 rows; expected a fraction"),
    (0.01, ValueError, r"validation is 0\.01 of 30 rows; expected a fraction"),
    (0.99, ValueError, r"validation is 0\.99 of 30 rows; expected a fraction"),
    (-0.2, ValueError, r"validation is -0\.2 of 30 rows; expected a fraction"),
    (1.5, ValueError, r"validation is 1\.5 of 30 rows; expected a fraction"),
    (math.nan, ValueError, "validation is nan of 30 rows; expected a fraction"),
    (math.inf, ValueError, "validation is inf of 30 rows; expected a fraction"),
    (1, TypeError, r"validation is a int; expected a Dataset, \(X, y\).* or a fraction"),
    (True, TypeError, "validation is a bool; expected"),
    ("0.2", TypeError, "validation is a str; expected"),
]


@pytest.mark.parametrize(("fraction", "error", "message"), BAD_FRACTIONS, ids=[str(bad) for bad, _, _ in BAD_FRACTIONS])
def test_bad_fractions_are_refused(fraction, error, message):
    trainer, rows, _ = problem()
    before = trainer.model.parameters.copy()
    with pytest.raises(error, match=message):
        trainer.fit(*rows, validation=fraction)
    np.testing.assert_array_equal(trainer.model.parameters, before)
    assert len(trainer.history) == 0
