"""Arguments are refused with a message that says what was given and expected."""

import numpy as np
import pytest
from cases import model_of
from ones import X, Y

import fastgd as gd

FIT_ARGUMENTS = {
    "too few features": ((X[:, :3], Y), {}, ValueError, r"X has shape \(4, 3\); expected \(n_samples, 5\)"),
    "flat X": ((X[0], Y), {}, ValueError, r"X has shape \(5,\); expected \(n_samples, n_features\)"),
    "no rows": ((X[:0], Y[:0]), {}, ValueError, r"X has shape \(0, 5\)"),
    "three dimensions": ((X[None], Y), {}, ValueError, r"X has shape \(1, 4, 5\)"),
    "fewer targets": ((X, Y[:3]), {}, ValueError, "y has 3 rows and X has 4"),
    "too many outputs": ((X, np.ones((4, 2))), {}, ValueError, r"y has shape \(4, 2\); expected \(n_samples, 1\)"),
    "no targets": ((X,), {}, TypeError, "y is None"),
    "objects": ((X.astype(object), Y), {}, TypeError, "X has dtype object; expected real numbers"),
    "complex": ((X + 0j, Y), {}, TypeError, "X has dtype complex128"),
    "text": (([["a"] * 5] * 4, Y), {}, TypeError, "X has dtype <U1"),
    "complex targets": ((X, Y + 0j), {}, TypeError, "y has dtype complex128"),
    "ragged": (([[1, 2], [3]], Y), {}, ValueError, "X is not a rectangular array"),
    "no epochs": ((X, Y), {"epochs": 0}, ValueError, "epochs is 0; expected at least 1"),
    "half an epoch": ((X, Y), {"epochs": 0.5}, TypeError, "epochs is 0.5; expected an integer"),
    "weights of another length": (
        (X, Y),
        {"sample_weight": [1, 2]},
        ValueError,
        r"sample_weight has shape \(2,\); expected \(4,\)",
    ),
    "weights in two dimensions": ((X, Y), {"sample_weight": Y}, ValueError, r"sample_weight has shape \(4, 1\)"),
    "validation without targets": ((X, Y), {"validation": X}, TypeError, "validation is a ndarray"),
    "validation of another width": (
        (X, Y),
        {"validation": (X[:, :2], Y)},
        ValueError,
        r"validation: X has shape \(4, 2\)",
    ),
    "data set with targets": ((gd.data.synthetic(4, 5), Y), {}, TypeError, "a Dataset brings its own targets"),
    "data set of another width": ((gd.data.synthetic(4, 6),), {}, ValueError, r"X has shape \(4, 6\)"),
}


@pytest.mark.parametrize("case", FIT_ARGUMENTS)
def test_fit(case):
    arguments, options, error, message = FIT_ARGUMENTS[case]
    model = model_of("neuron")
    before = model.parameters.copy()
    trainer = gd.Trainer(model)
    with pytest.raises(error, match=message):
        trainer.fit(*arguments, **options)
    np.testing.assert_array_equal(model.parameters, before)
    assert trainer.n_updates == 0


