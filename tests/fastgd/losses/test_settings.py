"""Losses by name and with settings."""

import numpy as np
import pytest
from loss_cases import CASES

import fastgd as gd
from fastgd import losses
from fastgd.kernels.nn.loss import Hinge

REFUSED = {
    "no delta": (lambda: losses.huber(0), ValueError, "delta is 0; expected more than 0"),
    "negative delta": (lambda: losses.huber(-1), ValueError, "delta is -1; expected a finite number"),
    "infinite delta": (lambda: losses.huber(np.inf), ValueError, "delta is inf"),
    "delta by name": (lambda: losses.huber("1"), TypeError, "delta is '1'; expected a number"),
    "delta by truth": (lambda: losses.huber(True), TypeError, "delta is True; expected a number"),
    "negative epsilon": (lambda: losses.epsilon_insensitive(-1), ValueError, "epsilon is -1"),
    "negative squared epsilon": (lambda: losses.squared_epsilon_insensitive(-1), ValueError, "epsilon is -1"),
    "quantile above one": (
        lambda: losses.quantile(1.5),
        ValueError,
        "quantile is 1.5; expected a number from 0 to 1",
    ),
    "negative quantile": (lambda: losses.quantile(-0.5), ValueError, r"quantile is -0\.5"),
    "quantile NaN": (lambda: losses.quantile(np.nan), ValueError, "quantile is nan"),
    "too smooth": (lambda: losses.cross_entropy(2), ValueError, "label_smoothing is 2; expected a number from 0 to 1"),
    "unknown name": (lambda: losses.as_loss("mse"), ValueError, "loss is 'mse'; expected one of 'half_squared_error'"),
    "no name": (lambda: losses.as_loss(None), ValueError, "loss is None; expected one of"),
    "function": (
        lambda: losses.as_loss(losses.huber),
        TypeError,
        r"function huber; expected a call of it, as in huber\(\)",
    ),
    "own function": (lambda: losses.as_loss(lambda z, y: z - y), TypeError, "expected a name or a call"),
    "record's class": (lambda: losses.as_loss(Hinge), ValueError, "expected one of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_model_and_trainer_refuse_alike():
    model = gd.Model([gd.Linear(1, 1)])
    for call in (
        lambda: gd.Trainer(model, loss=gd.losses.huber),
        lambda: model.loss([[1]], [1], loss=gd.losses.huber),
        lambda: model.loss_and_gradient([[1]], [1], loss=gd.losses.huber),
    ):
        with pytest.raises(TypeError, match=r"expected a call of it, as in huber\(\)"):
            call()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_bare_name_has_the_defaults(name):
    made_by_name, function = losses.as_loss(name), getattr(losses, name, None)
    if function is not None:
        assert made_by_name == function()
    assert losses.describe(made_by_name)["type"] == name


@pytest.mark.parametrize("name", CASES)
def test_a_saved_run_keeps_its_loss(name, tmp_path):
    loss = losses.as_loss(CASES[name].loss)
    gd.Trainer(gd.Model([gd.Linear(2, 2)]), loss).save(tmp_path / "run")
    found = gd.Trainer.load(tmp_path / "run").loss
    assert found == loss
    assert type(found) is type(loss)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mse", "half_squared_error"), ("MSE", "half_squared_error"), ("mean squared error", "half_squared_error"),
        ("mae", "absolute_error"), ("bce", "log_loss"), ("crossentropy", "cross_entropy"), ("softmax", "cross_entropy"),
        ("Huber", "huber"), ("logloss", "log_loss"), ("squared-hinge", "squared_hinge"), ("poison", "poisson"),
    ],
)  # fmt: skip
def test_a_name_from_elsewhere_gets_the_one_that_is_meant(name, meant):
    with pytest.raises(ValueError, match=rf"loss is '{name}'; expected one of .*\. Did you mean '{meant}'\?"):
        losses.as_loss(name)


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match=r"expected one of [^.]*$"):
        losses.as_loss("the best one")


def test_a_function_is_told_how_it_can_be_learnt():
    model = gd.Model([gd.Linear(2, 1)], dtype="float64")
    with pytest.raises(TypeError, match=r"loss is <function .*trainer\.step\(X, z - dL_dz\) with half_squared_error"):
        gd.Trainer(model, loss=lambda z, y: np.log(np.cosh(z - y)))
    # As the error says, for L = log cosh(z - y).
    X, y, twin = np.array([[1.0, 2.0]]), np.array([[0.5]]), gd.Model([gd.Linear(2, 1)], dtype="float64")
    z = model.predict(X)
    gd.Trainer(model, optimizer=gd.SGD(0.1)).step(X, z - np.tanh(z - y))
    weight, bias = twin.layers[0].weight, twin.layers[0].bias
    np.testing.assert_allclose(model.layers[0].weight, weight - 0.1 * np.tanh(z - y) * X)
    np.testing.assert_allclose(model.layers[0].bias, bias - 0.1 * np.tanh(z - y)[0])


def test_classes_need_an_output_each():
    with pytest.raises(
        ValueError, match="cross_entropy of a model with 1 output, which is one class; expected as many"
    ):
        gd.Trainer(gd.Model([gd.Linear(2, 1)]), "cross_entropy")
