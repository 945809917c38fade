"""`fastgd predict`: a saved model on rows of .npy files."""

import argparse

from fastgd.cli.output import require_output, rows_files, say


def predict(options: argparse.Namespace) -> int:
    """Write the labels or the outputs, or the probabilities."""
    require_output(options.out, options.model, *rows_files(options.X))
    import fastgd as gd
    from fastgd import labels, storage

    model = gd.Model.load(options.model)
    X = gd.data.map_array(rows_files(options.X)[0])
    if options.probabilities:
        predictions, what = model.predict_proba(X), "probabilities"
    elif model.classes is not None:
        predictions, what = model.predict_classes(X), "labels"
    else:
        predictions, what = model.predict(X), "outputs"
    with storage.atomic_write(options.out) as file:
        storage.write_array(file, predictions)
    shape = f" x {predictions.shape[1]}" if predictions.ndim == 2 else ","
    of = "" if model.classes is None else f" of {labels.shown(model.classes)}"
    say(f"{options.out}: {predictions.shape[0]} rows{shape} {what}{of}, {predictions.dtype}")
    return 0
