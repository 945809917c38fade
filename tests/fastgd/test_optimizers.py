"""The optimisers against their formulas in plain Python, against PyTorch's numbers, and in use."""

import math
import pickle
import re

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd._engine import slices as engine
from fastgd.data import reader as dataset
from fastgd.kernels.codegen.alignment import aligned_zeros
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline

OPTIMIZERS = {
    "SGD": gd.SGD(0.05),
    "SGD momentum": gd.SGD(0.05, momentum=0.9),
    "SGD dampening": gd.SGD(0.02, momentum=0.9, dampening=0.4),
    "SGD weight_decay": gd.SGD(0.05, weight_decay=0.2),
    "SGD nesterov": gd.SGD(0.02, momentum=0.8, nesterov=True),
    "SGD momentum, dampening, weight_decay": gd.SGD(0.05, momentum=0.7, dampening=0.25, weight_decay=0.2),
    "SGD nesterov, weight_decay": gd.SGD(0.02, momentum=0.8, weight_decay=0.1, nesterov=True),
    "SGD dampening without momentum": gd.SGD(0.05, dampening=0.5, weight_decay=0.2),
    "Adam": gd.Adam(),
    "Adam with all": gd.Adam(0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "AdamW": gd.AdamW(),
    "AdamW with all": gd.AdamW(0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "Adagrad": gd.Adagrad(),
    "Adagrad lr_decay": gd.Adagrad(0.1, lr_decay=0.2),
    "Adagrad with all": gd.Adagrad(0.1, lr_decay=0.1, weight_decay=0.2, initial_accumulator_value=0.3, eps=1e-3),
    "RMSprop": gd.RMSprop(),
    "RMSprop momentum": gd.RMSprop(0.005, alpha=0.9, momentum=0.5),
    "RMSprop centered": gd.RMSprop(0.005, alpha=0.9, centered=True),
    "RMSprop with all": gd.RMSprop(0.005, alpha=0.8, eps=1e-3, weight_decay=0.2, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD(),
    "NormalizedSGD 0.1": gd.NormalizedSGD(0.1),
}
# One of each kind, for the tests of what surrounds them.
EACH = {
    "SGD": gd.SGD,
    "SGD momentum": lambda rate: gd.SGD(rate, momentum=0.9),
    "Adam": gd.Adam,
    "AdamW": gd.AdamW,
    "Adagrad": gd.Adagrad,
    "RMSprop": lambda rate: gd.RMSprop(rate, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD,
}


def sgd(o, w, g, state, t):
    for i in range(len(w)):
        change = g[i] + o.weight_decay * w[i]
        if o.momentum != 0:
            state["m", i] = change if t == 1 else o.momentum * state["m", i] + (1 - o.dampening) * change
            change = change + o.momentum * state["m", i] if o.nesterov else state["m", i]
        w[i] -= o.learning_rate * change


def adam(o, w, g, state, t):
    beta1, beta2 = o.betas
    for i in range(len(w)):
        g_i = g[i]
        if isinstance(o, gd.AdamW):
            w[i] -= o.learning_rate * o.weight_decay * w[i]
        else:
            g_i += o.weight_decay * w[i]
        state["m", i] = beta1 * state.get(("m", i), 0) + (1 - beta1) * g_i
        state["v", i] = beta2 * state.get(("v", i), 0) + (1 - beta2) * g_i**2
        m_hat, v_hat = state["m", i] / (1 - beta1**t), state["v", i] / (1 - beta2**t)
        w[i] -= o.learning_rate * m_hat / (math.sqrt(v_hat) + o.eps)


def adagrad(o, w, g, state, t):
    for i in range(len(w)):
        g_i = g[i] + o.weight_decay * w[i]
        state["G", i] = state.get(("G", i), o.initial_accumulator_value) + g_i**2
        w[i] -= o.learning_rate / (1 + (t - 1) * o.lr_decay) * g_i / (math.sqrt(state["G", i]) + o.eps)


def rmsprop(o, w, g, state, t):
    for i in range(len(w)):
        g_i = g[i] + o.weight_decay * w[i]
        state["v", i] = o.alpha * state.get(("v", i), 0) + (1 - o.alpha) * g_i**2
        spread = state["v", i]
        if o.centered:
            state["a", i] = o.alpha * state.get(("a", i), 0) + (1 - o.alpha) * g_i
            spread -= state["a", i] ** 2
        change = g_i / (math.sqrt(spread) + o.eps)
        if o.momentum > 0:
            change += o.momentum * state.get(("m", i), 0)
            state["m", i] = change
        w[i] -= o.learning_rate * change


def normalized_sgd(o, w, g, state, t):
    """Step 2 d of algorithm 2 of Ross, Mineiro and Langford for features less their means, where the first layer has a
    bias; all other parameters have no N, and √n_in of their layer for s."""
    first = state["layers"][0]
    means = [state["m", j] for j in range(first.in_features)]
    g = list(g)

    def beyond_rounding(value, size):
        return math.copysign(max(abs(value) - state["eps"] * size, 0), value)

    for place in range(first.out_features * first.in_features):
        unit, j = divmod(place, first.in_features)
        if first.has_bias:
            g[place] -= means[j] * g[first.out_features * first.in_features + unit]
        longest = abs(means[j]) + state.get(("s", j), 0)
        g[place] = beyond_rounding(g[place], 8 * state["derivatives"][0][unit] * longest)
    end = 0
    for layer, derivatives in zip(state["layers"], state["derivatives"], strict=True):
        end += layer.n_parameters
        if layer.has_bias:
            for place, size in zip(range(end - layer.out_features, end), derivatives, strict=True):
                g[place] = beyond_rounding(g[place], 64 * size)
    for i in range(len(w)):
        state["G", i] = state.get(("G", i), 0) + g[i] ** 2
        if state["G", i] == 0:
            continue
        n_rows, n_in = len(state["rows"]), first.in_features
        is_first = i < first.out_features * n_in
        warm_up = (10 * n_in if is_first else 1) if state["is linear"] else 200 * n_in
        change = 10 * o.learning_rate * min(1, n_rows / warm_up) * min(1, t / 10) * g[i]
        change *= math.sqrt(n_in / (n_in + math.sqrt(n_rows * min(n_rows, t * n_in / 4))))
        change /= math.sqrt(state["G", i])
        if i < first.out_features * first.in_features:
            unit, j = divmod(i, first.in_features)
            if state["s", j] == 0:
                continue
            change *= math.sqrt(state["n"] / state["N"]) / state["s", j]
            if first.has_bias:
                w[first.out_features * first.in_features + unit] += means[j] * change
        else:
            change /= state["s", i]
        w[i] -= change


def normalize(w, state, X, V):
    """Steps 2 a and 2 c of the same, for the rows of a batch.

    What is added to the weights u from before the first one, in features of scale 1 and mean 0, (w_i - u_i) s_i and
    b + Σ (w_i - u_i) m_i, is the same before and after; weights as they were drawn are added to u = 0.
    """
    first, *later = state["layers"]
    units, features = range(first.out_features), range(first.in_features)
    biases = first.out_features * first.in_features
    scales = [math.sqrt(first.in_features)] * first.out_features * first.has_bias
    for layer in later:
        scales += [math.sqrt(layer.in_features)] * layer.n_parameters
    state.update((("s", biases + k), scale) for k, scale in enumerate(scales))
    state.setdefault("rows", [])
    start = state.setdefault("start", [0] * biases if state["is drawn"] else w[:biases])

    def mean(j):
        return math.fsum(v * x[j] for x, v in state["rows"]) / math.fsum(v for _, v in state["rows"])

    def scale(j):
        of_drawn = abs(state.get(("m", j), 0)) or 1
        return state.get(("s", j), 0) or (of_drawn if state["is drawn"] else None)

    def added(unit, j):
        return w[unit * len(features) + j] - start[unit * len(features) + j]

    before = [scale(j) for j in features]
    if first.has_bias:
        for unit in units:
            w[biases + unit] += sum(added(unit, j) * state.get(("m", j), 0) for j in features)
    for x, v in zip(X, V, strict=True):
        if v == 0:
            continue
        state["rows"].append((x, v))
        state["n"] = state.get("n", 0) + v
        for j in features:
            mean_before = state.get(("m", j), x[j] if first.has_bias else 0)
            state["m", j] = mean(j) if first.has_bias else 0
            state["s", j] = max(state.get(("s", j), 0), abs(x[j] - mean_before))
            if state["s", j] > 0:
                square = (x[j] - mean_before) * (x[j] - state["m", j]) / state["s", j] ** 2
                state["N"] = state.get("N", 0) + v * square
    for unit in units:
        for j in features:
            # Before a feature has changed, nothing is learnt.
            kept = before[j] / scale(j) if before[j] else 1
            w[unit * len(features) + j] = start[unit * len(features) + j] + added(unit, j) * kept
        if first.has_bias:
            parts = [added(unit, j) * state.get(("m", j), 0) for j in features]
            w[biases + unit] -= sum(parts)
            if len(state["rows"]) == 1:
                w[biases + unit] += 8 * state["eps"] * sum(map(abs, parts))


FORMULAS = {
    gd.SGD: sgd,
    gd.Adam: adam,
    gd.AdamW: adam,
    gd.Adagrad: adagrad,
    gd.RMSprop: rmsprop,
    gd.NormalizedSGD: normalized_sgd,
}


def write_into(layers, w):
    rest = iter(w)
    for layer in layers:
        if isinstance(layer, reference.Linear):
            layer.weight = [[next(rest) for _ in row] for row in layer.weight]
            layer.bias = [next(rest) for _ in layer.bias]
            layer.clear()


def absolute_derivatives(layers, X, y, V):
    """Σ |δ| of each unit of each Linear with a bias, in the mean of the batch."""
    linears = [layer for layer in layers if isinstance(layer, reference.Linear)]
    sums = [[0] * len(layer.bias) for layer in linears]
    for row in zip(X, y, V, strict=True):
        for layer in linears:
            layer.clear()
        reference.loss_and_gradient(layers, *([part] for part in row))
        for total, layer in zip(sums, linears, strict=True):
            total[:] = [a + abs(b) / len(X) for a, b in zip(total, layer.d_bias, strict=True)]
    for layer in linears:
        layer.clear()
    return sums


def gradient_of(layers):
    rows = [[*layer.d_weight, layer.d_bias] for layer in layers if isinstance(layer, reference.Linear)]
    return [value for layer in rows for row in layer for value in row]


def train_by_formulas(model, optimizer, batches, state=None):
    """The parameters after each batch, as lists; a batch of weight zero changes nothing. `state` is filled."""
    layers, w = baseline.as_reference(model), model.parameters.tolist()
    state = {} if state is None else state
    state["layers"] = [layer for layer in model.layers if isinstance(layer, gd.Linear)]
    state |= {"is linear": len(model.layers) == 1, "is drawn": model.starts_as_drawn}
    state["eps"] = float(np.finfo(model.dtype).eps)
    t, path = 0, []
    for X, y, V in batches:
        if isinstance(optimizer, gd.NormalizedSGD):
            normalize(w, state, X, V)
        write_into(layers, w)
        if isinstance(optimizer, gd.NormalizedSGD):
            state["derivatives"] = absolute_derivatives(layers, X, y, V)
        reference.loss_and_gradient(layers, X, y, V)
        if any(V):
            t += 1
            FORMULAS[type(optimizer)](optimizer, w, gradient_of(layers), state, t)
        path.append(list(w))
    return path


def rows_to_learn(model, n_samples, optimizer):
    """One feature is zero in the first rows, and some rows weigh nothing; for NormalizedSGD scales differ widely."""
    X, y, sample_weight = rows_for(model, n_samples)
    if isinstance(optimizer, gd.NormalizedSGD):
        X *= np.array([0.001, 1, 30, 1000, 1], X.dtype)
    X[:9, 1] = 0
    sample_weight[[2, 5, *range(12, 16)]] = 0
    return X, y, sample_weight


# What 50 updates leave of rounding errors of a few eps each, where no element of the state is close to zero.
TOLERANCE = {"float32": 2e-3, "float64": 1e-10}


def assert_same_path(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


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


def test_state_is_a_view_for_reading_of_the_optimizer_that_is_assigned():
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.Adagrad(initial_accumulator_value=2))
    np.testing.assert_array_equal(trainer.optimizer_state["G"], np.full(model.parameters.size, 2.0))
    trainer.fit(X, y)
    total = trainer.optimizer_state["G"]
    before = total.copy()
    trainer.fit(X, y)
    assert total.dtype == model.dtype
    assert (total > before).any()
    with pytest.raises(ValueError, match="read-only"):
        total[0] = 1
    trainer.optimizer = gd.Adam()
    assert list(trainer.optimizer_state) == ["m", "v"]
    assert not trainer.optimizer_state["v"].any()
    trainer.optimizer = gd.SGD()
    assert trainer.optimizer_state == {}


@pytest.mark.parametrize("optimizer", [gd.SGD(), *OPTIMIZERS.values()], ids=repr)
def test_every_vector_of_state_has_a_name(optimizer):
    trainer = gd.Trainer(model_of("neuron"), optimizer=optimizer)
    # What the first one has lost in rounding; the weights that NormalizedSGD began with, and its 1 / s.
    n_hidden = {gd.Adagrad: 1, gd.NormalizedSGD: 3}.get(type(optimizer), 0)
    assert len(trainer.optimizer_state) == optimizer.n_states - n_hidden


def test_a_sum_of_squares_goes_on_growing():
    """A float32 alone stays at 2^24 where ones are added."""
    model = gd.Model([gd.Linear(1, 1, bias=False, init="zeros")], dtype="float32")
    trainer = gd.Trainer(model, "absolute_error", gd.Adagrad(1e-30, initial_accumulator_value=2.0**24))
    n_rows = 1 << 12
    trainer.fit(np.ones((n_rows, 1), np.float32), np.ones(n_rows))
    assert trainer.optimizer_state["G"][0] == 2.0**24 + n_rows


def constant_gradients(n_rows, scale=1.0, dtype="float32"):
    """Rows x = ± scale and a model without biases, whose gradient is x at any weights near zero."""
    X = np.full((n_rows, 1), scale, dtype)
    X[1::2] *= -1
    return gd.Model([gd.Linear(1, 1, bias=False, init="zeros")], dtype=dtype), X, -np.sign(X[:, 0])


@pytest.mark.parametrize("scale", [2.0**-80, 1, 2.0**70])
def test_the_root_of_a_sum_of_squares_goes_on_growing(scale):
    """√G of so many gradients of one size grows by less than half of its last digit."""
    model, X, y = constant_gradients(1 << 12, scale)
    trainer = gd.Trainer(model, "hinge", gd.NormalizedSGD(0.0))
    trainer.step(X[:1], y[:1])
    trainer._run.engine._vectors.state[0, 0] = scale * 2.0**13
    trainer.fit(X, y)
    expected = math.sqrt(2.0**26 + len(X))
    assert trainer.optimizer_state["sqrt_G"][0] / scale == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize("copied", ["as it is", "pickled", "saved"])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_means_of_normalized_sgd_go_on_moving(batch_size, copied, tmp_path):
    """Of float32 rows, too, and after so many that one of them moves the mean by less than half of its last digit."""
    model = gd.Model([gd.Linear(1, 1)], dtype="float32")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0), batch_size=batch_size)
    trainer.step([[100.0]], [0.0], sample_weight=[1e6])
    for _ in range(2):
        if copied == "pickled":
            trainer = pickle.loads(pickle.dumps(trainer))
        elif copied == "saved":
            trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(np.full((1 << 12, 1), 100.25, np.float32), np.zeros(1 << 12))
    share = 2 * 2.0**12 / (1e6 + 2 * 2.0**12)
    assert trainer.optimizer_state["m"][0] == pytest.approx(100 + share / 4, rel=1e-7)


@pytest.mark.parametrize("n_more", [2, 3000])
@pytest.mark.parametrize("name", ["linear neuron", "hidden layer"])
def test_rows_of_no_weight_are_not_there_in_a_full_batch_of_normalized_sgd(name, n_more):
    """However many micro-batches they fill."""
    model, twin = model_of(name), model_of(name)
    X, y, _ = rows_for(model, 50)
    sample_weight = np.append(np.ones(50), np.zeros(n_more))
    gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=None).fit(X, y, epochs=20)
    trainer = gd.Trainer(twin, optimizer=gd.NormalizedSGD(), batch_size=None)
    rows = np.arange(50 + n_more) % 50
    trainer.fit(X[rows], y[rows], epochs=20, sample_weight=sample_weight)
    np.testing.assert_allclose(twin.parameters, model.parameters, rtol=1e-9)


@pytest.mark.parametrize("order", ["sorted", "random"])
@pytest.mark.parametrize("offset", [0, 10])
@pytest.mark.parametrize("n_rows", [30, 1000, 30_000])
@pytest.mark.parametrize("loss", ["hinge", "log_loss", "half_squared_error"])
def test_rounding_is_no_gradient_for_normalized_sgd(loss, n_rows, offset, order, dtype, rng):
    """Of two classes with the same rows there is nothing to learn, and in neither's favour."""
    X = rng.standard_normal((n_rows // 2, 3)) + offset
    X, y = np.vstack([X, X]), np.repeat([1, 0 if loss == "log_loss" else -1], n_rows // 2)
    if order == "random":
        rows = rng.permutation(n_rows)
        X, y = X[rows], y[rows]
    model = gd.Model([gd.Linear(3, 1, init="zeros")], dtype=dtype)
    gd.Trainer(model, loss=loss, optimizer=gd.NormalizedSGD(), batch_size=None).fit(X, y, epochs=5)
    np.testing.assert_array_equal(model.parameters, 0)


def test_rounding_is_no_gradient_for_a_last_layers_biases(dtype, rng):
    """That begin at the best constants, under weights of zero."""
    counts = np.array([50, 947, 3])
    labels, shares = np.repeat(np.arange(3), counts), counts / 1000
    layers = [gd.Linear(4, 8), gd.ReLU(), gd.Linear(8, 3, init="zeros", bias=np.log(shares))]
    model = gd.Model(layers, dtype=dtype)
    before = model.layers[2].bias.copy()
    trainer = gd.Trainer(model, loss="cross_entropy", optimizer=gd.NormalizedSGD(), batch_size=None)
    trainer.fit(rng.standard_normal((1000, 4)), labels)
    np.testing.assert_array_equal(model.layers[2].bias, before)
    assert model.layers[2].weight.any()


@pytest.mark.parametrize("activation", [gd.ReLU(), gd.LeakyReLU()], ids=repr)
def test_rounding_chooses_no_side_of_a_kink_for_normalized_sgd(activation, dtype):
    """The first row is its own mean, so that the units' outputs are their biases: zero, where the slope is one."""
    for seed in range(20):
        model = gd.Model([gd.Linear(30, 16), activation, gd.Linear(16, 1, bias=[-1])], dtype=dtype, seed=seed)
        X = np.random.default_rng(seed).standard_normal((1, 30)) + 1
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0), batch_size=1)
        trainer.step(X, [[0]])
        root = trainer.optimizer_state["sqrt_G"][30 * 16 : 31 * 16]
        np.testing.assert_allclose(root, np.abs(model.layers[2].weight[0]), rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-24, 1e-36, 1e30])
def test_a_gradient_of_zero_leaves_normalized_sgd_its_root(scale):
    """Where the square of √G is no number."""
    model, X, y = constant_gradients(8, scale)
    trainer = gd.Trainer(model, "hinge", gd.NormalizedSGD(0.0))
    trainer.step(X, y)
    before = trainer.optimizer_state["sqrt_G"].copy()
    assert before[0] > 0
    # A large margin.
    model.layers[0].weight = [[-3 / X[0, 0]]]
    trainer.step(X, y)
    np.testing.assert_array_equal(trainer.optimizer_state["sqrt_G"], before)


@pytest.mark.parametrize("kind", [gd.Adam, gd.AdamW, gd.Adagrad, gd.RMSprop], ids=lambda kind: kind.__name__)
def test_an_eps_of_zero_is_refused(kind):
    """A gradient of zero would be divided by it."""
    with pytest.raises(ValueError, match="eps is 0; expected more than 0"):
        kind(eps=0)
    with pytest.raises(ValueError, match=r"eps is 1e-46, which is 0 in float32; expected at least 1\.4e-45"):
        gd.Trainer(model_of("neuron", "float32"), optimizer=kind(eps=1e-46))
    for dtype, eps in (("float64", 1e-46), ("float32", 1e-44)):
        model = gd.Model([gd.Linear(2, 1, init="zeros")], dtype=dtype)
        gd.Trainer(model, optimizer=kind(eps=eps)).fit(np.ones((5, 2)), np.zeros(5))
        np.testing.assert_array_equal(model.parameters, 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_begin_with_a_line_of_the_cache_and_end_with_the_parameters(optimizer, dtype, monkeypatch):
    def zeros_before_ones(size, dtype):
        array = aligned_zeros(size + 128, dtype)
        array[size:] = 1
        return array[:size]

    # What is read beyond a vector's end leaves its trace in the state.
    monkeypatch.setattr("fastgd._engine.slices.aligned_zeros", zeros_before_ones)
    model = model_of("hidden layer", dtype)
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=optimizer, alpha=1e-3, l1_ratio=0.5, average_from=1)
    trainer.step(X[:1], y[:1])
    vectors = trainer._run.engine._vectors
    beyond = vectors.state[:, model.parameters.size :]
    before = beyond.copy()
    trainer.fit(X, y, epochs=3)
    np.testing.assert_array_equal(beyond, before)
    flat = vectors.parameters, vectors.gradient, vectors.average, vectors.orthant, *vectors.state
    assert [vector.ctypes.data % 64 for vector in flat] == [0] * len(flat)
    assert all(len(state) == model.parameters.size for state in trainer.optimizer_state.values())


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


SCHEDULE = gd.schedules.LinearWarmup(gd.schedules.InverseScaling(0.02), n_updates=7)
AROUND = {
    "alone": {},
    "regularised": {"alpha": 0.01, "l1_ratio": 0.3, "clip_norm": 1.0, "clip_value": 0.5, "average_from": 4},
}
DROPPING = [gd.Linear(5, 7), gd.ReLU(), gd.Dropout(0.3), gd.Linear(7, 2)]


def assert_same_run(trainer, whole):
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.history.loss == whole.history.loss
    assert trainer.n_updates == whole.n_updates
    assert trainer.learning_rate == whole.learning_rate
    assert trainer.optimizer == whole.optimizer
    if trainer.average_from is not None:
        np.testing.assert_array_equal(trainer.averaged_model().parameters, whole.averaged_model().parameters)


def reloaded(trainer, path):
    trainer.save(path)
    return gd.Trainer.load(path)


RATES = {"constant": 0.02, "schedule": SCHEDULE, "auto": "auto"}
RUNS = [(name, rate) for name in EACH for rate in RATES]


@pytest.mark.parametrize(("name", "rate"), RUNS)
@pytest.mark.parametrize("around", AROUND)
def test_goes_on_with_the_same_bits(name, rate, around, tmp_path):
    def start():
        model = gd.Model(DROPPING if around == "regularised" else model_of("hidden layer").layers, seed=2)
        return gd.Trainer(
            model, optimizer=EACH[name](RATES[rate]), batch_size=4, shuffle=True, seed=3, **AROUND[around]
        )

    X, y, sample_weight = rows_for(model_of("hidden layer", "float32"), 18)
    whole, trainer = start(), start()
    whole.fit(X, y, epochs=5, sample_weight=sample_weight)
    for _ in range(5):
        trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(X, y, sample_weight=sample_weight)
    assert_same_run(reloaded(trainer, tmp_path / "run"), whole)
    for row in range(0, 18, 3):
        rows = slice(row, row + 3)
        assert trainer.step(X[rows], y[rows]) == whole.step(X[rows], y[rows])
        trainer = reloaded(trainer, tmp_path / "run")
    assert_same_run(trainer, whole)


def test_standardized_runs_go_on_with_the_same_bits(tmp_path):
    X, y, _ = rows_for(model_of("hidden layer", "float32"), 18)
    X = 100 * X + 1000
    layers = [gd.Standardize(5), *DROPPING]
    whole, trainer = (gd.Trainer(gd.Model(layers), optimizer=gd.Adam("auto"), batch_size=4) for _ in range(2))
    whole.fit(X, y, epochs=3)
    for _ in range(3):
        trainer = reloaded(trainer, tmp_path / "run")
        trainer.fit(X, y)
    assert_same_run(trainer, whole)


def train(name, batch_size, dtype, source=None):
    model = model_of("hidden layer", dtype)
    X, y, sample_weight = rows_for(model, 300)
    X = X if source is None else X.astype(source)
    trainer = gd.Trainer(model, optimizer=EACH[name](SCHEDULE), batch_size=batch_size, shuffle=True, seed=5)
    trainer.fit(X, y, epochs=2, sample_weight=sample_weight)
    return model.parameters.tobytes(), trainer.history.loss


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_slices_change_nothing(name, batch_size, dtype, monkeypatch):
    """Python in control after every step, or never."""
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(name, batch_size, dtype)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert train(name, batch_size, dtype) == whole


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("n_bytes", [1, 500])
def test_block_size_changes_nothing(name, batch_size, dtype, n_bytes, monkeypatch):
    source = "float64" if dtype == "float32" else "float32"
    whole = train(name, batch_size, dtype, source)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    assert train(name, batch_size, dtype, source) == whole


@pytest.mark.parametrize("name", EACH)
def test_batches_of_several_micro_batches_may_be_cut_anywhere(name, monkeypatch):
    def run():
        model = model_of("hidden layer", "float32")
        X, y, _ = rows_for(model, 2 * model.micro_batch_rows + 500)
        gd.Trainer(model, optimizer=EACH[name](SCHEDULE), batch_size=model.micro_batch_rows + 300).fit(X, y, epochs=3)
        return model.parameters.tobytes()

    whole = run()
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert run() == whole


BAD = [
    (lambda: gd.SGD(-0.1), ValueError, r"learning_rate is -0\.1; expected a finite number of at least 0"),
    (lambda: gd.Adam(math.nan), ValueError, "learning_rate is nan; expected a finite number"),
    (lambda: gd.Adagrad(math.inf), ValueError, "learning_rate is inf; expected a finite number"),
    (lambda: gd.RMSprop("fast"), TypeError, "learning_rate is 'fast'; expected a number"),
    (lambda: gd.SGD(True), TypeError, "learning_rate is True; expected a number"),
    (lambda: gd.AdamW(None), TypeError, "learning_rate is None; expected a number"),
    (lambda: gd.NormalizedSGD(-1), ValueError, "learning_rate is -1; expected"),
    (lambda: gd.SGD(momentum=1), ValueError, "momentum is 1; expected less than 1"),
    (lambda: gd.SGD(momentum=-0.5), ValueError, r"momentum is -0\.5; expected"),
    (lambda: gd.SGD(dampening=1.5), ValueError, r"dampening is 1\.5; expected a number from 0 to 1"),
    (lambda: gd.SGD(weight_decay=-1), ValueError, "weight_decay is -1; expected"),
    (lambda: gd.SGD(weight_decay="a"), TypeError, "weight_decay is 'a'; expected a number"),
    (lambda: gd.SGD(nesterov=True), ValueError, r"nesterov with momentum=0\.0.*expected a momentum"),
    (lambda: gd.SGD(momentum=0.9, dampening=0.1, nesterov=True), ValueError, r"dampening=0\.1.*no dampening"),
    (lambda: gd.SGD(momentum=0.9, nesterov=1), TypeError, "nesterov is 1; expected True or False"),
    (lambda: gd.Adam(betas=0.9), TypeError, r"betas is 0\.9; expected a pair"),
    (lambda: gd.Adam(betas=(0.9,)), TypeError, r"betas is \(0\.9,\); expected a pair"),
    (lambda: gd.Adam(betas=(0.9, 1)), ValueError, "betas is 1; expected less than 1"),
    (lambda: gd.AdamW(betas=(-0.1, 0.9)), ValueError, r"betas is -0\.1; expected"),
    (lambda: gd.Adam(eps=-1), ValueError, "eps is -1; expected"),
    (lambda: gd.AdamW(weight_decay=math.nan), ValueError, "weight_decay is nan; expected"),
    (lambda: gd.Adagrad(lr_decay=-1), ValueError, "lr_decay is -1; expected"),
    (lambda: gd.Adagrad(initial_accumulator_value=-1), ValueError, "initial_accumulator_value is -1; expected"),
    (lambda: gd.Adagrad(eps="small"), TypeError, "eps is 'small'; expected a number"),
    (lambda: gd.RMSprop(alpha=1), ValueError, "alpha is 1; expected less than 1"),
    (lambda: gd.RMSprop(momentum=2), ValueError, "momentum is 2; expected"),
    (lambda: gd.RMSprop(centered="yes"), TypeError, "centered is 'yes'; expected True or False"),
    (
        lambda: gd.Trainer(model_of("neuron"), optimizer="SGD"),
        TypeError,
        "optimizer is 'SGD'; expected 'auto' or an instance",
    ),
    (
        lambda: gd.Trainer(model_of("neuron"), optimizer=gd.SGD),
        TypeError,
        "expected 'auto' or an instance of SGD, Adam",
    ),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_divergence_leaves_the_last_finite_state():
    """The state, too, goes back: training goes on as if the bad step had never been tried."""
    for name in EACH:
        model, twin = model_of("hidden layer"), model_of("hidden layer")
        X, y, _ = rows_for(model, 12)
        trainer, other = gd.Trainer(model, optimizer=EACH[name](0.01)), gd.Trainer(twin, optimizer=EACH[name](0.01))
        trainer.fit(X, y)
        other.fit(X, y)
        with pytest.raises(ValueError, match="holds nan"):
            trainer.step([[1, 2, 3, 4, math.nan]], y[:1])
        with pytest.raises(ValueError, match="holds inf"):
            trainer.step(X[:1], [[0, math.inf]])
        trainer.step(X[:3], y[:3])
        other.step(X[:3], y[:3])
        np.testing.assert_array_equal(model.parameters, twin.parameters)


def with_another_optimizer(first, second):
    """A trainer whose optimiser was changed after some epochs, and a new one that starts where it stands."""
    trainer = gd.Trainer(model_of("hidden layer"), optimizer=EACH[first](0.01))
    X, y, _ = rows_for(trainer.model, 12)
    trainer.fit(X, y, epochs=3)
    twin = model_of("hidden layer")
    twin.parameters = trainer.model.parameters
    trainer.optimizer = EACH[second](SCHEDULE)
    return trainer, gd.Trainer(twin, optimizer=EACH[second](SCHEDULE)), (X, y)


CHANGES = [(first, second) for first in ("SGD momentum", "Adam") for second in EACH]


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_another_optimizer_starts_afresh(first, second):
    trainer, other, rows = with_another_optimizer(first, second)
    for one in (trainer, other):
        one.fit(*rows, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, other.model.parameters)
    assert trainer.learning_rate == other.learning_rate


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_another_optimizer_starts_afresh_from_a_file(first, second, tmp_path):
    """Saved before it was used, it must not take over the state of the one before."""
    trainer, other, rows = with_another_optimizer(first, second)
    trainer = reloaded(trainer, tmp_path / "run")
    for one in (trainer, other):
        one.fit(*rows, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, other.model.parameters)


def test_another_optimizer_may_be_automatic():
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    trainer.optimizer = gd.SGD("auto")
    assert trainer.learning_rate is None
    trainer.fit(X, y)
    assert trainer.learning_rate > 0


def fit_with(trainer, optimizer, X, y):
    trainer.optimizer = optimizer
    trainer.fit(X, y)


def test_another_optimizer_is_checked():
    X, y, _ = rows_for(model_of("ReLU first"), 12)
    trainer = gd.Trainer(model_of("ReLU first"))
    trainer.fit(X, y)
    for optimizer, error, message in (
        (gd.NormalizedSGD(), ValueError, "expected Linear as the first layer"),
        ("Adam", TypeError, "optimizer is 'Adam'; expected 'auto' or an instance"),
    ):
        with pytest.raises(error, match=message):
            fit_with(trainer, optimizer, X, y)


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize(
    "layers",
    [
        [gd.Linear(5, 1, init="zeros")],
        [gd.Linear(5, 1, bias=False, init="zeros"), gd.ReLU()],
        [gd.Linear(5, 7, init="zeros"), gd.ReLU(), gd.Linear(7, 2)],
    ],
    ids=["linear", "neuron", "hidden layer"],
)
def test_normalized_sgd_sees_no_scales(layers, batch_size, dtype):
    """Powers of two scale without rounding, so not a bit may change."""
    model, twin = gd.Model(layers, dtype=dtype), gd.Model(layers, dtype=dtype)
    X, y, sample_weight = rows_for(model, 60)
    X[:20, 3] = 0
    scales = np.array([2.0**-20, 2.0**20, 1, 2.0**-7, 2.0**11])
    for scaled, rows in ((model, X), (twin, X * scales)):
        trainer = gd.Trainer(scaled, optimizer=gd.NormalizedSGD(), batch_size=batch_size)
        trainer.fit(rows, y, epochs=3, sample_weight=sample_weight)
    assert np.ptp(model.predict(X)) > 0.1, "nothing was learnt"
    np.testing.assert_array_equal(twin.predict(X * scales), model.predict(X))
    np.testing.assert_array_equal(twin.layers[0].weight * scales, model.layers[0].weight)


def test_normalized_sgd_in_a_batch_of_several_micro_batches():
    """It sees a micro-batch's rows before its forward pass; the second one has rows to make every weight shrink."""
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 1500)
    X[1024:] = 3 * X[1024:] + 2
    layers, w = baseline.as_reference(model), model.parameters.tolist()
    state = {"layers": [model.layers[0], model.layers[2]], "is linear": False, "is drawn": True}
    state |= {"eps": float(np.finfo(model.dtype).eps), "derivatives": [np.zeros(7), np.zeros(2)]}
    total = np.zeros(len(w))
    for rows in (slice(0, 1024), slice(1024, 1500)):
        weights = [1.0] * len(X[rows])
        normalize(w, state, X[rows].tolist(), weights)
        write_into(layers, w)
        part = absolute_derivatives(layers, X[rows].tolist(), y[rows].tolist(), weights)
        for sums, more in zip(state["derivatives"], part, strict=True):
            sums += np.multiply(more, len(weights) / 1500)
        reference.loss_and_gradient(layers, X[rows].tolist(), y[rows].tolist(), weights)
        total += np.multiply(gradient_of(layers), len(X[rows]) / 1500)
    normalized_sgd(gd.NormalizedSGD(), w, total.tolist(), state, 1)
    gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=1500).fit(X, y)
    assert_same_path(model.parameters, w, "float64")


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("name", ["linear neuron", "hidden layer"])
def test_normalized_sgd_sees_no_means(name, batch_size):
    assert_means_make_no_difference(model_of(name), model_of(name), batch_size)


