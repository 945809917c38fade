"""`fastgd export`: a saved model for other programs."""

import argparse
import os

from fastgd.cli.output import require_output, say


def export(options: argparse.Namespace) -> int:
    """Write ONNX or C, as the name of the file says."""
    suffix = os.path.splitext(options.out)[1]
    if suffix not in (".onnx", ".c"):
        raise ValueError(f"the file to write is {options.out}; expected a name that ends in .onnx or .c")
    if suffix == ".onnx" and options.name is not None:
        raise ValueError(f"--name is {options.name!r}, which an ONNX file does not have; expected a file of C")
    require_output(options.out, options.model)
    import fastgd as gd

    model = gd.Model.load(options.model)
    if suffix == ".c":
        model.to_c(options.out, options.name)
    else:
        model.to_onnx(options.out)
    say(f"{options.out}: {', '.join(map(repr, model.layers))}, {model.dtype}")
    return 0
