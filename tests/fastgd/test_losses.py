"""The losses: value, derivative, edges, targets, and that each one learns."""

import re

import numpy as np
import pytest
from cases import STEP, assert_gradient_is_the_difference, rounding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from loss_cases import CASES, made, signs

import fastgd as gd
from fastgd import kernels, losses
from fastgd.kernels.nn.loss import Hinge


def test_every_loss_has_a_case():
    assert {losses.describe(losses.as_loss(case.loss))["type"] for case in CASES.values()} == set(losses.LOSSES)


def evaluate(loss, out, target, dtype, sample_weight=(), scale=1.0):
    """The kernel's value and derivative, from read-only arrays; the weights that it adds up are checked on the way."""
    arrays = [np.array(array, dtype) for array in (out, target, sample_weight)]
    for array in arrays:
        array.flags.writeable = False
    d_out = np.full_like(arrays[0], np.nan)
    number = np.dtype(dtype).type
    objective = kernels.objective(losses.as_loss(loss), dtype)
    objective.sums[:] = np.nan
    kernels.loss_and_derivative(objective, *arrays, number(scale), d_out)
    total, weight_sum = objective.sums
    assert weight_sum == (np.abs(sample_weight).sum() if len(sample_weight) else len(out))
    return total, d_out


def grid(n_rows, n_columns):
    """Matrices of multiples of one eighth."""
    return hnp.arrays(np.int64, (n_rows, n_columns), elements=st.integers(-80, 80)).map(lambda numbers: numbers / 8)


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_value_and_derivative(name, data):
    case = CASES[name]
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    n_rows, n_outputs = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    z = data.draw(grid(n_rows, n_outputs))
    y = case.target(data.draw(grid(n_rows, n_outputs)), n_outputs).astype(dtype).astype(np.float64)
    weight = data.draw(st.just([]) | st.lists(st.integers(0, 8).map(lambda n: n / 4), min_size=n_rows, max_size=n_rows))
    v = np.array(weight)[:, None] if weight else np.ones((n_rows, 1))
    loss, d_out = evaluate(case.loss, z, y, dtype, weight, scale=0.25)
    value, derivative = case.formula(z, y)
    # Of the terms that add up to the value, none is larger than these together; each takes a few roundings.
    size = np.abs(value).sum() + np.abs(z).sum() * (1 + np.abs(y).max()) + n_rows
    assert loss == pytest.approx((v * value).sum(), rel=0, abs=rounding(dtype, 4) * size * v.max())
    np.testing.assert_allclose(d_out, 0.25 * v * derivative, rtol=rounding(dtype, 4), atol=rounding(dtype, 4))
    assert (d_out[v[:, 0] == 0] == 0).all()


def kink_cases():
    """Every kink of every loss, and its two neighbours in the dtype."""
    for name, case in CASES.items():
        targets = [1.0, -1.0] if case.target is signs else [0.5, -2.0]
        for y in targets:
            for kink in case.kinks(np.array(y)):
                yield name, float(kink), y


