"""What a training run remembers of each epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas


class EpochRecord(NamedTuple):
    """One epoch of training.

    epoch : which one, from 1
    loss : mean over the epoch's rows, each taken before the update that the row led to (the online mean)
    validation_loss : mean after the epoch, or None without validation data
    seconds : how long the epoch's training took, validation, metrics and callbacks not counted; the mean of those that
        were trained in one call, as short epochs are that nothing looks at
    learning_rate : of the update in the middle of the epoch, or None where there is none
    metrics : those of `Trainer(metrics=...)` after the epoch, by name

    Examples
    --------
    >>> import fastgd as gd
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])]), optimizer=gd.SGD(0.5))
    >>> for record in trainer.fit([[1], [1]], [0, 0]):
    ...     print(record.epoch, record.loss)  # the mean of ½ · 1² and ½ · 0.5²
    1 0.3125
    """

    epoch: int
    loss: float
    validation_loss: float | None
    seconds: float
    learning_rate: float | None = None
    metrics: dict[str, float] = {}  # noqa: RUF012 (the field of a tuple)

    def by_name(self) -> dict[str, Any]:
        """All its numbers by name, each metric as one of them."""
        named = self._asdict()
        return named | named.pop("metrics")


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
    metrics : the lists of the metrics, by name

    Examples
    --------
    >>> import fastgd as gd
    >>> trainer = gd.Trainer(gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])]), optimizer=gd.SGD(0.5))
    >>> trainer.fit([[1], [1]], [0, 0], epochs=2).loss
    [0.3125, 0.01953125]
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    setbacks: list[Setback] = field(default_factory=list)
    search_seconds: float = 0.0
    learning_rate: list[float | None] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def append(self, record: EpochRecord) -> None:
        """Add an epoch."""
        self.loss.append(record.loss)
        self.validation_loss.append(record.validation_loss)
        self.seconds.append(record.seconds)
        self.learning_rate.append(record.learning_rate)
        for name, value in record.metrics.items():
            self.metrics.setdefault(name, []).append(value)

    def to_frame(self) -> "pandas.DataFrame":
        """The numbers of each epoch's `EpochRecord`, a row for each, as a frame of pandas, which has to be installed.

        Columns are epoch, loss, validation_loss, seconds, learning_rate, and the metrics by their names.

        Examples
        --------
        >>> import fastgd as gd
        >>> trainer = gd.Trainer(gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])]), optimizer=gd.SGD(0.5))
        >>> trainer.fit([[1], [1]], [0, 0], epochs=2).to_frame()[["epoch", "loss"]]
           epoch      loss
        0      1  0.312500
        1      2  0.019531
        """
        import pandas

        columns = [name for name in EpochRecord._fields if name != "metrics"] + list(self.metrics)
        return pandas.DataFrame([record.by_name() for record in self], columns=columns)

    def plot(
        self,
        *,
        noise_loss: float | None = None,
        best_epoch: int | None = None,
        metrics: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Any:
        """The losses, metrics and learning rates of the epochs, as `fastgd.plot.learning_curve` draws and describes
        them: an array of matplotlib's axes, or `ax`.

        It needs matplotlib: `pip install "fastgd[plot]"`.

        Examples
        --------
        >>> history.plot()[0].figure.savefig("run.png")  # doctest: +SKIP
        """
        # What draws stands above what is drawn, and so is looked up when it is used.
        import fastgd

        return fastgd.plot.learning_curve(self, noise_loss=noise_loss, best_epoch=best_epoch, metrics=metrics, ax=ax)

    def __len__(self) -> int:
        return len(self.loss)

    def __repr__(self) -> str:
        if not self.loss:
            return "History(no epochs)"
        epochs = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        metrics = "".join(f", {name} {values[-1]:.6g}" for name, values in self.metrics.items())
        validation = "" if self.validation_loss[-1] is None else f", validation_loss {self.validation_loss[-1]:.6g}"
        setbacks = f", {len(self.setbacks)} setbacks" if self.setbacks else ""
        return f"History({epochs}, loss {self.loss[-1]:.6g}{validation}{metrics}, {sum(self.seconds):.3g} s{setbacks})"

    def __iter__(self) -> Iterator[EpochRecord]:
        rows = zip(self.loss, self.validation_loss, self.seconds, self.learning_rate, strict=True)
        for index, row in enumerate(rows):
            yield EpochRecord(index + 1, *row, {name: values[index] for name, values in self.metrics.items()})
