"""The trace: every number of one update after another, as the article writes them out.

`gd.trace(model, X, y, ...)` and `trainer.trace(X, y)` give a `Trace`, a sequence of `Step`. `recorder.py` has the
kernels make them, and `step_table.py` says by what formula each number comes about.
"""

from fastgd.tracing.recorder import rows_to_trace, trace_updates
from fastgd.tracing.sequence import Trace
from fastgd.tracing.step import Step
from fastgd.tracing.trace_model import trace

__all__ = ["Step", "Trace", "rows_to_trace", "trace", "trace_updates"]
