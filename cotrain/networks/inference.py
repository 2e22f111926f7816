"""From images to class and confidence per pixel."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cotrain.adaptation.thresholds import HIGHEST_LEVEL
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.images import read_image, read_label
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item, check_listed_size
from cotrain.data.masks import EgoVehicleMask
from cotrain.devices import autocast
from cotrain.errors import InputError
from cotrain.networks.network import Network
from cotrain.randomness import generator

BATCHES_AHEAD = 2

# Classes and confidence levels of a batch.
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint16]]


@dataclass(frozen=True)
class Prediction:
    """Classes (H, W) uint8 and confidences (H, W) uint16, linear in [0, 1], of one image."""

    item: Item
    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    levels: NDArray[np.uint16]


def batches_of_one_size(items: Sequence[Item], batch_size: int) -> list[list[Item]]:
    """Return the items in order, in batches of at most `batch_size` images of equal size.

    Kernels round differently for batches of other sizes, and may do so at another place in the batch. So
    whoever predicts only a part of a set composes the batches of the whole set, and takes some of these.
    """
    batches: list[list[Item]] = []
    for item in items:
        last = batches[-1] if batches else []
        if last and len(last) < batch_size and (item.width, item.height) == (last[0].width, last[0].height):
            last.append(item)
        else:
            batches.append([item])
    return batches


def predict(
    networks: Sequence[Network],
    batches: Iterable[Sequence[Item]],
    settings: InferenceSettings,
    device: torch.device,
    threads: int = 1,
    read: Callable[[Path], NDArray[np.uint8]] = read_image,
    refused: Callable[[Item, InputError], None] | None = None,
    done: Collection[str] = (),
    factors: NDArray[np.float32] | None = None,
) -> Iterator[Prediction]:
    """Yield the prediction of every item, in order. The next images are decoded at the same time.

    Logits are upsampled to the image's size before the softmax, as in the published method. The probabilities
    of several networks are averaged. An image that is left out leaves its place in the batch black, so that
    the predictions of the others stay the same.

    Args:
        networks: networks of one label space.
        batches: the images, as `batches_of_one_size` composes them.
        settings: how images go through the networks.
        device: where the networks compute.
        threads: how many images are decoded at the same time.
        read: decodes an image, in a thread.
        refused: is called for an image that cannot be read, which is then left out; None raises the error.
        done: ids of images that are left out because they were predicted before.
        factors: see `start_prediction`.
    """
    for network in networks:
        network.to(device).eval()
    left = (batch for batch in batches if any(item.id not in done for item in batch))
    ahead = max(BATCHES_AHEAD, 1 + threads // settings.batch_size)
    with ThreadPoolExecutor(threads) as pool:

        def decode(batch: Sequence[Item]) -> dict[int, Future[NDArray[np.uint8]]]:
            return {
                place: pool.submit(read, item.image)
                for place, item in enumerate(batch)
                if item.id not in done
            }

        queue = [(batch, decode(batch)) for batch in islice(left, ahead)]
        # While a GPU computes a batch, the next is prepared and started.
        under_way = 1 if device.type == "cuda" else 0
        computing: deque[tuple[Sequence[Item], list[int], NDArray[np.uint8], Callable[[], Arrays]]] = deque()
        while queue:
            batch, futures = queue.pop(0)
            queue += [(following, decode(following)) for following in islice(left, 1)]
            size = (len(batch), batch[0].height, batch[0].width, 3)
            images = torch.zeros(size, dtype=torch.uint8, pin_memory=device.type == "cuda").numpy()
            places = []
            for place, future in futures.items():
                try:
                    images[place] = _of_listed_size(future.result(), batch[place])
                    places.append(place)
                except InputError as error:
                    if refused is None:
                        raise
                    refused(batch[place], error)
            if not places:
                continue
            finish = start_prediction(networks, images, settings, device, factors)
            computing.append((batch, places, images, finish))
            if len(computing) > under_way:
                yield from _finished(*computing.popleft())
        for started in computing:
            yield from _finished(*started)


def _of_listed_size(image: NDArray[np.uint8], item: Item) -> NDArray[np.uint8]:
    check_listed_size(item, *image.shape[:2])
    return image


def _finished(
    batch: Sequence[Item],
    places: Sequence[int],
    images: NDArray[np.uint8],
    finish: Callable[[], Arrays],
) -> Iterator[Prediction]:
    """Wait for the prediction of a batch, and yield those at `places`."""
    classes, levels = finish()
    for i in places:
        yield Prediction(batch[i], images[i], classes[i], levels[i])


def predict_images(
    networks: Sequence[Network],
    images: NDArray[np.uint8],
    settings: InferenceSettings,
    device: torch.device,
) -> Arrays:
    """Return classes uint8 and confidence levels uint16, both (B, H, W), of images (B, H, W, 3) uint8."""
    return start_prediction(networks, images, settings, device)()


@torch.inference_mode()
def start_prediction(
    networks: Sequence[Network],
    images: NDArray[np.uint8],
    settings: InferenceSettings,
    device: torch.device,
    factors: NDArray[np.float32] | None = None,
) -> Callable[[], Arrays]:
    """Start what `predict_images` does, and return what waits for it and gives its result.

    `factors` (C,) multiply the probabilities of the classes, which are then divided by their sum.
    """
    x: Tensor = torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)
    of_classes = probabilities(networks, x, settings)
    if factors is not None:
        of_classes *= torch.from_numpy(factors).to(device)[:, None, None]
        of_classes /= of_classes.sum(1, keepdim=True)
    confidences, classes = of_classes.max(1)
    levels = (confidences * HIGHEST_LEVEL).round().to(torch.int32).to(torch.uint16)
    results = [tensor.to("cpu", non_blocking=True) for tensor in (classes.to(torch.uint8), levels)]
    copied = torch.cuda.Event() if device.type == "cuda" else None
    if copied:
        copied.record()

    def finish() -> Arrays:
        if copied:
            copied.synchronize()
        return results[0].numpy(), results[1].numpy()

    return finish


@torch.inference_mode()
def class_probabilities(
    networks: Sequence[Network], image: NDArray[np.uint8], settings: InferenceSettings, device: torch.device
) -> NDArray[np.float32]:
    """Return (C, H, W) in [0, 1], the probability of each class at each pixel, of one image (H, W, 3) uint8.

    `predict_images` keeps only the largest of these: those of many images would fill memory and disk.
    """
    x = torch.from_numpy(image[None]).to(device).permute(0, 3, 1, 2)
    return probabilities(networks, x, settings)[0].cpu().numpy()


@torch.inference_mode()
def mean_probabilities(
    networks: Sequence[Network],
    items: Sequence[Item],
    settings: InferenceSettings,
    device: torch.device,
    mask: EgoVehicleMask,
) -> NDArray[np.float64]:
    """Return float64 (C,), the mean probability of each class over all pixels of images.

    Pixels of the own vehicle do not count. The images are predicted one by one.
    """
    total, pixels = torch.zeros((), dtype=torch.float64), 0
    for network in networks:
        network.to(device).eval()
    for item in items:
        image = _of_listed_size(read_image(item.image), item)
        x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
        seen = torch.ones(image.shape[:2], dtype=torch.bool)
        ignored = mask.of_size(*image.shape[:2])
        if ignored is not None:
            seen = torch.from_numpy(~ignored)
        total = total + probabilities(networks, x, settings)[0][:, seen.to(device)].sum(1).cpu().double()
        pixels += int(seen.sum())
    means: NDArray[np.float64] = (total / pixels).numpy()
    return means


@torch.inference_mode()
def labelled_logits(
    network: Network, item: Item, settings: InferenceSettings, device: torch.device, pixels: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return logits (M, C) and labels (M,) of at most `pixels` labelled pixels of an image, drawn by `seed`.

    The network sees the image once, at the size of predictions; with a `window`, it sees only one window,
    which is drawn too.
    Raises InputError when the label has another size or holds an id that is no class of the network.
    """
    assert item.label is not None
    draw = generator(seed, "labelled logits", item.id)
    image, label = _of_listed_size(read_image(item.image), item), read_label(item.label)
    if label.shape != image.shape[:2]:
        raise InputError(
            f"{item.label}: is {label.shape} (height, width), its image {image.shape[:2]}; expected one size"
        )
    view = torch.from_numpy(image).to(device).permute(2, 0, 1)[None]
    label_view = torch.from_numpy(label)[None, None]
    size = size_in_network((view.shape[2], view.shape[3]), settings)
    if size != label.shape:
        view = _resized(view.float(), size, antialias=True)
        label_view = F.interpolate(label_view, size, mode="nearest-exact")
    if settings.window:
        height, width = (min(*sizes) for sizes in zip(settings.window, view.shape[2:], strict=True))
        top, left = (
            int(draw.integers(length - part + 1))
            for length, part in zip(view.shape[2:], (height, width), strict=True)
        )
        view, label_view = (x[:, :, top : top + height, left : left + width] for x in (view, label_view))
    logits = _resized(_logits(network, view, settings), (view.shape[2], view.shape[3]))[0].flatten(1)
    labels = label_view.numpy().ravel()
    labelled = np.flatnonzero(labels != IGNORE)
    selection = draw.choice(labelled, min(pixels, labelled.size), replace=False, shuffle=False)
    ids = labels[selection]
    unknown = ids[ids >= len(logits)]
    if unknown.size:
        raise InputError(
            f"{item.label}: holds class id {unknown[0]}, but the network has {len(logits)} classes; "
            "expected weights of the labels' label space"
        )
    return logits[:, torch.from_numpy(selection).to(device)].T.cpu().numpy(), ids


