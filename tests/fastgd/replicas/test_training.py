"""Replicas against trainers of their own, one for each, that are combined by hand."""

import copy

import numpy as np
import pytest
from resumed_runs import SavesAndInterrupts
from scipy import sparse

import fastgd as gd
from fastgd import replicas
from fastgd.replicas import combine

LAYERS = {
    "neuron": [gd.Linear(5, 1)],
    "network": [gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)],
}


def rows(n, rng, dtype="float32"):
    X = rng.standard_normal((n, 5)).astype(dtype)
    return X, (X[:, :1] - X[:, 1:2] * X[:, 2:3]).astype(dtype)


def model_of(kind="network"):
    return gd.Model(copy.deepcopy(LAYERS[kind]), seed=3)


def trainer_of(kind="network", replicas=3, batch_size=4, round_rows=8, **options):
    options = {"optimizer": gd.SGD(0.02), "outer": None} | options
    return gd.Trainer(model_of(kind), batch_size=batch_size, replicas=replicas, round_rows=round_rows, **options)


def by_hand(kind, X, y, n_replicas, step, epochs, outer=None, weights=None, **options):
    """The parameters and mean losses of plain trainers that are combined after each round."""
    options = {"optimizer": gd.SGD(0.02)} | options
    trainers = [gd.Trainer(model_of(kind), **options) for _ in range(n_replicas)]
    for trainer in trainers:
        trainer.learning_rate_factor = outer.rate_scale if outer else 1.0
    w = trainers[0].model.parameters.copy()
    velocity = np.zeros(w.size if outer else 0)
    bounds = [len(X) * k // n_replicas for k in range(n_replicas + 1)]
    losses = []
    for _ in range(epochs):
        loss_sum = 0.0
        for first in range(0, max(np.diff(bounds)), step):
            n_rows = []
            for k, trainer in enumerate(trainers):
                part = slice(min(bounds[k] + first, bounds[k + 1]), min(bounds[k] + first + step, bounds[k + 1]))
                n_rows.append(part.stop - part.start)
                trainer.model.parameters = w
                if n_rows[-1]:
                    v = None if weights is None else weights[part]
                    loss_sum += trainer.fit(X[part], y[part], sample_weight=v).loss[-1] * n_rows[-1]
            combine(w, [trainer.model.parameters for trainer in trainers], n_rows, velocity, outer)
        losses.append(loss_sum / len(X))
    return w, losses


SETTINGS = {
    "SGD": {},
    "momentum": {"optimizer": gd.SGD(0.02, momentum=0.9)},
    "Adam, L2": {"optimizer": gd.Adam(0.01), "alpha": 0.01},
    "a schedule": {"optimizer": gd.SGD(gd.schedules.InverseScaling(0.02, 0.5))},
}


@pytest.mark.parametrize("n_rows", [48, 53])
@pytest.mark.parametrize("outer", [None, gd.replicas.Nesterov(0.7, 0.5, 1.5)], ids=["mean", "Nesterov"])
@pytest.mark.parametrize(
    "settings", ["SGD", *(pytest.param(each, marks=pytest.mark.slow) for each in list(SETTINGS)[1:])]
)
@pytest.mark.parametrize(("kind", "batch_size"), [("network", 4), pytest.param("neuron", 1, marks=pytest.mark.slow)])
def test_each_replica_is_a_trainer_of_its_own(kind, batch_size, settings, outer, n_rows, rng):
    X, y = rows(n_rows, rng)
    options = SETTINGS[settings]
    trainer = trainer_of(kind, 3, batch_size, 9, outer=outer, **options)
    history = trainer.fit(X, y, epochs=2)
    # Of 16 rows each, rounds are alike.
    step = 8 if n_rows == 48 else 9 // batch_size * batch_size
    expected, losses = by_hand(kind, X, y, 3, step, 2, outer, batch_size=batch_size, **options)
    # A trainer on fewer rows than a batch, as some of 53 are left over, takes other kernels.
    np.testing.assert_allclose(trainer.model.parameters, expected, rtol=0 if n_rows == 48 else 1e-6)
    # The losses are sums of means here.
    assert history.loss == pytest.approx(losses, rel=1e-14 if n_rows == 48 else 1e-6)


def test_weights_of_rows(rng):
    X, y = rows(40, rng)
    weights = rng.uniform(0, 2, 40)
    trainer = trainer_of("network", 2)
    trainer.fit(X, y, sample_weight=weights, epochs=2)
    expected, _ = by_hand("network", X, y, 2, 8, 2, weights=weights, batch_size=4)
    np.testing.assert_array_equal(trainer.model.parameters, expected)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_number_of_threads_changes_no_bit(shuffle, rng):
    X, y = rows(300, rng)
    found = []
    for n_threads in (1, 2, 4):
        trainer = trainer_of(replicas=4, shuffle=shuffle, n_threads=n_threads)
        trainer.fit(X, y, epochs=2, validation=0.1)
        found.append((trainer.model.parameters, trainer.history.loss, trainer.history.validation_loss))
    for parameters, *losses in found[1:]:
        np.testing.assert_array_equal(parameters, found[0][0])
        assert losses == list(found[0][1:])


def test_shuffled_each_trains_on_its_part_of_the_order(rng):
    X, y = rows(60, rng)
    trainer = trainer_of(replicas=2, shuffle=True, seed=5)
    trainer.fit(X, y)
    order = np.random.default_rng([5, 0]).permutation(60)
    plain = trainer_of(replicas=2)
    plain.fit(X[order], y[order])
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)


