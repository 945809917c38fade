"""The lines of `bench/README.md` that the README shows: speed beside other libraries, how good models are, and what
replicas cost in loss.
"""

import argparse

from bench.readme import TABLES, markdown

MARKERS = "summary"
#: Rows of the tables of peers, on one thread, and what of scikit-learn's they are beside.
_WORKLOADS = {
    "16 inputs, batch 1": "SGDRegressor",
    "100 inputs, batch 1": "SGDRegressor",
    "1000 inputs, batch 1": "SGDRegressor",
    "100-64-1, batch 1": "MLPRegressor",
    "100-64-1, batch 32": "MLPRegressor",
    "784-256-10, batch 32, Adam": "MLPRegressor",
    "784-1024-1024-10, batch 256": "MLPRegressor",
}
_PEERS = ("PyTorch", "torch.compile", "JAX")
#: Lines of the table of sparse rows, and what the README calls them.
_SPARSE = {
    'solver="sgd", batch 1, raw features': "sparse rows, batch 1",
    "Adagrad without a penalty, raw features": "sparse rows, Adagrad (a lower loss)",
}
_LEARNERS = {
    "the default": "fastgd's default",
    "SGD*": "SGDRegressor, SGDClassifier",
    "MLP*": "MLPRegressor, MLPClassifier",
    "PyTorch, Adam, standardised targets": "PyTorch, Adam, standardised targets",
    "Ridge / LogisticRegression": "Ridge, LogisticRegression",
    "HistGradientBoosting": "HistGradientBoosting",
}
_WRECKED, _MEAN = "worse than the best constant: rows learnt from, rows for judging", "mean score, linear and hidden"

_LOSS, _REPLICAS = "validation loss, one replica's = 1", (2, 4, 8)

Table = dict[str, dict[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None beside those of every part."""


def report(_: argparse.Namespace) -> str:
    text = TABLES.read_text(encoding="utf-8")
    of_speed = speed(between("peers", text), between("sparse", text))
    return "\n\n".join([of_speed, quality(between("quality", text)), replicas(text)])


def between(name: str, text: str) -> str:
    """What is between two markers."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]


def tables(text: str, n_left: int) -> Table:
    """The lines of all tables by their first cells, the first n_left joined by commas; each a cell by its header."""
    found: Table = {}
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif not line.startswith("| ---"):
            found[", ".join(cells[:n_left])] = dict(zip(header, cells, strict=True))
    return found


def speed(text: str, text_of_sparse: str) -> str:
    lines = tables(text, 2)
    rows = []
    for workload, estimator in _WORKLOADS.items():
        line = lines[f"{workload}, one"]
        kind = "neuron, " if estimator == "SGDRegressor" else ""
        rows.append([f"{kind}{workload}", *(line[name].partition(" (")[0] for name in (estimator, *_PEERS))])
    of_sparse = tables(text_of_sparse, 1)
    for name, shown in _SPARSE.items():
        # Of both sets, the one whose columns are the most.
        cell = list(of_sparse[name].values())[1]
        rows.append([shown, cell.partition(", ")[2].partition(" x")[0], *["–"] * len(_PEERS)])
    return markdown(["time of an epoch, fastgd's = 1", "scikit-learn", *_PEERS], rows)


def replicas(text: str) -> str:
    lines = tables(between("replicas", text), 2)
    losses = {key: line for key, line in lines.items() if "replicas" in line}
    names = list(dict.fromkeys(line[_LOSS] for line in losses.values()))
    header = ["loss, one replica's = 1, after as many epochs, and seconds", *(f"{n} replicas" for n in _REPLICAS)]
    rows = []
    for name in names:
        found = [list(losses[f"{name}, {n}"].values())[-2:] for n in _REPLICAS]
        rows.append([name, *((", ".join(pair) if pair[0] != "diverged" else pair[0]) for pair in found)])
    return markdown(header, rows)


def quality(text: str) -> str:
    # What follows is of the estimators.
    lines = tables(text.partition("<!-- estimators -->")[0], 1)
    header = ["at their defaults", "runs", "diverged", "worse than a constant", "linear", "hidden layer", "trees"]
    rows = []
    for name, shown in _LEARNERS.items():
        line = lines[name]
        wrecked = line[_WRECKED].partition(",")[0]
        means = ["–", "–", line[_MEAN]] if name == "HistGradientBoosting" else [*line[_MEAN].split(", "), "–"]
        rows.append([shown, line["runs"], line["diverged"], wrecked, *means])
    return markdown(header, rows)
