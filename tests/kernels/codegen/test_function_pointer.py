"""Kernels that are called through function pointers."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from fastgd import kernels
from fastgd.kernels.codegen.function_pointer import settings_at, settings_of, settings_vector
from fastgd.kernels.gemm import small as small_product
from fastgd.kernels.nn import activation
from fastgd.kernels.nn.loss import HalfSquaredError, Hinge, sum_over_outputs
from fastgd.kernels.optim.regularization import Regularization


def caller(call_kernel):
    @numba.njit
    def call(pointer, arguments):
        call_kernel(pointer, arguments)

    return call


call_ger = caller(small_product.call_ger)
call_backward = caller(activation.call_backward)


@numba.njit
def regularization_of(vector):
    return settings_of(Regularization, vector)


@numba.njit
def regularization_at(vectors, i):
    return settings_at(Regularization, vectors, i)


def read_only(array):
    array.flags.writeable = False
    return array


def arguments_of_ger(dtype):
    a, b = read_only(np.array([1, 2], dtype)), read_only(np.array([3, 4, 5], dtype))
    return a, b, False, np.full((2, 3), np.nan, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_call_through_a_pointer(dtype):
    arguments = arguments_of_ger(dtype)
    call_ger(kernels.ger.pointer(dtype), arguments)
    np.testing.assert_array_equal(arguments[-1], [[3, 4, 5], [6, 8, 10]])


def arguments_of_relu_backward(dtype):
    out, mask = read_only(np.ones(2, dtype)), read_only(np.ones(2, np.bool_))
    return out, mask, dtype(0.5), np.ones(2, dtype)


GER = kernels.ger, call_ger, arguments_of_ger
RELU_BACKWARD = kernels.relu_backward, call_backward, arguments_of_relu_backward
# Kernels, their arguments as they are, and as they may not be.
REFUSED = {
    "too few": (*GER, lambda a, b, accumulate, c: (a, b, accumulate)),
    "another order": (*GER, lambda a, b, accumulate, c: (accumulate, a, b, c)),
    "a number for a bool": (*GER, lambda a, b, accumulate, c: (a, b, 1.0, c)),
    "an array of another dtype": (*GER, lambda a, b, accumulate, c: (a, b, accumulate, c.astype(np.float32))),
    "an array that may be written to": (*GER, lambda a, b, accumulate, c: (a.copy(), b, accumulate, c)),
    "an array that may not": (*GER, lambda a, b, accumulate, c: (a, b, accumulate, read_only(c))),
    "an array of another layout": (*GER, lambda a, b, accumulate, c: (a, b, accumulate, np.asfortranarray(c))),
    "an array of another dimension": (*GER, lambda a, b, accumulate, c: (a, b, accumulate, c.ravel())),
    "a number of another dtype": (
        *RELU_BACKWARD,
        lambda out, mask, number, d: (out, mask, np.float32(number), d),
    ),
    "an integer": (*RELU_BACKWARD, lambda out, mask, number, d: (out, mask, 1, d)),
    "those of another kernel": (*GER, lambda a, b, accumulate, c: arguments_of_relu_backward(np.float64)),
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_call_refuses_what_the_kernel_is_not_compiled_for(change):
    """The machine code would take the bytes of these for something else."""
    kernel, call, arguments_of, changed = REFUSED[change]
    arguments = arguments_of(np.float64)
    call(kernel.pointer(np.float64), arguments)
    with pytest.raises(TypingError, match="has no arguments"):
        call(kernel.pointer(np.float64), changed(*arguments))


def test_a_call_from_python_takes_numbers_and_read_only_arrays_for_their_types():
    a, b, _, c = arguments_of_ger(np.float32)
    writable = a.copy()
    kernels.ger(writable, b, False, c)
    np.testing.assert_array_equal(c, [[3, 4, 5], [6, 8, 10]])
    assert writable.flags.writeable
    kernels.leaky_relu_backward(writable, np.array([True, False]), 2, row := c[0, :2].copy())
    np.testing.assert_array_equal(row, [6, 4])
    for wrong in (c.astype(np.float64), c[0].copy(), np.asfortranarray(c), read_only(c)):
        with pytest.raises(TypeError, match=r"ger was called with .*; expected"):
            kernels.ger(a, b, False, wrong)
    with pytest.raises(ValueError, match="zip"):
        kernels.ger(a, b, False)


def test_bound_kernels_may_be_called_again_and_again():
    a, b, _, c = arguments_of_ger(np.float64)
    c[:] = 0
    add = kernels.ger.bound(a, b, True, c)
    for n in (1, 2, 3):
        add()
        np.testing.assert_array_equal(c, [[3 * n, 4 * n, 5 * n], [6 * n, 8 * n, 10 * n]])


def test_one_pointer_for_each_dtype_and_kind():
    pointers = [
        *(kernels.ger.pointer(dtype) for dtype in (np.float32, np.float64)),
        *(sum_over_outputs.pointer(np.float32, kind) for kind in (HalfSquaredError, Hinge)),
    ]
    assert len(set(pointers)) == 4
    assert 0 not in pointers
    again = [kernels.ger.pointer(name) for name in ("float32", "float64")]
    again += [sum_over_outputs.pointer(np.dtype("float32"), kind) for kind in (HalfSquaredError, Hinge)]
    assert again == pointers
    assert len(kernels.ger._dispatcher.signatures) == 2


def test_settings_pass_through_their_vector():
    settings = Regularization(0.25, 1e-300, True, np.inf, 2.0, np.inf, 7.0)
    passed = regularization_of(settings_vector(settings))
    assert type(passed) is Regularization
    assert passed == settings
    rows = np.stack([settings_vector(settings) + row for row in range(3)])
    for row in range(3):
        assert regularization_at(rows, row) == Regularization(*rows[row])


@numba.njit
def write_outer_product(pointer, a, b, c):
    small_product.call_ger(pointer, (a, b, False, c))


@numba.njit
def halve_where_masked(pointer, out, mask, d):
    activation.call_backward(pointer, (out, mask, 0.5, d))


@numba.njit
def gemm_of_rows_of_three(pointer, a, b, bias, c):
    small_product.call_gemv(pointer, (a, 3, b, bias, c, False))


def test_a_constant_counts_as_a_number():
    a = read_only(np.arange(6.0))
    c = np.full((2, 2), np.nan)
    gemm_of_rows_of_three(kernels.gemm_nt_small.pointer(np.float64), a, a, a[:0], c)
    np.testing.assert_array_equal(c, a.reshape(2, 3) @ a.reshape(2, 3).T)
    write_outer_product(kernels.ger.pointer(np.float64), a[:2], a[2:4], c)
    np.testing.assert_array_equal(c, np.outer(a[:2], a[2:4]))
    d = np.ones(2)
    halve_where_masked(kernels.leaky_relu_backward.pointer(np.float64), a[:2], read_only(np.array([True, False])), d)
    np.testing.assert_array_equal(d, [0.5, 1])


CHECKED = """
import numpy as np
import numba
from fastgd import kernels
from fastgd.kernels.codegen import simd, views
from fastgd.kernels.nn import activation
from fastgd.kernels.loops.network import Layer
from fastgd.kernels.codegen.function_pointer import settings_at

