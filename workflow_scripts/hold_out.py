"""Keep some labelled images out of all trainings, so that the models can be calibrated on them.

The images are drawn with the seed.

in:  a manifest of labelled source images
out: OUTPUT/training.tsv and OUTPUT/held_out.tsv. All images with the same label (the translations of one
     scene) are in the same file.
"""

from pathlib import Path

from cotrain.adaptation.sampling import choose_subset
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.errors import InputError
from cotrain.words import counted
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, positive, run

EXAMPLE = """python -m workflow_scripts.hold_out --labelled results/demo/translated/game/manifest.tsv \\
    --number 20 --seed 100 --output by_hand"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--labelled", type=Path, required=True, help="manifest of labelled source images")
    parser.add_argument("--number", type=positive, required=True, help="how many scenes are held out")
    parser.add_argument("--seed", type=int, required=True)
    add_output_argument(parser, "FOLDER", "folder of the two manifests")
    options = parse(parser, arguments)

    items = read_manifest(options.labelled)
    scenes = [*dict.fromkeys(str(item.label) for item in items)]
    if options.number >= len(scenes):
        raise InputError(
            f"prediction.calibration_images: found {options.number}, but {options.labelled} has labels of "
            f"only {counted(len(scenes), 'image')}; expected a smaller number, so that some images are "
            "left to train on"
        )
    held_out = {scenes[place] for place in choose_subset(scenes, options.number, options.seed)}
    for name, is_held_out in (("training", False), ("held_out", True)):
        selection = [item for item in items if (str(item.label) in held_out) == is_held_out]
        write_manifest(options.output / f"{name}.tsv", selection, Path.cwd())
        logger.info("%s: %d of %d images", options.output / f"{name}.tsv", len(selection), len(items))


if __name__ == "__main__":
    run(main)
