"""Compare pseudo-labels with the target's true labels: how right and how complete they are, class by class.

An oracle study reads labels of the target, so it is only for analysis. No other step reads its outputs.

in:  one or several manifests of pseudo-labels, each with a name, such as that of its round (STEP=MANIFEST); a
     manifest with the true labels (train ids) of these images, which may list further images
out: a table on the terminal, the same table in OUTPUT/oracle.txt, OUTPUT/steps.tsv (a line for each
     manifest), OUTPUT/classes.tsv (a line for each class of each manifest) and OUTPUT/oracle.json
     (everything)
"""

import sys
from pathlib import Path

from cotrain.data.files import write_json, write_text
from cotrain.data.label_files import paired_label_files
from cotrain.data.label_spaces import label_space
from cotrain.evaluation.label_pairs import confusion_of_pairs
from cotrain.evaluation.oracle import oracle_scores
from cotrain.progress import Progress
from cotrain.reporting.oracle_tables import ORACLE_NOTE, classes_table, oracle_text, steps_table
from cotrain.reporting.table import to_tsv
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    add_threads_argument,
    named_paths,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.oracle_study --label-space cityscapes7 \\
    --pseudo-labels ensemble=results/demo/pseudo_labels/ensemble/manifest.tsv \\
    --labelled results/demo/data/camera/train_ids.tsv --output by_hand/oracle"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--pseudo-labels",
        nargs="+",
        required=True,
        metavar="STEP=MANIFEST",
        help="what to compare: a name, and a manifest of pseudo-labels",
    )
    parser.add_argument("--labelled", type=Path, required=True, help="manifest with the target's true labels")
    add_label_space_argument(parser)
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder of the tables")
    options = parse(parser, arguments)

    manifests = named_paths(
        "--pseudo-labels", "STEP=MANIFEST, e.g. ensemble=manifest.tsv", options.pseudo_labels
    )
    space = label_space(options.label_space)
    studies: dict[str, dict[str, object]] = {}
    for step, manifest in manifests.items():
        pairs = paired_label_files(manifest, options.labelled, complete=False)
        with Progress(len(pairs), "images", f"oracle study of {step}") as progress:
            confusion = confusion_of_pairs(pairs, space, options.threads, progress)
        studies[step] = {"images": len(pairs), **oracle_scores(confusion, space.classes)}
    text = oracle_text(studies)
    write_text(options.output / "steps.tsv", to_tsv(steps_table(studies)))
    write_text(options.output / "classes.tsv", to_tsv(classes_table(studies)))
    write_text(options.output / "oracle.txt", text)
    write_json(
        options.output / "oracle.json", {"note": ORACLE_NOTE, "label_space": space.name, "steps": studies}
    )
    sys.stdout.write(f"\n{text}\nTables: {options.output}\n")


if __name__ == "__main__":
    run(main)
