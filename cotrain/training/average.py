"""An exponential moving average of a network in training, in a handful of kernels an iteration."""

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from cotrain.networks.network import Network

# torch.optim.swa_utils.AveragedModel saves its content under these names.
UPDATES, PREFIX = "n_averaged", "module."


class MovingAverage:
    """The average of a network's weights and batch-norm statistics over its last iterations.

    It computes what `torch.optim.swa_utils.AveragedModel(use_buffers=True)` does with
    `get_ema_multi_avg_fn(decay)`, and saves it under the same names. That class also averages the counters of
    batch norm, hundreds of single integers, with two kernels each, and waits for the device. Here counters
    are copied when the average is read.

    Attributes:
        network: a copy of the network, with the averaged weights.
        updates: how many iterations are in the average.
    """

    def __init__(self, network: Network, decay: float) -> None:
        """`decay` in (0, 1) is the share of the old average that an iteration keeps."""
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.updates = 0
        own, others = _tensors(self.network), _tensors(network)
        self._averaged = [tensor for tensor in own if tensor.is_floating_point()]
        self._current = [tensor for tensor in others if tensor.is_floating_point()]
        self._counters = [
            (mine, other) for mine, other in zip(own, others, strict=True) if not mine.is_floating_point()
        ]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of the network as they are now into the average; the first time, they are it."""
        if self.updates == 0:
            torch._foreach_copy_(self._averaged, self._current)
        else:
            torch._foreach_lerp_(self._averaged, self._current, 1 - self.decay)
        self.updates += 1

    @torch.no_grad()
    def read(self) -> Network:
        """Return the network with the averaged weights, and with the counters of the network in training."""
        for mine, other in self._counters:
            mine.copy_(other)
        return self.network

    def state_dict(self) -> dict[str, Tensor]:
        """Return what `load_state_dict` takes."""
        content = self.read().state_dict()
        return {
            UPDATES: torch.tensor(self.updates),
            **{f"{PREFIX}{name}": tensor for name, tensor in content.items()},
        }

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self.updates = int(saved[UPDATES])
        content = {name.removeprefix(PREFIX): of for name, of in saved.items() if name != UPDATES}
        self.network.load_state_dict(content)


def _tensors(network: Network) -> list[Tensor]:
    """Return all parameters and buffers, detached: what is done to them is done to the network."""
    return [cast(Tensor, tensor.detach()) for tensor in (*network.parameters(), *network.buffers())]