CONSTRUCTORS = {
    "a rate of a trainer": (
        lambda: gd.Trainer(model_of("neuron"), learning_rate=0.5),
        TypeError,
        r"Trainer takes no learning_rate; expected an optimiser's, as optimizer=gd.SGD\(0.5\)",
    ),
    "an unknown setting": (
        lambda: gd.Trainer(model_of("neuron"), batch=4),
        TypeError,
        "Trainer takes no batch; expected some of model, loss, optimizer, batch_size",
    ),
    "no arguments": (lambda: gd.Trainer(), TypeError, r"^Trainer\(\) missing 1 required positional argument: 'model'"),
    "a batch size in words": (
        lambda: gd.Trainer(model_of("neuron"), batch_size="auto"),
        TypeError,
        "batch_size is 'auto'; expected a number of rows, or None",
    ),
    "negative learning rate": (lambda: gd.SGD(-1), ValueError, "learning_rate is -1; expected a finite number"),
    "NaN learning rate": (lambda: gd.SGD(float("nan")), ValueError, "learning_rate is nan"),
    "learning rates in an array": (
        lambda: gd.SGD(np.array([1.0, 2.0])),
        TypeError,
        r"learning_rate is array\(\[1\., 2\.\]\); expected a number, 'auto' or a schedule",
    ),
    "learning rate beyond floats": (lambda: gd.SGD(10**400), ValueError, "learning_rate is 1000.*; expected a finite"),
    "learning rate Auto": (lambda: gd.Adam("Auto"), TypeError, "learning_rate is 'Auto'; expected a number, 'auto' or"),
    "learning rate as a function": (
        lambda: gd.SGD(lambda t: 1 / t),
        TypeError,
        r"learning_rate is <function.*; expected .* one of gd\.schedules, or .* subclass of gd\.schedules\.Schedule",
    ),
    "loss in an array": (
        lambda: gd.Trainer(model_of("neuron"), loss=np.array([1, 2])),
        ValueError,
        r"loss is array\(\[1, 2\]\); expected one of 'half_squared_error'",
    ),
    "None for layers": (lambda: gd.Model(None), TypeError, "layers is None; expected a list of layers"),
    "one layer": (lambda: gd.Model(gd.Linear(3, 1)), TypeError, r"layers is Linear\(3, 1\); expected a list of layers"),
    "learning rate as text": (lambda: gd.SGD("0.1"), TypeError, "learning_rate is '0.1'; expected a number"),
    "unknown loss": (
        lambda: gd.Trainer(model_of("neuron"), loss="hinj"),
        ValueError,
        "loss is 'hinj'; expected one of",
    ),
    "optimiser by name": (lambda: gd.Trainer(model_of("neuron"), optimizer="sgd"), TypeError, "optimizer is 'sgd'"),
    "batch of nothing": (lambda: gd.Trainer(model_of("neuron"), batch_size=0), ValueError, "batch_size is 0"),
    "batch of a half": (lambda: gd.Trainer(model_of("neuron"), batch_size=0.5), TypeError, "batch_size is 0.5"),
    "batch of True": (lambda: gd.Trainer(model_of("neuron"), batch_size=True), TypeError, "batch_size is True"),
    "negative seed": (lambda: gd.Trainer(model_of("neuron"), seed=-1), ValueError, "seed is -1"),
    "shuffle by name": (lambda: gd.Trainer(model_of("neuron"), shuffle="yes"), TypeError, "shuffle is 'yes'"),
    "no model": (lambda: gd.Trainer([gd.Linear(1, 1)]), TypeError, "expected a Model"),
    "no layers": (lambda: gd.Model([]), ValueError, "expected at least one Linear"),
    "no Linear": (lambda: gd.Model([gd.ReLU()]), ValueError, "expected at least one Linear"),
    "no layer": (lambda: gd.Model([3]), TypeError, r"layers\[0\] is 3; expected one of Linear, ReLU"),
    "layer by class": (lambda: gd.Model([gd.Linear(1, 1), gd.ReLU]), TypeError, r"layers\[1\] is <class"),
    "widths that do not fit": (
        lambda: gd.Model([gd.Linear(2, 3), gd.ReLU(), gd.Linear(4, 1)]),
        ValueError,
        r"layers\[2\] is Linear\(4, 1\) and gets 3 features",
    ),
    "half precision": (lambda: gd.Model([gd.Linear(1, 1)], dtype="float16"), ValueError, "dtype is 'float16'"),
    "unknown dtype": (lambda: gd.Model([gd.Linear(1, 1)], dtype="single "), ValueError, "dtype is 'single '"),
    "no features": (lambda: gd.Linear(0, 1), ValueError, "in_features is 0; expected at least 1"),
    "unknown init": (
        lambda: gd.Linear(1, 1, init="he"),
        ValueError,
        "init is 'he'; expected one of 'he_normal', 'zeros'",
    ),
    "init of another shape": (lambda: gd.Linear(2, 1, init=[1, 2]), ValueError, r"init has shape \(2,\)"),
    "bias of another shape": (lambda: gd.Linear(2, 1, bias=[1, 2]), ValueError, r"bias has shape \(2,\)"),
    "init with NaN": (lambda: gd.Linear(1, 1, init=[[np.nan]]), ValueError, "init holds a NaN"),
    "negative tolerance": (lambda: gd.ReLU(tolerance=-1), ValueError, "tolerance is -1"),
    "no samples": (lambda: gd.data.synthetic(0, 1), ValueError, "n_samples is 0"),
    "negative noise": (lambda: gd.data.synthetic(1, 1, noise=-1), ValueError, "noise is -1"),
    "no hidden width": (lambda: gd.data.synthetic(1, 1, hidden=(0,)), ValueError, "hidden is 0"),
    "seed of 65 bits": (lambda: gd.data.synthetic(1, 1, seed=2**64), ValueError, "expected less than"),
}


