"""The article's algorithm in plain Python, for any type of number, and the comparison of fastgd with it."""

from fastgd.reference.algorithm import Linear, ReLU, half_squared_error, loss_and_gradient, predict, train

__all__ = ["Linear", "ReLU", "half_squared_error", "loss_and_gradient", "predict", "train"]
