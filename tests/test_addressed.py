"""Kernels that are called by the address of their machine code."""

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from fastgd import kernels
from fastgd.kernels.addressed import call_at, numbers_of, record_at, record_of
from fastgd.kernels.loss import HalfSquaredError, Hinge, sum_over_outputs
from fastgd.kernels.regularization import Regularization


@numba.njit
def call(address, arguments):
    call_at(address, arguments)


@numba.njit
def regularization_of(numbers):
    return record_of(Regularization, numbers)


@numba.njit
def regularization_at(numbers, i):
    return record_at(Regularization, numbers, i)


def read_only(array):
    array.flags.writeable = False
    return array


def arguments_of_add_outer(dtype):
    a, b = read_only(np.array([1, 2], dtype)), read_only(np.array([3, 4, 5], dtype))
    return a, b, a.dtype.type(1), False, np.full((2, 3), np.nan, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_call_at(dtype):
    arguments = arguments_of_add_outer(dtype)
    call(kernels.add_outer.address(dtype), arguments)
    np.testing.assert_array_equal(arguments[-1], [[3, 4, 5], [6, 8, 10]])


REFUSED = {
    "too few": lambda a, b, alpha, adds, c: (a, b, alpha, adds),
    "another order": lambda a, b, alpha, adds, c: (alpha, adds, a, b, c),
    "a number of another dtype": lambda a, b, alpha, adds, c: (a, b, np.float32(alpha), adds, c),
    "an integer": lambda a, b, alpha, adds, c: (a, b, 1, adds, c),
    "an array of another dtype": lambda a, b, alpha, adds, c: (a, b, alpha, adds, c.astype(np.float32)),
    "an array that may be written to": lambda a, b, alpha, adds, c: (a.copy(), b, alpha, adds, c),
    "an array that may not": lambda a, b, alpha, adds, c: (a, b, alpha, adds, read_only(c)),
    "an array of another layout": lambda a, b, alpha, adds, c: (a, b, alpha, adds, np.asfortranarray(c)),
    "an array of another dimension": lambda a, b, alpha, adds, c: (a, b, alpha, adds, c.ravel()),
}


@pytest.mark.parametrize("change", REFUSED)
def test_call_at_refuses_what_no_kernel_is_compiled_for(change):
    """The machine code would take the bytes of these for something else."""
    arguments = REFUSED[change](*arguments_of_add_outer(np.float64))
    with pytest.raises(TypingError, match="no addressed kernel takes"):
        call(kernels.add_outer.address(np.float64), arguments)


def test_a_call_from_python_takes_numbers_and_read_only_arrays_for_their_types():
    a, b, _, _, c = arguments_of_add_outer(np.float32)
    writable = a.copy()
    kernels.add_outer(writable, b, 2, False, c)
    np.testing.assert_array_equal(c, [[6, 8, 10], [12, 16, 20]])
    assert writable.flags.writeable
    with pytest.raises(TypingError):
        kernels.add_outer(a, b, 2, False, read_only(c))
    with pytest.raises(ValueError, match="zip"):
        kernels.add_outer(a, b, 2, False)


def test_bound_kernels_may_be_called_again_and_again():
    a, b, _, _, c = arguments_of_add_outer(np.float64)
    c[:] = 0
    add = kernels.add_outer.bound(a, b, 1, True, c)
    for n in (1, 2, 3):
        add()
        np.testing.assert_array_equal(c, [[3 * n, 4 * n, 5 * n], [6 * n, 8 * n, 10 * n]])


def test_one_address_for_each_dtype_and_kind():
    addresses = [
        *(kernels.add_outer.address(dtype) for dtype in (np.float32, np.float64)),
        *(sum_over_outputs.address(np.float32, kind) for kind in (HalfSquaredError, Hinge)),
    ]
    assert len(set(addresses)) == 4
    assert 0 not in addresses
    again = [kernels.add_outer.address(name) for name in ("float32", "float64")]
    again += [sum_over_outputs.address(np.dtype("float32"), kind) for kind in (HalfSquaredError, Hinge)]
    assert again == addresses
    assert len(kernels.add_outer._dispatcher.signatures) == 2


def test_records_pass_through_their_numbers():
    record = Regularization(0.25, 1e-300, True, np.inf, 2.0, np.inf, 7.0)
    passed = regularization_of(numbers_of(record))
    assert type(passed) is Regularization
    assert passed == record
    rows = np.stack([numbers_of(record) + row for row in range(3)])
    for row in range(3):
        assert regularization_at(rows, row) == Regularization(*rows[row])


@numba.njit
def add_outer_of_constants(address, a, b, c):
    call_at(address, (a, b, 2.0, False, c))


@numba.njit
def multiply_rows_of_three(address, a, b, bias, c):
    call_at(address, (a, 3, b, bias, c))


def test_a_constant_counts_as_a_number():
    a = read_only(np.arange(6.0))
    c = np.full((2, 2), np.nan)
    multiply_rows_of_three(kernels.multiply_rows.address(np.float64), a, a, a[:0], c)
    np.testing.assert_array_equal(c, a.reshape(2, 3) @ a.reshape(2, 3).T)
    add_outer_of_constants(kernels.add_outer.address(np.float64), a[:2], a[2:4], c)
    np.testing.assert_array_equal(c, 2 * np.outer(a[:2], a[2:4]))
