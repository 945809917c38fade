"""Stochastic gradient descent: plain, with momentum, and with bounded steps."""

from dataclasses import dataclass

from fastgd.data import checks
from fastgd.kernels import Bounded
from fastgd.kernels import optimizers as kernels
from fastgd.layer_stack import LayerStack
from fastgd.losses import Loss, kind_of
from fastgd.optimizers.base import LearningRate, Optimizer, State
from fastgd.optimizers.bounded import require_boundable, with_bound

# The rates of "auto" with bounded steps. In full batches the bound sets the length of a step, so that the rate may be
# large. The bound is taken of a batch's last rows; where these say too little, the safeguard lowers the rate.
_AUTO_RATE, _FULL_BATCH_RATE = 0.1, 100.0


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

    Examples
    --------
    >>> import fastgd as gd
    >>> model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1]])], dtype="float64")
    >>> trainer = gd.Trainer(model, optimizer=gd.SGD(0.1))
    >>> trainer.step([[1]], [0])
    0.5
    >>> model.parameters
    array([0.9])
    >>> gd.SGD(gd.schedules.Cooldown(0.1, period=1000), momentum=0.9).learning_rate
    Cooldown(learning_rate=0.1, period=1000, share=0.25)
    """

    learning_rate: LearningRate = 0.001
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    bounded: bool = False

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
    def is_plain(self) -> bool:
        """Whether an update is  w -= learning_rate · g  and no more."""
        return self.momentum == 0 and self.weight_decay == 0 and not self.bounded

    @property
    def state_names(self) -> tuple[str, ...]:
        """m, the running mean of momentum, or none without."""
        return () if self.bounded or self.is_plain else ("m",)

    @property
    def stable_share(self) -> float:
        """What is left of a gradient after momentum has added up those before."""
        return 1 - self.momentum

    @property
    def needs_no_search(self) -> bool:
        """Whether steps are bounded."""
        return self.bounded

    def auto_rate(self, loss: Loss, is_full_batch: bool) -> float:
        """100 / h for full batches, else .1."""
        return _FULL_BATCH_RATE / kind_of(loss).curvature if is_full_batch else _AUTO_RATE

    def resolved_for(self, model: LayerStack, loss: Loss) -> "SGD":
        """The same."""
        if self.bounded:
            require_boundable(SGD, model, loss)
        return self

    def initial_state(self, model: LayerStack) -> State:
        """Zeros."""
        state = super().initial_state(model)
        return with_bound(state) if self.bounded else state

    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """PlainSGD, the fastest, where neither momentum nor decay nor a bound is asked for."""
        if self.is_plain:
            return kernels.PlainSGD()
        if self.bounded:
            return Bounded(False, 0.0, self.weight_decay, 0.0, kind_of(loss).curvature)
        # Without a momentum there is nothing to dampen.
        dampening = self.dampening if self.momentum > 0 else 0.0
        return kernels.MomentumSGD(self.momentum, dampening, self.weight_decay, self.nesterov)
