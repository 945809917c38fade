"""The layers that bring features and targets to a common scale."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastgd.data import checks
from fastgd.data.arrays import ArrayDataset
from fastgd.data.as_dataset import array_dataset, as_dataset
from fastgd.data.base import Dataset, Stream
from fastgd.data.block import MeanAndScale
from fastgd.learn_scales import learn_scales
from fastgd.moments import FeatureMoments, Moments, NonzeroMoments, Quartiles, RobustMoments

# Beyond, a robustly standardised value is its limit to the last digit, and the square of it may overflow.
FAR_OUT = 1e8


class Standardize:
    """out = (x - mean) · scale, feature by feature: as the first layer, it brings features to mean 0 and variance 1.

    The scale is one over the standard deviation, or, for a feature of two values, such as the zeros and ones of a
    category, over their difference: divided by their deviations, the rarest would count most. A feature that does not
    vary has scale 0, so that other values of it change no prediction: nothing was learnt of them.

    It learns both in one pass over the data, each row by its sample weight, by `fit` or when `Trainer.fit` begins, and
    applies them in float64 while rows are read. They are no parameters: training does not change them. `Model.fold`
    builds them into the next Linear.

    Parameters
    ----------
    n_features : int
        At least 1.
    with_mean : bool or "nonzero"
        Whether the mean is subtracted. Without it, out = x · scale with the same scale, or with 1 for a feature that
        does not vary and is not zero. "nonzero" subtracts it of those features alone that are zero in no row it learns
        of. Sparse rows, which allow nothing else, stay sparse; blocks of them in which one lacks such a feature are
        copied, with a zero there.

    Examples
    --------
    >>> import fastgd as gd
    >>> layer = gd.Standardize(2).fit([[1.0, 0.0], [3.0, 0.0], [5.0, 1.0]])
    >>> layer.scale.round(4)
    array([0.6124, 1.    ])
    """

    n_parameters = 0
    is_of_targets = False

    def __init__(self, n_features: int, with_mean: bool | Literal["nonzero"] = True) -> None:
        self.n_features = checks.integer(n_features, "n_features", 1)
        self.with_mean: bool | Literal["nonzero"] = "nonzero"
        if with_mean != "nonzero":
            if not isinstance(with_mean, bool | np.bool_):
                raise TypeError(f"with_mean is {with_mean!r}; expected True, False or 'nonzero'")
            self.with_mean = bool(with_mean)
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    @property
    def mean_and_scale(self) -> MeanAndScale:
        """What was learnt: two float64 arrays of shape (n_features,)."""
        if self.mean is None:
            kind = type(self).__name__
            raise ValueError(f"the {kind} layer has no mean and scale yet; train the model, or call its fit(X)")
        return self.mean, self.scale

    def fit(self, dataset: ArrayLike | Dataset | Stream) -> "Standardize":
        """Learn mean and scale from every row of a data set, a stream or an array (n_samples, n_features), in one pass.

        Blocks are joined by the formula of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
        computing sample variances" (1979), in float64. A row counts by its sample weight; where all are
        zero, nothing is learnt.
        """
        dataset = dataset if isinstance(dataset, Dataset | Stream) else array_dataset(dataset)
        if dataset.n_features != self.n_features:
            shape = (dataset.n_samples, dataset.n_features)
            raise ValueError(f"X has shape {shape}; expected (n_samples, {self.n_features})")
        learn_scales(dataset, [self])
        return self

    def take(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Set what was learnt."""
        subtracted = mean if self.with_mean else np.zeros(self.n_features)
        is_zero = (deviation == 0) & ((mean == 0) | bool(self.with_mean))
        scale = np.where(is_zero, 0.0, 1 / np.where(deviation > 0, deviation, 1))
        # In one call, which no Ctrl-C divides.
        vars(self).update(mean=subtracted, scale=scale)

    def learner(self, n_samples: int, is_robust: bool) -> Moments | Quartiles:
        """As `learn_scales.Scaled.learner`."""
        return (NonzeroMoments if self.keeps_zeros and self.with_mean else FeatureMoments)(self.n_features)

    @property
    def keeps_zeros(self) -> bool:
        """Whether sparse rows stay sparse."""
        return self.with_mean is not True

    def require_sparse(self) -> None:
        """As `learn_scales.Scaled.require_sparse`."""
        if not self.keeps_zeros:
            raise ValueError(
                f"X is sparse, and {self!r} subtracts what would make it dense; expected "
                f"Standardize({self.n_features}, with_mean='nonzero')"
            )

    def arguments(self) -> dict[str, Any]:
        """What `Standardize(**arguments)` needs to describe the same layer, all but what it has learnt."""
        return {"n_features": self.n_features} | ({"with_mean": self.with_mean} if self.keeps_zeros else {})

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.n_features}{f', with_mean={self.with_mean!r}' if self.keeps_zeros else ''})"
        )


