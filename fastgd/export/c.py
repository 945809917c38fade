"""Models as C99: one file without allocation that needs nothing but math.h.

Sums go from the first feature to the last, as in `fastgd.reference`, and the bias comes last: a ReLU network gives its
bits on numbers of the same dtype, where the compiler contracts nothing.
"""

import re
from collections.abc import Iterator

import numpy as np

from fastgd._version import __version__
from fastgd.activations import Activation, LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.labels import Labels
from fastgd.layer_stack import LayerStack
from fastgd.layers import Linear
from fastgd.losses import has_probabilities, kind_of
from fastgd.standardize import FAR_OUT, RobustStandardize

_INTEGERS = {"b": "signed char", "i": "long long", "u": "unsigned long long", "f": "double"}


def source_of(model: LayerStack, name: str) -> str:
    """The text of a C99 file whose functions, constants and macros begin with a name.

    Raises
    ------
    ValueError
        For a name that C does not allow, parameters that are not finite, or a layer that has not learnt yet.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        letters = re.sub(r"\W", "_", name, flags=re.ASCII)
        allowed = letters if re.match(r"[A-Za-z]", letters) else f"model_{letters}"
        raise ValueError(f"name is {name!r}, which no function of C begins with; expected one such as {allowed!r}")
    model.require_finite("to export")
    return "\n".join(_Source(model, name).lines()) + "\n"


class _Source:
    def __init__(self, model: LayerStack, name: str) -> None:
        self._model, self._name, self._macro = model, name, name.upper()
        self._real = {"float32": "float", "float64": "double"}[model.dtype.name]
        self._suffix = "f" if self._real == "float" else ""

    def lines(self) -> Iterator[str]:
        """The file, line by line."""
        model, name, macro, real = self._model, self._name, self._macro, self._real
        declarations = [f"void {self._signature('predict', 'out', 'OUT_FEATURES')};"]
        labels = model.labels
        has_classes = labels is not None and labels.classes is not None
        has_p = labels is not None and has_probabilities(labels.loss)
        has_rates = labels is not None and labels.are_rates
        if has_classes:
            declarations.append(f"int {name}_class(const {real} x[{macro}_IN_FEATURES]);")
        if has_p:
            declarations.append(f"void {self._signature('probabilities', 'p', self._n_probabilities())};")
        if has_rates:
            declarations.append(f"void {self._signature('rates', 'out', 'OUT_FEATURES')};")
        yield f"/* {_comment(', '.join(map(repr, model.layers)))}; written by fastgd {__version__}."
        yield ""
        yield "   Declare what you call:"
        yield ""
        yield from (f"   {each}" for each in declarations)
        yield ""
        yield "   Compile with -ffp-contract=off for sums that are the same to the last bit on every processor. */"
        yield ""
        yield "#include <math.h>"
        yield ""
        yield f"#define {macro}_IN_FEATURES {model.in_features}"
        yield f"#define {macro}_OUT_FEATURES {model.out_features}"
        if has_classes:
            yield f"#define {macro}_N_CLASSES {len(labels.classes)}"
        # What goes from layer to layer, in two buffers by turns.
        yield f"#define {macro}_WIDEST {max(model.widths)}"
        yield ""
        if has_classes:
            yield from self._classes(labels.classes)
        yield from self._constants()
        yield from self._predict()
        if has_classes:
            yield from self._class()
        if has_p:
            yield from self._probabilities(labels)
        if has_rates:
            yield from self._rates()

    def _n_probabilities(self) -> str:
        return "OUT_FEATURES" if self._model.labels.classes is None else "N_CLASSES"

    def _signature(self, function: str, out: str, size: str) -> str:
        real, macro = self._real, self._macro
        return f"{self._name}_{function}(const {real} x[{macro}_IN_FEATURES], {real} {out}[{macro}_{size}])"

    def _classes(self, classes: np.ndarray) -> Iterator[str]:
        kind = classes.dtype.kind
        if kind in "US":
            texts = [each.encode() if kind == "U" else bytes(each) for each in classes.tolist()]
            kind, values = "const char *const", [f'"{_quoted(text)}"' for text in texts]
        else:
            kind = f"const {_INTEGERS[kind]}"
            values = [_number(each) for each in classes] if classes.dtype.kind == "f" else _integers(classes)
        yield f"extern {kind} {self._name}_classes[{self._macro}_N_CLASSES];"
        yield f"{kind} {self._name}_classes[{self._macro}_N_CLASSES] = {{"
        yield from (f"    {value}," for value in values)
        yield "};"
        yield ""

    def _constants(self) -> Iterator[str]:
        for index, layer in enumerate(self._model.layers):
            if isinstance(layer, Linear):
                yield from self._array(f"weight_{index}", layer.weight)
                if layer.bias is not None:
                    yield from self._array(f"bias_{index}", layer.bias)
            elif layer in (self._model.standardize, self._model.standardized_targets):
                mean, scale = layer.mean_and_scale[:2]
                yield from self._array(f"mean_{index}", mean)
                yield from self._array(f"scale_{index}", scale)

    def _array(self, name: str, values: np.ndarray) -> Iterator[str]:
        kind, suffix = ("float", "f") if values.dtype == np.float32 else ("double", "")
        yield f"static const {kind} {name}{''.join(f'[{size}]' for size in values.shape)} = {{"
        for row in values if values.ndim == 2 else [values]:
            numbers = [f"{_number(value)}{suffix}" for value in row.tolist()]
            braces = "{}" if values.ndim == 2 else ("", "")
            parts = [", ".join(numbers[start : start + 6]) for start in range(0, len(numbers), 6)]
            yield f"    {braces[0]}" + ",\n     ".join(parts) + f"{braces[1]},"
        yield "};"
        yield ""

    def _predict(self) -> Iterator[str]:
        model, macro, real = self._model, self._macro, self._real
        body: list[str] = []
        width, buffers = model.in_features, ["a", "b"]
        for index, layer in enumerate(model.layers):
            if isinstance(layer, Linear):
                bias = "" if layer.bias is None else f" + bias_{index}[i]"
                lines = [
                    f"{real} sum = 0;",
                    f"for (j = 0; j < {width}; j++)",
                    f"    sum += weight_{index}[i][j] * z[j];",
                    f"OUT = sum{bias};",
                ]
                width = layer.out_features
            else:
                lines = self._elementwise(layer, index)
            if lines:
                body.append(f"    for (i = 0; i < {width}; i++) {{")
                body += [f"        {line.replace('OUT', f'{buffers[0]}[i]')}" for line in lines]
                body += ["    }", f"    z = {buffers[0]};"]
                buffers.reverse()
        prototype = f"void {self._signature('predict', 'out', 'OUT_FEATURES')}"
        yield f"{prototype};"
        yield prototype
        yield "{"
        used = [f"{buffer}[{macro}_WIDEST]" for buffer in "ab" if f"    z = {buffer};" in body]
        yield f"    {real} {', '.join(used)};"
        yield f"    const {real} *z = x;"
        yield "    int i, j;"
        yield ""
        yield from body
        yield f"    for (i = 0; i < {macro}_OUT_FEATURES; i++)"
        yield "        out[i] = z[i];"
        yield "}"

    def _elementwise(self, layer: Activation, index: int) -> list[str]:
        """The statements that make OUT of z[i]."""
        real, f, model = self._real, self._suffix, self._model
        if layer is model.standardize:
            lines = [f"double t = ((double)z[i] - mean_{index}[i]) * scale_{index}[i];"]
            if isinstance(layer, RobustStandardize):
                share = f"double share = t / {_number(layer.limit)};"
                far = f"isfinite(t) ? copysign({_number(layer.limit)}, t) : t"
                near = "t / sqrt(1 + share * share)"
                lines += [share, f"t = fabs(share) < {_number(FAR_OUT)} ? {near} : {far};"]
            return [*lines, f"OUT = ({real})t;"]
        if layer is model.standardized_targets:
            return [f"OUT = ({real})((double)z[i] * scale_{index}[i] + mean_{index}[i]);"]
        if isinstance(layer, ReLU):
            return ["OUT = z[i] < 0 ? 0 : z[i];"]
        if isinstance(layer, LeakyReLU):
            slope = model.dtype.type(layer.slope)
            return [f"OUT = z[i] < 0 ? {_number(slope)}{f} * z[i] : z[i];"]
        if isinstance(layer, Tanh):
            return [f"OUT = tanh{f}(z[i]);"]
        if isinstance(layer, Sigmoid):
            # The exponential of a negative number cannot overflow.
            return [f"{real} small = exp{f}(-fabs{f}(z[i]));", "OUT = (z[i] < 0 ? small : 1) / (1 + small);"]
        return []

    def _class(self) -> Iterator[str]:
        name, macro, real = self._name, self._macro, self._real
        prototype = f"int {name}_class(const {real} x[{macro}_IN_FEATURES])"
        yield ""
        yield f"/* The place in {name}_classes of the class of a row. */"
        yield f"{prototype};"
        yield prototype
        yield "{"
        yield f"    {real} z[{macro}_OUT_FEATURES];"
        if self._model.out_features == 1:
            yield f"    {name}_predict(x, z);"
            yield "    return z[0] > 0;"
        else:
            yield "    int i, best = 0;"
            yield f"    {name}_predict(x, z);"
            yield f"    for (i = 1; i < {macro}_OUT_FEATURES; i++)"
            yield "        if (z[i] > z[best])"
            yield "            best = i;"
            yield "    return best;"
        yield "}"

    def _probabilities(self, labels: Labels) -> Iterator[str]:
        name, macro, real, f = self._name, self._macro, self._real, self._suffix
        prototype = f"void {self._signature('probabilities', 'p', self._n_probabilities())}"
        yield ""
        yield f"{prototype};"
        yield prototype
        yield "{"
        yield f"    {real} z[{macro}_OUT_FEATURES];"
        yield "    int i;"
        if kind_of(labels.loss).link == "softmax":
            yield f"    {real} largest, sum = 0;"
            yield f"    {name}_predict(x, z);"
            yield "    largest = z[0];"
            yield f"    for (i = 1; i < {macro}_OUT_FEATURES; i++)"
            yield "        largest = z[i] > largest ? z[i] : largest;"
            yield f"    for (i = 0; i < {macro}_OUT_FEATURES; i++) {{"
            yield f"        p[i] = exp{f}(z[i] - largest);"
            yield "        sum += p[i];"
            yield "    }"
            yield f"    for (i = 0; i < {macro}_OUT_FEATURES; i++)"
            yield "        p[i] /= sum;"
        else:
            yield f"    {name}_predict(x, z);"
            yield f"    for (i = 0; i < {macro}_OUT_FEATURES; i++) {{"
            yield f"        {real} small = exp{f}(-fabs{f}(z[i]));"
            yield f"        {real} large = 1 / (1 + small);"
            yield "        small /= 1 + small;"
            if labels.classes is None:
                yield "        p[i] = z[i] > 0 ? large : small;"
            else:
                yield "        p[0] = z[i] > 0 ? small : large;"
                yield "        p[1] = z[i] > 0 ? large : small;"
            yield "    }"
        yield "}"

    def _rates(self) -> Iterator[str]:
        prototype = f"void {self._signature('rates', 'out', 'OUT_FEATURES')}"
        yield ""
        yield f"{prototype};"
        yield prototype
        yield "{"
        yield "    int i;"
        yield f"    {self._name}_predict(x, out);"
        yield f"    for (i = 0; i < {self._macro}_OUT_FEATURES; i++)"
        yield f"        out[i] = exp{self._suffix}(out[i]);"
        yield "}"


def _number(value: float) -> str:
    """A number in hexadecimal digits, which every compiler reads back exactly."""
    if value == 0:
        return "0.0"
    mantissa, exponent = float(value).hex().split("p")
    whole, _, digits = mantissa.partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}p{exponent}"


def _integers(classes: np.ndarray) -> list[str]:
    if classes.dtype.kind == "b":
        return [str(int(each)) for each in classes]
    suffix = "LL" if classes.dtype.kind == "i" else "ULL"
    # The least of all is no literal: a minus sign stands before what no long long holds.
    return ["(-9223372036854775807LL - 1)" if int(each) == -(2**63) else f"{each}{suffix}" for each in classes]


def _quoted(text: bytes) -> str:
    # A digit after an octal escape of three digits is no part of it; a question mark may begin a trigraph.
    plain = set(range(32, 127)) - set(b'"\\?')
    return "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text)


def _comment(text: str) -> str:
    return text.replace("*/", "* /")
