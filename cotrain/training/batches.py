"""The input pipeline: which crops make the batch of an iteration.

A batch is a pure function of (seed, iteration): nothing is remembered between batches, so training
resumes at any iteration and any number of threads gives the same batches.
"""

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cotrain.adaptation.mixing import classes_on_demand, classes_plain, paste
from cotrain.adaptation.sampling import RareClassSampler, ShuffledSampler
from cotrain.configuration.choices import ClassMixing
from cotrain.configuration.sections import Augmentation, TrainingSettings
from cotrain.data.decoded import map_image
from cotrain.data.images import read_image, read_label
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item, check_listed_size
from cotrain.errors import InputError
from cotrain.randomness import generator, seed_of
from cotrain.training.augmentation import augment

Crop = tuple[NDArray[np.uint8], NDArray[np.uint8]]
# Images (B, H, W, 3) uint8 RGB and labels (B, H, W) uint8 of an iteration.
Batch = tuple[torch.Tensor, torch.Tensor]


class Sampler(Protocol):
    """An endless order of images."""

    def index(self, position: int) -> int:
        """Return the image at `position`."""


@dataclass(frozen=True)
class Samples:
    """One set of labelled images and the way crops are taken from it; labels hold train ids.

    `crop_size` is (height, width) in pixels. `decoded` says which images are kept decoded, and in which file.
    """

    name: str
    items: Sequence[Item]
    number_of_classes: int
    sampler: Sampler
    augmentation: Augmentation
    crop_size: tuple[int, int]
    seed: int
    decoded: Mapping[Path, Path] = field(default_factory=dict)

    def crop(self, position: int) -> Crop:
        """Return the crop at `position` of the set's endless order; InputError if it holds other ids."""
        item = self.items[self.sampler.index(position)]
        assert item.label is not None
        rng = generator(self.seed, self.name, position)
        decoded = self.decoded.get(item.image)
        image = map_image(decoded, item) if decoded else read_image(item.image)
        check_listed_size(item, *image.shape[:2])
        crop = augment(image, read_label(item.label), self.augmentation, self.crop_size, rng)
        is_known = (crop[1] < self.number_of_classes) | (crop[1] == IGNORE)
        if not is_known.all():
            raise InputError(
                f"{item.label}: holds id {crop[1][~is_known][0]}, expected train ids 0 to "
                f"{self.number_of_classes - 1} and {IGNORE} (void); the step convert_labels makes them"
            )
        return crop


