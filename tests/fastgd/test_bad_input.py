"""Bad input is refused with a message that says what was given and expected, before any parameter changes."""

import re

import numpy as np
import pytest
from cases import built, model_of, rows_for

import fastgd as gd
from fastgd.data import reader as dataset

X = np.ones((4, 5))
Y = np.ones((4, 1))

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


BAD_VALUES = [np.nan, np.inf, -np.inf]
NAMES = ["neuron", "linear neuron", "hidden layer", "ReLU first", "deep"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("place", ["X", "y", "sample_weight"])
def test_values_that_are_not_finite(name, batch_size, shuffle, value, place):
    """The row is named, and the parameters are those from before its batch: a ReLU may not swallow it."""
    model, twin = model_of(name, "float32"), model_of(name, "float32")
    n_samples, bad_row = 30, 17
    rows = rows_for(model, n_samples)
    data = dict(zip(("X", "y", "sample_weight"), rows, strict=True))
    data[place] = data[place].copy()
    data[place][(bad_row, 2) if place == "X" else bad_row] = value
    options = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 2}
    trainer = gd.Trainer(model, **options)
    with pytest.raises(ValueError, match=re.escape(f"{place} holds {value} (as float32) in row {bad_row}")):
        trainer.fit(**data)
    order = np.random.default_rng([2, 0]).permutation(n_samples) if shuffle else np.arange(n_samples)
    batch_rows = batch_size or n_samples
    n_good = int(np.flatnonzero(order == bad_row)[0]) // batch_rows * batch_rows
    if n_good:
        good = order[:n_good]
        gd.Trainer(twin, **options | {"shuffle": False}).fit(rows[0][good], rows[1][good], sample_weight=rows[2][good])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainer.n_updates == n_good // batch_rows


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_negative_weights(name, batch_size, shuffle):
    """As with values that are not finite: the parameters are those from before the row's batch."""
    model, twin = model_of(name), model_of(name)
    rows, targets, weight = rows_for(model, 30)
    weight[17] = -0.5
    options = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 2}
    trainer = gd.Trainer(model, **options)
    with pytest.raises(ValueError, match=r"sample_weight holds -0\.5 in row 17; expected at least 0"):
        trainer.fit(rows, targets, sample_weight=weight)
    order = np.random.default_rng([2, 0]).permutation(30) if shuffle else np.arange(30)
    batch_rows = batch_size or 30
    n_good = int(np.flatnonzero(order == 17)[0]) // batch_rows * batch_rows
    if n_good:
        good = order[:n_good]
        twin_trainer = gd.Trainer(twin, **options | {"shuffle": False})
        twin_trainer.fit(rows[good], targets[good], sample_weight=weight[good])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainer.n_updates == n_good // batch_rows


def test_negative_weights_elsewhere():
    model = model_of("neuron")
    rows, targets, weight = rows_for(model, 30)
    weight[17] = -1
    standardized = gd.Model([gd.Standardize(5), gd.Linear(5, 1)])
    for call in (
        lambda: gd.Trainer(model).step(rows, targets, weight),
        lambda: model.loss(rows, targets, sample_weight=weight),
        lambda: model.loss_and_gradient(rows, targets, sample_weight=weight),
        lambda: gd.Trainer(model).fit(rows, targets, validation=(rows, targets, weight)),
        lambda: gd.Trainer(standardized, optimizer=gd.SGD("auto")).fit(rows, targets, sample_weight=weight),
    ):
        with pytest.raises(ValueError, match=r"sample_weight holds -1\.0 in row 17; expected at least 0"):
            call()
    np.testing.assert_array_equal(model.parameters, model_of("neuron").parameters)
    assert standardized.standardize.mean is None


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("value", BAD_VALUES)
def test_bad_feature_of_any_neuron(batch_size, sign, value):
    """Also where the weight is zero, or has the sign that sends the ReLU to its flat side; also with no weight."""
    for weight in (0.0, 1.0, -1.0):
        for sample_weight in (None, np.zeros(8)):
            model = gd.Model([gd.Linear(3, 1, init=[[sign, weight, sign]]), gd.ReLU()])
            before = model.parameters.copy()
            rows = np.ones((8, 3))
            rows[0, 1] = value
            with pytest.raises(ValueError, match="row 0, column 1"):
                gd.Trainer(model, batch_size=batch_size).fit(rows, np.zeros(8), sample_weight=sample_weight)
            np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("loss", ["half_squared_error", "quantile", "poisson"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_target_of_weight_zero(value, loss, batch_size):
    targets, weight = np.ones(8), np.ones(8)
    targets[5], weight[5] = value, 0
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1)]), loss, batch_size=batch_size)
    with pytest.raises(ValueError, match=f"y holds {value} .*row 5; expected|y holds {value} in row 5; poisson"):
        trainer.fit(np.ones((8, 3)), targets, sample_weight=weight)
    assert trainer.n_updates == (5 if batch_size == 1 else 1)


