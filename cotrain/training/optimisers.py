"""Optimisers: stochastic gradient descent as published, AdamW for transformers and for short trainings."""

import re

import torch
from torch import nn

from cotrain.configuration.sections import Learning
from cotrain.errors import InputError

# The mean of squared gradients then spans about 100 iterations instead of 1000: in a stage of a few hundred
# iterations it would otherwise stay at the mean of the first ones.
ADAMW_SQUARED_GRADIENT_DECAY = 0.99

NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)

# The name of a block in timm's backbones that are a row of blocks.
BLOCK = re.compile(r"\.backbone\.(?:.*\.)?blocks\.(\d+)\.")


def make_optimiser(network: nn.Module, settings: Learning) -> torch.optim.Optimizer:
    """Return the optimiser of `network`; each parameter group has a `factor` for the learning rate.

    The factor is 1 for the backbone and `head_learning_rate_factor` for what is trained from scratch. With a
    `layer_decay` below 1 each block of the backbone has that multiple of the factor of the block after it
    (Clark et al. 2020; as transformers are fine-tuned in BEiT). The weights of normalisation layers have no
    weight decay, all biases have it, theirs too (as published: in Detectron2 the rule for biases comes last).

    Raises:
        InputError: there is a layer decay, but the backbone is not a row of blocks.
    """
    without_decay = {id(module.weight) for module in network.modules() if isinstance(module, NORMALISATIONS)}
    parameters = dict(network.named_parameters())
    blocks = 1 + max((int(match[1]) for name in parameters if (match := BLOCK.search(name))), default=-1)
    if settings.layer_decay < 1 and not blocks:
        raise InputError(
            f"training.layer_decay: found {settings.layer_decay}, but the backbone of this network is not a "
            "row of blocks; expected 1"
        )

    def factor(name: str) -> float:
        if ".backbone." not in name:
            return settings.head_learning_rate_factor
        match = BLOCK.search(name)
        if match:
            return settings.layer_decay ** (blocks - 1 - int(match[1]))
        # Only a normalisation follows the last block; everything else comes before the first.
        is_last = ".backbone.norm." in name or not blocks
        return 1.0 if is_last else settings.layer_decay**blocks

    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decay = 0.0 if id(parameter) in without_decay else settings.weight_decay
        groups.setdefault((factor(name), decay), []).append(parameter)
    param_groups = [
        {"params": members, "factor": multiple, "weight_decay": decay}
        for (multiple, decay), members in groups.items()
    ]
    # One kernel for all tensors, where the device has one.
    fused = next(iter(parameters.values())).device.type == "cuda"
    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            param_groups, lr=settings.learning_rate, momentum=settings.momentum, fused=fused or None
        )
    betas = (settings.momentum, ADAMW_SQUARED_GRADIENT_DECAY)
    return torch.optim.AdamW(param_groups, lr=settings.learning_rate, betas=betas, fused=fused or None)
