"""Standardisation whose means and scales go on being learnt, block by block, while a model trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data import checks
from fastgd.data.base import Dataset
from fastgd.data.block import MeanAndScale, require_finite
from fastgd.data.reader import blocks
from fastgd.data.sparse_moments import EntryScales, SquareMeans
from fastgd.data.two_values import TwoValues
from fastgd.layers import Linear
from fastgd.model import Model
from fastgd.moments import FeatureMoments, Moments, RobustMoments

# A deviation may grow by so much before the weight that was learnt on the old one counts for less: of a feature that
# was nearly constant so far, it is little but noise, and would be enormous on the new scale.
_MOST_GROWTH = 2.0


class Scales:
    """What a Standardize and a StandardizedTargets layer are told, of all rows so far, each by its weight.

    model : has the layers, or one of them, or neither
    centres_X, centres_y : whether they are brought to mean 0 and variance 1, or to a mean square of 1 alone
    by_entries : whether features are those of sparse rows, and standardised as `EntryScales` says instead
    n_robust : of how many rows targets have median and spread for mean and deviation, as of one call of `fit`, or None
    """

    def __init__(
        self, model: Model, centres_X: bool, centres_y: bool, by_entries: bool = False, n_robust: int | None = None
    ) -> None:
        self._centres_X, self._centres_y, self._by_entries = centres_X, centres_y, by_entries
        self._of_X: Moments | SquareMeans | EntryScales | None = None
        layer, n_features = model.standardize, model.in_features
        if layer is not None and by_entries:
            self._of_X = EntryScales(n_features, with_mean=bool(layer.with_mean))
        elif layer is not None:
            # Of sparse rows, which have zeros that nobody sees, mean squares are all that is learnt.
            self._of_X = SquareMeans(n_features) if layer.keeps_zeros else FeatureMoments(n_features)
        targets = model.standardized_targets
        self._of_y = None if targets is None else targets.learner(n_robust or 0, n_robust is not None)
        # Which features have varied in what the layers were last told of.
        self._have_varied: np.ndarray | None = None

    def add(self, dataset: Dataset) -> None:
        """Learn from rows. Raises a ValueError for a NaN, an infinity or a negative weight, before anything is learnt
        from its block.
        """
        if self._of_X is None and self._of_y is None:
            return
        dtype = np.dtype(np.float64) if dataset.has_sample_weight else dataset.dtype
        for start, block in blocks(dataset, dtype, y_dtype=np.dtype(np.float64)):
            require_finite(block, lambda row, start=start: dataset.row_number(start + row))
            if self._of_X is not None:
                self._of_X.add(block.X, block.sample_weight)
            if self._of_y is not None:
                self._of_y.add(block.y, block.sample_weight)

    @property
    def settings(self) -> tuple[bool, bool, bool]:
        """What it was made with after the model, as for a stream."""
        return self._centres_X, self._centres_y, self._by_entries

    def state(self) -> dict[str, np.ndarray]:
        """All that was learnt so far, by name; `load` takes it up."""
        known = {
            f"{name}.{key.lstrip('_')}": np.atleast_1d(value)
            for name, moments in self._moments().items()
            for key, value in vars(moments).items()
            if value is not None and not isinstance(value, bool | TwoValues)
        }
        return known if self._have_varied is None else known | {"have_varied": self._have_varied}

    def load(self, state: Mapping[str, Any]) -> None:
        """Be as another was, of a model of the same layers, when it gave its `state`.

        Raises
        ------
        ValueError
            Where the state is not one of these layers'.
        """
        for name, moments in self._moments().items():
            for key, value in vars(moments).items():
                # What it was made with is not learnt.
                if isinstance(value, bool | TwoValues):
                    continue
                found = state.get(f"{name}.{key.lstrip('_')}")
                if found is None and value is not None:
                    raise ValueError(f"there is no {name}{key}; expected what a stream has learnt of its scales")
                if found is not None:
                    found = np.array(found)
                    if value is not None and found.shape != np.atleast_1d(value).shape:
                        raise ValueError(f"{name}{key} has shape {found.shape}; expected that of {np.shape(value)}")
                    setattr(moments, key, found[0] if np.ndim(value) == 0 and value is not None else found)
        if "have_varied" in state:
            self._have_varied = np.array(state["have_varied"])

    def _moments(self) -> dict[str, Moments | SquareMeans | EntryScales | TwoValues]:
        two_values = self._of_X.two_values if isinstance(self._of_X, FeatureMoments) else None
        known = {"X": self._of_X, "X.two_values": two_values, "y": self._of_y}
        return {name: moments for name, moments in known.items() if moments is not None}

    def tell(self, models: Sequence[Model]) -> None:
        """Have the layers of models use what was learnt.

        What the models predict stays as it is, but for rounding, and where a feature's deviation has far outgrown what
        it was: of that, they make less.
        """
        of_X = None if self._of_X is None else _learnt(self._of_X, self._centres_X or self._by_entries)
        of_y = None if self._of_y is None else _learnt(self._of_y, self._centres_y)
        for model in models:
            linear = [layer for layer in model.layers if isinstance(layer, Linear)]
            if of_X is not None:
                _tell_features(model, linear[0], *of_X, self._have_varied)
            if of_y is not None:
                _tell_targets(model, linear[-1], *of_y)
        self._have_varied = None if of_X is None else of_X[1] > 0


def _learnt(moments: Moments | RobustMoments | SquareMeans | EntryScales, is_centred: bool) -> MeanAndScale:
    mean, deviation = moments.result()
    return (mean, deviation) if is_centred else (np.zeros_like(mean), np.hypot(mean, deviation))


def _tell_features(
    model: Model, first: Linear, mean: np.ndarray, deviation: np.ndarray, have_varied: np.ndarray | None
) -> None:
    """W' (x - m') s' + b' = W (x - m) s + b, with W' = W for features that had not varied: x was m in every row.

    No W' is more than `_MOST_GROWTH` times W; the equation still holds where those features are m then.
    """
    layer = model.standardize
    if layer.mean is None:
        layer.take(mean, deviation)
        return
    old_mean, old_scale = layer.mean_and_scale
    layer.take(mean, deviation)
    scale = layer.scale
    # Of hashed features, none does.
    columns = np.flatnonzero((mean != old_mean) | (scale != old_scale))
    if not len(columns):
        return
    scale, shift = scale[columns], mean[columns] - old_mean[columns]
    growth = np.divide(old_scale[columns], scale, out=np.ones(len(columns)), where=have_varied[columns])
    weight = first.weight[:, columns] * np.minimum(growth, _MOST_GROWTH)
    if first.bias is not None:
        first.bias += weight @ (shift * scale)
    first.weight[:, columns] = weight


def _tell_targets(model: Model, last: Linear, mean: np.ndarray, deviation: np.ndarray) -> None:
    """s' (W' x + b') + m' = s (W x + b) + m, for outputs that vary."""
    layer = model.standardized_targets
    old = layer.mean, layer.scale
    layer.take(mean, deviation)
    if old[0] is None:
        return
    old_mean, old_scale = old
    unit = np.where(deviation > 0, deviation, 1)
    ratio = np.where(deviation > 0, old_scale / unit, 1)
    last.weight = last.weight * ratio[:, None]
    if last.bias is not None:
        last.bias = np.where(deviation > 0, last.bias * ratio + (old_mean - mean) / unit, last.bias)


def start_linear(model: Model, coef: ArrayLike | None, intercept: ArrayLike | None) -> None:
    """Have a linear model, whose scales are known, predict x · coef + intercept; zeros in place of None.

    coef : (n_features,) of a single output, or (n_outputs, n_features)          intercept : (n_outputs,)
    """
    linear = [layer for layer in model.layers if isinstance(layer, Linear)]
    if len(linear) > 1:
        raise ValueError("coef_init and intercept_init are of linear models; expected hidden_layer_sizes=()")
    n_outputs, n_features = linear[0].weight.shape
    w, b = np.zeros((n_outputs, n_features)), np.zeros(n_outputs)
    if coef is not None:
        w = checks.real_array(coef, "coef_init").astype(np.float64)
        w = w[None, :] if w.ndim == 1 else w
        if w.shape != (n_outputs, n_features):
            shape = (n_outputs, n_features)
            raise ValueError(
                f"Provided coef_init does not match dataset: it has shape {np.shape(coef)}; expected {shape}"
            )
    if intercept is not None:
        b = np.atleast_1d(checks.real_array(intercept, "intercept_init").astype(np.float64))
        if b.shape != (n_outputs,) or linear[0].bias is None:
            expected = f"({n_outputs},)" if linear[0].bias is not None else "None, as fit_intercept is False"
            shape = np.shape(intercept)
            raise ValueError(
                f"Provided intercept_init does not match dataset: it has shape {shape}; expected {expected}"
            )
    if model.standardized_targets is not None:
        mean, inverse_scale = model.standardized_targets.mean_and_inverse_scale
        w, b = w * inverse_scale[:, None], (b - mean) * inverse_scale
    if model.standardize is not None:
        mean, scale = model.standardize.mean_and_scale
        # A weight that is given counts, even of a feature that does not vary.
        model.standardize.scale = scale = np.where((scale == 0) & w.any(axis=0), 1.0, scale)
        w, b = np.divide(w, scale, out=np.zeros_like(w), where=scale > 0), b + w @ mean
    linear[0].weight = w
    if linear[0].bias is not None:
        linear[0].bias = b
