"""Add the pseudo-labelled images of a round or cycle to those of the rounds or cycles before it.

in:  the manifest accumulated so far (none in the first round or cycle), and the manifest of the newly
     selected images
out: the manifest that the new model is trained on; label files stay where they are
"""

from pathlib import Path

from cotrain.adaptation.accumulation import ACCUMULATIONS, accumulate
from cotrain.adaptation.ranking import EXCHANGE_RANKINGS
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, run

EXAMPLE = """python -m workflow_scripts.accumulate \\
    --previous results/demo/pseudo_labels/self_training/00/accumulated.tsv \\
    --selected results/demo/pseudo_labels/self_training/01/selected.tsv \\
    --accumulation best_score --ranking confidence --step 01 --output by_hand/accumulated.tsv"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--previous", type=Path, help="manifest accumulated so far")
    parser.add_argument("--selected", type=Path, required=True, help="manifest of the newly selected images")
    parser.add_argument("--accumulation", required=True, choices=ACCUMULATIONS)
    parser.add_argument(
        "--ranking",
        required=True,
        choices=EXCHANGE_RANKINGS,
        help="the ranking that decides which label is better",
    )
    parser.add_argument(
        "--step", required=True, help="name of this round or cycle; with 'all', it becomes part of new ids"
    )
    add_output_argument(parser, "FILE", "manifest of what this step trains on")
    options = parse(parser, arguments)

    previous = read_manifest(options.previous) if options.previous else []
    selected = read_manifest(options.selected)
    merged = accumulate(previous, selected, options.accumulation, ranking=options.ranking, step=options.step)
    if not merged:
        raise InputError(
            f"{options.selected}: lists no image, so there is nothing to train on. The step that wrote it "
            "says why, and what to change. In a later round or cycle, `accumulation: best_score` or `all` "
            "trains on the images of those before it"
        )
    write_manifest(options.output, merged, Path.cwd())
    logger.info(
        "%d accumulated and %d new images make %d; %s",
        len(previous),
        len(selected),
        len(merged),
        options.output,
    )


if __name__ == "__main__":
    run(main)
