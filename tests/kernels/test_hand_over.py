"""Bytes that go past the caches arrive, and nothing else is written."""

import numpy as np
import pytest

from fastgd.kernels import hand_over
from fastgd.kernels.codegen.alignment import aligned_empty
from fastgd.kernels.tuning import LINE_BYTES


@pytest.mark.parametrize("size", [0, 1, LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 5 * LINE_BYTES + 7])
@pytest.mark.parametrize("begin", [0, 1, 16])
def test_hand_over(size, begin, rng):
    source = rng.integers(0, 256, begin + size, np.uint8)[begin:]
    memory = aligned_empty(size + LINE_BYTES, np.dtype(np.uint8))
    memory[:] = 77
    hand_over(source, memory[:size])
    np.testing.assert_array_equal(memory[:size], source)
    assert (memory[size:] == 77).all()
