"""Models know the columns of the tables that they were trained on."""

import numpy as np
import pytest
from command_line import run

import fastgd as gd

pa = pytest.importorskip("pyarrow")
from pyarrow import csv, parquet  # noqa: E402

QUICK = ["--optimizer", "SGD", "--learning-rate", "0.01", "--epochs", 1, "--quiet"]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((60, 4)).round(3)
    return pa.table(
        {
            "id": range(60),
            "city": ["Rome", "Oslo", "Lima"] * 20,
            "price": numbers[:, 0] + numbers[:, 1],
            "rooms": numbers[:, 1],
            "size": 100 * numbers[:, 2],
        }
    )


@pytest.fixture
def trained(table, tmp_path, capsys):
    """The table in a file, and a model of it, where both are in `tmp_path`."""
    parquet.write_table(table, tmp_path / "rows.parquet")
    options = ["--target", "price", "--drop", "id", "--categories", "city=Oslo,Rome,Lima"]
    train = ["train", tmp_path / "rows.parquet", *options, *QUICK, "--out", tmp_path / "m.safetensors"]
    status, _, err = run(capsys, *train)
    assert (status, err) == (0, "")
    return train


def predicted(capsys, folder, *arguments):
    status, _, err = run(capsys, "predict", folder / "m.safetensors", *arguments, "--out", folder / "p.npy")
    assert (status, err) == (0, "")
    return np.load(folder / "p.npy")


@pytest.fixture
def expected(table, trained, tmp_path):
    model = gd.Model.load(tmp_path / "m.safetensors")
    city = np.array(table["city"])[:, None] == ["Oslo", "Rome", "Lima"]
    return model.predict(np.column_stack([city, table["rooms"], table["size"]]))


def test_the_model_has_the_names(trained, tmp_path):
    model = gd.Model.load(tmp_path / "m.safetensors")
    assert model.feature_names == ("city=Oslo", "city=Rome", "city=Lima", "rooms", "size")
    assert model.target_names == ("price",)


def test_the_values_of_a_column_are_found(table, tmp_path, capsys):
    csv.write_csv(table, tmp_path / "rows.csv")
    csv.write_csv(table.slice(0, 5), tmp_path / "few.csv")
    train = [
        "train",
        tmp_path / "rows.csv",
        "--target",
        "price",
        "--drop",
        "id",
        *QUICK,
        "--out",
        tmp_path / "m.safetensors",
    ]
    status, _, err = run(capsys, *train)
    assert status == 2
    assert "'city' holds string, as 'Rome' in line 2; expected numbers. Leave it out, --drop city, or" in err
    assert "a column of each of its values, --categories city, or of hashes of them, --categories city=64" in err
    csv.write_csv(table.append_column("town", table["city"]), tmp_path / "words.csv")
    err = run(capsys, "train", tmp_path / "words.csv", "--target", "price")[2]
    assert err.endswith(". No numbers are in 'town', either; --categories auto takes all words\n")
    # The others' values are those of the rows to train on.
    assert run(capsys, *train, "--categories", "city", "--validation", tmp_path / "few.csv")[::2] == (0, "")
    assert gd.Model.load(tmp_path / "m.safetensors").feature_names[:3] == ("city=Lima", "city=Oslo", "city=Rome")
    assert predicted(capsys, tmp_path, tmp_path / "few.csv").shape == (5, 1)
    assert run(capsys, *train, "--categories", "city,")[0] == 2
    assert run(capsys, *train, "--categories", "auto")[::2] == (0, "")
    assert gd.Model.load(tmp_path / "m.safetensors").feature_names[:3] == ("city=Lima", "city=Oslo", "city=Rome")
    assert "each after a --categories of its own" in run(capsys, *train, "--categories", "city,id=64")[2]


