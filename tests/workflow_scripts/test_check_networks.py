import json

import msgspec
import pytest
import torch

from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.size import size_of
from cotrain.networks.weights import save_weights
from workflow_scripts import check_networks


@pytest.fixture
def check(tmp_path, training_settings, settings_file):
    torch.set_num_threads(1)

    def go(*more, is_compiled=False, **networks):
        settings = []
        for key, changes in networks.items():
            network = msgspec.structs.replace(training_settings.network, **changes)
            of_training = msgspec.structs.replace(training_settings, network=network, compile=is_compiled)
            path = settings_file(of_training, key)
            settings.append(f"{key.replace('__', '.')}={path}")
        output = tmp_path / "networks.json"
        check_networks.main(
            ["--settings", *settings, "--label-space", "camvid11", "--output", str(output), *more]
        )
        return json.loads(output.read_text())["networks"]

    return go


def test_networks_whose_first_weights_fit(check, tmp_path, network_settings):
    network = build_network(network_settings, 11, seed=1, pretrained=False)
    torch.save({"model": network.model.backbone.state_dict()}, tmp_path / "b.pth")
    save_weights(tmp_path / "w.safetensors", network, network_settings, label_space("camvid11"))
    values = list(network.model.state_dict().values())
    size = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "tensors": len(values),
        # As in memory: float32, and a counter of 64 bit for each batch norm.
        "bytes": sum(4 * value.numel() if value.is_floating_point() else 8 for value in values),
        **{name: getattr(size_of(network), name) for name in ("operations_a_pixel", "saved_bytes_a_pixel")},
    }
    found = check(
        *("--initial-weights", str(tmp_path / "w.safetensors")),
        network={},
        co_training__network_b={"backbone_weights": str(tmp_path / "b.pth")},
    )
    assert found == {"network": size, "co_training.network_b": size}


def test_mistakes_name_the_key_of_the_network(check, tmp_path, network_settings):
    torch.save({"x": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(
        InputError, match=r"^co_training\.network_b\.backbone_weights: the tensors of .*b\.pth"
    ):
        check(network={}, co_training__network_b={"backbone_weights": str(tmp_path / "b.pth")})
    with pytest.raises(InputError, match=r"^network\.backbone: timm knows no model 'resnet5O'"):
        check(network={"backbone": "resnet5O"})
    network = build_network(network_settings, 7, seed=1, pretrained=False)
    save_weights(tmp_path / "w.safetensors", network, network_settings, label_space("cityscapes7"))
    with pytest.raises(
        InputError, match=r"w\.safetensors: weights for cityscapes7, expected those for camvid11"
    ):
        check("--initial-weights", str(tmp_path / "w.safetensors"), network={})
    assert not (tmp_path / "networks.json").exists()


def test_a_machine_that_cannot_compile_is_told_so_before_anything_is_trained(check, tmp_path, monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "/no/such/g++"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert check(network={})
    message = (
        r"^training\.compile: torch\.compile cannot compile here \(No working C\+\+ compiler found .*g\+\+"
    )
    with pytest.raises(InputError, match=message) as error:
        check(network={}, is_compiled=True)
    assert "\n" not in str(error.value)
