"""The kernels that a network's training loop is made of.

Activations work in place: their times include a copy of what they work on.
"""

from math import exp, log, tanh
from operator import mul

import numpy as np

from bench.cases.case import Case, normal
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.nn.loss import CrossEntropy, HalfSquaredError

TOLERANCE = np.float32(8 * np.finfo(np.float32).eps)
# What random layers draw from; none of these reads it.
DRAW = (0, 0, 0, 0)


def linear_forward(n_samples: int, n_in: int, n_out: int) -> Case:
    x, weight, bias = normal((n_samples, n_in), (n_out, n_in), n_out)
    out, expected = np.empty((2, n_samples, n_out), np.float32)

    products = kernels.products(np.float32, n_samples, n_in, (n_out, n_out))

    def fastgd():
        kernels.linear_forward(x, weight, False, bias, out, products, False)
        return (out,)

    def numpy():
        np.matmul(x, weight.T, out=expected)
        np.add(expected, bias, out=expected)
        return (expected,)

    def python(x, weight, bias):
        return ([[sum(map(mul, x_i, w)) + b for w, b in zip(weight, bias, strict=True)] for x_i in x],)

    return Case(fastgd, numpy, python, (x, weight, bias), n_in + 1)


def linear_backward_input(n_samples: int, n_in: int, n_out: int) -> Case:
    d_out, weight = normal((n_samples, n_out), (n_out, n_in))
    d_x, expected = np.empty((2, n_samples, n_in), np.float32)

    products = kernels.products(np.float32, n_samples, n_out, (n_out, n_out))

    def fastgd():
        kernels.linear_backward_input(d_out, weight, d_x, products)
        return (d_x,)

    def numpy():
        return (np.matmul(d_out, weight, out=expected),)

    def python(d_out, weight):
        columns = list(zip(*weight, strict=True))
        return ([[sum(map(mul, d, column)) for column in columns] for d in d_out],)

    return Case(fastgd, numpy, python, (d_out, weight), n_out)


def linear_backward_parameters(n_samples: int, n_in: int, n_out: int) -> Case:
    d_out, x = normal((n_samples, n_out), (n_samples, n_in))
    d_weight, expected = np.empty((2, n_out, n_in), np.float32)
    d_bias, expected_bias = np.empty((2, n_out), np.float32)

    products = kernels.products(np.float32, n_samples, n_samples, (n_out, n_out))

    def fastgd():
        kernels.linear_backward_parameters(d_out, x, False, False, d_weight, d_bias, products)
        return d_weight, d_bias

    def numpy():
        return np.matmul(d_out.T, x, out=expected), np.sum(d_out, axis=0, out=expected_bias)

    def python(d_out, x):
        outputs, inputs = list(zip(*d_out, strict=True)), list(zip(*x, strict=True))
        return [[sum(map(mul, d, x_j)) for x_j in inputs] for d in outputs], [sum(d) for d in outputs]

    return Case(fastgd, numpy, python, (d_out, x), n_samples)


def relu_forward(size: int) -> Case:
    (z,) = normal(size)
    out, expected = np.empty((2, size), np.float32)
    mask, expected_mask = np.empty((2, size), np.bool_)
    run = kernels.relu_forward.bound(out, TOLERANCE, DRAW, mask)

    def fastgd():
        np.copyto(out, z)
        run()
        return out, mask

    def numpy():
        return np.maximum(z, 0, out=expected), np.greater_equal(z, -TOLERANCE, out=expected_mask)

    def python(z):
        return [z_j if z_j >= 0 else 0.0 for z_j in z], [z_j >= -TOLERANCE for z_j in z]

    return Case(fastgd, numpy, python, (z,), 0)


def relu_backward(size: int) -> Case:
    d_out, out = normal(size, size)
    mask = out > 0
    d_z, expected = np.empty((2, size), np.float32)
    run = kernels.relu_backward.bound(out, mask, TOLERANCE, d_z)

    def fastgd():
        np.copyto(d_z, d_out)
        run()
        return (d_z,)

    def numpy():
        return (np.multiply(d_out, mask, out=expected),)

    def python(d_out, mask):
        return ([d if passes else 0.0 for d, passes in zip(d_out, mask, strict=True)],)

    return Case(fastgd, numpy, python, (d_out, mask), 0)


