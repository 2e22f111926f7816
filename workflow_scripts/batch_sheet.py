"""Show what a training really sees: its first batches, crops with their labels in colour.

Takes the data arguments of `train` and shows the very crops that `train` would draw from them, one row an
iteration: source images first, then target images. Darkened pixels are void, they teach nothing.
"""

from pathlib import Path

from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.reporting.pictures import beside, contact_sheet, heading, legend, overlay, resized, stacked
from workflow_scripts.command_line import new_parser, parse, run
from workflow_scripts.training_batches import add_batch_arguments, labelled_sets, make_batches

EXAMPLE = """python -m workflow_scripts.batch_sheet --model baseline --label-space cityscapes7 \\
    --source results/demo/translated/game/manifest.tsv --settings results/demo/settings/baseline.json \\
    --output by_hand/batches.png"""
WIDTH_OF_CROP = 200
SPACE_IN_PAIR = 4


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_batch_arguments(parser)
    parser.add_argument("--iterations", type=int, default=6, help="batches to show (default: 6)")
    parser.add_argument("--output", type=Path, required=True, help="the PNG to write")
    options = parse(parser, arguments)
    if options.iterations < 1:
        raise InputError(f"--iterations: found {options.iterations}, expected 1 or more")

    import numpy as np

    from cotrain.data.images import write_image

    space = label_space(options.label_space)
    batches = make_batches(options, *labelled_sets(options))
    from_source = batches.ratio[0]
    rows, captions, void, pixels = [], [], 0, 0
    for iteration in range(options.iterations):
        images, labels = batches.batch(iteration)
        void += int(np.count_nonzero(labels >= space.number_of_classes))
        pixels += labels.size
        rows.append(
            [
                beside(
                    [
                        resized(picture, WIDTH_OF_CROP)
                        for picture in (image, overlay(image, label, space.palette, 0.6))
                    ],
                    SPACE_IN_PAIR,
                )
                for image, label in zip(images, labels, strict=True)
            ]
        )
        captions.append(
            [
                f"iteration {iteration}, {'source' if slot < from_source else 'target'}"
                for slot in range(len(images))
            ]
        )
    sheet = contact_sheet(rows, captions)
    height, width = images.shape[1:3]
    subtitle = (
        f"batches of {len(images)} crops, {width} x {height} pixels; {100 * void / pixels:.1f} % of them void"
    )
    page = stacked(
        [
            heading(f"What {options.model} sees", subtitle, sheet.shape[1]),
            sheet,
            legend(space.classes, space.palette, sheet.shape[1]),
        ]
    )
    write_image(options.output, page)


if __name__ == "__main__":
    run(main)
