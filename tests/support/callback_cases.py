"""A run for callbacks, and losses for one of them."""

from cases import model_of, rows_for

import fastgd as gd
from fastgd.history import EpochRecord


class Recorder:
    """What the trainer is after each epoch."""

    def __init__(self):
        self.parameters, self.factors, self.epochs = [], [], []

    def __call__(self, trainer, record):
        self.parameters.append(trainer.model.parameters.copy())
        self.factors.append(trainer.learning_rate_factor)
        self.epochs.append(record.epoch)


def class_name(instance):
    return type(instance).__name__


def problem(name="hidden layer", n_samples=30):
    """A trainer, and rows to train and to validate on."""
    model = model_of(name)
    X, y, _ = rows_for(model, 2 * n_samples)
    trainer = gd.Trainer(model, optimizer=gd.Adam(0.05), batch_size=4, shuffle=True, seed=4)
    return trainer, (X[:n_samples], y[:n_samples]), (X[n_samples:], y[n_samples:])


def play(callback, losses, monitor="validation_loss", first=1):
    """The callback's answers, and the trainer's parameters and factors, over epochs with these losses."""
    trainer = gd.Trainer(model_of("neuron"))
    answers, factors = [], []
    for epoch, loss in enumerate(losses, first):
        trainer.model.parameters = epoch
        record = EpochRecord(epoch, 0.5, 0.5, 0.1)._replace(**{monitor: loss})
        answers.append(callback(trainer, record) is True)
        factors.append(trainer.learning_rate_factor)
    if hasattr(callback, "on_end"):
        callback.on_end(trainer, None)
    return answers, factors, trainer.model.parameters[0]


class Failing:
    """Notes what it hears, and raises an error where it is to."""

    def __init__(self, heard, name, begin=None, end=None):
        self.heard, self.name, self.errors = heard, name, {"begin": begin, "end": end}

    def hear(self, what, error=None):
        self.heard.append((self.name, what, error))
        if self.errors[what] is not None:
            raise self.errors[what]

    def on_begin(self, trainer):
        self.hear("begin")

    def __call__(self, trainer, record):
        pass

    def on_end(self, trainer, error):
        self.hear("end", error)
