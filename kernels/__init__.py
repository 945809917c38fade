"""The compiled kernels: arrays in, arrays out.

Conventions, which every kernel keeps:

- Floating arrays of one call share one dtype, float32 or float64, unless the docstring says otherwise.
- Arrays are C-contiguous. A weight is (n_out, n_in), a batch is (n_samples, n_features).
- The caller allocates the outputs. "Overwritten": every element is written and none is read before. Outputs never share
  memory with inputs.
- Kernels allocate nothing that grows with the data, raise no errors, draw no random numbers and keep no state. Their
  input is checked before it comes here.
- `x`, `weight`, `bias`, `out`, `target` and `mask` name the same things everywhere; `d_x` is the derivative of the
  batch's loss with respect to x.
"""

from ._jit import cache_directory
from .activation import relu_backward, relu_forward
from .gather import gather_rows
from .linear import linear_backward_input, linear_backward_parameters, linear_forward
from .loss import half_squared_error
from .memory import sum_elements
from .network import Network, evaluate_network, loss_and_gradient, predict_network, train_network
from .neuron import train_neuron
from .synthetic import synthetic_rows
from .update import sgd_update

__all__ = [
    "Network",
    "cache_directory",
    "evaluate_network",
    "gather_rows",
    "half_squared_error",
    "linear_backward_input",
    "linear_backward_parameters",
    "linear_forward",
    "loss_and_gradient",
    "predict_network",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "sum_elements",
    "synthetic_rows",
    "train_network",
    "train_neuron",
]
