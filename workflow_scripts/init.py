"""Write a first configuration for your own camera.

in:  photos of the camera (a folder, a list or a video), and what to learn from: rendered streets, or labelled
     images of your own or of a published dataset
out: config/NAME.yaml, in which a comment explains every choice, and lists below lists/NAME. The run that it
     describes passes every check. Photos that cannot be read are left out and named.

Presets: `try` (minutes on a CPU), `laptop` (an evening on a CPU), `gpu` (hours on one GPU), `paper` (the
published schedule). The step measures how fast this machine is, and chooses the iterations by that. On a
terminal it asks for what is not given. Nothing is trained.
"""

import argparse
import os
import re
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import yaml

from cotrain.configuration.choices import LARGEST_STREET, SMALLEST_STREET
from cotrain.configuration.first_run import (
    MOST_DECODED_BYTES,
    MOST_ITERATIONS,
    PRESETS,
    Dataset,
    FirstRun,
    Photos,
    Preset,
    Sizes,
    Speed,
    configuration_text,
    every_photo,
    fitting_sizes,
    fitting_stages,
    preset_of,
    seconds_of_run,
    yaml_text,
)
from cotrain.configuration.names import RUN_PATTERN
from cotrain.configuration.reading import resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import (
    LONGEST_NAME,
    Configuration,
    DatasetSettings,
    ListsSettings,
    PublishedSettings,
    StreetsSettings,
)
from cotrain.data.checks import check_items
from cotrain.data.class_tables import class_table_names
from cotrain.data.file_names import in_one_line
from cotrain.data.files import write_bytes, write_text
from cotrain.data.images import IMAGE_SUFFIXES, is_picture, read_image
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import dataset_class_table, file_origins, find_dataset
from cotrain.data.lists import read_list
from cotrain.data.manifests import Item
from cotrain.data.photos import paired_folders, photos_below, usable_photos
from cotrain.data.trees import tree_layout_names
from cotrain.data.video import number_of_frames, write_frames
from cotrain.errors import InputError
from cotrain.progress import Progress, duration
from cotrain.reporting.overview import overview
from cotrain.words import agreeing, counted
from workflow_scripts.command_line import (
    add_device_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    positive,
    run,
    share,
)

EXAMPLE = """python -m workflow_scripts.init --target /data/my_photos
  python -m workflow_scripts.init --name car --target drive.mp4 --preset laptop --hours 2
  python -m workflow_scripts.init --target /data/my_photos --preset gpu --source gta5 /data/gta5 \\
    --test lists/test_images.txt lists/test_labels.txt cityscapes_train_ids"""

SHOWN = 10
PHOTOS = "photos.txt"
LIST_SUFFIXES = (".txt", ".lst", ".csv")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mjpeg", ".mjpg", ".m4v", ".mpg", ".mpeg")
# Frames that a video is split into, unless --every or --change says otherwise.
FRAMES = 300
SOURCE_FORMS = "`streets`, `LAYOUT ROOT` or `IMAGES LABELS CLASSES`"
TEST_FORMS = "`LAYOUT ROOT [SPLIT]` or `IMAGES LABELS CLASSES`"
# Photos of which the reading is timed.
TIMED = 8
FEW_PHOTOS = 20
# Of a training: more hardly read images faster.
MOST_THREADS = 8
# Than the time that a run may take.
MUCH_MORE = 1.25


