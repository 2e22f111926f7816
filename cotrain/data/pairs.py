"""Pairs of images: image i of one list shows the scene of image i of another."""

from collections.abc import Sequence
from pathlib import Path

from cotrain.data.manifests import Item
from cotrain.errors import InputError


def check_pairs(
    items: Sequence[Item], pairs: Sequence[Item], manifests: tuple[Path, Path], one_size: bool
) -> None:
    """Check that image i of `items` can show the scene of image i of `pairs`.

    `manifests` are the files that list them, for messages. Sizes are compared where `one_size` is true:
    labels then pass from one image of a pair to the other, pixel by pixel.

    Raises:
        InputError: the lists differ in length, or the images of a pair differ in size.
    """
    if len(items) != len(pairs):
        raise InputError(
            f"{manifests[0]} lists {len(items)} images, {manifests[1]} {len(pairs)}; expected equally many, "
            "because image i of one is the pair of image i of the other"
        )
    for item, pair in zip(items, pairs, strict=True):
        if one_size and (item.width, item.height) != (pair.width, pair.height):
            raise InputError(
                f"{item.image} is {item.width}×{item.height}, its pair {pair.image} "
                f"{pair.width}×{pair.height}; expected one size, because labels pass from one to the other "
                "pixel by pixel"
            )
