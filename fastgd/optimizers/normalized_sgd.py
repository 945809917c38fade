"""The optimiser that needs no tuning for features of any scale and mean."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastgd.kernels import normalized_sgd as kernels
from fastgd.layer_stack import LayerStack
from fastgd.layers import Linear
from fastgd.losses import Loss, kind_of
from fastgd.optimizers.base import LearningRate, Optimizer, State, with_fields


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

    Examples
    --------
    >>> import fastgd as gd
    >>> data = gd.data.synthetic(n_samples=2000, n_features=3)
    >>> X, y = data.arrays()
    >>> X[:, 0] *= 1000  # features of different units
    >>> model = gd.Model([gd.Linear(3, 1), gd.ReLU()], seed=1)
    >>> history = gd.Trainer(model, optimizer=gd.NormalizedSGD(0.1)).fit(X, y, epochs=3)
    >>> history.loss[-1] < history.loss[0]
    True
    """

    learning_rate: LearningRate = 1.0
    state_names: ClassVar[tuple[str, ...]] = ("sqrt_G", "s", "m")
    hidden_state_names: ClassVar[tuple[str, ...]] = ("sqrt_G_rounding", "u", "inverse_s")
    needs_no_search: ClassVar[bool] = True
    wants_random_weights: ClassVar[bool] = True

    def auto_rate(self, loss: Loss, is_full_batch: bool) -> float:
        """1."""
        return 1.0

    def resolved_for(self, model: LayerStack, loss: Loss) -> "NormalizedSGD":
        """The same; a ValueError unless a Linear comes first."""
        if not model.starts_linear:
            raise ValueError(f"NormalizedSGD with {model!r}; expected Linear as the first layer")
        return self

    def settings_for(self, model: LayerStack, loss: Loss, is_full_batch: bool) -> tuple:
        """What the kernels must know of the model."""
        first = _linears(model)[0]
        is_careful = not model.is_linear or kind_of(loss).link == "log"
        return kernels.settings_for(
            first.in_features, first.out_features, first.has_bias, is_careful=is_careful, is_full_batch=is_full_batch
        )

    def initial_state(self, model: LayerStack) -> State:
        """Zeros, but for the constant s of all that comes after the first layer's weights."""
        n_units = sum(layer.out_features for layer in _linears(model))
        state = with_fields(super().initial_state(model), kernels.FIELDS, model.in_features + n_units)
        weights = model.weights
        scale = state.vectors[kernels.SCALE]
        for begin, _, n_in in weights:
            scale[begin:] = np.sqrt(n_in)
        scale[: weights[0, 1]] = 0
        np.divide(1, scale, out=state.vectors[kernels.INVERSE_SCALE], where=scale > 0)
        mean, derivatives = np.split(state.own[kernels.MEANS :], [model.in_features])
        return state._replace(named=state.named | {"mean": mean, "derivatives": derivatives})

    def begin(self, model: LayerStack, state: State) -> None:
        """Take drawn weights for ones of features of scale 1 and mean 0, any others for ones of the features."""
        if state.named["weight_seen"][0] == 0:
            n_weights = model.weights[0, 1]
            is_drawn = state.named["is_drawn"][0] = model.starts_as_drawn
            state.vectors[kernels.START, :n_weights] = 0 if is_drawn else model.parameters[:n_weights]


def _linears(model: LayerStack) -> list[Linear]:
    return [layer for layer in model.layers if isinstance(layer, Linear)]
