"""Operations on integers."""

import numpy as np
import pytest

from fastgd.kernels.codegen.integers import minimum
from fastgd.kernels.codegen.jit import kernel

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@kernel
def lesser(a, b):
    return minimum(a, b)


@pytest.mark.parametrize("a", [LEAST, -1, 0, 7, MOST])
@pytest.mark.parametrize("b", [LEAST, -1, 0, 7, MOST])
def test_minimum(a, b):
    assert lesser(a, b) == min(a, b)
