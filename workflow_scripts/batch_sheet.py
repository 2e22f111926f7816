"""Show what a training really sees: the crops of its first batches, with their labels in colour.

It takes the data arguments of `train` and shows the same crops that `train` would cut. Each iteration is one
row: first source images, then target images. Darkened pixels are void: nothing is learnt from them.
"""

import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.reporting.pictures import beside, contact_sheet, heading, legend, overlay, resized, stacked
from workflow_scripts.command_line import (
    add_output_argument,
    add_training_arguments,
    new_parser,
    parse,
    positive,
    run,
    training_files,
)

EXAMPLE = """python -m workflow_scripts.batch_sheet --name baseline --label-space cityscapes7 \\
    --source results/demo/translated/game/manifest.tsv \\
    --settings results/demo/settings/training/baseline.json --output by_hand/batches.png"""
WIDTH_OF_CROP = 200
SPACE_IN_PAIR = 4


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_training_arguments(parser)
    parser.add_argument("--iterations", type=positive, default=6, help="batches to show (default: 6)")
    add_output_argument(parser, "FILE", "the PNG to write")
    options = parse(parser, arguments)
    settings, space = read_settings(options.settings, TrainingSettings), label_space(options.label_space)

    from cotrain.data.images import write_image

    files = training_files(options)
    batches = files.make_batches(files.read_images(), options.name, settings, space)
    rows, captions, void, pixels = [], [], 0, 0
    for iteration in range(options.iterations):
        images, labels = batches.batch(iteration)
        void += int(np.count_nonzero(labels >= space.number_of_classes))
        pixels += labels.size
        rows.append([pair(image, label, space) for image, label in zip(images, labels, strict=True)])
        sides = ["source"] * batches.ratio[0] + ["target"] * batches.ratio[1]
        captions.append([f"iteration {iteration}, {side}" for side in sides])
    sheet = contact_sheet(rows, captions)
    height, width = settings.crop
    subtitle = (
        f"batches of {len(images)} crops, {width} x {height} pixels; {100 * void / pixels:.1f} % of them void"
    )
    page = stacked(
        [
            heading(f"What {options.name} sees", subtitle, sheet.shape[1]),
            sheet,
            legend(space.classes, space.palette, sheet.shape[1]),
        ]
    )
    write_image(options.output, page)


def pair(image: NDArray[np.uint8], label: NDArray[np.uint8], space: LabelSpace) -> NDArray[np.uint8]:
    """Return a crop, beside it with its label laid over it."""
    pictures = (image, overlay(image, label, space.palette, 0.6))
    return beside([resized(picture, WIDTH_OF_CROP) for picture in pictures], SPACE_IN_PAIR)


if __name__ == "__main__":
    run(main)
