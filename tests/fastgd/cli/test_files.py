"""The command line on files other than X.npy: shards, and what holds more than one array."""

import argparse
import csv
import re

import numpy as np
import pytest
from command_line import run

import fastgd as gd
from fastgd.cli import predictions
from fastgd.cli.rows import categories_of
from fastgd.data import spooled

QUICK = ["--optimizer", "SGD", "--learning-rate", "0.01", "--no-standardize", "--no-standardize-targets", "--quiet"]


@pytest.fixture
def shards(tmp_path):
    """A folder of shards, with X as one array."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)).astype("float32")
    y = X[:, :1] + X[:, 1:2]
    folder = tmp_path / "rows"
    folder.mkdir()
    for k in range(3):
        part = slice(100 * k, 100 * k + 100)
        np.save(folder / f"X-{k}.npy", X[part])
        np.save(folder / f"y-{k}.npy", y[part])
    return folder, X, y


def test_train_and_predict(shards, tmp_path, capsys, monkeypatch):
    """A few rows at a time."""
    folder, X, _ = shards
    status, out, err = run(capsys, "train", folder, *QUICK, "--out", tmp_path / "m")
    assert (status, err) == (0, "")
    assert "on 60 rows that were not learnt from" in out
    monkeypatch.setattr(predictions, "_PART_BYTES", 12 * 70)
    model = gd.Model.load(tmp_path / "m")
    for name in ("p.npy", "p.csv"):
        status, out, err = run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / name)
        assert (status, out, err) == (0, f"{tmp_path / name}: 300 rows x 1 outputs, float32\n", "")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), model.predict(X))
    header, *lines = csv.reader((tmp_path / "p.csv").read_text().splitlines())
    assert header == ["output"]
    np.testing.assert_array_equal(np.array(lines, "float32"), model.predict(X))


@pytest.mark.slow
def test_classes_of_shards(shards, tmp_path, capsys):
    folder, X, _ = shards
    for k in range(3):
        np.save(folder / f"y-{k}.npy", 5 + 2 * (X[100 * k : 100 * k + 100, 0] > 0))
    options = ("--loss", "log_loss", "--validation", "0.1", "--out", tmp_path / "m")
    status, out, _ = run(capsys, "train", folder, *QUICK, *options)
    assert status == 0
    assert "classes      2: 5, 7" in out
    run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.csv", "--probabilities")
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "5,7"
    run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.csv")
    assert set((tmp_path / "p.csv").read_text().splitlines()) == {"label", "5", "7"}


@pytest.mark.parametrize("content", [b"", b"\x40\x00\x00\x00\x00\x00\x00\x00{"])
def test_info_of_a_model_that_is_not_all_there(content, tmp_path, capsys):
    path = tmp_path / "part.safetensors"
    path.write_bytes(content)
    status, _, err = run(capsys, "info", path)
    assert status == 2
    assert "part.safetensors is not a safetensors file" in err


def test_info(shards, capsys):
    status, out, _ = run(capsys, "info", shards[0])
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert status == 0
    assert lines["rows"] == "300"
    assert lines["columns"] == "3 features, 1 target"
    assert lines["types"] == "X float32, y float32"
    assert lines["blocks"] == "3, 100 rows on average"
    status, out, _ = run(capsys, "info", shards[0] / "X-0.npy", "--target", shards[0] / "y-0.npy")
    assert "rows           100\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{folder}", "--target", "y"], "sharded .npy files do not take"),
        (["train", "{folder}/X-0.npy", "--target", "{folder}/y-0.npy", "--drop", "a"], "has no names; expected none"),
        (["predict", "{m}", "{folder}", "--out", "{folder}/y-1.npy"], "which is read"),
        (["info", "{folder}/none"], "does not exist"),
    ],
)
def test_what_does_not_fit(arguments, message, shards, tmp_path, capsys):
    gd.Model([gd.Linear(3, 1)]).save(tmp_path / "m")
    status, _, err = run(capsys, *(each.format(folder=shards[0], m=tmp_path / "m") for each in arguments))
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.fixture
def blocks(shards, monkeypatch):
    """A file that is opened as a stream of unknown length, in place of the shards."""
    _, X, y = shards
    given = [(X[begin : begin + 90], y[begin : begin + 90]) for begin in range(0, 300, 90)]
    monkeypatch.setattr("fastgd.data.files.opened", lambda *_, **__: gd.data.from_blocks(given))
    return shards[0]


@pytest.mark.parametrize("is_kept", [False, True])
def test_streams(is_kept, blocks, tmp_path, capsys, monkeypatch):
    """Few rows are kept in memory, and those of more come block by block."""
    monkeypatch.setattr(spooled, "KEPT_BYTES", 1 << 20 if is_kept else 1000)
    status, out, err = run(capsys, "train", blocks, "--quiet", "--out", tmp_path / "m", *QUICK[:-3], "--no-standardize")
    assert (status, err) == (0, "")
    assert ("that were not learnt from" in out) == is_kept
    status, out, _ = run(capsys, "predict", tmp_path / "m", blocks, "--out", tmp_path / "p.npy")
    assert status == 0
    assert np.load(tmp_path / "p.npy").shape == (300, 1)
    status, out, _ = run(capsys, "info", blocks)
    assert "known once they were read" in out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("given", [[], ["--categories", "kind=tern,auk,gull"]], ids=["found", "listed"])
def test_targets_of_words_are_classes(suffix, given, tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    kinds = np.array(["gull", "auk", "tern"])[np.arange(60) % 3]
    frame = pandas.DataFrame(
        {"a": np.arange(60) % 3 + rng.normal(0, 0.1, 60), "b": rng.normal(0, 1, 60), "kind": kinds}
    )
    table, model, out = (str(tmp_path / name) for name in (f"birds{suffix}", "m.safetensors", "out.npy"))
    frame.to_csv(table, index=False, sep=";") if suffix == ".csv" else frame.to_parquet(table)
    arguments = ["train", table, "--target", "kind"]
    status, shown, errors = run(capsys, *arguments, "--out", model, *given, "--epochs", "30", "--quiet")
    assert status == 0, errors
    assert "classes      3: 'auk', 'gull', 'tern'" in shown
    status, _, errors = run(capsys, "predict", model, table, "--drop", "kind", "--out", out)
    assert status == 0, errors
    assert set(np.load(out)) <= {"auk", "gull", "tern"}
    run(capsys, "predict", model, table, "--drop", "kind", "--out", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text().startswith("kind\n")
    assert np.mean(np.load(out) == kinds) > 0.6
    frame[::-1].to_csv(tmp_path / "others.csv", index=False)
    judged = ("--validation", tmp_path / "others.csv", "--epochs", "30", "--quiet")
    status, shown, errors = run(capsys, *arguments, *given, *judged, "--out", model)
    assert status == 0, errors
    assert "on 60 rows that were not learnt from" in shown
    accuracy = float(re.search(r"accuracy +([0-9.]+)", shown)[1])
    run(capsys, "predict", model, table, "--drop", "kind", "--out", out)
    assert accuracy == pytest.approx(np.mean(np.load(out) == kinds), abs=1e-3)
    status, _, errors = run(capsys, *arguments, "--task", "regression", *QUICK)
    assert status == 2
    assert "expected --task classification" in errors
    status, shown, errors = run(capsys, "info", table, "--target", "kind", *given)
    assert status == 0, errors
    assert "2 features, 1 target" in shown


def test_predictions_as_parquet(shards, tmp_path, capsys, monkeypatch):
    """In row groups of some rows, however few come at once, with the columns of a .csv file."""
    pq = pytest.importorskip("pyarrow.parquet")
    folder, X, _ = shards
    monkeypatch.setattr(predictions, "_PART_BYTES", 12 * 70)
    monkeypatch.setattr(predictions, "_GROUP_ROWS", 140)
    model = gd.Model([gd.Linear(3, 3)], seed=0)
    model.save(tmp_path / "m")
    status, out, err = run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.parquet")
    assert (status, out, err) == (0, f"{tmp_path / 'p.parquet'}: 300 rows x 3 outputs, float32\n", "")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["output_0", "output_1", "output_2"]
    np.testing.assert_array_equal(np.transpose(table.columns), model.predict(X))
    groups = pq.ParquetFile(tmp_path / "p.parquet").metadata
    assert [groups.row_group(k).num_rows for k in range(groups.num_row_groups)] == [140, 140, 20]
    model.set_classes(["auk", "gull", "tern"], "cross_entropy")
    model.save(tmp_path / "m")
    run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.pq")
    assert pq.read_table(tmp_path / "p.pq").to_pydict() == {"label": model.predict_classes(X).tolist()}
    run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.pq", "--probabilities")
    assert pq.read_table(tmp_path / "p.pq").column_names == ["auk", "gull", "tern"]


def test_an_error_leaves_no_predictions(shards, tmp_path, capsys, monkeypatch):
    pytest.importorskip("pyarrow")
    folder, X, _ = shards
    monkeypatch.setattr(predictions, "_PART_BYTES", 12 * 70)
    monkeypatch.setattr(predictions, "_GROUP_ROWS", 10)
    X[250, 1] = np.nan
    np.save(folder / "X-2.npy", X[200:])
    gd.Model([gd.Linear(3, 1)]).save(tmp_path / "m")
    status, _, err = run(capsys, "predict", tmp_path / "m", folder, "--out", tmp_path / "p.parquet")
    assert status == 2
    assert "row 50 of" in err
    assert "X-2.npy, column 1" in err
    assert not list(tmp_path.glob("*p.parquet*"))


@pytest.mark.parametrize("suffix", ["parquet", "feather", "csv"])
def test_info_of_any_table(suffix, tmp_path, capsys):
    """Columns that training refuses are described, up to some values."""
    pa = pytest.importorskip("pyarrow")

    words = {"city": ["Rome", "Oslo", "Rome"] * 400, "id": [f"row {k}" for k in range(1200)]}
    dates = {"date": pa.array([1, 2, 1] * 400, pa.date32())}
    others = {"list": [[1], [2, 3], None] * 400, "set": pa.array(["b", None, "a"] * 400).dictionary_encode()}
    others = {} if suffix == "csv" else others
    table = pa.table({"a": [0.5] * 1200} | words | dates | others)
    path = tmp_path / f"rows.{suffix}"
    function = {"parquet": "write_table", "feather": "write_feather", "csv": "write_csv"}[suffix]
    getattr(pytest.importorskip(f"pyarrow.{suffix}"), function)(table, path)
    status, out, _ = run(capsys, "info", path)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert status == 0
    assert lines["features"] == ", ".join(table.column_names)
    assert lines["types"].startswith("a double, city string, id string, date date32[day]")
    said = ["city: --drop NAME, or --categories NAME or auto", "id: --drop NAME, or --categories NAME=64"]
    said.append("date: --drop NAME, or make numbers of it before")
    if others:
        said[0] = said[0].replace("city", "city, set")
        said.append("list: --drop NAME")
    assert f"not numbers    {'; '.join(said)}, for training\n" in out
    assert lines["city"] == "string, 2 values: Oslo, Rome"
    assert lines["date"] == "date32[day], 2 values: 1970-01-02, 1970-01-03"
    assert lines["id"] == "string, many values"
    if others:
        assert lines["list"].endswith("many values, 400 nulls")
        assert lines["set"].endswith("2 values: a, b, 400 nulls")
    assert "not numbers" not in run(capsys, "info", path, "--features", "a")[1]
    named = ["--features", "a,city,id", "--categories", "city=Rome,Oslo"]
    assert "not numbers    id: " in run(capsys, "info", path, *named)[1]


@pytest.mark.parametrize("suffix", ["parquet", "feather", "csv"])
def test_nulls_are_counted(suffix, tmp_path, capsys):
    pa = pytest.importorskip("pyarrow")

    table = pa.table({"a": [1.0, None, 3.0] * 20, "b": range(60), "y": [None, *range(59)], "c": [None] * 60})
    path = tmp_path / f"rows.{suffix}"
    function = {"parquet": "write_table", "feather": "write_feather", "csv": "write_csv"}[suffix]
    write = getattr(pytest.importorskip(f"pyarrow.{suffix}"), function)
    for nulls, given in (
        ("20 in a: --fill-nulls mean; 1 in y: leave such rows out, for training", table),
        ("none", table.slice(3).set_column(0, "a", [range(57)])),
    ):
        write(given, path)
        status, out, _ = run(capsys, "info", path, "--target", "y", "--drop", "c")
        assert status == 0
        assert f"nulls          {nulls}\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["tern", "auk"],
            r"Leave it out, --drop 'of kind', or .* --categories 'of kind', .* --categories 'of kind'=64",
        ),
        (["2024-01-01", "2024-01-02"], "since some date, or --drop 'of kind'"),
    ],
)
def test_remedies_are_options(words, message, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["y,of kind", *(f"1,{word}" for word in words)]))
    status, _, err = run(capsys, "train", path, "--target", "y", "--out", tmp_path / "m")
    assert status == 2
    assert re.search(message, err), err


@pytest.mark.parametrize(
    "labels", [("auk", "tern", "gull"), (3, 5, 7), (0.5, 1.0, 2.0)], ids=["words", "whole", "floats"]
)
def test_classes_of_many_rows_that_stream(labels, tmp_path, capsys, monkeypatch):
    """As of few rows, which are in memory, but for the order, which is the file's, and the optimiser."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    kinds = [labels[k] for k in (X @ rng.standard_normal((3, 3))).argmax(axis=1)]
    path = tmp_path / "rows.csv"
    path.write_text(
        "\n".join(["a,b,c,kind", *(",".join(map(str, [*x, kind])) for x, kind in zip(X, kinds, strict=True))])
    )
    options = ["--target", "kind", "--task", "classification", "--epochs", "30", "--quiet", "--optimizer", "Adam"]
    options += ["--learning-rate", "0.02", "--no-shuffle"]
    outputs = {}
    for name, kept_bytes in {"kept": 1 << 20, "streams": 1000}.items():
        monkeypatch.setattr(spooled, "KEPT_BYTES", kept_bytes)
        status, _, err = run(capsys, "train", path, *options, "--out", tmp_path / name)
        assert (status, err) == (0, "")
        model = gd.Model.load(tmp_path / name)
        outputs[name] = model.predict(X.astype(np.float32))
        assert np.mean(model.predict_classes(X.astype(np.float32)) == np.array(kinds)) > 0.9
    assert outputs["kept"].shape == outputs["streams"].shape == (600, 3)


@pytest.mark.parametrize(("words", "n_known"), [([f"class {k}" for k in range(1500)], 1500), (["", ""], 0)])
def test_all_words_of_a_target_are_classes(words, n_known, tmp_path):
    """Those of a target that has none, which is refused later, are no list."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["a,place,kind", *(f"1,x,{word}" for word in words)]) + "\n")
    options = argparse.Namespace(X=str(path), target="kind", categories=[("place", ["x"])], features=None, drop=None)
    options.fill_nulls, options.handle_unknown, options.column_names = None, "error", None
    options.zero_based = None
    found = dict(categories_of(options))
    assert found["place"] == ["x"]
    assert len(found.get("kind", ())) == n_known


@pytest.mark.filterwarnings("default::fastgd.UsageWarning")
def test_an_index_is_named_in_options(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    (tmp_path / "rows.csv").write_text(",a,y\n0,1,2\n1,2,3\n")
    status, out, err = run(capsys, "info", tmp_path / "rows.csv")
    assert status == 0
    assert "features       a, y\n" in out
    assert "it is left out (--features ,NAME,... takes it)" in err
