import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cotrain
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.files import write_json
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.inference import predict_images
from cotrain.networks.weights import load_networks, save_weights

CPU = torch.device("cpu")
SPACE = label_space("camvid11")
# Neither side can be divided by the stride of the network.
IMAGES = np.random.default_rng(1).integers(0, 256, (2, 45, 67, 3)).astype(np.uint8)


@pytest.fixture
def models(tmp_path, network_settings):
    """Write two models and return their folders."""
    torch.set_num_threads(1)
    for seed, name in enumerate(("one", "other")):
        network = build_network(network_settings, SPACE.number_of_classes, seed, pretrained=False)
        torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
        save_weights(tmp_path / name / "weights.safetensors", network, network_settings, SPACE)
    return [tmp_path / "one", tmp_path / "other"]


def as_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def assert_are_the_predictions_of_the_steps(model, files, settings, temperatures=()):
    networks, _ = load_networks(files, temperatures)
    classes, confidences = model(as_tensor(IMAGES))
    assert (classes.dtype, confidences.dtype) == (torch.uint8, torch.float32)
    expected, levels = predict_images([n.eval() for n in networks], IMAGES, settings, CPU)
    np.testing.assert_array_equal(classes.numpy(), expected)
    np.testing.assert_allclose(confidences.numpy(), levels / 65535, atol=1e-5)
    assert len(np.unique(expected)) > 2


def test_a_folder_is_a_module_in_evaluation(models):
    model = cotrain.load_model(models[0])
    assert_are_the_predictions_of_the_steps(model, [models[0] / "weights.safetensors"], InferenceSettings())
    assert (model.classes, model.palette) == (SPACE.classes, SPACE.palette)
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_several_models_with_temperatures_and_settings(models, tmp_path):
    (models[1] / "weights.safetensors").rename(models[1] / "averaged.safetensors")
    files = [models[0] / "weights.safetensors", models[1] / "averaged.safetensors"]
    temperatures = [tmp_path / "t0.json", tmp_path / "t1.json"]
    for path, value in zip(temperatures, (0.5, 3.0), strict=True):
        write_json(path, {"temperature": value})
    keys = {"resize": (34, 50), "flip": True}
    write_json(tmp_path / "prediction.json", keys)
    for settings in (keys, str(tmp_path / "prediction.json")):
        model = cotrain.load_model([str(models[0]), files[1]], settings=settings, temperature=temperatures)
        expected = InferenceSettings(resize=(34, 50), flip=True)
        assert_are_the_predictions_of_the_steps(model, files, expected, temperatures)


def test_what_cannot_be_loaded_is_told(models, tmp_path, monkeypatch):
    for arguments, message in (
        ({"model": tmp_path / "gone"}, "gone: there is no such file"),
        ({"model": tmp_path}, "holds no weights.safetensors"),
        ({"model": []}, "model: found an empty list"),
        ({"settings": {"resiz": [3, 4]}}, r"settings .*\n.*resiz: unknown key \(did you mean 'resize'"),
        ({"settings": tmp_path / "gone.json"}, r"gone\.json: cannot be read"),
        ({"device": "gpu"}, "device: found 'gpu', expected auto, cpu"),
    ):
        with pytest.raises(InputError, match=message):
            cotrain.load_model(**({"model": models[0]} | arguments))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="device: found 'cuda:2', but this machine has 2 usable GPUs"):
        cotrain.load_model(models[0], device="cuda:2")


def test_other_images_are_refused(models):
    model, images = cotrain.load_model(models[0]), as_tensor(IMAGES)
    for other, found in (
        (images.float(), "float32 of the shape (2, 3, 45, 67)"),
        (images[0], "uint8 of the shape (3, 45, 67)"),
        (torch.from_numpy(IMAGES), "uint8 of the shape (2, 45, 67, 3)"),
    ):
        with pytest.raises(InputError) as caught:
            model(other)
        assert str(caught.value).startswith(f"images: found {found}, expected uint8 RGB of (N, 3, ")


def test_importing_the_package_imports_no_torch():
    code = "import cotrain, sys; assert cotrain.__version__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    with pytest.raises(AttributeError, match="no attribute 'load_modl'"):
        _ = cotrain.load_modl