def test_nulls_are_filled(table, tmp_path, capsys):
    """A model keeps what takes their place."""
    rooms = [None if k % 7 == 1 else 3.0 for k in range(60)]
    lacking = table.set_column(3, "rooms", pa.array(rooms))
    csv.write_csv(lacking, tmp_path / "rows.csv")
    train = ["train", tmp_path / "rows.csv", "--target", "price", "--drop", "id,city", *QUICK]
    train += ["--out", tmp_path / "m.safetensors"]
    status, _, err = run(capsys, *train)
    assert status == 2
    assert err.endswith("or no such row; --fill-nulls rooms=mean puts the column's mean there\n")
    for fill in ("mean", "rooms=mean", "rooms=3,size=1"):
        assert run(capsys, *train, "--fill-nulls", fill, "--validation", tmp_path / "rows.csv")[::2] == (0, "")
        assert gd.Model.load(tmp_path / "m.safetensors").columns.fills["rooms"] == 3
        whole = table.set_column(3, "rooms", pa.array([3.0] * 60))
        csv.write_csv(whole, tmp_path / "whole.csv")
        expected = predicted(capsys, tmp_path, tmp_path / "whole.csv")
        np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "rows.csv"), expected)
    assert (
        "nulls          3 for those in rooms, 1 for those in size" in run(capsys, "info", tmp_path / "m.safetensors")[1]
    )
    for wrong in ("rooms", "rooms=many", "rooms=1,", ""):
        assert run(capsys, *train, "--fill-nulls", wrong)[0] == 2


def test_predict_takes_them_by_name(table, expected, tmp_path, capsys):
    np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "rows.parquet"), expected)
    csv.write_csv(table.select(["size", "id", "rooms", "city"]), tmp_path / "new.csv")
    np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "new.csv"), expected)
    before = ["--drop", "price,id", "--categories", "city=Oslo,Rome,Lima"]
    np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "rows.parquet", *before), expected)


def test_other_columns_in_their_place(table, expected, tmp_path, capsys):
    parquet.write_table(table.rename_columns(["id", "town", "price", "rooms", "m2"]), tmp_path / "new.parquet")
    features = ["--features", "town,rooms,m2"]
    np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "new.parquet", *features), expected)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (["rooms", "city", "id"], [], "no column 'size', which the model was trained on"),
        (["rooms", "city", "id"], [], "or others in their place by --features NAME,..."),
        (["rooms", "city", "size"], ["--drop", "size"], "drop names column 'size', which the model was trained on"),
        (["rooms", "city", "size"], ["--features", "rooms,city,size"], "features names column 'rooms' in place 0"),
        (
            ["rooms", "city", "size"],
            ["--categories", "city=Rome,Oslo,Lima"],
            "feature 0 of X is 'city=Rome'; expected 'city=Oslo', as",
        ),
        (
            ["rooms", "city", "size"],
            ["--categories", "city=Rome,Oslo,Lima"],
            "(fastgd info MODEL.safetensors shows all)",
        ),
    ],
)
def test_what_does_not_fit(columns, options, message, table, trained, tmp_path, capsys):
    csv.write_csv(table.select(columns), tmp_path / "new.csv")
    arguments = ["predict", tmp_path / "m.safetensors", tmp_path / "new.csv", *options, "--out", tmp_path / "p.npy"]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_category_that_the_model_has_not(trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("rooms,city,size\n1,Rome,2\n1,Bern,2\n")
    arguments = ["predict", tmp_path / "m.safetensors", tmp_path / "new.csv", "--out", tmp_path / "p.npy"]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "'Bern' in row 1 of" in err
    assert err.endswith(
        "which is none of the model's categories ['Oslo', 'Rome', 'Lima']; expected "
        "--handle-unknown ignore, which gives it none of their columns, or a model trained anew, with it "
        "among them, or with hashes, --categories city=64, which take any value\n"
    )
    assert run(capsys, *arguments, "--handle-unknown", "ignore")[0] == 0
    model, rows = gd.Model.load(tmp_path / "m.safetensors"), np.array([[0, 1, 0, 1, 2], [0, 0, 0, 1, 2]], float)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), model.predict(rows))


