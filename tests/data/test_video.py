import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cotrain.data.video import chosen_frames, frames, number_of_frames, open_video
from cotrain.errors import InputError

PROJECT = Path(__file__).parents[2]

# Grey values of the frames of a video: it stands still twice.
SHADES = [10, 10, 10, 60, 60, 200, 200, 200, 200, 20]


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for shade in SHADES:
        writer.write(np.full((48, 64, 3), (shade, shade, 255 - shade), np.uint8))
    writer.release()
    return path


def test_frames_are_rgb_and_in_order(video):
    read = list(frames(video))
    assert number_of_frames(video) == len(read) == len(SHADES)
    for frame, shade in zip(read, SHADES, strict=True):
        assert frame.shape == (48, 64, 3)
        # The first channel is red, but for what JPEG changes.
        assert np.abs(frame.reshape(-1, 3).mean(0) - (255 - shade, shade, shade)).max() < 6


def test_every_kth_frame_from_the_first_on(video):
    assert [number for number, _ in chosen_frames(video, 3)] == [0, 3, 6, 9]
    assert [number for number, _ in chosen_frames(video, 100)] == [0]


def test_frames_that_stand_still_are_left_out(video):
    assert [number for number, _ in chosen_frames(video, 1, change=0.05)] == [0, 3, 5, 9]
    # Compared with the last one taken, not with the frame before.
    assert [number for number, _ in chosen_frames(video, 1, change=0.0)] == list(range(len(SHADES)))
    assert [number for number, _ in chosen_frames(video, 1, change=1.0)] == [0]


def write_gif(path, shades, duration):
    # With noise in each: else Pillow writes only what changes, and times with it.
    rng = np.random.default_rng(0)
    noise = rng.integers(-9, 10, (len(shades), 48, 64, 3))
    means = [np.array((shade, 20, 230 - shade)) for shade in shades]
    pictures = [
        Image.fromarray((mean + one).astype(np.uint8)) for mean, one in zip(means, noise, strict=True)
    ]
    more = {} if duration is None else {"duration": duration}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **more)


@pytest.mark.parametrize(
    ("duration", "rate"),
    # As browsers show them: ten a second where the file does not say.
    [(None, 10), (0, 10), (10, 10), (50, 20), ([100, 200, 300], 5)],
)
def test_all_frames_of_a_gif(tmp_path, duration, rate):
    path = tmp_path / "a.gif"
    write_gif(path, (10, 90, 200), duration)
    if duration is None:
        assert b"\x21\xf9\x04" not in path.read_bytes()
    with open_video(path) as video:
        assert (video.width, video.height, video.promised) == (64, 48, 3)
        assert video.rate == pytest.approx(rate)
        read = list(video.frames)
    for frame, shade in zip(read, (10, 90, 200), strict=True):
        assert np.abs(frame.reshape(-1, 3).mean(0) - (shade, 20, 230 - shade)).max() < 3


def test_a_gif_that_is_no_gif(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a and no more")
    with pytest.raises(InputError, match=r"a\.gif: cannot be read as a video, expected a video such as MP4"):
        number_of_frames(tmp_path / "a.gif")


def test_a_gif_of_too_many_pixels_is_not_decoded(tmp_path):
    write_gif(tmp_path / "a.gif", (10, 90), 100)
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[:6] + b"\xff\xff\xff\xff" + content[10:])
    with pytest.raises(InputError, match=r"a\.gif: .*65535"):
        number_of_frames(tmp_path / "a.gif")


SAID_BY_LIBRARIES = """
import sys
from pathlib import Path
from cotrain.data.video import number_of_frames
from cotrain.errors import InputError
for path in sys.argv[1:]:
    try:
        number_of_frames(Path(path))
    except InputError:
        pass
"""


@pytest.mark.parametrize(
    ("variables", "is_quiet"),
    [({}, True), ({"OPENCV_LOG_LEVEL": "INFO"}, False), ({"OPENCV_FFMPEG_LOGLEVEL": "24"}, False)],
)
def test_libraries_are_silent_unless_they_are_asked(tmp_path, video, variables, is_quiet):
    (tmp_path / "cut.avi").write_bytes(video.read_bytes()[:300])
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    # What a test before this one has set is not the user's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    command = [sys.executable, "-c", SAID_BY_LIBRARIES, str(tmp_path / "cut.avi"), str(tmp_path / "a.mp4")]
    result = subprocess.run(
        command, env=environment | variables, cwd=PROJECT, capture_output=True, check=True
    )
    assert (result.stderr == b"") is is_quiet


def test_what_is_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("no video")
    with pytest.raises(InputError) as caught:
        list(frames(path))
    assert str(caught.value) == (
        f"{path}: cannot be read as a video, expected a video such as MP4 or WebM. If the recording or the "
        "copy of a video was cut off, it may lack its index, which is at the end of MP4 and MOV files"
    )
    path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        open_video(path, "a film")
    assert str(caught.value) == f"{path}: is empty (0 bytes), expected a film"