def test_one_replica_is_a_plain_trainer(rng):
    X, y = rows(50, rng)
    one = trainer_of(replicas=1, round_rows=None)
    plain = gd.Trainer(model_of(), optimizer=gd.SGD(0.02), batch_size=4)
    one.fit(X, y, epochs=2)
    plain.fit(X, y, epochs=2)
    np.testing.assert_array_equal(one.model.parameters, plain.model.parameters)


def test_more_replicas_than_rows(rng):
    X, y = rows(3, rng)
    trainer = trainer_of(replicas=5)
    trainer.fit(X, y)
    expected, _ = by_hand("network", X, y, 5, 8, 1, batch_size=4)
    # A trainer on a single row takes another kernel than one on batches.
    np.testing.assert_allclose(trainer.model.parameters, expected, rtol=1e-6)


def test_rounds_by_default(rng):
    """A small data set is one round an epoch."""
    X, y = rows(60, rng)
    trainer = trainer_of(replicas=2, round_rows=None)
    trainer.fit(X, y)
    expected, _ = by_hand("network", X, y, 2, 1000, 1, batch_size=4)
    np.testing.assert_array_equal(trainer.model.parameters, expected)


def test_by_default_they_make_up_for_fewer_updates(rng):
    """By twice the rate and a momentum of 0.6, of 4 replicas; 4 rounds an epoch of few rows."""
    X, y = rows(128, rng)
    trainer = trainer_of(replicas=4, round_rows=None, outer="auto")
    assert (trainer.outer, gd.replicas.recommended(4)) == ("auto", gd.replicas.Nesterov(1.0, 0.6, 2.0))
    trainer.fit(X, y, epochs=2)
    expected, _ = by_hand("network", X, y, 4, 8, 2, gd.replicas.recommended(4), batch_size=4)
    np.testing.assert_array_equal(trainer.model.parameters, expected)
    for optimizer in ("auto", gd.SGD("auto")):
        mean, given = (trainer_of(outer=outer, optimizer=optimizer) for outer in (None, "auto"))
        assert mean._run.shares == given._run.shares
    # What a callback or a user sees is the rate that was chosen.
    assert trainer.learning_rate == trainer.history.learning_rate[-1] == 0.02


@pytest.mark.parametrize("way", ["saved", "copied"])
@pytest.mark.parametrize("outer", [gd.replicas.Nesterov(0.9, 0.5, 1.5), "auto"], ids=["Nesterov", "auto"])
def test_a_run_goes_on_with_the_same_bits(outer, way, rng, tmp_path):
    X, y = rows(90, rng)
    options = {"optimizer": gd.Adam(0.01), "outer": outer, "shuffle": True}
    whole, first = trainer_of(replicas=3, **options), trainer_of(replicas=3, **options)
    whole.fit(X, y, epochs=4)
    first.fit(X, y, epochs=2)
    if way == "saved":
        first.save(tmp_path / "run.safetensors")
        second = gd.Trainer.load(tmp_path / "run.safetensors")
        assert (second.replicas, second.round_rows, second.outer) == (3, 8, options["outer"])
    else:
        second = copy.deepcopy(first)
    second.fit(X, y, epochs=2)
    np.testing.assert_array_equal(second.model.parameters, whole.model.parameters)
    assert second.history.loss == whole.history.loss
    assert second.n_updates == whole.n_updates


def test_what_was_learnt_so_far_is_where_a_round_begins(rng):
    X, y = rows(40, rng)
    trainer = trainer_of(replicas=2)
    trainer.fit(X, y)
    trainer.model.parameters = 0
    twin = trainer_of(replicas=2)
    twin.model.parameters = 0
    trainer.fit(X, y)
    twin.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


@pytest.mark.slow
def test_sparse_rows(rng):
    X, y = rows(60, rng)
    X[rng.random(X.shape) < 0.5] = 0
    dense, of_entries = (trainer_of(replicas=3) for _ in range(2))
    dense.fit(X, y, epochs=2)
    of_entries.fit(sparse.csr_array(X), y, epochs=2)
    np.testing.assert_allclose(of_entries.model.parameters, dense.model.parameters, atol=1e-5)