@pytest.mark.parametrize("case", CONSTRUCTORS)
def test_constructors(case):
    make, error, message = CONSTRUCTORS[case]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("case", ["too few features", "flat X", "no rows", "objects", "complex", "ragged"])
def test_predict(case):
    (bad, *_), _, error, message = FIT_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        model_of("neuron").predict(bad)


@pytest.mark.parametrize("case", [name for name, (_, options, *_) in FIT_ARGUMENTS.items() if not options])
def test_loss_and_gradient(case):
    arguments, _, error, message = FIT_ARGUMENTS[case]
    for method in (gd.Model.loss_and_gradient, gd.Model.loss):
        with pytest.raises(error, match=message):
            method(model_of("neuron"), *arguments)


def test_parameters_of_another_shape():
    with pytest.raises(ValueError, match=r"parameters has shape \(2,\); expected \(6,\)"):
        model_of("neuron").loss_and_gradient(X, Y, parameters=[1, 2])


def test_weight_of_another_shape():
    model = model_of("neuron")
    with pytest.raises(ValueError, match="broadcast"):
        model.layers[0].weight = np.ones((2, 5))


def test_step_refuses():
    model = model_of("neuron")
    with pytest.raises(ValueError, match=r"X has shape \(4, 3\)"):
        gd.Trainer(model).step(np.ones((4, 3)), np.ones(4))
    with pytest.raises(ValueError, match=r"y has shape \(4, 2\)"):
        gd.Trainer(model).step(np.ones((4, 5)), np.ones((4, 2)))
    model.parameters[0] = np.nan
    with pytest.raises(ValueError, match="parameters hold a NaN"):
        gd.Trainer(model).step(np.ones((4, 5)), np.ones(4))


def test_data_without_targets():
    with pytest.raises(ValueError, match="the data set has no targets"):
        gd.Trainer(gd.Model([gd.Linear(2, 1)])).fit(gd.data.ArrayDataset(np.ones((4, 2))))


def test_classes_as_columns():
    with pytest.raises(ValueError, match=r"y has shape \(4, 3\); .* y.argmax"):
        gd.Trainer(gd.Model([gd.Linear(2, 3)]), loss="cross_entropy").fit(np.ones((4, 2)), np.eye(4, 3))


@pytest.mark.parametrize("fraction", [np.float32(0.25), np.float64(0.25)])
def test_fractions_of_any_type(fraction):
    history = gd.Trainer(gd.Model([gd.Linear(2, 1)])).fit(np.ones((8, 2)), np.ones(8), validation=fraction)
    assert history.validation_loss[0] is not None


def test_files_and_folders(tmp_path):
    model = gd.Model([gd.Linear(2, 1)])
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        model.save(tmp_path / "none" / "m")
    with pytest.raises(ValueError, match="is a folder"):
        gd.Model.load(tmp_path)
