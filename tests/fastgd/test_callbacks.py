"""The callbacks, and held-out rows to watch."""

import contextlib
import copy
import math

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd.callbacks import EarlyStopping, ModelCheckpoint, ReduceOnPlateau
from fastgd.history import EpochRecord


class Recorder:
    """What the trainer is after each epoch."""

    def __init__(self):
        self.parameters, self.factors, self.epochs = [], [], []

    def __call__(self, trainer, record):
        self.parameters.append(trainer.model.parameters.copy())
        self.factors.append(trainer.learning_rate_factor)
        self.epochs.append(record.epoch)


def class_name(instance):
    return type(instance).__name__


def problem(name="hidden layer", n_samples=30):
    """A trainer, and rows to train and to validate on."""
    model = model_of(name)
    X, y, _ = rows_for(model, 2 * n_samples)
    trainer = gd.Trainer(model, optimizer=gd.Adam(0.05), batch_size=4, shuffle=True, seed=4)
    return trainer, (X[:n_samples], y[:n_samples]), (X[n_samples:], y[n_samples:])


def play(callback, losses, monitor="validation_loss", first=1):
    """The callback's answers, and the trainer's parameters and factors, over epochs with these losses."""
    trainer = gd.Trainer(model_of("neuron"))
    answers, factors = [], []
    for epoch, loss in enumerate(losses, first):
        trainer.model.parameters = epoch
        record = EpochRecord(epoch, 0.5, 0.5, 0.1)._replace(**{monitor: loss})
        answers.append(callback(trainer, record) is True)
        factors.append(trainer.learning_rate_factor)
    if hasattr(callback, "on_end"):
        callback.on_end(trainer, None)
    return answers, factors, trainer.model.parameters[0]


STOPPING = {
    "falls for ever": ({"patience": 1}, [5, 4, 3, 2, 1], None, 5),
    "once without gain": ({"patience": 1}, [5, 4, 4, 3], 3, 2),
    "patience of three": ({"patience": 3}, [5, 3, 4, 4, 4], 5, 2),
    "gains in time": ({"patience": 3}, [5, 3, 4, 4, 2, 3, 3, 3], 8, 5),
    "back to the best is no gain": ({"patience": 2}, [5, 3, 4, 3], 4, 2),
    "gains too small": ({"patience": 2, "min_delta": 0.5}, [5, 4.6, 4.5], 3, 1),
    "small gains add up": ({"patience": 3, "min_delta": 0.5}, [5, 4.8, 4.6, 4.4, 4.2], None, 4),
    "last parameters kept": ({"patience": 2, "restore_best": False}, [5, 3, 4, 4], 4, 4),
    "from infinity": ({"patience": 2}, [math.inf, 7, 8, 8], 4, 2),
    "infinity only": ({"patience": 2}, [math.inf, math.inf], 2, 2),
    "never a number": ({"patience": 2}, [math.nan, math.nan, math.nan], 2, None),
    "no longer a number": ({"patience": 2}, [5, 3, math.nan, math.nan, math.nan], 4, 2),
    "negative losses": ({"patience": 2}, [-1, -2, -1.5, -1.5], 4, 2),
}


@pytest.mark.parametrize("name", STOPPING)
@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
@pytest.mark.parametrize("past", [0, 10], ids=["new run", "resumed run"])
def test_early_stopping(name, monitor, past):
    """The settings, the losses, the epoch that must be the last, and the one whose parameters must stand then."""
    settings, losses, last, kept = STOPPING[name]
    answers, _, parameter = play(EarlyStopping(monitor=monitor, **settings), losses[:last], monitor, past + 1)
    assert answers == [epoch == last for epoch in range(1, len(answers) + 1)]
    if kept is not None:
        assert parameter == past + kept


def test_early_stopping_in_training():
    trainer, rows, held_out = problem()
    watch, stop = Recorder(), EarlyStopping(patience=3)
    history = trainer.fit(*rows, epochs=500, validation=held_out, callbacks=[watch, stop])
    best = int(np.argmin(history.validation_loss))
    assert len(history) == best + 4 < 500
    assert (stop.best_epoch, stop.best) == (best + 1, history.validation_loss[best])
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[best])
    assert trainer.model.loss(*held_out) == stop.best


