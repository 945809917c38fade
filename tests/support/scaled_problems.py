"""Problems whose features span twelve orders of magnitude, and how near a step comes to the best constant one."""

import numpy as np

import fastgd as gd

N_FEATURES = 20
LAYERS = {
    "linear": [gd.Linear(N_FEATURES, 1)],
    "neuron": [gd.Linear(N_FEATURES, 1), gd.ReLU()],
    "hidden layer": [gd.Linear(N_FEATURES, 16), gd.ReLU(), gd.Linear(16, 1)],
}


def problem(name, seed=3):
    """Rows of a teacher network of the same kind, with features of scale 1, and the scales to give them."""
    rng = np.random.default_rng(0)
    hidden = (8,) if name == "hidden layer" else ()
    X, y = gd.data.synthetic(20_000, N_FEATURES, hidden=hidden, seed=seed, dtype="float64").arrays()
    if name == "linear":
        y = 0.3 * X @ rng.standard_normal((N_FEATURES, 1)) + 0.1 * rng.standard_normal((len(X), 1))
    return X, y, rng.permutation(np.logspace(-6, 6, N_FEATURES))


def loss_after(name, optimizer, batch_size, X, y, standardize=False, epochs=5):
    model = gd.Model([gd.Standardize(N_FEATURES)] * standardize + LAYERS[name], dtype="float64")
    gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=True).fit(X, y, epochs=epochs)
    return model.loss(X, y)


def tuned(name, batch_size, X, y, standardize=False, epochs=5):
    """The best loss of any constant step, on features of scale 1."""
    losses = []
    for learning_rate in np.logspace(-4, 0, 17):
        try:
            losses.append(loss_after(name, gd.SGD(learning_rate), batch_size, X, y, standardize, epochs))
        except gd.DivergenceError:
            break
    return min(losses)


N_CLASSES = 3
LOSSES = ("half_squared_error", "log_loss", "hinge", "cross_entropy")


def problem_of_loss(loss, n_samples):
    """Features of scale 1 with means of up to three deviations, targets that suit a loss, and the width of a model."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, N_FEATURES)) + rng.uniform(-3, 3, N_FEATURES)
    z = standardized(X) @ rng.standard_normal((N_FEATURES, N_CLASSES))
    noisy = z + rng.gumbel(size=z.shape)
    if loss == "cross_entropy":
        return X, noisy.argmax(axis=1), N_CLASSES
    positive = noisy[:, 0] > noisy[:, 1]
    targets = {"half_squared_error": noisy[:, 0], "log_loss": positive, "hinge": np.where(positive, 1, -1)}
    return X, targets[loss], 1


def standardized(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def linear_loss_after(optimizer, loss, batch_size, epochs, X, y, layers):
    """The loss where training has ended; infinite where it diverges."""
    model = gd.Model(layers, dtype="float64")
    try:
        gd.Trainer(model, loss=loss, optimizer=optimizer, batch_size=batch_size, shuffle=True).fit(X, y, epochs=epochs)
    except gd.DivergenceError:
        return np.inf
    return model.loss(X, y, loss=loss)


def ratios_for_any_means(loss, n_samples, batch_size, epochs, more_rates=()):
    """The losses of NormalizedSGD, by default and at more rates, and of Standardize with "auto", over the best of any
    constant step."""
    X, y, n_outputs = problem_of_loss(loss, n_samples)
    scaled = X * np.random.default_rng(1).permutation(np.logspace(-6, 6, N_FEATURES))
    settings, layers = (loss, batch_size, epochs), [gd.Linear(N_FEATURES, n_outputs)]
    rates = np.logspace(-4, 1, 21)
    best = min(linear_loss_after(gd.SGD(rate), *settings, standardized(X), y, layers) for rate in rates)
    losses = [
        linear_loss_after(optimizer, *settings, scaled, y, layers)
        for optimizer in (gd.NormalizedSGD(), *map(gd.NormalizedSGD, more_rates))
    ]
    automatic = linear_loss_after(gd.SGD("auto"), *settings, scaled, y, [gd.Standardize(N_FEATURES), *layers])
    return [loss / best for loss in (*losses, automatic)]


def ratios_of_hidden_layers(batch_size, n_data_sets=10):
    """The loss under "auto" over the tuned one, on some data sets."""
    ratios = []
    for seed in range(3, 3 + n_data_sets):
        X, y, scales = problem("hidden layer", seed)
        loss = loss_after("hidden layer", gd.SGD("auto"), batch_size, X * scales, y, standardize=True)
        ratios.append(loss / tuned("hidden layer", batch_size, X, y))
    return ratios


# Epochs of one update and more, up to 16: n_samples, batch_size, epochs.
SHORT = [
    ("linear", 3000, None, 5),
    ("linear", 3000, None, 20),
    ("linear", 3000, 256, 5),
    ("linear", 3000, 256, 20),
    ("linear", 500, 32, 5),
    ("linear", 500, 32, 20),
    ("neuron", 3000, None, 20),
    ("neuron", 500, 32, 20),
    ("hidden layer", 500, 32, 20),
    ("hidden layer", 500, None, 20),
]


def ratio_of_short_epochs(name, n_samples, batch_size, epochs, seed=3):
    """The loss under "auto" over the tuned one."""
    X, y, scales = problem(name, seed)
    X, y = X[:n_samples], y[:n_samples]
    loss = loss_after(name, gd.SGD("auto"), batch_size, X * scales, y, True, epochs)
    return loss / tuned(name, batch_size, X, y, True, epochs)
