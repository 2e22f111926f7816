"""What every step's command line has in common."""

import argparse
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, get_args

from cotrain.configuration.choices import Device
from cotrain.data.file_names import is_one_line
from cotrain.data.files import make_folder, refuse_overwriting
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import FAULTS_OF_THE_MACHINE, InputError
from cotrain.networks.model_folder import weights_file
from cotrain.progress import CLEARED_LINE

if TYPE_CHECKING:
    from cotrain.configuration.sections import InferenceSettings
    from cotrain.training.inputs import TrainingFiles

logger = logging.getLogger("cotrain")

# Set by the workflow: the terminal then shows only warnings and progress of a step; its log file has all.
MESSAGES_IN_LOG_ONLY = "COTRAIN_MESSAGES_IN_LOG_ONLY"
# A line of a log: what is above it is from an attempt that has failed.
ANOTHER_ATTEMPT = "--- another attempt"
# The end of the second name that a log has until its step has succeeded.
UNFINISHED = ".unfinished"

# Turns of a loop in GNU's library, which torch brings on Linux; milliseconds in LLVM's and Intel's.
SPINNING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


# What stands before the name of a step in its usage and examples: how steps are started.
MODULES = "python -m workflow_scripts."
_start = MODULES


def begin_commands_with(start: str) -> None:
    """Let `--help` show commands as they are given: `start`, such as "cotrain ", stands before the step."""
    global _start
    _start = start


TOO_MANY = "unrecognized arguments"
LONGEST = 120
# What argparse says of a wrong command line in words of its own, and what is said instead.
IN_OUR_WORDS = (
    (
        r"argument (.*?): invalid choice: ('.*'|\".*\") \(choose from (.*)\)",
        r"\1: found \2, expected one of \3",
    ),
    (r"argument (.*?): invalid int value: (.*)", r"\1: found \2, expected an integer"),
    (r"argument (.*?): invalid float value: (.*)", r"\1: found \2, expected a number"),
    (r"argument (.*?): expected one argument", r"\1: found no value, expected one"),
    (r"argument (.*?): expected at least one argument", r"\1: found no value, expected one or more"),
    (r"argument (.*?): expected (\d+) arguments", r"\1: found another number of values, expected \2"),
    (r"argument (.*?): ignored explicit argument (.*)", r"\1: found the value \2, expected none"),
    (r"argument (.*?): not allowed with argument (.*)", r"found both \2 and \1, expected one of them"),
    (r"ambiguous option: (.*?) could match (.*)", r"\1: unknown flag, expected one of \2"),
    (r"the following arguments are required: (.*)", r"\1: missing"),
    (r"one of the arguments (.*) is required", r"expected one of the flags \1"),
    (
        rf"{TOO_MANY}: (.*)",
        r"found \1 where no value is expected; a path with spaces needs quotes around it, and in place of "
        "many files most flags take their folder",
    ),
    # Our own words about a value.
    (r"argument (.*?): (.*)", r"\1: \2"),
)


