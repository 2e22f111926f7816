"""The blocks of a network: what is repeated in it, one after the other."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from cotrain.errors import InputError

CONTAINERS = (nn.Sequential, nn.ModuleList)


def blocks_of(network: nn.Module) -> Iterator[nn.Module]:
    """Yield what has parts of its own and is in a row of modules; nothing within it."""
    for child in network.children():
        if isinstance(network, CONTAINERS) and any(True for _ in child.children()):
            yield child
        else:
            yield from blocks_of(child)


def compile_blocks(network: nn.Module) -> None:
    """Compile each block, or the whole network if it has none; names of tensors stay.

    Blocks of the same kind and size share what is compiled. For a ResNet-101 this takes half the time that
    the whole network would take.
    """
    blocks = list(blocks_of(network)) or [network]
    # A function that has been compiled more often than this runs uncompiled.
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, len(blocks))
    for block in blocks:
        # Crops have one size: code for any size would be slower.
        block.compile(dynamic=False)


def check_compiler() -> None:
    """Raise InputError where this machine cannot compile anything."""
    with explained_compiler():
        torch.compile(lambda x: 2 * x + 1)(torch.ones(8))


@contextmanager
def explained_compiler() -> Iterator[None]:
    """Raise InputError that says what to do when something cannot be compiled in this context."""
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        first = re.sub(r"^\w+: ", "", str(error).strip().partition("\n")[0])
        raise InputError(
            f"training.compile: torch.compile cannot compile here ({first}); install a C++ compiler such as "
            "g++ and name it by the variable CXX, or set training.compile: false"
        ) from error
