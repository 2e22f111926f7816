"""The loss: cross-entropy over the hardest pixels of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cotrain.data.label_spaces import IGNORE
from cotrain.training.parallel import ALONE, Workers


def hard_pixel_loss(
    logits: Tensor, labels: Tensor, share: float, share_of: str, workers: Workers = ALONE
) -> Tensor:
    """Return the mean cross-entropy of the hardest pixels over the whole batch (as published).

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) int64 train ids; 255 is ignored.
        share: the share of pixels that counts as hard; 1 is plain cross-entropy.
        share_of: "labelled" takes the share of the labelled pixels. "all" takes it of all pixels, as the
            published code does: sparse pseudo-labels then add zeros to the mean and shrink the step.
        workers: the processes that share the batch. The hardest pixels are those of the whole batch, and the
            mean of the processes' results is the loss of the whole batch.

    Returns:
        A scalar; 0 for a batch without any labelled pixel.
    """
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten()
    own = (labels != IGNORE).sum() if share_of == "labelled" else labels.new_tensor(losses.numel())
    number = max(1, int(share * int(workers.sum(own))))
    if workers.count == 1:
        return torch.topk(losses, number, sorted=False).values.mean()
    least = torch.topk(workers.gathered(losses), number).values[-1]
    harder, equal = losses > least, losses == least
    # Several pixels may be exactly as hard as the last one that counts: each of them counts in part.
    counts = workers.sum(torch.stack([harder.sum(), equal.sum()]))
    part = (number - counts[0]) / counts[1]
    return workers.count * (losses[harder].sum() + part * losses[equal].sum()) / number