def loss_and_derivative(n_samples: int, n_out: int) -> Case:
    out, target = normal((n_samples, n_out), (n_samples, n_out))
    no_weights, scale = np.empty(0, np.float32), np.float32(1 / n_samples)
    d_out, expected, squares = np.empty((3, n_samples, n_out), np.float32)
    objective = kernels.objective(HalfSquaredError(), np.float32)
    given = [read_only(array) for array in (out, target, no_weights)]

    def fastgd():
        kernels.loss_and_derivative(objective, *given, scale, d_out)
        return objective.sums[0], d_out

    def numpy():
        np.subtract(out, target, out=expected)
        # Not np.vdot, which is faster but loses four digits over the large shape: np.sum adds pairwise.
        loss = 0.5 * np.square(expected, out=squares).sum()
        return loss, np.multiply(expected, scale, out=expected)

    def python(out, target):
        errors = [[o - t for o, t in zip(*row, strict=True)] for row in zip(out, target, strict=True)]
        loss = sum(e * e for row in errors for e in row) / 2
        return loss, [[e / len(errors) for e in row] for row in errors]

    # NumPy's pairwise sum: within blocks of 128, then over a tree of blocks.
    return Case(fastgd, numpy, python, (out, target), 64)


def cross_entropy(n_samples: int, n_classes: int) -> Case:
    (out,) = normal((n_samples, n_classes))
    labels = np.arange(n_samples) % n_classes
    target, rows = labels.astype(np.float32)[:, None], np.arange(n_samples)
    no_weights, scale = np.empty(0, np.float32), np.float32(1 / n_samples)
    d_out, expected = np.empty((2, n_samples, n_classes), np.float32)
    objective = kernels.objective(CrossEntropy(0.0), np.float32)
    given = [read_only(array) for array in (out, target, no_weights)]

    def fastgd():
        kernels.loss_and_derivative(objective, *given, scale, d_out)
        return objective.sums[0], d_out

    def numpy():
        np.subtract(out, out.max(axis=1, keepdims=True), out=expected)
        at_labels = expected[rows, labels].sum()
        np.exp(expected, out=expected)
        sums = expected.sum(axis=1, keepdims=True)
        np.divide(expected, sums, out=expected)
        expected[rows, labels] -= 1
        return np.log(sums).sum() - at_labels, np.multiply(expected, scale, out=expected)

    def python(out, labels):
        loss, d = 0.0, []
        for row, label in zip(out, labels, strict=True):
            largest = max(row)
            exponentials = [exp(z - largest) for z in row]
            total = sum(exponentials)
            loss += log(total) - (row[label] - largest)
            d.append([(e / total - (j == label)) / len(out) for j, e in enumerate(exponentials)])
        return loss, d

    return Case(fastgd, numpy, python, (out, labels), 64)


def tanh_forward(size: int) -> Case:
    (z,) = normal(size)
    out, expected = np.empty((2, size), np.float32)
    run = kernels.tanh_forward.bound(out, 0, DRAW, np.empty(size, np.bool_))

    def fastgd():
        np.copyto(out, z)
        run()
        return (out,)

    def numpy():
        return (np.tanh(z, out=expected),)

    def python(z):
        return ([tanh(v) for v in z],)

    return Case(fastgd, numpy, python, (z,), 4)


def sigmoid_forward(size: int) -> Case:
    (z,) = normal(size)
    out, expected = np.empty((2, size), np.float32)
    run = kernels.sigmoid_forward.bound(out, 0, DRAW, np.empty(size, np.bool_))

    def fastgd():
        np.copyto(out, z)
        run()
        return (out,)

    def numpy():
        np.exp(np.negative(z, out=expected), out=expected)
        np.add(expected, 1, out=expected)
        return (np.reciprocal(expected, out=expected),)

    def python(z):
        return ([1 / (1 + exp(-v)) for v in z],)

    return Case(fastgd, numpy, python, (z,), 8)
