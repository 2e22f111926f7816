"""Frames of a video as photos of a camera: every k-th, or each that differs from the last one kept."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.files import make_folder, write_text
from cotrain.data.images import check_pixels, write_image
from cotrain.errors import InputError
from cotrain.progress import Progress

logger = logging.getLogger("cotrain")

Frame = NDArray[np.uint8]

# Width and height at which frames are compared: noise is averaged out, and moving things are not.
COMPARED = (64, 36)
# Beside the frames: their names, one a line.
LIST = "frames.txt"


@contextmanager
def silent() -> Iterator[None]:
    """Drop what a library written in C says on standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def open_video(path: Path) -> cv2.VideoCapture:
    """Return the opened video; InputError if it cannot be read, or has frames too large to read."""
    with silent():
        video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(
            f"{path}: cannot be read as a video; expected one that FFmpeg knows, such as MP4 or WebM"
        )
    check_pixels(path, int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return video


def frames_of(video: cv2.VideoCapture) -> Iterator[Frame]:
    """Yield the frames of an opened video as RGB (H, W, 3) uint8, upright."""
    while True:
        read, frame = video.read()
        if not read:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a video as `frames_of` does; InputError if there is none."""
    video = open_video(path)
    try:
        found = False
        for frame in frames_of(video):
            found = True
            yield frame
        if not found:
            raise InputError(f"{path}: the video holds no frame that can be read")
    finally:
        video.release()


def number_of_frames(path: Path) -> int:
    """Return how many frames the video says it has; 0 if it does not say."""
    video = open_video(path)
    try:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        video.release()


def chosen_frames(path: Path, every: int, change: float | None = None) -> Iterator[tuple[int, Frame]]:
    """Yield (number, frame) of every `every`-th frame of a video, from the first on.

    With `change` a frame is left out unless it differs that much from the last one that was yielded: by the
    mean absolute difference of their grey values at a small size, as a share of the whole range, in [0, 1].
    """
    last: NDArray[np.float32] | None = None
    for number, frame in enumerate(frames(path)):
        if number % every:
            continue
        if change is not None:
            small = cv2.resize(
                cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), COMPARED, interpolation=cv2.INTER_AREA
            )
            shades = np.asarray(small, dtype=np.float32) / 255
            if last is not None and float(np.abs(shades - last).mean()) < change:
                continue
            last = np.asarray(shades, dtype=np.float32)
        yield number, frame


def write_frames(video: Path, output: Path, every: int, change: float | None) -> list[Path]:
    """Write the chosen frames of a video and the list of them; return their paths."""
    if not video.is_file():
        raise InputError(f"{video}: there is no such video")
    promised = number_of_frames(video)
    make_folder(output)
    paths: list[Path] = []
    last = -1
    with Progress(max(promised // every, 1), "frames", f"frames of {video.name}") as progress:
        for number, frame in chosen_frames(video, every, change):
            path = output / f"{video.stem}_{number:06d}.jpg"
            write_image(path, frame)
            paths.append(path)
            last = number
            progress.advance()
    if change is None and last + every < promised:
        logger.warning(
            "%s: the video ends early: it says that it has %d frames, and of those after number %d none can "
            "be read; "
            "is it cut off, or an animated picture?",
            *(video, promised, last),
        )
    write_text(output / LIST, "".join(f"{path.name}\n" for path in paths))
    return paths