LIMITS = {
    "L2": {"alpha": 0.1},
    "L1": {"alpha": 0.1, "l1_ratio": 1.0},
    "both": {"alpha": 0.1, "l1_ratio": 0.5},
    "max_norm": {"max_norm": 0.3},
    "clip_value": {"clip_value": 0.1},
    "clip_norm": {"clip_norm": 0.1},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_normalized_sgd_sees_no_means_with_a_limit(batch_size, limits):
    layers = [gd.Linear(5, 1, init="zeros")]
    assert_means_make_no_difference(gd.Model(layers, "float64"), gd.Model(layers, "float64"), batch_size, **limits)


def assert_means_make_no_difference(model, twin, batch_size, **settings):
    X, y, sample_weight = rows_for(model, 60)
    X[:20, 3] = 0
    moved = X + np.array([0, -3, 10, 7, -100])
    for shown, rows in ((model, X), (twin, moved)):
        trainer = gd.Trainer(shown, optimizer=gd.NormalizedSGD(), batch_size=batch_size, **settings)
        trainer.fit(rows, y, epochs=3, sample_weight=sample_weight)
    assert np.ptp(model.predict(X)) > 0.1, "nothing was learnt"
    np.testing.assert_allclose(twin.predict(moved), model.predict(X), rtol=1e-6, atol=1e-9)


def test_averages_of_normalized_sgd_see_no_means():
    averages = []
    for offset in (0, 50):
        model = model_of("linear neuron")
        X, y, _ = rows_for(model, 60)
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4, average_from=3)
        trainer.fit(X + offset, y, epochs=3)
        averages.append(trainer.averaged_model().predict(X + offset))
    np.testing.assert_allclose(averages[1], averages[0], rtol=1e-8)


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_normalized_sgd_sees_no_unit_of_the_weights(factor):
    """Many updates, so that the rate falls."""
    results = []
    for scale in (1, factor):
        model = model_of("linear neuron")
        X, y, sample_weight = rows_for(model, 400)
        trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=2)
        trainer.fit(X, y, epochs=10, sample_weight=scale * sample_weight)
        results.append(model.parameters)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-8)


