"""Choose a few of the target's images, by the seed and spread over the whole list.

Every model of a run predicts them, so that models can be compared on the same images: `health` reads their
predictions. The first few of the sample are spread over the list too.

in:  the manifest of the target's images. Branch b may have images of its own, which are paired with these:
     the same number and seed then choose the same places
out: a manifest of the chosen ones
"""

from pathlib import Path

from cotrain.adaptation.sampling import spread_sample
from cotrain.data.manifests import read_manifest, write_manifest
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, positive, run

EXAMPLE = """python -m workflow_scripts.sample --images results/demo/data/camera/images.tsv \\
    --number 32 --seed 100 --output by_hand/sample.tsv"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--images", type=Path, required=True, help="manifest of all target images")
    parser.add_argument("--number", type=positive, required=True, help="how many images at most")
    parser.add_argument("--seed", type=int, required=True)
    add_output_argument(parser, "FILE", "manifest of the chosen images")
    options = parse(parser, arguments)

    items = read_manifest(options.images)
    places = spread_sample(len(items), options.number, options.seed)
    write_manifest(options.output, [items[place] for place in places], Path.cwd())
    logger.info("sample: %d of %d images; %s", len(places), len(items), options.output)


if __name__ == "__main__":
    run(main)
