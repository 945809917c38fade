"""Targets that are class labels: what a loss wants in their place, and how much each class weighs."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from fastgd import Dataset
    from fastgd.data import Stream
    from fastgd.losses import Loss

# Integers are taken for measurements where they have more values than this.
_FEW_VALUES = 20


class Classes(NamedTuple):
    """The classes of a run.

    labels : (n_classes,)          loss : what they are encoded for
    weights : (n_classes,) float64, what multiplies the weights of each class's rows, or None
    """

    labels: "np.ndarray"
    loss: "Loss"
    weights: "np.ndarray | None" = None

    def encoded(self, y: "np.ndarray", file: str) -> "np.ndarray":
        """What the loss wants in the place of labels, (n, 1)."""
        from fastgd import labels

        return labels.encode(y, self.labels, self.loss, file)[:, None]

    def weighted(self, y: "np.ndarray", sample_weight: "np.ndarray | None") -> "np.ndarray | None":
        """The weights of rows of these labels, all of them known, (n,), or None."""
        import numpy as np

        if self.weights is None:
            return sample_weight
        found = self.weights[np.searchsorted(self.labels, y.reshape(len(y)))]
        return found if sample_weight is None else found * sample_weight

    def of_rows(self, rows: "Dataset", y: "np.ndarray", sample_weight: "np.ndarray | None", file: str) -> "Dataset":
        """The rows of a data set, with labels y and these weights, or none."""
        from fastgd.data.with_targets import WithTargets

        encoded = self.encoded(y, file)
        return WithTargets(rows, encoded, self.weighted(y, sample_weight))

    def of_stream(self, rows: "Stream", file: str) -> "Stream":
        """The rows of a stream, whose labels are its targets."""
        import numpy as np

        from fastgd.data.with_targets import StreamWithTargets

        def labels_of(y: np.ndarray) -> np.ndarray:
            return labels_in(rows, y).astype(self.labels.dtype)

        return StreamWithTargets(
            rows,
            lambda y: self.encoded(labels_of(y), file),
            1,
            None if self.weights is None else lambda y, v: self.weighted(labels_of(y), v),
        )


def class_weights(
    said: Literal["balanced"] | Sequence[tuple[str, float]] | None,
    classes: "np.ndarray",
    y: "np.ndarray",
    sample_weight: "np.ndarray | None",
) -> "np.ndarray | None":
    """What multiplies the weights of each class's rows, as `--class-weight` says it; classes without a weight have 1.

    classes : (n_classes,), sorted          y, sample_weight : (n_samples,), all labels and weights there are
    """
    import numpy as np

    from fastgd import labels

    if said is None:
        return None
    if said == "balanced":
        return labels.balanced_weights(np.searchsorted(classes, y.reshape(len(y))), len(classes), sample_weight)
    weights = np.ones(len(classes))
    for text, weight in said:
        if [label for label, _ in said].count(text) > 1:
            raise ValueError(f"--class-weight is for {text!r} twice; expected once")
        places = [place for place, label in enumerate(classes.tolist()) if _is_called(label, text)]
        if not places:
            raise ValueError(
                f"--class-weight is for {text!r}; expected some of the classes {labels.shown(classes)}, as in "
                f"{_name(classes[0].item())}=2"
            )
        weights[places] = weight
    return weights


def _name(label: object) -> str:
    return label.decode("latin-1") if isinstance(label, bytes) else str(label)


def _is_called(label: object, text: str) -> bool:
    """Whether a label is what the text says: 1.0 is called 1, too, and True is called true."""
    if isinstance(label, bool):
        return str(label).lower() == text.lower()
    if isinstance(label, int | float):
        try:
            return label == (int(text) if isinstance(label, int) else float(text))
        except ValueError:
            return False
    return _name(label) == text


def require_no_class_weight(options: argparse.Namespace, of: str) -> None:
    """Raise a ValueError where weights of classes were asked for and there are no classes.

    of : what there is instead
    """
    if options.class_weight is not None:
        raise ValueError(
            f"--class-weight, and targets are {of}; expected class labels, which --task classification takes numbers "
            "for, or --sample-weight"
        )


def labels_in(rows: "Dataset | Stream", y: "np.ndarray") -> "np.ndarray":
    """What targets of rows stand for: words or truths, or the numbers that they are."""
    labels = None if rows.columns is None else rows.columns.labels_of(y)
    return _as_integers(y) if labels is None else labels


def _as_integers(y: "np.ndarray") -> "np.ndarray":
    """Targets that are whole numbers, as such: labels are called 1 and not 1.0."""
    import numpy as np

    is_whole = y.dtype.kind == "f" and bool((np.isfinite(y) & (np.floor(y) == y) & (np.abs(y) < 2**53)).all())
    return y.astype(np.int64) if is_whole else y


def are_as_wanted(y: "np.ndarray", loss: "Loss") -> bool:
    """Whether the loss takes these targets as they are: some strictly between 0 and 1, or several columns."""
    from fastgd import losses

    targets = losses.kind_of(loss).targets
    if y.dtype.kind in "US" or targets == "a class":
        return False
    if y.ndim == 2 and y.shape[1] > 1:
        return True
    is_within = targets == "in [0, 1]" and y.dtype.kind == "f" and bool(((y >= 0) & (y <= 1)).all())
    return is_within and bool(((y > 0) & (y < 1)).any())


def may_be_classes(y: "np.ndarray") -> bool:
    """Whether targets look like class labels in numbers: few integers, each in several rows."""
    import numpy as np

    some = y[:100_000]
    if some.size != len(some) or some.dtype.kind not in "iuf":
        return False
    values = np.unique(some)
    return 2 <= len(values) <= min(_FEW_VALUES, len(some) // 5) and bool((values == np.floor(values)).all())
