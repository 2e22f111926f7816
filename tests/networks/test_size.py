"""How large a network is, by hand and without a trace."""

import torch
from torch import nn

from cotrain.networks.network import Network
from cotrain.networks.size import size_of


def network_of(model):
    return Network(model, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_size_by_hand():
    # At every pixel 3·5·(3·3) multiplications and as many additions, then 5·2.
    size = size_of(network_of(nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 2, 1))))
    assert size.parameters == (3 * 5 * 9 + 5) + (5 * 2 + 2)
    assert (size.tensors, size.bytes) == (4, 4 * size.parameters)
    assert size.operations_a_pixel == 2 * (3 * 5 * 9 + 5 * 2)
    # The backward pass needs the input of each convolution: 3 and 5 values of 4 bytes.
    assert size.saved_bytes_a_pixel == 4 * (3 + 5)


def test_features_at_a_stride_count_less():
    size = size_of(network_of(nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 8, 1))))
    assert size.operations_a_pixel == 2 * (3 * 8 * 16 + 8 * 8) // 16
    assert size.saved_bytes_a_pixel == 4 * 3 + 4 * 8 // 16


def test_the_network_and_the_random_numbers_stay_as_they_are():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
    network = network_of(model).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    size_of(network)
    assert torch.equal(torch.rand(1), expected)
    assert not network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
