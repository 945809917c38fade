"""The loops over a whole network and over a neuron. A shape is the widths, the batch size and the number of rows."""

from collections.abc import Callable

import numpy as np

from bench.cases.case import Case
from bench.cases.numpy_training import NumpyNetwork
from bench.cases.numpy_training import train_neuron as numpy_train_neuron
from bench.cases.workloads import Workload
from fastgd import kernels
from fastgd.data.block import read_only
from fastgd.kernels.codegen.alignment import aligned_empty
from fastgd.kernels.nn.loss import HalfSquaredError
from fastgd.kernels.optim.optimizers import PlainSGD
from fastgd.kernels.tuning import BYTES_ADDED_BY_4, MAX_VECTOR_WIDTH
from fastgd.network import network_of
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline

RATE = 1e-3
RATES = np.array([RATE])
LOSS = HalfSquaredError()
NO_WEIGHTS = read_only(np.empty(0, np.float32))


class Subject:
    """A model, its rows, and the same network in NumPy and in plain Python."""

    def __init__(self, widths: tuple[int, ...], batch_size: int, n_samples: int) -> None:
        workload = Workload("", widths, batch_size, n_samples, n_samples, RATE)
        self.X, self.y = map(read_only, workload.arrays())
        self.model = workload.model()
        self.parameters = self.model.parameters
        self.layers = network_of(self.model, batch_size)
        self.objective = kernels.objective(LOSS, self.model.dtype)
        self.tolerance = self.model.dtype.type(8 * np.finfo(np.float32).eps)
        self.numpy = NumpyNetwork(self.parameters, widths, batch_size, self.tolerance)
        self.python = baseline.as_reference(self.model)
        self.batches = [slice(i, i + batch_size) for i in range(0, n_samples, batch_size)]
        # A sum over the inputs of each layer and over the batch, whose errors are as often up as down.
        self.operations = int(np.sqrt(sum(widths) + batch_size))

    def vectors(self) -> kernels.Vectors:
        """The model's parameters and what plain SGD needs beside them."""
        none, size = np.empty(0, np.float32), self.parameters.size
        gradient, state = np.zeros(size, np.float32), np.zeros((0, size), np.float32)
        own, average = np.empty(0), np.empty(0)
        return kernels.Vectors(self.parameters, gradient, none, state, own, average, none)

    def rule(self) -> kernels.UpdateRule:
        """Plain SGD, and no more, whose updates are direct."""
        none = kernels.NoRegularization()
        return kernels.update_rule(
            PlainSGD(), none, self.model.weights, self.model.dtype, keeps_gradient=False, has_rows=False
        )


def predict_network(widths: tuple[int, ...], batch_size: int, n_samples: int) -> Case:
    subject = Subject(widths, batch_size, n_samples)
    out, expected = np.empty((2, n_samples, widths[-1]), np.float32)

    def fastgd():
        kernels.predict_network(subject.layers, subject.parameters, subject.X, out)
        return (out,)

    def numpy():
        for rows in subject.batches:
            expected[rows] = subject.numpy.forward(subject.X[rows])
        return (expected,)

    def python(X):
        return ([reference.predict(subject.python, x) for x in X],)

    return Case(fastgd, numpy, python, (subject.X,), subject.operations)


def evaluate_network(widths: tuple[int, ...], batch_size: int, n_samples: int) -> Case:
    subject = Subject(widths, batch_size, n_samples)
    loss_sum = np.empty(1)

    def fastgd():
        loss_sum[0] = 0
        rows = subject.X, subject.y, NO_WEIGHTS
        kernels.evaluate_network(subject.layers, subject.parameters, subject.objective, *rows, loss_sum)
        return (loss_sum[0],)

    def numpy():
        total = 0.0
        for rows in subject.batches:
            error = subject.numpy.forward(subject.X[rows]) - subject.y[rows]
            total += 0.5 * float(np.vdot(error, error))
        return (total,)

    def python(X, y):
        outputs = [reference.predict(subject.python, x) for x in X]
        return (sum(reference.half_squared_error(out, target)[0] for out, target in zip(outputs, y, strict=True)),)

    return Case(fastgd, numpy, python, (subject.X, subject.y), subject.operations)


