"""What a job needs: memory, time and disk, for schedulers that grant no more than a job has asked for.

The constants are measured (docs/clusters.md says how) and hold a factor of safety of about two for memory and
of three for time, so that a job hardly ever exceeds what it has asked for. A retry asks for more.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from cotrain.data.json_files import Record, read_record
from cotrain.data.network_sizes import NetworkSize

Count = Annotated[int, Meta(ge=0)]


class Images(NamedTuple):
    """A set of images: how many, pixels of the largest, pixels of all."""

    number: int
    largest: int
    total: int

    def part(self, number: float) -> "Images":
        """Return about so many of these images."""
        number = min(number, self.number)
        return Images(round(number), self.largest, round(self.total * number / max(self.number, 1)))


class Needs(NamedTuple):
    """What a job needs at most: memory and disk in MB (10⁶ bytes), time in minutes."""

    memory: int
    minutes: int
    disk: int


# Of a set that nobody has looked at yet.
UNKNOWN = Images(25_000, 8_000_000, 25_000 * 2_000_000)
# The largest published network for which a run is likely, where none has been built yet: the paper's.
LARGE_NETWORK = NetworkSize(
    parameters=60_000_000,
    tensors=700,
    bytes=240_000_000,
    operations_a_pixel=730_000,
    saved_bytes_a_pixel=3_700,
)

MB = 1_000_000
# A Python process with NumPy and OpenCV; with PyTorch; with PyTorch and a GPU, whose driver and kernels take
# memory of the host.
PROCESS, WITH_TORCH, WITH_GPU = 500 * MB, 1_800 * MB, 6_000 * MB
# Lists of images, and what a step notes of each.
BYTES_AN_IMAGE = 4_000
# A decoded image, its label, and the copies that a step makes of them; one image a thread.
BYTES_A_PIXEL_AT_WORK = 60
# Start of a job: imports from a file system that many share, and a GPU that wakes up.
START_MINUTES = 10
# Reading, decoding, working on and writing an image, on one core.
SECONDS_A_MEGAPIXEL = 0.3
SECONDS_AN_IMAGE = 0.01
SECONDS_TO_RENDER = 1.0
# Operations a second: of one core, and of a GPU. The paper's network makes 5·10¹³ on an H200 and the demo's
# 6·10¹⁰ on two cores.
SPEED_OF_A_CORE = 8e9
SPEED_OF_A_GPU = 1.2e13
# A small network waits for Python.
LEAST_SECONDS_AN_ITERATION = 0.1
# The backward pass takes twice as long as the forward pass.
PASSES_OF_A_STEP = 3
# Of a parameter: itself, gradient, two moments of AdamW, average; and the copies of them that are saved.
BYTES_A_PARAMETER = 4 * 5 * 2


class _Check(Record, frozen=True):
    """What is read of the report of `check_data`."""

    sizes: dict[str, Count]


def images_of_check(path: Path) -> Images | None:
    """Return the images that `check_data` found; None where it has not run."""
    if not path.exists():
        return None
    sizes = read_record(path, _Check, "the report of a check", "what check_data wrote").sizes
    pixels = {size: int(width) * int(height) for size in sizes for width, height in [size.split("x")]}
    return Images(
        sum(sizes.values()),
        max(pixels.values(), default=0),
        sum(pixels[size] * number for size, number in sizes.items()),
    )


def of_lists(images: int = UNKNOWN.number) -> Needs:
    """Return the needs of a step that reads and writes lists of so many images, and opens none of them."""
    return _needs(PROCESS + images * BYTES_AN_IMAGE, images * SECONDS_AN_IMAGE, images * 500)


def of_images(images: Images, threads: int, written: float = 0.0, processes: bool = False) -> Needs:
    """Return the needs of a step that works on images, one a thread, and writes so many bytes a pixel.

    `processes` are not threads: each has memory of its own, and renders.
    """
    memory = PROCESS * (1 + threads * processes) + images.number * BYTES_AN_IMAGE
    seconds = images.number * (SECONDS_AN_IMAGE + SECONDS_TO_RENDER * processes)
    seconds += images.total / MB * SECONDS_A_MEGAPIXEL
    return _needs(
        memory + threads * images.largest * BYTES_A_PIXEL_AT_WORK, seconds / threads, images.total * written
    )


def of_prediction(
    size: NetworkSize,
    images: Images,
    classes: int,
    batch_size: int,
    views: float,
    threads: int,
    has_gpu: bool,
) -> Needs:
    """Return the needs of a step that sends images through networks.

    Args:
        size: of the largest of the networks.
        images: what is predicted.
        classes: number of classes.
        batch_size: images at a time.
        views: how often the pixels of an image go through a network: scales, mirrorings, networks.
        threads: CPU threads.
        has_gpu: whether the network computes on a GPU.
    """
    # Probabilities of all classes at full size, several times; without a gradient, the network keeps a few
    # feature maps at a time.
    at_work = 0 if has_gpu else 4 * 4 * classes + size.saved_bytes_a_pixel / 4
    memory = float(_base(has_gpu) + images.number * BYTES_AN_IMAGE + 8 * size.parameters)
    memory += images.largest * batch_size * (at_work + BYTES_A_PIXEL_AT_WORK)
    seconds = views * images.total * size.operations_a_pixel / _speed(threads, has_gpu)
    seconds += images.number * SECONDS_AN_IMAGE + images.total / MB * SECONDS_A_MEGAPIXEL
    return _needs(memory, seconds, images.total * 2.5)


def of_training(
    size: NetworkSize,
    iterations: int,
    batch_size: int,
    crop: tuple[int, int],
    classes: int,
    frame: int,
    images: int,
    threads: int,
    processes: int,
    has_gpu: bool,
) -> Needs:
    """Return the needs of a training.

    Args:
        size: of the network.
        iterations: how many it makes.
        batch_size: images of a batch, of all processes.
        crop: height and width.
        classes: number of classes.
        frame: pixels of the largest image that crops are cut from.
        images: number of images that are listed.
        threads: CPU threads of all processes.
        processes: that share each batch.
        has_gpu: whether the network computes on GPUs.
    """
    pixels = batch_size * crop[0] * crop[1]
    # Logits of all classes at full size: values, gradients, the softmax and a copy.
    at_work = 0 if has_gpu else 2 * size.saved_bytes_a_pixel + 4 * 4 * classes
    memory = processes * (_base(has_gpu) + images * BYTES_AN_IMAGE + BYTES_A_PARAMETER * size.parameters)
    memory += pixels * at_work + threads * (frame + pixels) * BYTES_A_PIXEL_AT_WORK
    operations = PASSES_OF_A_STEP * size.operations_a_pixel * pixels
    seconds = operations / (processes * _speed(threads / processes, has_gpu))
    return _needs(
        memory,
        iterations * max(LEAST_SECONDS_AN_ITERATION, seconds),
        # Weights, their average, and two saves of all that changes.
        4 * size.parameters * (2 + 2 * 4),
    )


def _base(has_gpu: bool) -> int:
    return WITH_GPU if has_gpu else WITH_TORCH


def _speed(threads: float, has_gpu: bool) -> float:
    return SPEED_OF_A_GPU if has_gpu else SPEED_OF_A_CORE * threads


def _needs(memory: float, seconds: float, disk: float) -> Needs:
    return Needs(round(memory / MB), START_MINUTES + round(seconds / 60), 100 + round(disk / MB))
