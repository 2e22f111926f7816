"""Which images come next: the subsets of rounds and cycles, and the samplers of training.

Everything here is a pure function of a seed and a position, so a resumed run draws what an uninterrupted
one would have drawn. Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotrain.errors import InputError
from cotrain.randomness import generator

# Draws of the rare-class sampler are made this many at a time: one at a time costs 20 times as much.
DRAWS_IN_BLOCK = 4096


def self_training_subset_seed(seed: int, round_number: int) -> int:
    """Return the seed of a self-training round's subset: seed + 0 + 1 + … + round.

    The sequence of the published code (100, 101, 103, 106, …), which adds the round to a running seed and
    so draws other subsets after a restart.
    """
    return seed + round_number * (round_number + 1) // 2


def co_training_subset_seed(seed: int, cycle: int) -> int:
    """Return the seed of a co-training cycle's subset, as in the published code: seed + cycle."""
    return seed + cycle


def choose_subset(paths: Sequence[str], number: int, seed: int, every: int = 1) -> NDArray[np.int64]:
    """Return int64 (M,): indices into `paths` of the images that are labelled in a round or cycle.

    The paths are sorted, every `every`-th is kept, and `number` of them are drawn without repetition. With
    `every` = 1 they are exactly `random.Random(seed).sample(sorted(paths), number)`, the published draw. A
    `number` of -1, or of all there are or more, gives all of them in sorted order. Where `every` > 1 begins
    depends on the seed, so that rounds cover different images; the published code draws it unseeded.
    """
    order = sorted(range(len(paths)), key=paths.__getitem__)
    start = int(generator(seed, "first of every").integers(every))
    order = order[start::every]
    if 0 <= number < len(order):
        order = random.Random(seed).sample(order, number)
    return np.array(order, dtype=np.int64)


def class_probabilities(pixel_counts: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """Return float64 (C,): how often each class is drawn by rare-class sampling; they sum to 1.

    `pixel_counts` is int64 (C,) over the whole source. The probabilities are the softmax of (1 − f) /
    `temperature` over the classes present, with f a class's share of all pixels; absent classes get 0.
    Raises InputError when no class has a pixel.
    """
    present = pixel_counts > 0
    if not present.any():
        raise InputError("rare-class sampling: the source labels hold no pixel of any class")
    exponents = np.where(present, (1 - pixel_counts / pixel_counts.sum()) / temperature, -np.inf)
    weights = np.exp(exponents - exponents.max())
    return weights / weights.sum()


class ShuffledSampler:
    """Endless passes over all images, each pass in an order of its own.

    `stream` tells apart samplers that share a seed: without it, source and target sets of equal size would
    be paired the same way in every pass.
    """

    def __init__(self, number_of_images: int, seed: int, stream: str = "") -> None:
        if number_of_images < 1:
            raise InputError("there is no image to train on")
        self.number_of_images, self.seed, self.stream = number_of_images, seed, stream
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def index(self, position: int) -> int:
        """Return the image, in [0, N), at `position` of the endless sequence; a pure function of it."""
        number_of_pass, place = divmod(position, self.number_of_images)
        latest = self._latest
        if latest is None or latest[0] != number_of_pass:
            draw = generator(self.seed, "shuffled", self.stream, number_of_pass)
            # One assignment of pass and order together, so that threads can share the sampler.
            self._latest = latest = (number_of_pass, draw.permutation(self.number_of_images))
        return int(latest[1][place])


class RareClassSampler:
    """Draws a class, rare ones more often, and then an image that holds it.

    Rare-class sampling ("CB") of the published method, there made as one list before training.
    `counts` is int64 (N, C), pixels per image and class. An image can stand for a class of which it holds
    more than `min_pixels`; a class that is present but nowhere to that extent is represented by all images
    that hold it (the published code stops). Raises InputError when no class has a pixel.
    """

    def __init__(
        self, counts: NDArray[np.int64], min_pixels: int, temperature: float, seed: int, stream: str = ""
    ) -> None:
        self.seed, self.stream = seed, stream
        cumulative = class_probabilities(counts.sum(axis=0), temperature).cumsum()
        self.cumulative = cumulative / cumulative[-1]
        enough = counts > min_pixels
        holds = np.where(enough.any(axis=0), enough, counts > 0).T
        # All classes' images one after the other, with where each class begins and how many it has.
        self.candidates = np.nonzero(holds)[1]
        self.number_of_candidates = holds.sum(axis=1)
        self.begins = self.number_of_candidates.cumsum() - self.number_of_candidates
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def index(self, position: int) -> int:
        """Return the image, in [0, N), at `position` of the endless sequence; a pure function of it."""
        block, place = divmod(position, DRAWS_IN_BLOCK)
        latest = self._latest
        if latest is None or latest[0] != block:
            self._latest = latest = (block, self._draw(block))
        return int(latest[1][place])

    def _draw(self, block: int) -> NDArray[np.int64]:
        which_class, which_image = generator(self.seed, "rare class", self.stream, block).random(
            (2, DRAWS_IN_BLOCK)
        )
        # To the right of equal values: a class of probability 0 is an empty interval and never met.
        classes = np.searchsorted(self.cumulative, which_class, side="right")
        chosen = (which_image * self.number_of_candidates[classes]).astype(np.int64)
        return self.candidates[self.begins[classes] + chosen]
