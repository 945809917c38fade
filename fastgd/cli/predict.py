"""`fastgd predict`: a saved model on rows of files."""

import argparse
import os.path
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from fastgd.cli.output import require_output, rows_files, say
from fastgd.cli.rows import is_npy, open_rows

if TYPE_CHECKING:
    from fastgd import Model
    from fastgd.cli.predictions import Writer


def predict(options: argparse.Namespace) -> int:
    """Write the labels or the outputs, or the probabilities, as they are made."""
    require_output(options.out, options.model, *rows_files(options.X))
    import fastgd as gd
    from fastgd import atomic_files, labels
    from fastgd.cli.predictions import predicted
    from fastgd.model_data import check_fits

    model = gd.Model.load(options.model)
    if is_npy(options.X):
        rows = gd.data.open(rows_files(options.X)[0])
    else:
        rows = open_rows(options, options.X, columns=model.columns, n_features=model.in_features)
    check_fits(model, rows)
    n_columns = model.out_features
    if options.probabilities:
        function, what = model.predict_proba, "probabilities"
        n_columns = n_columns if model.classes is None else len(model.classes)
    elif model.classes is not None:
        function, what, n_columns = model.predict_classes, "labels", 1
    elif model.labels is not None and model.labels.are_rates:
        function, what = model.predict_rates, "rates"
    else:
        function, what = model.predict, "outputs"
    n_rows, shape, dtype = 0, ",", None
    with (
        atomic_files.atomic_write(options.out) as file,
        closing(_writer(options.out, file, rows.n_samples, _columns(model, what, n_columns))) as writer,
    ):
        for predictions in predicted(function, rows, 8 * n_columns):
            writer.write(predictions)
            n_rows += len(predictions)
            shape = f" x {predictions.shape[1]}" if predictions.ndim == 2 else ","
            dtype = predictions.dtype
        if n_rows == 0:
            raise ValueError(f"{options.X} has no rows; expected at least one")
        writer.end()
    of = "" if model.classes is None else f" of {labels.shown(model.classes)}"
    say(f"{options.out}: {n_rows} rows{shape} {what}{of}, {dtype}")
    return 0


def _writer(path: str, file: BinaryIO, n_rows: int | None, names: list[str]) -> "Writer":
    """What writes a file that is called so."""
    from fastgd.cli.predictions import CsvWriter, NpyWriter, ParquetWriter

    if path.endswith(".csv"):
        return CsvWriter(file, names)
    if path.endswith((".parquet", ".pq")):
        return ParquetWriter(file, names)
    suffix = os.path.splitext(path)[1]
    if suffix not in ("", ".npy"):
        raise ValueError(f"--out is {path}, which ends in {suffix!r}; expected a name in .npy, .csv or .parquet")
    return NpyWriter(file, n_rows)


def _columns(model: "Model", what: str, n_columns: int) -> list[str]:
    """What the columns of a .csv or .parquet file are called: as the targets were, where these had names."""
    targets = model.target_names or ()
    if what == "labels":
        return [targets[0] if targets else "label"]
    if what == "probabilities" and model.classes is not None:
        return [str(label) for label in model.classes]
    if what in ("outputs", "rates") and len(targets) == n_columns:
        return list(targets)
    name = "probability" if what == "probabilities" else what.removesuffix("s")
    return [name] if n_columns == 1 else [f"{name}_{k}" for k in range(n_columns)]
