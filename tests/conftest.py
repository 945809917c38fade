from pathlib import Path

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
TESTS = Path(__file__).parent
COMPILING_MUCH = [
    TESTS / "fastgd/bad_input",
    TESTS / "fastgd/data/test_datasets.py",
    TESTS / "fastgd/engine/test_reproducible.py",
    TESTS / "fastgd/engine/test_epochs_at_once.py",
    TESTS / "fastgd/losses",
    TESTS / "fastgd/optimizers",
    TESTS / "fastgd/schedules/test_training.py",
    TESTS / "fastgd/standardized_targets",
    TESTS / "fastgd/test_averaging.py",
    TESTS / "fastgd/test_dropout.py",
    TESTS / "fastgd/test_evaluation.py",
    TESTS / "fastgd/test_layers.py",
    TESTS / "fastgd/test_regularization.py",
    TESTS / "fastgd/test_standardize.py",
    TESTS / "fastgd/test_standardize_learning.py",
    TESTS / "fastgd/test_training.py",
    TESTS / "fastgd/trainer/test_divergence.py",
    TESTS / "kernels/test_bounded.py",
    TESTS / "kernels/test_thread_pool.py",
    TESTS / "package/test_compilation.py",
]

ESTIMATOR_CHECKS = TESTS / "fastgd/sklearn/test_estimator_checks.py"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if any(item.path.is_relative_to(place) for place in COMPILING_MUCH) and any(
            isinstance(value, str) and value == "float32" for value in parameters.values()
        ):
            item.add_marker("slow")
        # Those of sparse rows compile for ten seconds each.
        if item.path == ESTIMATOR_CHECKS and "sparse" in item.name:
            item.add_marker("slow")
