"""What every step's command line has in common."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from cotrain.errors import InputError

logger = logging.getLogger("cotrain")


def parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """Return a parser that shows the step's docstring and an example, and knows `--log FILE`."""
    made = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--log", type=Path, help="also write all messages into this file")
    return made


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


def add_inference_arguments(made: argparse.ArgumentParser) -> None:
    """Add what every step that runs a trained network takes: settings, precision, device, threads."""
    made.add_argument(
        "--settings",
        type=settings,
        default={"batch_size": 4, "resize": None, "scales": [1.0], "flip": False, "window": None},
        help="the configuration's `prediction` section: JSON text or a YAML file",
    )
    made.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    made.add_argument("--threads", type=int, default=1, help="CPU threads")


def parse(made: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Parse `arguments` and send the library's messages to standard error and to `--log`."""
    parsed = made.parse_args(arguments)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if parsed.log:
        parsed.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(parsed.log, mode="a", encoding="utf-8"))
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return parsed


def run(main: Callable[[], None]) -> None:
    """Run a step; a user's mistake ends in one message and status 2, a defect of ours in a traceback."""
    try:
        main()
    except InputError as error:
        logger.error("error: %s", error)
        sys.exit(2)
    except Exception:
        logger.exception("unexpected error")
        sys.exit(1)
