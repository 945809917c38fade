"""What `fastgd train` says of a model that it has trained."""

import math
from typing import TYPE_CHECKING

from fastgd.cli.output import one_line, say
from fastgd.cli.rows import Rows

if TYPE_CHECKING:
    from fastgd import Dataset, Model, Trainer


def report(trainer: "Trainer", model: "Model", untrained: "Model", rows: Rows, best_epoch: int = 0) -> None:
    """Say what the model is, how good, and how fast it was trained.

    model : the trainer's, or the average of it          untrained : the trainer's as it was
    best_epoch : that whose parameters were kept, from 1; or 0, the last
    """
    from fastgd import Dataset, labels, losses
    from fastgd.cli import machine
    from fastgd.metrics import score

    history, data, validation = trainer.history, rows.data, rows.validation
    rows_per_second = len(history) * (data.n_samples or 0) / sum(history.seconds)
    bandwidth = machine.read_bandwidth()
    rate = trainer.learning_rate
    rate = "no learning rate, as all weights are zero" if rate is None else f"learning rate {rate:.3g}"
    floor = "" if rows.noise_loss is None else f" (noise floor {rows.noise_loss:.6g})"
    held_out = ""
    if validation is not None:
        # Of the model as it is: the average, the best constant where no epoch was better, or the epoch that was kept.
        value = model.loss(validation, loss=trainer.loss)
        held_out = f", validation {value:.6g}{'' if model is trainer.model else ' of the average'}"
    layers = ", ".join(map(str, model.layers))
    say(f"model        {layers}: {model.parameters.size} parameters, {model.dtype}")
    if rows.classes is not None:
        say(f"classes      {len(rows.classes.labels)}: {labels.shown(rows.classes.labels)}")
        if rows.classes.weights is not None:
            weights = ", ".join(f"{weight:.4g}" for weight in rows.classes.weights[:6])
            say(f"weights      {weights}{', ...' if len(rows.classes.weights) > 6 else ''} times those of the rows")
    say(
        f"training     {trainer.batch_size or 'all'} rows per update, {rate}, {type(trainer.optimizer).__name__}, "
        f"{losses.name_of(trainer.loss)}"
    )
    of = ", of standardised targets" if model.standardized_targets is not None else ""
    kept = f", of which number {best_epoch} is kept" if 0 < best_epoch < len(history) else ""
    say(f"loss         {history.loss[best_epoch - 1]:.6g}{floor}{held_out} after {len(history)} epochs{kept}{of}")
    if validation is not None:
        name, value = score(model, validation, trainer.loss)
        rows_were = "1 row that was" if validation.n_samples == 1 else f"{validation.n_samples} rows that were"
        # There is none of targets that are all the same.
        value = "unknown" if math.isnan(value) else f"{value:.4f}"
        weighed = ", weighed" if validation.has_sample_weight else ""
        say(f"{name:13}{value} on {rows_were} not learnt from{weighed}")
    if isinstance(data, Dataset):
        share = rows_per_second * data.row_bytes / bandwidth
        of = f", {share:.1%} of the {bandwidth / 1e9:.0f} GB/s at which one thread reads memory"
    else:
        of = f", {sum(history.seconds):.1f} s in all"
    say(f"speed        {rows_per_second:,.0f} rows per second{of}")
    if rows.noise_loss is not None and _is_the_references(trainer):
        _compare(trainer, untrained, data, rows_per_second)


def _compare(trainer: "Trainer", untrained: "Model", data: "Dataset", rows_per_second: float) -> None:
    """Say how fast pure Python is on rows of this shape, and whether it comes to the same parameters."""
    from fastgd.reference import comparison as baseline

    batch_size = min(trainer.batch_size or data.n_samples, 1024)
    try:
        reference = baseline.measure(untrained, data, baseline.safe_rate(untrained, data), batch_size)
    except Exception as error:
        # The run is over and well, whatever becomes of this.
        say(f"pure Python  not compared: {one_line(error)}")
        return
    say(
        f"pure Python  {reference.rows_per_second:,.0f} rows per second on {reference.n_rows} of the rows: "
        f"fastgd is {rows_per_second / reference.rows_per_second:,.0f} times as fast"
    )
    say(f"             (parameters after these rows differ by at most {reference.difference:.1e} of the largest)")


def _is_the_references(trainer: "Trainer") -> bool:
    """Whether the pure-Python reference knows this training."""
    from fastgd import Linear, ReLU
    from fastgd.losses import name_of

    bounds = trainer.clip_value, trainer.clip_norm, trainer.max_norm
    is_plain = trainer.optimizer.is_plain and trainer.alpha == 0 and bounds == (None,) * 3
    is_plain = is_plain and name_of(trainer.loss) == "half_squared_error"
    return is_plain and all(isinstance(layer, Linear | ReLU) for layer in trainer.model.layers)
