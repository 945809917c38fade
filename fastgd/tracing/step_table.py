"""The rows of a step's table: each number with the layer that it belongs to and the formula that it comes from.

The names are the article's, whose layer 1 is the input: layer k of the stack is its layer k + 2, with the output
o{k + 2}, the parameters w{k + 2} and b{k + 2}, and the derivative δ{k + 2} of the loss by what the layer is given.
"""

import re
from collections.abc import Iterator

from fastgd.activations import Dropout, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.layers import Layer, Linear
from fastgd.losses import LOSSES
from fastgd.tables import Table, number, numbers
from fastgd.tracing.step import Step

_COLUMNS = "pass", "layer", "formula", "value"

Row = tuple[str, str, str]


def table_of(step: Step) -> Table:
    """The step as a table."""
    first, end = step.rows
    title = f"row {first}" if end == first + 1 else f"rows {first} to {end - 1}"
    parts = [("forward", list(_forward(step)))]
    if step.y is not None:
        title = f"update {step.update}: {title}, loss {number(step.loss)}, α = {number(step.learning_rate)}"
        parts += [("backward", list(_backward(step))), ("update", list(_update(step)))]
    rows = []
    for name, part in parts:
        rows += [(name if k == 0 else "", *row) for k, row in enumerate(part)]
    return Table(title, _COLUMNS, rows, formulas=frozenset({2, 3}))


def _named(step: Step, k: int) -> str:
    return f"{k + step.first_layer} {step.layers[k]}"


def _forward(step: Step) -> Iterator[Row]:
    given = "o1 = x, standardised" if step.first_layer else "o1 = x"
    yield "input", given, numbers(step.x)
    for k, (layer, out, mask) in enumerate(zip(step.layers, step.outputs, step.masks, strict=True)):
        # Where nothing is learnt, nothing is dropped.
        formula, of_mask = _passes(layer, k + 1, mask is not None)[:2]
        yield _named(step, k), f"o{k + 2} = {formula}", numbers(out)
        if mask is not None:
            yield "", of_mask, numbers(mask)
    if step.y is not None:
        yield step.loss_name, "y, standardised" if step.y_is_standardized else "y", numbers(step.y)
        if step.sample_weight is not None:
            yield "", "v", numbers(step.sample_weight)
        yield "", f"loss = {_loss(step)}", number(step.loss)


def _loss(step: Step) -> str:
    out = f"o{len(step.layers) + 1}"
    formula = re.sub(r"\bz(?=\b|_)", out, LOSSES[step.loss_name].formula)
    if step.outputs[-1].shape[1] > 1 and step.y.shape[1] > 1:
        formula = f"Σ {formula}"
    if step.sample_weight is not None:
        formula = f"v ({formula})"
    return formula if len(step.x) == 1 else f"mean of {formula}"


def _backward(step: Step) -> Iterator[Row]:
    n_rows, out = len(step.x), len(step.layers) + 1
    formula = f"∂loss/∂o{out}"
    if step.loss_name == "half_squared_error":
        formula = f"o{out} - y"
        formula = f"v ({formula})" if step.sample_weight is not None else formula
        if n_rows > 1:
            formula = f"{formula} / {n_rows}" if formula.startswith("v") else f"({formula}) / {n_rows}"
    yield step.loss_name, f"δ{out + 1} = {formula}", numbers(step.deltas[-1])
    gradient = step.by_name(step.gradient)
    over_rows = "Σ " if n_rows > 1 else ""
    for k in range(len(step.layers) - 1, -1, -1):
        layer, name = step.layers[k], f"{k + step.first_layer}"
        yield (
            _named(step, k),
            f"δ{k + 2} = {_passes(layer, k + 1, step.masks[k] is not None)[2]}",
            numbers(step.deltas[k]),
        )
        if isinstance(layer, Linear):
            yield "", f"δw{k + 2} = {over_rows}δ{k + 3} · o{k + 1}", numbers(gradient[f"{name}.weight"])
            if layer.has_bias:
                yield "", f"δb{k + 2} = {over_rows}δ{k + 3}", numbers(gradient[f"{name}.bias"])


def _update(step: Step) -> Iterator[Row]:
    before, after = step.by_name(step.parameters_before), step.by_name(step.parameters_after)
    for k, layer in enumerate(step.layers):
        if isinstance(layer, Linear):
            for kind, letter, hat in (("weight", "w", "ŵ"), ("bias", "b", "b̂")):
                name = f"{k + step.first_layer}.{kind}"
                if name in before:
                    rule = step.rule.format(new=f"{hat}{k + 2}", w=f"{letter}{k + 2}", d=f"δ{letter}{k + 2}")
                    yield (_named(step, k) if kind == "weight" else ""), f"{letter}{k + 2}", numbers(before[name])
                    yield "", rule, numbers(after[name])


def _passes(layer: Layer, given: int, has_mask: bool) -> tuple[str, str, str]:
    """The formulas of a layer's output, of its mask, and of the derivative by what it is given.

    given : the number of what it is given, o1 or later          has_mask : whether its forward pass has left one
    """
    z, out, d = f"o{given}", f"o{given + 1}", f"δ{given + 2}"
    if isinstance(layer, Linear):
        return f"w{given + 1} · {z}" + (f" + b{given + 1}" if layer.has_bias else ""), "", f"{d} · w{given + 1}"
    if isinstance(layer, ReLU):
        least = "0, but for rounding" if layer.tolerance is None else number(-layer.tolerance)
        return f"{z} if {z} >= 0 else 0", f"mask: {z} >= {least}", f"{d} if mask else 0"
    if isinstance(layer, LeakyReLU):
        slope = number(layer.slope)
        return f"{z} if {z} >= 0 else {slope} · {z}", f"mask: {z} < 0", f"{slope} · {d} if mask else {d}"
    if isinstance(layer, Dropout) and has_mask:
        kept = number(1 - layer.p)
        return f"{z} / {kept} if mask else 0", f"mask: kept, p = {number(layer.p)}", f"{d} / {kept} if mask else 0"
    if isinstance(layer, Tanh):
        return f"tanh({z})", "", f"{d} · (1 - {out}²)"
    if isinstance(layer, Sigmoid):
        return f"1 / (1 + exp(-{z}))", "", f"{d} · {out} · (1 - {out})"
    assert isinstance(layer, Identity | Dropout)
    return z, "", d
