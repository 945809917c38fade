"""The optimisers' updates of a flat vector."""

import numpy as np

from bench.cases.case import Case, normal
from fastgd import kernels
from fastgd.kernels.codegen.function_pointer import settings_vector
from fastgd.kernels.optim.optimizers import OPTIMIZERS, Adam, PlainSGD

RATE = np.float32(1e-6)
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def vectors_of(size: int) -> kernels.Vectors:
    parameters, gradient = normal(size, size)
    none = np.empty(0, np.float32)
    state = np.zeros((2, size), np.float32)
    own, average = np.empty(0), np.empty(0)
    return kernels.Vectors(parameters, gradient, none, state, own, average, none)


def plain_sgd(size: int) -> Case:
    vectors = vectors_of(size)
    expected, step = vectors.parameters.copy(), np.empty(size, np.float32)
    inputs = vectors.parameters.tolist(), vectors.gradient.tolist()
    run = OPTIMIZERS[PlainSGD].update.bound(vectors, settings_vector(PlainSGD()), RATE, 1, (0, size))

    def fastgd():
        run()
        return (vectors.parameters,)

    def numpy():
        np.multiply(vectors.gradient, RATE, out=step)
        return (np.subtract(expected, step, out=expected),)

    def python(parameters, gradient):
        return ([p - 1e-6 * g for p, g in zip(parameters, gradient, strict=True)],)

    return Case(fastgd, numpy, python, inputs, 2)


def adam(size: int) -> Case:
    """The first update, again and again from where the last one led."""
    vectors = vectors_of(size)
    g, expected = vectors.gradient, vectors.parameters.copy()
    m, v, step, spread = np.zeros((4, size), np.float32)
    inputs = vectors.parameters.tolist(), g.tolist()
    settings = settings_vector(Adam(BETA1, BETA2, EPS, 0.0, False))
    run = OPTIMIZERS[Adam].update.bound(vectors, settings, RATE, 1, (0, size))

    def fastgd():
        run()
        return (vectors.parameters,)

    def numpy():
        np.multiply(m, BETA1, out=m)
        np.add(m, np.multiply(g, 1 - BETA1, out=step), out=m)
        np.multiply(v, BETA2, out=v)
        np.add(v, np.multiply(np.square(g, out=step), 1 - BETA2, out=step), out=v)
        np.add(np.sqrt(np.divide(v, 1 - BETA2, out=spread), out=spread), EPS, out=spread)
        np.divide(np.multiply(m, RATE / (1 - BETA1), out=step), spread, out=step)
        return (np.subtract(expected, step, out=expected),)

    def python(parameters, gradient):
        # m / (1 - β1) is g and v / (1 - β2) is g² in the first update.
        return ([p - 1e-6 * g / ((g * g) ** 0.5 + EPS) for p, g in zip(parameters, gradient, strict=True)],)

    return Case(fastgd, numpy, python, inputs, 8)
