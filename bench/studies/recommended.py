"""Is what "auto" takes better than other optimisers that need no rate, where epochs are few?

python -m bench.studies.recommended [--sets iris wine] [--seeds 0 1 2]

The mean scores, none less than zero, on the sets and splits of `quality.py`, with targets standardised beforehand: of
linear models after one pass of single rows, and after 20 and 100 full batches; of networks with a hidden layer of 64
after two epochs of batches of 32; and of these as a stream has them, after one pass of single rows by `trainer.step`,
where "auto" does not know how long it will be, beside one whose rate falls to zero over the pass.
"""

import argparse
import sys
from collections import defaultdict
from unittest import mock

import numpy as np

import fastgd as gd
from bench.readme import markdown
from bench.studies import quality_sets
from bench.studies.quality import SEEDS, split_of
from bench.studies.quality_models import Case, Setting, Split, fit_fastgd

_AUTO = Setting(lambda n, epochs: "auto")
_ADAM = Setting(lambda n, epochs: gd.Adam("auto"))
_ADAGRAD = Setting(lambda n, epochs: gd.Adagrad("auto", bounded=False))
_NORMALIZED = Setting(lambda n, epochs: gd.NormalizedSGD())
_SGD = Setting(lambda n, epochs: gd.SGD("auto", bounded=False))
_LINEAR, _NETWORK = (), (64,)

#: What is compared, by the case: hidden layers, batch size and epochs.
CASES: dict[str, tuple[tuple[int, ...], int | None, int, dict[str, Setting]]] = {
    "linear, one pass of single rows": (_LINEAR, 1, 1, {"auto": _AUTO, "Adagrad": _ADAGRAD, "Adam": _ADAM}),
    "linear, 20 full batches": (_LINEAR, None, 20, {"auto": _AUTO, "SGD": _SGD, "Adam": _ADAM}),
    "linear, 100 full batches": (_LINEAR, None, 100, {"auto": _AUTO, "SGD": _SGD, "Adam": _ADAM}),
    "network, two epochs of batches of 32": (
        _NETWORK,
        32,
        2,
        {"auto": _AUTO, "NormalizedSGD()": _NORMALIZED, "Adagrad": _ADAGRAD, "Adam": _ADAM},
    ),
    "network, one pass of single rows": (_NETWORK, 1, 1, {"auto": _AUTO}),
}


def by_steps(trainer: gd.Trainer, X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """What stands for `Trainer.fit`: one pass, row by row, in the order of its first epoch."""
    trainer.model.standardize.fit(X)
    for row in np.random.default_rng([trainer.seed, 0]).permutation(len(X)):
        trainer.step(X[row : row + 1], y[row : row + 1])


def scores(split: Split, seed: int) -> dict[tuple[str, str], float | None]:
    """By the case and the optimiser; None where training diverged."""
    found = {}
    for name, (hidden, batch_size, epochs, settings) in CASES.items():
        case = Case(hidden, batch_size, epochs, seed)
        for label, setting in settings.items():
            found[name, label] = fit_fastgd(split, setting, case).test
    with mock.patch.object(gd.Trainer, "fit", by_steps):
        found[name, "auto, by trainer.step"] = fit_fastgd(split, _AUTO, case).test
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=quality_sets.NAMES, default=quality_sets.NAMES, metavar="SET")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    options = parser.parse_args()
    of_all = defaultdict(list)
    for name in options.sets:
        X, y, task = quality_sets.load(name)
        for seed in options.seeds:
            for key, score in scores(split_of(X, y, task, seed), seed).items():
                of_all[key].append(max(score or 0.0, 0.0))
        print(name, *(f"{found[-1]:.3f}" for found in of_all.values()), file=sys.stderr, flush=True)
    rows = [[*key, f"{np.mean(found):.3f}"] for key, found in of_all.items()]
    print(markdown(["case", "optimiser", "mean score"], rows, n_left=2))


if __name__ == "__main__":
    main()
