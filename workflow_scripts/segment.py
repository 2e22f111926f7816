"""Use a model: segment images, or a video.

in:  the folder of a model or its weights file (the probabilities of several models are averaged); a folder of
     images, one image, or a video file
out: for images OUTPUT/labels/NAME.png (train ids, which viewers show in colour) and OUTPUT/overlays/NAME.jpg;
     for a video OUTPUT/NAME.webm (VP8, which browsers play) with the overlay, and with --write-labels
     OUTPUT/labels/NAME/000000.png, …, in place of those of an earlier call. Below each overlay there is a
     legend of the classes

Images that cannot be read are left out. The first ten are named at the end, and the exit status is 2.
OUTPUT/done.jsonl says from what each picture was made: the same command makes only what is missing, and what
was made from another image or video of the same name is not replaced.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from msgspec import to_builtins

from cotrain.data.background import Background
from cotrain.data.checks import SHOWN_PROBLEMS
from cotrain.data.files import portable, refuse_overwriting, remove_partial, sha256_of, written_whole
from cotrain.data.images import (
    HEIF_SUFFIXES,
    IMAGE_SUFFIXES,
    check_image,
    image_size,
    is_picture,
    read_image,
    write_image,
    write_label,
)
from cotrain.data.journal import Journal
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.lists import look_into_folder, odd_name
from cotrain.data.manifests import Item
from cotrain.data.video import open_video, silent
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.pictures import overlay, with_legend
from cotrain.words import agreeing, counted
from workflow_scripts.command_line import (
    add_inference_arguments,
    add_model_argument,
    add_output_argument,
    inference_settings,
    logger,
    new_parser,
    parse,
    run,
    share,
)

if TYPE_CHECKING:
    from cotrain.networks.inference import Prediction

EXAMPLE = """python -m workflow_scripts.segment --model results/demo/models/final \\
    --input results/demo/data/camera_test/scenes/images --output by_hand/segmented"""
DEFAULT_FRAMES_PER_SECOND = 25.0
MOST_FRAMES_PER_SECOND = 1000.0
# What browsers play and OpenCV's packages can write: they encode no H.264, and VP9 takes five times as long.
VIDEO_SUFFIX, VIDEO_CODE = ".webm", "VP80"
# Stands in the journal: with another number here all images are segmented again.
VERSION = 3


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_model_argument(parser)
    parser.add_argument("--input", type=Path, required=True, help="folder of images, an image or a video")
    parser.add_argument("--opacity", type=share, default=0.5, help="of the colours, 0 to 1 (default: 0.5)")
    parser.add_argument(
        "--write-labels", action="store_true", help="for a video: also write the label of each frame"
    )
    add_inference_arguments(parser)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)
    if not options.input.exists():
        raise InputError(f"{options.input}: there is no such folder, image or video")
    images: list[Path] | None = None
    odd: list[Path] = []
    if options.input.is_dir():
        images, odd = look_into_folder(options.input, IMAGE_SUFFIXES, HEIF_SUFFIXES)
    elif is_picture(options.input):
        images = [options.input]
    results = [
        _Result(options.input, _name_of_video(options.input), (_video_output(options.output, options.input),))
    ]
    if images is not None:
        results = [_Result(image, image.stem, _outputs(options.output, image.stem)) for image in images]
    refuse_overwriting(
        [file for result in results for file in result.files], [result.made_from for result in results]
    )
    _refuse_replacing(results, options.output)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import Prediction, batches_of_one_size, predict, predict_images
    from cotrain.networks.weights import load_networks

    networks, space = load_networks(options.model, options.temperature, options.allow_code)
    settings = inference_settings(options.settings)
    torch.set_num_threads(options.threads)
    with claimed_device(options.device, settings.deterministic) as device:
        if images is not None:
            content = {
                "models": [sha256_of(path) for path in [*options.model, *options.temperature]],
                "settings": to_builtins(settings),
                "opacity": options.opacity,
                "version": VERSION,
            }

            def predictions(items: Sequence[Item], **more: Any) -> Iterator[Prediction]:
                # All images, whatever is done already: an interruption then changes no prediction.
                batches = batches_of_one_size(items, settings.batch_size)
                return predict(networks, batches, settings, device, options.threads, **more)

            left_out = [f"{path.parent}: {odd_name(Path(path.name))}" for path in odd]
            _segment_images(images, predictions, space, options.output, options.opacity, content, left_out)
        else:
            # Before it is read, as with images.
            facts = _facts_of_input(options.input, options.output)
            for network in networks:
                network.to(device).eval()

            def labels_of(batch: list[np.ndarray]) -> np.ndarray:
                return predict_images(networks, np.stack(batch), settings, device)[0]

            _segment_video(
                options.input,
                labels_of,
                space,
                options.output,
                opacity=options.opacity,
                write_labels=options.write_labels,
                batch_size=settings.batch_size,
            )
            with Journal(options.output / "done.jsonl") as journal:
                journal.add(results[0].name, {"version": VERSION, "input": facts}, results[0].files)
    logger.info("written to %s", options.output)


class _Result(NamedTuple):
    """What is written: from which file, its name in the journal, and the main files."""

    made_from: Path
    name: str
    files: Sequence[Path]


def _facts_of_input(path: Path, output: Path) -> list[str | int]:
    """Return the place, the size and the time of an image or video; OSError if it is not there.

    The place of a file in the working folder is given from `output`: it stays true when the working folder is
    moved with all that is in it, and says the same wherever the step is started.
    """
    file = path.stat()
    place = os.path.abspath(path)
    if Path(place).is_relative_to(Path.cwd()):
        place = os.path.relpath(place, output)
    return [place, file.st_size, file.st_mtime_ns]


def _refuse_replacing(results: Sequence[_Result], output: Path) -> None:
    """Raise InputError if a result would replace one that was made from another image or video.

    A file that was moved is not another one.
    """
    journal = Journal(output / "done.jsonl")
    replaced: list[tuple[_Result, str]] = []
    for result in results:
        content = journal.content_of(result.name)
        if content.get("version") != VERSION or not any(file.exists() for file in result.files):
            continue
        try:
            now, *state_now = _facts_of_input(result.made_from, output)
            place, *state = content["input"]
        except (OSError, KeyError, TypeError, ValueError):
            # What cannot be read is named later. Of a strange line nothing is known.
            continue
        before, after = (os.path.abspath(os.path.join(output, str(text))) for text in (place, now))
        if before != after and state != state_now:
            replaced.append((result, portable(Path(before))))
    if replaced:
        (result, before), more = replaced[0], ""
        if len(results) > 1:
            more = f" (so for {len(replaced)} of {len(results)} images)"
        raise InputError(
            f"--output: {result.files[0]} was made from {before}, and the result of {result.made_from} would "
            f"replace it{more}; choose another folder, or remove the earlier results"
        )


def _segment_images(
    images: Sequence[Path],
    predict: Callable[..., Iterator["Prediction"]],
    space: LabelSpace,
    output: Path,
    opacity: float,
    content: dict[str, Any],
    left_out: Sequence[str],
) -> None:
    """Write label and overlay of each image, in the background while the next images are predicted.

    `predict` takes the images, and what `cotrain.networks.inference.predict` takes by name; `content` says
    what pictures depend on besides their image, `left_out` why other images are not among these. Raises
    InputError at the end for those, and for images that cannot be read.
    """
    broken = list(left_out)
    conversions: list[str] = []

    def read(image: Path) -> np.ndarray:
        facts = check_image(image)
        conversions.append(facts.converted)
        return read_image(image)

    def refuse(item: Item, error: InputError) -> None:
        broken.append(str(error))
        progress.leave_out()

    def write(item: Item, image: np.ndarray, classes: np.ndarray) -> None:
        label, picture = _outputs(output, item.id)
        write_label(label, classes, space.palette)
        shown = overlay(image, classes, space.palette, opacity)
        write_image(picture, with_legend(shown, space.classes, space.palette))
        journal.add(item.id, made_from[item.id], [label, picture])

    items: list[Item] = []
    # What each image is before it is read: one that is replaced meanwhile is segmented again.
    made_from: dict[str, dict[str, Any]] = {}
    for image in images:
        try:
            item = Item(image.stem, image, *image_size(image))
            facts = _facts_of_input(image, output)
        except (InputError, OSError) as error:
            broken.append(str(error))
            continue
        items.append(item)
        made_from[item.id] = content | {"input": facts}
    total = len(images) + len(left_out)
    with Journal(output / "done.jsonl") as journal:
        done = journal.finished((item.id, made_from[item.id], _outputs(output, item.id)) for item in items)
        if done:
            logger.info(
                "%d of %s %s segmented already",
                *(len(done), counted(total, "image"), agreeing(len(done), "is", "are")),
            )
        missing = len(items) - len(done)
        with Background() as background, Progress(missing, "images", "segment") as progress:
            for one in predict(items, read=read, refused=refuse, done=done):
                background.call(write, one.item, one.image, one.classes)
                progress.advance()
    for conversion, number in Counter(filter(None, conversions)).items():
        logger.info(
            "%d of %s %s %s",
            *(number, counted(len(images), "image"), agreeing(number, "has", "have"), conversion),
        )
    if len(broken) == total == 1:
        raise InputError(broken[0])
    if broken:
        shown = "\n  ".join(broken[:SHOWN_PROBLEMS])
        limit = f" The first {SHOWN_PROBLEMS}:" if len(broken) > SHOWN_PROBLEMS else ""
        raise InputError(
            f"{len(broken)} of {total} images cannot be read; the rest is in {output}. Repair, rename or "
            f"remove {agreeing(len(broken), 'it', 'them')} and give the same command again: it makes "
            f"only what is missing.{limit}\n  {shown}"
        )


def _outputs(folder: Path, name: str) -> tuple[Path, Path]:
    """Return where the label and the overlay of an image go."""
    return folder / "labels" / f"{name}.png", folder / "overlays" / f"{name}.jpg"


def _video_output(folder: Path, video: Path) -> Path:
    """Return where a video with the overlay goes."""
    return folder / f"{video.stem}{VIDEO_SUFFIX}"


def _name_of_video(path: Path) -> str:
    """Return the name of a video in the journal, which is no name of an image."""
    return f"videos/{path.stem}"


def _segment_video(
    path: Path,
    labels_of: Callable[[list[np.ndarray]], np.ndarray],
    space: LabelSpace,
    output: Path,
    *,
    opacity: float,
    write_labels: bool,
    batch_size: int,
) -> None:
    """Write the video with an overlay on each frame, a legend below, and with `write_labels` each label.

    OpenCV writes even sizes: a last column or row is repeated where it has to be. Labels have the size of the
    frames.
    """
    video = open_video(
        path, "a folder of images, an image such as JPEG or PNG, or a video such as MP4 or WebM"
    )
    width, height, rate = video.width, video.height, video.rate
    # A damaged header may say anything.
    if not 0 < rate <= MOST_FRAMES_PER_SECOND:
        rate = DEFAULT_FRAMES_PER_SECOND
    right, below = width % 2, height % 2
    if right or below:
        logger.info(
            "%s: has %d × %d pixels, and only even sizes can be written; the video with the overlay has "
            "%d × %d: its last %s repeated",
            *(path, width, height, width + right, height + below),
            " and ".join(["column"] * right + ["row"] * below) + (" are" if right and below else " is"),
        )
    labels = output / "labels" / path.stem
    # They would lie among those of this call, or be taken for them.
    earlier = [file for file in labels.glob("*.png") if file.stem.isdecimal()]
    if earlier and not write_labels:
        logger.warning(
            "warning: %s holds the labels of an earlier call, which may be of another model; --write-labels "
            "replaces them",
            labels,
        )
    done = 0
    with (
        written_whole(_video_output(output, path)) as temporary,
        Progress(max(video.promised, 1), "frames", f"segment {path}") as progress,
    ):
        empty = np.zeros((height + below, width + right, 3), np.uint8)
        # The legend is drawn once; each frame takes the place of the one before.
        page = _even(with_legend(empty, space.classes, space.palette))
        size = (page.shape[1], page.shape[0])
        # FFmpeg says that WebM has no table of such codes, whichever is given.
        with silent():
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*VIDEO_CODE), rate, size)
        if not writer.isOpened():
            raise InputError(
                f"{output}: a video of {size[0]} × {size[1]} pixels and {rate:g} frames a second cannot "
                "be written as WebM; its width and height may be at most 16 383"
            )
        try:
            while batch := list(islice(video.frames, batch_size)):
                if write_labels and done == 0:
                    for file in earlier:
                        file.unlink()
                    remove_partial(labels / "*.png")
                for frame, label in zip(batch, labels_of(batch), strict=True):
                    picture = _even(overlay(frame, label, space.palette, opacity))
                    page[: picture.shape[0], : picture.shape[1]] = picture
                    writer.write(cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
                    if write_labels:
                        write_label(labels / f"{done:06d}.png", label, space.palette)
                    done += 1
                    progress.advance()
        finally:
            writer.release()
            video.close()
        if done == 0:
            raise InputError(f"{path}: the video holds no frame that can be read")
        # OpenCV does not say that a disk is full.
        frames_written = _number_of_frames(temporary)
        if frames_written != done:
            raise InputError(
                f"{output}: of {done} frames {frames_written} could be written as a video; is the disk full? "
                "Free some space and give the same command again"
            )
    if done < video.promised:
        logger.warning(
            "%s: the video ends early: %d of %d frames could be read, so it may be cut off or damaged; "
            "what was read is segmented",
            path,
            done,
            video.promised,
        )


def _even(picture: np.ndarray) -> np.ndarray:
    """Return the picture with even height and width: a last column or row is repeated where it has to be."""
    height, width = picture.shape[:2]
    return cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def _number_of_frames(path: Path) -> int:
    """Return how many frames can be decoded: the head of a file that was cut off may promise more."""
    with silent():
        video = cv2.VideoCapture(str(path))
        number = 0
        while video.grab():
            number += 1
        video.release()
    return number


if __name__ == "__main__":
    run(main)
