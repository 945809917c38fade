"""What a model consists of, as a table."""

from dataclasses import dataclass
from typing import NamedTuple

from fastgd.layer_stack import LayerStack
from fastgd.layers import Layer, Linear
from fastgd.standardize import Standardize, StandardizedTargets
from fastgd.tables import Table


class LayerSummary(NamedTuple):
    """A layer of a model.

    layer : Layer          in_features, out_features : int
    n_parameters : int, what it learns
    n_multiplications : int, of a row's prediction: those of a Linear's product, and one for each number that another
        layer scales
    """

    layer: Layer
    in_features: int
    out_features: int
    n_parameters: int
    n_multiplications: int


@dataclass(frozen=True, repr=False)
class Summary:
    """The layers of a model, with their shapes, parameters and multiplications for each row.

    Its text is a table; a notebook shows the same.

    Attributes
    ----------
    layers : tuple of LayerSummary
    dtype : str
        Of the parameters.
    n_parameters, n_bytes : int
        All that is learnt, and the memory that it takes.
    n_multiplications : int
        Of a row's prediction. A training step takes up to three times as many for each of its rows: forward, backward
        to the layers' inputs, backward to the weights.
    """

    layers: tuple[LayerSummary, ...]
    dtype: str
    n_parameters: int
    n_bytes: int
    n_multiplications: int

    @property
    def table(self) -> Table:
        """The table."""
        rows = [
            (
                f"{k} {layer.layer}",
                f"{layer.in_features} → {layer.out_features}",
                f"{layer.n_parameters:,}",
                f"{layer.n_multiplications:,}",
            )
            for k, layer in enumerate(self.layers)
        ]
        first, last = self.layers[0].in_features, self.layers[-1].out_features
        total = "all", f"{first} → {last}", f"{self.n_parameters:,}", f"{self.n_multiplications:,}"
        title = f"Model, {self.dtype}: {self.n_parameters:,} parameters in {_size(self.n_bytes)}"
        columns = "layer", "features", "parameters", "multiplications a row"
        return Table(title, columns, [*rows, total], right=frozenset({2, 3}))

    def to_markdown(self) -> str:
        """A pipe table."""
        return self.table.to_markdown()

    def __str__(self) -> str:
        return self.table.to_text()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.table.to_html()


def summary_of(model: LayerStack) -> Summary:
    """What a model consists of."""
    layers, width = [], model.in_features
    for layer in model.layers:
        n_in = width
        width = layer.out_features if isinstance(layer, Linear) else n_in
        n_multiplications = 0
        if isinstance(layer, Linear):
            n_multiplications = n_in * width
        elif isinstance(layer, Standardize | StandardizedTargets):
            n_multiplications = width
        layers.append(LayerSummary(layer, n_in, width, layer.n_parameters, n_multiplications))
    return Summary(
        tuple(layers),
        model.dtype.name,
        model.parameters.size,
        model.parameters.nbytes,
        sum(layer.n_multiplications for layer in layers),
    )


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes} bytes"