def test_value_too_large_for_float32():
    rows = np.ones((4, 5))
    rows[2, 3] = 1e300
    with pytest.raises(ValueError, match=r"X holds inf \(as float32\) in row 2, column 3"):
        gd.Trainer(model_of("neuron", "float32")).fit(rows, np.ones(4))


@pytest.mark.parametrize("value", BAD_VALUES)
def test_values_that_are_not_finite_elsewhere(value):
    model = model_of("neuron")
    rows, targets, _ = rows_for(model, 30)
    rows[17, 2] = value
    for call in (
        lambda: model.predict(rows),
        lambda: model.loss(rows, targets),
        lambda: model.loss_and_gradient(rows, targets),
        lambda: gd.Trainer(model).step(rows, targets),
        lambda: gd.Trainer(model).fit(rows[:3], targets[:3], validation=(rows, targets)),
    ):
        with pytest.raises(ValueError, match="in row 17, column 2"):
            call()


BAD_VALIDATION = {
    "NaN among targets": (
        "half_squared_error",
        lambda X, y: (X, np.where(y > 2, np.nan, y)),
        "y holds nan .* in row 3",
    ),
    "NaN among features": ("half_squared_error", lambda X, y: (np.where(X > 1, np.nan, X), y), "X holds nan"),
    "infinite weight": ("half_squared_error", lambda X, y: (X, y, y / 0.0), "sample_weight holds"),
    "a class too many": (
        "cross_entropy",
        lambda X, y: (X, y + 1),
        "y holds 4.0 in row 3; cross_entropy expects a class",
    ),
    "half a class": ("cross_entropy", lambda X, y: (X, y / 2), "y holds 0.5 in row 1; cross_entropy expects a class"),
    "fewer targets": ("half_squared_error", lambda X, y: (X, y[:3]), "y has 3 rows and X has 8"),
}


@pytest.mark.parametrize("case", BAD_VALIDATION)
@pytest.mark.parametrize("standardizes", [False, True], ids=["raw", "standardised"])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_validation_in_memory_is_checked_before_anything_is_learnt(case, standardizes):
    loss, spoil, message = BAD_VALIDATION[case]
    outputs = 4 if loss == "cross_entropy" else 1
    model = gd.Model([*([gd.Standardize(3)] if standardizes else []), gd.Linear(3, outputs)])
    before = model.parameters.copy()
    rows, targets = np.random.default_rng(0).uniform(-2, 2, (8, 3)), np.arange(8) % 4
    trainer = gd.Trainer(model, loss)
    with pytest.raises(ValueError, match=f"validation: {message}"):
        trainer.fit(rows, targets, validation=spoil(rows, targets))
    np.testing.assert_array_equal(model.parameters, before)
    assert trainer.n_updates == 0
    assert model.standardize is None or model.standardize.mean is None


def test_held_out_rows_are_checked_before_anything_is_learnt():
    rows, targets = np.ones((40, 5)), np.ones(40)
    held_out = np.random.default_rng([0, 0, 1]).permutation(40)[:10]
    targets[held_out[3]] = np.nan
    model = model_of("neuron")
    trainer = gd.Trainer(model)
    with pytest.raises(ValueError, match=f"validation: y holds nan .* in row {held_out[3]}"):
        trainer.fit(rows, targets, validation=0.25)
    assert trainer.n_updates == 0


class Unread(gd.Dataset):
    """Rows that are not in memory."""

    n_samples, n_features, n_outputs, has_sample_weight, dtype = 4, 5, 1, True, np.dtype("float32")

    def read(self, rows, out):
        """Ones, of weight zero."""
        for array, value in zip(out[:3], (1, 1, 0), strict=True):
            array[:] = value


