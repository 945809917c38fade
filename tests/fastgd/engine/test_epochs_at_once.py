"""Epochs that nothing comes between: trained in one call, they are those that are trained one by one."""

import os
import signal
import sys
import threading

import numpy as np
import optimizer_cases
import pytest
import schedule_cases
from cases import built, model_of, rows_for
from loss_cases import CASES
from optimizer_cases import assert_same_run, reloaded

import fastgd as gd
from fastgd._engine import slices
from fastgd._engine.finiteness import FiniteLoop
from fastgd.data.as_dataset import array_dataset

N_ROWS, N_EPOCHS = 41, 9
NETWORK = [gd.Linear(5, 7), gd.Tanh(), gd.Linear(7, 2)]
NEURON = [gd.Linear(5, 1), gd.ReLU()]


@pytest.fixture
def calls(monkeypatch):
    """How many epochs each call has trained that trained several."""
    monkeypatch.setattr(slices, "_SLICE_SECONDS", 1e9)
    counts, run_epochs = [], FiniteLoop.run_epochs

    def counted(loop, block, epoch_losses):
        is_finite = run_epochs(loop, block, epoch_losses)
        counts.extend([epoch_losses.size] * is_finite)
        return is_finite

    monkeypatch.setattr(FiniteLoop, "run_epochs", counted)
    return counts


def rows(model, n_rows=N_ROWS):
    X, y, weight = rows_for(model, n_rows)
    return X, np.abs(y), weight


def assert_same_either_way(make, data, calls, n_at_once=N_EPOCHS - 1, **given):
    """A trainer's epochs in one call of fit, and in as many as there are epochs."""
    whole, by_one = make(), make()
    for _ in range(N_EPOCHS):
        by_one.fit(*data[:2], epochs=1, **given)
    assert calls == []
    whole.fit(*data[:2], epochs=N_EPOCHS, **given)
    # The first one is trained alone: what it takes is not known before.
    assert sum(calls) == n_at_once
    assert_same_run(whole, by_one)
    assert whole.history.learning_rate == by_one.history.learning_rate
    assert whole.history.validation_loss == by_one.history.validation_loss
    assert all(seconds > 0 for seconds in whole.history.seconds)
    states = [trainer._run.engine.state.arrays for trainer in (whole, by_one)]
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    return whole


@pytest.mark.parametrize("optimizer", optimizer_cases.EACH)
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("layers", [NETWORK, NEURON], ids=["network", "neuron"])
def test_every_optimizer(optimizer, batch_size, layers, calls, dtype):
    def make():
        optimizer_made = optimizer_cases.EACH[optimizer](0.01)
        return gd.Trainer(built(layers, dtype), optimizer=optimizer_made, batch_size=batch_size)

    assert_same_either_way(make, rows(make().model), calls)


@pytest.mark.parametrize("loss", CASES)
def test_every_loss(loss, calls, dtype):
    def make():
        return gd.Trainer(built(NETWORK, dtype), CASES[loss].loss, gd.SGD(0.02, momentum=0.5), batch_size=None)

    X, y, weight = rows(make().model)
    assert_same_either_way(make, (X, CASES[loss].target(np.round(8 * y) / 8, 2)), calls, sample_weight=weight)


@pytest.mark.parametrize("schedule", schedule_cases.EACH)
def test_every_schedule(schedule, calls):
    def make():
        return gd.Trainer(built(NETWORK), optimizer=gd.SGD(schedule_cases.EACH[schedule]), batch_size=16)

    assert_same_either_way(make, rows(make().model), calls)


