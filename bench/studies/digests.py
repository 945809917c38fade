"""The bits of some 300 runs, to compare two commits: where a change should leave all numbers alone, none may differ.

    python -m bench.studies.digests before.json                  write them
    python -m bench.studies.digests after.json before.json       write them, and name the runs that differ

Losses, optimisers, batch sizes, dtypes, orders, regularisation, weights and architectures are drawn by a fixed seed.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

import fastgd as gd

N_RUNS = 300
N_ROWS, N_FEATURES = 331, 7

REGRESSION = (
    "half_squared_error", "absolute_error", "huber", "quantile", "epsilon_insensitive", "squared_epsilon_insensitive",
)  # fmt: skip
SIGNS = ("hinge", "squared_hinge", "modified_huber", "perceptron")
LOSSES = (*REGRESSION, *SIGNS, "poisson", "log_loss", "cross_entropy")

OPTIMIZERS = {
    "SGD": lambda: gd.SGD(0.01),
    "SGD, a schedule": lambda: gd.SGD(gd.schedules.InverseScaling(0.02, 0.25)),
    "SGD, auto": lambda: gd.SGD("auto"),
    "momentum": lambda: gd.SGD(0.005, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda: gd.Adam(0.005),
    "AdamW": lambda: gd.AdamW(0.005),
    "Adagrad": lambda: gd.Adagrad(0.05),
    "RMSprop": lambda: gd.RMSprop(0.002, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD,
}

SETTINGS = {
    "nothing": {},
    "elastic net": {"alpha": 0.01, "l1_ratio": 0.5},
    "L2": {"alpha": 0.01},
    "clipping": {"clip_norm": 0.5, "clip_value": 0.3},
    "norms and means": {"max_norm": 1.0, "average_from": 3},
}


def architectures(n_outputs: int) -> dict[str, list]:
    """Layers by name, for so many features and outputs."""
    return {
        "linear": [gd.Linear(N_FEATURES, n_outputs)],
        "ReLU": [gd.Linear(N_FEATURES, n_outputs), gd.ReLU()],
        "no bias": [gd.Linear(N_FEATURES, n_outputs, bias=False)],
        "standardised": [gd.Standardize(N_FEATURES), gd.Linear(N_FEATURES, n_outputs)],
        "hidden": [gd.Linear(N_FEATURES, 17), gd.ReLU(), gd.Linear(17, n_outputs)],
        "all layers": [
            gd.Standardize(N_FEATURES), gd.Linear(N_FEATURES, 12), gd.LeakyReLU(), gd.Linear(12, 9), gd.Tanh(),
            gd.Dropout(0.2), gd.Linear(9, 5), gd.Sigmoid(), gd.Linear(5, n_outputs),
        ],
    }  # fmt: skip


def targets(loss: str, raw: np.ndarray) -> np.ndarray:
    """Targets that the loss takes, from any numbers."""
    if loss in SIGNS:
        return np.where(raw > 0, 1, -1)
    if loss == "poisson":
        return np.floor(np.abs(raw) * 2)
    if loss == "log_loss":
        return raw > 0
    if loss == "cross_entropy":
        return np.digitize(raw[:, 0], (-0.5, 0.5))
    return raw


def digest(seed: int) -> tuple[str, dict[str, str]]:
    """The name of a run, and the digests of all that it leaves."""
    rng = np.random.default_rng(seed)
    loss = LOSSES[seed % len(LOSSES)]
    optimizer = str(rng.choice(list(OPTIMIZERS)))
    setting = str(rng.choice(list(SETTINGS)))
    dtype = str(rng.choice(["float32", "float64"]))
    source = str(rng.choice(["float32", "float64", "float16", "uint8"], p=[0.5, 0.3, 0.1, 0.1]))
    batch_size = [1, 5, 32, None][rng.integers(4)]
    shuffle, is_weighted = bool(rng.integers(2)), rng.random() < 0.3
    n_outputs = 3 if loss == "cross_entropy" else int(rng.choice([1, 1, 2]))
    stacks = architectures(n_outputs)
    architecture = str(rng.choice(list(stacks)))
    values = rng.standard_normal((N_ROWS, N_FEATURES))
    X = (np.abs(values) if source == "uint8" else values).astype(source)
    raw = values @ rng.standard_normal((N_FEATURES, n_outputs)) / 3 + 0.3 * rng.standard_normal((N_ROWS, n_outputs))
    weights = rng.integers(0, 3, N_ROWS) / 2 if is_weighted else None
    model = gd.Model(stacks[architecture], dtype=dtype, seed=seed)
    trainer = gd.Trainer(
        model, loss, OPTIMIZERS[optimizer](), batch_size=batch_size, shuffle=shuffle, seed=seed, **SETTINGS[setting]
    )
    name = ", ".join(
        f"{part}"
        for part in (seed, loss, optimizer, setting, dtype, source, batch_size, architecture, n_outputs)
    ) + (", shuffled" if shuffle else "") + (", weighted" if is_weighted else "")  # fmt: skip
    y = targets(loss, raw)
    try:
        trainer.fit(X, y, epochs=2, sample_weight=weights, validation=0.2)
    except gd.DivergenceError:
        name += ", diverged"
    state = dict(trainer.optimizer_state)
    if setting == "norms and means" and trainer.n_updates > 3:
        state["average"] = trainer.averaged_model().parameters
    losses = [value for record in trainer.history for value in record[1:3]]
    parts = {"parameters": [model.parameters, model.predict(X)], "state": list(state.values()), "losses": losses}
    return name, {part: digest_of(arrays) for part, arrays in parts.items()}


def digest_of(arrays: list) -> str:
    """One for all of some arrays' bits."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]


def main() -> None:
    """Write the digests, and compare them where there is something to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("before", nargs="?")
    options = parser.parse_args()
    digests = dict(digest(seed) for seed in range(N_RUNS))
    Path(options.out).write_text(json.dumps(digests, indent=1))
    print(f"{len(digests)} runs, in {options.out}")
    if options.before:
        before = json.loads(Path(options.before).read_text())
        n_changed = 0
        for name in before.keys() | digests:
            one, other = before.get(name, {}), digests.get(name, {})
            changed = [part for part in one.keys() | other if one.get(part) != other.get(part)]
            if changed:
                n_changed += 1
                print(f"{name}: {', '.join(sorted(changed))}")
        print(f"{n_changed} differ from {options.before}")


if __name__ == "__main__":
    main()