class RobustStandardize(Standardize):
    """t = (x - median) · scale,  out = t / √(1 + (t / 3)²): as the first layer, for features with heavy tails.

    The scale is one over the range between the quartiles; where that is zero, two over the range of all values; zero
    for a feature that does not vary. Values far out come ever nearer to ±3, which no outlier passes. After
    Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular data"
    (2024).

    It learns as `Standardize` does, in one pass, each row by its sample weight; of more than some millions of numbers,
    the quartiles are those of rows that are evenly spread over all. It cannot be folded into a Linear.

    Parameters
    ----------
    n_features : int
        At least 1.

    Attributes
    ----------
    mean, scale : arrays of shape (n_features,), float64; None until learnt
        The median, and what the distance from it is multiplied by.

    Examples
    --------
    >>> import fastgd as gd
    >>> layer = gd.RobustStandardize(1).fit([[1.0], [2.0], [3.0], [4.0], [1e9]])
    >>> layer.mean, layer.scale
    (array([3.]), array([0.5]))
    """

    limit = 3.0

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)

    @property
    def mean_and_scale(self) -> MeanAndScale:
        """What was learnt, and the limit."""
        return *super().mean_and_scale, self.limit

    def take(self, median: np.ndarray, scale: np.ndarray) -> None:
        """Set what was learnt."""
        vars(self).update(mean=median, scale=scale)

    def learner(self, n_samples: int, is_robust: bool) -> Moments | Quartiles:
        """As `learn_scales.Scaled.learner`."""
        return Quartiles(self.n_features, n_samples)


