"""A layer of a network, as the training loops know it."""

from typing import NamedTuple


class Layer(NamedTuple):
    """A layer as numbers.

    n_in, n_out : int, the widths
    weight, bias, bias_end : int, where these begin in the flat parameters; bias and its end are one without a bias
    input, output : int, where these begin in the buffers; the first layer's input does not lie there. They are the same
        for an activation that follows a Linear, which works in place, as nothing needs its input later
    forward, backward : int, the addresses of an activation's kernels; zero for a Linear
    """

    n_in: int
    n_out: int
    weight: int
    bias: int
    bias_end: int
    input: int
    output: int
    forward: int
    backward: int
