"""Tables of Arrow's, and what is read of them."""

import numpy as np
import pyarrow as pa

import fastgd as gd

N_ROWS = 40
CITIES = ["Rome", "Oslo"] * (N_ROWS // 2)


def columns(**others):
    numbers = np.arange(N_ROWS)
    return pa.table({"a": numbers / 8, "b": numbers.astype(np.int8), "y": -numbers} | others)


def opened(table, **roles):
    """The only block of a table, as arrays, and the names of its features."""
    stream = gd.data.from_stream(table, **{"target": "y"} | roles)
    (block,) = stream.open()
    X, y, weight = (np.asarray(array) for array in block[:3])
    assert X.shape == (N_ROWS, stream.n_features)
    assert y.shape == (N_ROWS, stream.n_outputs)
    assert len(weight) == (N_ROWS if stream.has_sample_weight else 0)
    return X, y, weight, stream
