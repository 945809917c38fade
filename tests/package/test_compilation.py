"""What is compiled when, and into what."""

import re

import numpy as np
import pytest
from cases import model_of, rows_for
from numba.core import config
from program import program

import fastgd as gd
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.nn.loss import HalfSquaredError
from fastgd.kernels.optim.optimizers import PlainSGD
from fastgd.kernels.tuning import MAX_VECTOR_WIDTH

# Each differs from the others in its loss, optimiser, layers or settings.
TRAININGS = {
    "plain SGD": ([gd.Linear(5, 2)], {}),
    "deep": ([layer for _ in range(4) for layer in (gd.Linear(5, 5), gd.ReLU())], {"batch_size": 4, "shuffle": True}),
    "an update after each row": ([gd.Linear(5, 16), gd.ReLU(), gd.Linear(16, 1)], {}),
    "an update after each row, poisson": ([gd.Linear(5, 9), gd.Tanh(), gd.Linear(9, 2)], {"loss": "poisson"}),
    "momentum": ([gd.Linear(5, 3, bias=False), gd.Tanh(), gd.Linear(3, 2)], {"optimizer": gd.SGD(0.1, momentum=0.5)}),
    "Adam, Huber": (
        [gd.LeakyReLU(), gd.Linear(5, 2), gd.Sigmoid()],
        {"optimizer": gd.Adam(0.1), "loss": gd.losses.huber(1.0), "batch_size": None, "alpha": 0.1, "l1_ratio": 0.5},
    ),
    "NormalizedSGD, hinge": (
        [gd.Linear(5, 2), gd.Dropout(0.5), gd.Linear(2, 1), gd.Identity()],
        {"optimizer": gd.NormalizedSGD(), "loss": "hinge", "clip_norm": 1.0, "shuffle": True},
    ),
    "a schedule, cross-entropy": (
        [gd.Standardize(5), gd.Linear(5, 2)],
        {"optimizer": gd.RMSprop(gd.schedules.InverseScaling(0.1)), "loss": "cross_entropy", "average_from": 2},
    ),
}


def test_one_specialisation_per_dtype_serves_every_network():
    for dtype in ("float32", "float64"):
        X = rows_for(model_of("neuron", dtype), 20)[0]
        weight = np.ones(20)
        for layers, settings in TRAININGS.values():
            trainer = gd.Trainer(gd.Model(layers, dtype=dtype), **settings)
            y = np.ones((20, 1 if "entropy" in str(settings.get("loss")) else trainer.model.out_features))
            trainer.fit(X, y, sample_weight=weight, validation=(X, y))
            trainer.fit(X.copy(), y)
            trainer.fit(np.asfortranarray(X), y)
            trainer.model.predict(X)
            trainer.model.loss_and_gradient(X, y, settings.get("loss", "half_squared_error"), weight)
    for loop in (
        kernels.train_network,
        kernels.train_network_online,
        kernels.evaluate_network,
        kernels.loss_and_gradient,
        kernels.predict_network,
    ):
        assert len(loop.signatures) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "dtype"), [((1, 7, 30), "float32"), ((61, 200, 300), "float64")])
def test_one_specialisation_serves_every_neuron_in_an_order(widths, dtype):
    loops = kernels.train_neuron_online_by_4, kernels.train_neuron_online, kernels.train_neuron_batch
    counts = []
    for n_features, n_samples in zip(widths, (6, 40, 9), strict=True):
        X, y = np.ones((n_samples, n_features), dtype), np.ones(n_samples)
        for batch_size in (1, 3, None):
            for weight in (None, y):
                for shuffle in (False, True):
                    model = gd.Model([gd.Linear(n_features, 1, bias=n_samples > 6)], dtype=dtype)
                    optimizer = gd.SGD(1e-3 if weight is None else gd.schedules.InverseScaling(1e-3))
                    trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle)
                    trainer.fit(X, y, sample_weight=weight)
        counts.append([len(loop.signatures) for loop in loops])
    assert counts[0] == counts[1] == counts[2]


def test_one_specialisation_serves_every_optimiser_and_regularisation_of_a_neuron(dtype):
    X, y = np.ones((9, 3), dtype), np.ones(9)
    counts = set()
    for optimizer in (gd.SGD(1e-3), gd.SGD(1e-3, momentum=0.5), gd.Adam(1e-3), gd.Adagrad(1e-3), gd.RMSprop(1e-3)):
        for settings in ({}, {"alpha": 0.1, "clip_value": 1.0, "max_norm": 2.0}):
            trainer = gd.Trainer(
                gd.Model([gd.Linear(3, 1)], dtype=dtype), optimizer=optimizer, batch_size=4, **settings
            )
            trainer.fit(X, y)
            counts.add(len(kernels.train_neuron_batch.signatures))
    assert len(counts) == 1


def patterns(dtype):
    """How batches of one feature are taken, with what a call that was not finite may leave in the scratch."""
    return {
        "in batches by fours": kernels.By4(np.full(1 + MAX_VECTOR_WIDTH, np.nan, dtype)),
        "in batches row by row": kernels.RowByRow(np.full(1 + MAX_VECTOR_WIDTH, np.nan, dtype)),
        "in batches, converted": kernels.Converted(*np.full((2, 4 * MAX_VECTOR_WIDTH), np.nan, dtype)),
    }


@pytest.mark.parametrize(
    "loop",
    ["online_by_4", "online", *(pytest.param(loop, marks=pytest.mark.slow) for loop in patterns("float32"))],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1])
