"""`fastgd predict`: a saved model on rows of .npy files."""

import argparse

from fastgd.cli.output import require_output, rows_files, say


def predict(options: argparse.Namespace) -> int:
    """Write the predictions."""
    require_output(options.out, options.model, *rows_files(options.X))
    import fastgd as gd
    from fastgd import storage

    predictions = gd.Model.load(options.model).predict(gd.data.open(options.X))
    with storage.atomic_write(options.out) as file:
        storage.write_array(file, predictions)
    say(f"{options.out}: {predictions.shape[0]} rows x {predictions.shape[1]} outputs, {predictions.dtype}")
    return 0
