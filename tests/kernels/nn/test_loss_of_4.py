"""Losses at four outputs together: the bits that each has alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgd import losses
from fastgd.kernels.nn.loss import pointwise
from fastgd.kernels.nn.loss_of_4 import pointwise_of_4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["log_loss", "poisson"])
@given(data=st.data())
def test_each_has_its_bits(name, dtype, data):
    loss, number = losses.as_loss(name), np.dtype(dtype).type
    width = 8 * np.dtype(dtype).itemsize
    outs, targets = (
        tuple(map(number, data.draw(st.lists(elements, min_size=4, max_size=4))))
        for elements in (st.floats(width=width) | st.floats(-30, 30, width=width), st.floats(0, 1, width=width))
    )
    values, derivatives = pointwise_of_4(loss, outs, targets)
    alone = [pointwise(loss, out, target) for out, target in zip(outs, targets, strict=True)]
    np.testing.assert_array_equal(np.array(derivatives, dtype), np.array([d for _, d in alone], dtype))
    # Sums of a product may be fused in one place and not in the other.
    np.testing.assert_allclose(values, [value for value, _ in alone], rtol=1e-15)