@pytest.mark.parametrize(("name", "kink", "y"), list(kink_cases()))
def test_derivative_beside_its_kinks(name, kink, y, dtype):
    """Half a step is enough to be on the other side, and at the kink itself the documented side holds."""
    number = np.dtype(dtype).type
    # A difference from the target is exact only in steps of the larger number.
    step = float(np.finfo(number).eps) * 4
    z = np.array([[kink - step, kink, kink + step]], number).astype(np.float64)
    _, d_out = evaluate(CASES[name].loss, z, np.full((1, 3), y), dtype)
    _, derivative = CASES[name].formula(z, np.full((1, 3), y))
    np.testing.assert_allclose(d_out, derivative, rtol=rounding(dtype, 2), atol=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_weighted", [False, True], ids=["equal", "weighted"])
def test_model_and_trainer(name, is_weighted, dtype):
    """One Linear with several outputs: its loss, gradient and update in NumPy."""
    case = CASES[name]
    X, y = made(case, 9, 4, seed=4)
    X, y = X.astype(dtype), y.astype(dtype)
    model = gd.Model([gd.Linear(4, 4)], dtype=dtype, seed=2)
    weight = np.linspace(0, 2, 9).astype(dtype) if is_weighted else None
    v = np.ones((9, 1)) if weight is None else weight[:, None].astype(np.float64)
    z = X.astype(np.float64) @ model.layers[0].weight.T + model.layers[0].bias
    value, derivative = case.formula(z, y.astype(np.float64))
    expected_loss = (v * value).sum() / 9
    d_out = v * derivative / 9
    expected = np.concatenate([(d_out.T @ X).ravel(), d_out.sum(0)])
    # An output is a sum of five terms, an element of the gradient one of nine; exp multiplies errors by its argument.
    tolerance = rounding(dtype, 30)
    loss, gradient = model.loss_and_gradient(X, y, case.loss, weight)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    assert model.loss(X, y, case.loss, weight) == pytest.approx(loss, rel=rounding(dtype, 4))
    before = model.parameters.copy()
    trainer = gd.Trainer(model, case.loss, gd.SGD(0.5), batch_size=None)
    assert trainer.step(X, y, weight) == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(model.parameters, before - 0.5 * gradient, rtol=tolerance, atol=tolerance)
    model.parameters = before
    assert trainer.fit(X, y, sample_weight=weight).loss[0] == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(model.parameters, before - 0.5 * gradient, rtol=tolerance, atol=tolerance)
    assert trainer.n_updates == 2


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_difference(name):
    case = CASES[name]
    model = gd.Model([gd.Linear(4, 6), gd.ReLU(), gd.Linear(6, 3)], dtype="float64", seed=5)
    rng = np.random.default_rng(8)
    model.parameters += 0.1 * rng.standard_normal(model.parameters.shape)
    X, y = rng.standard_normal((5, 4)), made(case, 5, 3, seed=8)[1]
    weight = rng.uniform(0.5, 1.5, 5)
    hidden = X @ model.layers[0].weight.T + model.layers[0].bias
    # Further from every kink than a step of one parameter can move an output.
    assert np.abs(hidden).min() > 100 * STEP
    for kink in case.kinks(y):
        assert np.abs(model.predict(X) - kink).min() > 100 * STEP
    assert_gradient_is_the_difference(model, X, y, weight, case.loss)
    assert np.abs(model.loss_and_gradient(X, y, case.loss, weight)[1]).max() > 0.01


OUTPUTS = [-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 2.75]

# fmt: off
STORED = {
    "torch L1Loss": ("absolute_error", {
        0.25: ([3.25, 1.25, 0.5, 0.25, 0.25, 0.75, 2.5], [-1, -1, -1, -1, 1, 1, 1]),
        1.0: ([4.0, 2.0, 1.25, 1.0, 0.5, 0.0, 1.75], [-1, -1, -1, -1, -1, 0, 1])}),
    "torch HuberLoss(delta=1.25)": (losses.huber(1.25), {
        0.25: ([3.28125, 0.78125, 0.125, 0.03125, 0.03125, 0.28125, 2.34375],
               [-1.25, -1.25, -0.5, -0.25, 0.25, 0.75, 1.25]),
        1.0: ([4.21875, 1.71875, 0.78125, 0.5, 0.125, 0.0, 1.40625], [-1.25, -1.25, -1.25, -1.0, -0.5, 0.0, 1.25])}),
    "torch BCEWithLogitsLoss": ("log_loss", {
        0.0: ([0.048587351573742055, 0.3132616875182228, 0.5759394198788436, 0.6931471805599453, 0.9740769841801067,
               1.3132616875182228, 2.8119675890031988],
              [0.04742587317756678, 0.2689414213699951, 0.43782349911420193, 0.5, 0.6224593312018546,
               0.7310585786300049,
               0.9399133498259924]),
        0.25: ([0.798587351573742, 0.5632616875182228, 0.6384394198788436, 0.6931471805599453, 0.8490769841801067,
                1.0632616875182228, 2.1244675890031988],
               [-0.20257412682243323, 0.018941421369995104, 0.18782349911420193, 0.25, 0.3724593312018546,
                0.4810585786300049, 0.6899133498259924]),
        1.0: ([3.048587351573742, 1.3132616875182228, 0.8259394198788436, 0.6931471805599453, 0.4740769841801067,
               0.31326168751822286, 0.061967589003198625],
              [-0.9525741268224333, -0.7310585786300049, -0.5621765008857981, -0.5, -0.3775406687981454,
               -0.2689414213699951, -0.060086650174007605])}),
    "torch PoissonNLLLoss(log_input=True)": ("poisson", {
        0.0: ([0.049787068367863944, 0.36787944117144233, 0.7788007830714049, 1.0, 1.6487212707001282,
               2.718281828459045,
               15.642631884188171],
              [0.049787068367863944, 0.36787944117144233, 0.7788007830714049, 1.0, 1.6487212707001282,
               2.718281828459045,
               15.642631884188171]),
        3.0: ([9.049787068367865, 3.3678794411714423, 1.528800783071405, 1.0, 0.1487212707001282, -0.2817181715409549,
               7.392631884188171],
              [-2.950212931632136, -2.6321205588285577, -2.221199216928595, -2.0, -1.3512787292998718,
               -0.2817181715409549,
               12.642631884188171])}),
    "sklearn CyPinballLoss(quantile=0.9)": (losses.quantile(0.9), {
        0.25: ([2.925, 1.125, 0.45, 0.225, 0.025, 0.075, 0.25], [-0.9, -0.9, -0.9, -0.9, 0.1, 0.1, 0.1]),
        1.0: ([3.6, 1.8, 1.125, 0.9, 0.45, 0.0, 0.175], [-0.9, -0.9, -0.9, -0.9, -0.9, -0.9, 0.1])}),
    "sklearn EpsilonInsensitive(0.25)": (losses.epsilon_insensitive(0.25), {
        0.25: ([3.0, 1.0, 0.25, 0.0, 0.0, 0.5, 2.25], [-1, -1, -1, 0, 0, 1, 1]),
        1.0: ([3.75, 1.75, 1.0, 0.75, 0.25, 0.0, 1.5], [-1, -1, -1, -1, -1, 0, 1])}),
    "sklearn SquaredEpsilonInsensitive(0.25)": (losses.squared_epsilon_insensitive(0.25), {
        0.25: ([9.0, 1.0, 0.0625, 0.0, 0.0, 0.25, 5.0625], [-6.0, -2.0, -0.5, 0.0, 0.0, 1.0, 4.5]),
        1.0: ([14.0625, 3.0625, 1.0, 0.5625, 0.0625, 0.0, 2.25], [-7.5, -3.5, -2.0, -1.5, -0.5, 0.0, 3.0])}),
    "sklearn Hinge(1.0)": ("hinge", {
        -1.0: ([0.0, 0.0, 0.75, 1.0, 1.5, 2.0, 3.75], [0, 1, 1, 1, 1, 1, 1]),
        1.0: ([4.0, 2.0, 1.25, 1.0, 0.5, 0.0, 0.0], [-1, -1, -1, -1, -1, -1, 0])}),
    "sklearn Hinge(0.0)": ("perceptron", {
        -1.0: ([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 2.75], [0, 0, 0, 1, 1, 1, 1]),
        1.0: ([3.0, 1.0, 0.25, 0.0, 0.0, 0.0, 0.0], [-1, -1, -1, -1, 0, 0, 0])}),
    "sklearn SquaredHinge(1.0)": ("squared_hinge", {
        -1.0: ([0.0, 0.0, 0.5625, 1.0, 2.25, 4.0, 14.0625], [0.0, 0.0, 1.5, 2.0, 3.0, 4.0, 7.5]),
        1.0: ([16.0, 4.0, 1.5625, 1.0, 0.25, 0.0, 0.0], [-8.0, -4.0, -2.5, -2.0, -1.0, 0.0, 0.0])}),
    "sklearn ModifiedHuber()": ("modified_huber", {
        -1.0: ([0.0, 0.0, 0.5625, 1.0, 2.25, 4.0, 11.0], [0.0, 0.0, 1.5, 2.0, 3.0, 4.0, 4.0]),
        1.0: ([12.0, 4.0, 1.5625, 1.0, 0.25, 0.0, 0.0], [-4.0, -4.0, -2.5, -2.0, -1.0, 0.0, 0.0])}),
}

LOGITS = [[-3.0, -1.0, 0.5, 2.75], [0.0, 0.0, 0.0, 0.0], [1.0, -0.25, -3.0, 0.5]]
CLASSES = [3, 1, 2]
STORED_CROSS_ENTROPY = {
    0.0: ([0.12407409534603567, 1.3862943611198906, 4.647810371806162],
          [[0.00281139607450276, 0.0207735633108143, 0.09310065164205228, -0.1166856110273693],
           [0.25, -0.75, 0.25, 0.25],
           [0.5231901152930344, 0.14989647770129025, -0.9904174387781376, 0.3173308457838128]]),
    0.1: ([0.4178240953460357, 1.3862943611198906, 4.391560371806162],
          [[-0.022188603925497243, -0.004226436689185702, 0.06810065164205228, -0.04168561102736934],
           [0.225, -0.675, 0.225, 0.225],
           [0.49819011529303436, 0.12489647770129025, -0.9154174387781376, 0.2923308457838128]]),
}
# fmt: on


@pytest.mark.parametrize("source", STORED)
def test_stored_numbers(source, dtype):
    """Values and derivatives at OUTPUTS, by target, as other libraries gave them once in float64.

    "torch" is the class of that name in torch.nn 2.13.0 (CPU) with reduction="none", its derivative by autograd;
    "sklearn" that in scikit-learn 1.9.1: CyPinballLoss in sklearn._loss._loss (`loss_gradient`), the others in
    sklearn.linear_model._sgd_fast (`py_loss` and `py_dloss`). The pinball's are rounded to what they stand for.
    """
    loss, by_target = STORED[source]
    for target, (values, derivatives) in by_target.items():
        for z, value, derivative in zip(OUTPUTS, values, derivatives, strict=True):
            found, d_out = evaluate(loss, [[z]], [[target]], dtype)
            # exp(2.75) - 3 · 2.75 loses one bit of the larger term.
            assert found == pytest.approx(value, rel=rounding(dtype, 4), abs=rounding(dtype, 2))
            assert d_out[0, 0] == pytest.approx(derivative, rel=rounding(dtype, 4), abs=rounding(dtype, 1))


@pytest.mark.parametrize("label_smoothing", STORED_CROSS_ENTROPY)
def test_stored_cross_entropy(label_smoothing, dtype):
    """What torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=...) of PyTorch 2.13.0 (CPU) gave in float64."""
    values, derivatives = STORED_CROSS_ENTROPY[label_smoothing]
    for z, label, value, derivative in zip(LOGITS, CLASSES, values, derivatives, strict=True):
        found, d_out = evaluate(losses.cross_entropy(label_smoothing), [z], [[label]], dtype)
        assert found == pytest.approx(value, rel=rounding(dtype, 4))
        np.testing.assert_allclose(d_out, [derivative], rtol=rounding(dtype, 4), atol=rounding(dtype, 1))


EXTREMES = {
    "log_loss, sure and wrong": ("log_loss", [1e4], [0], 1e4, [1]),
    "log_loss, sure and right": ("log_loss", [1e4], [1], 0, [0]),
    "log_loss, sure of a half": ("log_loss", [1e4], [0.5], 5e3, [0.5]),
    "log_loss, sure of no, wrong": ("log_loss", [-1e4], [1], 1e4, [-1]),
    "log_loss, sure of no, right": ("log_loss", [-1e4], [0], 0, [0]),
    "log_loss, both ends": ("log_loss", [1e4, -1e4], [0, 1], 2e4, [1, -1]),
    "cross_entropy, right": ("cross_entropy", [1e4, -1e4, 0], [0], 0, [0, 0, 0]),
    "cross_entropy, wrong": ("cross_entropy", [1e4, -1e4, 0], [1], 2e4, [1, -1, 0]),
    "cross_entropy, all low": ("cross_entropy", [-1e4, -1.2e4, -1.4e4], [1], 2e3, [1, -1, 0]),
    "cross_entropy, even": ("cross_entropy", [1e4, 1e4], [1], np.log(2), [0.5, -0.5]),
    "cross_entropy, smoothed": (losses.cross_entropy(0.5), [1e4, -1e4], [0], 5e3, [0.25, -0.25]),
    "cross_entropy, one class": ("cross_entropy", [1e4], [0], 0, [0]),
    "poisson, rate of zero": ("poisson", [-1e4], [2], 2e4, [-2]),
    "poisson, nothing counted": ("poisson", [-1e4], [0], 0, [0]),
    "huber": (losses.huber(2.0), [1e4], [0], 2 * (1e4 - 1), [2]),
    "quantile": (losses.quantile(0.25), [1e4], [-1e4], 1.5e4, [0.75]),
    "quantile of zero": (losses.quantile(0), [-1e4], [0], 0, [0]),
    "quantile of one": (losses.quantile(1), [-1e4], [0], 1e4, [-1]),
    "hinge": ("hinge", [-1e4], [1], 1e4 + 1, [-1]),
    "squared_hinge": ("squared_hinge", [1e4], [-1], (1e4 + 1) ** 2, [2 * (1e4 + 1)]),
    "modified_huber": ("modified_huber", [-1e4], [1], 4e4, [-4]),
    "perceptron": ("perceptron", [-1e4], [1], 1e4, [-1]),
    "epsilon_insensitive": (losses.epsilon_insensitive(0), [1e4], [-1e4], 2e4, [1]),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extreme_outputs(case, dtype):
    """The limits themselves: nothing here depends on the smaller term, and most of it is exact in float32."""
    loss, z, y, value, derivative = EXTREMES[case]
    found, d_out = evaluate(loss, [z], [y], dtype)
    # log(2) is rounded, and a value of 1e8 is a square in float32.
    assert found == pytest.approx(value, rel=rounding(dtype, 1), abs=0)
    np.testing.assert_array_equal(d_out, [derivative])


# Two outputs, in nine tenths of the largest number, a target in the same or a class, the value, and the derivatives.
# Where a float64 cannot hold the value, it is infinite there.
DISTANT = {
    "cross_entropy, right": ("cross_entropy", [1, -1], [0], 0, [0, 0]),
    "cross_entropy, wrong": ("cross_entropy", [1, -1], [1], 2, [1, -1]),
    "cross_entropy, smoothed": (losses.cross_entropy(0.5), [1, -1], [0], 0.5, [0.25, -0.25]),
    "absolute_error": ("absolute_error", [1, -1], [-1, 1], 4, [1, -1]),
    "huber": (losses.huber(0.25), [1, -1], [-1, 1], 1, [0.25, -0.25]),
    "quantile": (losses.quantile(0.25), [1, -1], [-1, 1], 2, [0.75, -0.25]),
    "quantile of one": (losses.quantile(1), [1, 1], [-1, -1], 0, [0, 0]),
    "quantile of zero": (losses.quantile(0), [-1, -1], [1, 1], 0, [0, 0]),
    "epsilon_insensitive": ("epsilon_insensitive", [1, -1], [-1, 1], 4, [1, -1]),
}


@pytest.mark.parametrize("case", DISTANT)
def test_a_distance_that_overflows(case, dtype):
    """What the derivative is for certain, the value is not without the distance: it may be large, and is no NaN."""
    loss, z, y, value, derivative = DISTANT[case]
    largest = 0.9 * float(np.finfo(dtype).max)
    target = y if case.startswith("cross_entropy") else largest * np.array(y)
    found, d_out = evaluate(loss, [largest * np.array(z)], [target], dtype)
    np.testing.assert_array_equal(d_out, [derivative])
    if value and dtype == "float64":
        assert found >= min(value, 1) * largest
    else:
        assert found == pytest.approx(value * largest, rel=1e-6, abs=0)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("z", [5.0, 20.0, 30.0, 36.0, 80.0])
def test_log_loss_of_sure_outputs_keeps_its_digits(z, y, dtype):
    """What is left where z and y z cancel is exp(-|z|), to as many digits as the exponential has."""
    for sign, target in ((1, y), (-1, 1 - y)):
        found, _ = evaluate("log_loss", [[sign * z]], [[target]], dtype)
        assert found == pytest.approx((1 - y) * z + np.log1p(np.exp(-z)), rel=rounding(dtype, 4), abs=0)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_logits_whose_distance_overflows_are_nothing_at_weight_zero(n_classes, dtype):
    z = np.zeros((2, n_classes))
    z[0, :2] = 0.9 * np.finfo(dtype).max, -0.9 * np.finfo(dtype).max
    value, d_out = evaluate("cross_entropy", z, [[1], [0]], dtype, [0, 1])
    assert value == pytest.approx(np.log(n_classes), rel=rounding(dtype, 2))
    np.testing.assert_array_equal(d_out[0], 0)
    assert (d_out[1] != 0).all()


@pytest.mark.parametrize("name", CASES)
def test_no_value_hides_nan(name, dtype):
    case = CASES[name]
    _, y = made(case, 2, 3)
    z = [[1.0, np.nan, 0.5], [0.0, 0.0, 0.0]]
    for weight in ([], [1.0, 1.0], [0.0, 0.0]):
        assert np.isnan(evaluate(case.loss, z, y, dtype, weight)[0])


@pytest.mark.parametrize("z", [100.0, 1e4])
def test_a_poisson_rate_that_overflows_is_divergence(z):
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[z]])])
    with pytest.raises(gd.DivergenceError):
        gd.Trainer(model, "poisson").fit([[1.0]], [1.0])
    assert model.parameters == [z]


