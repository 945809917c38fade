"""The optimisers against their formulas in plain Python, against PyTorch, and on an ill-conditioned problem."""

import math

import numpy as np
import pytest
from cases import model_of
from optimizer_cases import OPTIMIZERS
from optimizer_formulas import assert_same_path, rows_to_learn, train_by_formulas

import fastgd as gd


@pytest.mark.parametrize("layers", ["hidden layer", "linear neuron", "loaded"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps_are_the_formula(name, layers, dtype):
    model = model_of("hidden layer" if layers == "loaded" else layers, dtype)
    if layers == "loaded":
        model.parameters *= 1.5
    X, y, sample_weight = rows_to_learn(model, 200, OPTIMIZERS[name])
    batches = [(X[i : i + 4], y[i : i + 4], sample_weight[i : i + 4]) for i in range(0, 200, 4)]
    lists = [tuple(array.tolist() for array in batch) for batch in batches]
    state = {}
    expected = train_by_formulas(model, OPTIMIZERS[name], lists, state)
    trainer = gd.Trainer(model, optimizer=OPTIMIZERS[name])
    actual = []
    for batch in batches:
        trainer.step(*batch)
        actual.append(model.parameters.copy())
    assert_same_path(actual, expected, dtype)
    assert trainer.n_updates == 49
    for letter in {key[0] for key in state if isinstance(key, tuple)}:
        expected = [state.get((letter, i), 0) for i in range(model.parameters.size)]
        known = trainer.optimizer_state
        assert_same_path(known[letter] if letter in known else known[f"sqrt_{letter}"] ** 2, expected, dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_epochs_are_the_formula(name, batch_size):
    """Ten epochs, so that the first fifty updates are in them; the last batch is a small one."""
    model = model_of("hidden layer")
    X, y, _ = rows_to_learn(model, 23, OPTIMIZERS[name])
    starts = range(0, 23, batch_size)
    batches = [(X[i : i + batch_size].tolist(), y[i : i + batch_size].tolist()) for i in starts]
    path = train_by_formulas(model, OPTIMIZERS[name], 10 * [(*batch, [1] * len(batch[0])) for batch in batches])
    trainer = gd.Trainer(model, optimizer=OPTIMIZERS[name], batch_size=batch_size)
    actual = []
    trainer.fit(X, y, epochs=10, callbacks=[lambda *_: actual.append(model.parameters.copy())])
    assert_same_path(actual, path[len(starts) - 1 :: len(starts)], "float64")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_neuron_is_the_formula(name, dtype):
    model = model_of("neuron", dtype)
    X, y, sample_weight = rows_to_learn(model, 50, OPTIMIZERS[name])
    lists = [([X[i].tolist()], [y[i].tolist()], [float(sample_weight[i])]) for i in range(50)]
    path = train_by_formulas(model, OPTIMIZERS[name], lists)
    gd.Trainer(model, optimizer=OPTIMIZERS[name]).fit(X, y, sample_weight=sample_weight)
    assert_same_path(model.parameters, path[-1], dtype)


TORCH_X = [[1, -0.5, 2], [0.25, 1.5, -1], [-2, 0.75, 0.5], [1.25, -1, -0.25], [0.5, 2, 1], [-0.75, -1.5, 1.75]]
TORCH_Y = [1, -2, 0.5, 1.5, -1, 2]
TORCH = [
    (gd.SGD(0.1), [0.007855263797517232, -0.7691198453765655, 0.40338874956334947, 0.1765396171772723]),
    (
        gd.SGD(0.1, momentum=0.9),
        [-0.4815451778717503, -0.984437069115048, 0.19205004537017728, 0.29731542548571194],
    ),
    (
        gd.SGD(0.1, momentum=0.9, dampening=0.5),
        [-0.4417449751132972, -1.1696370021760127, 0.4843402491550545, 0.24300068785571388],
    ),
    (
        gd.SGD(0.1, weight_decay=0.3),
        [-0.010547947391333213, -0.6868233704432739, 0.36552437291919126, 0.15525002860435955],
    ),
    (
        gd.SGD(0.1, dampening=0.5, weight_decay=0.3),
        [-0.010547947391333213, -0.6868233704432739, 0.36552437291919126, 0.15525002860435955],
    ),
    (
        gd.SGD(0.05, momentum=0.8, nesterov=True),
        [-0.20447588178312479, -0.9524236713564664, 0.42989181551475264, 0.21492814750740458],
    ),
    (
        gd.SGD(0.1, momentum=0.7, dampening=0.25, weight_decay=0.2),
        [-0.21603486753446632, -0.8365025974697249, 0.3555510224164092, 0.19423966396714282],
    ),
    (
        gd.SGD(0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
        [-0.333213695592865, -0.9935660637143972, 0.4082059650415003, 0.22529091364085618],
    ),
    (gd.Adam(), [0.3900058991150155, -0.30999396247892447, 0.20998446941312723, 0.10996610618057272]),
    (
        gd.Adam(0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        [-0.26505237219777433, -0.8829984143844897, 0.32438073841781007, 0.22272914829243753],
    ),
    (gd.AdamW(), [0.38996637828131264, -0.30996353551820527, 0.20996404968585378, 0.10995570699635325]),
    (
        gd.AdamW(0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        [-0.26781496420671663, -0.9159149668519699, 0.38737155829734576, 0.18281786667397693],
    ),
    (gd.Adagrad(), [0.35069030777827254, -0.3492869029458522, 0.24782138956079572, 0.14473994716703284]),
    (
        gd.Adagrad(0.5, lr_decay=0.1, weight_decay=0.2, initial_accumulator_value=0.3, eps=1e-3),
        [-0.13353527976781648, -0.7986435184811274, 0.3217333465328524, 0.2390033991659156],
    ),
    (gd.RMSprop(), [0.006743149067990943, -0.689861001613624, 0.4287509257098615, 0.18422590663824878]),
    (
        gd.RMSprop(0.05, alpha=0.9, eps=1e-3, weight_decay=0.2),
        [-0.10638044490035461, -0.770731536569023, 0.34145333693332697, 0.22149152837739172],
    ),
    (
        gd.RMSprop(0.05, alpha=0.9, momentum=0.5),
        [-0.16817195787371841, -0.9200918673436416, 0.25917322987240166, 0.36002491030392664],
    ),
    (
        gd.RMSprop(0.05, alpha=0.9, centered=True),
        [-0.14564296862802945, -0.8622237723950618, 0.3438227521946869, 0.2810110089846659],
    ),
    (
        gd.RMSprop(0.02, alpha=0.8, eps=1e-3, weight_decay=0.2, momentum=0.5, centered=True),
        [-0.10275146343016679, -0.7570130885885971, 0.38327250929967455, 0.19275986373328707],
    ),
]


@pytest.mark.parametrize(("optimizer", "expected"), TORCH, ids=[repr(optimizer) for optimizer, _ in TORCH])
def test_ten_steps_of_pytorch(optimizer, expected):
    """PyTorch 2.13.0 on a CPU, float64: the optimiser of the same name and arguments (lr for learning_rate) on the
    half squared error of a torch.nn.functional.linear, mean over the six rows, all rows at each step; its weight and
    bias after ten steps. SGD warns of nothing and ignores the dampening where there is no momentum."""
    model = gd.Model([gd.Linear(3, 1, bias=[0.1], init=[[0.4, -0.3, 0.2]])], dtype="float64")
    gd.Trainer(model, optimizer=optimizer, batch_size=None).fit(TORCH_X, TORCH_Y, epochs=10)
    np.testing.assert_allclose(model.parameters, expected, rtol=1e-10)


CONVERGING = {
    "SGD": (gd.SGD(1.0), None, 8000),
    "SGD momentum": (gd.SGD(1.0, momentum=0.9), None, 1000),
    "SGD nesterov": (gd.SGD(0.5, momentum=0.95, nesterov=True), None, 1000),
    "Adam": (gd.Adam(0.05), None, 2000),
    "AdamW": (gd.AdamW(0.05, weight_decay=1e-7), None, 2000),
    "Adagrad": (gd.Adagrad(1.0), None, 2000),
    "RMSprop": (gd.RMSprop(gd.schedules.Exponential(0.05, gamma=0.998)), None, 4000),
    "NormalizedSGD": (gd.NormalizedSGD(), 1, 20),
}


@pytest.mark.parametrize("name", CONVERGING)
def test_converges_on_an_ill_conditioned_quadratic(name, rng):
    """Least squares whose curvatures span three powers of ten, and a minimum of zero."""
    orthogonal = np.linalg.qr(rng.standard_normal((200, 4)))[0] * math.sqrt(200)
    X = orthogonal * np.sqrt([1, 0.1, 0.01, 0.001])
    assert np.linalg.cond(X.T @ X) == pytest.approx(1000)
    y = X @ [1, -2, 5, 10]
    model = gd.Model([gd.Linear(4, 1, bias=False, init="zeros")], dtype="float64")
    start = model.loss(X, y)
    optimizer, batch_size, epochs = CONVERGING[name]
    gd.Trainer(model, optimizer=optimizer, batch_size=batch_size).fit(X, y, epochs=epochs)
    assert model.loss(X, y) < 1e-6 * start
    np.testing.assert_allclose(model.layers[0].weight, [[1, -2, 5, 10]], rtol=0.03)
