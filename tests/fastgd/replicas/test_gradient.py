"""Gradients of shares that are summed: the steps are those of one large batch."""

import copy

import numpy as np
import pytest
from resumed_runs import SavesAndInterrupts
from scipy import sparse

import fastgd as gd

LAYERS = {
    "neuron": [gd.Linear(5, 1)],
    "network": [gd.Linear(5, 7), gd.ReLU(), gd.Dropout(0.3), gd.Linear(7, 1)],
}
OPTIONS = {
    "SGD": {"optimizer": gd.SGD(0.02)},
    "bounded": {"optimizer": gd.Adagrad(0.1, bounded=True)},
    "Adam, clipped": {"optimizer": gd.Adam(0.01), "alpha": 0.01, "clip_norm": 0.5, "average_from": 3},
    "momentum, a schedule": {"optimizer": gd.SGD(gd.schedules.InverseScaling(0.02, 0.5), momentum=0.9)},
}


def rows(n, rng):
    X = rng.standard_normal((n, 5))
    return X, X[:, :1] - X[:, 1:2] * X[:, 2:3]


def trainer_of(kind="network", replicas=3, batch_size=32, dtype="float64", **options):
    model = gd.Model(copy.deepcopy(LAYERS[kind]), dtype, seed=3)
    options = {"optimizer": gd.SGD(0.02), "sync": "gradient"} | options
    return gd.Trainer(model, batch_size=batch_size, replicas=replicas, **options)


@pytest.mark.parametrize("batch_size", [8, 32, 2500, None])
@pytest.mark.parametrize(
    ("kind", "options"), [("neuron" if each == "bounded" else "network", each) for each in OPTIONS]
)
def test_steps_are_those_of_the_large_batch(kind, options, batch_size, rng):
    """Batches of up to 1024 rows are one micro-batch, and of 7001 rows several parts of three."""
    n_rows, epochs = (7001, 3) if batch_size in (2500, None) else (101, 2)
    X, y = rows(n_rows, rng)
    weights = rng.uniform(0, 2, n_rows)
    weights[:9] = 0
    chosen = OPTIONS[options] | {"batch_size": batch_size, "shuffle": True}
    plain, shared = trainer_of(kind, 1, **chosen), trainer_of(kind, 3, **chosen)
    for trainer in (plain, shared):
        trainer.fit(X, y, sample_weight=weights, epochs=epochs)
    np.testing.assert_allclose(shared.model.parameters, plain.model.parameters, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shared.history.loss, plain.history.loss, rtol=1e-12)
    assert shared.n_updates == plain.n_updates
    if "average_from" in chosen:
        np.testing.assert_allclose(
            shared.averaged_model().parameters, plain.averaged_model().parameters, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_more_shares_than_rows(n_rows, rng):
    X, y = rows(n_rows, rng)
    plain, shared = trainer_of(replicas=1), trainer_of(replicas=7)
    for trainer in (plain, shared):
        trainer.fit(X, y, epochs=2)
    np.testing.assert_allclose(shared.model.parameters, plain.model.parameters, rtol=1e-12, atol=1e-12)


def test_the_number_of_threads_changes_no_bit(rng):
    X, y = rows(3000, rng)
    found = []
    for n_threads in (1, 2, 3, 4):
        trainer = trainer_of(replicas=4, n_threads=n_threads, dtype="float32", batch_size=512)
        trainer.fit(X, y, epochs=2)
        found.append((trainer.model.parameters, trainer.history.loss))
    for parameters, losses in found[1:]:
        np.testing.assert_array_equal(parameters, found[0][0])
        assert losses == found[0][1]


def test_one_share_has_the_bits_of_a_plain_trainer(rng):
    X, y = rows(100, rng)
    one, plain = trainer_of(replicas=1), trainer_of(replicas=1, sync="average")
    for trainer in (one, plain):
        trainer.fit(X, y, epochs=2)
    np.testing.assert_array_equal(one.model.parameters, plain.model.parameters)


def test_single_steps(rng):
    X, y = rows(50, rng)
    plain, shared = trainer_of(replicas=1), trainer_of(replicas=3)
    for trainer in (plain, shared):
        trainer.step(X[:30], y[:30])
        trainer.step(X[30:], y[30:])
    np.testing.assert_allclose(shared.model.parameters, plain.model.parameters, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_slices", [1, 2])
def test_a_run_goes_on_in_the_midst_of_an_epoch(n_slices, rng, tmp_path):
    """On another number of threads; a slice here ends within a batch."""
    X, y = rows(20_000, rng)
    options = {"batch_size": 9000, "optimizer": gd.Adam(0.01), "shuffle": True, "replicas": 2}
    whole = trainer_of(**options)
    whole.fit(X, y, epochs=2)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainer_of(n_threads=1, **options).fit(X, y, epochs=2, callbacks=[SavesAndInterrupts(path, n_slices)])
    second = gd.Trainer.load(path)
    assert (second.replicas, second.sync) == (2, "gradient")
    second.fit(X, y, epochs=2, resume=True)
    np.testing.assert_array_equal(second.model.parameters, whole.model.parameters)
    assert second.history.loss == whole.history.loss


def test_a_bad_row_is_named_and_moves_nothing(rng):
    X, y = rows(90, rng)
    X[75, 2] = np.nan
    trainer, twin = trainer_of(), trainer_of()
    with pytest.raises(ValueError, match="in row 75"):
        trainer.fit(X, y)
    twin.fit(X[:64], y[:64])
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


def test_divergence_keeps_the_last_finite_parameters(rng):
    X, y = rows(90, rng)
    trainer = trainer_of(optimizer=gd.SGD(1e200))
    with pytest.raises(gd.DivergenceError, match="epoch 1"):
        trainer.fit(X, y, epochs=5)
    assert np.isfinite(trainer.model.parameters).all()


def test_auto_learns(rng):
    X, y = rows(2000, rng)
    model = gd.Model([gd.Standardize(5), *copy.deepcopy(LAYERS["neuron"])], seed=0)
    options = {"optimizer": "auto", "batch_size": 64, "shuffle": True, "standardize_targets": True}
    plain = gd.Trainer(copy.deepcopy(model), **options)
    shared = gd.Trainer(model, replicas=2, sync="gradient", **options)
    for trainer in (plain, shared):
        trainer.fit(X, y, epochs=3)
    np.testing.assert_allclose(shared.model.parameters, plain.model.parameters, rtol=1e-3, atol=1e-5)


def test_streams_come_in_shares(rng):
    X, y = rows(300, rng)
    plain, shared = trainer_of(replicas=1), trainer_of(replicas=2)
    for trainer in (plain, shared):
        trainer.fit(lambda: ((X[k : k + 100], y[k : k + 100]) for k in range(0, 300, 100)), epochs=2)
    np.testing.assert_allclose(shared.model.parameters, plain.model.parameters, rtol=1e-12, atol=1e-12)


def test_what_cannot_be(rng):
    X, y = rows(20, rng)
    with pytest.raises(ValueError, match="sync='average', one replica, or dense rows"):
        trainer_of().fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="round_rows and outer are for sync='average'"):
        trainer_of(round_rows=5)
    with pytest.raises(ValueError, match="sync is 'mean'"):
        trainer_of(sync="mean")
    with pytest.raises(AttributeError, match="sync is fixed"):
        trainer_of().sync = "average"
