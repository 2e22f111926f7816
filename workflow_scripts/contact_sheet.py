"""Show some images of a manifest on one page: image, label in colour, legend, shares of the classes.

Labels hold train ids of the label space (or the dataset's own ids, if --classes names their class table). The
bar below an image and its label shows how large the share of each class is; black is void. If the manifest
has no labels, the page shows only images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cotrain.data.images import read_image, write_image
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest
from cotrain.errors import InputError
from cotrain.randomness import generator
from cotrain.reporting.pictures import (
    beside,
    contact_sheet,
    heading,
    legend,
    overlay,
    resized,
    share_bar,
    stacked,
)
from workflow_scripts.command_line import (
    add_classes_argument,
    add_label_space_argument,
    add_output_argument,
    check_suffix,
    new_parser,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.contact_sheet --manifest results/demo/data/game/train_ids.tsv \\
    --label-space cityscapes7 --output by_hand/sheet.png"""
WIDTH_OF_IMAGE = 300
COLUMNS_WITH_LABELS = 2
COLUMNS_WITHOUT_LABELS = 4
SPACE_IN_PAIR = 4


def choose(number_of_items: int, count: int, seed: int) -> list[int]:
    """Return up to `count` places of a list, drawn by `seed`, in the order of the list."""
    random = generator(seed, "contact sheet")
    return sorted(random.choice(number_of_items, min(count, number_of_items), replace=False).tolist())


def read_train_ids(item: Item, shape: Sequence[int], reader: TrainIdReader) -> np.ndarray:
    """Return the label of `item` as train ids (H, W) uint8; raise InputError when it does not fit."""
    assert item.label is not None
    label = reader.read(item.label)
    if label.shape != tuple(shape):
        raise InputError(
            f"{item.label}: the label is {label.shape[1]} × {label.shape[0]} pixels, "
            f"its image {item.image} is {shape[1]} × {shape[0]}"
        )
    return label


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--manifest", type=Path, required=True, help="images and labels to choose from")
    add_label_space_argument(parser, "classes and colours, e.g. cityscapes19")
    add_classes_argument(parser)
    parser.add_argument("--count", type=positive, default=12, help="number of images to show (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="which images are drawn (default: 0)")
    add_output_argument(parser, "FILE", "the page, a .png file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".png")
    space = label_space(options.label_space)
    reader = TrainIdReader(space, options.classes)
    items = read_manifest(options.manifest)
    if not items:
        raise InputError(f"{options.manifest}: the manifest holds no image, there is nothing to show")
    selection = [items[place] for place in choose(len(items), options.count, options.seed)]
    labelled = all(item.label is not None for item in selection)

    pixels = np.zeros(space.number_of_classes, np.int64)
    all_pixels = 0
    pictures = []
    for item in selection:
        image = read_image(item.image)
        picture = resized(image, WIDTH_OF_IMAGE)
        if labelled:
            label = read_train_ids(item, image.shape[:2], reader)
            counts = np.bincount(label.ravel(), minlength=256)[: space.number_of_classes]
            pixels += counts
            all_pixels += label.size
            coloured = resized(overlay(image, label, space.palette, 0.6), WIDTH_OF_IMAGE)
            pair = beside([picture, coloured], SPACE_IN_PAIR)
            bar = share_bar(counts / label.size, space.palette, pair.shape[1])
            picture = stacked([pair, bar], SPACE_IN_PAIR)
        pictures.append(picture)

    columns = COLUMNS_WITH_LABELS if labelled else COLUMNS_WITHOUT_LABELS
    # The font inside Pillow has no multiplication sign.
    captions = [f"{item.id}  ·  {item.width} x {item.height}" for item in selection]
    starts = range(0, len(selection), columns)
    sheet = contact_sheet(
        [pictures[start : start + columns] for start in starts],
        [captions[start : start + columns] for start in starts],
    )
    subtitle = f"{len(selection)} of {len(items)} images, drawn with seed {options.seed}"
    parts = [sheet]
    if labelled:
        shares = 100 * pixels / all_pixels
        ignored = 100 - shares.sum()
        subtitle += f"; class shares are of these images, {ignored:.1f} % is ignored"
        notes = [f"{share:.1f} %" for share in shares]
        parts.append(legend(space.classes, space.palette, sheet.shape[1], notes))
    page = stacked([heading(str(options.manifest), subtitle, sheet.shape[1]), *parts])
    write_image(options.output, page)


if __name__ == "__main__":
    run(main)