# Subnormal numbers, whose inverses are infinite, and those whose inverses leave no room for a weight.
TINY = [("float32", small) for small in (1e-45, 1e-42, 1e-38, 3e-38)] + [
    ("float64", small) for small in (5e-324, 1e-310, 1e-308, 3e-307)
]


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("row", [0, 1, 200, 399])
@pytest.mark.parametrize(("dtype", "small"), TINY)
@pytest.mark.parametrize("name", ["linear", "no bias", "hidden layer"])
def test_normalized_sgd_takes_a_feature_that_is_tiny_once(name, dtype, small, row, batch_size):
    """And zero before, or everywhere else."""
    layers = {
        "linear": [gd.Linear(3, 1)],
        "no bias": [gd.Linear(3, 1, bias=False)],
        "hidden layer": [gd.Linear(3, 8), gd.ReLU(), gd.Linear(8, 1)],
    }[name]
    X = np.random.default_rng(1).standard_normal((400, 3)).astype(dtype)
    X[:row, 1] = 0
    X[row, 1] = small
    y = X[:, 0] - X[:, 2]
    model = gd.Model(layers, dtype=dtype)
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=batch_size).fit(X, y, epochs=10)
    assert history.loss[-1] < 0.1


@pytest.mark.parametrize("small", [1e-38, 1e-36, 1e-33, 1e-30])
def test_normalized_sgd_takes_tiny_features_that_are_always_the_same(small):
    """And features that are tiny in the first row only."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3)).astype("float32")
    X[:, 1] = small
    X[0] = small
    model = gd.Model([gd.Linear(3, 1)])
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=1).fit(X, X[:, 0] - X[:, 2], epochs=20)
    assert history.loss[-1] < 1e-3


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_normalized_sgd_needs_a_linear_first(name):
    layers = model_of(name).layers
    for first in (gd.ReLU(), gd.Tanh(), gd.Identity(), gd.Dropout(0.5)):
        with pytest.raises(ValueError, match=r"NormalizedSGD with .*expected Linear as the first layer"):
            gd.Trainer(gd.Model([first, *layers]), optimizer=gd.NormalizedSGD())
    gd.Trainer(gd.Model([gd.Standardize(5), *layers]), optimizer=gd.NormalizedSGD())


@pytest.mark.parametrize("around", [{}, {"alpha": 0.1}, {"alpha": 0.1, "l1_ratio": 0.5}], ids=str)
def test_normalized_sgd_takes_a_feature_that_is_always_zero(around, dtype):
    model = model_of("hidden layer", dtype)
    X, y, _ = rows_for(model, 60)
    X[:, 2] = 0
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4, **around).fit(X, y, epochs=3)
    assert history.loss[-1] < history.loss[0]


OLD_WEIGHTS = {
    "set by hand": lambda model, w: setattr(model.layers[0], "weight", w),
    "given": lambda model, w: gd.Model([gd.Linear(3, 1, init=w)], "float64"),
    "loaded": lambda model, w: gd.Model.restore(model.architecture(), {"0.weight": w, "0.bias": np.zeros(1)}),
    "trained": lambda model, w: gd.Trainer(model, optimizer=gd.SGD(1e-7)).step(np.eye(3), np.ones(3)) and None,
}


STARTS = OLD_WEIGHTS | {
    "drawn": lambda model, w: model,
    "zeros": lambda model, w: gd.Model([gd.Linear(3, 1, init="zeros")], "float64"),
}


@pytest.mark.parametrize("source", OLD_WEIGHTS)
def test_normalized_sgd_keeps_weights_that_are_not_fresh(source):
    """At a rate of zero nothing changes them."""
    model = gd.Model([gd.Linear(3, 1)], dtype="float64", seed=5)
    model = OLD_WEIGHTS[source](model, np.array([[2e-3, 0.5, -30]])) or model
    X = np.array([[0, 1, 0], [1e3, -1, 0], [-1e3, 0, 1e-3], [0, 0.5, -1e-3]])
    before = model.parameters.copy()
    gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).fit(X, np.ones(4))
    np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("source", STARTS)
def test_normalized_sgd_survives_a_scale_that_grows(source, batch_size):
    """First rows that hardly differ, in one feature, make a weight that longer rows would multiply."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 3))
    X[:40, 1] *= 1e-9
    y = X @ [1, 0.5, -1]
    model = gd.Model([gd.Linear(3, 1)], dtype="float64", seed=5)
    model = STARTS[source](model, np.array([[0.5, 0.5, 0.5]])) or model
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=batch_size).fit(X, y, epochs=5)
    assert history.loss[0] < y.var()
    assert model.loss(X, y) < 0.05 * y.var()


