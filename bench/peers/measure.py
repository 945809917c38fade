"""One process of `table.py`: its workloads one after the other, the peers by turns. Prints a line of JSON for each.

python -m bench.peers.measure one|all SECONDS ENVIRONMENT WORKLOAD...

The first line has the versions of the peers' packages, null of one that is not installed. The number of threads is in
the environment already: libraries read it when they are loaded.
"""

import importlib.metadata
import json
import sys
import time

from bench.cases.runs import Run
from bench.cases.timing import best_seconds
from bench.peers.runs import PEERS, installed, prepare
from bench.peers.workloads import FUNCTIONS, WORKLOADS, PeerWorkload

# With one thread, the time of all of the process's threads on a processor: JAX computes on another thread than the
# calling one, so that the latter's time would be too little. With all, as long as it takes.
CLOCKS = {"one": time.process_time, "all": time.perf_counter}
# Thread pools spin for a while after their last work, on cores that the next in turn needs.
PAUSES = {"one": 0.0, "all": 0.1}


def main() -> None:
    threads, seconds, environment, *names = sys.argv[1:]
    # What a library prints goes to the errors: the results are read as JSON.
    results, sys.stdout = sys.stdout, sys.stderr
    peers = installed(environment)
    mine = [name for name, peer in PEERS.items() if peer.environment == environment]
    versions = {name: importlib.metadata.version(PEERS[name].distribution) if name in peers else None for name in mine}
    print(json.dumps(versions), file=results, flush=True)
    for name in names:
        workload = (WORKLOADS | FUNCTIONS)[name]
        print(json.dumps(measure(workload, peers, threads, float(seconds))), file=results, flush=True)


def measure(workload: PeerWorkload, peers: list[str], threads: str, seconds: float) -> dict[str, object]:
    """What `table.py` needs for its tables; seconds are per row."""
    comparison = prepare(workload, peers, CLOCKS[threads])
    return {
        "workload": workload.name,
        "threads": threads,
        "seconds": best_seconds(comparison.runs, seconds, CLOCKS[threads], PAUSES[threads]),
        "difference": comparison.difference,
        "form": comparison.form,
        "excluded": comparison.excluded,
        "cores": {name: cores_of(run) for name, run in comparison.runs.items()},
    }


def cores_of(run: Run) -> float:
    """How many cores an epoch keeps busy."""
    run.reset()
    began = time.perf_counter(), time.process_time()
    run.epoch()
    return (time.process_time() - began[1]) / (time.perf_counter() - began[0])


if __name__ == "__main__":
    main()
