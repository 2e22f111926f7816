"""Confirm that all inputs of a run are in order: the last step before anything is translated or trained.

It also checks what concerns several files: the images of a second target must pair up with those of the
first, class priors must fit the target, and the crop of the trainings must fit into some image.

In:  the check reports of all datasets, and of the device if there is one; the manifests, class priors and
     mask
Out: a JSON file that lists the reports
"""

from pathlib import Path

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import Augmentation, Crops
from cotrain.data.class_priors import ClassPriors
from cotrain.data.files import write_json
from cotrain.data.manifests import read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.pairs import check_pairs
from cotrain.errors import InputError
from cotrain.training.augmentation import largest_scaled_size
from workflow_scripts.command_line import (
    add_mask_argument,
    add_output_argument,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.collect_checks \\
    --reports results/demo/data/game/labelled.check.json results/demo/data/camera/images.check.json \\
    --source results/demo/data/game/labelled.tsv --target results/demo/data/camera/images.tsv \\
    --settings results/demo/settings/crops.json --output by_hand/checked.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--reports", type=Path, nargs="+", required=True, help="reports of check_data, check_device"
    )
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="manifests of the source")
    parser.add_argument("--target", type=Path, required=True, help="manifest of the target's images")
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="crop and augmentations of the trainings, as results/RUN/settings/crops.json",
    )
    parser.add_argument(
        "--target-b", type=Path, help="manifest of branch b's images, paired with the target's"
    )
    parser.add_argument("--class-priors", type=Path, help=".npy (classes, height, width)")
    add_mask_argument(parser)
    add_output_argument(parser, "FILE", "the list of the reports, JSON")
    options = parse(parser, arguments)

    crops = read_settings(options.settings, Crops)
    for part, manifests, augmentation in (
        ("source", options.source, crops.source_augmentation),
        ("target", [options.target], crops.target_augmentation),
    ):
        for manifest in manifests:
            check_crop(manifest, part, augmentation, crops.crop)
    if options.target_b:
        check_pairs(
            read_manifest(options.target_b),
            read_manifest(options.target),
            (options.target_b, options.target),
            one_size=True,
        )
    if options.class_priors:
        ClassPriors.read(options.class_priors).check_size(read_manifest(options.target))
    EgoVehicleMask(options.ego_vehicle_mask)
    write_json(options.output, {"reports": [str(path) for path in options.reports]})
    logger.info("all data is in order; %s", options.output)


def check_crop(manifest: Path, part: str, augmentation: Augmentation, crop: tuple[int, int]) -> None:
    """Raise InputError if the crop is larger than any image, however it is scaled: all would be padded."""
    sizes = {(item.height, item.width) for item in read_manifest(manifest)}
    largest = [largest_scaled_size(height, width, augmentation) for height, width in sizes]
    height, width = crop
    if any(scaled[0] >= height and scaled[1] >= width for scaled in largest):
        return
    limit = max(largest, key=lambda size: size[0] * size[1])
    raise InputError(
        f"training.crop: {width}×{height} pixels are more than any image of {manifest} has: at most "
        f"{limit[1]}×{limit[0]} after training.{part}_augmentation; expected a smaller crop, or larger "
        f"short_sides in training.{part}_augmentation"
    )


if __name__ == "__main__":
    run(main)
