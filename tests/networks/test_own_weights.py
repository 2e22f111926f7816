"""Weights that were trained elsewhere: they must arrive under their names, or be refused with the reason."""

import re
import sys

import pytest
import torch
import yaml
from msgspec.structs import replace
from safetensors.torch import save_file

from cotrain.configuration.sections import OwnNetworkSettings, PlainTransformerSettings
from cotrain.data.label_spaces import label_space, make_label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.own_weights import network_with
from cotrain.networks.weights import load_network, read_header
from cotrain.training.train_model import check_initial_weights
from workflow_scripts.import_weights import main

# As a user's module has it, with the normalisation of its training.
USERS_MODULE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        # Two names that are one if a dot and an underscore are the same.
        self.conv_1 = nn.Conv2d(3, width, 3, 2, 1)
        self.conv = nn.ModuleDict({"1": nn.Conv2d(width, width, 1)})
        self.norm = nn.BatchNorm2d(width)
        self.out = nn.Conv2d(width, classes, 1)

    def forward(self, images):
        return self.out(self.norm(self.conv["1"](self.conv_1(images))))

def make(number_of_classes, width=4, mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0)):
    network = Net(number_of_classes, width)
    network.mean, network.std = mean, std
    return network
"""
CLASSES = [{"class": name, "colour": [i, 0, 0]} for i, name in enumerate(("sky", "road", "car"))]
SPACE = make_label_space("own", CLASSES)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The section of a module of the user's, which lies in the folder of the command."""
    (tmp_path / "a_users_module.py").write_text(USERS_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield OwnNetworkSettings(name="a_users_module:make", arguments={"width": 5})
    sys.modules.pop("a_users_module", None)


def trained(settings, classes, seed=3):
    """Return a network as it would come out of a training elsewhere."""
    network = build_network(settings, classes, seed=seed, pretrained=False)
    with torch.no_grad():
        for name, tensor in network.model.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape) * 0.1 if "var" in name else torch.randn(tensor.shape))
    return network


def files(tmp_path, network):
    """Write a state dict in the ways in which people keep them; return the paths."""
    state = network.model.state_dict()
    torch.save(state, tmp_path / "bare.pth")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "bare.safetensors")
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    optimiser = {"state": {0: {"exp_avg": torch.zeros(2)}}}
    torch.save({"state_dict": parallel, "epoch": 3, "optimizer": optimiser}, tmp_path / "nested.ckpt")
    # Half precision, and without what batch norm does not need.
    half = {name: tensor.half() for name, tensor in state.items() if "num_batches" not in name}
    torch.save({"model": half}, tmp_path / "half.pt")
    return [tmp_path / name for name in ("bare.pth", "bare.safetensors", "nested.ckpt", "half.pt")]


def imported(path, network, space, output):
    main(
        ["--from", str(path), "--network", str(network), "--label-space", str(space), "--output", str(output)]
    )
    return output


def test_an_own_module_gives_the_same_logits_from_every_file(own, tmp_path, caplog):
    network = trained(own, 3)
    section = {"name": own.name, "arguments": own.arguments}
    # Beside the keys of a whole configuration.
    (tmp_path / "camera.yaml").write_text(yaml.safe_dump({"run": "x", "network": section}))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(CLASSES))
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network.eval()(images)
        # By hand: the module's own normalisation.
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((10.0, 20, 30), (50.0, 60, 70)))
        torch.testing.assert_close(network.model((images - mean) / std), expected)
    for path in files(tmp_path, network):
        output = imported(path, "camera.yaml", "own.yaml", tmp_path / "taken.safetensors")
        settings, space = read_header(output)
        assert (settings, list(space.classes)) == (own, ["sky", "road", "car"])
        with torch.inference_mode():
            found = load_network(output, allowed_code=[own.name]).eval()(images)
        exact = 0.0 if path.suffix != ".pt" else 0.05
        torch.testing.assert_close(found, expected, rtol=exact, atol=exact)
    assert (
        "nested.ckpt: took the 11 tensors below 'state_dict.module.' of a_users_module:make, with the "
        in (caplog.text)
    )


@pytest.mark.parametrize("kind", ["deeplabv3plus", "plain_transformer"])
def test_networks_that_are_built_in(kind, network_settings, training_settings, tmp_path):
    settings = network_settings
    if kind == "plain_transformer":
        settings = PlainTransformerSettings(
            name=kind, backbone="test_vit", backbone_weights="none", decoder_channels=8
        )
    network = trained(settings, 11)
    # It was trained with other first weights and another dropout, which are no part of it.
    settings = replace(settings, dropout=0.2)
    taken, prefix = network_with(
        {f"model.{name}": tensor for name, tensor in network.model.state_dict().items()},
        settings,
        label_space("camvid11"),
    )
    assert prefix == "model."
    for name, tensor in network.model.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(taken.model.state_dict()[name], tensor), name
    if kind == "deeplabv3plus":
        (tmp_path / "network.yaml").write_text(yaml.safe_dump({"network": SMALL}))
        torch.save(network.model.state_dict(), tmp_path / "own.pth")
        path = imported(
            tmp_path / "own.pth", tmp_path / "network.yaml", "camvid11", tmp_path / "w.safetensors"
        )
        # A training of a run starts from it.
        check_initial_weights(path, training_settings, label_space("camvid11"))


