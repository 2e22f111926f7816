import pytest
import torch
from msgspec.structs import replace
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cotrain.configuration.sections import Learning
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.training.optimisers import make_optimiser

SETTINGS = Learning(
    optimiser="sgd",
    learning_rate=0.1,
    head_learning_rate_factor=10.0,
    layer_decay=1.0,
    momentum=0.7,
    weight_decay=0.25,
)


class Transformer(nn.Module):
    """The names of a timm transformer of three blocks, with a head."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.backbone = nn.Module()
        self.model.backbone.patch_embed = nn.Linear(2, 2)
        self.model.backbone.blocks = nn.Sequential(
            *(nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2)) for _ in range(3))
        )
        self.model.backbone.norm = nn.LayerNorm(2)
        self.model.head = nn.Linear(2, 2)


def groups_by_name(network, settings):
    group_of = {
        id(parameter): group
        for group in make_optimiser(network, settings).param_groups
        for parameter in group["params"]
    }
    groups = {name: group_of[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(group_of) == len(groups)
    return groups


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_groups_of_a_convolutional_network(network_settings, optimiser):
    network = build_network(network_settings, 3, 1, pretrained=False)
    without_decay = {
        f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)
    }
    groups = groups_by_name(network, replace(SETTINGS, optimiser=optimiser))
    assert len(without_decay & set(groups)) > 5
    # As published, their biases have it.
    assert {name.replace("weight", "bias") for name in without_decay} <= set(groups)
    for name, group in groups.items():
        assert group["weight_decay"] == (0.0 if name in without_decay else 0.25), name
        assert group["factor"] == (1.0 if name.startswith("model.backbone.") else 10.0), name
        if optimiser == "sgd":
            assert (group["momentum"], group["nesterov"]) == (0.7, False)
        else:
            assert group["betas"] == (0.7, 0.99)


def test_layer_decay_by_hand():
    groups = groups_by_name(Transformer(), replace(SETTINGS, optimiser="adamw", layer_decay=0.5))
    assert {name.removesuffix(".weight"): g["factor"] for name, g in groups.items() if "weight" in name} == {
        "model.backbone.patch_embed": 0.125,
        "model.backbone.blocks.0.0": 0.25,
        "model.backbone.blocks.0.1": 0.25,
        "model.backbone.blocks.1.0": 0.5,
        "model.backbone.blocks.1.1": 0.5,
        "model.backbone.blocks.2.0": 1.0,
        "model.backbone.blocks.2.1": 1.0,
        "model.backbone.norm": 1.0,
        "model.head": 10.0,
    }
    assert groups["model.backbone.norm.weight"]["weight_decay"] == 0
    assert groups["model.backbone.blocks.2.0.weight"]["weight_decay"] == 0
    assert groups["model.backbone.blocks.2.0.bias"]["weight_decay"] == 0.25


def test_layer_decay_needs_blocks():
    network = nn.Module()
    network.model = nn.Module()
    network.model.backbone = nn.Conv2d(3, 3, 1)
    make_optimiser(network, SETTINGS)
    with pytest.raises(InputError, match=r"training\.layer_decay: found 0\.5"):
        make_optimiser(network, replace(SETTINGS, layer_decay=0.5))


def test_the_first_step_of_adamw_is_the_learning_rate():
    # Both means start at the first gradient, so the step is its sign, independent of its size.
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    optimiser = make_optimiser(layer, replace(SETTINGS, optimiser="adamw", weight_decay=0.0))
    (1000 * layer(torch.ones(1, 1))).sum().backward()
    optimiser.step()
    assert layer.weight.item() == pytest.approx(1.9, abs=1e-6)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_one_kernel_steps_all_tensors_on_a_gpu(optimiser, device):
    # Tensors without content, which need no GPU.
    with FakeTensorMode():
        network = nn.Conv2d(3, 4, 1, device=device)
        groups = make_optimiser(network, replace(SETTINGS, optimiser=optimiser)).param_groups
    assert all(bool(group["fused"]) == (device == "cuda") for group in groups)
