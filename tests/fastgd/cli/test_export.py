"""`fastgd export`."""

import numpy as np
import pytest
from command_line import run

import fastgd as gd


@pytest.fixture
def model(tmp_path):
    model = gd.Model([gd.Linear(3, 2), gd.ReLU()])
    model.save(tmp_path / "m.safetensors")
    return model


def test_onnx(capsys, model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    status, text, _ = run(capsys, "export", tmp_path / "m.safetensors", tmp_path / "m.onnx")
    assert (status, text) == (0, f"{tmp_path / 'm.onnx'}: Linear(3, 2), ReLU(), float32\n")
    X = np.ones((1, 3), np.float32)
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"X": X})
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-6)


def test_c(capsys, model, tmp_path):
    assert run(capsys, "export", tmp_path / "m.safetensors", tmp_path / "net.c", "--name", "price")[0] == 0
    model.to_c(tmp_path / "price.c")
    assert (tmp_path / "net.c").read_text() == (tmp_path / "price.c").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{m}", "{folder}/m.pt"], "expected a name that ends in .onnx or .c"),
        (["{m}", "{folder}/m.onnx", "--name", "price"], "an ONNX file does not have"),
        (["{m}", "{folder}/none/m.c"], "there is no folder"),
        (["{m}", "{folder}/my-model.c"], "expected one such as 'my_model'"),
        (["{folder}/none", "{folder}/m.c"], "none"),
        (["{folder}/source.c", "{folder}/source.c"], "which is read"),
    ],
)
def test_errors(capsys, model, arguments, message, tmp_path):
    (tmp_path / "source.c").write_text("int main(void) { return 0; }")
    known = {"m": tmp_path / "m.safetensors", "folder": tmp_path}
    status, _, err = run(capsys, "export", *(argument.format(**known) for argument in arguments))
    assert status == 2
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "source.c"]
