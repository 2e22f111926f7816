import pytest

from cotrain.errors import InputError
from workflow_scripts import render_scenes


def arguments(folder, **changes):
    options = {"look": "camera", "images": 2, "width": 64, "height": 64, "seed": 1, "threads": 1} | changes
    return [f"--{key}={value}" for key, value in options.items()] + [f"--output={folder}"]


def test_step_writes_scenes_and_their_list(tmp_path, capsys):
    log = tmp_path / "log.txt"
    render_scenes.main([*arguments(tmp_path / "out"), f"--log={log}"])
    lines = (tmp_path / "out" / "scenes.tsv").read_text().splitlines()
    assert lines == [
        "id\timage\tlabel",
        "00000\timages/00000.jpg\tlabels/00000.png",
        "00001\timages/00001.jpg\tlabels/00001.png",
    ]
    for line in lines[1:]:
        assert all((tmp_path / "out" / name).is_file() for name in line.split("\t")[1:])
    assert "2 camera streets of 64 × 64 pixels" in log.read_text()


def test_failed_step_leaves_no_list(tmp_path, capsys):
    with pytest.raises(SystemExit):
        render_scenes.main(arguments(tmp_path / "out", look="film"))
    assert "argument --look: invalid choice: 'film'" in capsys.readouterr().err
    with pytest.raises(InputError, match="found 63"):
        render_scenes.main(arguments(tmp_path / "out", width=63))
    assert not (tmp_path / "out" / "scenes.tsv").exists()
