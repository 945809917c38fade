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
    return a, b, False, np.full((2, 3), np.nan, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_call_at(dtype):
    arguments = arguments_of_add_outer(dtype)
    call(kernels.add_outer.address(dtype), arguments)
    np.testing.assert_array_equal(arguments[-1], [[3, 4, 5], [6, 8, 10]])


def arguments_of_relu_backward(dtype):
    out, mask = read_only(np.ones(2, dtype)), read_only(np.ones(2, np.bool_))
    return out, mask, dtype(0.5), np.ones(2, dtype)


ADD_OUTER = kernels.add_outer, arguments_of_add_outer
RELU_BACKWARD = kernels.relu_backward, arguments_of_relu_backward
# Kernels, their arguments as they are, and as they may not be.
REFUSED = {
    "too few": (*ADD_OUTER, lambda a, b, adds, c: (a, b, adds)),
    "another order": (*ADD_OUTER, lambda a, b, adds, c: (adds, a, b, c)),
    "a number for a bool": (*ADD_OUTER, lambda a, b, adds, c: (a, b, 1.0, c)),
    "an array of another dtype": (*ADD_OUTER, lambda a, b, adds, c: (a, b, adds, c.astype(np.float32))),
    "an array that may be written to": (*ADD_OUTER, lambda a, b, adds, c: (a.copy(), b, adds, c)),
    "an array that may not": (*ADD_OUTER, lambda a, b, adds, c: (a, b, adds, read_only(c))),
    "an array of another layout": (*ADD_OUTER, lambda a, b, adds, c: (a, b, adds, np.asfortranarray(c))),
    "an array of another dimension": (*ADD_OUTER, lambda a, b, adds, c: (a, b, adds, c.ravel())),
    "a number of another dtype": (
        *RELU_BACKWARD,
        lambda out, mask, number, d: (out, mask, np.float32(number), d),
    ),
    "an integer": (*RELU_BACKWARD, lambda out, mask, number, d: (out, mask, 1, d)),
}


@pytest.mark.parametrize("change", REFUSED)
def test_call_at_refuses_what_no_kernel_is_compiled_for(change):
    """The machine code would take the bytes of these for something else."""
    kernel, arguments_of, changed = REFUSED[change]
    arguments = arguments_of(np.float64)
    call(kernel.address(np.float64), arguments)
    with pytest.raises(TypingError, match="no addressed kernel takes"):
        call(kernel.address(np.float64), changed(*arguments))


def test_a_call_from_python_takes_numbers_and_read_only_arrays_for_their_types():
    a, b, _, c = arguments_of_add_outer(np.float32)
    writable = a.copy()
    kernels.add_outer(writable, b, False, c)
    np.testing.assert_array_equal(c, [[3, 4, 5], [6, 8, 10]])
    assert writable.flags.writeable
    kernels.leaky_relu_backward(writable, np.array([True, False]), 2, row := c[0, :2].copy())
    np.testing.assert_array_equal(row, [6, 4])
    with pytest.raises(TypingError):
        kernels.add_outer(a, b, False, read_only(c))
    with pytest.raises(ValueError, match="zip"):
        kernels.add_outer(a, b, False)


def test_bound_kernels_may_be_called_again_and_again():
    a, b, _, c = arguments_of_add_outer(np.float64)
    c[:] = 0
    add = kernels.add_outer.bound(a, b, True, c)
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
def write_outer_product(address, a, b, c):
    call_at(address, (a, b, False, c))


@numba.njit
def halve_where_masked(address, out, mask, d):
    call_at(address, (out, mask, 0.5, d))


@numba.njit
def multiply_rows_of_three(address, a, b, bias, c):
    call_at(address, (a, 3, b, bias, c, False))


def test_a_constant_counts_as_a_number():
    a = read_only(np.arange(6.0))
    c = np.full((2, 2), np.nan)
    multiply_rows_of_three(kernels.multiply_rows.address(np.float64), a, a, a[:0], c)
    np.testing.assert_array_equal(c, a.reshape(2, 3) @ a.reshape(2, 3).T)
    write_outer_product(kernels.add_outer.address(np.float64), a[:2], a[2:4], c)
    np.testing.assert_array_equal(c, np.outer(a[:2], a[2:4]))
    d = np.ones(2)
    halve_where_masked(kernels.leaky_relu_backward.address(np.float64), a[:2], read_only(np.array([True, False])), d)
    np.testing.assert_array_equal(d, [0.5, 1])
