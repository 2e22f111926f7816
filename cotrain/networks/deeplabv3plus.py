"""DeepLabV3+ over any timm backbone with feature maps (Chen et al. 2018; Gómez, Villalonga, López 2023).

Differences from the common re-implementations, all as in the published method: plain 3×3 convolutions
(not depthwise), an image-pooling branch without batch norm (so one image per device trains), 48 low-level
channels concatenated before the 256 of the pyramid.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Return a convolution without bias, batch norm and ReLU; the stride is 1 and the size stays."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) bilinearly to `size` (height, width)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: one 1×1, three dilated 3×3, one image-pooling branch, merged by 1×1."""

    def __init__(self, inputs: int, channels: int, dilations: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [convolution(inputs, channels, 1)] + [convolution(inputs, channels, 3, d) for d in dilations]
        )
        # The published code pools over a fixed window of the training crop's size, which fails on other
        # frame sizes. The global mean is the same on that crop and works on any size.
        self.pooling = nn.Sequential(nn.Conv2d(inputs, channels, 1), nn.ReLU(inplace=True))
        self.merge = convolution((len(dilations) + 2) * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, channels, h, w)."""
        pooled = self.pooling(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        merged: Tensor = self.merge(torch.cat([*(branch(x) for branch in self.branches), pooled], 1))
        return self.dropout(merged)


class DeepLabV3Plus(nn.Module):
    """Encoder, spatial pyramid and decoder.

    `backbone(x)` returns (low-level features at stride 4, high-level features at the output stride).
    """

    def __init__(
        self,
        backbone: nn.Module,
        low_level_inputs: int,
        high_level_inputs: int,
        number_of_classes: int,
        *,
        aspp_channels: int,
        aspp_dilations: tuple[int, ...],
        low_level_channels: int,
        decoder_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = SpatialPyramid(high_level_inputs, aspp_channels, aspp_dilations, dropout)
        self.low_level = convolution(low_level_inputs, low_level_channels, 1)
        self.decoder = nn.Sequential(
            convolution(low_level_channels + aspp_channels, decoder_channels, 3),
            convolution(decoder_channels, decoder_channels, 3),
        )
        self.classifier = nn.Conv2d(decoder_channels, number_of_classes, 1)
        self._initialise_head()

    def _initialise_head(self) -> None:
        for part in (self.pyramid, self.low_level, self.decoder):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_uniform_(module.weight, a=1)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        # Near-zero logits: the first loss is log(number of classes), whatever the features are.
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB (B, 3, H, W) to logits (B, number_of_classes, H/4, W/4)."""
        low, high = self.backbone(x)
        low = self.low_level(low)
        high = resize(self.pyramid(high), (low.shape[2], low.shape[3]))
        logits: Tensor = self.classifier(self.decoder(torch.cat([low, high], 1)))
        return logits
