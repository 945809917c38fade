"""fastgd side by side with the libraries that could be used in its place.

Whatever is installed takes part: `pip install scikit-learn torch jax vowpalwabbit river tinygrad mlx[cpu]`, or some of
them. PyTorch compiles with the C++ compiler that it finds, tinygrad with clang. JAX 0.6.2 and daal4py need Pythons of
their own, with what fastgd needs, which `--environment` names; fastgd is timed beside them there, too. On the same rows
in the same order, from the same weights and by the same updates, each peer must first come to fastgd's parameters; then
all are timed by turns in one process, each in the form (dtype, implementation, layout) that was fastest. Processes with
one thread are held to one core.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

from bench.peers.runs import ENVIRONMENTS, PEERS
from bench.peers.workloads import FUNCTIONS, WORKLOADS
from bench.readme import README, markdown, processor, rounded

MARKERS = "peers"
METHOD = (
    "Each number is a peer's time for a row divided by fastgd's, above 1 where fastgd is faster; in brackets the "
    "largest difference between their parameters after an epoch, in the largest parameter. Best epochs, by turns in "
    "one process: processor time with one thread on one core, wall time with all; compilation not counted. The slower "
    "peers train on the first rows only."
)
THREADS = ("one", "all")
FUNCTIONS_TITLE = "epochs of"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10, help="time to spend on each workload")
    parser.add_argument("--threads", choices=[*THREADS, "both"], default="both", help="how many each library may use")
    parser.add_argument("--workloads", nargs="+", default=[""], help="only those whose names contain one of these")
    parser.add_argument(
        "--functions",
        dest="markers",
        action="store_const",
        const="functions",
        default=MARKERS,
        help="the table of other losses, activations, dtypes and full batches",
    )
    parser.add_argument(
        "--environment",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"the Python of peers that need their own: {', '.join(ENVIRONMENTS)}",
    )


def report(options: argparse.Namespace) -> str:
    workloads = FUNCTIONS if options.markers == "functions" else WORKLOADS
    names = [name for name in workloads if any(part in name for part in options.workloads)]
    if not names:
        raise SystemExit(f"no workload of that name; there are {'; '.join(workloads)}")
    pythons = {"": sys.executable, **dict(each.split("=", 1) for each in options.environment)}
    versions, results = dict.fromkeys(PEERS), {}
    for threads in THREADS if options.threads == "both" else [options.threads]:
        for environment, python in pythons.items():
            found, *measured = measure(python, environment, threads, options.seconds, names)
            versions |= found
            for result in measured:
                merge(results.setdefault((result["workload"], threads), result), result)
    lines = [machine_line(versions), METHOD]
    of_kinds = (
        [table(FUNCTIONS_TITLE, list(results.values()))] if workloads is FUNCTIONS else tables(list(results.values()))
    )
    return "\n\n".join(["\n".join(lines), *of_kinds])


def merge(result: dict, other: dict) -> None:
    """Add the peers of another environment, each with its time beside fastgd's there."""
    result.setdefault("ratio", {})
    result["ratio"] |= {name: seconds / other["seconds"]["fastgd"] for name, seconds in other["seconds"].items()}
    result["difference"] |= other["difference"]
    result["excluded"] |= other["excluded"]


def measure(python: str, own: str, threads: str, seconds: float, names: list[str]) -> Iterator[dict]:
    """The versions and results of `bench.peers.measure` in a process of an environment with so many threads."""
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    command = [python, "-m", "bench.peers.measure", threads, str(seconds), own, *names]
    one_core = None
    if threads == "one":
        environment |= ONE_THREAD
        # The variables do not hold back all of JAX's threads.
        if hasattr(os, "sched_setaffinity"):
            one_core = hold_to_one_core
    for name, value in ENVIRONMENTS.get(own, {}).items():
        environment[name] = f"{environment.get(name, '')} {value}".strip()
    with subprocess.Popen(
        command, cwd=README.parent, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=one_core
    ) as process:
        for line in process.stdout:
            result = json.loads(line)
            if "workload" in result:
                print(progress(result), file=sys.stderr, flush=True)
            yield result
    if process.returncode:
        raise SystemExit(f"the measurement with {threads} thread(s) ended with status {process.returncode}")


def hold_to_one_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def progress(result: dict) -> str:
    """A result with all that the tables leave out."""
    lines = [f"{result['workload']}, threads: {result['threads']}"]
    for name, seconds in result["seconds"].items():
        form, cores = result["form"].get(name, ""), result["cores"][name]
        lines.append(f"  {name:14} {seconds * 1e6:11.4f} us a row, {cores:.2f} cores  {form}")
    return "\n".join([*lines, *(f"  {name:14} {reason}" for name, reason in result["excluded"].items())])


def tables(results: list[dict]) -> list[str]:
    """One of the neurons and one of the networks, each with the peers that have such a model."""
    order = list(WORKLOADS)
    results = sorted(results, key=lambda result: (order.index(result["workload"]), THREADS.index(result["threads"])))
    kinds = {True: "epoch of a neuron", False: "epoch of a network"}
    return [
        table(title, chosen)
        for is_neuron, title in kinds.items()
        if (chosen := [result for result in results if WORKLOADS[result["workload"]].is_neuron is is_neuron])
    ]


def table(title: str, results: list[dict]) -> str:
    names = [name for name in PEERS if any(name in result["ratio"] | result["excluded"] for result in results)]
    of_all = title == FUNCTIONS_TITLE
    rows = [
        [
            result["workload"] if of_all else result["workload"].removeprefix("neuron, "),
            result["threads"],
            *(cell(result, name) for name in names),
        ]
        for result in results
    ]
    # Of classes, the classifiers take part.
    shown = [name.replace("Regressor", "*") if of_all else name for name in names]
    return markdown([title, "threads", *shown], rows, n_left=2)


def cell(result: dict, name: str) -> str:
    if name in result["ratio"]:
        return f"{rounded(result['ratio'][name])} ({result['difference'][name]:.0e})"
    return result["excluded"].get(name, "").partition(":")[0]


def machine_line(versions: dict[str, str | None]) -> str:
    """Where the figures come from, who took part and who did not: the peers' versions, None where not installed."""
    own = [f"{name} {importlib.metadata.version(name)}" for name in ("fastgd", "numba")]
    present = [f"{PEERS[name].distribution} {version}" for name, version in versions.items() if version]
    absent = ", ".join(name for name, version in versions.items() if not version)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    listed = ", ".join(dict.fromkeys(own + present))
    line = f"{processor()}, {cores} usable cores; Python {platform.python_version()}, {listed}."
    return f"{line} Not installed: {absent}." if absent else line
