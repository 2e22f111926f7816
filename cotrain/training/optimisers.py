"""Optimisers: stochastic gradient descent as published, AdamW for transformers and for short trainings."""

import re

import torch
from torch import nn

from cotrain.configuration.sections import Learning
from cotrain.errors import InputError

# Of the mean of squared gradients, which the network's size forgets after 100 iterations instead of 1000:
# a stage of a few hundred iterations would otherwise never leave the mean of its first ones.
ADAMW_SQUARED_GRADIENT_DECAY = 0.99

NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)

# timm's name of the blocks that a backbone is a row of.
BLOCK = re.compile(r"\.backbone\.(?:.*\.)?blocks\.(\d+)\.")


def make_optimiser(network: nn.Module, settings: Learning) -> torch.optim.Optimizer:
    """Return the optimiser of `network`, in groups that each carry their `factor` on the learning rate.

    The factor is 1 for the backbone and `head_learning_rate_factor` for what is trained from scratch. With a
    `layer_decay` below 1 each block of the backbone has that multiple of the factor of the block after it
    (Clark et al. 2020; as transformers are fine-tuned in BEiT). Normalisation layers have no weight decay
    (as published).

    Raises:
        InputError: a layer decay for a backbone that is no row of blocks.
    """
    normalisation = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, NORMALISATIONS)
        for parameter in module.parameters()
    }
    parameters = dict(network.named_parameters())
    blocks = 1 + max((int(found[1]) for name in parameters if (found := BLOCK.search(name))), default=-1)
    if settings.layer_decay < 1 and not blocks:
        raise InputError(
            f"training.layer_decay: found {settings.layer_decay}, but the backbone of this network is no row "
            "of blocks; expected 1"
        )

    def factor(name: str) -> float:
        if ".backbone." not in name:
            return settings.head_learning_rate_factor
        found = BLOCK.search(name)
        if found:
            return settings.layer_decay ** (blocks - 1 - int(found[1]))
        # What follows the last block is a normalisation alone; all else comes before the first.
        is_last = ".backbone.norm." in name or not blocks
        return 1.0 if is_last else settings.layer_decay**blocks

    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = 0.0 if id(parameter) in normalisation else settings.weight_decay
        groups.setdefault((factor(name), decay), []).append(parameter)
    described = [
        {"params": members, "factor": multiple, "weight_decay": decay}
        for (multiple, decay), members in groups.items()
    ]
    # One kernel for all tensors, where the device has such a one.
    fused = next(iter(parameters.values())).device.type == "cuda"
    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            described, lr=settings.learning_rate, momentum=settings.momentum, fused=fused or None
        )
    betas = (settings.momentum, ADAMW_SQUARED_GRADIENT_DECAY)
    return torch.optim.AdamW(described, lr=settings.learning_rate, betas=betas, fused=fused or None)
