"""Which sizes images have when crops are cut from them: without pixels, so for a configuration too."""

from collections.abc import Iterable, Sequence


def scaled_size(
    size: tuple[int, int],
    resize: tuple[int, int] | None,
    short_side: float | None,
    max_long_side: int,
) -> tuple[int, int]:
    """Return the (height, width) of an image of `size` (height, width) before cropping.

    `resize` comes first; then the shorter side becomes `short_side` (None: stays), or less if the longer side
    would become longer than `max_long_side`.
    """
    height, width = resize or size
    if short_side is None:
        return height, width
    scale = min(short_side / min(height, width), max_long_side / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def limit_of_crops(
    crop: tuple[int, int],
    sizes: Iterable[tuple[int, int]],
    resize: tuple[int, int] | None,
    short_sides: Sequence[int],
    max_long_side: int,
) -> tuple[int, int] | None:
    """Return None if a crop (height, width) fits into an image at its largest scale, else the largest of "
    "these.

    `sizes` are the (height, width) of the images, the rest are keys of an augmentation.
    """
    longest = max(short_sides, default=None)
    largest = [scaled_size(size, resize, longest, max_long_side) for size in sizes]
    if any(height >= crop[0] and width >= crop[1] for height, width in largest):
        return None
    return max(largest, key=lambda size: size[0] * size[1])
