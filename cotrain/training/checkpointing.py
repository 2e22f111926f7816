"""Gradient checkpointing: less memory for more arithmetic (Chen et al. 2016, arXiv:1604.06174)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from cotrain.networks.blocks import blocks_of


def checkpoint_blocks(network: nn.Module) -> None:
    """Make each block of the network keep only its input for the backward pass, and compute the rest again.

    Gradients, dropout and the statistics of batch norm stay what they are without it.
    """
    for block in blocks_of(network):
        contexts = partial(_contexts, block)
        block.forward = partial(  # type: ignore[method-assign]
            checkpoint, block.forward, use_reentrant=False, context_fn=contexts
        )


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts in which a block is computed for the first and for the second time."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Let batch norm take a batch a second time without adding it to the running statistics again."""
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # The counter is raised all the same: that of a copy.
        norm.momentum, norm.num_batches_tracked = 0.0, deepcopy(norm.num_batches_tracked)
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
