"""The passes that compile kernels."""

from typing import NamedTuple

import pytest
from numba.core import event, ir

from fastgd.kernels.codegen import pipeline
from fastgd.kernels.codegen.jit import by_type, exact_kernel, inlined_kernel, kernel


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


class _Halves(NamedTuple):
    """Settings."""


@inlined_kernel
def _half(settings, x):
    return x / 2


@by_type({_Halves: _half})
def half(kernel):
    return lambda settings, x: kernel(settings, x)


@inlined_kernel
def _quarter(settings, x):
    return half(settings, half(settings, x))


@by_type({_Halves: _quarter})
def quarter(kernel):
    return lambda settings, x: kernel(settings, x)


def test_what_several_kernels_call_is_compiled_once():
    @kernel
    def eighth(settings, x):
        return half(settings, quarter(settings, x))

    with event.install_recorder("numba:compile") as recorded:
        assert eighth(_Halves(), 3.0) == 0.375
    # A kernel and the two that it calls, one of them from both.
    assert sum(found.is_start for _, found in recorded.buffer) == 3


def test_what_is_compiled_for_exact_kernels_is_not_for_others():
    @exact_kernel
    def exact(settings, x):
        return half(settings, x)

    with event.install_recorder("numba:compile") as recorded:
        assert exact(_Halves(), 3.0) == 1.5
    assert sum(found.is_start for _, found in recorded.buffer) == 2
