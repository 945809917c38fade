"""How near the steps that need no tuning come to the best constant step: `python -m bench.studies.scales`.

Features of scales from 1e-6 to 1e6 for NormalizedSGD, and for Standardize with SGD("auto"); the tuned step has them at
scale 1. Prints each loss as a multiple of the tuned step's, that of SGD at constant multiples of the chosen step, and
how "auto" does on thirty data sets for a hidden layer, and on ten where an epoch has few updates.
"""

import numpy as np

import fastgd as gd
from tests.support.scaled_problems import (
    LAYERS,
    SHORT,
    loss_after,
    problem,
    ratio_of_short_epochs,
    ratios_of_hidden_layers,
    tuned,
)

MULTIPLES = (0.5, 1, 2, 4, 8)


def measured_rate(name: str, batch_size: int, X: np.ndarray, y: np.ndarray) -> float:
    """What "auto" chooses on standardised features."""
    trainer = gd.Trainer(gd.Model(LAYERS[name], dtype="float64"), optimizer=gd.SGD("auto"), batch_size=batch_size)
    trainer.fit(X, y)
    return trainer.learning_rate


def loss_at(name: str, rate: float, batch_size: int, X: np.ndarray, y: np.ndarray) -> float:
    """Loss after five epochs at a constant rate; infinite where it diverges."""
    try:
        return loss_after(name, gd.SGD(rate), batch_size, X, y)
    except gd.DivergenceError:
        return np.inf


def main() -> None:
    for name in LAYERS:
        X, y, scales = problem(name)
        for batch_size in (1, 32):
            best = tuned(name, batch_size, X, y)
            normalized = loss_after(name, gd.NormalizedSGD(), batch_size, X * scales, y)
            slower, faster = (loss_after(name, gd.NormalizedSGD(r), batch_size, X * scales, y) for r in (0.5, 2))
            automatic = loss_after(name, gd.SGD("auto"), batch_size, X * scales, y, standardize=True)
            rate = measured_rate(name, batch_size, X, y)
            others = [loss_at(name, rate * multiple, batch_size, X, y) / best for multiple in MULTIPLES]
            shown = ", ".join(f"{m:g}x: {other:.2f}" for m, other in zip(MULTIPLES, others, strict=True))
            print(
                f"{name}, batch {batch_size}: NormalizedSGD {normalized / best:.3f} "
                f"(at 0.5: {slower / best:.3f}, 2: {faster / best:.3f}), auto {automatic / best:.3f} "
                f"at {rate:.3g}; multiples of that rate, {shown}; tuned loss {best:.3g}"
            )
    for batch_size in (1, 8, 32, 128):
        show(f"hidden layer, batch {batch_size}", ratios_of_hidden_layers(batch_size, n_data_sets=30))
    for name, n_samples, batch_size, epochs in SHORT:
        ratios = [ratio_of_short_epochs(name, n_samples, batch_size, epochs, seed) for seed in range(3, 13)]
        show(f"{name}, {n_samples} rows, batch {batch_size or n_samples}, {epochs} epochs", ratios)


def show(case: str, ratios: list[float]) -> None:
    """Print the losses under "auto" over the tuned ones, in order."""
    shown = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    mean = np.exp(np.log(ratios).mean())
    print(f"{case}, {len(ratios)} data sets: auto {mean:.3f} in the geometric mean; {shown}")


if __name__ == "__main__":
    main()