@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("z", [100.0, 1e4])
def test_a_poisson_rate_that_overflows_moves_nothing_at_weight_zero(z, batch_size, dtype):
    """1e4 overflows in both dtypes, 100 in float32 alone; the rows of weight one are learnt as if they stood alone."""
    X, y = np.ones((8, 1)), np.ones(8)
    weight = np.zeros(8)
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[z]])], dtype=dtype)
    assert model.loss(X, y, "poisson", weight) == 0
    trainer = gd.Trainer(model, "poisson", batch_size=batch_size)
    assert trainer.fit(X, y, sample_weight=weight).loss == [0]
    assert model.parameters == [z]
    assert trainer.n_updates == 0
    X[::2], weight[::2] = 1 / z, 1
    loss, gradient = model.loss_and_gradient(X, y, "poisson", weight)
    assert loss == pytest.approx((np.e - 1) / 2, rel=rounding(dtype, 4))
    np.testing.assert_allclose(gradient, [(np.e - 1) / 2 / z], rtol=rounding(dtype, 4))
    assert np.isfinite(trainer.fit(X, y, sample_weight=weight).loss[-1])
    assert trainer.n_updates == (4 if batch_size == 1 else -(-8 // (batch_size or 8)))


OPTIMIZERS = {
    "SGD": gd.SGD(0.1),
    "momentum": gd.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "Nesterov": gd.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": gd.Adam(weight_decay=0.1),
    "AdamW": gd.AdamW(),
    "Adagrad": gd.Adagrad(weight_decay=0.1),
    "RMSprop": gd.RMSprop(momentum=0.9, centered=True, weight_decay=0.1),
    "NormalizedSGD": gd.NormalizedSGD(),
}
REGULARIZATION = {"alpha": 0.5, "l1_ratio": 0.5, "clip_norm": 0.1, "max_norm": 0.1, "average_from": 2}


def assert_nothing_moves(trainer, X, y):
    """With every weight at zero, neither the model, the optimiser nor the count of updates."""
    state = {name: array.copy() for name, array in trainer._run.engine.state.between_epochs().items()}
    before, n_updates = trainer.model.parameters.copy(), trainer.n_updates
    history = trainer.fit(X * 10, y, epochs=2, sample_weight=np.zeros(len(X)))
    assert history.loss[-1] == 0
    assert trainer.step(X * 10, y, np.zeros(len(X))) == 0
    np.testing.assert_array_equal(trainer.model.parameters, before)
    assert trainer.n_updates == n_updates
    assert state["n_updates"] == n_updates
    for name, array in trainer._run.engine.state.between_epochs().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, REGULARIZATION], ids=["plain", "regularised"])
