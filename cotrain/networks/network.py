"""A network: any module that gives logits, with its input normalisation."""

import torch
from torch import Tensor, nn

from cotrain.errors import InputError


class Network(nn.Module):
    """A segmentation network with its input normalisation: uint8 RGB goes in, logits come out.

    `model` is any module from normalised RGB (B, 3, H, W) to logits (B, C, h, w).
    `mean` and `std` are per channel, on the scale 0 to 255. `temperature` divides the logits of a prediction
    before the softmax; it is 1 unless the network has been calibrated.
    """

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.temperature = 1.0
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (B, 3, H, W), uint8 or float on the scale 0 to 255, to logits (B, C, h, w)."""
        normalised = (images.float() - self.mean) / self.std
        logits: Tensor = self.model(normalised.contiguous(memory_format=torch.channels_last))
        return logits


def check_network(network: Network, number_of_classes: int, name: str) -> None:
    """Send a small image through a user's own network and check what comes out.

    Raises:
        InputError: the network fails, or gives no float tensor of (1, number_of_classes, h, w).
    """
    expected = f"expected floating-point logits of (1, {number_of_classes}, h, w)"
    try:
        with torch.inference_mode():
            logits = network.eval()(torch.zeros(1, 3, 96, 160, dtype=torch.uint8))
    # Show the user whatever their code raises.
    except Exception as error:
        raise InputError(
            f"network.name: the network of {name} fails on an image of 160 × 96 pixels: {error!r}; {expected}"
        ) from error
    finally:
        network.train()
    if not isinstance(logits, Tensor):
        raise InputError(f"network.name: the network of {name} gives {type(logits).__name__}; {expected}")
    if logits.ndim != 4 or logits.shape[:2] != (1, number_of_classes) or not logits.is_floating_point():
        raise InputError(
            f"network.name: the network of {name} gives {logits.dtype} of {tuple(logits.shape)} for an image "
            f"of 160 × 96 pixels; {expected}"
        )
