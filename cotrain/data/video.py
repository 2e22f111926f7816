"""Frames of a video as photos of a camera: every k-th, or each that differs from the last one kept."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

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


# FFmpeg's word for no messages.
QUIET = "-8"
GIF_BEGINNING = b"GIF8"
# Browsers show a frame of a GIF that long whose time is missing or shorter than 20 ms.
SECONDS_OF_GIF_FRAME = 0.1
SHORTEST_GIF_FRAME = 0.02

# What is wrong with a video is said in our own words. A user's own setting wins.
_is_quiet = (
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", QUIET) == QUIET and "OPENCV_LOG_LEVEL" not in os.environ
)


@contextmanager
def silent() -> Iterator[None]:
    """Drop what a library written in C says on standard error, unless the user's environment asks for it.

    Some parts of OpenCV write there without asking for the level of its log.
    """
    if not _is_quiet:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@dataclass(frozen=True)
class Video:
    """A video that is open for reading. Use it as a context manager.

    `rate` is in frames a second, `promised` is the number of frames; both are what the file says, and 0 if it
    does not say. `frames` yields RGB (H, W, 3) uint8, upright, and ends where no more can be read.
    """

    width: int
    height: int
    rate: float
    promised: int
    frames: Iterator[Frame]
    close: Callable[[], None]

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_video(path: Path, expected: str = "a video such as MP4 or WebM") -> Video:
    """Return the opened video.

    InputError if it cannot be read, or has frames too large to read; `expected` says what could be there.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(len(GIF_BEGINNING))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not beginning:
        raise InputError(f"{path}: is empty (0 bytes), expected {expected}")
    video = _opened_gif(path) if beginning == GIF_BEGINNING else _opened_by_opencv(path)
    if video is None:
        raise InputError(
            f"{path}: cannot be read as a video, expected {expected}. If the recording or the copy of a "
            "video was cut off, it may lack its index, which is at the end of MP4 and MOV files"
        )
    return video


def _opened_by_opencv(path: Path) -> Video | None:
    with silent():
        video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        return None

    width, height = (int(video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_pixels(path, width, height)

    def frames() -> Iterator[Frame]:
        while True:
            read, frame = video.read()
            if not read:
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    return Video(
        width,
        height,
        video.get(cv2.CAP_PROP_FPS),
        max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))),
        frames(),
        video.release,
    )


def _opened_gif(path: Path) -> Video | None:
    """Return an opened GIF: of one whose frames have no times, OpenCV reads only the first frame."""
    # Pillow's decoders raise all kinds of errors for broken bytes.
    try:
        image = Image.open(path, formats=("GIF",))
        check_pixels(path, *image.size)
        number: int = getattr(image, "n_frames", 1)
        times = []
        for place in range(number):
            image.seek(place)
            times.append(image.info.get("duration", 0) / 1000)
    except InputError:
        raise
    except Exception:
        return None
    seconds = sum(time if time >= SHORTEST_GIF_FRAME else SECONDS_OF_GIF_FRAME for time in times)

    def frames() -> Iterator[Frame]:
        for place in range(number):
            try:
                image.seek(place)
                frame = np.asarray(image.convert("RGB"), dtype=np.uint8)
            except Exception:
                return
            yield frame

    return Video(image.width, image.height, number / seconds, number, frames(), image.close)


def frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a video as `Video.frames` does; InputError if there is none."""
    with open_video(path) as video:
        found = False
        for frame in video.frames:
            found = True
            yield frame
        if not found:
            raise InputError(f"{path}: the video holds no frame that can be read")


def number_of_frames(path: Path) -> int:
    """Return how many frames the video says it has; 0 if it does not say."""
    with open_video(path) as video:
        return video.promised


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
            "be read; is it cut off?",
            *(video, promised, last),
        )
    write_text(output / LIST, "".join(f"{path.name}\n" for path in paths))
    return paths
