"""Every public kernel against NumPy, and against plain Python on the small shape."""

import pytest

from bench.cases import data_cases, layer_cases, network_cases, update_cases

# The kernel's case and its shapes: a small one, one that stays in the cache, and a large one.
PRODUCTS = [(8, 10, 4), (32, 100, 64), (256, 1024, 1024)]
VECTORS = [(100,), (10_000,), (4_000_000,)]
NETWORKS = [((4, 3, 1), 8, 16), ((100, 64, 1), 32, 3200), ((784, 256, 10), 200, 2000)]
CASES = {
    layer_cases.linear_forward: PRODUCTS,
    layer_cases.linear_backward_input: PRODUCTS,
    layer_cases.linear_backward_parameters: PRODUCTS,
    layer_cases.relu_forward: VECTORS,
    layer_cases.relu_backward: VECTORS,
    layer_cases.tanh_forward: VECTORS,
    layer_cases.sigmoid_forward: VECTORS,
    layer_cases.loss_and_derivative: [(8, 4), (32, 64), (4096, 1024)],
    layer_cases.cross_entropy: [(8, 4), (64, 10), (4096, 1024)],
    update_cases.plain_sgd: VECTORS,
    update_cases.adam: VECTORS,
    data_cases.gather_rows: [(100, 8, 10), (1000, 32, 100), (60_000, 8192, 784)],
    data_cases.standardize_rows: [(8, 10), (1000, 100), (20_000, 784)],
    data_cases.synthetic_rows: [(8, 10), (1000, 100), (100_000, 100)],
    data_cases.sum_elements: [(100,), (10_000,), (25_000_000,)],
    network_cases.predict_network: NETWORKS,
    network_cases.evaluate_network: NETWORKS,
    network_cases.loss_and_gradient: [((4, 3, 1), 8, 8), ((100, 64, 1), 32, 32), ((784, 256, 10), 200, 200)],
    network_cases.train_network: NETWORKS,
    network_cases.train_neuron_online_by_4: [(10, 16), (100, 1000), (100, 100_000)],
    network_cases.train_neuron_online: [(10, 16), (1000, 100), (1000, 10_000)],
    network_cases.train_neuron_batch: [(10, 8, 16), (100, 32, 960), (100, 32, 96_000)],
}
LIBRARIES = {
    (make, shape): ["fastgd", "NumPy", "pure Python"] if shape == shapes[0] else ["fastgd", "NumPy"]
    for make, shapes in CASES.items()
    for shape in shapes
}


def label(shape):
    """Numbers joined by x; a network's widths by -, then its batch size and rows."""
    return " x ".join("-".join(map(str, part)) if isinstance(part, tuple) else str(part) for part in shape)


@pytest.mark.parametrize(
    ("make", "shape", "library"),
    [
        pytest.param(make, shape, library, id=f"{make.__name__}-{label(shape)}-{library}")
        for (make, shape), libraries in LIBRARIES.items()
        for library in libraries
    ],
)
def test_kernel(benchmark, make, shape, library):
    case = make(*shape)
    results = case.fastgd()
    for other in LIBRARIES[make, shape][1:]:
        case.require_equal(results, case.library(other)())
    benchmark.group = f"{make.__name__} | {label(shape)}"
    benchmark(case.library(library))
