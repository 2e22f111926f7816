"""Show some images of a manifest on one page: image, label in colour, legend, shares of the classes.

Labels hold train ids of the label space (or the dataset's own ids, if --classes names their class table). The
bar below an image and its label shows how large the share of each class is; black is void. If the manifest
has no labels, the page shows only images.
"""

from pathlib import Path

from cotrain.data.images import write_image
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.reporting.contact_sheets import choose, dataset_page
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
    reader = TrainIdReader(space, options.classes, "--classes")
    items = read_manifest(options.manifest)
    if not items:
        raise InputError(f"{options.manifest}: the manifest holds no image, there is nothing to show")
    selection = [items[place] for place in choose(len(items), options.count, options.seed)]
    subtitle = f"{len(selection)} of {len(items)} images, drawn with seed {options.seed}"
    page = dataset_page(selection, space, reader, str(options.manifest), subtitle)
    write_image(options.output, page)


if __name__ == "__main__":
    run(main)
