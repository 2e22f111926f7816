"""The exchange between the two branches of co-training: pixels and images.

Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621, Algorithms 2 and 3.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.choices import Collaboration, Fill
from cotrain.configuration.names import Branch
from cotrain.data.label_spaces import IGNORE

FILL_MODES = get_args(Fill)
COLLABORATIONS = get_args(Collaboration)

# Whose label it is, and the index of the image.
Pick = tuple[Branch, int]


def fill(
    label_a: NDArray[np.uint8], label_b: NDArray[np.uint8], mode: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both branches' pseudo-labels of one image, uint8 (H, W), after each has filled its void pixels.

    A pixel that is void (255) in one label takes the class of the other label. If both hold a class and the
    classes differ, each branch keeps its own ("add") or both pixels become void ("subtract"). With "none",
    both labels stay as they are. Raises ValueError for another mode.
    """
    if mode not in FILL_MODES:
        raise ValueError(f"unknown fill {mode!r}, expected one of {FILL_MODES}")
    if mode == "none":
        return label_a, label_b
    # All bits of void are 1. So void "and" a class is the class, and a class "and" all ones stays the class.
    # This is four times as fast as a choice for each pixel.
    filled_a = label_a & (label_b | _all_bits(label_a != IGNORE))
    filled_b = label_b & (label_a | _all_bits(label_b != IGNORE))
    if mode == "subtract":
        # After filling, labels differ only where both branches held different classes.
        differ = _all_bits(filled_a != filled_b)
        filled_a |= differ
        filled_b |= differ
    return filled_a, filled_b


def _all_bits(where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 255 where true, 0 elsewhere."""
    return np.negative(where.view(np.uint8))


def exchange(
    order_a: Sequence[int] | NDArray[np.int64],
    order_b: Sequence[int] | NDArray[np.int64],
    number: int,
    mode: str,
) -> tuple[list[Pick], list[Pick]]:
    """Return the images on which branch a and branch b train: two lists of at most `number` (sender, image).

    `order_a` and `order_b` are the images that each branch offers, the best first. Modes: "exchange" gives
    each branch the first images of the other branch, with the other's labels (the published choice); "own"
    gives each branch its own first images; "both" gives int(number / 2) own images and the rest from the
    other branch. With "both", an image that both branches select is used once, with the own label, and the
    next image of the other branch takes the free place. Raises ValueError for another mode.
    """
    if mode not in COLLABORATIONS:
        raise ValueError(f"unknown collaboration {mode!r}, expected one of {COLLABORATIONS}")
    offered_a: list[Pick] = [("a", int(image)) for image in order_a]
    offered_b: list[Pick] = [("b", int(image)) for image in order_b]
    return _picks(offered_a, offered_b, number, mode), _picks(offered_b, offered_a, number, mode)


def _picks(own: list[Pick], other: list[Pick], number: int, mode: str) -> list[Pick]:
    number_of_own = {"exchange": 0, "own": number, "both": number // 2}[mode]
    picks = own[:number_of_own]
    if mode != "own":
        own_images = {image for _, image in picks}
        picks += [pick for pick in other if pick[1] not in own_images][: number - len(picks)]
    return picks
