"""From photos to a configuration that a run takes as it is."""

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cotrain.configuration.first_run import PRESETS, FirstRun, Photos, Sizes, Speed
from cotrain.configuration.reading import read_configuration
from cotrain.data.images import write_image, write_label
from cotrain.errors import InputError
from workflow_scripts import init

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(init, "FRAMES", 4)
    return tmp_path


def photos(folder, sizes):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for number, size in enumerate(sizes):
        write_image(folder / f"{number}.jpg", rng.integers(0, 256, (*size, 3)).astype(np.uint8))


def labelled(folder, number=3):
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(number):
        write_image(folder / "images" / f"{index}.png", np.full((96, 128, 3), 40 * index, np.uint8))
        write_label(folder / "labels" / f"{index}.png", np.full((96, 128), index % 3, np.uint8), [])
    return [str(folder / "images"), str(folder / "labels"), "cityscapes_train_ids"]


def test_a_folder_of_all_kinds_of_files(folder, caplog, capsys):
    photos(folder / "photos" / "monday", [(120, 160)] * 5 + [(160, 120)])
    photos(folder / "photos" / "tuesday", [(240, 320)])
    (folder / "photos" / "torn.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "photos" / "notes.txt").write_text("bring milk")
    with caplog.at_level("INFO", logger="cotrain"):
        init.main(["--target", "photos", "--name", "car", "--device", "cpu"])
    configuration = read_configuration([Path("config/car.yaml")])
    assert configuration.run == "car"
    assert configuration.source == ("streets", "streets_camera")
    assert (configuration.target, configuration.test) == ("camera", None)
    # Upright and wide photos: a square crop, of no more than three quarters of 120 pixels.
    assert configuration.training.crop == (80, 80)
    assert configuration.prediction.short_side == 120
    for name, look in (("streets", "game"), ("streets_camera", "camera")):
        streets = configuration.datasets[name]
        assert (streets.look, streets.images, streets.height, streets.width) == (look, 160, 120, 160)
    assert configuration.self_training.images_per_round == 7
    listed = Path("lists/car/photos.txt").read_text().split()
    assert len(listed) == 7
    assert all(Path(path).is_absolute() for path in listed)
    assert "left out photos/torn.jpg" in caplog.text
    assert "not looked at, by their names no photos: 1 .txt" in caplog.text
    text = Path("config/car.yaml").read_text()
    assert "# A first run for 7 photos of 3 sizes, the usual is 160×120, with the preset `try`" in text
    assert "# One file is left out; init has said why." in text
    assert re.search(r"# Measured here \(cpu, \w+ threads?\): [\d.e+]+ iterations a second", text)
    assert "snakemake --configfile config/car.yaml" in caplog.text
    assert "Nothing in the configuration looks unintended" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"config/car.yaml: there is one already; choose another --name"):
        init.main(["--target", "photos", "--name", "car"])


def test_of_many_photos_a_short_run_takes_some(folder, caplog):
    photos(folder / "photos", [(120, 160)])
    for number in range(1, 301):
        os.link("photos/0.jpg", f"photos/{number}.jpg")
    with caplog.at_level("INFO", logger="cotrain"):
        init.main(["--target", "photos", "--device", "cpu", "--threads", "1"])
    # Every second of 301, so that they are at most 300.
    assert "taking one in 2 of these photos, 151 in all: enough for a run this short" in caplog.text
    assert len(Path("lists/my_camera/photos.txt").read_text().split()) == 151
    assert "(cpu, 1 thread)" in Path("config/my_camera.yaml").read_text()


