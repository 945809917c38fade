"""The compiled kernels: arrays in, arrays out.

Whoever calls kernels imports them from here, whatever folder they stand in.

Conventions, which every kernel keeps:

- Floating arrays of one call share one dtype, float32 or float64, unless the docstring says otherwise.
- Arrays are C-contiguous. A weight is (n_out, n_in), a batch is (n_samples, n_features).
- The caller allocates the outputs. "Overwritten": every element is written and none is read before. Outputs never share
  memory with inputs.
- Kernels allocate nothing that grows with the data, raise no errors and keep no state: random bits come from a key.
  Their input is checked before it comes here.
- `x`, `weight`, `bias`, `out`, `target` and `mask` name the same things everywhere; `d_x` is the derivative of the
  batch's loss with respect to x.

Which decorator (`codegen.jit`, `codegen.function_pointer`) when:

- `kernel`: called from Python, and perhaps by other kernels.
- `exact_kernel`: the same where each rounding must be as written, as for compensated sums and random numbers.
- `inlined_kernel`: called by kernels alone; compiled again in each of them, so that constants and layouts are known.
- `exact_inlined_kernel`: the same with each rounding as written, whatever its callers allow: elementary functions.
- `pointer_kernel(signature)`: called through a function pointer, so that its caller need not be compiled again for it:
  activations, losses, optimisers, blocks of parallel work. `call_through(signature)` makes the call.
- `by_type(table)`: which of several functions is called is chosen by the type of the first argument when the caller is
  compiled.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import random, tuning
from .codegen.alignment import aligned_empty, aligned_zero_rows, aligned_zeros, sum_elements, whole_lines
from .codegen.cache import cache_directory, cache_is_writable
from .codegen.function_pointer import FunctionPointerKernel, settings_vector
from .codegen.interrupts import interrupts_deferred
from .codegen.jit import compile_for
from .codegen.processor import converts_halves
from .codegen.simd import HalfPrecision
from .gemm import Products, gemm, gemm_nt_small, gemm_small, gemv, ger, parallel_gemm, products
from .gemm.transpose import parallel_transpose, to_column_major, transpose
from .loops.input_derivative import input_derivative
from .loops.network import Network, make_update, train_network
from .loops.network_evaluation import (
    evaluate_network,
    loss_and_gradient,
    loss_and_gradient_of_micro_batch,
    predict_network,
)
from .loops.network_online import ROWS_AT_ONCE as NETWORK_ROWS_AT_ONCE
from .loops.network_online import first_layer, train_network_online
from .loops.neuron_batch import train_neuron_batch
from .loops.neuron_batch_passes import By4, Converted, RowByRow
from .loops.neuron_online import Equal, LinearNeuron, ReLUNeuron, Rows, Weighted, train_neuron_online
from .loops.neuron_online_by_4 import ROWS_AT_ONCE as NEURON_ROWS_AT_ONCE
from .loops.neuron_online_by_4 import train_neuron_online_by_4
from .loops.progress import WITHIN_EPOCH, Progress
from .loops.row_access import InOrder, Shuffled, ShuffledX
from .nn import activation, loss
from .nn.activation import (
    dropout_backward,
    dropout_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .nn.layer import Layer
from .nn.linear import linear_backward_input, linear_backward_parameters, linear_forward
from .nn.loss import Objective, loss_and_derivative, objective
from .nn.within import all_within
from .optim import bounded, normalized_sgd, optimizers
from .optim.bounded import Bounded
from .optim.hooks import Hooks
from .optim.optimizers import OPTIMIZERS
from .optim.regularization import NoRegularization, Regularization, prox_and_project, transform_gradient
from .optim.step import UpdateRule, update_rule
from .optim.vectors import Vectors
from .parallel.thread_pool import ALONE, N_WORKERS, begin_generation, work
from .rows.csr import (
    CSR,
    Scaled,
    Standardized,
    Unscaled,
    compact_rows,
    csr_has_one_entry_each,
    csr_is_finite,
    csr_moments,
    csr_row_squares,
    densify_rows,
    mark_columns,
)
from .rows.gather import (
    gather_rows,
    gather_rows_prefetching,
    row_squares,
    standardize_rows,
    standardize_rows_robustly,
)
from .rows.shuffle_windows import Layout, shuffle_windows
from .rows.synthetic import ROWS_AT_ONCE as SYNTHETIC_ROWS_AT_ONCE
from .rows.synthetic import VARIANCE as BELL_VARIANCE
from .rows.synthetic import synthetic_rows, teacher_weights
from .rows.transpose import COLUMNS_SCRATCH, columns_to_rows, columns_to_rows_reference
from .rows.transpose import Kind as ColumnKind

if TYPE_CHECKING:
    from .loops.csr_network import evaluate_network_csr, loss_and_gradient_csr, predict_network_csr, train_network_csr
    from .loops.csr_neuron import train_neuron_csr
    from .loops.csr_neuron_adagrad import (
        RECORD,
        Samples,
        Scratch,
        pack_records,
        pack_records_of,
        train_neuron_csr_adagrad,
        unpack_records,
        unpack_records_of,
    )
    from .loops.csr_updates import BoundedEntries, EveryWeight, LazySGD, SparseUpdate
    from .optim.lazy_penalty import Decaying, Shrinking, Unpenalized

# Few runs are of sparse rows: their loops are loaded when one is, as every start would wait for them.
_OF_SPARSE_ROWS = {
    ".loops.csr_network": (
        "evaluate_network_csr",
        "loss_and_gradient_csr",
        "predict_network_csr",
        "train_network_csr",
    ),
    ".loops.csr_neuron": ("train_neuron_csr",),
    ".loops.csr_neuron_adagrad": (
        "RECORD",
        "Samples",
        "Scratch",
        "pack_records",
        "pack_records_of",
        "train_neuron_csr_adagrad",
        "unpack_records",
        "unpack_records_of",
    ),
    ".loops.csr_updates": ("BoundedEntries", "EveryWeight", "LazySGD", "SparseUpdate"),
    ".optim.lazy_penalty": ("Decaying", "Shrinking", "Unpenalized"),
}


def __getattr__(name: str) -> Any:
    for module, names in _OF_SPARSE_ROWS.items():
        if name in names:
            return getattr(importlib.import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ALONE",
    "BELL_VARIANCE",
    "COLUMNS_SCRATCH",
    "CSR",
    "NETWORK_ROWS_AT_ONCE",
    "NEURON_ROWS_AT_ONCE",
    "N_WORKERS",
    "OPTIMIZERS",
    "RECORD",
    "SYNTHETIC_ROWS_AT_ONCE",
    "WITHIN_EPOCH",
    "Bounded",
    "BoundedEntries",
    "By4",
    "ColumnKind",
    "Converted",
    "Decaying",
    "Equal",
    "EveryWeight",
    "FunctionPointerKernel",
    "HalfPrecision",
    "Hooks",
    "InOrder",
    "Layer",
    "Layout",
    "LazySGD",
    "LinearNeuron",
    "Network",
    "NoRegularization",
    "Objective",
    "Products",
    "Progress",
    "ReLUNeuron",
    "Regularization",
    "RowByRow",
    "Rows",
    "Samples",
    "Scaled",
    "Scratch",
    "Shrinking",
    "Shuffled",
    "ShuffledX",
    "SparseUpdate",
    "Standardized",
    "Unpenalized",
    "Unscaled",
    "UpdateRule",
    "Vectors",
    "Weighted",
    "activation",
    "aligned_empty",
    "aligned_zero_rows",
    "aligned_zeros",
    "all_within",
    "begin_generation",
    "bounded",
    "cache_directory",
    "cache_is_writable",
    "columns_to_rows",
    "columns_to_rows_reference",
    "compact_rows",
    "compile_for",
    "converts_halves",
    "csr_has_one_entry_each",
    "csr_is_finite",
    "csr_moments",
    "csr_row_squares",
    "densify_rows",
    "dropout_backward",
    "dropout_forward",
    "evaluate_network",
    "evaluate_network_csr",
    "first_layer",
    "gather_rows",
    "gather_rows_prefetching",
    "gemm",
    "gemm_nt_small",
    "gemm_small",
    "gemv",
    "ger",
    "input_derivative",
    "interrupts_deferred",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward_input",
    "linear_backward_parameters",
    "linear_forward",
    "loss",
    "loss_and_derivative",
    "loss_and_gradient",
    "loss_and_gradient_csr",
    "loss_and_gradient_of_micro_batch",
    "make_update",
    "mark_columns",
    "normalized_sgd",
    "objective",
    "optimizers",
    "pack_records",
    "pack_records_of",
    "parallel_gemm",
    "parallel_transpose",
    "predict_network",
    "predict_network_csr",
    "products",
    "prox_and_project",
    "random",
    "relu_backward",
    "relu_forward",
    "row_squares",
    "settings_vector",
    "shuffle_windows",
    "sigmoid_backward",
    "sigmoid_forward",
    "standardize_rows",
    "standardize_rows_robustly",
    "sum_elements",
    "synthetic_rows",
    "tanh_backward",
    "tanh_forward",
    "teacher_weights",
    "to_column_major",
    "train_network",
    "train_network_csr",
    "train_network_online",
    "train_neuron_batch",
    "train_neuron_csr",
    "train_neuron_csr_adagrad",
    "train_neuron_online",
    "train_neuron_online_by_4",
    "transform_gradient",
    "transpose",
    "tuning",
    "unpack_records",
    "unpack_records_of",
    "update_rule",
    "whole_lines",
    "work",
]
