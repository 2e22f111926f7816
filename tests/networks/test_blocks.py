import pytest
import torch
from torch import nn

from benchmarks.networks import NETWORKS
from cotrain.networks.blocks import blocks_of, compile_blocks
from cotrain.networks.build import build_network


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 3 + 4 + 23 + 3 of the ResNet, 4 branches of the pyramid, 2 of the decoder.
        ("the paper's", 39),
        # 7 stages, each a row of blocks in a row of stages; pyramid and decoder as above.
        ("the demo's", 13),
        # 12 of the transformer; its head is one row of modules without parts.
        ("DINOv2 S/14", 12),
    ],
)
def test_blocks_of_the_networks(name, expected):
    network = build_network(NETWORKS[name], 5, 0, pretrained=False)
    blocks = list(blocks_of(network))
    assert len(blocks) == expected
    inner = {id(module) for block in blocks for module in block.modules() if module is not block}
    assert not inner & {id(block) for block in blocks}


def test_blocks_are_compiled_and_a_network_without_blocks_as_a_whole(monkeypatch):
    compiled = []

    def noted(function, dynamic):
        assert not dynamic
        compiled.append(function.__self__)
        return function

    monkeypatch.setattr(torch, "compile", noted)
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    compile_blocks(plain)
    assert compiled == [plain]
    compiled.clear()
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    network = nn.Sequential(nn.Sequential(block, block), nn.Conv2d(3, 2, 1))
    names = list(network.state_dict())
    compile_blocks(network)
    assert compiled == [network[0]]
    assert list(network.state_dict()) == names
    assert torch._dynamo.config.recompile_limit >= 1
