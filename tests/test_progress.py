import contextlib
import fcntl
import io
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from time import sleep as wait

import pytest

from cotrain import progress
from cotrain.progress import Progress, duration, fitted, map_in_threads


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (7859, "2 h 10 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that only moves when a test sets it."""
    now = {"time": 100.0}
    monkeypatch.setattr(progress.time, "monotonic", lambda: now["time"])
    return now


def test_a_log_gets_a_line_from_time_to_time(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "cotrain"), Progress(100, "images", "predict") as bar:
        for _ in range(40):
            clock["time"] += 1
            bar.advance("loss 0.5")
    # 1 image per second, a line every 15 seconds, and the sum at the end.
    assert caplog.messages == [
        "predict: 15/100 images, 1 min 25 s left, 1/s, loss 0.5",
        "predict: 30/100 images, 1 min 10 s left, 1/s, loss 0.5",
        "predict: 40 images in 40 s, 1/s",
    ]


def test_work_done_before_does_not_count_for_the_speed(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "cotrain"), Progress(1000, "iterations", "train", done=800) as bar:
        for _ in range(99):
            bar.advance()
        clock["time"] += 20
        bar.advance()
    assert caplog.messages == [
        "train: 900/1000 iterations, 20 s left, 4.95/s",
        "train: 100 iterations in 20 s, 5/s",
    ]


def test_starting_up_does_not_count_for_the_time_left(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "cotrain"), Progress(10, "images", "predict") as bar:
        clock["time"] += 90
        bar.advance()
        clock["time"] += 20
        bar.advance()
    # The first image, with all that came before it, says nothing of the eight to come.
    assert caplog.messages[:2] == ["predict: 1/10 images", "predict: 2/10 images, 2 min 40 s left, 0.05/s"]


def test_a_pause_is_forgotten_after_five_minutes(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "cotrain"), Progress(2000, "iterations", "train") as bar:
        for iteration in range(1, 901):
            clock["time"] += 1 if iteration != 300 else 3601
            bar.advance()
    lines = {int(line.split()[1].split("/")[0]): line for line in caplog.messages[:-1]}
    assert lines[285] == "train: 285/2000 iterations, 28 min 35 s left, 1/s"
    # The hour in which nothing happened still counts: from iteration 31 to 315, 284 in 3 884 s.
    assert lines[315] == "train: 315/2000 iterations, 6 h 24 min left, 0.0731/s"
    assert lines[600] == "train: 600/2000 iterations, 23 min 20 s left, 1/s"


def test_long_pieces_are_remembered_longer(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress(100, "images", "predict") as bar:
        # Twenty of a minute each, after ten of two minutes.
        for piece in range(31):
            clock["time"] += 120 if piece < 11 else 60
            bar.advance()
        # From piece 12 to 31, 19 minutes.
        assert bar.seconds_a_piece() == pytest.approx(60)


def test_seconds_of_a_piece_that_takes_long_and_of_one_that_does_not(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for seconds in (2.5, 0.25):
        with Progress(10, "iterations", "train", done=4) as bar:
            assert bar.seconds_a_piece() == 0
            clock["time"] += 90
            bar.advance()
            # Starting up is no measure of what comes.
            assert bar.seconds_a_piece() == 0
            for _ in range(3):
                clock["time"] += seconds
                bar.advance()
            assert bar.seconds_a_piece() == pytest.approx(seconds)


def test_high_speeds_are_plain_numbers(clock, caplog, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "cotrain"), Progress(10**6, "images", "x") as bar:
        for _ in range(29_999):
            bar.advance()
        clock["time"] += 20
        bar.advance()
    assert "1500/s" in caplog.messages[0]


def test_a_terminal_gets_a_bar_that_disappears(clock, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(4, "images", "predict") as bar:
        clock["time"] += 1
        bar.advance()
        clock["time"] += 0.01
        bar.advance()
    output = terminal.getvalue()
    assert "[#####...............] predict: 1/4 images" in output
    assert "2/4" not in output
    assert output.endswith("\r\033[K")


def test_no_work_and_failed_work(clock, caplog):
    with caplog.at_level(logging.INFO, "cotrain"):
        with Progress(0, "images", "nothing"):
            pass
        with pytest.raises(KeyError), Progress(3, "images", "failing"):
            raise KeyError
        with Progress(1, "photos", "one") as progress:
            progress.advance()
    assert caplog.messages == ["nothing: 0 images in 0 s", "one: 1 photo in 0 s"]


def test_results_of_threads_come_in_the_order_of_their_arguments():
    squares = map_in_threads(lambda number: number**2, range(20), 4, "squares")
    assert list(squares) == [number**2 for number in range(20)]


def test_work_of_threads_that_has_not_begun_is_dropped_after_an_error():
    begun = []

    def work(number):
        begun.append(number)
        if number == 0:
            raise KeyError(number)
        wait(0.05)

    with pytest.raises(KeyError, match="0"):
        list(map_in_threads(work, range(100), 1, "failing"))
    assert len(begun) < 100


LONG_WORK = """
import time
from cotrain import progress
progress.SECONDS_BETWEEN_REDRAWS = 0.0
title = "predict results/my_camera/predictions/co_training/00/a/subset/co_training/01/a/0.h5"
with progress.Progress(200, "images", title) as bar:
    for _ in range(200):
        bar.advance(note="loss 0.123, learning rate 0.01, 3 % of the time waiting for images, 1.2 GiB")
"""


@pytest.mark.parametrize("columns", [60, 80, 150])
def test_no_redraw_is_as_wide_as_the_terminal(columns):
    """In a real terminal of this width: a wider line would scroll it at each redraw."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_WORK], stdin=other, stdout=other, stderr=other, env=environment
    )
    os.close(other)
    shown = b""
    # The terminal is gone when the process ends.
    with contextlib.suppress(OSError):
        while block := os.read(main, 1 << 16):
            shown += block
    os.close(main)
    assert process.wait() == 0, shown
    redraws = shown.decode().split("\r\033[K")
    assert len(redraws) > 100
    assert max(len(redraw.rstrip("\r\n")) for redraw in redraws) < columns
    assert "199/200 images" in redraws[-3]
    if columns == 150:
        assert "a/0.h5: 199/200 images" in redraws[-3]


def test_a_narrow_line_keeps_what_matters():
    bar, parts = "[#####...............]", ["5/20 images", "5 s left", "3/s"]
    line = fitted(bar, "predict results/a/b/c/d/e/0.h5", parts, 60)
    # Of 60 columns one stays free. Bar and count take 22 and 11, 3 are between: 23 are left for the title.
    assert line == "[#####...............] …results/a/b/c/d/e/0.h5: 5/20 images"
    assert len(line) == 59
    # A title that fits is whole, and what does not fit is left out as a whole.
    assert fitted(bar, "baseline", [*parts, "loss 1.649", "learning rate 0.04"], 72) == (
        "[#####...............] baseline: 5/20 images, 5 s left, 3/s, loss 1.649"
    )
    assert fitted("[#]", "train", ["1/2"], 80) == "[#] train: 1/2"
