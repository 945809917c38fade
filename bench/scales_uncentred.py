"""Where steps that need no tuning miss the best constant one: `python bench/scales_uncentred.py`.

Features with means of up to three deviations, of scales from 1e-6 to 1e6, and several losses, for a single Linear. The
tuned step has the features standardised, so also centred, which NormalizedSGD does not do. Prints the losses of
NormalizedSGD, and of Standardize with SGD("auto"), over the tuned step's: after five epochs, and after one of 500 rows.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import fastgd as gd

N_FEATURES = 20
N_CLASSES = 3
RATES = np.logspace(-4, 1, 21)


def problem(loss: str, n_samples: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Features of scale 1, targets that suit the loss, and how many outputs a model of them has."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, N_FEATURES)) + rng.uniform(-3, 3, N_FEATURES)
    standardized = (X - X.mean(axis=0)) / X.std(axis=0)
    z = standardized @ rng.standard_normal((N_FEATURES, N_CLASSES))
    noisy = z + rng.gumbel(size=z.shape)
    if loss == "cross_entropy":
        return X, noisy.argmax(axis=1), N_CLASSES
    positive = noisy[:, 0] > noisy[:, 1]
    targets = {"half_squared_error": noisy[:, 0], "log_loss": positive, "hinge": np.where(positive, 1, -1)}
    return X, targets[loss], 1


def loss_after(
    optimizer: object, loss: str, batch_size: int, epochs: int, X: np.ndarray, y: np.ndarray, layers: list
) -> float:
    """The loss where training has ended; infinite where it diverges."""
    model = gd.Model(layers, dtype="float64")
    try:
        gd.Trainer(model, loss=loss, optimizer=optimizer, batch_size=batch_size, shuffle=True).fit(X, y, epochs=epochs)
    except gd.DivergenceError:
        return np.inf
    return model.loss(X, y, loss=loss)


def main() -> None:
    scales = np.random.default_rng(1).permutation(np.logspace(-6, 6, N_FEATURES))
    for n_samples, epochs in ((20_000, 5), (500, 1)):
        for loss in ("half_squared_error", "log_loss", "hinge", "cross_entropy"):
            X, y, n_outputs = problem(loss, n_samples)
            layers = [gd.Linear(N_FEATURES, n_outputs)]
            standardized = (X - X.mean(axis=0)) / X.std(axis=0)
            for batch_size in (1, 32):
                settings = loss, batch_size, epochs
                best = min(loss_after(gd.SGD(rate), *settings, standardized, y, layers) for rate in RATES)
                normalized = loss_after(gd.NormalizedSGD(), *settings, X * scales, y, layers)
                automatic = loss_after(gd.SGD("auto"), *settings, X * scales, y, [gd.Standardize(N_FEATURES), *layers])
                print(
                    f"{loss}, {n_samples} rows, {epochs} epochs, batch {batch_size}: "
                    f"NormalizedSGD {normalized / best:.3f}, auto {automatic / best:.3f}"
                )


if __name__ == "__main__":
    main()
