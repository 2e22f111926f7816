"""Choice of images: the subsets of rounds and cycles, and the samplers of training.

Everything here is a pure function of a seed and a position, so a resumed run draws the same images as an
uninterrupted one. Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotrain.errors import InputError
from cotrain.randomness import generator

# The rare-class sampler makes so many draws at a time; single draws take 20 times as long.
DRAWS_IN_BLOCK = 4096
# Of an image's pixels: with fewer, rare-class sampling does not draw it for a class. Published are 3000
# pixels of GTA5's 1914×1052.
SHARE_OF_A_RARE_CLASS = 0.0015


def self_training_subset_seed(seed: int, round_number: int) -> int:
    """Return the seed of a self-training round's subset: seed + 0 + 1 + … + round.

    This is the sequence of the published code (100, 101, 103, 106, …). The published code adds the round to a
    running seed, and so draws other subsets after a restart.
    """
    return seed + round_number * (round_number + 1) // 2


def co_training_subset_seed(seed: int, cycle: int) -> int:
    """Return the seed of a co-training cycle's subset: seed + cycle, as in the published code."""
    return seed + cycle


def choose_subset(paths: Sequence[str], number: int, seed: int, every: int = 1) -> NDArray[np.int64]:
    """Return int64 (M,): indices into `paths` of the images that are labelled in a round or cycle.

    The paths are sorted, every `every`-th is kept, and `number` of them are drawn without repetition. With
    `every` = 1 the draw is exactly `random.Random(seed).sample(sorted(paths), number)`, the published draw.
    If `number` is -1, or not less than the number of kept paths, all of them are returned in sorted order.
    With `every` > 1, the first kept path depends on the seed, so that rounds cover different images; the
    published code draws it without a seed.
    """
    order = sorted(range(len(paths)), key=paths.__getitem__)
    start = int(generator(seed, "first of every").integers(every))
    order = order[start::every]
    if 0 <= number < len(order):
        order = random.Random(seed).sample(order, number)
    return np.array(order, dtype=np.int64)


def spread_sample(number_of_images: int, number: int, seed: int) -> NDArray[np.int64]:
    """Return int64 (M,): the places of a few images that stand for a whole list, M = `number` or all of them.

    The list is cut into M parts of equal length, and one image is drawn from each. The order is such that the
    first few of the sample are spread over the list too: first part, middle, quarters, and so on.
    """
    number = min(number, number_of_images)
    bounds = np.arange(number + 1) * number_of_images // max(number, 1)
    drawn = generator(seed, "sample").integers(bounds[:-1], bounds[1:])
    bits = max(number - 1, 0).bit_length()
    # The places of a van der Corput sequence: the bits of each number in reverse.
    order = sorted(range(number), key=lambda part: f"{part:0{bits}b}"[::-1])
    return drawn[order].astype(np.int64)


def class_probabilities(pixel_counts: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """Return float64 (C,): the probability that rare-class sampling draws each class; they sum to 1.

    `pixel_counts` int64 (C,) are the pixels of each class in the whole source. The probabilities are the
    softmax of (1 − f) / `temperature` over the classes that occur, where f is the share of a class in all
    pixels; absent classes get 0. Raises InputError if no class has a pixel.
    """
    present = pixel_counts > 0
    if not present.any():
        raise InputError(
            "rare-class sampling: found no pixel of any class in the source labels; "
            "check the class table and the label space of the source"
        )
    exponents = np.where(present, (1 - pixel_counts / pixel_counts.sum()) / temperature, -np.inf)
    weights = np.exp(exponents - exponents.max())
    return weights / weights.sum()


def rare_class_sampling_key(pixels_of_an_image: float) -> str:
    """Return the line of a configuration that turns on rare-class sampling for source images of this size.

    The published `min_pixels`, which is the default, is more than small images ever have of a rare class.
    """
    # Two digits that count.
    min_pixels = round(float(f"{SHARE_OF_A_RARE_CLASS * pixels_of_an_image:.2g}"))
    return f"training.rare_class_sampling: {{enabled: true, min_pixels: {min_pixels}}}"


class ShuffledSampler:
    """Endless passes over all images, with a different order in each pass.

    `stream` distinguishes samplers with the same seed: without it, source and target sets of equal size would
    be paired in the same way in every pass.
    """

    def __init__(self, number_of_images: int, seed: int, stream: str = "") -> None:
        if number_of_images < 1:
            raise InputError("found no image to train on, expected 1 or more")
        self.number_of_images, self.seed, self.stream = number_of_images, seed, stream
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def index(self, position: int) -> int:
        """Return the index, in [0, N), of the image at `position` of the endless sequence."""
        number_of_pass, place = divmod(position, self.number_of_images)
        latest = self._latest
        if latest is None or latest[0] != number_of_pass:
            rng = generator(self.seed, "shuffled", self.stream, number_of_pass)
            # Pass and order are assigned together, so that threads can share the sampler.
            self._latest = latest = (number_of_pass, rng.permutation(self.number_of_images))
        return int(latest[1][place])


class RareClassSampler:
    """Draws a class, rare classes more often, and then an image that holds it.

    This is the rare-class sampling ("CB") of the published method, which draws one list before training.
    `counts` int64 (N, C) are the pixels per image and class. An image can be drawn for a class if it holds
    more than `min_pixels` of it. If no image does, it is drawn from all images that hold the class (the
    published code stops). Raises InputError if no class has a pixel.
    """

    def __init__(self, counts: NDArray[np.int64], min_pixels: int, temperature: float, seed: int) -> None:
        self.seed = seed
        cumulative = class_probabilities(counts.sum(axis=0), temperature).cumsum()
        self.cumulative = cumulative / cumulative[-1]
        enough = counts > min_pixels
        holds = np.where(enough.any(axis=0), enough, counts > 0).T
        # The images of all classes, one class after the other; where each class begins, and how many it has.
        self.candidates = np.nonzero(holds)[1]
        self.number_of_candidates = holds.sum(axis=1)
        self.begins = self.number_of_candidates.cumsum() - self.number_of_candidates
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def index(self, position: int) -> int:
        """Return the index, in [0, N), of the image at `position` of the endless sequence."""
        block, place = divmod(position, DRAWS_IN_BLOCK)
        latest = self._latest
        if latest is None or latest[0] != block:
            self._latest = latest = (block, self._draw(block))
        return int(latest[1][place])

    def _draw(self, block: int) -> NDArray[np.int64]:
        # The empty string is one of the keys: without it, the draws would change.
        rng = generator(self.seed, "rare class", "", block)
        class_draws, image_draws = rng.random((2, DRAWS_IN_BLOCK))
        # side="right": a class of probability 0 is an empty interval, which is never drawn.
        classes = np.searchsorted(self.cumulative, class_draws, side="right")
        places = (image_draws * self.number_of_candidates[classes]).astype(np.int64)
        return self.candidates[self.begins[classes] + places]
