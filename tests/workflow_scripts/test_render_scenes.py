import json

import pytest
from PIL import Image

from cotrain.errors import InputError
from streets.generate import RECIPE
from workflow_scripts import render_scenes


def arguments(folder, **changes):
    settings = {"layout": "streets", "look": "camera", "images": 2, "width": 64, "height": 64} | changes
    path = folder.with_name("settings.json")
    path.write_text(json.dumps(settings))
    return ["--settings", str(path), "--output", str(folder)]


def test_step_writes_scenes_and_their_list(tmp_path, capsys):
    log = tmp_path / "log.txt"
    render_scenes.main([*arguments(tmp_path / "out", width=80, height=72), f"--log-file={log}"])
    lines = (tmp_path / "out" / "scenes.tsv").read_text().splitlines()
    assert lines == [
        "id\timage\tlabel",
        "00000\timages/00000.jpg\tlabels/00000.png",
        "00001\timages/00001.jpg\tlabels/00001.png",
    ]
    for line in lines[1:]:
        for name in line.split("\t")[1:]:
            with Image.open(tmp_path / "out" / name) as picture:
                assert picture.size == (80, 72)
    assert "2 camera streets of 80 × 72 pixels" in log.read_text()


def test_the_seed_draws_the_scenes(tmp_path):
    files = []
    for place, seed in enumerate((7, 7, 8)):
        render_scenes.main(arguments(tmp_path / str(place), seed=seed, images=1))
        files.append((tmp_path / str(place) / "labels" / "00000.png").read_bytes())
    assert files[0] == files[1] != files[2]


def test_the_disk_must_have_room_for_the_scenes_that_are_missing(small_disk, tmp_path):
    """Of the 16 KiB, a scene of 64×64 pixels takes about 2."""
    folder = small_disk / "out"
    message = (
        r"disk: its disk has \d+\.\d KiB free, but rendering 20 scenes needs about 40\.0 KiB \(32\.0 KiB "
        r"images, 8\.0 KiB labels\); free some space"
    )
    # The settings beside the small disk, not on it.
    settings = arguments(tmp_path / "out", images=20)[:2]
    with pytest.raises(InputError, match=message):
        render_scenes.main([*settings, "--output", str(folder)])
    assert not folder.exists()
    # A rendering that was interrupted after 19 scenes needs room only for the last.
    for part, suffix in (("images", "jpg"), ("labels", "png")):
        (folder / part).mkdir(parents=True)
        for number in range(19):
            (folder / part / f"{number:05d}.{suffix}").touch()
    of_scenes = {"look": "camera", "width": 64, "height": 64, "seed": 1, "recipe": RECIPE}
    (folder / "settings.json").write_text(json.dumps(of_scenes))
    render_scenes.main([*settings, "--output", str(folder)])
    assert len((folder / "scenes.tsv").read_text().splitlines()) == 21


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"look": "film"}, r"look: .*'film'"),
        ({"width": 63}, r"width: .* found 63"),
        ({"heigth": 64}, r"heigth: unknown key \(did you mean 'height'\?\)"),
    ],
)
def test_failed_step_leaves_no_list(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        render_scenes.main(arguments(tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()
