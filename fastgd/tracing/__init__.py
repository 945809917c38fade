"""The trace: every number of one update after another, as the article writes them out.

`gd.trace(model, X, y, ...)` and `trainer.trace(X, y)` give a `Trace`, a sequence of `Step`. `recorder.py` has the
kernels make them, `rows.py` says by what formula each number comes about, `steps.py` sets them in tables.
"""

from fastgd.tracing.once import trace
from fastgd.tracing.recorder import rows_to_trace, trace_updates
from fastgd.tracing.step import Step
from fastgd.tracing.steps import Trace

__all__ = ["Step", "Trace", "rows_to_trace", "trace", "trace_updates"]
