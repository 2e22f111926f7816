"""Show what the models of a run make of the same photos, side by side on one page.

Each row is a photo, each column a model: the colours of its classes over the photo in grey. Below the
pictures of the second model and all after it stands which share of the pixels has another class than the
first model says. No labels are read, so the page does not say which model is right: look at it.

in:  the manifest of the photos, and the predictions of each model. If branch b of co-training has images of
     its own, also their manifest, with the same scenes in the same order
out: the page; it shows the first photos of the manifest
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from cotrain.data.images import write_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.pairs import check_pairs
from cotrain.data.predictions import PredictionReader, hash_of_images
from cotrain.errors import InputError
from cotrain.reporting.photo_sheets import Column, photo_page
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_mask_argument,
    add_output_argument,
    check_suffix,
    logger,
    named_paths,
    new_parser,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.photo_sheet --images results/demo/sample/images.tsv \\
    --predictions baseline=results/demo/sample/baseline.h5 final=results/demo/sample/final.h5 \\
    --label-space cityscapes7 --output by_hand/photos.jpg"""
# Text stays sharp.
JPEG_QUALITY = 92
FORM = "MODEL=PATH, e.g. baseline=baseline.h5"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of the photos")
    parser.add_argument(
        "--images-b", type=Path, help="manifest of branch b's images, paired with those of --images"
    )
    parser.add_argument(
        "--predictions",
        nargs="+",
        required=True,
        metavar="MODEL=PATH",
        help="models, and the .h5 file that predict wrote of all images of one of the manifests",
    )
    add_label_space_argument(parser, "classes and colours, e.g. cityscapes19")
    parser.add_argument("--photos", type=positive, default=6, help="how many photos to show (default: 6)")
    add_mask_argument(parser)
    add_output_argument(parser, "FILE", "the page, a .jpg file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".jpg")
    paths = named_paths("--predictions", FORM, options.predictions)
    space, mask = label_space(options.label_space), EgoVehicleMask(options.ego_vehicle_mask)
    items = read_manifest(options.images)
    if not items:
        raise InputError(f"{options.images}: the manifest holds no image, there is nothing to show")
    views = {options.images: items}
    if options.images_b:
        views[options.images_b] = read_manifest(options.images_b)
        manifests = (options.images_b, options.images)
        check_pairs(views[options.images_b], items, manifests, one_size=True, whole=False)

    with ExitStack() as stack:
        columns = []
        for model, path in paths.items():
            reader = stack.enter_context(PredictionReader([path]))
            manifest = view_of(reader, views)
            reader.check(views[manifest], manifest, space.classes)
            columns.append(Column(model, reader, views[manifest]))
        shown = items[: options.photos]
        subtitle = f"{len(shown)} of {len(items)} photos of {options.images}"
        page = photo_page(shown, columns, space, mask, "What each model sees", subtitle)
    write_image(options.output, page, JPEG_QUALITY)
    logger.info("photos: %d, segmented by %s; %s", len(shown), ", ".join(paths), options.output)


def view_of(reader: PredictionReader, views: Mapping[Path, Sequence[Item]]) -> Path:
    """Return the manifest that predictions are of; if they are of none, the first."""
    return next(
        (path for path, items in views.items() if hash_of_images(items) == reader.origin.images),
        next(iter(views)),
    )


if __name__ == "__main__":
    run(main)
