import math

import numpy as np
import pytest
import torch
from torch import nn

from cotrain.configuration.sections import InferenceSettings
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.export import (
    Difference,
    difference,
    exported,
    original,
    save_onnx,
    save_program,
    saved_onnx,
    saved_program,
)
from cotrain.networks.inference import predict_images
from cotrain.networks.network import Network

CPU = torch.device("cpu")


@pytest.fixture
def networks():
    """Return two networks of a stride of their own, one of them with a temperature."""
    torch.set_num_threads(1)
    torch.manual_seed(4)
    networks = [Network(nn.Conv2d(3, 5, 3, stride, 1), (120.0,) * 3, (60.0,) * 3) for stride in (1, 4)]
    networks[1].temperature = 0.4
    return [network.eval() for network in networks]


def images(number, height=24, width=32):
    return np.random.default_rng(1).integers(0, 256, (number, 3, height, width)).astype(np.uint8)


@pytest.fixture
def program(networks):
    return exported(networks, 24, 32)


def assert_are_the_predictions(networks, program):
    for number in (1, 2, 5):
        batch = images(number)
        classes, confidences = program(batch)
        assert (classes.dtype, confidences.dtype) == (np.uint8, np.float32)
        expected, levels = predict_images(
            networks, batch.transpose(0, 2, 3, 1), InferenceSettings(batch_size=1, precision="float32"), CPU
        )
        np.testing.assert_array_equal(classes, expected)
        np.testing.assert_allclose(confidences, levels / 65535, atol=2e-5)
        assert len(np.unique(classes)) > 2


def test_the_files_predict_what_the_networks_predict(networks, program, tmp_path, capfd):
    assert_are_the_predictions(networks, original(networks))
    save_program(tmp_path / "a.pt2", program)
    assert_are_the_predictions(networks, saved_program(tmp_path / "a.pt2"))
    capfd.readouterr()
    save_onnx(tmp_path / "a.onnx", program)
    # torch tells nothing of its own.
    assert capfd.readouterr() == ("", "")
    assert_are_the_predictions(networks, saved_onnx(tmp_path / "a.onnx", 1))


def test_a_network_with_image_pooling_and_depthwise_convolutions(network_settings, tmp_path):
    network = build_network(network_settings, 5, 1, pretrained=False)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    save_onnx(tmp_path / "a.onnx", exported([network], 24, 32))
    batches = [images(1), images(3)]
    found = difference(original([network]), saved_onnx(tmp_path / "a.onnx", 1), batches)
    assert found.confidence < 1e-4
    assert found.classes < 0.01


def test_the_networks_are_left_as_they_were(networks):
    networks[0].to(memory_format=torch.channels_last)
    exported(networks[:1], 24, 32)
    assert networks[0].model.weight.is_contiguous(memory_format=torch.channels_last)


def constant(classes, confidences):
    """Return a program that gives all pixels of 2 × 2 these classes and confidences."""

    def predict(batch):
        shape = (len(batch), 2, 2)
        return (
            np.broadcast_to(np.array(classes, np.uint8), shape),
            np.broadcast_to(np.array(confidences, np.float32), shape),
        )

    return predict


def test_difference_by_hand():
    one = constant([[0, 1], [2, 3]], [[0.5, 0.5], [0.5, 0.5]])
    other = constant([[0, 1], [2, 0]], [[0.5, 0.25], [0.625, 0.5]])
    batches = [images(1), images(2)]
    assert difference(one, one, batches) == Difference(0.0, 0.0)
    # One pixel of four has another class, and the largest difference is that downwards.
    assert difference(one, other, batches) == difference(other, one, batches) == Difference(0.25, 0.25)


def test_a_difference_of_nan_is_not_lost():
    one, other = (
        constant([[0, 0], [0, 0]], [[1, 1], [1, 1]]),
        constant([[0, 0], [0, 0]], [[1, math.nan], [1, 1]]),
    )
    assert math.isnan(difference(one, other, [images(1), images(1)]).confidence)


class Fickle(nn.Module):
    """Looks into the pixels to decide what to do."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return self.convolution(x if x.mean() > 0 else -x)


def test_a_network_that_cannot_be_traced_is_explained():
    network = Network(Fickle(), (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(InputError, match=r"the network cannot be exported with torch\.export: "):
        exported([network], 8, 8)


class Bessel(nn.Module):
    """Computes what ONNX has no operator for."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return self.convolution(torch.special.bessel_j0(x))


def test_a_network_beyond_onnx_is_explained(tmp_path):
    program = exported([Network(Bessel(), (0.0,) * 3, (1.0,) * 3)], 8, 8)
    with pytest.raises(InputError, match=r"(?s)the network cannot be exported to ONNX: .*bessel_j0"):
        save_onnx(tmp_path / "a.onnx", program)