class Set(NamedTuple):
    """A dataset that exists: its entry, its images, and what the comment says of it."""

    entry: Dataset
    items: Sequence[Item]

    @property
    def photos(self) -> Photos:
        """How many images it has of each size."""
        return Photos(Counter((item.height, item.width) for item in self.items))


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--target", type=users_path, help="photos of your camera: a folder, a list, or a video"
    )
    parser.add_argument("--name", default="my_camera", help="name of the run (default: my_camera)")
    parser.add_argument(
        "--source",
        nargs="+",
        action="append",
        metavar="SOURCE",
        help=f"labelled images to learn from: {SOURCE_FORMS}; IMAGES and LABELS are lists or folders, "
        "CLASSES is a class table (config/README.md names all). May be given several times (default: "
        "streets)",
    )
    parser.add_argument(
        "--test",
        nargs="+",
        metavar="TEST",
        help=f"labelled images of your camera, for scores: {TEST_FORMS} (default: none)",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help=f"{'; '.join(f'{name}: {preset.words}' for name, preset in PRESETS.items())} (default: try)",
    )
    parser.add_argument(
        "--hours", type=hours, help="time that the run may take (default: as the preset says)"
    )
    parser.add_argument("--label-space", help="classes to learn (default: as the preset says)")
    parser.add_argument(
        "--every", type=positive, help=f"of a video, take every k-th frame (default: {FRAMES} in all)"
    )
    parser.add_argument(
        "--change",
        type=share,
        help="of a video, take frames that differ by this share, e.g. 0.03 (extract_frames)",
    )
    add_device_argument(parser)
    add_threads_argument(parser, default=min(MOST_THREADS, number_of_cores()))
    options = parse(parser, arguments)
    ask_for_missing(options)
    if options.target is None:
        raise InputError(
            "--target: is missing, expected a folder of photos, a list or a video of your camera"
        )
    output = Path("config", f"{options.name}.yaml")
    check_name(options.name, output)
    command = shlex.join(["python", "-m", "workflow_scripts.init", *(arguments or sys.argv[1:])])
    lists, frames = Path("lists", options.name), Path("data", options.name, "frames")
    with nothing_left_of_a_failure(output, lists, frames):
        write_configuration(options, output, lists, frames, command)
    logger.info(
        "%s is written; now run: snakemake --configfile %s (it ends with a page of pictures, %s)",
        *(output, output, f"results/{options.name}/report/index.html"),
    )


@contextmanager
def nothing_left_of_a_failure(output: Path, lists: Path, frames: Path) -> Iterator[None]:
    """Put the folders of lists and of frames back as they were unless `output` is written meanwhile.

    Frames that were there before stay as they are then: they are those of an earlier call.
    """
    before = {path: path.read_bytes() for path in lists.glob("*.txt")}
    folders = (frames, frames.parent, frames.parent.parent, lists, lists.parent)
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except BaseException:
        if output.exists():
            raise
        for path in lists.glob("*.txt"):
            if path not in before:
                path.unlink()
            elif path.read_bytes() != before[path]:
                write_bytes(path, before[path])
        if frames in new:
            shutil.rmtree(frames, ignore_errors=True)
        for folder in new:
            # It was never made, or another process has written there.
            with suppress(OSError):
                folder.rmdir()
        raise


def write_configuration(
    options: argparse.Namespace, output: Path, lists: Path, frames: Path, command: str
) -> None:
    """Write the configuration, the lists and the frames of a video, and say what the run comes to.

    `command` is what made it.
    """
    preset_name = options.preset or "try"
    preset = PRESETS[preset_name]
    space = label_space(options.label_space or preset.label_space)
    threads = options.threads
    # What a person should read again at the end.
    warnings: list[str] = []
    target, left_out = target_of(options, lists, frames, threads, preset, warnings)
    sources: list[Set] = []
    for form in options.source or [["streets"]]:
        if form != ["streets"]:
            sources.append(
                labelled_set("--source", form, free_name(form, sources), lists, space.name, threads, warnings)
            )
    is_rendered = not sources or ["streets"] in (options.source or [])
    test = (
        labelled_set("--test", options.test, "camera_test", lists, space.name, threads, warnings)
        if options.test
        else None
    )
    if test:
        adapted = {os.path.realpath(item.image) for item in target.items}
        shared = sum(os.path.realpath(item.image) in adapted for item in test.items)
        if shared:
            warnings.append(
                f"{shared} of {counted(len(test.items), 'image')} of --test {agreeing(shared, 'is', 'are')} "
                "also among the photos of --target: the run adapts to the images that it is scored on, "
                "so its scores are too good"
            )

    sizes = fitting_sizes(preset, target.photos, [source.photos for source in sources])
    datasets = [source.entry for source in sources]
    if is_rendered:
        datasets = [*streets_entries(preset.streets, sizes), *datasets]
    source_names = [dataset.name for dataset in datasets]
    datasets.append(target.entry)
    if test:
        datasets.append(test.entry)
    choice = FirstRun(
        run=options.name,
        command=command,
        preset_name=preset_name,
        label_space=options.label_space or preset.label_space,
        datasets=datasets,
        source=source_names,
        test="camera_test" if test else None,
        target=target.photos,
        sizes=sizes,
        stages=preset.stages,
        threads=threads,
        device=options.device,
        decoded_cache=False,
        facts=[],
    )
    budget = options.hours or preset.hours
    speed, reading, device = measured(choice, target.items)
    if speed is not None:
        choice = choice._replace(
            stages=fitting_stages(preset_of(choice), len(target.items), speed, budget),
            decoded_cache=reading > speed.iteration and decoded_bytes(target.items) < MOST_DECODED_BYTES,
        )
    if speed is None:
        warnings.append(
            f"the preset {preset_name} is for a GPU, and this machine has none: here the run would take "
            "days. Take --preset laptop, give the run to a cluster (docs/clusters.md), or copy the "
            "configuration, the lists and the photos to a machine with a GPU"
        )
        if options.hours:
            warnings.append(f"--hours {options.hours:g} changed nothing: only what was measured fits a time")
    about = facts(choice, len(left_out), speed, device, budget)
    choice = choice._replace(facts=[*about, *(f"Warning: {warning}." for warning in warnings)])
    text = configuration_text(choice)
    # The same checks as a run makes; a problem here would be ours, and is told before a file is there.
    configuration = configuration_of(text)
    write_text(output, text)
    print(overview(configuration))
    for fact in about[1:]:
        logger.info("%s", fact)
    for warning in warnings:
        logger.warning("warning: %s", warning)


