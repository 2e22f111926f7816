from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from PIL import Image

from cotrain.configuration.choices import Look
from cotrain.errors import InputError
from streets import generate
from streets.generate import majority, render_scenes
from streets.looks import LOOKS

WIDTH, HEIGHT, NUMBER = 96, 64, 14
NEVER_SHOWN = {16}  # train


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for part in ("images", "labels")
        for file in sorted((folder / part).iterdir())
    }


@pytest.fixture(scope="module")
def both_looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {look: tmp_path_factory.mktemp(look) for look in ("game", "camera")}
    for look, folder in folders.items():
        render_scenes(folder, look, NUMBER, WIDTH, HEIGHT, 3, 2)
    return folders


@pytest.fixture(params=["game", "camera"])
def rendered(request: pytest.FixtureRequest, both_looks: dict[str, Path]) -> tuple[str, Path]:
    return request.param, both_looks[request.param]


def test_pictures_and_labels_have_the_wanted_number_and_size(rendered):
    _, folder = rendered
    stems = [f"{i:05d}" for i in range(NUMBER)]
    assert [file.name for file in sorted((folder / "images").iterdir())] == [f"{stem}.jpg" for stem in stems]
    assert [file.name for file in sorted((folder / "labels").iterdir())] == [f"{stem}.png" for stem in stems]
    for stem in stems:
        image = Image.open(folder / "images" / f"{stem}.jpg")
        label = Image.open(folder / "labels" / f"{stem}.png")
        assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGB")
        assert (label.size, label.mode) == ((WIDTH, HEIGHT), "P")
        assert label.getpalette()[:3] == [128, 64, 128]  # road


def test_labels_hold_every_class_but_the_train_and_nothing_else(rendered):
    _, folder = rendered
    ids = {int(i) for file in (folder / "labels").iterdir() for i in np.unique(np.array(Image.open(file)))}
    assert ids == set(range(19)) - NEVER_SHOWN


def test_picture_depends_neither_on_processes_nor_on_earlier_scenes(rendered, tmp_path):
    look, folder = rendered
    render_scenes(tmp_path, look, 3, WIDTH, HEIGHT, 3, 1)
    files = bytes_of(tmp_path)
    assert files == {name: bytes_of(folder)[name] for name in files}
    # Only this scene, without the scenes before it.
    for part in ("images/00002.jpg", "labels/00002.png"):
        (tmp_path / part).unlink()
    render_scenes(tmp_path, look, 3, WIDTH, HEIGHT, 3, 1)
    assert bytes_of(tmp_path) == files


def test_another_seed_gives_other_streets(both_looks, tmp_path):
    folder = both_looks["game"]
    render_scenes(tmp_path, "game", 1, WIDTH, HEIGHT, 4, 1)
    first = np.array(Image.open(folder / "labels" / "00000.png"))
    other = np.array(Image.open(tmp_path / "labels" / "00000.png"))
    assert (first != other).mean() > 0.1


def test_finished_scenes_are_kept_and_missing_or_unfinished_ones_made_again(tmp_path):
    render_scenes(tmp_path, "game", 3, WIDTH, HEIGHT, 3, 1)
    before = bytes_of(tmp_path)
    kept = tmp_path / "images" / "00000.jpg"
    stamp = kept.stat().st_mtime_ns
    (tmp_path / "labels" / "00001.png").unlink()
    (tmp_path / "images" / "00002.jpg").rename(tmp_path / "images" / ".00002.123.partial.jpg")
    render_scenes(tmp_path, "game", 3, WIDTH, HEIGHT, 3, 1)
    assert bytes_of(tmp_path) == before
    assert kept.stat().st_mtime_ns == stamp


def test_scenes_of_other_settings_and_surplus_ones_do_not_stay(tmp_path):
    render_scenes(tmp_path, "game", 2, WIDTH, HEIGHT, 3, 1)
    first = bytes_of(tmp_path)
    render_scenes(tmp_path, "game", 1, WIDTH, HEIGHT, 3, 1)
    assert bytes_of(tmp_path) == {name: data for name, data in first.items() if "00000" in name}
    render_scenes(tmp_path, "game", 1, WIDTH, HEIGHT, 4, 1)
    assert bytes_of(tmp_path)["images/00000.jpg"] != first["images/00000.jpg"]


def lab_means(folder: Path) -> np.ndarray:
    means = []
    for file in sorted((folder / "images").iterdir()):
        rgb = np.array(Image.open(file), np.float32) / 255
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab).reshape(-1, 3)
        means.append([*lab.mean(axis=0), *lab.std(axis=0)])
    return np.array(means)


def test_looks_differ_in_colour(both_looks):
    game, camera = lab_means(both_looks["game"]), lab_means(both_looks["camera"])
    # The colours of the camera look are paler, and brightness varies more between its pictures.
    assert game[:, 5].mean() > 1.4 * camera[:, 5].mean()
    assert game[:, 4].mean() > 1.4 * camera[:, 4].mean()
    assert camera[:, 0].std() > game[:, 0].std()


def test_majority_shrinks_a_label_by_two():
    label = np.array([[1, 1, 8, 10], [1, 8, 10, 8], [0, 2, 5, 5], [3, 4, 6, 6]], np.uint8)
    assert majority(label).tolist() == [[1, 8], [0, 5]]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ((1, 1, 1, 1), 1),
        ((1, 2, 3, 4), 1),
        ((1, 2, 2, 3), 2),
        ((1, 2, 3, 2), 2),
        ((1, 2, 3, 3), 3),
        ((1, 1, 2, 2), 1),
        ((1, 2, 2, 2), 2),
        ((1, 2, 1, 2), 1),
        ((1, 2, 2, 1), 1),
    ],
)
def test_majority_of_four(block, expected):
    assert majority(np.array(block, np.uint8).reshape(2, 2)).tolist() == [[expected]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"look": "film"}, "film"),
        ({"look": "film"}, "unknown look of streets 'film'; known: game, camera"),
        ({"images": 0}, "images: found 0"),
        ({"width": 10}, "width: found 10"),
        ({"height": 5000}, "height: found 5000"),
        ({"processes": 0}, "processes: found 0"),
    ],
)
def test_bad_settings_are_named(tmp_path, change, message):
    settings = {"look": "game", "images": 1, "width": 96, "height": 64, "seed": 1, "processes": 1} | change
    with pytest.raises(InputError, match=message):
        render_scenes(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_process_that_dies_is_an_error(tmp_path, monkeypatch):
    # The process ends when it unpickles its first task.
    monkeypatch.setattr(generate, "_render", Death())
    with pytest.raises(RuntimeError, match="a rendering process died"):
        render_scenes(tmp_path, "game", 1, WIDTH, HEIGHT, 1, 1)
    assert not list(tmp_path.glob("images/*"))


class Death:
    def __reduce__(self):
        import os

        return (os._exit, (7,))


def test_looks_are_those_of_the_configuration():
    assert set(LOOKS) == set(get_args(Look))