def size_in_network(size: tuple[int, int], settings: InferenceSettings) -> tuple[int, int]:
    """Return the (height, width) at which an image of `size` enters the network, before `scales`."""
    if settings.resize:
        return settings.resize
    if settings.short_side is None:
        return size
    scale = settings.short_side / min(size)
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def probabilities(networks: Sequence[Network], images: Tensor, settings: InferenceSettings) -> Tensor:
    """Return (B, C, H, W) of images (B, 3, H, W) uint8: the mean over all scales, mirrorings and networks."""
    size = (images.shape[2], images.shape[3])
    base = size_in_network(size, settings)
    total: Tensor | None = None
    for scale in settings.scales:
        scaled = (max(1, round(scale * base[0])), max(1, round(scale * base[1])))
        view = images if scaled == size else _resized(images.float(), scaled, antialias=True)
        for mirrored in (False, True)[: 1 + settings.flip]:
            for network in networks:
                prediction = _of_view(network, view.flip(3) if mirrored else view, size, settings)
                prediction = prediction.flip(3) if mirrored else prediction
                total = prediction if total is None else total + prediction
    assert total is not None
    return total / (len(settings.scales) * (1 + settings.flip) * len(networks))


def _of_view(network: Network, view: Tensor, size: tuple[int, int], settings: InferenceSettings) -> Tensor:
    """Return the probabilities of one view of the images, brought to `size`."""
    height, width = view.shape[2:]
    if settings.window is None or (height <= settings.window[0] and width <= settings.window[1]):
        # The logits are scaled up, not the probabilities (as published).
        return _resized(_logits(network, view, settings), size).softmax(1)
    total: Tensor | None = None
    for top, bottom in intervals(height, settings.window[0]):
        for left, right in intervals(width, settings.window[1]):
            window = view[:, :, top:bottom, left:right]
            prediction = _resized(_logits(network, window, settings), (bottom - top, right - left)).softmax(1)
            if total is None:
                total = prediction.new_zeros(len(view), prediction.shape[1], height, width)
            total[:, :, top:bottom, left:right] += prediction
    assert total is not None
    # Where windows overlap, several were added: the sum over the classes is their number.
    return _resized(total / total.sum(1, keepdim=True), size)


def intervals(length: int, window: int) -> list[tuple[int, int]]:
    """Return (start, end) of windows that cover `length` pixels; they overlap by at least a third."""
    if length <= window:
        return [(0, length)]
    step = max(1, 2 * window // 3)
    number = -(-(length - window) // step) + 1
    starts = [round(index * (length - window) / (number - 1)) for index in range(number)]
    return [(start, start + window) for start in starts]


def _logits(network: Network, images: Tensor, settings: InferenceSettings) -> Tensor:
    with autocast(images.device, settings.precision):
        return network(images).float() / network.temperature


def _resized(x: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=antialias)