SMALL = {
    "backbone": "test_efficientnet",
    "aspp_channels": 8,
    "aspp_dilations": [1, 2],
    "decoder_channels": 10,
    "low_level_channels": 4,
}


@pytest.mark.parametrize("kind", ["own", "deeplabv3plus"])
@pytest.mark.parametrize("outputs", [2, 4])
def test_another_number_of_classes_is_said_so(kind, outputs, own, network_settings):
    settings = own if kind == "own" else network_settings
    found = {
        f"model.{name}": tensor for name, tensor in trained(settings, outputs).model.state_dict().items()
    }
    message = (
        rf"its network has {outputs} outputs, and own has 3 classes \(sky, road, car\); expected an output "
        r"for each class, in this order\. Give .* --label-space"
    )
    with pytest.raises(InputError, match=message):
        network_with(found, settings, SPACE)


def test_other_tensors_are_named(own, tmp_path):
    state = dict(trained(own, 3).model.state_dict())
    fewer = {name: tensor for name, tensor in state.items() if name != "norm.bias"}
    with pytest.raises(
        InputError, match=r"not the weights .*: 1 of 10 tensors is missing \(norm\.bias \(5,\)\)"
    ):
        network_with(fewer, own, SPACE)
    more = state | {"layer.7.weight": torch.ones(2)}
    message = r"has all 10 tensors, but besides them 1 is not expected \(layer\.7\.weight \(2,\)\)"
    with pytest.raises(InputError, match=message):
        network_with(more, own, SPACE)
    with pytest.raises(InputError, match=r"conv_1\.weight is \(5, 3, 3, 3\), expected \(6, 3, 3, 3\)"):
        network_with(state, replace(own, arguments={"width": 6}), SPACE)
    # Another number of outputs and other tensors: what differs is named.
    with pytest.raises(InputError, match="1 of 10 tensors is missing"):
        network_with(fewer, own, make_label_space("two", CLASSES[:2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("run: x\n", r"network\.yaml: found the keys run, expected a section network"),
        (
            "backbone: resnet50\n",
            r"found the keys backbone, expected a section network, .* such as network: \{",
        ),
        ("", "found no key, expected a section network"),
        ("network: {backbne: resnet50}\n", r"network\.yaml: network.*backbne.*did you mean 'backbone'"),
        (
            'network: {name: "no_such_module:make"}\n',
            r"^network\.name: 'no_such_module:make' cannot be imported",
        ),
    ],
)
def test_mistakes_in_the_description(content, message, tmp_path):
    (tmp_path / "network.yaml").write_text(content)
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=re.compile(message, re.DOTALL)):
        imported(tmp_path / "x.pth", tmp_path / "network.yaml", "camvid11", tmp_path / "w.safetensors")


def test_the_classes_must_be_told(tmp_path):
    (tmp_path / "network.yaml").write_text("network: {}\n")
    arguments = ["--from", "x.pth", "--network", str(tmp_path / "network.yaml"), "--output", "w.safetensors"]
    with pytest.raises(InputError, match="--label-space: missing; no file of weights says"):
        main(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, r"has std \(0\.229.*by 255$"),
        ({"mean": [1.0, 2.0]}, r"has mean \(1\.0, 2\.0\), expected three numbers"),
        ({"std": "wide"}, "has std 'wide', expected three numbers"),
    ],
)
def test_a_normalisation_that_cannot_be_meant(own, arguments, message):
    with pytest.raises(InputError, match=message):
        build_network(replace(own, arguments=arguments), 3, seed=0, pretrained=False)


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_graph_for_inference_is_refused_wherever_weights_are_taken(
    name, tmp_path, network_settings, training_settings
):
    path = tmp_path / name
    path.write_bytes(b"\x08\n\x12\x07pytorch\x1a\x062.15.0:")
    (tmp_path / "network.yaml").write_text("network: {}\n")
    backbone = replace(network_settings, backbone_weights=str(path))
    for take in (
        lambda: main(["--from", str(path), "--output", str(tmp_path / "w.safetensors")]),
        lambda: imported(path, tmp_path / "network.yaml", "camvid11", tmp_path / "w.safetensors"),
        lambda: build_network(backbone, 11, seed=0, pretrained=True),
        lambda: check_initial_weights(path, training_settings, label_space("camvid11")),
        lambda: load_network(path),
    ):
        with pytest.raises(InputError, match=rf"{name}: .*it is an ONNX file, .*write its state dict"):
            take()