@pytest.mark.parametrize("n_samples", [4, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_finite_checks_survive_the_fast_arithmetic(loop, value, n_samples, is_weighted, dtype):
    """Flags that let the compiler assume there is no NaN would make these silent; so would a ReLU at minus infinity."""
    X = np.ones((n_samples, 1), dtype)
    X[-1] = value
    y, none = np.zeros((n_samples, 1), dtype), np.empty(0, dtype)
    neuron = kernels.ReLUNeuron(1, X.dtype.type(0))
    loss, regularization, rates = HalfSquaredError(), kernels.NoRegularization(), np.zeros(1)
    weights = kernels.Weighted(read_only(np.ones(n_samples, dtype))) if is_weighted else kernels.Equal()
    rows = kernels.Rows(read_only(X), read_only(y), weights)
    parameters, progress = np.array([-1], dtype), kernels.Progress.zeros()
    if loop.startswith("in batches"):
        pattern = patterns(dtype)[loop]
        states = np.empty((0, 1), dtype)
        own, average = np.empty(0), np.empty(0)
        vectors = kernels.Vectors(parameters, np.zeros(1, dtype), none, states, own, average, none)
        begins = np.array([[0, 1, 1]])
        rule = kernels.update_rule(PlainSGD(), regularization, begins, X.dtype, keeps_gradient=True, has_rows=False)
        progress.begin_epoch(n_samples)
        settings = neuron, vectors, loss, rule, rates
        kernels.train_neuron_batch(pattern, *settings, rows, 2, 4, progress, kernels.WITHIN_EPOCH)
    else:
        kernel = getattr(kernels, f"train_neuron_{loop}")
        weight = np.full(1 + MAX_VECTOR_WIDTH, np.nan, dtype)
        kernel(neuron, parameters, weight, loss, regularization, rates, rows, progress)
    assert np.isfinite(progress.loss_sum[0]) == np.isfinite(value)


SINGLE = """
import numpy as np
from fastgd import kernels
from fastgd.kernels.codegen.function_pointer import settings_vector
from fastgd.kernels.optim.optimizers import Adam, PlainSGD
f, g, h = np.ones(64, np.float32), np.ones(64, np.float32), np.ones((8, 8), np.float32)
mask, panel = np.ones(64, np.bool_), kernels.products(np.float32, 8, 8).panel
vectors = kernels.Vectors(f, g, f, np.zeros((2, 64), np.float32), np.empty(0), np.empty(0), f)
adam, nothing = Adam(0.9, 0.999, 1e-8, 0.0, False), PlainSGD()
CALLS = {
    kernels.gemm: (h, h, np.ones((8, 8), np.float32), f[:8], False, panel, kernels.ALONE, 0),
    kernels.gemv: (f, 8, f[:8], f[:1], f.copy().reshape(64, 1)[:8], True),
    kernels.gemm_nt_small: (f, 8, f, f[:8], h, False),
    kernels.gemm_small: (f, (8, 1), f, 8, True, h),
    kernels.ger: (f[:8], f[:8], True, h),
    kernels.transpose: (f, 8, 8, np.ones((16, 16), np.float32), True, g[:8], (0, 8), kernels.ALONE, panel),
    kernels.relu_forward: (g, 0, (0, 0, 0, 0), mask),
    kernels.relu_backward: (f, mask, 0, g),
    kernels.OPTIMIZERS[PlainSGD].update: (vectors, settings_vector(nothing), 0.1, 1, (0, 64)),
    kernels.OPTIMIZERS[Adam].update: (vectors, settings_vector(adam), 0.1, 1, (0, 64)),
}
for kernel, arguments in CALLS.items():
    kernel(*arguments)
    dispatcher = kernel._dispatcher
    print("KERNEL", kernel.py_func.__name__, dispatcher.inspect_llvm(dispatcher.signatures[0]))
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(config.BOUNDSCHECK), reason="no vectors are made where every index is checked")
def test_float32_loops_stay_float32(tmp_path):
    """float32 × int64 is float64 in Numba: a stray integer would halve the speed of a float32 loop."""
    output = program(code=SINGLE, NUMBA_CACHE_DIR=str(tmp_path)).stdout
    codes = output.split("KERNEL")[1:]
    assert len(codes) == 10
    for code in codes:
        assert re.search(r"<\d+ x float>", code), code.split()[0]
        assert not re.search(r"<\d+ x double>", code), code.split()[0]


LOOPS = """
import re
import numpy as np
import fastgd as gd
from fastgd import kernels
rows = {"float32": (8, 4), "uint8": (8, 4), "wide": (200, 4), "online": (8, 1), "online, wide": (200, 1)}
for name, (n_features, batch_size) in rows.items():
    X = np.ones((16, n_features), "uint8" if name == "uint8" else "float32")
    model = gd.Model([gd.Linear(n_features, 1), gd.ReLU()], dtype="float32")
    gd.Trainer(model, batch_size=batch_size).fit(X, np.ones(16))
for loop in (kernels.train_neuron_batch, kernels.train_neuron_online_by_4, kernels.train_neuron_online):
    own = loop.py_func.__name__
    for code in loop.inspect_asm().values():
        print("LOOP", own, *{name for name in re.findall(r"_ZN6fastgd\\w+", code) if own not in name})
"""


@pytest.mark.slow
def test_the_loops_of_a_neuron_call_no_other_function(tmp_path):
    """A call for each batch, with forty arguments, made small batches of narrow rows an eighth slower."""
    output = program(code=LOOPS, NUMBA_CACHE_DIR=str(tmp_path)).stdout
    loops = output.split("LOOP")[1:]
    assert len(loops) == 5
    assert all(len(loop.split()) == 1 for loop in loops), output