class _Parser(argparse.ArgumentParser):
    """Ends a wrong command line with one sentence; the usage of a step with many flags would hide it."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        # argparse speaks of a misspelt flag only after all that is required is there.
        flags = sorted({"--help", *re.findall(r"--[a-z][a-z-]*", self.format_usage())})
        for word in sys.argv[1:] if args is None else args:
            name = word.partition("=")[0]
            if word == "--":
                break
            # Flags may be shortened. A value may begin with a dash if it has a space.
            if word.startswith("--") and " " not in word and not any(flag.startswith(name) for flag in flags):
                close = get_close_matches(name, flags, 1)
                meant = f" (did you mean {close[0]}?)" if close else f", expected one of {', '.join(flags)}"
                self.error(f"{name}: unknown flag{meant}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        # Only some versions of Python put choices into quotes.
        message = re.sub(r"\(choose from .*\)", lambda found: found[0].replace("'", ""), message)
        # A pattern such as `*.jpg` can give thousands of words.
        if message.startswith(TOO_MANY) and len(message) > LONGEST:
            message = f"{message[:LONGEST]}…"
        for theirs, ours in IN_OUR_WORDS:
            if found := re.fullmatch(theirs, message, re.DOTALL):
                message = found.expand(ours)
                break
        end = "" if message.endswith((".", "?", "!")) else "."
        self.exit(2, f"error: {message}{end} `{self.prog} --help` shows all flags and an example\n")


def new_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """Return a parser that shows the step's docstring and an example, and knows `--log-file FILE`.

    `example` is at least one command, `python -m workflow_scripts.STEP …`; the last names the step.
    """
    parser = _Parser(
        prog=_start + example.rpartition(MODULES)[2].split()[0],
        description=description,
        epilog=f"example:\n  {example.replace(MODULES, _start)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--log-file", type=Path, help="also write all messages into this file")
    return parser


def add_output_argument(
    parser: argparse.ArgumentParser, metavar: Literal["FILE", "FOLDER"], help: str, required: bool = True
) -> None:
    """Add `--output`: FILE where a step writes one main file, FOLDER where it writes several."""
    kind = _file if metavar == "FILE" else Path
    parser.add_argument("--output", type=kind, required=required, metavar=metavar, help=help)


def _file(text: str) -> Path:
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"found the folder {text}, expected a file")
    return Path(text)


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
    parser.add_argument(
        "--classes", help="class table of the labels (default: they hold train ids of the label space)"
    )


def add_label_files_arguments(parser: argparse.ArgumentParser, classes: str) -> None:
    """Add labels, their images, and what the labels mean; `classes` says what the label space is for."""
    parser.add_argument("--labels", type=Path, required=True, help="list, manifest or folder")
    parser.add_argument(
        "--images", type=Path, help="list or folder of the images (default: as a manifest says)"
    )
    add_label_space_argument(parser, classes)
    add_classes_argument(parser)


def add_labelling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every step takes that labels images with one model: predictions, thresholds, mask, threads."""
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="one .h5 file per shard")
    parser.add_argument("--thresholds", type=Path, required=True, help="thresholds.json of these predictions")
    add_label_space_argument(parser)
    add_mask_argument(parser)
    add_threads_argument(parser, default=4)


def add_class_subsets_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--class-subsets`, label spaces over whose classes the mean IoU is given too."""
    parser.add_argument(
        "--class-subsets",
        nargs="*",
        default=[],
        metavar="LABEL_SPACE",
        help="label spaces: the mean IoU is also computed over the classes of each, e.g. synthia16 synthia13",
    )


def flags(**values: object) -> str:
    """Return a flag for each value that is not empty, quoted for the shell: flags(target=[]) is empty."""
    return " ".join(
        f"--{name.replace('_', '-')} {_quoted(value)}"
        for name, value in values.items()
        if value not in (None, [], "", ())
    )


def _quoted(value: object) -> str:
    words = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    return shlex.join(map(str, words))


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


def add_mask_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--ego-vehicle-mask`."""
    parser.add_argument(
        "--ego-vehicle-mask", type=Path, help="image that is not black where the own vehicle is"
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
        if not (name and equals and path and is_one_line(name)):
            raise InputError(f"{flag}: found `{argument}`, expected {form}")
        if name in found:
            raise InputError(f"{flag}: the name `{name}` is given twice")
        found[name] = Path(path)
    return found


def model_file(text: str) -> Path:
    """Read an argument that is a model: its weights file, or its folder.

    argparse.ArgumentTypeError when the folder holds no weights.
    """
    try:
        return weights_file(Path(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_model_argument(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add `--model`, one or several, and `--temperature`."""
    parser.add_argument(
        "--model",
        type=model_file,
        nargs="+",
        required=required,
        help="folder of the model (its averaged weights, if there are any), or a .safetensors file; the "
        "probabilities of several models are averaged",
    )
    parser.add_argument(
        "--temperature",
        type=Path,
        nargs="+",
        default=[],
        help="temperature.json of each model, as calibrate wrote it (default: confidences as they are)",
    )
    add_allow_code_argument(parser)


