"""Files of text: without names, with stray words, and SVMlight's."""

import numpy as np
import pytest
from command_line import run

import fastgd as gd

pytest.importorskip("pyarrow")


def test_a_file_without_names(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{k},{k % 7}\n" for k in range(60)))
    status, _, err = run(capsys, "train", path, "--target", "y", "--quiet")
    assert status == 2
    assert "holds numbers, 0,0; expected names, or --column-names NAME,...\n" in err
    named = ["--column-names", "y,a"]
    given = ["--optimizer", "SGD", "--learning-rate", 0.01, "--epochs", 1, "--quiet", "--out", tmp_path / "m"]
    assert run(capsys, "train", path, "--target", "y", *named, *given)[0] == 0
    assert gd.Model.load(tmp_path / "m").feature_names == ("a",)
    assert run(capsys, "predict", tmp_path / "m", path, *named, "--out", tmp_path / "p.npy")[0] == 0
    assert len(np.load(tmp_path / "p.npy")) == 60


def test_numbers_with_a_stray_word_are_no_classes(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{k},{k % 7}\n" for k in range(60)) + "3,?\n")
    status, _, err = run(capsys, "train", path, "--target", "y", "--quiet")
    assert status == 2
    assert "'y' holds string, as '?' in line 62; expected numbers. Nearly all of its values are numbers" in err
    for option in (["--categories", "y"], ["--task", "classification"], ["--loss", "cross_entropy"]):
        quick = ["--epochs", 1, "--optimizer", "SGD", "--learning-rate", 0.01, "--quiet"]
        assert run(capsys, "train", path, "--target", "y", *option, *quick)[0] == 0


def test_svmlight_files_of_fewer_columns(tmp_path, capsys):
    pytest.importorskip("sklearn")
    (tmp_path / "rows.svm").write_text("".join(f"{k} 1:{k} {2 + k % 2}:{k % 5}\n" for k in range(1, 50)))
    (tmp_path / "new.svm").write_text("1 1:3\n2 2:1\n")
    quick = ["--optimizer", "SGD", "--learning-rate", 0.01, "--epochs", 1, "--quiet"]
    for ending, expected in (([], 2), (["--no-zero-based"], 0)):
        given = ["--validation", tmp_path / "new.svm", *ending, *quick, "--out", tmp_path / "m"]
        status, _, err = run(capsys, "train", tmp_path / "rows.svm", *given)
        assert status == expected
        assert ("of 3 features, whose columns" in err and "expected --zero-based or --no-zero-based" in err) == (
            not ending
        )
    assert run(capsys, "predict", tmp_path / "m", tmp_path / "new.svm", *ending, "--out", tmp_path / "p.npy")[0] == 0
    expected = gd.Model.load(tmp_path / "m").predict(np.array([[3.0, 0, 0], [0, 1, 0]]))
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, rtol=1e-6)
