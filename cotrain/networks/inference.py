"""From images to class and confidence per pixel."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cotrain.adaptation.thresholds import LEVELS
from cotrain.data.images import read_image
from cotrain.data.manifests import Item
from cotrain.devices import autocast
from cotrain.errors import InputError
from cotrain.networks.network import Network

# Enough to keep a GPU fed with decoded frames; on a CPU they merely wait.
DECODING_THREADS = 4
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class InferenceSettings:
    """How images go through the network.

    `resize` is (height, width) or None for the image's own size; predictions always come back at the
    image's own size.
    """

    batch_size: int
    resize: tuple[int, int] | None
    precision: str

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], precision: str) -> "InferenceSettings":
        """Make settings from the `prediction` section of the configuration."""
        resize = mapping["resize"]
        return cls(mapping["batch_size"], tuple(resize) if resize else None, precision)


@dataclass(frozen=True)
class Prediction:
    """Classes (H, W) uint8 and confidences (H, W) uint16, linear in [0, 1], of one image."""

    item: Item
    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    levels: NDArray[np.uint16]


def batches_of_one_size(items: Sequence[Item], batch_size: int) -> Iterator[list[Item]]:
    """Yield the items in order, in batches of at most `batch_size` images of equal size."""
    batch: list[Item] = []
    for item in items:
        if batch and (
            len(batch) == batch_size or (item.width, item.height) != (batch[0].width, batch[0].height)
        ):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def predict(
    network: Network, items: Sequence[Item], settings: InferenceSettings, device: torch.device
) -> Iterator[Prediction]:
    """Yield the prediction of every item, in order; the next images are decoded meanwhile.

    Logits are upsampled to the image's size before the softmax, as in the published method.
    """
    network.to(device).eval()
    waiting = iter(batches_of_one_size(items, settings.batch_size))
    with ThreadPoolExecutor(DECODING_THREADS) as pool:

        def decoded(batch: list[Item]) -> tuple[list[Item], list[Future[NDArray[np.uint8]]]]:
            return batch, [pool.submit(read_image, item.image) for item in batch]

        coming = [decoded(batch) for batch in islice(waiting, BATCHES_AHEAD)]
        while coming:
            batch, futures = coming.pop(0)
            coming += [decoded(following) for following in islice(waiting, 1)]
            images = np.stack([_of_listed_size(f.result(), i) for f, i in zip(futures, batch, strict=True)])
            classes, levels = _predict_batch(network, images, settings, device)
            for index, item in enumerate(batch):
                yield Prediction(item, images[index], classes[index], levels[index])


def _of_listed_size(image: NDArray[np.uint8], item: Item) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if (width, height) != (item.width, item.height):
        raise InputError(
            f"{item.image}: is {width} × {height} pixels, its manifest says {item.width} × {item.height}; "
            "was the image replaced after the manifest was made?"
        )
    return image


@torch.inference_mode()
def _predict_batch(
    network: Network, images: NDArray[np.uint8], settings: InferenceSettings, device: torch.device
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return classes uint8 and confidence levels uint16, both (B, H, W), of images (B, H, W, 3) uint8."""
    height, width = images.shape[1:3]
    x: Tensor = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    if settings.resize:
        x = F.interpolate(x.float(), settings.resize, mode="bilinear", align_corners=False, antialias=True)
    with autocast(device, settings.precision):
        logits = network(x)
    logits = F.interpolate(logits.float(), (height, width), mode="bilinear", align_corners=False)
    confidences, classes = logits.softmax(1).max(1)
    levels = (confidences * (LEVELS - 1)).round().to(torch.int32)
    return classes.to(torch.uint8).cpu().numpy(), levels.cpu().numpy().astype(np.uint16)