def test_rows_without_names_go_by_width(expected, trained, tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.ones((3, 5)))
    model = gd.Model.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(predicted(capsys, tmp_path, tmp_path / "X.npy"), model.predict(np.ones((3, 5))))
    np.save(tmp_path / "X.npy", np.ones((3, 4)))
    arguments = ["predict", tmp_path / "m.safetensors", tmp_path / "X.npy", "--out", tmp_path / "p.npy"]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "expected (n_samples, 5) for this model" in err


def test_a_model_without_names_takes_tables_as_before(table, tmp_path, capsys):
    gd.Model([gd.Linear(2, 1)]).save(tmp_path / "m.safetensors")
    csv.write_csv(table.select(["rooms", "id", "size"]), tmp_path / "new.csv")
    model = gd.Model.load(tmp_path / "m.safetensors")
    found = predicted(capsys, tmp_path, tmp_path / "new.csv", "--features", "size,rooms")
    np.testing.assert_array_equal(found, model.predict(np.column_stack([table["size"], table["rooms"]])))


def test_validation_by_name(table, trained, tmp_path, capsys):
    """Rows to judge by are those of the same columns, wherever these stand."""
    said = []
    csv.write_csv(table, tmp_path / "same.csv")
    csv.write_csv(table.select(["size", "price", "rooms", "city"]), tmp_path / "others.csv")
    for name in ("same", "others"):
        status, out, err = run(capsys, *trained, "--validation", tmp_path / f"{name}.csv")
        assert (status, err) == (0, "")
        said.append([line for line in out.splitlines() if "not learnt from" in line])
    assert len(said[0]) == 1
    assert said[0] == said[1]


def test_info_shows_them(trained, tmp_path, capsys):
    status, out, err = run(capsys, "info", tmp_path / "m.safetensors")
    assert (status, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["features"] == "city, rooms, size"
    assert "  city         Oslo, Rome, Lima\n" in out
    assert lines["target"] == "price"
    assert lines["columns"] == "5 features, 1 output"
    gd.Model([gd.Linear(2, 3)]).save(tmp_path / "unnamed")
    status, out, err = run(capsys, "info", tmp_path / "unnamed")
    assert (status, err) == (0, "")
    assert "2 features, 3 outputs" in out
    assert "without names" in out
    status, _, err = run(capsys, "info", tmp_path / "m.safetensors", "--target", "price")
    assert status == 2
    assert "expected the model's file alone" in err


def test_info_of_classes(table, trained, tmp_path, capsys):
    status, _, err = run(
        capsys, "train", tmp_path / "rows.parquet", "--target", "city", "--features", "rooms,size", *QUICK, "--out",
        tmp_path / "run.safetensors",
    )  # fmt: skip
    assert (status, err) == (0, "")
    _, out, _ = run(capsys, "info", tmp_path / "run.safetensors")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["classes"] == "3: 'Lima', 'Oslo', 'Rome'"
    assert lines["target"] == "city"


def test_resumed_runs_keep_them(table, trained, tmp_path, capsys):
    checkpoint = [*trained, "--checkpoint", tmp_path / "run.safetensors", "--resume"]
    for epochs in (1, 2):
        status, _, err = run(capsys, *checkpoint, "--epochs", epochs)
        assert (status, err) == (0, "")
    assert gd.Model.load(tmp_path / "m.safetensors").target_names == ("price",)
    assert len(gd.Trainer.load(tmp_path / "run.safetensors").history) == 2
    parquet.write_table(table.select(["price", "id", "size", "city", "rooms"]), tmp_path / "rows.parquet")
    status, _, err = run(capsys, *checkpoint, "--epochs", 3)
    assert status == 2
    assert "feature 0 of X is 'size'; expected 'city=Oslo'" in err
