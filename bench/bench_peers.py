"""An epoch of NumPy and of scikit-learn beside fastgd's, small: the updates are the same.

The other peers take part in `report.py peers` alone.
"""

import pytest

import fastgd as gd
from bench.peers.runs import PEERS, prepare
from bench.peers.workloads import ADAM, MOMENTUM, PeerWorkload

WORKLOADS = [
    PeerWorkload("neuron", (8, 1), 1, 64, gd.SGD(0.01)),
    PeerWorkload("one output", (8, 6, 1), 4, 64, gd.SGD(0.01)),
    PeerWorkload("momentum", (8, 6, 5, 3), 4, 64, MOMENTUM),
    PeerWorkload("Adam", (8, 6, 3), 4, 64, ADAM),
    PeerWorkload("log loss", (8, 1), 1, 64, gd.SGD(0.01), "log_loss"),
    PeerWorkload("cross-entropy", (8, 6, 3), 4, 64, gd.SGD(0.01), "cross_entropy", "tanh", "float64"),
    PeerWorkload("full batch", (8, 6, 3), 64, 64, ADAM, activation="tanh", n_epochs=5),
]


@pytest.mark.parametrize(
    ("workload", "name"),
    [
        pytest.param(workload, name, id=f"{workload.name}-{name}")
        for workload in WORKLOADS
        for name in ("NumPy", "SGDRegressor" if workload.is_neuron else "MLPRegressor")
        if workload.is_plain or name != "NumPy"
    ],
)
def test_peer(benchmark, workload, name):
    pytest.importorskip(PEERS[name].package)
    comparison = prepare(workload, [name])
    assert not comparison.excluded
    run = comparison.runs[name]
    run.reset()
    benchmark.group = f"peers | {workload.name}"
    benchmark(run.epoch)
