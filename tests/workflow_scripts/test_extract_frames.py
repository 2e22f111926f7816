import cv2
import numpy as np
import pytest

from cotrain.errors import InputError
from workflow_scripts import extract_frames


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for shade in (10, 10, 60, 60, 200):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [([], range(5)), (["--every", "2"], (0, 2, 4)), (["--change", "0.05"], (0, 2, 4))],
)
def test_frames_and_their_list(video, tmp_path, caplog, flags, numbers):
    output = tmp_path / "frames"
    with caplog.at_level("INFO", logger="cotrain"):
        extract_frames.main(["--video", str(video), "--output", str(output), *flags])
    names = [f"a drive_{number:06d}.jpg" for number in numbers]
    assert (output / "frames.txt").read_text() == "".join(f"{name}\n" for name in names)
    assert sorted(path.name for path in output.iterdir()) == [*names, "frames.txt"]
    assert f"{len(names)} frames of {video} are in {output}" in caplog.text
    assert "ends early" not in caplog.text


def test_a_video_that_ends_before_it_says(video, tmp_path, caplog):
    content = video.read_bytes()
    # Of five frames, the last ones.
    video.write_bytes(content[: content.rindex(b"00dc", 0, content.index(b"idx1")) - 4])
    extract_frames.main(["--video", str(video), "--output", str(tmp_path / "frames"), "--every", "2"])
    assert "a drive.avi: the video ends early: it says that it has 5 frames" in caplog.text


def test_no_such_video(tmp_path):
    with pytest.raises(InputError, match="there is no such video"):
        extract_frames.main(["--video", str(tmp_path / "gone.mp4"), "--output", str(tmp_path / "frames")])
