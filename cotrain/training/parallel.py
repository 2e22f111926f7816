"""Several processes train one model: each has its own device and computes a share of every batch.

They compute what one process would compute, up to rounding: batch statistics, the hardest pixels and
gradients are those of the whole batch. Only dropout differs, because each process draws its own.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cotrain.errors import InputError


@dataclass(frozen=True)
class Workers:
    """The processes of one training: this is number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this process is the one that writes files and messages."""
        return self.rank == 0

    def slots(self, batch_size: int) -> range:
        """Return the places of the batch that this process computes."""
        return range(self.rank, batch_size, self.count)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, without gradient."""
        total = tensor.detach().clone()
        if self.count > 1:
            dist.all_reduce(total)
        return total

    def gathered(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, each (N,), as one tensor, without gradient."""
        if self.count == 1:
            return tensor.detach()
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.detach().contiguous())
        return torch.cat(parts)

    def agreed(self, number: int, device: torch.device) -> int:
        """Return the largest of the processes' numbers, so that all act the same."""
        if self.count == 1:
            return number
        value = torch.tensor(number, device=device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)


ALONE = Workers()


def check_processes(count: int, device_type: str) -> None:
    """Raise InputError when `count` processes are more than the GPUs that they would compute on."""
    if device_type == "cuda" and torch.cuda.device_count() < count:
        raise InputError(
            f"gpus_per_training: found {count}, expected at most {torch.cuda.device_count()}, the number of "
            "GPUs of this job; if the machine has more, give them with `--resources gpu=N`"
        )


@contextmanager
def joined_workers(device_type: str) -> Iterator[Workers]:
    """Yield the processes that torchrun has started for this training, or only this one.

    Raises:
        InputError: there are more processes than GPUs to compute on.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield ALONE
        return
    check_processes(int(os.environ.get("LOCAL_WORLD_SIZE", count)), device_type)
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield Workers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()


def in_parallel(network: nn.Module, workers: Workers, device: torch.device) -> nn.Module:
    """Return a module to call in place of `network`, so that gradients are averaged over the processes.

    Batch norm inside `network` is replaced by one that sees the whole batch; names of tensors stay.
    """
    if workers.count == 1:
        return network
    from timm.layers import convert_sync_batchnorm

    if device.type == "cuda":
        convert_sync_batchnorm(network)
    else:
        _exchange_batch_norm(network)
    with warnings.catch_warnings():
        # torch 2.15 has another name for it, which 2.11 does not know.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return nn.parallel.DistributedDataParallel(
            network,
            device_ids=[device.index] if device.type == "cuda" else None,
            # Statistics are those of the whole batch, so they are equal everywhere.
            broadcast_buffers=False,
        )


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _BatchNormOfAll(nn.BatchNorm2d):
    """Batch norm over the parts of a batch in all processes. PyTorch has one only for GPUs.

    timm's batch norm includes an activation, which stays.
    """

    def __init__(self, replaced: Any) -> None:
        super().__init__(replaced.num_features, replaced.eps, replaced.momentum)
        self.load_state_dict(replaced.state_dict())
        self.after = nn.Sequential(
            *(getattr(replaced, name) for name in ("drop", "act") if hasattr(replaced, name))
        )

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.after(super().forward(x))
        channels = (1, -1, 1, 1)
        ones = x.new_tensor(x.numel() / x.shape[1])
        count = _Sum.apply(ones)
        mean = _Sum.apply(x.sum((0, 2, 3))) / count
        centred = x - mean.view(channels)
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.momentum is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        normalised = centred * (variance + self.eps).rsqrt().view(channels)
        return self.after(normalised * self.weight.view(channels) + self.bias.view(channels))


def _exchange_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _BatchNormOfAll(child))
        else:
            _exchange_batch_norm(child)
