"""Optimisers, and what several of their tests do with a run."""

import numpy as np

import fastgd as gd

OPTIMIZERS = {
    "SGD": gd.SGD(0.05),
    "SGD momentum": gd.SGD(0.05, momentum=0.9),
    "SGD dampening": gd.SGD(0.02, momentum=0.9, dampening=0.4),
    "SGD weight_decay": gd.SGD(0.05, weight_decay=0.2),
    "SGD nesterov": gd.SGD(0.02, momentum=0.8, nesterov=True),
    "SGD momentum, dampening, weight_decay": gd.SGD(0.05, momentum=0.7, dampening=0.25, weight_decay=0.2),
    "SGD nesterov, weight_decay": gd.SGD(0.02, momentum=0.8, weight_decay=0.1, nesterov=True),
    "SGD dampening without momentum": gd.SGD(0.05, dampening=0.5, weight_decay=0.2),
    "Adam": gd.Adam(),
    "Adam with all": gd.Adam(0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "AdamW": gd.AdamW(),
    "AdamW with all": gd.AdamW(0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "Adagrad": gd.Adagrad(),
    "Adagrad lr_decay": gd.Adagrad(0.1, lr_decay=0.2),
    "Adagrad with all": gd.Adagrad(0.1, lr_decay=0.1, weight_decay=0.2, initial_accumulator_value=0.3, eps=1e-3),
    "RMSprop": gd.RMSprop(),
    "RMSprop momentum": gd.RMSprop(0.005, alpha=0.9, momentum=0.5),
    "RMSprop centered": gd.RMSprop(0.005, alpha=0.9, centered=True),
    "RMSprop with all": gd.RMSprop(0.005, alpha=0.8, eps=1e-3, weight_decay=0.2, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD(),
    "NormalizedSGD 0.1": gd.NormalizedSGD(0.1),
}
# One of each kind, for the tests of what surrounds them.
EACH = {
    "SGD": gd.SGD,
    "SGD momentum": lambda rate: gd.SGD(rate, momentum=0.9),
    "Adam": gd.Adam,
    "AdamW": gd.AdamW,
    "Adagrad": gd.Adagrad,
    "RMSprop": lambda rate: gd.RMSprop(rate, momentum=0.5, centered=True),
    "NormalizedSGD": gd.NormalizedSGD,
}


def constant_gradients(n_rows, scale=1.0, dtype="float32"):
    """Rows x = ± scale and a model without biases, whose gradient is x at any weights near zero."""
    X = np.full((n_rows, 1), scale, dtype)
    X[1::2] *= -1
    return gd.Model([gd.Linear(1, 1, bias=False, init="zeros")], dtype=dtype), X, -np.sign(X[:, 0])


SCHEDULE = gd.schedules.LinearWarmup(gd.schedules.InverseScaling(0.02), n_updates=7)

DROPPING = [gd.Linear(5, 7), gd.ReLU(), gd.Dropout(0.3), gd.Linear(7, 2)]


def assert_same_run(trainer, whole):
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.history.loss == whole.history.loss
    assert trainer.n_updates == whole.n_updates
    assert trainer.learning_rate == whole.learning_rate
    assert trainer.optimizer == whole.optimizer
    if trainer.average_from is not None:
        np.testing.assert_array_equal(trainer.averaged_model().parameters, whole.averaged_model().parameters)


def reloaded(trainer, path):
    trainer.save(path)
    return gd.Trainer.load(path)
