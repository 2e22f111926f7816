"""The loss: cross-entropy over the hardest pixels of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cotrain.data.label_spaces import IGNORE


def hard_pixel_loss(logits: Tensor, labels: Tensor, share: float, share_of: str = "labelled") -> Tensor:
    """Return the mean cross-entropy of the hardest pixels over the whole batch (as published).

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) int64 train ids; 255 is ignored.
        share: the share of pixels that counts as hard; 1 is plain cross-entropy.
        share_of: "labelled" takes the share of the labelled pixels. "all" takes it of all pixels, as the
            published code does: sparse pseudo-labels then bring zeros into the mean and shrink the step.

    Returns:
        A scalar; 0 for a batch without any labelled pixel.
    """
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten()
    counted = (labels != IGNORE).sum() if share_of == "labelled" else losses.numel()
    number = max(1, int(share * int(counted)))
    return torch.topk(losses, number, sorted=False).values.mean()
