import json

import pytest
from PIL import Image

from cotrain.errors import InputError
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