def test_early_stopping_on_the_training_loss():
    trainer, rows, _ = problem()
    stop = EarlyStopping(patience=2, min_delta=0.01, monitor="loss", restore_best=False)
    watch = Recorder()
    history = trainer.fit(*rows, epochs=500, callbacks=[stop, watch])
    assert len(history) == stop.best_epoch + 2 < 500
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[-1])


def test_early_stopping_goes_on_over_calls():
    (whole, rows, held_out), (trainer, _, _) = problem(), problem()
    whole.fit(*rows, epochs=100, validation=held_out, callbacks=[EarlyStopping(patience=4)])
    stop, n_epochs = EarlyStopping(patience=4), len(whole.history)
    while len(trainer.history) < n_epochs:
        trainer.fit(*rows, validation=held_out, callbacks=[stop])
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


class Spoiling:
    """Makes each epoch after the first few worse, and ends training in one of several ways."""

    def __init__(self, ending):
        self.ending, self.ended = ending, []

    def __call__(self, trainer, record):
        if record.epoch >= 3:
            trainer.model.parameters += 10
        if record.epoch < 5:
            return False
        if self.ending == "divergence":
            trainer.optimizer = gd.SGD(1e300)
        elif self.ending == "Ctrl-C":
            raise KeyboardInterrupt
        return self.ending == "another callback"

    def on_end(self, trainer, error):
        self.ended.append(error)


ENDINGS = {"epochs": None, "another callback": None, "divergence": gd.DivergenceError, "Ctrl-C": KeyboardInterrupt}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("restores", [True, False])
def test_the_best_parameters_however_training_ends(ending, restores):
    trainer, rows, held_out = problem()
    # The fourth epoch starts from parameters that were spoilt after the third.
    watch, spoil, stop = Recorder(), Spoiling(ending), EarlyStopping(patience=50, restore_best=restores)
    caught = contextlib.nullcontext() if ENDINGS[ending] is None else pytest.raises(ENDINGS[ending])
    with caught:
        trainer.fit(*rows, epochs=6, validation=held_out, callbacks=[watch, stop, spoil])
    assert stop.best_epoch <= 3 < len(trainer.history)
    is_best = np.array_equal(trainer.model.parameters, watch.parameters[stop.best_epoch - 1])
    assert is_best == restores
    assert [type(error) for error in spoil.ended] == [ENDINGS[ending] or type(None)]


def test_a_later_fit_goes_on_from_where_training_was_or_from_what_it_was_given():
    trainers = [problem() for _ in range(3)]
    # No gain is so large but that of the first epoch.
    stops = [EarlyStopping(patience=50, min_delta=1e3) for _ in range(3)]
    for (trainer, rows, held_out), stop in zip(trainers, stops, strict=True):
        for epochs in (6,) if trainer is trainers[0][0] else (3, 3):
            if stop is stops[2] and len(trainer.history):
                trainer.model.parameters = 0.25
            trainer.fit(*rows, epochs=epochs, validation=held_out, callbacks=[stop])
    whole, parts, given = (trainer.history.loss for trainer, _, _ in trainers)
    assert whole == parts
    assert whole[:3] == given[:3]
    assert given[3:] != whole[3:]


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_on_begin_and_on_end_of_ones_own(bad):
    class Told:
        def __init__(self):
            self.told = []

        def on_begin(self, trainer):
            self.told.append(("begin", len(trainer.history)))

        def __call__(self, trainer, record):
            self.told.append(record.epoch)

        def on_end(self, trainer, error):
            self.told.append(("end", error))

    trainer, (X, y), _ = problem()
    told = Told()
    trainer.fit(X, y, epochs=2, callbacks=[told])
    with pytest.raises(ValueError, match="validation: y holds"):
        trainer.fit(X, y, validation=(X, y * bad), callbacks=[told])
    assert told.told == [("begin", 0), 1, 2, ("end", None)]
    X[3, 0] = bad
    with pytest.raises(ValueError, match="X holds") as caught:
        trainer.fit(X, y, callbacks=[told])
    assert told.told[4:] == [("begin", 2), ("end", caught.value)]


