"""How large a network is: what decides the memory and the time of a training."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cotrain.data.network_sizes import NetworkSize
from cotrain.networks.network import Network

# Height and width of the image that is sent through the network: large enough that its deepest features are
# not a single pixel, and many patches of a transformer.
SIZE = (96, 160)


def size_of(network: Network) -> NetworkSize:
    """Send two black images through `network` in float32 and return its size; the network stays as it is."""
    pixels = SIZE[0] * SIZE[1]
    parameters = {parameter.data_ptr() for parameter in network.parameters()}
    # They are kept until the end, so that none takes the place in memory of another.
    saved: dict[tuple[int, int], Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            saved[tensor.data_ptr(), tensor.numel()] = tensor
        return tensor

    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    was_training = network.training
    # In evaluation, a batch norm would save less. In training, it needs more than one image.
    network.train()
    images = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            FlopCounterMode(display=False) as counter,
        ):
            network(images)
    finally:
        network.train(was_training)
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])
    tensors = network.model.state_dict().values()
    return NetworkSize(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        tensors=len(tensors),
        bytes=sum(map(_bytes, tensors)),
        operations_a_pixel=round(counter.get_total_flops() / (2 * pixels)),
        saved_bytes_a_pixel=round(sum(map(_bytes, saved.values())) / (2 * pixels)),
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
