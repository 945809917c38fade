"""What trackers of experiments are told. Their packages are large: stand-ins take the calls in their place."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastgd as gd


class Module:
    """Notes each call, with its arguments; `run` is what it has begun."""

    def __init__(self, begins, ends):
        self.calls, self.run, self._begins, self._ends = [], None, begins, ends

    def active_run(self):
        return self.run

    def __getattr__(self, name):
        def call(*args, **options):
            self.calls.append((name, *args, options) if options else (name, *args))
            if name in (self._begins, self._ends):
                self.run = self if name == self._begins else None
            return self

        return call

    def called(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def module(request, monkeypatch):
    name, begins, ends = request.param
    stand_in = Module(begins, ends)
    monkeypatch.setitem(sys.modules, name, stand_in)
    return stand_in


def fit(callbacks, trainer=None):
    X = np.ones((6, 3), np.float32)
    model = gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], seed=1)
    trainer = trainer or gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4)
    trainer.fit(X, X[:, 0], epochs=2, callbacks=callbacks)
    return trainer


def numbers(trainer):
    rows = [record.by_name() for record in trainer.history]
    return [{name: value for name, value in row.items() if name != "epoch" and value is not None} for row in rows]


def interrupt(*_):
    raise KeyboardInterrupt


MLFLOW, WANDB, TRACKIO = ("mlflow", "start_run", "end_run"), ("wandb", "init", "finish"), ("trackio", "init", "finish")


@pytest.mark.parametrize("module", [MLFLOW], indirect=True)
def test_mlflow(module):
    callback = gd.callbacks.MLflow("prices", "first", "sqlite:///runs.db")
    trainer = fit([callback])
    begin = [call[:2] for call in module.calls[:3]]
    assert begin == [
        ("set_tracking_uri", "sqlite:///runs.db"),
        ("set_experiment", "prices"),
        ("start_run", {"run_name": "first"}),
    ]
    assert module.called("log_metrics") == [(n, {"step": e}) for e, n in enumerate(numbers(trainer), 1)]
    ((settings,),) = module.called("log_params")
    assert settings["loss"] == "half_squared_error"
    assert settings["n_parameters"] == 21
    assert (settings["batch_size"], settings["seed"]) == (4, 0)
    assert module.calls[-1] == ("end_run", "FINISHED")
    with pytest.raises(KeyboardInterrupt):
        fit([callback, interrupt])
    assert module.calls[-1] == ("end_run", "KILLED")
    with pytest.raises(ZeroDivisionError):
        fit([callback, lambda *_: 1 / 0])
    assert module.calls[-1] == ("end_run", "FAILED")


@pytest.mark.parametrize("module", [MLFLOW, WANDB], indirect=True)
def test_a_run_of_the_users_stays_open(module):
    module.run = module
    trainer = fit([gd.callbacks.MLflow() if module._begins == "start_run" else gd.callbacks.WandB()])
    assert [call[0] for call in module.calls] == ["log_metrics" if module._begins == "start_run" else "log"] * 2
    assert module.run is module
    assert len(trainer.history) == 2


@pytest.mark.parametrize("module", [WANDB], indirect=True)
def test_wandb(module):
    callback = gd.callbacks.WandB("prices", mode="offline", config={"note": "x"})
    trainer = fit([callback])
    ((options,),) = module.called("init")
    assert (options["project"], options["mode"]) == ("prices", "offline")
    assert (options["config"]["loss"], options["config"]["note"]) == ("half_squared_error", "x")
    assert module.called("log") == [({"epoch": e} | n,) for e, n in enumerate(numbers(trainer), 1)]
    assert module.calls[-1] == ("finish", {"exit_code": 0})
    with pytest.raises(KeyboardInterrupt):
        fit([callback, interrupt])
    assert module.calls[-1] == ("finish", {"exit_code": 1})


@pytest.mark.parametrize("module", [TRACKIO], indirect=True)
def test_trackio(module):
    trainer = fit([gd.callbacks.Trackio("prices", name="adam")])
    ((options,),) = module.called("init")
    assert (options["project"], options["name"], options["config"]["batch_size"]) == ("prices", "adam", 4)
    assert module.called("log") == [(n, {"step": e}) for e, n in enumerate(numbers(trainer), 1)]
    assert module.calls[-1] == ("finish",)


@pytest.mark.parametrize("module", [MLFLOW], indirect=True)
@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ZeroDivisionError, "FAILED")])
def test_an_mlflow_run_that_fails_to_begin_is_ended(module, error, status, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(module, "log_params", fail, raising=False)
    with pytest.raises(error):
        fit([gd.callbacks.MLflow()])
    assert [call[0] for call in module.calls] == ["start_run", "end_run"]
    assert module.calls[-1] == ("end_run", status)


@pytest.mark.parametrize("name", ["WandB", "Trackio"])
@pytest.mark.parametrize("config", [None, "config.yaml", SimpleNamespace(note="x")])
def test_a_config_that_is_no_dict(name, config, monkeypatch):
    monkeypatch.setitem(sys.modules, name.lower(), Module("init", "finish"))
    callback = getattr(gd.callbacks, name)
    with pytest.raises(TypeError, match=r"^config is .*; expected a dict, which the trainer's settings are added to"):
        callback("prices", config=config)


@pytest.mark.parametrize("name", ["MLflow", "WandB", "Trackio"])
def test_what_is_not_installed_is_said(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name.lower(), None)
    arguments = ["prices"] if name == "Trackio" else []
    with pytest.raises(ImportError, match=rf"callbacks.{name} needs .*'fastgd\[{name.lower()}\]'"):
        getattr(gd.callbacks, name)(*arguments)


@pytest.mark.slow
def test_the_real_trackers_have_the_history(tmp_path, monkeypatch):
    """Offline, those of them that are installed."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = SimpleNamespace()
    callback = gd.callbacks.WandB("prices", mode="offline", dir=str(tmp_path))
    trainer = fit([callback, lambda *_: vars(run).update(summary=dict(wandb.run.summary))])
    assert wandb.run is None
    assert run.summary["loss"] == trainer.history.loss[-1]