def test_a_video_a_source_of_ones_own_and_a_test_set(folder, caplog):
    writer = cv2.VideoWriter("drive.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for shade in range(10):
        writer.write(np.full((120, 160, 3), 20 * shade, np.uint8))
    writer.release()
    source, test = labelled(folder / "game data"), labelled(folder / "test")
    flags = ["--source", *source, "--source", "streets", "--test", *test, "--label-space", "cityscapes19"]
    init.main(["--target", "drive.avi", "--device", "cpu", *flags])
    configuration = read_configuration([Path("config/my_camera.yaml")])
    assert configuration.source == ("streets", "streets_camera", "source")
    assert configuration.test == "camera_test"
    assert configuration.label_space == "cityscapes19"
    # Ten frames, four wanted: every third.
    frames = Path("lists/my_camera/photos.txt").read_text().split("\n")[:-1]
    assert [Path(path).name for path in frames] == [f"drive_{number:06d}.jpg" for number in (0, 3, 6, 9)]
    assert all(Path(path).is_file() for path in frames)
    # The crop fits the source too, which is smaller: 96 is its short side, and 88 three quarters of 120.
    assert configuration.training.crop == (80, 112)
    # The names of those that belong together.
    listed = [
        Path(f"lists/my_camera/source_{part}.txt").read_text().split("\n")[:-1]
        for part in ("images", "labels")
    ]
    assert [[Path(path).stem for path in paths] for paths in listed] == [["0", "1", "2"]] * 2
    assert len(Path("lists/my_camera/source_images.txt").read_text().split("\n")) == 4
    assert "# Photos are one in 3 frames of drive.avi." in Path("config/my_camera.yaml").read_text()


def test_schedules_for_a_gpu_are_not_measured_without_one(folder):
    photos(folder / "photos", [(800, 1400)])
    init.main(["--target", "photos", "--preset", "paper", "--device", "cpu"])
    configuration = read_configuration([Path("config/my_camera.yaml")])
    assert configuration.training.crop == (512, 1024)
    assert configuration.baseline.iterations == 60000
    text = Path("config/my_camera.yaml").read_text()
    assert "this machine has no GPU (cpu)" in text
    assert "# A first run for one photo of 1400×800 pixels, with the preset `paper`" in text
    assert "left out" not in text
    assert "# With so few photos, a model learns these photos and hardly the camera." in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "--target: is missing"),
        (["--target", "gone"], "--target: gone does not exist"),
        (["--target", "empty"], "--target: empty holds no photo, expected files whose names end in"),
        (["--target", "photos", "--name", ".x"], "--name: found '.x', expected at most 100 letters"),
        (["--target", "photos", "--name", "a/b"], "--name: found 'a/b'"),
        (["--target", "photos", "--label-space", "city"], "city"),
        (["--target", "photos", "--source", "gta5"], "--source: found gta5, expected `streets`"),
        (["--target", "photos", "--source", "gta5", "gone"], "--source: there is no folder gone"),
        (
            ["--target", "photos", "--source", "a", "b", "c"],
            "--source: found the class table c, expected one",
        ),
        (["--target", "photos", "--test", "gone", "b", "camvid"], "--test: gone does not exist"),
        (
            ["--target", "photos", "--test", "empty", "photos", "camvid"],
            "--test: empty: holds no file",
        ),
        (
            ["--target", "photos", "--test", "photos", "empty", "camvid"],
            "--test: empty: holds no file",
        ),
        (["--target", "."], "--target: . is the folder of the run itself"),
        (["--target", "photos", "--every", "3"], "--every: is for a video, found photos"),
        (
            ["--target", "notes.dat"],
            "--target: found notes.dat, expected a folder, a list whose",
        ),
        (
            ["--target", "tiny"],
            "no photo in tiny can be used; the first: tiny/0.jpg: has 20×20",
        ),
        (["--target", "photos", "--source", "GTA5", "x", "y", "z"], r"found GTA5 x y z \(did you mean gta5"),
        (["--target", "photos", "--source", "streets", "gta5"], "give --source once for each"),
        (["--target", "photos/0.txt"], "list cannot be read|does not exist"),
        (
            ["--target", "lists/my_camera/photos.txt"],
            "photos.txt is the list that this step writes, and would",
        ),
        (
            ["--target", "photos", "--test", "../base/images.txt", "../base/labels.txt", "camvid"],
            "^--test: ../base/images.txt lists 1 image but ../base/labels.txt lists 2 labels, expected one",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(folder, flags, expected):
    photos(folder / "photos", [(120, 160)])
    photos(folder / "tiny", [(20, 20)])
    (folder / "empty").mkdir()
    (folder / "notes.dat").write_text("no list")
    (folder / "lists" / "my_camera").mkdir(parents=True)
    (folder / "lists" / "my_camera" / "photos.txt").write_text("../../photos/0.jpg\n")
    (folder.parent / "base").mkdir(exist_ok=True)
    (folder.parent / "base" / "images.txt").write_text("a.png\n")
    (folder.parent / "base" / "labels.txt").write_text("a.png\nb.png\n")
    with pytest.raises(InputError, match=expected):
        init.main(flags)
    assert not Path("config").exists()
    assert Path("lists/my_camera/photos.txt").read_text() == "../../photos/0.jpg\n"


def test_a_failure_leaves_nothing_behind(folder):
    writer = cv2.VideoWriter("drive.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for shade in range(4):
        writer.write(np.full((120, 160, 3), 20 * shade, np.uint8))
    writer.release()
    source = labelled(folder / "game")
    (folder / "game" / "labels" / "1.png").write_text("no label")
    before = sorted(folder.rglob("*"))
    # By then the frames and all lists are there.
    with pytest.raises(InputError, match=r"labels/1\.png: is no image"):
        init.main(["--target", "drive.avi", "--source", *source])
    assert sorted(folder.rglob("*")) == before
    # What was there before stays: lists as they were, and frames.
    for name in ("lists/my_camera/photos.txt", "lists/my_camera/mine.txt", "data/my_camera/frames/old.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("of the user's")
    with pytest.raises(InputError):
        init.main(["--target", "drive.avi", "--source", *source])
    assert [path.name for path in sorted(Path("lists/my_camera").iterdir())] == ["mine.txt", "photos.txt"]
    assert Path("lists/my_camera/photos.txt").read_text() == "of the user's"
    assert Path("data/my_camera/frames/old.jpg").exists()


def test_what_fails_after_the_configuration_is_written_takes_no_list_away(folder, monkeypatch):
    photos(folder / "photos", [(800, 1400)])

    def fail(configuration):
        raise BrokenPipeError

    monkeypatch.setattr(init, "overview", fail)
    with pytest.raises(BrokenPipeError):
        init.main(["--target", "photos", "--preset", "paper", "--device", "cpu"])
    assert Path("config/my_camera.yaml").exists()
    assert Path("lists/my_camera/photos.txt").exists()


def test_files_of_other_numbers_are_no_pairs(folder):
    photos(folder / "photos", [(120, 160)])
    *_, table = labelled(folder / "game")
    for index in range(3):
        (folder / "game" / "labels" / f"{index}.png").rename(folder / "game" / "labels" / f"1{index}.png")
    with pytest.raises(InputError) as caught:
        init.main(["--target", "photos", "--source", "game/images", "game/labels", table])
    assert str(caught.value) == (
        "--source: game/images/0.png: there is no label of this name in game/labels (so for 3 of 3 files); "
        "give the two the same names, or write two lists in the same order"
    )


@pytest.mark.parametrize("name", ["2026-11-26", "null", "123", "true"])
def test_names_that_yaml_takes_for_something_else(folder, name):
    photos(folder / "photos", [(800, 1400)])
    space = "classes: {of mine} #1.yaml"
    (folder / space).write_text("- {class: road, colour: [1, 2, 3]}\n- {class: car, colour: [4, 5, 6]}\n")
    flags = ["--preset", "paper", "--device", "cpu", "--label-space", space]
    init.main(["--target", "photos", "--name", name, *flags])
    configuration = read_configuration([Path(f"config/{name}.yaml")])
    assert (configuration.run, configuration.label_space) == (name, space)


def test_warnings_are_said_again_at_the_end_and_in_the_file(folder, caplog):
    test = labelled(folder / "test")
    flags = ["--preset", "paper", "--hours", "2", "--device", "cpu", "--test", *test]
    init.main(["--target", "test/images", *flags])
    text = Path("config/my_camera.yaml").read_text()
    for words in (
        "3 of 3 images of --test are also among the photos of --target",
        "the preset paper is for a GPU, and this machine has none: here the run would take days",
        "--hours 2 changed nothing",
    ):
        assert f"# Warning: {words}" in text
        assert f"warning: {words}" in caplog.text
    assert "The head of the network starts" not in text


def test_labels_of_another_table_are_refused(folder):
    photos(folder / "photos", [(120, 160)])
    source = labelled(folder / "game")
    write_label(folder / "game" / "labels" / "1.png", np.full((96, 128), 77, np.uint8), [])
    with pytest.raises(InputError, match="holds the ids 77"):
        init.main(["--target", "photos", "--source", *source])


def test_the_head_of_a_configuration_by_hand():
    choice = FirstRun(
        *("car", "init", "try", "cityscapes7", [], ["streets"], None, Photos({(120, 160): 30})),
        sizes=Sizes(120, (120,), (80, 80), (120, 160), 10),
        stages=PRESETS["try"].stages,
        threads=3,
        device="cpu",
        decoded_cache=False,
        facts=[],
    )

    measured = Speed(0.5, 0.1, 40.0)

    def head(left_out=0, speed=measured, budget=None, **changes):
        return init.facts(choice._replace(**changes), left_out, speed, "cpu", budget)

    # 1140 iterations take 570 s, labels of 4 · 30 · 5/3 + 2 · 30 images 26 s, rendering 40 s, the jobs of six
    # models 84 s, and others 30 s.
    first, second = head()
    assert first == "A first run for 30 photos of 160×120 pixels, with the preset `try` (minutes on a CPU)."
    assert second == "Measured here (cpu, 3 threads): 2 iterations a second. The run takes about 12 min 30 s."
    assert head(left_out=1)[1] == "One file is left out; init has said why."
    assert head(left_out=2)[1] == "2 files are left out; init has said why."
    sizes = {(120, 160): 10, (240, 320): 9}
    few = head(target=Photos(sizes))
    assert few[0].startswith("A first run for 19 photos of 2 sizes, the usual is 160×120, with")
    assert few[1] == "With so few photos, a model learns these photos and hardly the camera."
    assert "few" not in head(target=Photos(sizes | {(60, 80): 1}))[1]
    # A quarter more than the time is not worth a word.
    assert head(budget=0.17) == head()
    assert head(budget=0.16)[2].startswith("That is more than the 9 min 36 s that it may take.")
    most = head(stages=PRESETS["paper"].stages)
    assert most[2] == "It has the published iterations; more were never tried."
    assert head(speed=None)[1:] == [
        "The schedule is the preset's. It was not measured, because this machine has no GPU (cpu)."
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (" a b ", "a b"),
        ("'a b'", "a b"),
        ('"a"', "a"),
        ("'a", "'a"),
        ("a'", "a'"),
        ("'a\"", "'a\""),
        ("aba", "aba"),
        ("'", "'"),
        ("~/x", "/home/me/x"),
        ("'~/x'", "/home/me/x"),
    ],
)
def test_paths_as_people_paste_them(monkeypatch, text, path):
    monkeypatch.setenv("HOME", "/home/me")
    assert init.users_path(text) == Path(path)


@pytest.mark.parametrize("text", ["", "  ", "''", '""'])
def test_an_empty_path_is_not_this_folder(text, capsys):
    with pytest.raises(SystemExit):
        init.main(["--target", text])
    assert "found an empty text, expected a path" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["0", "-1", "x", "nan"])
def test_hours_are_a_number_above_zero(hours, capsys):
    with pytest.raises(SystemExit):
        init.main(["--hours", hours])
    assert f"found {hours}, expected a number of hours above 0" in capsys.readouterr().err


def test_it_asks_on_a_terminal(folder):
    photos(folder / "photos", [(120, 160)] * 2)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "workflow_scripts.init", "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=folder,
    )
    os.close(follower)
    seen = ""
    answers = {
        "Photos of your camera": "photos",
        "How long may it take [try]": "soon\n",
        "Labelled images to learn from": "",
        "Labelled photos of your camera": "",
        "Name of the run [my_camera]": "bus",
    }
    while process.poll() is None or select.select([leader], [], [], 0)[0]:
        if not select.select([leader], [], [], 60)[0]:
            break
        try:
            seen += os.read(leader, 4096).decode(errors="replace")
        except OSError:
            break
        for question, answer in list(answers.items()):
            if re.search(re.escape(question) + r"[^\n]*: $", seen.replace("\r", "")):
                os.write(leader, f"{answer}\n".encode())
                del answers[question]
    process.wait(60)
    os.close(leader)
    assert answers == {}, seen
    assert process.returncode == 0, seen
    # An answer that is none is refused, and the question asked again.
    assert "expected one of try, laptop, gpu, paper" in seen
    assert read_configuration([folder / "config" / "bus.yaml"]).run == "bus"