@pytest.mark.slow
def test_replicas_drop_different_elements(rng):
    X, y = np.ones((8, 5), np.float32), np.ones((8, 1), np.float32)
    layers = [gd.Linear(5, 32), gd.Dropout(0.5), gd.Linear(32, 1)]
    found = []
    for n_replicas in (1, 2):
        model = gd.Model(copy.deepcopy(layers), seed=1)
        trainer = gd.Trainer(model, optimizer=gd.SGD(0.1), batch_size=8, replicas=n_replicas)
        trainer.fit(X[: 4 * n_replicas], y[: 4 * n_replicas])
        found.append(model.parameters)
    # Were the draws the same, the mean of two replicas on the same rows would be either of them.
    assert (found[0] != found[1]).any()


def test_auto_is_what_bears_replicas(rng):
    X, y = rows(400, rng)
    model = gd.Model([gd.Standardize(5), *copy.deepcopy(LAYERS["network"])], seed=0)
    trainer = gd.Trainer(model, optimizer="auto", batch_size=16, replicas=2, shuffle=True, standardize_targets=True)
    assert isinstance(trainer.optimizer, gd.Adagrad)
    trainer.fit(X, y, epochs=20)
    assert trainer.history.loss[-1] < 0.45
    assert not trainer.history.setbacks


@pytest.mark.parametrize("n_rounds", [1, 4, 6, 7])
def test_a_run_goes_on_in_the_midst_of_an_epoch(n_rounds, rng, tmp_path):
    """Of three rounds an epoch; another number of threads changes nothing."""
    X, y = rows(66, rng)
    options = {"optimizer": gd.Adam(0.01), "outer": gd.replicas.Nesterov(0.9, 0.5), "shuffle": True}
    whole = trainer_of(replicas=3, **options)
    whole.fit(X, y, epochs=3)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainer_of(replicas=3, n_threads=2, **options).fit(
            X, y, epochs=3, callbacks=[SavesAndInterrupts(path, n_rounds)]
        )
    second = gd.Trainer.load(path)
    second.fit(X, y, epochs=3, resume=True)
    np.testing.assert_array_equal(second.model.parameters, whole.model.parameters)
    assert second.history.loss == whole.history.loss
    assert second.n_updates == whole.n_updates


@pytest.fixture
def short_rounds(monkeypatch):
    """A round has 16 rows where nobody says, and more as the rate falls."""
    monkeypatch.setattr(replicas, "_ROUND_SECONDS", 16 * replicas._PER_ROW)
    monkeypatch.setattr(replicas, "_PER_PARAMETER", 0.0)


class CountsRows:
    """Notes the rows of each round."""

    def __init__(self):
        self.n_rows = []

    def __call__(self, trainer, record):
        pass

    def on_slice(self, trainer):
        self.n_rows.append(int(trainer._run.engine.state.within_epoch()["position"][0]))


def test_rounds_grow_as_the_rate_falls(short_rounds, rng):
    """Of 2 replicas: 16 rows each, up to four times as many once the rate is half of what it was, in batches of 4."""
    X, y = rows(400, rng)
    schedule = gd.schedules.Step(0.02, step_size=10, gamma=0.5)
    trainer, rounds = trainer_of(replicas=2, round_rows=None, optimizer=gd.SGD(schedule)), CountsRows()
    trainer.fit(X, y, callbacks=[rounds])
    # Each replica's updates have 4 rows: the rate is halved after 40 of them, and again after 80 and 120.
    sizes = np.diff([0, *rounds.n_rows]) // 2
    assert sizes.tolist() == [16, 16, 16, 52, 100]
    # Another optimiser starts afresh, and a factor counts as well.
    trainer.optimizer, trainer.learning_rate_factor = gd.SGD(0.02), 1.0
    for factor, expected in ((1.0, [16] * 11 + [12, 12]), (0.5, [52, 52, 48, 48])):
        trainer.learning_rate_factor = factor
        rounds.n_rows.clear()
        trainer.fit(X, y, callbacks=[rounds])
        assert (np.diff([0, *rounds.n_rows]) // 2).tolist() == expected


@pytest.mark.parametrize("n_rounds", [2, 4, 5])
def test_rounds_that_grow_go_on_in_the_midst_of_an_epoch(n_rounds, short_rounds, rng, tmp_path):
    X, y = rows(401, rng)
    options = {"optimizer": gd.SGD(gd.schedules.Step(0.02, step_size=10, gamma=0.5)), "round_rows": None}
    whole = trainer_of(replicas=2, **options)
    whole.fit(X, y, epochs=2)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainer_of(replicas=2, **options).fit(X, y, epochs=2, callbacks=[SavesAndInterrupts(path, n_rounds)])
    second = gd.Trainer.load(path)
    second.fit(X, y, epochs=2, resume=True)
    np.testing.assert_array_equal(second.model.parameters, whole.model.parameters)
