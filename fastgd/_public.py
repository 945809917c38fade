"""What `fastgd` exports, imported together when the first of these names is used, as `fastgd.__getattr__` says.

Modules that training does without come when they are used themselves.
"""

from typing import TYPE_CHECKING

from fastgd import data, labels, losses, replicas, schedules
from fastgd._version import __version__
from fastgd.activations import Dropout, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.data.base import Dataset
from fastgd.errors import DivergenceError, UsageWarning
from fastgd.history import EpochRecord, History
from fastgd.layers import Linear, RobustStandardize, Standardize, StandardizedTargets
from fastgd.model import Model
from fastgd.optimizers import SGD, Adagrad, Adam, AdamW, NormalizedSGD, RMSprop
from fastgd.trainer import Trainer

if TYPE_CHECKING:
    from fastgd import callbacks, plot
    from fastgd.tracing import trace

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Dataset",
    "DivergenceError",
    "Dropout",
    "EpochRecord",
    "History",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Model",
    "NormalizedSGD",
    "RMSprop",
    "ReLU",
    "RobustStandardize",
    "Sigmoid",
    "Standardize",
    "StandardizedTargets",
    "Tanh",
    "Trainer",
    "UsageWarning",
    "__version__",
    "callbacks",
    "data",
    "labels",
    "losses",
    "plot",
    "replicas",
    "schedules",
    "trace",
]