class Failing:
    """Notes what it hears, and raises an error where it is to."""

    def __init__(self, heard, name, begin=None, end=None):
        self.heard, self.name, self.errors = heard, name, {"begin": begin, "end": end}

    def hear(self, what, error=None):
        self.heard.append((self.name, what, error))
        if self.errors[what] is not None:
            raise self.errors[what]

    def on_begin(self, trainer):
        self.hear("begin")

    def __call__(self, trainer, record):
        pass

    def on_end(self, trainer, error):
        self.hear("end", error)


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt("late")], ids=class_name)
def test_all_hear_of_the_end_where_an_on_end_fails(failure):
    trainer, rows, held_out = problem()
    heard, stop, watch = [], EarlyStopping(), Recorder()
    other = ZeroDivisionError("another")
    failing = Failing(heard, "first", end=failure), Failing(heard, "second", end=other), Failing(heard, "third")
    with pytest.raises(type(failure)) as caught:
        trainer.fit(*rows, epochs=9, validation=held_out, callbacks=[*failing, stop, watch])
    assert caught.value is failure
    assert [note for note in failure.__notes__ if "on_end" in note and "ZeroDivisionError: another" in note]
    assert [(name, error) for name, what, error in heard if what == "end"] == [
        ("first", None),
        ("second", None),
        ("third", None),
    ]
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[stop.best_epoch - 1])


@pytest.mark.parametrize("ending", [gd.DivergenceError, KeyboardInterrupt, ZeroDivisionError])
def test_what_ended_training_is_raised_where_an_on_end_fails_too(ending):
    def end(trainer, record):
        if ending is not gd.DivergenceError:
            raise ending
        trainer.optimizer = gd.SGD(1e300)

    trainer, rows, _ = problem()
    heard = []
    failing = Failing(heard, "first", end=OSError("disk full")), Failing(heard, "second")
    with pytest.raises(ending) as caught:
        trainer.fit(*rows, epochs=5, callbacks=[*failing, end])
    assert [(name, error) for name, what, error in heard if what == "end"] == [
        ("first", caught.value),
        ("second", caught.value),
    ]
    assert "OSError: disk full" in "".join(caught.value.__notes__)


def test_an_on_end_that_raises_what_it_is_told_adds_nothing():
    class Raising(Recorder):
        def on_end(self, trainer, error):
            raise error

    trainer, rows, _ = problem()
    with pytest.raises(ZeroDivisionError) as caught:
        trainer.fit(*rows, callbacks=[Raising(), lambda *_: 1 / 0])
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("failure", [OSError("no folder"), KeyboardInterrupt("early")], ids=class_name)
def test_those_that_have_begun_hear_of_the_end_where_another_does_not_begin(failure):
    trainer, rows, _ = problem()
    heard = []
    callbacks = [Failing(heard, "first"), Failing(heard, "second", begin=failure), Failing(heard, "third")]
    with pytest.raises(type(failure)) as caught:
        trainer.fit(*rows, callbacks=callbacks)
    assert caught.value is failure
    assert heard == [("first", "begin", None), ("second", "begin", None), ("first", "end", failure)]
    assert trainer.n_updates == 0


WATCHING = [EarlyStopping, ReduceOnPlateau, lambda: ModelCheckpoint("run", save_best_only=True)]


