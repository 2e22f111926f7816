"""Make a mask of the camera's own vehicle from Cityscapes' label files, in which it has the id 1.

in:  a dataset, given by its layout and root; only the id 1 of its labels is used
out: a PNG that is 255 where any label shows the own vehicle, for the key `ego_vehicle_mask`

Use this step only by hand, because a run must not read labels of the target. One mask is valid for all images
of a camera. For your own camera, you can paint it once.
"""

import numpy as np

from cotrain.configuration.sections import PublishedSettings
from cotrain.data.checks import has_cityscapes_ids, problems_of_all_ids, raise_problems
from cotrain.data.counting import count_ids
from cotrain.data.images import read_label, write_grey
from cotrain.data.layouts import dataset_class_table, find_dataset
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    check_suffix,
    logger,
    new_parser,
    parse,
    run,
)

EGO_VEHICLE_ID = 1
EXAMPLE = """python -m workflow_scripts.ego_vehicle_mask --layout cityscapes --root /data/cityscapes \\
    --output ego_vehicle.png"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--layout", default="cityscapes", help="layout with Cityscapes' label ids (cityscapes)"
    )
    parser.add_argument("--root", required=True, help="folder of the dataset")
    parser.add_argument("--split", help="part of the dataset (its first, train)")
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FILE", "the mask, a .png file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".png")
    settings = PublishedSettings(layout=options.layout, root=options.root, split=options.split)
    table = dataset_class_table("ego_vehicle_mask", settings)
    if not has_cityscapes_ids(table):
        raise InputError(
            f"--layout: found {options.layout}, whose labels hold ids of class table {table.name!r}, where 1 "
            "is not the own vehicle; expected a layout with Cityscapes' label ids"
        )
    items = find_dataset("ego_vehicle_mask", settings, labelled=True).items
    mask: np.ndarray | None = None
    own_ids = np.zeros(256, np.int64)
    with Progress(len(items), "labels", "ego vehicle") as progress:
        paths = [item.label for item in items if item.label is not None]
        for path, label in zip(paths, map_in_order(read_label, paths, options.threads), strict=True):
            own_vehicle = label == EGO_VEHICLE_ID
            if mask is not None and own_vehicle.shape != mask.shape:
                raise InputError(
                    f"{path}: is {label.shape[1]}×{label.shape[0]}, the labels before it "
                    f"{mask.shape[1]}×{mask.shape[0]}; expected one size, that of one camera"
                )
            mask = own_vehicle if mask is None else mask | own_vehicle
            own_ids += count_ids(label)
            progress.advance()
    assert mask is not None
    raise_problems(f"--root {options.root}", problems_of_all_ids(own_ids, table))
    if not mask.any():
        raise InputError(f"{options.root}: no label holds id 1, so there is no own vehicle to mask")
    write_grey(options.output, mask.astype(np.uint8) * 255)
    logger.info("the own vehicle covers %.1f %% of the image -> %s", 100 * mask.mean(), options.output)


if __name__ == "__main__":
    run(main)
