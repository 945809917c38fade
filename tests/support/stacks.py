"""Networks with every layer beside Linear and ReLU, and what a Dropout lets pass."""

import numpy as np

import fastgd as gd
from fastgd.kernels.random import subkey

SLOPE = 0.125

STACKS = {
    "every activation": [
        *(gd.Linear(5, 7), gd.LeakyReLU(SLOPE), gd.Linear(7, 6), gd.Tanh(), gd.Linear(6, 4), gd.Sigmoid()),
        *(gd.Linear(4, 3), gd.ReLU(), gd.Linear(3, 2), gd.Identity()),
    ],
    "activation first": [gd.Tanh(), gd.Linear(5, 2)],
    "LeakyReLU first": [gd.LeakyReLU(SLOPE), gd.Linear(5, 2), gd.LeakyReLU(SLOPE)],
    "ending in Sigmoid": [gd.Linear(5, 3), gd.Sigmoid()],
    "neuron with Tanh": [gd.Linear(5, 1), gd.Tanh()],
    "neuron with LeakyReLU": [gd.Linear(5, 1), gd.LeakyReLU(SLOPE)],
    "neuron with Identity": [gd.Linear(5, 1), gd.Identity()],
    "activations in a row": [gd.Linear(5, 4), gd.Tanh(), gd.LeakyReLU(SLOPE), gd.Sigmoid(), gd.Linear(4, 1)],
    "Dropout": [
        gd.Linear(5, 8),
        gd.LeakyReLU(SLOPE),
        gd.Dropout(0.25),
        gd.Linear(8, 8),
        gd.Dropout(0.5),
        gd.Linear(8, 2),
    ],
    "Dropout first": [gd.Dropout(0.25), gd.Linear(5, 6), gd.ReLU(), gd.Linear(6, 1)],
    "Dropout last": [gd.Linear(5, 6), gd.Dropout(0.25)],
    "two Dropouts in a row": [gd.Linear(5, 6), gd.Dropout(0.25), gd.Dropout(0.25), gd.Linear(6, 1)],
}


def frozen(values, dtype):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def passes(mask_key, n_rows, n_units, p):
    """Which elements of a batch a Dropout lets pass."""
    bits = [int(subkey(np.uint64(mask_key), position)) for position in range(n_rows * n_units)]
    return np.array([number >= int(p * 2**64) for number in bits]).reshape(n_rows, n_units)
