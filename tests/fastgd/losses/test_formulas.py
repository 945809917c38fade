"""Value and derivative of each loss, against NumPy, differences and stored numbers."""

import numpy as np
import pytest
from cases import STEP, assert_gradient_is_the_difference, rounding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from loss_cases import CASES, evaluate, made, signs

import fastgd as gd
from fastgd import losses


def test_every_loss_has_a_case():
    assert {losses.describe(losses.as_loss(case.loss))["type"] for case in CASES.values()} == set(losses.LOSSES)


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