@pytest.mark.parametrize("part", [0.0, 1e-3])
def test_normalized_sgd_shrinks_what_it_has_added_alone(part):
    """What it began with means the same to rows of any length, and at their mean, so does what it has learnt."""
    start = np.array([[2.0, -1.0]])
    model = gd.Model([gd.Linear(2, 1, init=start, bias=[0.5])], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(part))
    X = np.array([[1.0, 0.5], [2.0, 3.0], [0.0, 1.0]])
    trainer.step(X, np.zeros(3))
    learnt, bias = model.layers[0].weight - start, model.layers[0].bias.copy()
    before, m = trainer.optimizer_state["s"][:2].copy(), X.mean(axis=0)
    trainer._run.engine.rates._schedule = gd.schedules.Constant(0.0)
    row = np.array([[41.0, -7.0]])
    trainer.step(row, [0.0])
    after, m_after = trainer.optimizer_state["s"][:2], np.vstack([X, row]).mean(axis=0)
    assert (after > 2 * before).all()
    kept = learnt * before / after
    np.testing.assert_allclose(model.layers[0].weight, start + kept, rtol=1e-13)
    np.testing.assert_allclose(model.layers[0].bias, bias + learnt @ m - kept @ m_after, rtol=1e-13)


def test_normalized_sgd_takes_over_from_another_optimizer():
    X = np.random.default_rng(0).choice([-1.0, 1.0], (200, 3)) * [1e3, 1, 1e-3]
    y = X @ [1e-3, 2, -1e3] + 1
    model = gd.Model([gd.Linear(3, 1)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4)
    trainer.fit(X, y, epochs=20)
    trainer.optimizer = gd.NormalizedSGD(0.01)
    assert trainer.fit(X, y).loss[-1] < 1e-2 * trainer.history.loss[0]


@pytest.mark.parametrize("copied", ["as it is", "pickled", "saved"])
def test_normalized_sgd_knows_fresh_weights(copied, tmp_path):
    """One feature of 1000 divides its weight by 1000 before the first forward pass."""
    model = gd.Model([gd.Linear(1, 1)], seed=7, dtype="float64")
    drawn = float(model.layers[0].weight[0, 0])
    if copied == "pickled":
        model = pickle.loads(pickle.dumps(model))
    elif copied == "saved":
        gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).save(tmp_path / "run")
        model = gd.Trainer.load(tmp_path / "run").model
    gd.Trainer(model, optimizer=gd.NormalizedSGD(0.0)).step([[1000.0]], [0.0])
    assert model.layers[0].weight[0, 0] == pytest.approx(drawn / 1000)


