import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from cotrain.configuration.sections import InferenceSettings, OwnNetworkSettings
from cotrain.data.files import sha256_of
from cotrain.data.images import read_image
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.inference import predict_images
from cotrain.networks.weights import load_network, save_weights
from workflow_scripts import export
from workflow_scripts.export import main

SPACE = label_space("camvid11")
ALLOWED = ["--allow-code", "quick_networks:small"]
USERS_MODULE = """
from torch import nn

def small(number_of_classes):
    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU(), nn.Conv2d(6, number_of_classes, 1))
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write the weights of a user's own network, which is traced in a second, and return their folder."""
    (tmp_path / "quick_networks.py").write_text(USERS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quick_networks", raising=False)
    torch.set_num_threads(1)
    settings = OwnNetworkSettings(name="quick_networks:small")
    network = build_network(settings, SPACE.number_of_classes, 1, pretrained=False)
    torch.nn.init.normal_(network.model[2].weight, std=3.0)
    save_weights(tmp_path / "final" / "weights.safetensors", network, settings, SPACE)
    return tmp_path / "final"


@pytest.fixture
def images(make_items):
    return [str(item.image) for item in make_items("x", 3)]


def run(model, images, output, *more):
    main(["--model", str(model), "--images", *images, "--output", str(output), *ALLOWED, *more])


def test_files_and_what_they_say(model, images, tmp_path, caplog):
    run(model, images, tmp_path / "out", "--formats", "pt2", "onnx")
    described = json.loads((tmp_path / "out" / "model.json").read_text())
    assert described["classes"] == list(SPACE.classes)
    assert described["palette"] == [list(colour) for colour in SPACE.palette]
    assert described["input"]["shape"] == ["N", 3, 40, 48]
    assert described["weights"] == {
        str(model / "weights.safetensors"): sha256_of(model / "weights.safetensors")
    }
    assert list(described["differences"]) == ["model.pt2", "model.onnx"]
    assert all(found["confidence"] < 1e-4 for found in described["differences"].values())
    assert "model.onnx: confidences differ from the original by up to " in caplog.text

    # A program of somebody else's, who has only the description.
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    names = [output["name"] for output in described["outputs"]]
    pictures = np.stack([read_image(path) for path in images])
    inputs = {described["input"]["name"]: pictures.transpose(0, 3, 1, 2)}
    classes, confidences = session.run(names, inputs)
    network = load_network(model / "weights.safetensors", ALLOWED[1:]).eval()
    settings = InferenceSettings(batch_size=3, precision="float32")
    expected, levels = predict_images([network], pictures, settings, torch.device("cpu"))
    assert (classes == expected).mean() > 0.999
    np.testing.assert_allclose(confidences, levels / 65535, atol=1e-4)


def test_another_size(model, images, tmp_path):
    run(model, images[:1], tmp_path / "out", "--height", "24", "--width", "64", "--formats", "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert session.get_inputs()[0].shape == ["batch", 3, 24, 64]
    assert [output.shape for output in session.get_outputs()] == [["batch", 24, 64]] * 2


def test_a_file_that_differs_too_much_is_not_written(model, images, tmp_path, monkeypatch):
    # No share is below 0, so even an exact file is beyond it.
    monkeypatch.setattr(export, "SHARE_OF_OTHER_CLASSES", -0.5)
    with pytest.raises(InputError, match=r"model\.pt2: .* expected at most 0\.002 and .* not written"):
        run(model, images, tmp_path / "out", "--tolerance", "0.002")
    assert not list((tmp_path / "out").iterdir())


def test_bad_input(model, images, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--height and --width: found one of them"):
        run(model, images, tmp_path / "out", "--height", "24")
    with pytest.raises(InputError, match=r"gone\.png: cannot be read"):
        run(model, [str(tmp_path / "gone.png")], tmp_path / "out")
    with pytest.raises(InputError, match=r"gone: there is no such file"):
        run(tmp_path / "gone", images, tmp_path / "out")
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(InputError, match=r"--formats onnx: .*: pip install no_such_package$"):
        run(model, images, tmp_path / "out", "--formats", "onnx")
    with pytest.raises(SystemExit):
        run(model, images, tmp_path / "out", "--formats", "tflite")


def test_the_default_needs_no_package_of_onnx(model, images, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(export, "PACKAGES", ("no_such_package",))
    for name in ("onnx", "onnxscript", "onnxruntime"):
        # An import of it then raises ImportError.
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").write_bytes(b"of an earlier call")
    run(model, images, tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"of an earlier call"
    assert "model.onnx is of an earlier call, perhaps of another model" in caplog.text
    assert list(json.loads((tmp_path / "out" / "model.json").read_text())["differences"]) == ["model.pt2"]
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    pictures = np.stack([read_image(path) for path in images])
    classes, confidences = program(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    network = load_network(model / "weights.safetensors", ALLOWED[1:]).eval()
    settings = InferenceSettings(batch_size=3, precision="float32")
    expected, levels = predict_images([network], pictures, settings, torch.device("cpu"))
    np.testing.assert_array_equal(classes.numpy(), expected)
    np.testing.assert_allclose(confidences.numpy(), levels / 65535, atol=1e-5)