def test_weights_of_zero_move_nothing(options, optimizer, batch_size):
    """Neither before the first update nor after some, whatever the optimiser remembers."""
    X, y = made(CASES["log_loss"], 10, 1)
    model = gd.Model([gd.Linear(1, 3), gd.ReLU(), gd.Linear(3, 1)], dtype="float64")
    trainer = gd.Trainer(model, "log_loss", OPTIMIZERS[optimizer], batch_size, **options)
    before = model.parameters.copy()
    trainer.fit(X, y, sample_weight=np.zeros(10))
    np.testing.assert_array_equal(model.parameters, before)
    assert trainer.n_updates == 0
    trainer.fit(X, y)
    assert trainer.n_updates == -(-10 // (batch_size or 10))
    assert (model.parameters != before).any()
    assert_nothing_moves(trainer, X, y)


@pytest.mark.parametrize("name", CASES)
def test_weights_of_zero_move_nothing_for_any_loss(name, dtype):
    case = CASES[name]
    X, y = made(case, 10, 4)
    trainer = gd.Trainer(gd.Model([gd.Linear(4, 4)], dtype=dtype), case.loss, gd.SGD(0.01), batch_size=4)
    trainer.fit(X, y)
    assert_nothing_moves(trainer, X, y)


BAD_TARGETS = {
    "hinge, 0": ("hinge", 1, 0, "hinge expects targets -1 or +1"),
    "hinge, 2": ("hinge", 3, 2, "hinge expects targets -1 or +1"),
    "squared_hinge, 0": ("squared_hinge", 1, 0, "squared_hinge expects targets -1 or +1"),
    "modified_huber, 0": ("modified_huber", 1, 0, "modified_huber expects targets -1 or +1"),
    "perceptron, 0.5": ("perceptron", 1, 0.5, "perceptron expects targets -1 or +1"),
    "log_loss, 2": ("log_loss", 1, 2, "log_loss expects targets in [0, 1]"),
    "log_loss, -0.125": ("log_loss", 3, -0.125, "log_loss expects targets in [0, 1]"),
    "poisson, -1": ("poisson", 1, -1, "poisson expects targets at least 0"),
    "cross_entropy, 1.5": ("cross_entropy", 3, 1.5, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, -1": ("cross_entropy", 3, -1, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, n_classes": ("cross_entropy", 3, 3, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, far off": ("cross_entropy", 3, 1e30, "cross_entropy expects a class, an integer from 0 to 2"),
    "cross_entropy, NaN": ("cross_entropy", 3, np.nan, "expected finite numbers"),
    "cross_entropy, infinity": ("cross_entropy", 3, np.inf, "expected finite numbers"),
    "log_loss, NaN": ("log_loss", 1, np.nan, "expected finite numbers"),
    "hinge, NaN": ("hinge", 1, np.nan, "expected finite numbers"),
    "poisson, infinity": ("poisson", 1, np.inf, "expected finite numbers"),
    "absolute_error, NaN": ("absolute_error", 1, np.nan, "expected finite numbers"),
    "quantile, infinity": ("quantile", 1, np.inf, "expected finite numbers"),
}
BAD_ROW = 137


def rows_with_a_bad_target(case, dtype="float32"):
    name, n_outputs, value, message = BAD_TARGETS[case]
    X, y = made(CASES[name], 200, n_outputs)
    X, y = X.astype(dtype), y.astype(dtype)
    y[BAD_ROW, -1] = value
    model = gd.Model([gd.Linear(n_outputs, n_outputs)], dtype=dtype)
    return model, X, y, re.escape(f"y holds {y[BAD_ROW, -1]} ") + rf".*in row {BAD_ROW}; {re.escape(message)}"


@pytest.mark.parametrize("case", BAD_TARGETS)
@pytest.mark.parametrize("batch_size", [1, 16, None])
@pytest.mark.parametrize("shuffle", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_bad_target(case, batch_size, shuffle, dtype):
    """The error names the row of the data; the model is as the rows before it left it, as if the row were not there."""
    model, X, y, message = rows_with_a_bad_target(case, dtype)
    loss = BAD_TARGETS[case][0]
    twin = gd.Model([gd.Linear(X.shape[1], X.shape[1])], dtype=dtype)
    options = {"loss": loss, "optimizer": gd.SGD(0.01), "batch_size": batch_size, "seed": 2}
    trainer = gd.Trainer(model, shuffle=shuffle, **options)
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, y)
    order = np.random.default_rng([2, 0]).permutation(200) if shuffle else np.arange(200)
    batch_rows = batch_size or 200
    n_good = int(np.flatnonzero(order == BAD_ROW)[0]) // batch_rows * batch_rows
    if n_good:
        gd.Trainer(twin, **options).fit(X[order[:n_good]], y[order[:n_good]])
    # Rows in another order have kernels of their own.
    rounding = 16 * np.finfo(dtype).eps if shuffle else 0
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=0, atol=rounding)
    assert trainer.n_updates == n_good // batch_rows
    assert len(trainer.history) == 0


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_target_elsewhere(case):
    model, X, y, message = rows_with_a_bad_target(case)
    loss = BAD_TARGETS[case][0]
    before = model.parameters.copy()
    for call in (
        lambda: model.loss(X, y, loss),
        lambda: model.loss_and_gradient(X, y, loss),
        lambda: gd.Trainer(model, loss).step(X, y),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_array_equal(model.parameters, before)
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, loss).fit(X[:20], y[:20], validation=(X, y))


@pytest.mark.parametrize("case", ["hinge, 0", "cross_entropy, n_classes", "log_loss, NaN"])
@pytest.mark.parametrize(("seed", "is_held_out"), [(0, True), (2, False)])
def test_bad_target_with_held_out_rows(case, seed, is_held_out):
    """The row is that of the user's data, whichever part it went to."""
    held_out = np.random.default_rng([seed, 0, 1]).permutation(200)[:50]
    assert (BAD_ROW in held_out) == is_held_out
    model, X, y, message = rows_with_a_bad_target(case)
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, BAD_TARGETS[case][0], seed=seed).fit(X, y, validation=0.25)


def test_a_bad_target_counts_whatever_its_weight():
    model, X, y, message = rows_with_a_bad_target("cross_entropy, far off")
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, "cross_entropy").fit(X, y, sample_weight=np.zeros(200))


