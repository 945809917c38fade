"""Gradient descent for linear and ReLU networks, with compiled kernels."""

from pathlib import Path as _Path

# The kernels stand beside this folder in a checkout and inside it in an installation. Without this line, a checkout
# whose kernels are not installed, or are installed elsewhere, would not find its own.
if not (_Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(_Path(__file__).parents[1]))

from fastgd._collector import collection_paused as _collection_paused

with _collection_paused():
    from fastgd import callbacks, data, losses, schedules
    from fastgd._version import __version__
    from fastgd.dataset import Dataset
    from fastgd.errors import DivergenceError
    from fastgd.history import EpochRecord, History
    from fastgd.layers import Dropout, Identity, LeakyReLU, Linear, ReLU, Sigmoid, Standardize, Tanh
    from fastgd.model import Model
    from fastgd.optimizers import SGD, Adagrad, Adam, AdamW, NormalizedSGD, RMSprop
    from fastgd.trainer import Trainer

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
    "Sigmoid",
    "Standardize",
    "Tanh",
    "Trainer",
    "__version__",
    "callbacks",
    "data",
    "losses",
    "schedules",
]
