"""Runs that are copied or saved go on with the same bits."""

import copy
import json
import pickle

import numpy as np
import pytest
from cases import model_of, rows_for
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastgd as gd


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_run_goes_on_with_the_same_bits(name, batch_size, shuffle, dtype, tmp_path):
    model = model_of(name, dtype)
    X, y, _ = rows_for(model, 30)
    options = {"optimizer": gd.SGD(0.03), "batch_size": batch_size, "shuffle": shuffle, "seed": 6}
    whole = gd.Trainer(model, **options)
    whole.fit(X, y, epochs=5)
    trainer = gd.Trainer(model_of(name, dtype), **options)
    for epochs in (2, 1, 2):
        trainer.fit(X, y, epochs=epochs)
        trainer.save(tmp_path / "run.safetensors")
        trainer = gd.Trainer.load(tmp_path / "run.safetensors")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.history.loss == whole.history.loss
    assert trainer.n_updates == whole.n_updates
    assert (trainer.optimizer, trainer.batch_size, trainer.shuffle, trainer.seed, trainer.loss) == (
        whole.optimizer,
        whole.batch_size,
        whole.shuffle,
        whole.seed,
        whole.loss,
    )


def test_a_run_of_another_version_says_what_differs(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.Adam())
    trainer.step(*rows_for(trainer.model, 3))
    trainer.save(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["run.optimizer_state"] = tensors["run.optimizer_state"][:1]
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=r"optimizer_state has shape \(1, 6\); expected \(2, 6\), as this version"):
        gd.Trainer.load(path)


def test_a_run_with_state_of_other_names_says_which(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.NormalizedSGD())
    trainer.step(*rows_for(trainer.model, 3))
    trainer.save(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors, run = load_file(path), json.loads(metadata["run"])
    assert tensors["run.optimizer_rows_seen"].dtype == np.int64
    tensors["run.optimizer_scalars"] = tensors.pop("run.optimizer_rows_seen")
    run["tensors"] = ["optimizer_scalars" if name == "optimizer_rows_seen" else name for name in run["tensors"]]
    save_file(tensors, path, metadata | {"run": json.dumps(run)})
    with pytest.raises(ValueError, match="'optimizer_rows_seen' is missing, 'optimizer_scalars' is not expected"):
        gd.Trainer.load(path)


def test_a_run_goes_on_between_steps(tmp_path):
    X, y, _ = rows_for(model_of("neuron"), 9)
    trainer, whole = gd.Trainer(model_of("neuron")), gd.Trainer(model_of("neuron"))
    for row in range(0, 9, 3):
        whole.step(X[row : row + 3], y[row : row + 3])
        trainer.step(X[row : row + 3], y[row : row + 3])
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.n_updates == 3


def class_name(instance):
    return type(instance).__name__


def pickled(trainer):
    return pickle.loads(pickle.dumps(trainer))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
@pytest.mark.parametrize("optimizer", [gd.Adam(0.02), gd.SGD("auto", momentum=0.9), gd.NormalizedSGD()], ids=class_name)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_copy_goes_on_with_the_same_bits(duplicate, optimizer, batch_size):
    """Copied before training, between epochs, between steps: it trains as the original does, and a model of its own."""
    layers = [gd.Linear(5, 4), gd.ReLU(), gd.Dropout(0.3), gd.Linear(4, 2)]
    model = gd.Model(layers, dtype="float64", seed=2)
    X, y, _ = rows_for(model, 30)
    trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=True, alpha=0.01, average_from=9)
    for train in (lambda each: each.fit(X, y, epochs=2), lambda each: each.step(X[:4], y[:4])) * 2:
        copied, before = duplicate(trainer), trainer.model.parameters.copy()
        assert copied.model is not trainer.model
        train(copied)
        np.testing.assert_array_equal(trainer.model.parameters, before)
        assert (copied.model.parameters != before).any()
        train(trainer)
        np.testing.assert_array_equal(copied.model.parameters, trainer.model.parameters)
        np.testing.assert_array_equal(copied.averaged_model().parameters, trainer.averaged_model().parameters)
        for name, state in trainer.optimizer_state.items():
            np.testing.assert_array_equal(copied.optimizer_state[name], state)
        assert copied.history.loss == trainer.history.loss
        assert (copied.n_updates, copied.learning_rate) == (trainer.n_updates, trainer.learning_rate)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_begins_with_an_optimizer_that_was_assigned(duplicate):
    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer = gd.Trainer(model_of("hidden layer"), batch_size=4)
    trainer.fit(X, y)
    trainer.optimizer = gd.Adam(0.05)
    copied = duplicate(trainer)
    assert copied.n_updates == 8
    for each in (copied, trainer):
        each.fit(X, y)
        assert each.n_updates == 16
    np.testing.assert_array_equal(copied.model.parameters, trainer.model.parameters)


@pytest.mark.parametrize("optimizer", [gd.Adam(), gd.Adagrad(), gd.NormalizedSGD(0.1)], ids=class_name)
def test_a_state_from_before_training_is_what_training_begins_with(optimizer):
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer = gd.Trainer(model_of("neuron"), optimizer=optimizer)
    early = trainer.optimizer_state
    before = {name: state.copy() for name, state in early.items()}
    trainer.fit(X, y)
    late = trainer.optimizer_state
    trained = {name: state.copy() for name, state in late.items()}
    trainer.fit(X, y)
    for name in early:
        np.testing.assert_array_equal(early[name], before[name])
        np.testing.assert_array_equal(late[name], trainer.optimizer_state[name])
    assert any((late[name] != trained[name]).any() for name in late)


def test_a_run_file_is_a_model_file_but_not_the_reverse(tmp_path):
    trainer = gd.Trainer(model_of("neuron"))
    trainer.save(tmp_path / "run")
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "run").parameters, trainer.model.parameters)
    trainer.model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="holds no run of fastgd's"):
        gd.Trainer.load(tmp_path / "model")
