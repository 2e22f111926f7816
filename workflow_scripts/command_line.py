"""What every step's command line has in common."""

import argparse
import json
import logging
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError

logger = logging.getLogger("cotrain")

DEVICES = ("auto", "cpu", "cuda", "mps")
# How images go through a network, where --settings does not say otherwise.
INFERENCE = {"batch_size": 4, "resize": None, "scales": [1.0], "flip": False, "window": None}


def new_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """Return a parser that shows the step's docstring and an example, and knows `--log FILE`."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--log", type=Path, help="also write all messages into this file")
    return parser


def add_output_argument(
    parser: argparse.ArgumentParser, metavar: Literal["FILE", "FOLDER"], help: str, required: bool = True
) -> None:
    """Add `--output`: FILE where a step writes one main file, FOLDER where it writes several."""
    parser.add_argument("--output", type=Path, required=required, metavar=metavar, help=help)


def check_suffix(output: Path, suffix: str) -> None:
    """Raise InputError unless the file of `--output` has the suffix."""
    if output.suffix != suffix:
        raise InputError(f"--output: found {output}, expected a name that ends in {suffix}")


def add_threads_argument(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--threads`, the number of CPU threads that the step may use."""
    parser.add_argument("--threads", type=positive, default=default, help=f"CPU threads (default: {default})")


def add_label_space_argument(parser: argparse.ArgumentParser, help: str = "the run's label space") -> None:
    """Add `--label-space`, a name or a YAML file, which must be given."""
    parser.add_argument("--label-space", required=True, help=help)


def add_classes_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--classes`, the class table of label files that hold their dataset's own ids."""
    parser.add_argument("--classes", help="class table of the labels; default: train ids of the label space")


def add_class_subsets_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--class-subsets`, label spaces over whose classes the mean IoU is given too."""
    parser.add_argument(
        "--class-subsets",
        nargs="*",
        default=[],
        metavar="LABEL_SPACE",
        help="label spaces over whose classes the mean IoU is given too, e.g. synthia16 synthia13",
    )


def settings(text: str) -> dict[str, Any]:
    """Read a `--settings` argument: JSON text, or the path of a YAML or JSON file.

    Raises argparse.ArgumentTypeError when it is neither.
    """
    try:
        content = (
            json.loads(text)
            if text.lstrip().startswith("{")
            else yaml.safe_load(Path(text).read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise argparse.ArgumentTypeError(f"neither JSON text nor a readable YAML file: {error}") from error
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"expected a mapping of settings, found {type(content).__name__}")
    return content


def positive(text: str) -> int:
    """Read an argument that is an integer of at least 1; argparse.ArgumentTypeError when it is not."""
    return _integer(text, 1)


def not_negative(text: str) -> int:
    """Read an argument that is an integer of at least 0; argparse.ArgumentTypeError when it is not."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"found {text}, expected an integer >= {least}")
    return int(text)


def share(text: str) -> float:
    """Read an argument that is a number from 0 to 1; argparse.ArgumentTypeError when it is not."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected a number from 0 to 1")
    return value


def add_output_argument(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """Add `--output`, what the step writes; `metavar` is FILE or FOLDER."""
    parser.add_argument("--output", type=Path, required=True, metavar=metavar, help=help)


def add_threads_argument(parser: argparse.ArgumentParser, default: int = 4) -> None:
    """Add `--threads`."""
    parser.add_argument("--threads", type=positive, default=default, help=f"CPU threads (default {default})")


def add_mask_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--ego-vehicle-mask`."""
    parser.add_argument(
        "--ego-vehicle-mask", type=Path, help="image whose non-black pixels are the own vehicle"
    )


def class_ids(flag: str, names: Sequence[str], space: LabelSpace) -> list[int]:
    """Return the train ids of class names given with `flag`; InputError for a name that `space` lacks."""
    for name in names:
        if name not in space.classes:
            raise InputError(
                f"{flag}: found {name!r}, expected classes of {space.name}: {', '.join(space.classes)}"
            )
    return [space.classes.index(name) for name in names]


def named_paths(flag: str, form: str, arguments: Sequence[str]) -> dict[str, Path]:
    """Read the `NAME=PATH` arguments of `flag`, in their order; `form` shows in messages what is expected.

    Raises InputError for an argument of another form and for a name that is given twice.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not (name and equals and path):
            raise InputError(f"{flag}: found `{argument}`, expected {form}")
        if name in found:
            raise InputError(f"{flag}: the name `{name}` is given twice")
        found[name] = Path(path)
    return found


def inference_settings(text: str) -> dict[str, Any]:
    """Read the configuration's `prediction` section, or what of it differs from the defaults, as `settings`.

    Keys that decide nothing of a single prediction are left out; argparse.ArgumentTypeError for unknown ones.
    """
    given = settings(text)
    unknown = given.keys() - INFERENCE.keys() - {"weights", "shards", "calibration_images"}
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown key {', '.join(sorted(unknown))}, expected those of {', '.join(INFERENCE)} that differ "
            "from the defaults"
        )
    chosen = {key: given.get(key, default) for key, default in INFERENCE.items()}
    for key, (fits, expected) in FITTING.items():
        if not fits(chosen[key]):
            raise argparse.ArgumentTypeError(f"{key}: found {chosen[key]!r}, expected {expected}")
    return chosen


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_size(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(_is_integer(side, 32) for side in value)
    )


def _are_scales(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(scale, int | float) and 0 < scale < math.inf for scale in value)
    )


# As config/schema.yaml says it, which takes longer to read than a step takes to start.
SIZE = "[height, width], two integers >= 32, or null"
FITTING: dict[str, tuple[Callable[[Any], bool], str]] = {
    "batch_size": (lambda value: _is_integer(value, 1), "an integer >= 1"),
    "resize": (_is_size, SIZE),
    "window": (_is_size, SIZE),
    "scales": (_are_scales, "a list of numbers > 0"),
    "flip": (lambda value: isinstance(value, bool), "true or false"),
}


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every step that runs a trained network takes: settings, precision, device, threads."""
    parser.add_argument(
        "--settings",
        type=inference_settings,
        default=INFERENCE,
        help="the configuration's `prediction` section: JSON text or a YAML file",
    )
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--device", default="auto", choices=DEVICES)
    add_threads_argument(parser, default=1)


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Parse `arguments` and send the library's messages to standard error and to `--log`."""
    options = parser.parse_args(arguments)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if options.log:
        options.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(options.log, mode="a", encoding="utf-8"))
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return options


def run(main: Callable[[], None]) -> None:
    """Run a step; a user's mistake ends in one message and status 2, a defect of ours in a traceback."""
    try:
        main()
    except InputError as error:
        logger.error("error: %s", error)
        sys.exit(2)
    except KeyboardInterrupt:
        logger.error("interrupted")
        sys.exit(128 + signal.SIGINT)
    except Exception:
        logger.exception("unexpected error")
        sys.exit(1)