@pytest.mark.parametrize("make", WATCHING, ids=["EarlyStopping", "ReduceOnPlateau", "ModelCheckpoint"])
def test_nothing_to_watch_is_an_error(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer, rows, _ = problem()
    with pytest.raises(
        ValueError, match=r"watches validation_loss and validation is None; expected fit\(\.\.\., valida"
    ):
        trainer.fit(*rows, callbacks=[make()])
    assert trainer.n_updates == len(trainer.history) == 0
    assert not list(tmp_path.iterdir())


REDUCING = {
    "falls for ever": ({"patience": 1}, [5, 4, 3], [1, 1, 1]),
    "patience of two": ({"patience": 2, "factor": 0.5}, [5, 4, 4, 4, 4, 4], [1, 1, 1, 0.5, 0.5, 0.25]),
    "gains in time": ({"patience": 2, "factor": 0.5}, [5, 6, 4, 6, 6, 3, 6, 6], [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    "gains too small": ({"patience": 1, "factor": 0.5, "min_delta": 1}, [5, 4.5, 3, 2.5], [1, 0.5, 0.5, 0.25]),
    "a floor": ({"patience": 1, "factor": 0.25, "min_factor": 0.1}, [5, 5, 5, 5], [1, 0.25, 0.1, 0.1]),
    "never a number": ({"patience": 1, "factor": 0.5}, [math.nan, math.nan], [0.5, 0.25]),
    "from infinity": ({"patience": 2, "factor": 0.5}, [math.inf, 5, 6, 6], [1, 1, 1, 0.5]),
    "no longer a number": ({"patience": 1, "factor": 0.5}, [5, math.nan, math.nan, 6], [1, 0.5, 0.25, 0.125]),
}


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
@pytest.mark.parametrize("past", [0, 10], ids=["new run", "resumed run"])
def test_reduce_on_plateau(name, monitor, past):
    """The settings, the losses, and the factor after each epoch."""
    settings, losses, expected = REDUCING[name]
    _, factors, _ = play(ReduceOnPlateau(monitor=monitor, **settings), losses, monitor, past + 1)
    assert factors == expected


def test_reduce_on_plateau_never_raises_a_rate():
    trainer = gd.Trainer(model_of("neuron"))
    trainer.learning_rate_factor = 0.01
    reduce = ReduceOnPlateau(patience=1, min_factor=0.1)
    for epoch in (1, 2, 3):
        reduce(trainer, EpochRecord(epoch, 1, 1, 0.1))
    assert trainer.learning_rate_factor == 0.01


@pytest.mark.parametrize(
    "rate", [0.02, gd.schedules.InverseScaling(0.05), "auto"], ids=["constant", "schedule", "auto"]
)
def test_reduced_rates_are_trained_with(rate, tmp_path):
    """Loss and factor of each epoch are those of a run whose factor is set by hand; a file keeps the factor."""
    _, rows, held_out = problem()
    twin, other = (gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(rate), batch_size=4) for _ in range(2))
    reduce, watch = ReduceOnPlateau(factor=0.5, patience=1, min_delta=0.5), Recorder()
    twin.fit(*rows, epochs=6, validation=held_out, callbacks=[reduce, watch])
    assert watch.factors[-1] < watch.factors[0] == 1
    full_rates = []
    for factor in [1.0, *watch.factors[:-1]]:
        other.learning_rate_factor = factor
        other.fit(*rows)
        full_rates.append(other.learning_rate / factor)
        other.save(tmp_path / "run")
        other = gd.Trainer.load(tmp_path / "run")
        assert other.learning_rate_factor == factor
        assert other.learning_rate == pytest.approx(full_rates[-1] * factor, rel=1e-15)
    np.testing.assert_array_equal(other.model.parameters, twin.model.parameters)
    assert other.history.loss == twin.history.loss
    assert twin.learning_rate == pytest.approx(full_rates[-1] * watch.factors[-1], rel=1e-15)


def test_model_checkpoint_after_each_epoch(tmp_path):
    trainer, rows, held_out = problem()
    watch = Recorder()
    save = ModelCheckpoint(tmp_path / "run-{epoch}.safetensors")
    trainer.fit(*rows, epochs=2, callbacks=[watch, save])
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[watch, save])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"run-{epoch}.safetensors" for epoch in (1, 2, 3, 4)]
    for epoch in (1, 2, 3, 4):
        loaded = gd.Trainer.load(tmp_path / f"run-{epoch}.safetensors")
        np.testing.assert_array_equal(loaded.model.parameters, watch.parameters[epoch - 1])
        assert len(loaded.history) == epoch
        loaded.fit(*rows, epochs=5 - epoch, validation=held_out)
        if epoch == 4:
            trainer.fit(*rows)
        assert len(loaded.history) == 5
    np.testing.assert_array_equal(loaded.model.parameters, trainer.model.parameters)