SETTINGS = {
    "elastic net": {"alpha": 0.01, "l1_ratio": 0.5},
    "bounds": {"clip_norm": 0.1, "max_norm": 0.5},
    "average": {"average_from": 4},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("layers", [NETWORK, NEURON], ids=["network", "neuron"])
def test_regularization(settings, layers, calls):
    def make():
        return gd.Trainer(built(layers), optimizer=gd.SGD(0.02), batch_size=16, **SETTINGS[settings])

    assert_same_either_way(make, rows(make().model), calls)


def test_batches_of_weight_zero_make_no_update(calls):
    def make():
        return gd.Trainer(built(NETWORK), optimizer=gd.SGD(gd.schedules.InverseScaling(0.02)), batch_size=8)

    X, y, weight = rows(make().model)
    weight[8:24] = 0
    whole = assert_same_either_way(make, (X, y), calls, sample_weight=weight)
    assert whole.n_updates == N_EPOCHS * 4


def test_batches_of_several_micro_batches(calls, monkeypatch):
    monkeypatch.setattr(gd.Model, "micro_batch_rows", 4)

    def make():
        return gd.Trainer(built(NETWORK), optimizer=gd.Adam(0.01), batch_size=None)

    assert_same_either_way(make, rows(make().model), calls)


def test_weights_by_columns(calls):
    """With many short batches in a call, the first layer's weights are kept column by column."""

    def make():
        return gd.Trainer(built([gd.Linear(5, 16), gd.ReLU(), gd.Linear(16, 2)]), optimizer=gd.SGD(0.02), batch_size=8)

    assert_same_either_way(make, rows(make().model), calls)


def test_dropout_draws_for_each_update(calls):
    def make():
        return gd.Trainer(built(optimizer_cases.DROPPING), optimizer=gd.SGD(0.02), batch_size=16, seed=3)

    assert_same_either_way(make, rows(make().model), calls)


def test_shared_products(calls):
    def make():
        model = built([gd.Linear(200, 200), gd.ReLU(), gd.Linear(200, 1)], "float32")
        return gd.Trainer(model, optimizer=gd.SGD(1e-3), batch_size=None, n_threads=2)

    trainer = assert_same_either_way(make, rows(make().model, 128), calls)
    assert trainer._run.engine._loop.pool.n_threads == 2


@pytest.mark.parametrize("convert", [lambda X: X.astype(np.float64), np.asfortranarray, lambda X: X.astype(np.float16)])
def test_rows_that_are_converted(convert, calls):
    def make():
        model = gd.Model([gd.Standardize(5), *NETWORK], "float32")
        return gd.Trainer(model, optimizer=gd.SGD(0.02), batch_size=16)

    X, y, _ = rows(make().model)
    assert_same_either_way(make, (convert(X), y.tolist()), calls)


def watched():
    X, y, _ = rows(built(NETWORK))
    return {
        "shuffled": ({"shuffle": True}, {}),
        "validated": ({}, {"validation": (X, y)}),
        "measured": ({"metrics": ["r2"]}, {}),
        "heard of": ({}, {"callbacks": [lambda trainer, record: None]}),
        "shown": ({}, {"progress": "epochs"}),
        "online": ({"batch_size": 1}, {}),
        "replicas": ({"replicas": 2}, {}),
        'of a rate that "auto" watches': ({"optimizer": gd.SGD("auto")}, {}),
    }


@pytest.mark.parametrize("name", watched())
def test_what_something_comes_between_is_trained_epoch_by_epoch(name, calls):
    settings, given = watched()[name]

    def make():
        return gd.Trainer(built([gd.Linear(5, 8), gd.ReLU(), gd.Linear(8, 2)]), **{"batch_size": 16} | settings)

    X, y, _ = rows(make().model)
    make().fit(X, y, epochs=N_EPOCHS, **given)
    assert calls == []


def test_rows_of_a_file_are_read_for_each_epoch(calls, tmp_path):
    X, y, _ = rows(built(NETWORK))
    np.save(tmp_path / "X.npy", X)
    trainer = gd.Trainer(built(NETWORK), batch_size=None)
    trainer.fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y, epochs=N_EPOCHS)
    assert calls == []