def loader_threads(threads: int, device_type: str) -> int:
    """Return how many of a training's threads prepare batches.

    Beside a GPU, threads have only crops to prepare. On a CPU, the network needs most of the cores itself.
    """
    return threads if device_type != "cpu" else max(1, threads // 2)


@dataclass(frozen=True)
class Batches:
    """Mixes source and target crops into batches (as published).

    Args:
        source: the labelled source.
        target: pseudo-labelled target images, or None to train only on the source.
        ratio: numbers of source and target crops in a batch; (batch size, 0) without a target.
        class_mixing: "none", "plain" (half of a donor's classes at random) or "on_demand" (those that the
            model is least sure of on the target). Donors are further source crops, one a target crop.
        thresholds: (C,) confidence thresholds of this round, for "on_demand".
        seed: decides every draw.
    """

    source: Samples
    target: Samples | None
    ratio: tuple[int, int]
    class_mixing: ClassMixing
    thresholds: NDArray[np.uint16] | None
    seed: int

    def batch(self, iteration: int, slots: Sequence[int] | None = None) -> Crop:
        """Return images (B, H, W, 3) uint8 RGB and labels (B, H, W) uint8 of one iteration.

        With `slots`, only these places of the batch are returned. Source crops come first, then target crops.
        """
        places = range(sum(self.ratio)) if slots is None else slots
        crops = [self._crop(iteration, slot) for slot in places]
        return np.stack([image for image, _ in crops]), np.stack([label for _, label in crops])

    def _crop(self, iteration: int, slot: int) -> Crop:
        of_source, of_target = self.ratio
        is_mixed = self.class_mixing != "none"
        drawn = of_source + (of_target if is_mixed else 0)
        if self.target is None or slot < of_source:
            return self.source.crop(iteration * drawn + slot)
        target = self.target.crop(iteration * of_target + slot - of_source)
        if not is_mixed:
            return target
        donor = self.source.crop(iteration * drawn + slot)
        rng = generator(self.seed, "class mixing", iteration, slot - of_source)
        return self._mixed(donor, target, rng)

    def _mixed(self, donor: Crop, target: Crop, rng: np.random.Generator) -> Crop:
        if self.class_mixing == "on_demand":
            assert self.thresholds is not None
            classes = classes_on_demand(donor[1], self.thresholds)
        else:
            classes = classes_plain(donor[1], rng)
        return paste(donor[0], donor[1], target[0], target[1], classes)

    def _tensors(self, iteration: int, slots: Sequence[int] | None, pinned: bool) -> Batch:
        images, labels = map(torch.from_numpy, self.batch(iteration, slots))
        return (images.pin_memory(), labels.pin_memory()) if pinned else (images, labels)

    def stream(
        self,
        first: int,
        end: int,
        threads: int,
        slots: Sequence[int] | None = None,
        *,
        pinned: bool = False,
    ) -> Generator[Batch, None, None]:
        """Yield the batches of iterations `first` to `end` − 1 as tensors; `threads` prepare the coming ones.

        `pinned` memory reaches a GPU while that still computes. It is copied here, in the threads that have
        the time.
        """
        ahead = threads + 1
        coming: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
            try:
                for iteration in range(first, min(first + ahead, end)):
                    coming.append(pool.submit(self._tensors, iteration, slots, pinned))
                for iteration in range(first, end):
                    ready = coming.popleft().result()
                    if iteration + ahead < end:
                        coming.append(pool.submit(self._tensors, iteration + ahead, slots, pinned))
                    yield ready
            finally:
                for future in coming:
                    future.cancel()


def make_batches(
    settings: TrainingSettings,
    name: str,
    number_of_classes: int,
    source: Sequence[Item],
    target: Sequence[Item] | None = None,
    thresholds: NDArray[np.uint16] | None = None,
    class_counts: NDArray[np.int64] | None = None,
    decoded: Mapping[Path, Path] | None = None,
) -> Batches:
    """Return the batches of the training that `settings` describe.

    Args:
        settings: crops, augmentation, sampling, ratio and mixing.
        name: the model's name. Every model sees crops of its own; otherwise each round would repeat the
            source crops of the last.
        number_of_classes: train ids are below it.
        source: N labelled source images.
        target: (pseudo-)labelled target images; None to train only on the source.
        thresholds: (C,) levels of the target's pseudo-labels, for class mixing on demand.
        class_counts: (N, C) pixels of each class in each source image, for rare-class sampling.
        decoded: the files of images that are kept decoded.

    Raises:
        InputError: rare-class sampling lacks `class_counts`, or class mixing on demand lacks `thresholds`.
    """
    seed = seed_of(settings.seed, name)
    rare = settings.rare_class_sampling
    source_sampler: Sampler = ShuffledSampler(len(source), seed)
    if rare.enabled:
        if class_counts is None:
            raise InputError(
                f"{name}: rare_class_sampling needs --class-statistics, one file per source manifest"
            )
        source_sampler = RareClassSampler(class_counts, rare.min_pixels, rare.temperature, seed)
    if target and settings.class_mixing == "on_demand" and thresholds is None:
        raise InputError(
            f"{name}: class_mixing: on_demand needs --thresholds, the thresholds of the target's "
            "pseudo-labels. Without thresholds, set class_mixing to plain or none"
        )
    files = dict(decoded or {})
    source_samples = Samples(
        "source",
        source,
        number_of_classes,
        source_sampler,
        settings.source_augmentation,
        settings.crop,
        seed,
        files,
    )
    if not target:
        return Batches(source_samples, None, (settings.batch_size, 0), "none", None, seed)
    target_sampler = ShuffledSampler(len(target), seed, stream="target")
    if settings.batch_ratio is None:
        raise InputError(
            f"{name}: batch_ratio is missing, but the training has a target; expected [source, target]"
        )
    if sum(settings.batch_ratio) != settings.batch_size:
        raise InputError(
            f"{name}: batch_ratio adds up to {sum(settings.batch_ratio)}, expected batch_size, which is "
            f"{settings.batch_size}"
        )
    return Batches(
        source=source_samples,
        target=Samples(
            "target",
            target,
            number_of_classes,
            target_sampler,
            settings.target_augmentation,
            settings.crop,
            seed,
            files,
        ),
        ratio=settings.batch_ratio,
        class_mixing=settings.class_mixing,
        thresholds=thresholds,
        seed=seed,
    )