class StandardizedTargets:
    """out = z · scale + mean, output by output: as the last layer, it has targets of any scale and mean learnt.

    Training and losses are those of the targets t = (y - mean) / scale, which have mean 0 and variance 1, and of the
    output z of the layer before; predictions are in the units of y. Mean and scale, the standard deviation, are learnt
    in one pass over the training rows, each by its sample weight, by `fit` or when training begins. They are no
    parameters: training does not change them. `Model.fold` builds them into the last Linear.
    `Trainer(model, standardize_targets=True)` adds the layer.

    Where training begins with a loss that outliers hardly move (absolute_error, huber, quantile, epsilon_insensitive),
    they do not set the unit either: the median is taken for the mean, and for the deviation the range between the
    quartiles over 1.349, which is the deviation of normal targets; but not where that is zero. Of more than a million
    numbers, the quartiles are those of rows that are evenly spread over all.

    A target that does not vary has scale 0, so that its mean is predicted, exactly; t is y - mean then.

    Parameters
    ----------
    n_outputs : int
        At least 1.

    Attributes
    ----------
    mean, scale : arrays of shape (n_outputs,), float64; None until learnt

    Examples
    --------
    >>> import fastgd as gd
    >>> targets = gd.StandardizedTargets(1).fit([100_000, 300_000])
    >>> targets.mean, targets.scale
    (array([200000.]), array([100000.]))
    >>> model = gd.Model([gd.Linear(1, 1, init="zeros"), targets])
    >>> model.predict([[3.0]]), model.loss([[3.0]], [400_000])
    (array([[200000.]], dtype=float32), 2.0)
    """

    n_parameters = 0
    is_of_targets = True

    def __init__(self, n_outputs: int) -> None:
        self.n_outputs = checks.integer(n_outputs, "n_outputs", 1)
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    @property
    def mean_and_inverse_scale(self) -> MeanAndScale:
        """The m and s of t = (y - m) · s: two float64 arrays of shape (n_outputs,)."""
        mean, scale = self.mean_and_scale
        return mean, 1 / np.where(scale > 0, scale, 1)

    @property
    def mean_and_scale(self) -> MeanAndScale:
        """What was learnt, the m and s of z · s + m: two float64 arrays of shape (n_outputs,)."""
        if self.mean is None:
            raise ValueError(
                "the StandardizedTargets layer has no mean and scale yet; train the model, or call its fit(y)"
            )
        return self.mean, self.scale

    def fit(self, y: ArrayLike | Dataset | Stream, sample_weight: ArrayLike | None = None) -> "StandardizedTargets":
        """Learn mean and scale from targets of shape (n_samples, n_outputs), or those of a data set, in one pass.

        A row counts by its sample weight; where all are zero, nothing is learnt. A flat y stands for one output. Raises
        ValueError and TypeError for other shapes and for what holds a NaN, an infinity or anything but numbers.
        """
        if isinstance(y, Dataset | Stream):
            dataset = y if isinstance(y, Stream) else as_dataset(y, sample_weight=sample_weight)
        else:
            y = checks.real_array(y, "y")
            if y.ndim == 0 or len(y) == 0:
                raise ValueError(f"y has shape {y.shape}; expected (n_samples, {self.n_outputs}) with at least one row")
            dataset = ArrayDataset(np.zeros((len(y), 1), np.float32), y, sample_weight)
        if dataset.n_outputs != self.n_outputs:
            shape = (dataset.n_samples, dataset.n_outputs)
            raise ValueError(f"y has shape {shape}; expected (n_samples, {self.n_outputs})")
        learn_scales(dataset, [self])
        return self

    def take(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Set what was learnt."""
        # In one call, which no Ctrl-C divides.
        vars(self).update(mean=mean, scale=deviation)

    def learner(self, n_samples: int, is_robust: bool) -> Moments | RobustMoments:
        """As `learn_scales.Scaled.learner`."""
        return RobustMoments(self.n_outputs, n_samples) if is_robust else Moments(self.n_outputs)

    def require_sparse(self) -> None:
        """As `learn_scales.Scaled.require_sparse`."""

    def require_range(self, dtype: np.dtype) -> None:
        """Raise a ValueError where predictions would be zero in a dtype for no reason but that it cannot hold them."""
        mean, scale = self.mean_and_scale
        least = np.finfo(dtype).tiny
        is_below = (scale > 0) & (scale < least) & (np.abs(mean) < least)
        if is_below.any():
            output = int(is_below.argmax())
            raise ValueError(
                f"the targets of output {output} have a standard deviation of {scale[output]:.6g}, less than {dtype} "
                'holds; expected model.predict(X, dtype="float64") (an estimator has its model as model_), or, to '
                'fold, a model of dtype="float64"'
            )

    def predictions(self, z: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """z · scale + mean, computed in float64; a ValueError where the dtype cannot hold it."""
        mean, scale = self.mean_and_scale
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            exact = z * scale + mean
            # Not a number is what an infinite z makes of a scale of zero.
            np.copyto(exact, mean, where=scale == 0)
            predictions = exact.astype(dtype)
        is_beyond = np.isinf(predictions) & np.isfinite(z)
        if is_beyond.any():
            hint = 'model.predict(X, dtype="float64") (an estimator has its model as model_)'
            hint = hint if dtype != np.float64 else "targets divided by some large number"
            raise ValueError(f"a prediction is {exact[is_beyond][0]:.6g}, more than {dtype} holds; expected {hint}")
        return predictions

    def arguments(self) -> dict[str, Any]:
        """What `StandardizedTargets(**arguments)` needs to describe the same layer, all but what it has learnt."""
        return {"n_outputs": self.n_outputs}

    def __repr__(self) -> str:
        return f"StandardizedTargets({self.n_outputs})"
