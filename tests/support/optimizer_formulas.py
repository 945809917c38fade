"""The optimisers' formulas in plain Python."""

import math

import numpy as np
from cases import rows_for

import fastgd as gd
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline


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