def number_of_cores() -> int:
    """Return how many cores this process may use."""
    # Not on every system.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def users_path(text: str) -> Path:
    """Read a path as people paste it: with quotes around it, or with ~ for the home folder.

    argparse.ArgumentTypeError for an empty one, which would be this folder.
    """
    name = text.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
    if not name:
        raise argparse.ArgumentTypeError("found an empty text, expected a path")
    return Path(os.path.expanduser(name))


def hours(text: str) -> float:
    """Read an argument that is a number of hours above 0; argparse.ArgumentTypeError when it is not."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError(f"found {text}, expected a number of hours above 0, such as 1.5")
    return value


def check_name(name: str, output: Path) -> None:
    """Raise InputError unless a run may have this name and has no configuration yet."""
    if not re.fullmatch(RUN_PATTERN, name) or len(name) > LONGEST_NAME:
        raise InputError(
            f"--name: found {name!r}, expected at most {LONGEST_NAME} letters, digits, '_', '-' and '.', "
            "and no '.' at the beginning"
        )
    if output.exists():
        raise InputError(f"{output}: there is one already; choose another --name, or remove the file")


def ask_for_missing(options: argparse.Namespace) -> None:
    """Ask on a terminal for the photos, the preset, the source and the test set, if they are not given."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    values = vars(options)
    # Whoever gives the photos knows the flags.
    if values["target"] is not None:
        return
    values["target"] = ask("Photos of your camera (folder, list or video)", existing)
    if values["preset"] is None:
        for name, preset in PRESETS.items():
            sys.stderr.write(f"  {name:<7} {preset.words}\n")
        values["preset"] = ask("How long may it take", known(PRESETS), "try")
    if values["source"] is None:
        values["source"] = [ask(f"Labelled images to learn from: {SOURCE_FORMS}", words, "streets")]
    if values["test"] is None:
        values["test"] = ask(f"Labelled photos of your camera, for scores: {TEST_FORMS}", words, "") or None
    values["name"] = ask("Name of the run", str, values["name"])


def existing(text: str) -> Path:
    """Read the path of something that is there; ValueError if it is not."""
    path = users_path(text)
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return path


def words(text: str) -> list[str]:
    """Read an answer of several words; ValueError in our words for quotes that do not end."""
    try:
        return shlex.split(text)
    except ValueError:
        raise ValueError("a quote has no end") from None


