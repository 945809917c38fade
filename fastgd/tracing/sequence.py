"""One update after another, and the tables that show them."""

from collections.abc import Iterator, Sequence
from typing import overload

from fastgd.tables import Table
from fastgd.tracing.step import Step

# The text and the page of a trace show so many steps, and say how many more there are.
_MOST_STEPS = 10


class Trace(Sequence[Step]):
    """The steps that `gd.trace` or `trainer.trace` has made, in order; a sequence of `fastgd.tracing.Step`.

    Its text is a table for each step, of the first 10 where there are more; a notebook shows the same. Names and
    formulas are the article's: o1 is the input, o2 the first layer's output, δ2 the derivative of the loss by what that
    layer is given, w2 its weights, δw2 their gradient, ŵ2 the weights after. A cell shows up to 8 numbers of up to 8
    rows, in 6 digits, and says how many more there are; the steps' arrays have all of them.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(2, 1, bias=False, init=[[1, 2]]), gd.ReLU()], dtype="float64")
    >>> trace = gd.trace(model, [[1, 1], [2, 0]], [2, 2], learning_rate=0.5)
    >>> [step.loss for step in trace]
    [0.5, 0.5]
    >>> trace[0].deltas[0]
    array([[1., 2.]])
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, place: int) -> Step: ...
    @overload
    def __getitem__(self, place: slice) -> "Trace": ...
    def __getitem__(self, place: int | slice) -> "Step | Trace":
        return Trace(self._steps[place]) if isinstance(place, slice) else self._steps[place]

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    @property
    def tables(self) -> list[Table]:
        """A table for each step."""
        return [step.table for step in self._steps]

    def to_markdown(self) -> str:
        """A pipe table for each step."""
        return "\n\n".join(table.to_markdown() for table in self.tables)

    def to_latex(self) -> str:
        """A tabular for each step, with formulas in mathematics; it needs no package."""
        return "\n\n".join(table.to_latex() for table in self.tables)

    def __str__(self) -> str:
        shown = [table.to_text() for table in self[:_MOST_STEPS].tables]
        return "\n\n".join([*shown, *self._omitted()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        shown = [table.to_html() for table in self[:_MOST_STEPS].tables]
        return "\n".join([*shown, *(f"<p>{line}</p>" for line in self._omitted())])

    def _omitted(self) -> list[str]:
        n_more = len(self) - _MOST_STEPS
        return [f"… {n_more} steps more: trace[{_MOST_STEPS}:]"] if n_more > 0 else []
