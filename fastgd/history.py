"""What a training run remembers of each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas


class EpochRecord(NamedTuple):
    """One epoch of training.

    epoch : which one, from 1
    loss : mean over the epoch's rows, each taken before the update that the row led to (the online mean)
    validation_loss : mean after the epoch, or None without validation data
    seconds : how long the epoch's training took, validation and callbacks not counted
    """

    epoch: int
    loss: float
    validation_loss: float | None
    seconds: float


class Setback(NamedTuple):
    """An epoch that was taken back, to be tried again at a lower rate: with learning_rate="auto" alone.

    epoch : which one, from 1
    reason : what it ended in
    learning_rate_factor : what multiplies the learning rates from then on
    """

    epoch: int
    reason: str
    learning_rate_factor: float


@dataclass(repr=False)
class History:
    """One entry per completed epoch in each list; see `EpochRecord`.

    setbacks : list of Setback, the epochs that "auto" took back
    search_seconds : what "auto" took to find a learning rate, all searches together
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    setbacks: list[Setback] = field(default_factory=list)
    search_seconds: float = 0.0

    def append(self, record: EpochRecord) -> None:
        """Add an epoch."""
        self.loss.append(record.loss)
        self.validation_loss.append(record.validation_loss)
        self.seconds.append(record.seconds)

    def to_frame(self) -> "pandas.DataFrame":
        """The fields of `EpochRecord`, a row for each epoch, as a frame of pandas, which has to be installed."""
        import pandas

        return pandas.DataFrame(list(self), columns=EpochRecord._fields)

    def __len__(self) -> int:
        return len(self.loss)

    def __repr__(self) -> str:
        if not self.loss:
            return "History(no epochs)"
        epochs = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        validation = "" if self.validation_loss[-1] is None else f", validation_loss {self.validation_loss[-1]:.6g}"
        setbacks = f", {len(self.setbacks)} setbacks" if self.setbacks else ""
        return f"History({epochs}, loss {self.loss[-1]:.6g}{validation}, {sum(self.seconds):.3g} s{setbacks})"

    def __iter__(self) -> Iterator[EpochRecord]:
        rows = zip(self.loss, self.validation_loss, self.seconds, strict=True)
        return (EpochRecord(epoch, *row) for epoch, row in enumerate(rows, start=1))