def known(names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that takes one of `names`."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return text

    return read


def ask(question: str, read: Callable[[str], object], default: str | None = None) -> object:
    """Ask until there is an answer that can be read; an empty answer is the default."""
    shown = "" if default is None else f" [{default or 'none'}]"
    while True:
        sys.stderr.write(f"{question}{shown}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise InputError("no answer; give the flags that `--help` shows")
        text = line.strip() or default
        if text is None:
            continue
        try:
            return read(text)
        except ValueError as error:
            sys.stderr.write(f"  {error}\n")


# ------------------------------------------------------------------------------------------- photos


def target_of(
    options: argparse.Namespace,
    lists: Path,
    frames: Path,
    threads: int,
    preset: Preset,
    warnings: list[str],
) -> tuple[Set, dict[Path, str]]:
    """Return the photos of the camera that the run takes, listed in a file, and why others are left out."""
    path: Path = options.target
    if not path.exists():
        raise InputError(f"--target: {path} does not exist, expected a folder of photos, a list or a video")
    comment = "Your photos."
    is_video = not path.is_dir() and path.suffix.lower() not in LIST_SUFFIXES and not is_picture(path)
    for flag in ("every", "change"):
        if not is_video and getattr(options, flag) is not None:
            raise InputError(f"--{flag}: is for a video, found {path}")
    if path.is_dir():
        if Path.cwd().is_relative_to(path.resolve()):
            raise InputError(
                f"--target: {path} is the folder of the run itself, with all that it makes; expected a "
                "folder that holds only photos"
            )
        paths, others = photos_below(path)
        if others:
            kinds = ", ".join(f"{number} {suffix}" for suffix, number in others.most_common(SHOWN))
            logger.info("%s: not looked at, by their names no photos: %s", path, kinds)
    elif path.suffix.lower() in LIST_SUFFIXES:
        if os.path.realpath(path) == os.path.realpath(lists / PHOTOS):
            raise InputError(
                f"--target: {path} is the list that this step writes, and would be replaced; move it to "
                "another place, or choose another --name"
            )
        paths = [image for _, image in read_list(path)]
    elif not is_video:
        paths = [path]
    else:
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            raise InputError(
                f"--target: found {path}, expected a folder, a list whose name ends in "
                f"{', '.join(LIST_SUFFIXES)}, "
                f"or a video whose name ends in {', '.join(VIDEO_SUFFIXES)}"
            )
        every = options.every
        change = options.change
        if every is None:
            every = 1 if change is not None else max(1, -(-number_of_frames(path) // FRAMES))
        paths = write_frames(path, frames, every, change)
        kind = f"one in {every} frames" if every > 1 else "the frames"
        comment = f"Photos are {kind} of {path}{f' that differ by {change:g}' if change is not None else ''}."
    items, left_out = usable_photos(paths, threads)
    for image, reason in list(left_out.items())[:SHOWN]:
        logger.warning("left out %s: %s", in_one_line(image), reason)
    if len(left_out) > SHOWN:
        logger.warning("and %d more", len(left_out) - SHOWN)
    if not items:
        first = next(iter(left_out.items()), None)
        raise InputError(
            f"--target: no photo in {path} can be used; the first: {in_one_line(first[0])}: {first[1]}"
            if first
            else f"--target: {path} holds no photo, expected files whose names end in "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    number = len(items)
    every = every_photo(preset, number)
    items = items[::every]
    file = lists / PHOTOS
    write_text(file, "".join(f"{item.image}\n" for item in items))
    if every > 1:
        logger.info(
            "taking one in %d of these photos, %d in all: enough for a run this short", every, len(items)
        )
        comment += (
            f" The list has one in {every} of {number}, enough for a run this short; for a longer one, list "
            "all."
        )
    entry = Dataset("camera", f"{{layout: lists, images: {yaml_text(file)}}}", comment)
    return Set(entry, items), left_out


# ---------------------------------------------------------------------------------- labelled images


def free_name(form: Sequence[str], sources: Sequence[Set]) -> str:
    """Return a name in `datasets` for a source."""
    name = form[0] if form[0] in tree_layout_names() else "source"
    taken = {source.entry.name for source in sources}
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def labelled_set(
    flag: str, form: Sequence[str], name: str, lists: Path, space: str, threads: int, warnings: list[str]
) -> Set:
    """Return the labelled images that `flag` names, checked to their last pixel; adds to `warnings`."""
    forms = SOURCE_FORMS if flag == "--source" else TEST_FORMS
    settings: DatasetSettings
    is_own_layout = form[0].endswith((".yaml", ".yml"))
    if (form[0] in tree_layout_names() or is_own_layout) and 2 <= len(form) <= 3:
        split = form[2] if len(form) == 3 else None
        root = os.path.abspath(os.path.expanduser(form[1]))
        if not os.path.isdir(root):
            raise InputError(f"{flag}: there is no folder {form[1]}, expected the root of {form[0]}")
        settings = PublishedSettings(layout=form[0], root=root, split=split)
        of_split = f", split: {yaml_text(split)}" if split else ""
        text = f"{{layout: {yaml_text(form[0])}, root: {yaml_text(root)}{of_split}}}"
        comment = f"{form[0]}, as its makers publish it."
    elif len(form) == 3:
        if form[2] not in class_table_names() and not os.path.isfile(form[2]):
            raise InputError(
                f"{flag}: found the class table {form[2]}, expected one of "
                f"{', '.join(class_table_names())}, or a "
                ".yaml file (config/README.md says how to write one)"
            )
        images, labels = listed(flag, users_path(form[0]), users_path(form[1]), lists, name)
        settings = ListsSettings(layout="lists", images=str(images), labels=str(labels), classes=form[2])
        files_of = f"images: {yaml_text(images)}, labels: {yaml_text(labels)}"
        text = f"{{layout: lists, {files_of}, classes: {yaml_text(form[2])}}}"
        comment = "Your labelled images."
    else:
        close = get_close_matches(form[0].lower(), [*tree_layout_names(), "streets"], 1)
        meant = f" (did you mean {close[0]}?)" if close and close[0] != form[0] else ""
        more = "; give --source once for each" if form[0] == "streets" else ""
        raise InputError(
            f"{flag}: found {shlex.join(form)}{meant}, expected {forms}{more}; layouts are "
            f"{', '.join(tree_layout_names())}"
        )
    try:
        files = find_dataset(name, settings, labelled=True)
        table = dataset_class_table(name, settings)
    except InputError as error:
        # The library calls it by its name in a configuration.
        message = str(error).removeprefix(f"datasets.{name}").removeprefix(".").removeprefix(": ")
        raise InputError(f"{flag}: {message}") from error
    with Progress(len(files.items), "images", f"checking {flag.removeprefix('--')}") as progress:
        report = check_items(
            files.items,
            table,
            label_space(space),
            file_origins(name, settings, labelled=True),
            threads,
            progress,
            flag,
            # Published datasets are large; the run reads all of it before it trains.
            quick=isinstance(settings, PublishedSettings),
        )
    warnings += [f"{flag}: {warning.rstrip('.')}" for warning in report["warnings"]]
    if flag == "--test":
        comment = f"{comment[:-1]}: for scores only. Nothing is trained on them or chosen by them."
    return Set(Dataset(name, text, comment), files.items)


def listed(flag: str, images: Path, labels: Path, lists: Path, name: str) -> tuple[Path, Path]:
    """Return two lists of files in one order: those given, or new ones of two folders, paired by name."""
    for path in (images, labels):
        if not path.exists():
            raise InputError(f"{flag}: {path} does not exist, expected a list or a folder")
    if images.is_file() and labels.is_file():
        return images, labels
    if images.is_file() or labels.is_file():
        raise InputError(f"{flag}: found a list and a folder, expected two lists or two folders")
    try:
        pairs = paired_folders(images, labels)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from error
    outputs = lists / f"{name}_images.txt", lists / f"{name}_labels.txt"
    for output, files in zip(outputs, zip(*pairs, strict=True), strict=True):
        write_text(output, "".join(f"{os.path.abspath(file)}\n" for file in files))
    return outputs


def streets_entries(number: int, sizes: Sizes) -> list[Dataset]:
    """Return the entries of rendered streets, `number` of each look, with the proportions of the camera."""
    height, width = (min(max(side, SMALLEST_STREET), LARGEST_STREET) for side in sizes.streets)
    keys = f"layout: streets, images: {number}, width: {width}, height: {height}"
    return [
        Dataset(
            "streets",
            f"{{{keys}, look: game}}",
            "Rendered by the run, with labels. Your own synthetic images, or a published dataset, are "
            "better.",
        ),
        Dataset(
            "streets_camera",
            f"{{{keys}, look: camera}}",
            "Others, with the light and the noise of a camera: dark photos need them.",
        ),
    ]


# --------------------------------------------------------------------------------------------- time


def configuration_of(text: str) -> Configuration:
    """Return the configuration that the text gives."""
    return resolve(yaml.safe_load(text))


def measured(choice: FirstRun, photos: Sequence[Item]) -> tuple[Speed | None, float, str]:
    """Return how fast this machine is, the seconds that reading a batch takes, and the device.

    No speed for a network that is meant for a GPU where there is none.
    """
    configuration = configuration_of(configuration_text(choice))
    plan, space = RunPlan(configuration), label_space(configuration.label_space)
    settings = plan.training_settings("self_training")

    started = time.monotonic()
    timed = photos[:: max(1, len(photos) // TIMED)][:TIMED]
    for item in timed:
        read_image(item.image)
    reading = (time.monotonic() - started) / len(timed) * settings.batch_size / choice.threads

    import torch

    from cotrain.devices import claimed_device
    from cotrain.training.estimate import measured_speed

    torch.set_num_threads(choice.threads)
    with claimed_device(choice.device, deterministic=False) as device:
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        if device.type == "cpu" and choice.preset_name in ("gpu", "paper"):
            return None, reading, kind
        logger.info("measuring how fast this machine is (%s, %s)", kind, of_threads(choice.threads))
        speed = measured_speed(
            "self_training", settings, settings.batch_size, space, timed, plan.prediction_settings(), device
        )
    # A frame in which a scene is rendered takes about a microsecond and a half a pixel, on one core.
    pixels = sum(
        entry.images * entry.width * entry.height
        for entry in configuration.datasets.values()
        if isinstance(entry, StreetsSettings)
    )
    rendering = 1.5e-6 * pixels / choice.threads
    return Speed(max(speed.seconds_a_step, reading), speed.seconds_an_image, rendering), reading, kind


def of_threads(number: int) -> str:
    return counted(number, "thread")


def decoded_bytes(photos: Sequence[Item]) -> int:
    """Return the bytes of all photos when they are kept decoded."""
    return sum(3 * item.width * item.height for item in photos)


def facts(
    choice: FirstRun, left_out: int, speed: Speed | None, device: str, budget: float | None
) -> list[str]:
    """Return the lines at the head of the configuration; `left_out` is the number of files left out."""
    preset, photos = preset_of(choice), choice.target
    number = f"{photos.number} photos" if photos.number > 1 else "one photo"
    height, width = photos.middle
    sizes = f"of {width}×{height} pixels"
    if len(photos.sizes) > 1:
        sizes = f"of {len(photos.sizes)} sizes, the usual is {width}×{height}"
    lines = [f"A first run for {number} {sizes}, with the preset `{choice.preset_name}` ({preset.words})."]
    if left_out:
        files = f"{left_out} files are" if left_out > 1 else "One file is"
        lines.append(f"{files} left out; init has said why.")
    if photos.number < FEW_PHOTOS:
        lines.append("With so few photos, a model learns these photos and hardly the camera.")
    if speed is None:
        lines.append(
            f"The schedule is the preset's. It was not measured, because this machine has no GPU ({device})."
        )
        return lines
    seconds = seconds_of_run(preset, choice.stages, photos.number, speed)
    lines.append(
        f"Measured here ({device}, {of_threads(choice.threads)}): {1 / speed.iteration:.2g} iterations a "
        f"second. The run takes about {duration(seconds)}."
    )
    if budget is not None and seconds > MUCH_MORE * budget * 3600:
        lines.append(
            f"That is more than the {duration(budget * 3600)} that it may take. With fewer iterations, this "
            "preset would learn next to nothing."
        )
    if choice.stages == MOST_ITERATIONS:
        lines.append("It has the published iterations; more were never tried.")
    return lines


if __name__ == "__main__":
    run(main)
