import os

# The numbers of a BLAS product may depend on how many threads share it; the tests compare bits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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
