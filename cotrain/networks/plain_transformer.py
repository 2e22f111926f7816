"""A plain transformer with a light head: any timm ViT (DINOv2, DINOv3, EVA-02, …) at any image size."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cotrain.networks.deeplabv3plus import convolution, resize

# The head works on a grid this much finer than the patches, at stride 4 for patches of 16 pixels.
UPSAMPLING = 4


class PlainTransformer(nn.Module):
    """The tokens of the last block, as a map, through two convolutions.

    Images are padded on the right and below to whole patches; the padding is cut off the logits.

    Args:
        backbone: timm's transformer, with `forward_intermediates`, `patch_embed` and `embed_dim`.
        number_of_classes: channels of the logits.
        decoder_channels: channels of the head.
        dropout: share of the tokens' channels that is dropped in training.
    """

    def __init__(
        self, backbone: Any, number_of_classes: int, *, decoder_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.patch: tuple[int, int] = backbone.patch_embed.patch_size
        self.reduce = convolution(backbone.embed_dim, decoder_channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.decoder = convolution(decoder_channels, decoder_channels, 3)
        self.classifier = nn.Conv2d(decoder_channels, number_of_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB (B, 3, H, W) to logits (B, C, h, w): at stride 4, or of the image's size."""
        height, width = x.shape[2:]
        patch_height, patch_width = self.patch
        below, right = -height % patch_height, -width % patch_width
        # Zero is the mean colour.
        padded = F.pad(x, (0, right, 0, below))
        tokens = self.backbone.forward_intermediates(
            padded, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )[-1]
        features = self.dropout(self.reduce(tokens))
        finer = (UPSAMPLING * features.shape[2], UPSAMPLING * features.shape[3])
        logits: Tensor = self.classifier(self.decoder(resize(features, finer)))
        if below or right:
            logits = resize(logits, (height + below, width + right))[:, :, :height, :width]
        return logits
