"""The article's algorithm in plain Python, for any type of number, and the comparison of fastgd with it.

`algorithm.py` is the algorithm, `article.py` the article's worked example in fractions, `exact.py` traces its steps.
"""

from fastgd.reference.algorithm import Linear, ReLU, half_squared_error, loss_and_gradient, predict, train

__all__ = ["Linear", "ReLU", "half_squared_error", "loss_and_gradient", "predict", "train"]