def test_model_checkpoint_names_files_by_the_record(tmp_path):
    trainer, rows, held_out = problem()
    save = ModelCheckpoint(tmp_path / "{{e}}{epoch:02d}-{validation_loss:.3f}-{loss:.2e}")
    history = trainer.fit(*rows, epochs=3, validation=held_out, callbacks=[save])
    expected = {f"{{e}}{record.epoch:02d}-{record.validation_loss:.3f}-{record.loss:.2e}" for record in history}
    assert {path.name for path in tmp_path.iterdir()} == expected


UNSAVABLE = [
    ("none/run", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("none/{epoch}", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("none/{epoch}/run", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("{validation_loss:.3f}", ValueError, r"path is .* and validation is None; expected fit\(\.\.\., validation="),
]


@pytest.mark.parametrize(("path", "error", "message"), UNSAVABLE)
def test_model_checkpoint_that_could_not_save_is_refused_before_training(path, error, message, tmp_path):
    trainer, rows, _ = problem()
    with pytest.raises(error, match=message):
        trainer.fit(*rows, callbacks=[ModelCheckpoint(tmp_path / path)])
    assert trainer.n_updates == 0


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_model_checkpoint_resumes(epoch, tmp_path):
    whole, rows, held_out = problem()
    whole.fit(*rows, epochs=5, validation=held_out, callbacks=[ModelCheckpoint(str(tmp_path / "{epoch}"))])
    resumed = gd.Trainer.load(tmp_path / str(epoch))
    resumed.fit(*rows, epochs=5 - epoch, validation=held_out)
    np.testing.assert_array_equal(resumed.model.parameters, whole.model.parameters)
    assert resumed.history.loss == whole.history.loss
    assert resumed.history.validation_loss == whole.history.validation_loss


@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
def test_model_checkpoint_of_the_best(monitor, tmp_path):
    trainer, rows, held_out = problem()
    save = ModelCheckpoint(tmp_path / "best", save_best_only=True, monitor=monitor)
    watch = Recorder()
    history = trainer.fit(*rows, epochs=40, validation=held_out, callbacks=[save, watch])
    best = int(np.argmin(getattr(history, monitor)))
    loaded = gd.Trainer.load(tmp_path / "best")
    assert len(loaded.history) == save.best_epoch == best + 1
    np.testing.assert_array_equal(loaded.model.parameters, watch.parameters[best])
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_model_checkpoint_ignores_what_it_does_not_read(tmp_path):
    """Without save_best_only, no validation data is needed, and no gain."""
    trainer, rows, _ = problem()
    trainer.fit(*rows, epochs=3, callbacks=[ModelCheckpoint(tmp_path / "last")])
    assert len(gd.Trainer.load(tmp_path / "last").history) == 3


def test_several_at_once(tmp_path):
    """Every callback is called in every epoch, also in the last; then the best is back."""
    trainer, rows, held_out = problem()
    stop = EarlyStopping(patience=5)
    reduce = ReduceOnPlateau(factor=0.5, patience=2)
    save = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    watch, last = Recorder(), ModelCheckpoint(tmp_path / "last")
    history = trainer.fit(*rows, epochs=500, validation=held_out, callbacks=[stop, reduce, save, watch, last])
    assert len(history) < 500
    assert watch.epochs == [record.epoch for record in history]
    assert stop.best_epoch == save.best_epoch == reduce.best_epoch == len(history) - 5
    assert trainer.learning_rate_factor == watch.factors[-1] < 1
    best, end = gd.Trainer.load(tmp_path / "best"), gd.Trainer.load(tmp_path / "last")
    np.testing.assert_array_equal(best.model.parameters, trainer.model.parameters)
    np.testing.assert_array_equal(end.model.parameters, watch.parameters[-1])
    assert (len(best.history), len(end.history)) == (stop.best_epoch, len(history))
    assert end.learning_rate_factor == trainer.learning_rate_factor


def make_callbacks(folder, order):
    made = {
        "stop": EarlyStopping(patience=6),
        "reduce": ReduceOnPlateau(factor=0.5, patience=2, min_delta=0.01),
        "all": ModelCheckpoint(folder / "{epoch}"),
        "best": ModelCheckpoint(folder / "best", save_best_only=True),
    }
    return [made[name] for name in order]


ORDERS = [("stop", "reduce", "all", "best"), ("best", "all", "reduce", "stop"), ("all", "reduce", "best", "stop")]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("epoch", [1, 4, 7, 9])
def test_a_run_goes_on_from_a_checkpoint_with_new_callbacks(order, epoch, tmp_path):
    """As the uninterrupted run does, in every file that it leaves; whatever the order of the new ones."""
    whole, rows, held_out = problem()
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole.fit(*rows, epochs=60, validation=held_out, callbacks=make_callbacks(tmp_path / "whole", order))
    n_epochs = len(whole.history)
    assert 9 < n_epochs < 60
    assert whole.learning_rate_factor < 1
    resumed = gd.Trainer.load(tmp_path / "whole" / str(epoch))
    # A file is a run of its own: what it knows of callbacks outlives being read and written.
    resumed.save(tmp_path / "again")
    resumed = gd.Trainer.load(tmp_path / "again")
    new = make_callbacks(tmp_path / "parts", order[::-1])
    resumed.fit(*rows, epochs=60 - epoch, validation=held_out, callbacks=new)
    assert resumed.history.validation_loss == whole.history.validation_loss
    assert resumed.learning_rate_factor == whole.learning_rate_factor
    np.testing.assert_array_equal(resumed.model.parameters, whole.model.parameters)
    best = int(np.argmin(whole.history.validation_loss)) + 1
    assert (tmp_path / "parts" / "best").exists() == (best > epoch)
    for path in (tmp_path / "parts").iterdir():
        twin = gd.Trainer.load(tmp_path / "whole" / path.name)
        np.testing.assert_array_equal(gd.Trainer.load(path).model.parameters, twin.model.parameters)


def test_a_run_that_ended_with_the_best_parameters_goes_on_from_a_file(tmp_path):
    (whole, rows, held_out), (trainer, _, _) = problem(), problem()
    settings = {"patience": 50, "min_delta": 0.05}
    whole.fit(*rows, epochs=30, validation=held_out, callbacks=[EarlyStopping(**settings)])
    for _ in range(3):
        trainer.fit(*rows, epochs=10, validation=held_out, callbacks=[EarlyStopping(**settings)])
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    assert trainer.history.loss == whole.history.loss
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


class EverySecond(ModelCheckpoint):
    """Looks at every second epoch alone, and ends training after some of them."""

    def __init__(self, path, last, **settings):
        super().__init__(path, **settings)
        self.last, self.seen = last, []

    def __call__(self, trainer, record):
        if record.epoch % 2 == 0:
            self.seen.append(record.epoch)
            # As with a measure of one's own that is worst at first.
            super().__call__(trainer, record._replace(validation_loss=-record.epoch))
        return record.epoch == self.last


@pytest.mark.parametrize("index", [0, 1], ids=["before another", "after another"])
def test_a_checkpoint_with_a_call_of_its_own_is_called_by_fit(index, tmp_path):
    trainer, rows, held_out = problem()
    own = EverySecond(tmp_path / "own-{epoch}", 5, save_best_only=True)
    callbacks = [ModelCheckpoint(tmp_path / "all-{epoch}")]
    callbacks.insert(index, own)
    history = trainer.fit(*rows, epochs=9, validation=held_out, callbacks=callbacks)
    assert own.seen == [2, 4]
    assert len(history) == 5
    assert sorted(path.name for path in tmp_path.glob("own-*")) == ["own-2", "own-4"]
    assert (own.best, own.best_epoch) == (-4, 4)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=str)
def test_what_a_checkpoint_saves_holds_the_notes_of_all(order, tmp_path):
    """In each file, the best so far is that of the epochs up to the file's last."""
    trainer, rows, held_out = problem()
    made = [ModelCheckpoint(tmp_path / "all-{epoch}")]
    made += [ModelCheckpoint(tmp_path / f"{name}-{{epoch}}", True, name) for name in ("loss", "validation_loss")]
    trainer.fit(*rows, epochs=4, validation=held_out, callbacks=[made[index] for index in order])
    history = trainer.history
    assert len(list(tmp_path.iterdir())) > 6
    for path in tmp_path.iterdir():
        loaded = gd.Trainer.load(path)
        n_epochs = len(loaded.history)
        new = ModelCheckpoint(tmp_path / "new", save_best_only=True)
        # No gain is left to make.
        loaded.fit(*rows, validation=(held_out[0], held_out[1] * 100), callbacks=[new])
        assert new.best == min(history.validation_loss[:n_epochs])
        assert not (tmp_path / "new").exists()


def test_a_checkpoint_that_fails_leaves_those_after_it_without_the_epoch(tmp_path):
    trainer, rows, held_out = problem()
    (tmp_path / "taken").mkdir()
    best = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    with pytest.raises(OSError, match="taken"):
        trainer.fit(*rows, validation=held_out, callbacks=[ModelCheckpoint(tmp_path / "taken"), best])
    assert best.is_new


class Logging(EarlyStopping):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.seen = [object()]


def test_callbacks_derived_from_these_are_part_of_a_run(tmp_path):
    trainer, rows, held_out = problem()
    used, new, other = Logging(patience=9), Logging(patience=9), EarlyStopping(patience=9)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used, ModelCheckpoint(tmp_path / "run")])
    held_out[1][:] *= 100
    gd.Trainer.load(tmp_path / "run").fit(*rows, validation=held_out, callbacks=[new, other])
    assert new.best == used.best < other.best


