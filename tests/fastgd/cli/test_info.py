"""What `fastgd info` says of rows: every target that train takes, and advice that train takes, too."""

import numpy as np
import pytest
from command_line import run

pa = pytest.importorskip("pyarrow")
from pyarrow import csv, parquet  # noqa: E402

N_ROWS = 60
QUICK = ["--optimizer", "SGD", "--learning-rate", "0.01", "--epochs", 1, "--quiet"]


def shown(capsys, *arguments):
    status, out, err = run(capsys, "info", *arguments)
    assert (status, err) == (0, "")
    return dict(line.split(maxsplit=1) for line in out.replace("not numbers", "not-numbers").splitlines())


def trains(capsys, *arguments):
    return run(capsys, "train", *arguments, *QUICK)[0] == 0


@pytest.mark.parametrize(
    ("values", "said", "type_"),
    [
        (["tern", "auk", "gull"], "words, 3 values: auk, gull, tern", "<U4"),
        ([b"tern", b"auk", b"tern"], """words, 2 values: "b'auk'", "b'tern'\"""", "|S4"),
        ([True, False, True], "booleans, 2 values: False, True", "bool"),
        ([1, 0, 2], None, "int64"),
    ],
    ids=["words", "bytes", "booleans", "numbers"],
)
def test_targets_of_npy(values, said, type_, tmp_path, capsys):
    X, y = tmp_path / "X.npy", tmp_path / "y.npy"
    np.save(X, np.random.default_rng(0).standard_normal((N_ROWS, 2)))
    np.save(y, np.resize(values, N_ROWS))
    for arguments in ([X, "--target", y], [tmp_path]):
        lines = shown(capsys, *arguments)
        assert lines["columns"] == "2 features, 1 target"
        assert lines["types"] == f"X float64, y {type_}"
        assert lines.get("target") == said
        assert trains(capsys, *arguments)
    np.save(y, np.resize(values, N_ROWS + 1))
    status, _, err = run(capsys, "info", X, "--target", y)
    assert status == 2
    assert "61" in err
    assert "60" in err
    status, _, err = run(capsys, "info", X, "--drop", "a")
    assert status == 2
    assert "has no names; expected none" in err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_targets_of_tables(suffix, tmp_path, capsys):
    path = tmp_path / f"rows.{suffix}"
    write = csv.write_csv if suffix == "csv" else parquet.write_table
    numbers = {"a": np.arange(N_ROWS) / 7, "price": [0.5] * N_ROWS}
    columns = numbers | {"kind": ["auk", "a tern"] * 30, "is": [True, False] * 30}
    write(pa.table(columns | {"day": pa.array([1, 2] * 30, pa.date32())}), path)
    for target, said in (
        ("kind", "kind: string, 2 values: a tern, auk"),
        ("is", "is: bool"),
        ("price", "price: double"),
        ("is,price", "is, price"),
    ):
        lines = shown(capsys, path, "--target", target, "--features", "a")
        assert lines["target"] == said
        assert "not-numbers" not in lines
        assert trains(capsys, path, "--target", target, "--features", "a")
    said = [run(capsys, command, path, "--target", "day", "--features", "a")[::2] for command in ("info", "train")]
    assert said[0] == said[1]
    assert "column 'day' holds date32[day]; expected numbers. Make numbers of it before, such as days" in said[0][1]


def test_advice_is_what_train_takes(tmp_path, capsys):
    """And is not said again where it was followed."""
    words = {"city": ["Rome", "Oslo", None] * 20, "name": [f"row {k}" for k in range(N_ROWS)]}
    dates = {"day": pa.array(range(N_ROWS), pa.timestamp("s"))}
    numbers = {"a": [None, *range(N_ROWS - 1)], "y": [float(k % 7) for k in range(N_ROWS)]}
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table(words | dates | numbers), path)
    given = [path, "--target", "y"]
    lines = shown(capsys, *given)
    assert lines["not-numbers"] == (
        "city: --drop NAME, or --categories NAME or auto; name: --drop NAME, or --categories NAME=64; "
        "day: --drop NAME, or make numbers of it before, for training"
    )
    as_category = "20 in city: --categories NAME or auto, where a null is a category"
    assert lines["nulls"] == f"{as_category}; 1 in a: --fill-nulls mean, for training"
    assert not trains(capsys, *given, "--drop", "day", "--categories", "auto", "--fill-nulls", "mean")
    given += ["--drop", "day", "--categories", "name=64"]
    for categories in ("city", "auto"):
        followed = [*given, "--categories", categories]
        lines = shown(capsys, *followed)
        assert "not-numbers" not in lines
        assert lines["nulls"] == "20 in city: a category; 1 in a: --fill-nulls mean, for training"
        assert not trains(capsys, *followed)
        followed += ["--fill-nulls", "mean"]
        assert shown(capsys, *followed)["nulls"] == "20 in city: a category; 1 in a: filled"
        assert trains(capsys, *followed)
    wrong = [*given, "--categories", "city=Rome,Oslo", "--fill-nulls", "mean"]
    assert shown(capsys, *wrong)["nulls"] == f"{as_category}; 1 in a: filled, for training"
    assert not trains(capsys, *wrong)
    for categories, said in (("city=64", "hashed"), ("city=Rome,,Oslo", "a category")):
        right = [*given, "--categories", categories, "--fill-nulls", "mean"]
        assert shown(capsys, *right)["nulls"] == f"20 in city: {said}; 1 in a: filled"
        assert trains(capsys, *right)


def test_names_with_nulls_are_hashes(tmp_path, capsys):
    names = pa.array([None, *(f"row {k}" for k in range(N_ROWS - 1))])
    parquet.write_table(pa.table({"name": names, "a": range(N_ROWS), "y": range(N_ROWS)}), tmp_path / "rows.parquet")
    given = [tmp_path / "rows.parquet", "--target", "y"]
    lines = shown(capsys, *given)
    assert lines["not-numbers"] == "name: --drop NAME, or --categories NAME=64, for training"
    assert lines["nulls"] == "1 in name: --drop NAME, or --categories NAME=64, for training"
    assert not trains(capsys, *given, "--categories", "name")
    assert trains(capsys, *given, "--categories", "name=64")
    assert trains(capsys, *given, "--drop", "name")


def test_numbers_but_for_some_values(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("a,b,y\n" + "".join(f"{'?' if k == 50 else k},{k},{k % 7}\n" for k in range(N_ROWS)))
    assert shown(capsys, path)["not-numbers"] == "a: --drop NAME, or correct what is no number, for training"
    (tmp_path / "comma.csv").write_text("a;y\n1,5;2\n2,5;3\n")
    assert shown(capsys, tmp_path / "comma.csv")["not-numbers"].startswith("a: --drop NAME, or correct what is no")
