"""The passes that compile kernels."""

import pytest
from numba.core import ir

from fastgd.kernels.codegen import pipeline
from fastgd.kernels.codegen.jit import inlined_kernel, kernel


@pytest.fixture
def copied(monkeypatch):
    """The variables that are copied while kernels compile."""
    copied, deepcopy = [], ir.Var.__deepcopy__

    def counted(variable, memo):
        copied.append(variable.name)
        return deepcopy(variable, memo)

    monkeypatch.setattr(ir.Var, "__deepcopy__", counted)
    return copied


def _four_times():
    @inlined_kernel
    def twice(x):
        total = x
        for _ in range(1):
            total += x
        return total

    @inlined_kernel
    def twice_twice(x):
        return twice(twice(x))

    @kernel
    def four_times(x):
        return twice_twice(x)

    return four_times


def test_inlined_kernels_are_not_copied(copied):
    assert _four_times()(3.0) == 12.0
    assert not copied


def test_by_numbas_own_passes_they_would_be(copied, monkeypatch):
    monkeypatch.setattr(pipeline, "_adapted", lambda passes: passes)
    assert _four_times()(3.0) == 12.0
    assert copied