@pytest.mark.parametrize("held_out", ["rows", "a fraction", "a data set"])
def test_validation_rows_that_all_weigh_nothing(held_out):
    """Their loss would be zero, and the first epoch's the best."""
    trainer = gd.Trainer(model_of("neuron"))
    validation = {"rows": (X, Y, np.zeros(4)), "a fraction": 0.25, "a data set": Unread()}[held_out]
    weight = np.ones(4)
    weight[np.random.default_rng([0, 0, 1]).permutation(4)[0]] = 0
    before = trainer.model.parameters.copy()
    with pytest.raises(ValueError, match="validation: every sample_weight is 0"):
        trainer.fit(X, Y, epochs=2, sample_weight=weight, validation=validation)
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_validation_from_a_file_is_named(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 5)))
    np.save(tmp_path / "y.npy", np.array([0, 1, np.nan, 1]))
    data = gd.data.open(tmp_path / "X.npy", target=tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"validation: y holds nan .* in row 2"):
        gd.Trainer(model_of("neuron")).fit(X, Y, validation=data)


@pytest.mark.parametrize("learning_rate", [0.01, "auto"])
def test_nothing_is_learnt_from_rows_with_a_bad_class(learning_rate):
    model = gd.Model([gd.Standardize(3), gd.Linear(3, 3)])
    before = model.parameters.copy()
    rows, classes = np.random.default_rng(0).standard_normal((90, 3)), np.arange(90) % 3
    classes[77] = 3
    with pytest.raises(ValueError, match=r"y holds 3\.0 in row 77; cross_entropy expects a class"):
        gd.Trainer(model, "cross_entropy", gd.SGD(learning_rate), batch_size=2).fit(rows, classes)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.standardize.mean is None


def test_parameters_that_are_not_finite():
    model = model_of("neuron")
    model.parameters[0] = np.nan
    with pytest.raises(ValueError, match="parameters hold a NaN"):
        gd.Trainer(model).fit(X, Y)