@numba.njit
def backward(pointer, out, mask, d):
    activation.call_backward(pointer, (out, mask, 1.0, d))

@numba.njit
def element(x, i):
    return views.element(x, i)

@numba.njit
def span(x, begin, size):
    return views.span(x, begin, size).size

@numba.njit
def matrix(x, begin, n, m):
    return views.matrix(x, begin, n, m).size

@numba.njit
def copied(x, y):
    views.copy(x, y)

@numba.njit
def loaded(x, i, n):
    return simd.horizontal_sum(simd.load(x, i, n, 0.0))

@numba.njit
def stored(x, i, n):
    simd.store(x, i, n, simd.broadcast(1.0))

@numba.njit
def layer(table, i):
    return settings_at(Layer, table, i).n_in

x, table = np.arange(20.0), np.zeros((2, len(Layer._fields)), np.int64)
out, mask = np.ones(5), np.ones(5, np.bool_)
for array in (out, mask):
    array.flags.writeable = False
right = kernels.relu_backward.pointer("float64")
CALLS = [
    (None, backward, right, out, mask, np.ones(5)),
    (IndexError, backward, right, out, mask[:3], np.ones(5)),
    (TypeError, backward, kernels.relu_backward.pointer("float32"), out, mask, np.ones(5)),
    (TypeError, backward, kernels.ger.pointer("float64"), out, mask, np.ones(5)),
    (IndexError, kernels.relu_backward, out, mask[:3], 0.0, np.ones(5)),
    (None, element, x, 19), (IndexError, element, x, 20), (IndexError, element, x, -1),
    (None, span, x, 18, 2), (None, span, x, 99, 0), (IndexError, span, x, 18, 3), (IndexError, span, x, -1, 2),
    (None, matrix, x, 2, 3, 6), (IndexError, matrix, x, 3, 3, 6), (IndexError, matrix, x, 0, -1, 6),
    (None, copied, x[:3], x[3:6]), (IndexError, copied, x[:3], x[3:5]),
    (None, loaded, x, 19, 1), (None, loaded, x, 99, -3),
    (IndexError, loaded, x, 19, 2), (IndexError, loaded, x, 19, 99),
    (None, stored, x, 19, 1), (IndexError, stored, x, 19, 2), (IndexError, stored, x, -1, 1),
    (None, layer, table, 1), (IndexError, layer, table, 2),
]
for expected, call, *arguments in CALLS:
    try:
        call(*arguments)
    except (IndexError, TypeError) as error:
        assert type(error) is expected, (call, arguments, error)
    else:
        assert expected is None, (call, arguments)
print("all checked")
"""


def test_bounds_and_pointers_are_checked_where_the_environment_says_so(tmp_path):
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CHECKED], env=environment, capture_output=True, text=True)
    assert done.stdout == "all checked\n", done.stderr