@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e25, 1e36])
def test_normalized_sgd_takes_any_scale_in_float32(scale):
    """Squares of such gradients are zero or infinite in float32."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3))
    y = X @ [1, -2, 0.5]
    losses = []
    for factor in (1, scale):
        model = gd.Model([gd.Linear(3, 1)], seed=2)
        losses.append(gd.Trainer(model, optimizer=gd.NormalizedSGD(), batch_size=4).fit(X * factor, y, epochs=5).loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


@pytest.mark.parametrize(("dtype", "logit"), [("float32", -60), ("float64", -400)])
@pytest.mark.parametrize("name", EACH)
def test_gradients_whose_squares_are_zero_do_no_harm(name, dtype, logit):
    """A logit so sure of itself that the square of its derivative, exp(logit), is less than any number."""
    model = gd.Model([gd.Linear(1, 1, bias=[logit], init="zeros")], dtype=dtype)
    gd.Trainer(model, loss="log_loss", optimizer=EACH[name](0.01)).step([[1]], [0])
    # A step of Adam's or Adagrad's is at most the rate, and AdamW's decay a ten-thousandth.
    np.testing.assert_allclose(model.parameters, [0, logit], rtol=2e-4, atol=0.04)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("adam", "gd.Adam()"), ("SGD", "gd.SGD()"), (gd.RMSprop, "gd.RMSprop()"), (0.1, "gd.SGD(0.01)")],
)
def test_an_optimizer_by_its_name_is_told_how_to_make_one(given, expected):
    with pytest.raises(TypeError, match=f"as in {re.escape(expected)}$"):
        gd.Trainer(model_of("neuron"), optimizer=given)