@pytest.mark.parametrize("source", ["int8", "uint8", "int64", "bool", "float16"])
def test_classes_of_any_dtype(source):
    X, y = made(CASES["cross_entropy"], 30, 2)
    models = [gd.Model([gd.Linear(2, 2)]) for _ in range(2)]
    for model, targets in zip(models, (y, y.ravel().astype(source)), strict=True):
        gd.Trainer(model, "cross_entropy", gd.SGD(0.1), shuffle=True).fit(X, targets)
    np.testing.assert_array_equal(models[0].parameters, models[1].parameters)


COLUMNS = {
    "cross_entropy, one a class": ("cross_entropy", 3, 3, r"y has shape \(6, 3\); expected \(n_samples, 1\) or"),
    "cross_entropy, two of three": ("cross_entropy", 3, 2, r"y has shape \(6, 2\); expected \(n_samples, 1\) or"),
    "hinge, one for three outputs": ("hinge", 3, 1, r"y has shape \(6, 1\); expected \(n_samples, 3\) for"),
    "poisson, two for one output": ("poisson", 1, 2, r"y has shape \(6, 2\); expected \(n_samples, 1\) or"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_wrong_number_of_target_columns(case):
    loss, n_outputs, n_columns, message = COLUMNS[case]
    model = gd.Model([gd.Linear(2, n_outputs)])
    X, y = np.ones((6, 2)), np.ones((6, n_columns))
    trainer = gd.Trainer(model, loss)
    good = np.ones((6, 1 if loss == "cross_entropy" else n_outputs))
    for call in (
        lambda: model.loss(X, y, loss),
        lambda: model.loss_and_gradient(X, y, loss),
        lambda: trainer.step(X, y),
        lambda: trainer.fit(X, y),
        lambda: trainer.fit(X, good, validation=(X, y)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert trainer.n_updates == 0


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
    "own function": (lambda: losses.as_loss(lambda z, y: z - y), ValueError, "expected one of"),
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


SIGNS = ["hinge", "squared_hinge", "modified_huber", "perceptron"]


@pytest.mark.parametrize("loss", ["log_loss", *SIGNS])
@pytest.mark.parametrize("hidden", [0, 16])
def test_classifies(loss, hidden, rng):
    """Two classes that a line parts; with a hidden layer, a ring around a disc."""
    X = rng.standard_normal((3000, 2))
    inside = (X**2).sum(1) < 1.4 if hidden else X @ [2.0, -1.0] + 0.5 > 0
    y = np.where(inside, 1, 0 if loss == "log_loss" else -1)
    layers = [gd.Linear(2, hidden), gd.ReLU(), gd.Linear(hidden, 1)] if hidden else [gd.Linear(2, 1, init="zeros")]
    model = gd.Model(layers)
    before = model.loss(X, y, loss)
    history = gd.Trainer(model, loss, gd.SGD(0.05), batch_size=4, shuffle=True).fit(X, y, epochs=15)
    assert np.mean((model.predict(X).ravel() > 0) == inside) > 0.95
    assert history.loss[-1] < 0.5 * history.loss[0] or history.loss[-1] < 0.1
    assert model.loss(X, y, loss) < before or before == 0


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_classifies_among_many(label_smoothing, rng):
    """Five classes, each around a centre of its own."""
    centres = 4 * rng.standard_normal((5, 6))
    y = rng.integers(0, 5, 2000)
    X = centres[y] + rng.standard_normal((2000, 6))
    model = gd.Model([gd.Linear(6, 5)])
    loss = losses.cross_entropy(label_smoothing)
    before = model.loss(X, y, loss)
    gd.Trainer(model, loss, gd.SGD(0.02), batch_size=8, shuffle=True).fit(X, y, epochs=5)
    assert np.mean(model.predict(X).argmax(1) == y) > 0.95
    assert model.loss(X, y, loss) < 0.2 * before


REGRESSION = {
    "half_squared_error": ("half_squared_error", 0.02),
    "absolute_error": ("absolute_error", 0.02),
    "huber": ("huber", 0.02),
    "quantile": ("quantile", 0.02),
    "epsilon_insensitive": ("epsilon_insensitive", 0.02),
    "squared_epsilon_insensitive": ("squared_epsilon_insensitive", 0.02),
}
TEACHER = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])


@pytest.mark.parametrize("name", REGRESSION)
def test_recovers_planted_weights(name, rng):
    """Symmetric noise: every loss here has the teacher's plane as its minimum."""
    loss, learning_rate = REGRESSION[name]
    X = rng.standard_normal((4000, 3))
    y = X @ TEACHER.T + [1, -1] + 0.1 * rng.standard_normal((4000, 2))
    model = gd.Model([gd.Linear(3, 2, init="zeros")])
    before = model.loss(X, y, loss)
    gd.Trainer(model, loss, gd.SGD(learning_rate), batch_size=16, shuffle=True).fit(X, y, epochs=20)
    # The last step leaves about learning_rate behind, and the noise 0.1 / sqrt(4000).
    np.testing.assert_allclose(model.layers[0].weight, TEACHER, atol=0.03)
    np.testing.assert_allclose(model.layers[0].bias, [1, -1], atol=0.03)
    assert model.loss(X, y, loss) < 0.1 * before


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantile_covers_its_share(level, rng):
    """Noise that grows with the feature: the plane of the quantile is steeper than that of the mean."""
    X = rng.uniform(0, 1, (5000, 1))
    y = X[:, 0] + (1 + X[:, 0]) * rng.standard_normal(5000)
    model = gd.Model([gd.Linear(1, 1, init="zeros")])
    rate = gd.schedules.InverseScaling(0.5, 0.5)
    gd.Trainer(model, losses.quantile(level), gd.SGD(rate), batch_size=16, shuffle=True).fit(X, y, epochs=30)
    covered = y <= model.predict(X).ravel()
    # A share of 5000 rows is off by 0.007 at most twice in a hundred; a step of the last rate moves it by as much.
    assert covered.mean() == pytest.approx(level, abs=0.02)
    for half in (X[:, 0] < 0.5, X[:, 0] >= 0.5):
        assert covered[half].mean() == pytest.approx(level, abs=0.04)


def test_poisson_recovers_log_rates(rng):
    X = rng.uniform(-1, 1, (20_000, 3))
    weight, bias = np.array([0.5, -1.0, 0.25]), 0.75
    y = rng.poisson(np.exp(X @ weight + bias))
    model = gd.Model([gd.Linear(3, 1, init="zeros")])
    history = gd.Trainer(model, "poisson", gd.SGD(0.01), batch_size=16, shuffle=True).fit(X, y, epochs=8)
    # A standard error of a weight is about 0.01 here, and the steps add as much.
    np.testing.assert_allclose(model.parameters, [*weight, bias], atol=0.05)
    assert history.loss[-1] < history.loss[0]


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


def test_classes_for_a_loss_of_numbers_are_told_of_the_right_one():
    with pytest.raises(ValueError, match=r"y has shape \(6, 1\); expected \(n_samples, 3\).*loss='cross_entropy'"):
        gd.Trainer(gd.Model([gd.Linear(2, 3)])).fit(np.ones((6, 2)), [0, 1, 2, 0, 1, 2])