def add_allow_code_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--allow-code`, the networks of the user's own that weights files may name."""
    parser.add_argument(
        "--allow-code",
        nargs="+",
        default=[],
        metavar="MODULE:FUNCTION",
        help="import path of a network of your own, as network.name in the configuration: weights files that "
        "name this function, and no other, may run it",
    )


def add_device_argument(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Add `--device`."""
    default = None if required else "auto"
    parser.add_argument(
        "--device",
        default=default,
        required=required,
        choices=get_args(Device),
        help="what the networks run on"
        if required
        else "what the networks run on (default: a GPU if there is one)",
    )


def add_gpus_per_training_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--gpus-per-training`, as the key of the configuration."""
    parser.add_argument(
        "--gpus-per-training", type=positive, default=1, help="GPUs that share one training (default: 1)"
    )


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every step that runs a trained network takes: settings, device, threads."""
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="how images go through the network: JSON or YAML file, as results/RUN/settings/prediction.json "
        "(default: whole images, once, at their own size)",
    )
    add_device_argument(parser)
    add_threads_argument(parser, default=1)


def inference_settings(path: Path | None) -> "InferenceSettings":
    """Return the settings in the file of `--settings`, or the defaults; InputError lists mistakes."""
    from cotrain.configuration.reading import read_settings
    from cotrain.configuration.sections import InferenceSettings

    return InferenceSettings() if path is None else read_settings(path, InferenceSettings)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides the batches of a training: name, settings, classes, manifests and their companions."""
    parser.add_argument("--name", required=True, help="name of the model; its crops depend on it")
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="settings of the training, such as results/RUN/settings/training/STAGE.json",
    )
    add_label_space_argument(parser)
    parser.add_argument(
        "--source", type=Path, nargs="+", required=True, help="manifests of the labelled source"
    )
    parser.add_argument("--target", type=Path, help="manifest of the (pseudo-)labelled target")
    parser.add_argument(
        "--thresholds",
        type=Path,
        nargs="*",
        default=[],
        help="thresholds.json of each model that labelled the target, for class mixing on demand",
    )
    parser.add_argument(
        "--class-statistics", type=Path, nargs="*", default=[], help="one file per source manifest"
    )
    parser.add_argument(
        "--decoded", type=Path, nargs="*", default=[], help="index.tsv files that decode_images wrote"
    )


def training_files(options: argparse.Namespace, initial_weights: Path | None = None) -> "TrainingFiles":
    """Return the files that `add_training_arguments` asked for."""
    from cotrain.training.inputs import TrainingFiles

    return TrainingFiles(
        source=options.source,
        target=options.target,
        thresholds=options.thresholds,
        class_statistics=options.class_statistics,
        decoded=options.decoded,
        initial_weights=initial_weights,
    )


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Parse `arguments` and send the library's messages to standard error and to `--log-file`.

    Call it before torch is loaded: it also bounds how long threads that wait keep a core busy.
    """
    options = parser.parse_args(arguments)
    _refuse_overwriting(vars(options))
    bound_spinning()
    terminal = logging.StreamHandler(sys.stderr)
    handlers: list[logging.Handler] = [terminal]
    if options.log_file:
        if os.environ.get(MESSAGES_IN_LOG_ONLY):
            terminal.addFilter(_is_for_terminal)
        handlers.append(_log_file(options.log_file))
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        # On a terminal a progress bar may stand in the line.
        begin = CLEARED_LINE if handler is terminal and sys.stderr.isatty() else ""
        handler.setFormatter(logging.Formatter(f"{begin}%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return options


def _refuse_overwriting(values: Mapping[str, object]) -> None:
    """Raise InputError if a step would write over a file that it is given to read."""
    for key in ("output", "log_file"):
        output = values.get(key)
        others = [value for name, value in values.items() if name != key]
        paths = [path for value in others for path in (value if isinstance(value, list) else [value])]
        inputs = [path for path in paths if isinstance(path, Path) and path.is_file()]
        if isinstance(output, Path):
            refuse_overwriting([output], inputs, f"--{key.replace('_', '-')}")


def _log_file(path: Path) -> logging.Handler:
    """Return what writes messages into a file; on a full disk they are lost, without an error for each.

    Snakemake removes the log of a job before it tries the job again. So until a step has succeeded, its log
    has a second name, from which it gets its first one back.
    """
    unfinished = _unfinished(path)
    try:
        make_folder(path.parent)
        with suppress(OSError):
            if unfinished.exists() and not path.exists():
                os.link(unfinished, path)
                with open(path, "a", encoding="utf-8") as file:
                    file.write(f"{ANOTHER_ATTEMPT}\n")
        handler = logging.FileHandler(path, mode="a", encoding="utf-8", errors="backslashreplace")
        # Not on every disk; the log then begins again with each attempt.
        with suppress(OSError):
            os.link(path, unfinished)
    except OSError as error:
        raise InputError(f"--log-file: {path} cannot be written ({os.strerror(error.errno or 0)})") from error
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    return handler


def _unfinished(log: str | Path) -> Path:
    return Path(log).with_name(f".{Path(log).name}{UNFINISHED}")


def messages_of(path: str | Path) -> list[str]:
    """Return the messages of the last attempt in a log, each in one line; of a list of problems the first."""
    messages: list[str] = []
    for line in _last_attempt(path).splitlines():
        if line[2:3] == line[5:6] == ":":
            messages.append(line[8:].strip())
        elif messages and messages[-1].endswith(":"):
            messages[-1] += f" {line.strip()}"
    return messages


def error_in(path: str | Path) -> str | None:
    """Return the error that ended the last attempt in a log, with all its lines; None if none did."""
    errors = re.split(r"^\d\d:\d\d:\d\d  error: ", _last_attempt(path), flags=re.MULTILINE)
    return errors[-1].strip() if len(errors) > 1 else None


def _last_attempt(path: str | Path) -> str:
    """Return what the last attempt of a job has written into its log; nothing if there is no log."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(ANOTHER_ATTEMPT)[2]


def unfinished_logs(logs: Path) -> dict[str, Path]:
    """Return the logs of jobs that have begun and not succeeded, by their names below `logs`, in order.

    Such a log still has a second name.
    """
    found = {}
    for path in sorted(logs.rglob(f".*{UNFINISHED}")):
        name = path.with_name(path.name.removeprefix(".").removesuffix(UNFINISHED)).relative_to(logs)
        found[str(name.with_suffix(""))] = path
    return found


def _finish_logs() -> None:
    """Let the next run of a step that has succeeded begin a log of its own."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            with suppress(OSError):
                _unfinished(handler.baseFilename).unlink(missing_ok=True)


def _is_for_terminal(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or getattr(record, "is_progress", False)


def bound_spinning() -> None:
    """Let threads that wait for each other spin only briefly, unless the user's environment says how long.

    Without a bound, a training on a machine that also does other work takes several times as long; with it,
    nothing is lost on an idle one (docs/performance.md). OpenMP's libraries read this when they are loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for variable, value in SPINNING.items():
            os.environ.setdefault(variable, value)


def run(main: Callable[[], None]) -> None:
    """Run a step; a mistake of the user or a fault of the machine ends in one message and status 2.

    A defect of ours ends in a traceback.
    """
    try:
        main()
        _finish_logs()
    except InputError as error:
        logger.error("error: %s", error)
        sys.exit(2)
    except OSError as error:
        if error.errno not in FAULTS_OF_THE_MACHINE:
            logger.exception("unexpected error")
            sys.exit(1)
        place = f"{error.filename}: " if error.filename else ""
        logger.error("error: %s%s", place, FAULTS_OF_THE_MACHINE[error.errno])
        sys.exit(2)
    except KeyboardInterrupt:
        logger.error("interrupted")
        sys.exit(128 + signal.SIGINT)
    except Exception:
        logger.exception("unexpected error")
        sys.exit(1)