def fit_again_and_again(trainer, X, y, epochs, n_epochs):
    for _ in range(n_epochs // epochs):
        trainer.fit(X, y, epochs=epochs)


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("name", ["linear neuron", "two Linears in a row"])
@pytest.mark.parametrize("rate", [4.0, 1e3, 1e30])
def test_divergence_is_found_in_its_epoch(name, batch_size, rate, calls):
    """What is said, what was trained and what is left are those of epochs one by one."""
    found = []
    for epochs in (1, 10_000):
        trainer = gd.Trainer(model_of(name, "float32"), optimizer=gd.SGD(rate), batch_size=batch_size)
        X, y, _ = rows(trainer.model)
        with pytest.raises(gd.DivergenceError) as caught:
            fit_again_and_again(trainer, X, y, epochs, 10_000)
        found.append((str(caught.value), trainer))
    assert found[0][0] == found[1][0]
    assert_same_run(found[0][1], found[1][1])
    assert np.isfinite(found[0][1].model.parameters).all()
    assert sum(calls) > 0 or len(found[0][1].history) < 3


class Falling(gd.schedules.Schedule):
    """Below zero from update 30 on."""

    def __call__(self, t):
        return 0.01 * np.sign(29.5 - t)


class Breaking(gd.schedules.Schedule):
    """No number from update 30 on."""

    def __call__(self, t):
        return np.where(t < 30, 0.01, np.nan)


@pytest.mark.parametrize("schedule", [Falling, Breaking])
def test_a_rate_that_is_none_ends_training_in_its_epoch(schedule, calls):
    found = []
    for epochs in (1, 100):
        trainer = gd.Trainer(built(NETWORK), optimizer=gd.SGD(schedule()), batch_size=None)
        X, y, _ = rows(trainer.model)
        with pytest.raises(ValueError, match="rate") as caught:
            fit_again_and_again(trainer, X, y, epochs, 100)
        said = str(caught.value).partition(" gives ")[2]
        found.append((said, len(trainer.history), trainer.model.parameters.copy()))
    assert found[0][:2] == found[1][:2]
    np.testing.assert_array_equal(found[0][2], found[1][2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 5])
def test_rows_that_turn_bad_between_two_calls(value, calls):
    """The first epoch of a call may be one of many, as the rows were trained on before."""
    trainer = gd.Trainer(built(NETWORK), "cross_entropy", gd.SGD(0.01), batch_size=None)
    X, y = rows(trainer.model)[0], np.zeros(N_ROWS)
    trainer.fit(X, y, epochs=3)
    before, n_updates = trainer.model.parameters.copy(), trainer.n_updates
    X[7, 1], y[7] = (value, 0) if value != 5 else (0, 5)
    with pytest.raises(ValueError, match="in row 7"):
        trainer.fit(X, y, epochs=1000)
    np.testing.assert_array_equal(trainer.model.parameters, before)
    assert trainer.n_updates == n_updates


def test_a_model_that_hides_bad_rows(calls):
    """A ReLU first turns minus infinity into zero."""
    trainer = gd.Trainer(built([gd.ReLU(), *NETWORK]), optimizer=gd.SGD(0.01), batch_size=None)
    X, y, _ = rows(trainer.model)
    trainer.fit(X, y, epochs=3)
    X[7, 1] = -np.inf
    with pytest.raises(ValueError, match="in row 7"):
        trainer.fit(X, y, epochs=1000)
    assert trainer.n_updates == len(trainer.history) == 3


def test_a_saved_run_goes_on(calls, tmp_path):
    whole, cut = (gd.Trainer(built(NETWORK), optimizer=gd.Adam(0.01), batch_size=None) for _ in range(2))
    X, y, _ = rows(whole.model)
    whole.fit(X, y, epochs=40)
    cut.fit(X, y, epochs=15)
    loaded = reloaded(cut, tmp_path / "run")
    loaded.fit(X, y, epochs=40, resume=True)
    assert sum(calls) == 39 + 14 + 24
    assert_same_run(loaded, whole)


def test_calls_take_no_longer_than_slices():
    trainer = gd.Trainer(built(NETWORK), optimizer=gd.SGD(1e-3), batch_size=None)
    X, y, _ = rows(trainer.model)
    trainer.fit(X, y)
    engine, reader, _ = trainer._run.prepare_epochs(array_dataset(X, y), N_ROWS, 1)
    engine._slice_rows = 10 * N_ROWS + 1
    assert engine.epochs_at_once(reader, 100) == 10
    assert engine.epochs_at_once(reader, 7) == 7
    # It follows the time that a call has taken, as slices do.
    adapted, adapt = [], engine._adapt
    engine._adapt = lambda n_rows, seconds: adapted.append(n_rows) or adapt(n_rows, 1.0)
    assert len(engine.train_epochs(reader, 10)) == 10
    assert adapted == [10 * N_ROWS]
    assert engine.epochs_at_once(reader, 100) == 0


@pytest.fixture
def ctrl_c_raises():
    """Whoever started the tests in the background may have had SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_between_two_epochs(ctrl_c_raises):
    """Model, history and updates are then those of as many epochs."""
    trainer, twin = (gd.Trainer(built(NETWORK), optimizer=gd.SGD(1e-3), batch_size=None) for _ in range(2))
    X, y, _ = rows(trainer.model)
    trainer.fit(X, y, epochs=3)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y, epochs=10**9)
    assert trainer.n_updates == len(trainer.history) > 100
    twin.fit(X, y, epochs=len(trainer.history))
    assert_same_run(trainer, twin)


def test_ctrl_c_in_the_midst_of_a_call(calls, monkeypatch, ctrl_c_raises):
    run_epochs = FiniteLoop.run_epochs

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return run_epochs(*arguments)

    monkeypatch.setattr(FiniteLoop, "run_epochs", interrupted)
    trainer = gd.Trainer(built(NETWORK), optimizer=gd.SGD(1e-3), batch_size=None)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*rows(trainer.model)[:2], epochs=50)
    assert trainer.n_updates == len(trainer.history) == 50