OTHERS = [EarlyStopping(patience=3), EarlyStopping(patience=2, min_delta=0.1), ReduceOnPlateau(patience=2)]


@pytest.mark.parametrize("other", OTHERS, ids=["patience", "min_delta", "class"])
def test_a_callback_with_other_settings_begins_anew(other, tmp_path):
    trainer, rows, held_out = problem()
    used = EarlyStopping(patience=2)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
    trainer.save(tmp_path / "run")
    new = [type(other)(patience=other.patience, min_delta=other.min_delta), EarlyStopping(patience=2)]
    gd.Trainer.load(tmp_path / "run").fit(*rows, validation=(held_out[0], held_out[1] * 100), callbacks=new)
    assert [callback.best == used.best for callback in new] == [False, True]


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceOnPlateau])
def test_a_callback_watches_one_run(kind, tmp_path):
    """The best parameters of one model must not land in another."""
    trainer, rows, held_out = problem()
    used = kind(patience=2)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
    trainer.fit(*rows, epochs=1, validation=held_out, callbacks=[used])
    trainer.save(tmp_path / "run")
    model = gd.Model(trainer.model.layers, dtype=trainer.model.dtype)
    for other in (gd.Trainer(model), copy.deepcopy(trainer), gd.Trainer.load(tmp_path / "run")):
        before = other.model.parameters.copy()
        with pytest.raises(ValueError, match=f"this {kind.__name__} has watched another Trainer's run.*expected a new"):
            other.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
        np.testing.assert_array_equal(other.model.parameters, before)
        assert len(other.history) in (0, 3)
    both, its_own = copy.deepcopy((trainer, used))
    both.fit(*rows, validation=held_out, callbacks=[its_own])
    assert len(both.history) == 4


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


