import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cotrain.networks.network import Network
from cotrain.training.average import MovingAverage


@pytest.fixture
def network():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    return Network(model, (127.0,) * 3, (60.0,) * 3)


def change(network, iteration):
    """Change all weights and statistics, and count an iteration, as a training does."""
    torch.manual_seed(iteration)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
        network.model[1](torch.randn(2, 4, 5, 5))


def test_it_is_the_average_that_torch_computes(network):
    expected = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    average = MovingAverage(network, 0.9)
    for iteration in range(5):
        change(network, iteration)
        expected.update_parameters(network)
        average.update()
        own, other = average.read().state_dict(), expected.module.state_dict()
        assert own.keys() == other.keys()
        for name, tensor in other.items():
            if tensor.is_floating_point():
                assert torch.equal(own[name], tensor), name
    # AveragedModel averages counters too; they are those of the network here.
    assert int(average.read().state_dict()["model.1.num_batches_tracked"]) == 5
    assert average.state_dict().keys() == expected.state_dict().keys()
    assert int(average.state_dict()["n_averaged"]) == int(expected.state_dict()["n_averaged"]) == 5


def test_by_hand(network):
    average = MovingAverage(network, 0.75)
    bias = network.model[2].bias
    for value in (8.0, 16.0, 4.0):
        with torch.no_grad():
            bias.fill_(value)
        average.update()
    # The first is the average; then 0.75 · 8 + 0.25 · 16 = 10 and 0.75 · 10 + 0.25 · 4 = 8.5.
    assert average.read().model[2].bias.tolist() == [8.5, 8.5]
    assert bias.tolist() == [4.0, 4.0]


def test_it_goes_on_from_what_was_saved(network):
    average = MovingAverage(network, 0.9)
    for iteration in range(3):
        change(network, iteration)
        average.update()
    saved = copy.deepcopy(average.state_dict())
    resumed = MovingAverage(network, 0.9)
    resumed.load_state_dict(saved)
    change(network, 3)
    for one in (average, resumed):
        one.update()
    for name, tensor in average.read().state_dict().items():
        assert torch.equal(resumed.read().state_dict()[name], tensor), name
    assert average.updates == resumed.updates == 4
