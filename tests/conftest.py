import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Compiling, the first example is slow; machines are slow too.
settings.register_profile("fastgd", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("fastgd")


@pytest.fixture
def rng():
    return np.random.default_rng(12345)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


# These run every loss, optimiser or layer, and each combination takes seconds to compile for each dtype.
COMPILING_MUCH = {
    "test_losses",
    "test_optimizers",
    "test_regularization",
    "test_layers",
    "test_dropout",
    "test_standardize",
    "test_bounded",
    "test_compilation",
    "test_thread_pool",
    "test_standardized_targets",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if item.path.stem in COMPILING_MUCH and "float32" in parameters.values():
            item.add_marker("slow")