NO_CALLBACKS = [
    (None, "callbacks is None; expected a list of callables"),
    (EarlyStopping(), r"callbacks is EarlyStopping\(.*\); expected a list of callables, as in callbacks=\[callback\]"),
    ("stop", "callbacks is 'stop'; expected a list of callables"),
    ([EarlyStopping], r"callbacks\[0\] is the class EarlyStopping; expected an instance of it"),
    ([print, "x"], r"callbacks\[1\] is 'x'; expected a callable"),
    ((None,), r"callbacks\[0\] is None; expected a callable"),
]


@pytest.mark.parametrize(("callbacks", "message"), NO_CALLBACKS)
def test_what_is_no_list_of_callbacks_is_refused(callbacks, message):
    model = gd.Model([gd.Standardize(5), *model_of("hidden layer").layers])
    before = model.parameters.copy()
    trainer, (_, rows, held_out) = gd.Trainer(model), problem()
    with pytest.raises(TypeError, match=message):
        trainer.fit(*rows, validation=held_out, callbacks=callbacks)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.standardize.mean is None
    assert len(trainer.history) == 0


BAD = [
    (lambda: EarlyStopping(patience=0), ValueError, "patience is 0; expected at least 1"),
    (lambda: EarlyStopping(patience=1.5), TypeError, r"patience is 1\.5; expected an integer"),
    (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta is -1; expected"),
    (
        lambda: EarlyStopping(monitor="val_loss"),
        ValueError,
        "monitor is 'val_loss'; expected one of .*'validation_loss'",
    ),
    (
        lambda: EarlyStopping(monitor="seconds"),
        ValueError,
        "monitor is 'seconds'; expected one of 'loss', 'validation_loss'",
    ),
    (lambda: ReduceOnPlateau(monitor="epoch"), ValueError, "monitor is 'epoch'; expected one of 'loss', 'val"),
    (lambda: ModelCheckpoint("run", monitor="seconds"), ValueError, "monitor is 'seconds'; expected one of 'loss', 'v"),
    (lambda: EarlyStopping(restore_best="yes"), TypeError, "restore_best is 'yes'; expected True or False"),
    (lambda: ReduceOnPlateau(factor=0), ValueError, "factor is 0; expected"),
    (lambda: ReduceOnPlateau(factor=1), ValueError, "factor is 1; expected"),
    (lambda: ReduceOnPlateau(factor=-0.5), ValueError, r"factor is -0\.5; expected"),
    (lambda: ReduceOnPlateau(factor="half"), TypeError, "factor is 'half'; expected a number"),
    (lambda: ReduceOnPlateau(patience=0), ValueError, "patience is 0; expected at least 1"),
    (lambda: ReduceOnPlateau(min_delta=math.nan), ValueError, "min_delta is nan; expected"),
    (lambda: ReduceOnPlateau(min_factor=-1), ValueError, "min_factor is -1; expected"),
    (
        lambda: ReduceOnPlateau(monitor="acuracy"),
        ValueError,
        "monitor is 'acuracy'; expected one of .*'accuracy'.*mean 'accuracy'.*for a metric of your own, mode='min'",
    ),
    (lambda: EarlyStopping(monitor="epoch", mode="max"), ValueError, "monitor is 'epoch'; expected one of"),
    (lambda: EarlyStopping(monitor="f1", mode="up"), ValueError, "mode is 'up'; expected one of 'min', 'max'"),
    (lambda: ModelCheckpoint(5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    (
        lambda: ModelCheckpoint("{epoc}"),
        ValueError,
        r"path is '\{epoc\}' .*; expected none but these in braces: \{epoch\}",
    ),
    (lambda: ModelCheckpoint("{}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{epoch"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{epoch:.2q}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{loss:d}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{f1}", monitor="f2", mode="max"), ValueError, r"in braces: .*\{rmse\}, \{f2\}, with"),
    (lambda: ModelCheckpoint("run", save_best_only=1), TypeError, "save_best_only is 1; expected True or False"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_callback_shows_what_it_is_and_has_seen():
    stop = EarlyStopping(patience=2, monitor="loss")
    assert repr(stop) == "EarlyStopping(monitor='loss', min_delta=0.0, patience=2, restore_best=True)"
    trainer, rows, _ = problem()
    trainer.fit(*rows, callbacks=[stop])
    assert repr(stop).endswith(f"restore_best=True, best {stop.best:.6g} in epoch 1)")
