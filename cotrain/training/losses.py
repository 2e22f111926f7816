"""The loss: cross-entropy over the hardest pixels of the batch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cotrain.configuration.choices import HardPixelsOf
from cotrain.data.label_spaces import IGNORE
from cotrain.training.parallel import ALONE, Workers


def number_of_hard_pixels(
    labels: Tensor,
    share: float,
    share_of: HardPixelsOf,
    workers: Workers = ALONE,
    device: torch.device | None = None,
) -> int:
    """Return how many pixels of a batch are its hardest, at least 1.

    The labels are counted before they go to the device: to ask the device for a number, the process would
    have to wait for all that it has to do.

    Args:
        labels: (B, H, W) uint8 train ids, 255 for void, in the memory of the CPU; this process's part of the
            batch.
        share: the share of pixels that counts as hard; 1 is all.
        share_of: "labelled" takes the share of the labelled pixels. "all" takes it of all pixels, as the
            published code does: sparse pseudo-labels then add zeros to the mean and shrink the step.
        workers: the processes that share the batch.
        device: where they compute.
    """
    own = np.count_nonzero(labels.numpy() != IGNORE) if share_of == "labelled" else labels.numel()
    total = own if workers.count == 1 else int(workers.sum(torch.tensor(own, device=device)))
    return max(1, int(share * total))


def pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (B · H · W,) of each pixel, 0 where it has no label.

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) int64 train ids; 255 is ignored.
    """
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten()


def hard_pixel_loss(losses: Tensor, number: int, workers: Workers = ALONE) -> Tensor:
    """Return the mean loss of the hardest pixels over the whole batch (as published).

    Args:
        losses: (N,) of the pixels, see `pixel_losses`.
        number: how many pixels of the whole batch are the hardest, see `number_of_hard_pixels`.
        workers: the processes that share the batch. The hardest pixels are those of the whole batch, and the
            mean of the processes' results is the loss of the whole batch.

    Returns:
        A scalar; 0 for a batch without any labelled pixel.
    """
    if workers.count == 1:
        return torch.topk(losses, number, sorted=False).values.mean()
    least = torch.topk(workers.gathered(losses), number, sorted=False).values.min()
    harder, equal = losses > least, losses == least
    # Several pixels may be exactly as hard as the last one that counts: each of them counts in part.
    counts = workers.sum(torch.stack([harder.sum(), equal.sum()]))
    part = (number - counts[0]) / counts[1]
    return workers.count * (losses[harder].sum() + part * losses[equal].sum()) / number
