"""Compute from the labels of the source where in the image each class is likely.

in:  manifests with labels of train ids (or of the dataset's own ids, if --classes names their class table);
     the target's manifest: the maps get the size of its images
out: NAME.npy, float32 (classes, height, width) in [0, 1], and next to it NAME.png, the same as heat maps
"""

from pathlib import Path

from cotrain.data.class_priors import class_priors
from cotrain.data.files import write_array
from cotrain.data.images import write_image
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.pictures import heat_maps
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_classes_argument,
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    check_suffix,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.class_priors --label-space cityscapes7 \\
    --labelled results/demo/data/game/train_ids.tsv --target results/demo/data/camera/images.tsv \\
    --output by_hand/class_priors.npy"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--labelled", type=Path, nargs="+", required=True, help="manifests of the source")
    parser.add_argument("--target", type=Path, required=True, help="manifest of the target's images")
    add_label_space_argument(parser)
    add_classes_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(
        parser, "FILE", "the maps, a .npy file; their heat maps are written next to it as .png"
    )
    options = parse(parser, arguments)
    check_suffix(options.output, ".npy")
    items = [item for path in options.labelled for item in read_manifest(path)]
    sizes = {(item.height, item.width) for item in read_manifest(options.target)}
    if len(sizes) != 1:
        shown = ", ".join(f"{width}×{height}" for height, width in sorted(sizes)[:5])
        raise InputError(
            f"self_training.class_priors: the images of {options.target} have {len(sizes)} sizes ({shown}), "
            "expected one: priors are maps of one size"
        )
    reader = TrainIdReader(label_space(options.label_space), options.classes, "--classes")
    with Progress(len(items), "labels", "class priors") as progress:
        maps = class_priors(items, reader, sizes.pop(), options.threads, progress)
    write_array(options.output, maps)
    picture = options.output.with_suffix(".png")
    write_image(picture, heat_maps(maps, reader.space.classes))
    logger.info(
        "where classes are likely, from %s -> %s, %s",
        *(counted(len(items), "label"), options.output, picture),
    )


if __name__ == "__main__":
    run(main)
