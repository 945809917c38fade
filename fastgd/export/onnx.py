"""Models as ONNX: nothing but operators of the standard's opset 13, which runtimes have had since 2020.

Arithmetic is in the model's dtype, but for means and scales, which are applied in float64 as `Model.predict` does.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from fastgd import atomic_files, losses
from fastgd._version import __version__
from fastgd.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from fastgd.labels import Labels, shown
from fastgd.layer_stack import LayerStack
from fastgd.layers import Layer, Linear
from fastgd.standardize import FAR_OUT, RobustStandardize

if TYPE_CHECKING:
    import onnx

_OPSET, _IR_VERSION = 13, 7
# A protocol buffer holds less than 2 GiB, names and shapes among them.
_MOST_BYTES = 2**31 - 2**20
_BOOL, _INTEGER, _DOUBLE = np.dtype(np.bool_), np.dtype(np.int64), np.dtype(np.float64)
# What any other activation, Dropout among them, leaves as it is.
_OPERATORS = {ReLU: "Relu", Tanh: "Tanh", Sigmoid: "Sigmoid"}


class Outputs(NamedTuple):
    """What a graph makes of the model's outputs z.

    link : "identity" leaves z as it is; "log" takes exp(z); of classes, "logit" and "softmax" give probabilities,
        "clip" those of the modified Huber loss, and None has none: the graph then gives z itself, as "scores"
    classes : (n_classes,) labels, or None where z stands for numbers or, with "logit", for probabilities
    is_multilabel : whether a row has any number of the classes, zeros and ones in place of a label
    name : of the output, where there are no classes
    """

    link: Literal["identity", "log", "logit", "softmax", "clip"] | None = "identity"
    classes: np.ndarray | None = None
    is_multilabel: bool = False
    name: str = "output"

    @classmethod
    def of_labels(cls, labels: Labels) -> "Outputs":
        """Those of a model that knows its classes."""
        if labels.are_rates:
            return cls("log", name="rates")
        link = losses.kind_of(labels.loss).link if losses.has_probabilities(labels.loss) else None
        return cls(link, labels.classes, name="probabilities")


def graph_of(
    model: LayerStack, outputs: Outputs, dtype: np.dtype | None = None, label_dtype: np.dtype | None = None
) -> "onnx.ModelProto":
    """The model as a graph of its own, from "X", (n_samples, in_features), to what `outputs` says.

    dtype : of "X" and of what is no label, where it is not the model's
    label_dtype : of the labels, where it is not that of the classes

    Raises
    ------
    ImportError
        Without the package onnx.
    ValueError
        For parameters that are not finite, a layer that has not learnt yet, or labels that ONNX does not have.
    """
    return _Graph(model, outputs, model.dtype if dtype is None else dtype, label_dtype).proto()


def write(path: str | os.PathLike, proto: "onnx.ModelProto") -> None:
    """Write a graph to a file, whole or not at all."""
    if proto.ByteSize() > _MOST_BYTES:
        raise ValueError(
            f"the model takes {proto.ByteSize():,} bytes, and an ONNX file holds {_MOST_BYTES:,}; expected fewer "
            "parameters, or float32"
        )
    with atomic_files.atomic_write(path) as file:
        file.write(proto.SerializeToString())


class _Graph:
    """A graph that grows node by node."""

    def __init__(self, model: LayerStack, outputs: Outputs, dtype: np.dtype, label_dtype: np.dtype | None) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ImportError('to_onnx needs the package onnx; expected pip install "fastgd[onnx]"') from error
        model.require_finite("to export")
        self._onnx, self._model, self._outputs = onnx, model, outputs
        self._dtype, self._label_dtype = dtype, label_dtype
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def proto(self) -> "onnx.ModelProto":
        """The whole."""
        make, model = self._onnx.helper, self._model
        results = list(self._results(self._scores()))
        X = make.make_tensor_value_info("X", self._type(self._dtype), ["n_samples", model.in_features])
        values = [
            make.make_tensor_value_info(name, self._type(dtype), ["n_samples", *widths])
            for name, dtype, widths in results
        ]
        return make.make_model(
            make.make_graph(self._nodes, "fastgd", [X], values, list(self._constants.values())),
            ir_version=_IR_VERSION,
            opset_imports=[make.make_opsetid("", _OPSET)],
            producer_name="fastgd",
            producer_version=__version__,
            doc_string=", ".join(map(repr, model.layers)),
        )

    def _scores(self) -> str:
        """The name of the model's outputs z, (n_samples, out_features), in its dtype."""
        model, targets = self._model, self._model.standardized_targets
        if model.standardize is None:
            z = self._cast("X", self._dtype, model.dtype)
        else:
            z = self._standardized("X")
        for index, layer in enumerate(model.layers):
            z = self._after(layer, z, str(index))
        if targets is None:
            return z
        mean, scale = targets.mean_and_scale
        index = len(model.layers) - 1
        z = self._node("Mul", self._cast(z, model.dtype, _DOUBLE), self._constant(f"{index}.scale", scale))
        return self._cast(self._node("Add", z, self._constant(f"{index}.mean", mean)), _DOUBLE, model.dtype)

    def _standardized(self, X: str) -> str:
        layer = self._model.standardize
        mean, scale = layer.mean_and_scale[:2]
        t = self._cast(X, self._dtype, _DOUBLE)
        if layer.with_mean:
            t = self._node("Sub", t, self._constant("0.mean", mean))
        t = self._node("Mul", t, self._constant("0.scale", scale))
        if isinstance(layer, RobustStandardize):
            bound = layer.limit * FAR_OUT
            t = self._node("Clip", t, self._number("0.lowest", -bound), self._number("0.highest", bound))
            share = self._node("Div", t, self._number("0.limit", layer.limit))
            square = self._node("Mul", share, share)
            t = self._node("Div", t, self._node("Sqrt", self._node("Add", square, self._number("0.one", 1))))
        return self._cast(t, _DOUBLE, self._model.dtype)

    def _after(self, layer: Layer, z: str, name: str) -> str:
        """What a layer makes of a value, Standardize and StandardizedTargets apart."""
        if isinstance(layer, Linear):
            parts = [self._constant(f"{name}.weight", layer.weight)]
            if layer.bias is not None:
                parts.append(self._constant(f"{name}.bias", layer.bias))
            return self._node("Gemm", z, *parts, transB=1)
        if isinstance(layer, LeakyReLU):
            # The operator LeakyRelu has a slope of float32, and runtimes do not have it in float64.
            leak = self._node("Mul", z, self._number(f"{name}.slope", layer.slope, self._model.dtype))
            return self._node("Where", self._node("Less", z, self._zero()), leak, z)
        return self._node(_OPERATORS[type(layer)], z) if type(layer) in _OPERATORS else z

    def _results(self, z: str) -> Iterator[tuple[str, np.dtype, list[int]]]:
        """Name, dtype and shape of a row of each of the graph's results."""
        outputs, model = self._outputs, self._model
        if outputs.classes is None:
            functions = {"log": "Exp", "logit": "Sigmoid"}
            value = self._node(functions[outputs.link], z) if outputs.link in functions else z
            yield self._result(outputs.name, value, model.out_features)
            return
        if outputs.is_multilabel:
            label, widths = self._cast(self._node("Greater", z, self._zero()), _BOOL, _INTEGER), [model.out_features]
            dtype = _INTEGER
        else:
            label, dtype = self._label(z)
            widths = []
        self._name(label, "label")
        yield "label", dtype, widths
        if outputs.link is None:
            yield self._result("scores", z, model.out_features)
        else:
            yield self._result("probabilities", self._probabilities(z), len(outputs.classes))

    def _label(self, z: str) -> tuple[str, np.dtype]:
        """The label of each row, (n_samples,), and its dtype."""
        classes = _labels(self._outputs.classes)
        if self._label_dtype is not None:
            classes = classes.astype(self._label_dtype)
        if self._model.out_features == 1:
            flat = self._node("Reshape", z, self._constant("flat", np.array([-1])))
            place = self._cast(self._node("Greater", flat, self._zero()), _BOOL, _INTEGER)
        else:
            place = self._node("ArgMax", z, axis=1, keepdims=0)
        return self._node("Gather", self._constant("classes", classes), place, axis=0), classes.dtype

    def _probabilities(self, z: str) -> str:
        """The probability of each class, (n_samples, n_classes)."""
        outputs, dtype = self._outputs, self._model.dtype
        is_single = self._model.out_features == 1 and not outputs.is_multilabel
        if outputs.link == "softmax":
            return self._node("Softmax", z, axis=1)
        if outputs.link == "logit" and is_single:
            # Of the logits 0 and z, a small probability keeps all its digits, as runtimes' Sigmoid does not.
            return self._node("Softmax", self._node("Concat", self._node("Sub", z, z), z, axis=1), axis=1)
        if outputs.link == "logit":
            return self._node("Sigmoid", z)
        one, half = self._number("one", 1, dtype), self._number("half", 0.5, dtype)
        clipped = self._node("Clip", z, self._number("minus_one", -1, dtype), one)
        p = self._node("Mul", self._node("Add", clipped, one), half)
        if is_single:
            return self._node("Concat", self._node("Sub", one, p), p, axis=1)
        if outputs.is_multilabel:
            return p
        total = self._node("ReduceSum", p, self._constant("axis", np.array([1])), keepdims=1)
        # Where no class has any, all have the same.
        is_none = self._node("Equal", total, self._zero())
        total = self._node("Where", is_none, self._number("n_classes", len(outputs.classes), dtype), total)
        return self._node("Div", self._node("Where", is_none, one, p), total)

    def _node(self, operator: str, *inputs: str, **attributes: int) -> str:
        """Add a node; return the name of what it gives."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _cast(self, value: str, dtype: np.dtype, to: np.dtype) -> str:
        return value if dtype == to else self._node("Cast", value, to=self._type(to))

    def _constant(self, name: str, values: np.ndarray) -> str:
        self._constants[name] = self._onnx.numpy_helper.from_array(values, name)
        return name

    def _number(self, name: str, value: float, dtype: np.dtype = _DOUBLE) -> str:
        return self._constant(name, np.array(value, dtype))

    def _zero(self) -> str:
        return self._number("zero", 0, self._model.dtype)

    def _result(self, name: str, value: str, width: int) -> tuple[str, np.dtype, list[int]]:
        """Have a value as a result of the graph, in the dtype that this is to have."""
        self._name(self._cast(value, self._model.dtype, self._dtype), name)
        return name, self._dtype, [width]

    def _name(self, value: str, name: str) -> None:
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))

    def _type(self, dtype: np.dtype) -> int:
        if dtype.kind == "O":
            return self._onnx.TensorProto.STRING
        return self._onnx.helper.np_dtype_to_tensor_dtype(dtype)


def _labels(classes: np.ndarray) -> np.ndarray:
    """Labels as ONNX has them: numbers, booleans, or strings as objects."""
    if classes.dtype.kind == "U" or (classes.dtype.kind == "O" and all(isinstance(each, str) for each in classes)):
        return classes.astype(object)
    if classes.dtype.kind in "biuf" and classes.dtype.itemsize <= 8:
        return classes
    raise ValueError(
        f"the classes are {shown(classes)}, of dtype {classes.dtype}, which ONNX does not have; expected strings, "
        "booleans or numbers"
    )
