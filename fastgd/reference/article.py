"""The article's worked example, exactly: one neuron that tells bad shape, 0, from good, 1.

Features are broccoli, Tagada strawberries and workout hours.
"""

from fractions import Fraction

from fastgd.activations import ReLU
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.reference import algorithm as reference

X = [[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]]
Y = [[0], [1], [1]]
WEIGHT = [[Fraction(1, 200), Fraction(-3000, 11_600_000), Fraction(1, 5800)]]
LEARNING_RATE = Fraction(1, 10**7)
#: Outputs from here on are taken for 1.
THRESHOLD = Fraction(1, 2)


def layers() -> list[reference.Layer]:
    """The neuron in fractions."""
    return [reference.Linear(WEIGHT), reference.ReLU()]


def model(dtype: str = "float64") -> Model:
    """The neuron as fastgd has it."""
    init = [[float(w) for w in row] for row in WEIGHT]
    return Model([Linear(len(X[0]), 1, bias=False, init=init), ReLU()], dtype)
