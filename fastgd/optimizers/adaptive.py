"""Optimisers that scale each element of the gradient by those before: Adam, Adagrad and RMSprop."""

from dataclasses import dataclass, replace
from typing import ClassVar

from fastgd.data import checks
from fastgd.kernels import Bounded
from fastgd.kernels import optimizers as kernels
from fastgd.layer_stack import LayerStack
from fastgd.losses import Loss, kind_of
from fastgd.optimizers.base import LearningRate, Optimizer, State
from fastgd.optimizers.bounded import can_be_bounded, require_boundable, with_bound

# Adagrad's rates of "auto" with bounded steps; see those of `SGD`.
_AUTO_RATE, _FULL_BATCH_RATE = 0.3, 1.0


@dataclass(frozen=True)
class Adam(Optimizer):
    """w -= learning_rate · m̂ / (√v̂ + eps), after Kingma and Ba, "Adam" (ICLR 2015), algorithm 1.

    m = β1 m + (1 - β1) g,  v = β2 v + (1 - β2) g²,  m̂ = m / (1 - β1^t),  v̂ = v / (1 - β2^t).
    With weight decay, g += weight_decay · w first.

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0. "auto" is at most 0.03 with hidden layers.
    betas : pair of float
        β1 and β2, each in [0, 1).
    eps : float
        More than 0, in the model's dtype too.
    weight_decay : float
        At least 0.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> trainer = gd.Trainer(model, optimizer=gd.Adam(0.1))
    >>> trainer.step([[1]], [0])  # the gradient is 1; a first step is as long as the rate
    0.5
    >>> model.parameters.round(6)
    array([0.9])
    """

    learning_rate: LearningRate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    state_names: ClassVar[tuple[str, ...]] = ("m", "v")
    step_per_rate: ClassVar[float | None] = 1.0
    _decoupled: ClassVar[bool] = False

    def _check_settings(self) -> None:
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas is {self.betas!r}; expected a pair of numbers")
        object.__setattr__(self, "betas", tuple(checks.below_one(beta, "betas") for beta in self.betas))
        self._set_checked(checks.positive, "eps")
        self._set_checked(checks.non_negative, "weight_decay")

    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """Those that were given."""
        return kernels.Adam(*self.betas, self.eps, self.weight_decay, self._decoupled)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with w *= 1 - learning_rate · weight_decay in place of a decay in g.

    After Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2. Parameters as Adam's.

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> trainer = gd.Trainer(model, optimizer=gd.AdamW(0.1, weight_decay=0.5))
    >>> trainer.step([[1]], [0])  # w (1 - 0.1 · 0.5) - 0.1
    0.5
    >>> model.parameters.round(6)
    array([0.85])
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

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> trainer = gd.Trainer(model, optimizer=gd.Adagrad(0.1))
    >>> trainer.step([[1]], [0])
    0.5
    >>> model.parameters.round(6)
    array([0.9])
    >>> gd.Trainer(model, optimizer=gd.Adagrad("auto")).optimizer.bounded
    True
    """

    learning_rate: LearningRate = 0.01
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    bounded: bool | None = None
    state_names: ClassVar[tuple[str, ...]] = ("G",)
    hidden_state_names: ClassVar[tuple[str, ...]] = ("G_rounding",)
    auto_rate_scales_with_targets: ClassVar[bool] = True

    def _check_settings(self) -> None:
        self._set_checked(checks.non_negative, "lr_decay", "weight_decay", "initial_accumulator_value")
        self._set_checked(checks.positive, "eps")
        if self.bounded is not None:
            self._set_checked(checks.switch, "bounded")

    @property
    def needs_no_search(self) -> bool:
        """Whether steps are bounded."""
        return bool(self.bounded)

    def auto_rate(self, loss: Loss, is_full_batch: bool) -> float:
        """1 for full batches, else .3."""
        return _FULL_BATCH_RATE if is_full_batch else _AUTO_RATE

    def resolved_for(self, model: LayerStack, loss: Loss) -> "Adagrad":
        """With bounds where nothing was said of them, the rate is "auto" and steps can be bounded."""
        if self.bounded is None:
            return replace(self, bounded=self.learning_rate == "auto" and can_be_bounded(model, loss))
        if self.bounded:
            require_boundable(Adagrad, model, loss)
        return self

    def initial_state(self, model: LayerStack) -> State:
        """G, which starts from the same everywhere, and zeros."""
        state = super().initial_state(model)
        state.vectors[0] += model.dtype.type(self.initial_accumulator_value)
        return with_bound(state) if self.bounded else state

    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """Those that were given, and the loss's curvature where steps are bounded."""
        if self.bounded:
            return Bounded(True, self.lr_decay, self.weight_decay, self.eps, kind_of(loss).curvature)
        return kernels.Adagrad(self.lr_decay, self.weight_decay, self.eps)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v = alpha · v + (1 - alpha) g²;  w -= learning_rate · g / (√v + eps); g += weight_decay · w first.

    Centred, √(v - a²) takes the place of √v, with a the same running mean of g. With momentum, m = momentum · m + g /
    (√v + eps) and w -= learning_rate · m. After Hinton's lecture and Graves, "Generating sequences with recurrent
    neural networks" (2013).

    Parameters
    ----------
    learning_rate : float, Schedule or "auto"
        At least 0. "auto" is at most 0.03 (1 - momentum) with hidden layers.
    alpha : float
        In [0, 1).
    eps : float
        More than 0, in the model's dtype too.
    weight_decay : float
        At least 0.
    momentum : float
        In [0, 1).
    centered : bool

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> trainer = gd.Trainer(model, optimizer=gd.RMSprop(0.1, alpha=0.75))
    >>> trainer.step([[1]], [0])  # w - 0.1 g / √(0.25 g²)
    0.5
    >>> model.parameters.round(6)
    array([0.8])
    """

    learning_rate: LearningRate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    state_names: ClassVar[tuple[str, ...]] = ("v", "a", "m")

    @property
    def step_per_rate(self) -> float:
        """As `Optimizer.step_per_rate`."""
        return 1 / (1 - self.momentum)

    def _check_settings(self) -> None:
        self._set_checked(checks.below_one, "alpha", "momentum")
        self._set_checked(checks.positive, "eps")
        self._set_checked(checks.non_negative, "weight_decay")
        self._set_checked(checks.switch, "centered")

    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """Those that were given."""
        return kernels.RMSprop(self.alpha, self.eps, self.weight_decay, self.momentum, self.centered)
