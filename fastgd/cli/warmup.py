"""Compile the kernels ahead of time, so that no user, worker or container waits for them later."""

import time
from collections.abc import Sequence

import numpy as np

from fastgd import kernels
from fastgd.activations import ReLU
from fastgd.data.synthetic import SyntheticDataset
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.optimizers import SGD
from fastgd.trainer import Trainer


def warmup(dtypes: Sequence[str] = ("float32", "float64")) -> float:
    """Compile the kernels of training and prediction, and return the seconds that it took.

    That is for Linear and ReLU with the half squared error and plain SGD; other losses, optimisers and layers compile
    when they are first used, and so does a neuron that reads data in another dtype than its own, or rows with
    weights.

    dtypes : of the models to prepare for; data in any of float32, float64, uint8 and int64 is prepared for with each
        network
    """
    began = time.perf_counter()
    for dtype in dtypes:
        data = SyntheticDataset(5, 2, dtype=dtype)
        X, y = data.arrays()
        kernels.sum_elements(X.ravel())
        kernels.products(np.dtype(dtype), 2, 2, (1, kernels.tuning.FEW, kernels.tuning.FAR_APART), n_workers=2)
        kernels.to_column_major.pointer(np.dtype(dtype))
        # As many units as one row at a time needs for a loop of its own.
        network = Model([Linear(2, 8), ReLU(), Linear(8, 1)], dtype)
        neurons = [Model([Linear(2, 1)], dtype), Model([Linear(2, 1), ReLU()], dtype)]
        for model in (network, *neurons):
            Trainer(model).fit(X, y, validation=(X, y))
            model.predict(X)
            model.loss_and_gradient(X, y)
        Trainer(Model([Linear(2, 1)], dtype), optimizer=SGD("auto")).fit(X, y)
        for neuron in neurons:
            # Five rows are four at once and one more.
            for batch_size in (1, 2):
                Trainer(neuron, batch_size=batch_size, shuffle=True).fit(X, y)
            Trainer(neuron, batch_size=2).fit(X, y)
        wide_neuron, wide_X = Model([Linear(1000, 1)], dtype), np.tile(X, 500)
        for shuffle in (False, True):
            Trainer(wide_neuron, batch_size=2, shuffle=shuffle).fit(wide_X, y)
        for data_dtype in ("float32", "float64", "uint8", "int64"):
            Trainer(network, batch_size=2, shuffle=True).fit(np.abs(X).astype(data_dtype), y)
    return time.perf_counter() - began
