"""Choose the target images that a round or cycle labels. They are drawn at random, with the seed.

in:  the manifest of the target's images
out: a manifest of the chosen ones
"""

from pathlib import Path

from cotrain.adaptation.sampling import choose_subset
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.pairs import check_pairs
from cotrain.errors import InputError
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, positive, run

EXAMPLE = """python -m workflow_scripts.choose_subset --images results/demo/data/camera/images.tsv \\
    --number 120 --seed 103 --output by_hand/subset.tsv"""


def _number(text: str) -> int:
    return -1 if text == "-1" else positive(text)


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument(
        "--paired-with",
        type=Path,
        help="manifest whose image i shows the scene of image i here: the same places of both are chosen",
    )
    parser.add_argument("--number", type=_number, required=True, help="how many images; -1 for all")
    parser.add_argument("--every", type=positive, default=1, help="choose only among every k-th image")
    parser.add_argument("--seed", type=int, required=True)
    add_output_argument(parser, "FILE", "manifest of the chosen images")
    options = parse(parser, arguments)

    items = read_manifest(options.images)
    if not items:
        raise InputError(f"--images: {options.images} lists no image; expected images to choose from")
    ordering = items
    if options.paired_with:
        ordering = read_manifest(options.paired_with)
        check_pairs(items, ordering, (options.images, options.paired_with), one_size=False)
    places = choose_subset(
        [str(item.image) for item in ordering], options.number, options.seed, options.every
    )
    write_manifest(options.output, [items[place] for place in places], Path.cwd())
    logger.info("subset: %d of %d images; %s", len(places), len(items), options.output)


if __name__ == "__main__":
    run(main)
