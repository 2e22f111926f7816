"""Choose a few of the target's images, by the seed and spread over the whole list.

Every model of a run predicts them, so that models can be compared on the same images: `health` reads their
predictions. The first few of the sample are spread over the list too: `photo_sheet` shows them. If --photos
names images, these come first.

in:  the manifest of the target's images. Branch b may have images of its own, which are paired with these:
     the same number and seed then choose the same places
out: a manifest of the chosen ones
"""

from pathlib import Path

from cotrain.adaptation.sampling import spread_sample
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.named_images import places_of
from cotrain.data.pairs import check_pairs
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, positive, run

EXAMPLE = """python -m workflow_scripts.sample --images results/demo/data/camera/images.tsv \\
    --number 32 --seed 100 --output by_hand/sample.tsv"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument(
        "--paired-with",
        type=Path,
        help="manifest of the target's images, if --images are others of the same scenes; --photos names "
        "images of this one",
    )
    parser.add_argument(
        "--photos",
        nargs="+",
        default=[],
        metavar="IMAGE",
        help="names or paths of images that the sample begins with",
    )
    parser.add_argument("--number", type=positive, required=True, help="how many images at most")
    parser.add_argument("--seed", type=int, required=True)
    add_output_argument(parser, "FILE", "manifest of the chosen images")
    options = parse(parser, arguments)

    items = read_manifest(options.images)
    named_in, to_name = options.images, items
    if options.paired_with:
        named_in, to_name = options.paired_with, read_manifest(options.paired_with)
        check_pairs(items, to_name, (options.images, named_in), one_size=True)
    named = places_of(options.photos, to_name, named_in, "report.photos")
    others = spread_sample(len(items), options.number, options.seed).tolist()
    # As many as without names, as long as these are not more.
    places = list(dict.fromkeys([*named, *others]))[: max(options.number, len(named))]
    write_manifest(options.output, [items[place] for place in places], Path.cwd())
    logger.info("sample: %d of %d images; %s", len(places), len(items), options.output)


if __name__ == "__main__":
    run(main)