def loss_and_gradient(widths: tuple[int, ...], batch_size: int, n_samples: int) -> Case:
    subject = Subject(widths, batch_size, n_samples)
    (gradient, scratch), loss_sum = np.empty((2, subject.parameters.size), np.float32), np.empty(1)
    rows, scale = (subject.X, subject.y, NO_WEIGHTS), subject.model.dtype.type(1 / n_samples)

    def fastgd():
        gradient[:] = loss_sum[0] = 0
        given = subject.layers, subject.parameters, subject.objective, 0, *rows, scale
        kernels.loss_and_gradient(*given, gradient, scratch, loss_sum)
        return loss_sum[0], gradient

    def numpy():
        return subject.numpy.loss_and_gradient(subject.X, subject.y), subject.numpy.gradient

    def python(X, y):
        for layer in subject.python:
            layer.clear()
        loss = reference.loss_and_gradient(subject.python, X, y, [1] * len(X))
        parts = [layer for layer in subject.python if isinstance(layer, reference.Linear)]
        return loss, [g for part in parts for g in [*(d for row in part.d_weight for d in row), *part.d_bias]]

    return Case(fastgd, numpy, python, (subject.X, subject.y), subject.operations)


def train_network(widths: tuple[int, ...], batch_size: int, n_samples: int) -> Case:
    subject = Subject(widths, batch_size, n_samples)
    progress, vectors = kernels.Progress.zeros(), subject.vectors()
    rules = subject.objective, subject.rule(), RATES
    rows = subject.X, subject.y, NO_WEIGHTS

    def fastgd():
        progress.begin_epoch(n_samples)
        kernels.train_network(subject.layers, vectors, *rules, *rows, batch_size, progress, kernels.WITHIN_EPOCH)
        return progress.loss_sum[0] / n_samples, subject.parameters

    def numpy():
        return subject.numpy.train(subject.X, subject.y, RATE), subject.numpy.parameters

    def python(X, y):
        loss = reference.train(subject.python, X, y, RATE, batch_size)
        return loss, baseline.parameters_of(subject.python)

    return Case(fastgd, numpy, python, (subject.X, subject.y), subject.operations)


def train_neuron(kernel: Callable[..., None], n_features: int, n_samples: int) -> Case:
    subject = Subject((n_features, 1), 1, n_samples)
    progress, expected = kernels.Progress.zeros(), subject.parameters.copy()
    neuron = kernels.ReLUNeuron(n_features, subject.tolerance)
    rows = kernels.Rows(subject.X, subject.y)
    weight = aligned_empty(n_features + MAX_VECTOR_WIDTH, np.float32)

    def fastgd():
        progress.begin_epoch(n_samples)
        kernel(neuron, subject.parameters, weight, LOSS, kernels.NoRegularization(), RATES, rows, progress)
        return progress.loss_sum[0] / n_samples, subject.parameters

    def numpy():
        return numpy_train_neuron(expected, float(subject.tolerance), subject.X, subject.y, RATE), expected

    def python(X, y):
        loss = reference.train(subject.python, X, y, RATE)
        return loss, baseline.parameters_of(subject.python)

    return Case(fastgd, numpy, python, (subject.X, subject.y), subject.operations)


def train_neuron_online_by_4(n_features: int, n_samples: int) -> Case:
    return train_neuron(kernels.train_neuron_online_by_4, n_features, n_samples)


def train_neuron_online(n_features: int, n_samples: int) -> Case:
    return train_neuron(kernels.train_neuron_online, n_features, n_samples)


def train_neuron_batch(n_features: int, batch_size: int, n_samples: int) -> Case:
    subject = Subject((n_features, 1), batch_size, n_samples)
    progress, vectors = kernels.Progress.zeros(), subject.vectors()
    rules = LOSS, subject.rule(), RATES
    neuron, gradient = kernels.LinearNeuron(n_features), aligned_empty(n_features + MAX_VECTOR_WIDTH, np.float32)
    pattern = (kernels.By4 if 4 * n_features <= BYTES_ADDED_BY_4 else kernels.RowByRow)(gradient)
    # As the NumPy network: without the ReLU.
    layers = subject.python[:-1]
    rows = kernels.Rows(subject.X, subject.y)

    def fastgd():
        progress.begin_epoch(n_samples)
        sizes = batch_size, batch_size
        kernels.train_neuron_batch(pattern, neuron, vectors, *rules, rows, *sizes, progress, kernels.WITHIN_EPOCH)
        return progress.loss_sum[0] / n_samples, subject.parameters

    def numpy():
        return subject.numpy.train(subject.X, subject.y, RATE), subject.numpy.parameters

    def python(X, y):
        loss = reference.train(layers, X, y, RATE, batch_size)
        return loss, baseline.parameters_of(layers)

    return Case(fastgd, numpy, python, (subject.X, subject.y), subject.operations)
