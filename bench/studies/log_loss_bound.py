"""What bounds a neuron's log loss, row by row: `python -m bench.studies.log_loss_bound [--repeats 20]`.

Each row's z waits for the derivative of the row before, a logistic function of its own z. Nanoseconds of a row: of that
chain alone, z <- ½ - ¼ σ(z), whose arithmetic and whose rows take no time; of an epoch by fastgd and by SGDClassifier,
by turns; and SGDClassifier's divided by the chain's, which no loop of such updates exceeds. Processor times, the best
of several.
"""

import argparse
import time

import numpy as np

from bench.peers import sgd_regressor
from bench.peers.fastgd import Fastgd
from bench.peers.workloads import FUNCTIONS
from bench.readme import markdown
from fastgd.kernels.codegen.jit import exact_kernel
from fastgd.kernels.nn.functions import sigmoid

_NAMES = "neuron, 10 inputs, log loss, batch 1", "neuron, 100 inputs, log loss, batch 1"
_CHAIN_ROWS = 1_000_000


@exact_kernel
def chain(z, n_rows):
    half, quarter = z.dtype.type(0.5), z.dtype.type(0.25)
    value = z[0]
    for _ in range(n_rows):
        value = half - quarter * sigmoid(value)
    z[0] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    z = np.zeros(1, np.float32)
    table = []
    for name in _NAMES:
        workload = FUNCTIONS[name]
        rows = workload.arrays(workload.n_samples)
        runs = Fastgd(workload, *rows), sgd_regressor.Neuron(workload, *rows, "float32")
        works = [(lambda: chain(z, _CHAIN_ROWS), _CHAIN_ROWS), *((run.epoch, run.n_samples) for run in runs)]
        best = [np.inf] * len(works)
        for _ in range(options.repeats + 1):
            for run in runs:
                run.reset()
            for k, (work, n_rows) in enumerate(works):
                began = time.process_time()
                work()
                best[k] = min(best[k], (time.process_time() - began) / n_rows * 1e9)
        alone, ours, theirs = best
        numbers = [f"{alone:.1f}", f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}", f"{theirs / alone:.2f}"]
        table.append([name, *numbers])
    ratios = ["SGDClassifier / fastgd", "SGDClassifier / chain"]
    print(markdown(["ns a row", "chain alone", "fastgd", "SGDClassifier", *ratios], table))


if __name__ == "__main__":
    main()
