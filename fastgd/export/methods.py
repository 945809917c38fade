"""What a model has for other programs, as methods."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastgd import atomic_files
from fastgd.activations import Activation
from fastgd.layer_stack import LayerStack

if TYPE_CHECKING:
    from torch.nn import Sequential


class ExportMethods(LayerStack):
    """Models from and for other programs."""

    def to_onnx(self, path: str | os.PathLike, classes: bool | None = None) -> None:
        """Write the model as ONNX, with operators of opset 13 alone, in the model's dtype.

        The input "X", (n_samples, in_features), is tensor(float) or tensor(double) as the model's dtype. A model
        without classes has the output "output", (n_samples, out_features), as `predict` gives it. One that knows its
        classes has "label", (n_samples,), of the classes' dtype, and "probabilities", (n_samples, n_classes), or where
        its loss has none "scores", the outputs themselves. One whose targets are probabilities has "probabilities"
        alone, and one whose targets are rates has "rates". A Standardize, RobustStandardize or StandardizedTargets
        works in float64, also in a float32 model; where a runtime has no float64, export `model.fold()`. Dropout is
        left out, as in `predict`.

        Parameters
        ----------
        path : path
        classes : bool, optional
            Whether to write labels, probabilities and rates; by default where the model has been told of them.

        Raises
        ------
        ImportError
            Without the package onnx: `pip install "fastgd[onnx]"`.
        ValueError
            For parameters that are not finite, a layer that has not learnt yet, classes=True of a model without
            classes, bytes as classes, or more than 2 GiB.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(2, 1, init=[[1, -1]]), gd.ReLU()])
        >>> model.to_onnx("model.onnx")  # doctest: +SKIP
        >>> import onnxruntime as ort  # doctest: +SKIP
        >>> ort.InferenceSession("model.onnx").run(None, {"X": np.float32([[3, 1]])})  # doctest: +SKIP
        [array([[2.]], dtype=float32)]
        """
        from fastgd.export import onnx

        if classes and self.labels is None:
            raise ValueError(
                "classes is True and the model has none; expected one that was trained on class labels, or "
                "model.set_classes before"
            )
        has_classes = self.labels is not None and classes is not False
        outputs = onnx.Outputs.of_labels(self.labels) if has_classes else onnx.Outputs()
        onnx.write(path, onnx.graph_of(self, outputs))

    def to_c(self, path: str | os.PathLike, name: str | None = None) -> None:
        """Write the model as one C99 file that allocates nothing and needs math.h alone.

        It defines `void NAME_predict(const T x[NAME_IN_FEATURES], T out[NAME_OUT_FEATURES])` with T float or double as
        the model's dtype; where the model has classes, `int NAME_class(x)` and the array `NAME_classes` that it is a
        place in; where there are probabilities, `NAME_probabilities(x, p)`; of a model of rates, `NAME_rates(x, out)`.
        Sizes are macros, in upper case. All layers' outputs lie on the stack: twice as many numbers as the widest layer
        has. Weights are in hexadecimal digits, which read back exactly. A network of Linear and ReLU layers gives the
        bits of `fastgd.reference` on numbers of the same dtype, compiled with -ffp-contract=off; others equal `predict`
        to rounding.

        Parameters
        ----------
        path : path
        name : str, optional
            What names in the file begin with; by default that of the file without its suffix.

        Raises
        ------
        ValueError
            For a name that C does not allow, parameters that are not finite, or a layer that has not learnt yet.

        Examples
        --------
        >>> import fastgd as gd
        >>> model = gd.Model([gd.Linear(2, 1, init=[[1, -1]]), gd.ReLU()])
        >>> model.to_c("neuron.c")  # doctest: +SKIP
        """
        from fastgd.export import c

        source = c.source_of(self, Path(os.fsdecode(path)).stem if name is None else name)
        with atomic_files.atomic_write(path) as file:
            file.write(source.encode("ascii"))

    @classmethod
    def from_torch(cls, source: Any, activation: Activation | None = None) -> Self:
        """A model of the layers and weights of one of PyTorch's, which are copied.

        Predictions are equal to rounding. Training differs at a ReLU's zero, where fastgd's gradient passes.

        Parameters
        ----------
        source : torch.nn.Sequential, or mapping of str to tensors or arrays
            A Sequential of Linear, ReLU, LeakyReLU, Tanh, Sigmoid, Identity, Dropout and such Sequentials. Or a
            state_dict, or what `safetensors.numpy.load_file` reads of one: weights (out, in) and biases (out,) of
            Linears alone, in the order in which they are applied. All in float32, or all in float64.
        activation : activation, optional
            What stands between the Linears of a state_dict, which does not say; ReLU() by default.

        Raises
        ------
        ValueError, TypeError
            For modules or tensors of other kinds, by name, and for other dtypes.

        Examples
        --------
        >>> import fastgd as gd, numpy as np
        >>> gd.Model.from_torch({"0.weight": np.ones((4, 3)), "2.weight": np.ones((1, 4))})
        Model([Linear(3, 4, bias=False), ReLU(), Linear(4, 1, bias=False)], dtype='float64')
        """
        from fastgd.export import torch

        layers, dtype = torch.layers_of(source, activation)
        model = cls(layers, dtype)
        model.may_be_untrained = False
        return model

    def to_torch(self) -> "Sequential":
        """A torch.nn.Sequential of the same layers and weights, which are copied; its `state_dict()` has our names.

        Raises
        ------
        ImportError
            Without PyTorch.
        ValueError
            For Standardize, RobustStandardize and StandardizedTargets, which PyTorch does not have: `fold()` builds
            the first and the last into their neighbours.
        """
        from fastgd.export import torch

        return torch.module_of(self)
