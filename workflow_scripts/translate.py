"""Give every source image the colour statistics of a target image that is drawn with the seed.

in:  source and target images, each as a manifest (.tsv) or as a list with one path per line (.txt)
out: OUTPUT/images/, OUTPUT/images.txt (a list of them), OUTPUT/manifest.tsv (with the labels of the source
     images)

An interrupted run continues where it stopped: OUTPUT/done.jsonl says from what each finished image was made.
The manifest is written last.
"""

from pathlib import Path
from typing import get_args

from cotrain.adaptation.translated_images import names_of_translations, translate_images
from cotrain.configuration.choices import ImageFormat
from cotrain.configuration.sections import ListsSettings, Translation
from cotrain.data.files import refuse_overwriting, write_text
from cotrain.data.layouts import find_dataset
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.translate --source results/demo/data/game/train_ids.tsv \\
    --target results/demo/data/camera/images.tsv --output by_hand/translated --seed 100 --threads 8"""
DEFAULTS = Translation()


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--source", type=Path, required=True, help="the source images: manifest or list")
    parser.add_argument("--target", type=Path, required=True, help="the target images: manifest or list")
    parser.add_argument(
        "--seed", type=int, required=True, help="which target image goes with which source image"
    )
    parser.add_argument(
        "--targets-per-image",
        type=positive,
        default=DEFAULTS.targets_per_image,
        help="translations of each source image (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=get_args(ImageFormat),
        default=DEFAULTS.format,
        help="of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--jpeg-quality",
        type=int,
        default=DEFAULTS.jpeg_quality,
        help="of JPEG images, 1 to 100 (default: %(default)s)",
    )
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder of the translated images")
    options = parse(parser, arguments)
    if not 1 <= options.jpeg_quality <= 100:
        raise InputError(f"--jpeg-quality: found {options.jpeg_quality}, expected 1 to 100")
    source, target = _read_items(options.source), _read_items(options.target)
    names = [name for item in source for name in names_of_translations(item, options.targets_per_image)]
    outputs = [options.output / "images" / f"{name}.{options.format}" for name in names]
    refuse_overwriting(outputs, [item.image for item in (*source, *target)])
    manifest = options.output / "manifest.tsv"
    manifest.unlink(missing_ok=True)
    settings = Translation(
        targets_per_image=options.targets_per_image, format=options.format, jpeg_quality=options.jpeg_quality
    )
    items = translate_images(source, target, options.seed, settings, options.output, options.threads)
    write_text(options.output / "images.txt", "".join(f"images/{item.image.name}\n" for item in items))
    write_manifest(manifest, items, Path.cwd())
    logger.info("%s in the target's colours -> %s", counted(len(items), "image"), manifest)


def _read_items(path: Path) -> list[Item]:
    """Return the images of a manifest, or of a list of paths."""
    if path.suffix != ".tsv":
        return find_dataset(path.stem, ListsSettings(layout="lists", images=str(path)), labelled=False).items
    items = read_manifest(path)
    if not items:
        raise InputError(f"{path}: lists no image, expected at least one")
    return items


if __name__ == "__main__":
    run(main)
