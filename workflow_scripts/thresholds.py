"""Find one confidence threshold per class: so that the wanted portion of each class's pixels survives.

in:  the confidence histograms of an image set's shards
out: thresholds.json: per class the threshold as confidence and as level (0 to 65535), the portion asked
     for, the number of pixels found, the highest confidence among them and the share of them that is kept
"""

import logging
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.adaptation.thresholds import portion_at
from cotrain.data.label_spaces import label_space
from cotrain.data.predictions import read_histograms
from cotrain.errors import InputError
from workflow_scripts.command_line import new_parser, not_negative, parse, run, settings, share

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.thresholds --histograms by_hand/predictions/0.histogram.npz \\
    --label-space cityscapes7 --step 0 --portion '{"initial": 0.5, "maximum": 0.7, "increment": 0.05}' \\
    --lower 0.5 --upper 0.9 --output by_hand/thresholds.json"""


def _schedule(text: str) -> dict[str, Any]:
    """Read --portion: each key a share, or a list of one a class."""
    found = settings(text)
    if found.keys() != {"initial", "maximum", "increment"}:
        raise ArgumentTypeError(
            f"found the keys {', '.join(found) or 'none'}, expected initial, maximum and increment"
        )
    for value in found.values():
        for portion in value if isinstance(value, list) else [value]:
            share(str(portion))
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--histograms", type=Path, nargs="+", required=True, help="one .npz file a shard")
    parser.add_argument("--label-space", required=True)
    parser.add_argument(
        "--step", type=not_negative, required=True, help="round or cycle, from 0: where the schedule stands"
    )
    parser.add_argument(
        "--portion", type=_schedule, required=True, help="schedule of the target portion, as JSON"
    )
    parser.add_argument(
        "--lower", type=share, required=True, help="no threshold is lower than this confidence"
    )
    parser.add_argument(
        "--upper", type=share, required=True, help="no threshold is higher than this confidence"
    )
    parser.add_argument("--output", type=Path, required=True)
    options = parse(parser, arguments)

    if options.lower > options.upper:
        raise InputError(f"--lower: found {options.lower}, expected at most --upper, {options.upper}")
    names = label_space(options.label_space).classes
    for key, value in options.portion.items():
        if isinstance(value, list) and len(value) != len(names):
            raise InputError(
                f"--portion: {key} has {len(value)} values, expected {len(names)}, one for each class of "
                f"{options.label_space}"
            )
    histogram = read_histograms(options.histograms, names)
    portion = portion_at(
        options.step, options.portion["initial"], options.portion["maximum"], options.portion["increment"]
    )
    if not histogram.any():
        raise InputError(
            f"{options.histograms[0]}: counts no pixel of any class; was the image set empty, "
            "or is every pixel the own vehicle's?"
        )
    table = ThresholdTable.from_histogram(histogram, portion, options.lower, options.upper, names)
    table.write(options.output)
    logger.info(
        "thresholds: %.1f %% of %d pixels are kept; %s",
        100 * table.kept_portion,
        table.pixels.sum(),
        options.output,
    )


if __name__ == "__main__":
    run(main)
