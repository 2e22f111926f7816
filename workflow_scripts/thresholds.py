"""Find one confidence threshold per class, so that the wanted portion of each class's pixels is kept.

in:  the confidence histograms of an image set's shards
out: thresholds.json. For each class: the threshold as confidence and as level (0 to 65535), the wanted
     portion, the number of pixels found, their highest confidence, and the share of them that is kept

With --source-checks it stops if the model has collapsed: if it takes nearly all pixels for one class or two,
of which the source shows far less.
"""

from pathlib import Path
from typing import get_args

from cotrain.adaptation.collapse import collapse_in_words, found_collapse, mean_confidence
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.configuration.choices import OnCollapse
from cotrain.data.checks import source_pixels
from cotrain.data.label_spaces import label_space
from cotrain.data.predictions import read_histograms
from cotrain.errors import InputError
from cotrain.words import counted
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    logger,
    new_parser,
    parse,
    run,
    share,
)

EXAMPLE = """python -m workflow_scripts.thresholds --histograms by_hand/predictions/0.histogram.npz \\
    --label-space cityscapes7 --portion 0.5 --lower 0.5 --upper 0.9 --output by_hand/thresholds.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--histograms", type=Path, nargs="+", required=True, help="one .npz file per shard")
    add_label_space_argument(parser)
    parser.add_argument(
        "--portion",
        type=share,
        nargs="+",
        required=True,
        metavar="SHARE",
        help="share of the pixels to keep: one for all classes, or one for each",
    )
    parser.add_argument(
        "--lower", type=share, required=True, help="no threshold is lower than this confidence"
    )
    parser.add_argument(
        "--upper", type=share, required=True, help="no threshold is higher than this confidence"
    )
    parser.add_argument(
        "--source-checks",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="labelled.check.json of each source dataset, by which a collapsed model is known",
    )
    parser.add_argument("--name", default="the model", help="name of the model that predicted, for messages")
    parser.add_argument(
        "--on-collapse",
        choices=get_args(OnCollapse),
        default="stop",
        help="what to do if the model has collapsed (default: stop)",
    )
    add_output_argument(parser, "FILE", "thresholds as JSON")
    options = parse(parser, arguments)

    if options.lower > options.upper:
        raise InputError(f"--lower: found {options.lower}, expected at most --upper, {options.upper}")
    classes = label_space(options.label_space).classes
    if len(options.portion) not in (1, len(classes)):
        raise InputError(
            f"--portion: found {counted(len(options.portion), 'value')}, expected 1, or {len(classes)}: "
            f"one for each class of {options.label_space}"
        )
    histogram, model = read_histograms(options.histograms, classes)
    if not histogram.any():
        raise InputError(
            f"{options.histograms[0]}: counts no pixel of any class; was the image set empty, "
            "or does the ego-vehicle mask cover every pixel?"
        )
    source = source_pixels(options.source_checks, classes)
    collapse = found_collapse(histogram.sum(1), source)
    if collapse:
        what = collapse_in_words(collapse, options.name, classes, mean_confidence(histogram))
        if options.on_collapse == "stop":
            raise InputError(f"{what}, or go on with on_collapse: warn")
        logger.warning("warning: %s", what)
    table = ThresholdTable.from_histogram(
        histogram, options.portion, options.lower, options.upper, classes, model
    )
    table.write(options.output)
    logger.info(
        "thresholds: of %d pixels, %.1f %% are kept; %s",
        table.pixels.sum(),
        100 * table.kept_portion,
        options.output,
    )


if __name__ == "__main__":
    run(main)
