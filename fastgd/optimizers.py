"""The optimisers: what training does with the gradient of a batch.

Formulas, argument names and defaults are PyTorch's, but that `lr` is called `learning_rate`. A learning rate is a
number, a schedule from `fastgd.schedules`, or "auto" for one that short trials on some of the rows choose, or that is
known to do without any, and that is lowered where an epoch goes wrong (see `Trainer`).

w stands for the parameters, g for the mean gradient of the batch, t for the number of the update, from 1.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from fastgd import schedules
from fastgd.data import checks
from fastgd.kernels.codegen.alignment import aligned_zero_rows
from fastgd.kernels.optim import optimizers as kernels
from fastgd.kernels.optim.bounded import Bounded
from fastgd.kernels.optim.normalized_sgd import INVERSE_SCALE
from fastgd.losses import Loss, curvature_of
from fastgd.schedules import Schedule

LearningRate = float | Schedule | Literal["auto"]


@dataclass(frozen=True)
class Optimizer(ABC):
    """What every optimiser has: a learning rate, a record for the kernels, and some vectors of state."""

    learning_rate: LearningRate

    #: Vectors of state, parallel to the parameters.
    n_states: ClassVar[int] = 0

    #: What "auto" begins each epoch with where it needs no search.
    default_rate: ClassVar[float | None] = None

    def __post_init__(self) -> None:
        self._set_checked(schedules.check_learning_rate, "learning_rate")
        self._check_settings()

    def _check_settings(self) -> None:  # noqa: B027 (an optimiser may have no settings)
        """Raise a ValueError or TypeError for settings out of range."""

    def _set_checked(self, check: Any, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, check(getattr(self, name), name))

    @abstractmethod
    def settings(self) -> tuple:
        """The settings as the kernels take them, all but the learning rate."""

    def record_for(self, loss: Loss) -> tuple:
        """The settings as the kernels take them for a loss."""
        return self.settings()

    def check_dtype(self, dtype: np.dtype) -> None:
        """Raise a ValueError where eps is zero in a model's dtype: a gradient of zero would be divided by it."""
        eps = getattr(self, "eps", None)
        if eps is not None and dtype.type(eps) == 0:
            raise ValueError(
                f"eps is {eps}, which is 0 in {dtype}; expected at least {np.finfo(dtype).smallest_subnormal:.2g}"
            )

    def initial_state(self, weights: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """What the state starts from, (n_states, n_parameters and more): zeros.

        weights : (n_linear_layers, 3) int64, where each Linear's weight begins and ends, and its n_in
        """
        return aligned_zero_rows(self.n_states, parameters.size, parameters.dtype)

    def describe(self) -> dict[str, Any]:
        """The optimiser as JSON can hold it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.learning_rate, Schedule):
            values["learning_rate"] = self.learning_rate.describe()
        return {"type": type(self).__name__} | values


@dataclass(frozen=True)
class SGD(Optimizer):
    """w -= learning_rate · g: the article's update, ŵ = w - α δw.

    With weight decay, g += weight_decay · w first. With momentum, m = momentum · m + (1 - dampening) g (m = g at first)
    takes the place of g, and with Nesterov's look-ahead g + momentum · m does.

    Bounded, a step is  learning_rate / (1 + learning_rate · c / g·g) · g,  for the same models and losses and with the
    same c as `Adagrad`'s along g. With a large rate and full batches that is the steepest descent with steps as long as
    are best for squared errors.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        The step size α, at least 0. Where steps are bounded, "auto" is .1, falling to 0 over each epoch, or with full
        batches 100 / h, for the h of the loss.
    momentum : float
        In [0, 1).
    dampening : float
        In [0, 1]; 0 with nesterov; without effect where there is no momentum.
    weight_decay : float
        At least 0; acts on every parameter, biases too (`Trainer(alpha=...)` spares them).
    nesterov : bool
        Needs a momentum.
    bounded : bool
        Whether steps are bounded; not with a momentum.
    """

    learning_rate: LearningRate = 0.001
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    bounded: bool = False
    default_rate: ClassVar[float] = 0.1

    def _check_settings(self) -> None:
        self._set_checked(checks.below_one, "momentum")
        self._set_checked(lambda value, name: checks.between(value, name, 0, 1), "dampening")
        self._set_checked(checks.non_negative, "weight_decay")
        self._set_checked(checks.switch, "nesterov", "bounded")
        if self.bounded and self.momentum != 0:
            raise ValueError(f"bounded with momentum={self.momentum}; expected no momentum, or bounded=False")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov with momentum={self.momentum} and dampening={self.dampening}; "
                "expected a momentum and no dampening"
            )

    @property
    def n_states(self) -> int:
        """One, the running mean of momentum, or none without."""
        return 0 if self.bounded or isinstance(self.settings(), kernels.PlainSGD) else 1

    def record_for(self, loss: Loss) -> tuple:
        """The settings for the kernels."""
        return Bounded(False, 0.0, self.weight_decay, 0.0, curvature_of(loss)) if self.bounded else self.settings()

    def settings(self) -> tuple:
        """PlainSGD, the fastest, where neither momentum nor decay is asked for; of steps that are not bounded."""
        if self.momentum == 0 and self.weight_decay == 0:
            return kernels.PlainSGD()
        # Without a momentum there is nothing to dampen.
        dampening = self.dampening if self.momentum > 0 else 0.0
        return kernels.MomentumSGD(self.momentum, dampening, self.weight_decay, self.nesterov)


@dataclass(frozen=True)
class Adam(Optimizer):
    """w -= learning_rate · m̂ / (√v̂ + eps), after Kingma and Ba, "Adam" (ICLR 2015), algorithm 1.

    m = β1 m + (1 - β1) g,  v = β2 v + (1 - β2) g²,  m̂ = m / (1 - β1^t),  v̂ = v / (1 - β2^t).
    With weight decay, g += weight_decay · w first.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0.
    betas : pair of float
        β1 and β2, each in [0, 1).
    eps : float
        More than 0, in the model's dtype too.
    weight_decay : float
        At least 0.
    """

    learning_rate: LearningRate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    n_states: ClassVar[int] = 2
    _decoupled: ClassVar[bool] = False

    def _check_settings(self) -> None:
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas is {self.betas!r}; expected a pair of numbers")
        object.__setattr__(self, "betas", tuple(checks.below_one(beta, "betas") for beta in self.betas))
        self._set_checked(checks.positive, "eps")
        self._set_checked(checks.non_negative, "weight_decay")

    def settings(self) -> tuple:
        """The settings for the kernels."""
        return kernels.Adam(*self.betas, self.eps, self.weight_decay, self._decoupled)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with w *= 1 - learning_rate · weight_decay in place of a decay in g.

    After Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2. Parameters as Adam's.
    """

    weight_decay: float = 0.01
    _decoupled: ClassVar[bool] = True


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """G += g²;  w -= learning_rate / (1 + (t - 1) lr_decay) · g / (√G + eps); g += weight_decay · w first.

    After Duchi, Hazan and Singer, "Adaptive subgradient methods" (JMLR 2011).

    Bounded, a step is as long as the batch's loss bears along it: with s = g / (√G + eps), Δz the change of a row's
    outputs along s, h the most that the loss's second derivative comes to, and v the row's weight,

        w -= η / (1 + η c / s·g) · s,  c = h · mean(v |Δz|²),  η = learning_rate / (1 + (t - 1) lr_decay)

    and L2 penalty and weight decay join c with Σ s_i² of what they act on. So no row is too long and no rate too large,
    and a rate of .3 serves nearly everywhere. That holds for a model of one Linear, alone or with Standardize before
    and activations after it whose slopes are at most 1 (Dropout is not among them), and for losses that have such an h:
    half_squared_error, huber, squared_epsilon_insensitive, log_loss, squared_hinge, modified_huber, cross_entropy. In a
    batch of more than 1024 rows (of wide models, 32 or more), the mean is over the rows of the last of its chunks,
    which are of one size: where rows are sorted, that may be far from the mean over all.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0. Where steps are bounded, "auto" is .3, falling to 0 over each epoch, or 1 with full batches; for
        losses that take any target, times the targets' standard deviation.
    lr_decay, weight_decay : float
        At least 0.
    initial_accumulator_value : float
        What G starts from, at least 0.
    eps : float
        More than 0, in the model's dtype too.
    bounded : bool, optional
        Whether steps are bounded. By default they are with a rate of "auto" where they can be, and with no other; a
        Trainer's optimizer has True or False.
    """

    learning_rate: LearningRate = 0.01
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    bounded: bool | None = None
    n_states: ClassVar[int] = 2
    default_rate: ClassVar[float] = 0.3

    def _check_settings(self) -> None:
        self._set_checked(checks.non_negative, "lr_decay", "weight_decay", "initial_accumulator_value")
        self._set_checked(checks.positive, "eps")
        if self.bounded is not None:
            self._set_checked(checks.switch, "bounded")

    def initial_state(self, weights: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """G, which starts from the same everywhere, and zeros."""
        state = super().initial_state(weights, parameters)
        state[0] += parameters.dtype.type(self.initial_accumulator_value)
        return state

    def settings(self) -> tuple:
        """The settings for the kernels, of steps that are not bounded."""
        return kernels.Adagrad(self.lr_decay, self.weight_decay, self.eps)

    def record_for(self, loss: Loss) -> tuple:
        """The settings for the kernels."""
        if not self.bounded:
            return self.settings()
        return Bounded(True, self.lr_decay, self.weight_decay, self.eps, curvature_of(loss))


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v = alpha · v + (1 - alpha) g²;  w -= learning_rate · g / (√v + eps); g += weight_decay · w first.

    Centred, √(v - a²) takes the place of √v, with a the same running mean of g. With momentum, m = momentum · m + g /
    (√v + eps) and w -= learning_rate · m. After Hinton's lecture and Graves, "Generating sequences with recurrent
    neural networks" (2013).

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0.
    alpha : float
        In [0, 1).
    eps : float
        More than 0, in the model's dtype too.
    weight_decay : float
        At least 0.
    momentum : float
        In [0, 1).
    centered : bool
    """

    learning_rate: LearningRate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    n_states: ClassVar[int] = 3

    def _check_settings(self) -> None:
        self._set_checked(checks.below_one, "alpha", "momentum")
        self._set_checked(checks.positive, "eps")
        self._set_checked(checks.non_negative, "weight_decay")
        self._set_checked(checks.switch, "centered")

    def settings(self) -> tuple:
        """The settings for the kernels."""
        return kernels.RMSprop(self.alpha, self.eps, self.weight_decay, self.momentum, self.centered)


@dataclass(frozen=True)
class NormalizedSGD(Optimizer):
    """Updates that do not depend on the features' scales, as Vowpal Wabbit's by default.

    The normalised adaptive gradient descent of Ross, Mineiro and Langford, "Normalized online learning" (UAI 2013),
    algorithm 2, for features less their means. With m_i the mean of x_i over the rows so far, each counted by its
    weight v, s_i the largest |x_i - m_i|, n the sum of the weights, and N = Σ Σ v (x_i - m_i)² / s_i²,

        a_i = g_i - m_i g_b;  G_i += a_i²;  w_i -= η · √(n / N) / s_i · a_i / √G_i;  b += Σ m_i · (what w_i lost)

    for the weights and bias of each unit of the first layer, which must be Linear; without a bias, m = 0. All other
    parameters take Adagrad's step, divided by √in_features of their layer. The rate rises in the first ten updates, and
    until r_0 rows are seen, and falls with the rows r and the updates t; for d features

        η = 10 · learning_rate · min(1, r / r_0) · min(1, t / 10) · √(d / (d + √(r · min(r, t d / 4)))).

    r_0 = 10 d for the weights of a model that is linear in them, whose biases need none; 200 d for all parameters of
    any other model and for the Poisson loss, where a step that is too large may end the learning for good.

    So neither the features' units nor where their zero lies make a difference, but for rounding, which in float32
    leaves few digits where a mean is 100,000 deviations from zero, and but for deviations of less than 4 times the
    dtype's smallest normal number, which count as zero: weights for them might be infinite. Gradients are limited after
    they are centred, and what a penalty or max_norm takes off w_i is balanced too.

    As a step's size does not depend on the gradient's, rounding must not pass for one. With δ the derivatives of the
    batch's loss by a unit's outputs and ε that of the dtype, a_i moves towards zero by 8 ε Σ |δ| (|m_i| + s_i) before
    it is used, and the gradient of a bias, of any layer, by 64 ε Σ |δ|.

    What was learnt under a smaller s would blow up under a larger one: when m and s change, (w_i - u_i) s_i and
    b + Σ (w_i - u_i) m_i stay as they are, for the weights u from before the first update. Random weights, as the model
    draws them, are meant for features of scale 1 and mean 0: they follow m and s as if they were learnt, with u = 0.
    Weights that were loaded, trained or set by hand before training begins keep their meaning. The first row is its own
    mean, which puts units on the kink of their activation: lest rounding choose a side, b is raised by 8 ε Σ |w_i m_i|.

    It sees the rows of a batch before their forward pass, but those of a batch of more than 1024 (in wide networks,
    32 or more) chunk by chunk: while m_i and s_i change within such a batch, its first rows meet other weights and
    biases than its last.

    The targets' unit does make a difference: regression wants targets of a scale between 0.1 and 10. For a single
    Linear of 20 features, `bench/studies/scales_uncentred.py` prints losses of at most 1.01 times those of a tuned step
    on standardised features after five epochs of 2000 rows or more, and 0.9 to 1.4 times after a single one of 500. It
    finds features with a long tail hard in few rows. And it takes its time: where all epochs together have fewer rows
    than r_0, `Standardize` before the first Linear and `SGD("auto")` reach lower losses.

    r counts rows as they are given, those of weight zero not at all, and a full batch (`batch_size=None`) as 50 d rows,
    however many it has.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0; it has no unit and rarely needs tuning. "auto" is 1, falling to 0 over each epoch.
    """

    learning_rate: LearningRate = 1.0
    n_states: ClassVar[int] = 6
    default_rate: ClassVar[float] = 1.0

    def settings(self) -> tuple:
        """The settings for the kernels."""
        return kernels.NormalizedSGD()

    def initial_state(self, weights: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Zeros, but for the constant s of all that comes after the first layer's weights."""
        state = super().initial_state(weights, parameters)
        scale = state[1]
        for begin, _, n_in in weights:
            scale[begin:] = np.sqrt(n_in)
        scale[: weights[0, 1]] = 0
        np.divide(1, scale, out=state[INVERSE_SCALE], where=scale > 0)
        return state


#: Every optimiser, by the name that a saved run uses.
OPTIMIZERS = {kind.__name__: kind for kind in (SGD, Adam, AdamW, Adagrad, RMSprop, NormalizedSGD)}

#: What the vectors of state are called, as in the formulas above and in the kernels'.
STATE_NAMES = {
    SGD: ("m",),
    Adam: ("m", "v"),
    Adagrad: ("G",),
    RMSprop: ("v", "a", "m"),
    NormalizedSGD: ("sqrt_G", "s", "m"),
}


def state_names(optimizer: Optimizer) -> tuple[str, ...]:
    """The names of an optimiser's vectors of state, in their order; more than it has, where one is left out."""
    return next(names for kind, names in STATE_NAMES.items() if isinstance(optimizer, kind))


def check_optimizer(optimizer: Any) -> Optimizer:
    """An optimiser, SGD() where none is given."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, Optimizer):
        names = {name.lower(): name for name in OPTIMIZERS}
        wanted = optimizer.__name__ if isinstance(optimizer, type) else optimizer
        known = names.get(wanted.lower()) if isinstance(wanted, str) else None
        raise TypeError(
            f"optimizer is {optimizer!r}; expected 'auto' or an instance of {', '.join(OPTIMIZERS)}, as in "
            f"gd.{known or 'SGD'}({'' if known else '0.01'})"
        )
    return optimizer


def restore(description: dict[str, Any], schedule: Schedule | None = None) -> Optimizer:
    """The optimiser that `Optimizer.describe` described, with the user's own schedule where it had one."""
    arguments = dict(description)
    kind = OPTIMIZERS[checks.choice(arguments.pop("type"), "optimizer", OPTIMIZERS)]
    if kind is Adagrad:
        # Runs of earlier versions know of no bound.
        arguments.setdefault("bounded", False)
    if isinstance(arguments["learning_rate"], dict):
        arguments["learning_rate"] = schedules.restore(arguments["learning_rate"], schedule)
    return kind(**arguments)
