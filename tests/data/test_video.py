import cv2
import numpy as np
import pytest

from cotrain.data.video import chosen_frames, frames, number_of_frames
from cotrain.errors import InputError

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


def test_what_is_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("no video")
    with pytest.raises(InputError, match="cannot be read as a video; expected one that FFmpeg knows"):
        list(frames(path))