LAYOUTS = {
    "list": lambda rows: rows.tolist(),
    "Fortran": np.asfortranarray,
    "strided": lambda rows: np.repeat(np.repeat(rows, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda rows: rows[::-1][::-1],
    "read-only": lambda rows: _frozen(rows),
    "other byte order": lambda rows: rows.astype(rows.dtype.newbyteorder()),
    "unaligned": lambda rows: _unaligned(rows),
    "subclass": lambda rows: rows.view(type("Rows", (np.ndarray,), {})),
}


def _frozen(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def _unaligned(rows):
    raw = np.empty(rows.nbytes + 1, np.uint8)
    shifted = raw[1:].view(rows.dtype).reshape(rows.shape)
    shifted[...] = rows
    return shifted


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shuffle", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "source", ["float32", "float64", "float16", "int8", "uint8", "int64", "uint16", "bool", "longdouble"]
)
def test_every_real_array_works(layout, shuffle, source, dtype, rng):
    """The same bits as from an array of the model's dtype, where elements are as long, and the input stays as it is."""
    values = rng.integers(0, 2 if source == "bool" else 5, (20, 5))
    given = LAYOUTS[layout](values.astype(source))
    kept = np.array(given)
    targets = rng.integers(0, 3, 20)
    results = []
    for features in (given, values.astype(dtype)):
        model = model_of("neuron", dtype)
        gd.Trainer(model, optimizer=gd.SGD(0.01), shuffle=shuffle).fit(features, targets)
        results.append(model.parameters)
        np.testing.assert_array_equal(model.predict(features), model.predict(values.astype(dtype)))
    # How wide a SIMD vector is, and with it the order of sums, depends on the size of the rows' elements.
    rounding = 0 if np.asarray(given).itemsize == np.dtype(dtype).itemsize else 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(*results, rtol=0, atol=rounding)
    np.testing.assert_array_equal(np.array(given), kept)


def test_first_of_several_bad_rows_is_named():
    rows, targets, _ = rows_for(model_of("neuron"), 30)
    rows[[11, 17, 18], [3, 2, 0]] = np.nan
    for call in (
        lambda: model_of("neuron").predict(rows),
        lambda: gd.Trainer(model_of("neuron"), batch_size=None).fit(rows, targets),
    ):
        with pytest.raises(ValueError, match="in row 11, column 3"):
            call()


FIRST_LAYERS = {
    "a neuron with a ReLU": [gd.Linear(5, 1, init=np.ones((1, 5))), gd.ReLU()],
    "weights of zero": [gd.Linear(5, 1, init="zeros")],
    "few outputs": [gd.Linear(5, 3, init="zeros"), gd.ReLU(), gd.Linear(3, 1)],
    "a hidden layer": [gd.Linear(5, 9), gd.ReLU(), gd.Linear(9, 1)],
    "a ReLU": [gd.ReLU(), gd.Linear(5, 1)],
    "a Dropout": [gd.Dropout(0.5), gd.ReLU(), gd.Linear(5, 1)],
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("first", FIRST_LAYERS)
def test_no_layer_hides_a_bad_row_from_predictions(first, value, dtype):
    """Rows are not looked at before a Linear, but what it makes of them; a ReLU makes a zero of minus infinity."""
    model = built(FIRST_LAYERS[first], dtype)
    for row in (3, model.micro_batch_rows - 1, model.micro_batch_rows, 2 * model.micro_batch_rows + 5):
        rows = np.ones((2 * model.micro_batch_rows + 9, 5), dtype)
        targets, weight, bad_targets = np.zeros(len(rows)), np.ones(len(rows)), np.full(len(rows), np.nan)
        rows[row, 4], weight[row] = value, 0
        for call in (
            lambda X=rows: model.predict(X),
            lambda X=rows, y=targets: model.loss(X, y),
            lambda X=rows, y=targets, v=weight: model.loss(X, y, sample_weight=v),
            lambda X=rows, y=bad_targets: model.loss(X, y),
        ):
            with pytest.raises(ValueError, match=f"X holds {value} .* in row {row}, column 4"):
                call()


def test_standardize_hides_no_bad_row_from_predictions(rng):
    model = gd.Model([gd.Standardize(5), gd.Linear(5, 1, init=np.ones((1, 5))), gd.ReLU()])
    rows = rng.standard_normal((50, 5))
    gd.Trainer(model).fit(rows, np.ones(50))
    rows[31, 2] = -np.inf
    for call in (lambda: model.predict(rows), lambda: model.loss(rows, np.ones(50))):
        with pytest.raises(ValueError, match="in row 31, column 2"):
            call()


def test_predictions_of_finite_rows_may_overflow():
    rows = np.full((100, 2), 3e38, np.float32)
    model = gd.Model([gd.Linear(2, 1, init=[[1, 0]])], dtype="float32")
    np.testing.assert_array_equal(model.predict(rows), rows[:, :1])
    model.parameters = 3e38
    assert np.isinf(model.predict(rows)).all()
    model.parameters = np.nan
    assert np.isnan(model.predict(rows)).all()


def test_bad_row_of_a_later_block_is_named(monkeypatch):
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 400)
    model = model_of("neuron")
    rows, targets, _ = rows_for(model, 30)
    rows[17, 2] = np.nan
    for call in (
        lambda: model.predict(rows),
        lambda: model.loss(rows, targets),
        lambda: model.loss_and_gradient(rows, targets),
        lambda: gd.Trainer(model).fit(rows.astype(np.float32), targets),
    ):
        with pytest.raises(ValueError, match="in row 17, column 2"):
            call()


def test_step_refuses():
    model = model_of("neuron")
    with pytest.raises(ValueError, match=r"X has shape \(4, 3\)"):
        gd.Trainer(model).step(np.ones((4, 3)), np.ones(4))
    with pytest.raises(ValueError, match=r"y has shape \(4, 2\)"):
        gd.Trainer(model).step(np.ones((4, 5)), np.ones((4, 2)))
    model.parameters[0] = np.nan
    with pytest.raises(ValueError, match="parameters hold a NaN"):
        gd.Trainer(model).step(np.ones((4, 5)), np.ones(4))


def test_masked_elements():
    X = np.ma.masked_array(np.ones((4, 2)), mask=[[0, 0], [0, 1], [0, 0], [0, 0]])
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]))
    with pytest.raises(TypeError, match="X has masked elements"):
        trainer.fit(X, np.ones(4))
    for rows in ([X[0], X[1]], ([1, 2], (3, np.ma.masked)), [[1, 2], X[1]]):
        with pytest.raises(TypeError, match="X has masked elements"):
            trainer.fit(rows, np.ones(2))
    trainer.fit(np.ma.masked_array(np.ones((4, 2)), mask=False), np.ones(4))
    trainer.fit([X[0], X[2]], np.ones(2))


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
