"""Each kernel by itself, against its formula in plain NumPy or Python."""

import inspect
import io
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import rounding
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.codegen.function_pointer import settings_vector
from fastgd.kernels.nn import activation
from fastgd.kernels.nn.loss import HalfSquaredError
from fastgd.kernels.optim import optimizers as update
from fastgd.kernels.optim.optimizers import OPTIMIZERS, PlainSGD
from fastgd.kernels.tuning import FEW

DTYPES = st.sampled_from([np.float32, np.float64])
SIZES = st.integers(1, 40)
# How many rows a batch's last micro-batch has fewer than the others.
MISSING = st.integers(0, 8)
SEEDS = st.integers(0, 2**32 - 1)
# What random layers draw from; others do not read it.
DRAW = (0, 0, 0, 0)


def arrays(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    for array in made:
        array.flags.writeable = False
    return made


def unset(shape, dtype):
    """An output that shows every element which a kernel leaves out."""
    return np.full(shape, True if dtype is np.bool_ else np.nan, dtype)


def products(dtype, n_rows, k, n_outputs=(FEW, FEW)):
    """With scratch memory that spoils every result it gets into."""
    made = kernels.products(dtype, n_rows, k, n_outputs)
    made.panel[:] = np.nan
    return made


def column_major(weight):
    """The same numbers column by column, under the same shape."""
    return np.ascontiguousarray(weight.T).reshape(weight.shape)


@given(DTYPES, SIZES, MISSING, SIZES, SIZES, SIZES, st.booleans(), SEEDS)
def test_linear_forward(dtype, n_samples, n_missing, n_in, n_out, n_fewest, has_bias, seed):
    x, weight, bias = arrays(seed, dtype, (n_samples, n_in), (n_out, n_in), n_out if has_bias else 0)
    out = unset((n_samples, n_out), dtype)
    made = products(dtype, n_samples + n_missing, n_in, (min(n_out, n_fewest), n_out))
    kernels.linear_forward(x, weight, False, bias, out, made, True)
    exact = x.astype(np.float64) @ weight.T.astype(np.float64) + (bias if has_bias else 0)
    np.testing.assert_allclose(out, exact, rtol=0, atol=rounding(dtype, n_in + 1) * 4)
    if min(n_samples + n_missing, n_out) >= FEW:
        again = unset((n_samples, n_out), dtype)
        kernels.linear_forward(x, column_major(weight), True, bias, again, made, False)
        np.testing.assert_array_equal(again, out)


@given(DTYPES, SIZES, MISSING, SIZES, SIZES, SEEDS)
def test_linear_backward_input(dtype, n_samples, n_missing, n_in, n_out, seed):
    d_out, weight = arrays(seed, dtype, (n_samples, n_out), (n_out, n_in))
    d_x = unset((n_samples, n_in), dtype)
    kernels.linear_backward_input(d_out, weight, d_x, products(dtype, n_samples + n_missing, n_out))
    exact = d_out.astype(np.float64) @ weight.astype(np.float64)
    np.testing.assert_allclose(d_x, exact, rtol=0, atol=rounding(dtype, n_out) * 4)


@given(DTYPES, SIZES, MISSING, SIZES, SIZES, st.booleans(), SEEDS)
@example(np.float32, 33, 0, 5, 300, True, 0)
def test_linear_backward_parameters(dtype, n_samples, n_missing, n_in, n_out, has_bias, seed):
    d_out, x = arrays(seed, dtype, (n_samples, n_out), (n_samples, n_in))
    d_weight, d_bias = unset((n_out, n_in), dtype), unset(n_out if has_bias else 0, dtype)
    scratch = products(dtype, n_samples + n_missing, n_samples, (n_out, n_out))
    kernels.linear_backward_parameters(d_out, x, False, False, d_weight, d_bias, scratch)
    exact, exact_bias = d_out.T.astype(np.float64) @ x.astype(np.float64), d_out.astype(np.float64).sum(0)
    tolerance = rounding(dtype, n_samples) * 4
    np.testing.assert_allclose(d_weight, exact, rtol=0, atol=tolerance)
    if has_bias:
        np.testing.assert_allclose(d_bias, exact_bias, rtol=0, atol=tolerance)
    kernels.linear_backward_parameters(-2 * d_out, x, False, True, d_weight, d_bias, scratch)
    np.testing.assert_allclose(d_weight, -exact, rtol=0, atol=4 * tolerance)
    if n_samples + n_missing > 1:
        again, bias_again = np.ones((n_out, n_in), dtype), np.ones_like(d_bias)
        kernels.linear_backward_parameters(-2 * d_out, x, True, True, again, bias_again, scratch)
        expected = np.ones((n_out, n_in), dtype)
        kernels.linear_backward_parameters(-2 * d_out, x, False, True, expected, bias_again, scratch)
        np.testing.assert_array_equal(again, column_major(expected))
    if has_bias:
        np.testing.assert_allclose(d_bias, -exact_bias, rtol=0, atol=4 * tolerance)


@given(DTYPES, st.data())
def test_relu_forward(dtype, data):
    tolerance = dtype(8 * np.finfo(dtype).eps)
    edges = st.sampled_from([0.0, -0.0, -tolerance, tolerance, np.nextafter(-tolerance, dtype(-1)), -np.inf, np.inf])
    elements = edges | st.floats(-10, 10, width=np.dtype(dtype).itemsize * 8)
    z = data.draw(hnp.arrays(dtype, st.integers(1, 70), elements=elements))
    out, mask = z.copy(), np.array([3] * z.size, np.uint8).view(np.bool_)
    kernels.relu_forward(out, tolerance, DRAW, mask)
    np.testing.assert_array_equal(out, [v if v >= 0 else 0 for v in z])
    np.testing.assert_array_equal(mask.view(np.uint8), [int(v >= -tolerance) for v in z])


def test_relu_forward_shows_nan(dtype):
    out, mask = np.full(33, np.nan, dtype), np.zeros(33, np.bool_)
    kernels.relu_forward(out, 0, DRAW, mask)
    assert np.isnan(out).all()
    assert mask.all()


@given(DTYPES, st.integers(1, 70), SEEDS)
def test_relu_backward(dtype, size, seed):
    d_out, out = arrays(seed, dtype, size, size)
    mask = np.random.default_rng(seed).random(size) < 0.5
    d_z = d_out.copy()
    kernels.relu_backward(out, mask, 0, d_z)
    np.testing.assert_array_equal(d_z, [d if passes else 0 for d, passes in zip(d_out, mask, strict=True)])


@pytest.mark.parametrize("name", ["leaky_relu_backward", "relu_backward", "sigmoid_backward", "tanh_backward"])
def test_float32_is_not_widened(name):
    """A literal such as 1 makes float64 of what it meets, at half the speed."""
    kernel, types = getattr(activation, name), io.StringIO()
    kernel.pointer(np.float32)
    (signature,) = [each for each in kernel._dispatcher.signatures if "float32" in str(each)]
    kernel._dispatcher.inspect_types(types, signature)
    assert ":: float32" in types.getvalue()
    assert ":: float64" not in types.getvalue()


@given(DTYPES, SIZES, SIZES, st.booleans(), SEEDS)
def test_half_squared_error(dtype, n_samples, n_out, is_weighted, seed):
    out, target, weight = arrays(seed, dtype, (n_samples, n_out), (n_samples, n_out), n_samples if is_weighted else 0)
    v = weight[:, None].astype(np.float64) if is_weighted else 1.0
    d_out = unset(out.shape, dtype)
    scale = dtype(1 / n_samples)
    objective = kernels.objective(HalfSquaredError(), dtype)
    objective.sums[:] = np.nan
    kernels.loss_and_derivative(objective, *map(read_only, (out, target, weight)), scale, d_out)
    loss, weights = objective.sums
    assert weights == pytest.approx(np.abs(weight.astype(np.float64)).sum() if is_weighted else n_samples)
    error = out.astype(np.float64) - target
    terms = v * error**2 / 2
    tolerance = (rounding(dtype, 2) + rounding(np.float64, terms.size)) * np.abs(terms).sum()
    np.testing.assert_allclose(loss, terms.sum(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(d_out, scale * v * error, rtol=0, atol=rounding(dtype, 4) * 10)


def test_loss_adds_up_in_float64():
    """A float32 sum would lose every term below 2^-24 of it."""
    numbers = np.array([8192.0] + [1.0] * 1000, np.float32)
    objective = kernels.objective(HalfSquaredError(), np.float32)
    for shape in ((1001, 1), (1, 1001)):
        out, d_out = numbers.reshape(shape), np.empty(shape, np.float32)
        given = map(read_only, (out, np.zeros_like(out), np.empty(0, np.float32)))
        kernels.loss_and_derivative(objective, *given, np.float32(1), d_out)
        assert objective.sums[0] == 2**25 + 500


@given(DTYPES, st.integers(1, 200), SEEDS)
def test_plain_sgd(dtype, size, seed):
    parameters, gradient = arrays(seed, dtype, size, size)
    updated, none = parameters.copy(), np.empty(0, dtype)
    state = np.empty((1, 0), dtype)
    own, average = np.empty(0), np.empty(0)
    vectors = kernels.Vectors(updated, gradient.copy(), none, state, own, average, none)
    OPTIMIZERS[PlainSGD].update(vectors, settings_vector(PlainSGD()), 0.1, 1, (0, size))
    exact = parameters - np.float64(dtype(0.1)) * gradient
    np.testing.assert_allclose(updated, exact, rtol=0, atol=rounding(dtype, 2))
    np.testing.assert_array_equal(vectors.gradient, gradient)


SOURCE_DTYPES = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


@pytest.mark.parametrize("source_dtype", SOURCE_DTYPES)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_gather_rows(source_dtype, order, rng):
    values = rng.integers(0, 2 if source_dtype == "bool" else 100, (31, 18))
    X = np.asarray(values, source_dtype, order="F" if order == "F" else "C")
    if order == "strided":
        X = X[::-2, 1::3]
    rows = rng.integers(0, len(X), 50)
    for dtype in (np.float32, np.float64):
        out = unset((50, X.shape[1]), dtype)
        kernels.gather_rows(X, rows, out)
        np.testing.assert_array_equal(out, X[rows])


@given(st.integers(1, 10_000))
def test_sum_elements(size):
    assert kernels.sum_elements(np.ones(size, np.float32)) == size


COMPILED = {name: getattr(kernels, name) for name in kernels.__all__ if hasattr(getattr(kernels, name), "py_func")}
COMPILED |= {
    kernel.py_func.__name__: kernel for hooks in OPTIMIZERS.values() for kernel in hooks if hasattr(kernel, "py_func")
}
# Their kernels have the same arguments, which the file describes; an activation's one setting has a name of its own.
UNIFORM = {module.__name__: module.__doc__ for module in (activation, update)}
SETTINGS = ("tolerance", "slope", "probability")


@pytest.mark.parametrize("name", COMPILED)
def test_docstring_describes_every_argument(name):
    function = COMPILED[name].py_func
    documentation = f"{function.__doc__}\n{UNIFORM.get(function.__module__, '')}"
    for other in re.findall(r"^As `(\w+)`,", documentation):
        documentation += COMPILED[other].py_func.__doc__
    if "as for `Hooks`" in documentation:
        documentation += kernels.Hooks.__doc__
    for parameter in inspect.signature(function).parameters:
        described = "number" if function.__module__ == activation.__name__ and parameter in SETTINGS else parameter
        assert re.search(rf"\b{described}\b[\w, ]* : ", documentation), parameter


def test_kernels_are_exact_as_plain_python_too():
    """The kernels without the compiler: what they say is what runs."""
    (z,) = arrays(7, np.float64, 8)
    out, compiled = z.copy(), z.copy()
    mask = np.empty(8, np.bool_)
    kernels.leaky_relu_forward.py_func(out, 0.1, DRAW, mask)
    kernels.leaky_relu_forward(compiled, 0.1, DRAW, mask.copy())
    np.testing.assert_array_equal(out, compiled)
    np.testing.assert_array_equal(mask, z < 0)


def test_kernels_run_side_by_side():
    """Kernels hold no state: threads that run them at once get what one thread gets."""
    rng = np.random.default_rng(0)
    tasks = [arrays(seed, np.float64, (50, 20), (10, 20), 10) for seed in rng.integers(0, 1000, 40)]

    def run(task):
        out = np.empty((50, 10))
        x, weight, bias = task
        kernels.linear_forward(x, weight, False, bias, out, products(np.float64, 50, 20), False)
        return out

    with ThreadPoolExecutor(8) as pool:
        for task, out in zip(tasks, pool.map(run, tasks), strict=True):
            np.testing.assert_array_equal(out, run(task))
