"""All the numbers of an update."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd.layers import Layer, Linear
from fastgd.tables import Table


@dataclass(frozen=True, repr=False, eq=False)
class Step:
    """An update: a batch's forward pass, its loss, the backward pass, and the parameters before and after.

    The arrays are the step's own, of the model's dtype; in a trace of `fastgd.reference`, of objects such as fractions.
    n_rows is the batch's, n_layers is len(layers).

    Attributes
    ----------
    update : int
        The number of the update in its run, from 1.
    rows : (int, int)
        The batch is rows[0] to before rows[1] of the X that was traced.
    layers : tuple of layers
        Those that the kernels run: without Standardize and StandardizedTargets.
    first_layer : int
        The place of the first of them in `model.layers`.
    x : (n_rows, in_features)
        What the first of the layers is given: the article's o1; standardised where the model has a Standardize.
    y : (n_rows, n_targets) or None
        As the loss takes it: standardised where the model has a StandardizedTargets.
    y_is_standardized : bool
    sample_weight : (n_rows,) or None
    outputs : tuple of n_layers arrays (n_rows, n_out)
        What each layer gives: z of a Linear, out of an activation.
    masks : tuple of n_layers arrays (n_rows, n_out) of bool, None for layers without
        Where z >= -tolerance of a ReLU, z < 0 of a LeakyReLU, and what a Dropout lets pass.
    loss : float or None
        The mean over the rows, 1/n_rows Σ_i v_i loss(out_i, y_i) with v the sample weights; without penalties.
    deltas : tuple of n_layers + 1 arrays
        The learning flow: deltas[k] is the derivative of the loss by what layer k is given, (n_rows, n_in), and the
        last one that by the model's outputs. Empty without y.
    gradient : (n_parameters,) or None
        ∂loss/∂w as the backward pass leaves it: the optimiser, penalties and bounds take it from there.
    learning_rate : float or None
    parameters_before, parameters_after : (n_parameters,), the latter None without y
        Those before are the ones that the forward pass sees: NormalizedSGD adapts them to the batch's features first.
    loss_name, optimizer, rule : str
        The loss, the optimiser with its settings, and what comes of {w} by its gradient {d}: "{new} = {w} - α {d}".
    """

    update: int
    rows: tuple[int, int]
    layers: tuple[Layer, ...]
    first_layer: int
    x: np.ndarray
    y: np.ndarray | None
    y_is_standardized: bool
    sample_weight: np.ndarray | None
    outputs: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    loss: Any
    deltas: tuple[np.ndarray, ...]
    gradient: np.ndarray | None
    learning_rate: Any
    parameters_before: np.ndarray
    parameters_after: np.ndarray | None
    loss_name: str
    optimizer: str
    rule: str

    def by_name(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of the gradient or of parameters, in the shapes and by the names of `Model.save`: "0.weight", "0.bias".

        Parameters
        ----------
        vector : array of shape (n_parameters,)

        Examples
        --------
        >>> import fastgd as gd
        >>> step = gd.trace(gd.Model([gd.Linear(2, 1)], dtype="float64"), [[1, 2]], [0.0], learning_rate=0.1)[0]
        >>> {name: array.shape for name, array in step.by_name(step.gradient).items()}
        {'0.weight': (1, 2), '0.bias': (1,)}
        """
        views, begin = {}, 0
        for k, layer in enumerate(self.layers, self.first_layer):
            if isinstance(layer, Linear):
                end = begin + layer.out_features * layer.in_features
                views[f"{k}.weight"] = vector[begin:end].reshape(layer.out_features, layer.in_features)
                begin = end
                if layer.has_bias:
                    end = begin + layer.out_features
                    views[f"{k}.bias"] = vector[begin:end]
                    begin = end
        return views

    @property
    def table(self) -> Table:
        """The step as a table, which its text and a notebook show."""
        # Not at the top: the formulas are of steps.
        from fastgd.tracing.step_table import table_of

        return table_of(self)

    def __str__(self) -> str:
        return self.table.to_text()

    def _repr_html_(self) -> str:
        return self.table.to_html()

    def __repr__(self) -> str:
        first, end = self.rows
        rows = f"row {first}" if end == first + 1 else f"rows {first} to {end - 1}"
        loss = "" if self.loss is None else f", loss {self.loss}, learning rate {self.learning_rate}"
        return f"Step(update {self.update}, {rows}{loss})"
