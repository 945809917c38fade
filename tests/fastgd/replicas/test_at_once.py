"""Training in several threads, processes and jobs at once gives the bits that it gives alone."""

import itertools
import threading

import numpy as np
import pytest
from program import program

import fastgd as gd

KINDS = {
    "neuron": ([5, 1], {"batch_size": 1}),
    "network": ([5, 7, 1], {"batch_size": 4, "optimizer": gd.Adam(0.01)}),
    "replicas": ([5, 7, 1], {"batch_size": 4, "replicas": 3, "n_threads": 2}),
    "gradients": ([5, 7, 1], {"batch_size": 64, "replicas": 3, "sync": "gradient", "n_threads": 2}),
}


def trained(kind, seed):
    """The parameters of a model of its own."""
    widths, options = KINDS[kind]
    layers = [gd.Linear(widths[0], widths[1])]
    for n_in, n_out in itertools.pairwise(widths[1:]):
        layers += [gd.ReLU(), gd.Linear(n_in, n_out)]
    model = gd.Model(layers, seed=seed)
    options = {"optimizer": gd.SGD(0.02)} | options
    gd.Trainer(model, shuffle=True, seed=seed, **options).fit(gd.data.synthetic(3000, 5, seed=seed), epochs=3)
    return model.parameters


def test_eight_threads_that_train_eight_models():
    """Two of each kind, which all begin at once."""
    cases = [(kind, seed) for kind in KINDS for seed in (0, 1)]
    alone = [trained(*case) for case in cases]
    at_once, barrier = [None] * len(cases), threading.Barrier(len(cases))

    def train(number):
        barrier.wait(timeout=60)
        at_once[number] = trained(*cases[number])

    threads = [threading.Thread(target=train, args=(number,)) for number in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    for expected, found in zip(alone, at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


IN_CHILDREN = """
import multiprocessing, sys, warnings
import numpy as np
# A child of a process with threads may hang where one of them holds a lock: Python says so from 3.12 on.
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
import fastgd as gd

def trained(seed):
    found = []
    for options in ({}, {"replicas": 2, "n_threads": 2}, {"replicas": 2, "sync": "gradient", "n_threads": 2}):
        model = gd.Model([gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)], seed=seed)
        trainer = gd.Trainer(model, optimizer=gd.SGD(0.02), batch_size=8, **options)
        trainer.fit(gd.data.synthetic(2000, 5, seed=seed), epochs=2)
        found.append(model.parameters)
    return np.concatenate(found)

if __name__ == "__main__":
    expected = [trained(seed) for seed in range(3)]
    method = sys.argv[1]
    if method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            found = pool.map_async(trained, range(3)).get(timeout=120)
    else:
        import joblib
        jobs = map(joblib.delayed(trained), range(3))
        found = joblib.Parallel(n_jobs=2, prefer=method, timeout=120)(jobs)
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_array_equal(after, before)
    print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "threads", "processes"])
def test_children_and_jobs(method, tmp_path):
    """Of a process that has trained itself, by all of its threads."""
    if method in ("threads", "processes"):
        pytest.importorskip("joblib")
    path = tmp_path / "main.py"
    path.write_text(IN_CHILDREN, encoding="utf-8")
    # What is spawned imports the file by its name.
    code = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], timeout=240).returncode)"
    assert program(str(path), method, code=code).stdout.strip() == "equal"
