import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cotrain.configuration.sections import ListsSettings, StreetsSettings
from cotrain.data.images import write_image
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from workflow_scripts import make_manifest


@pytest.fixture
def settings(tmp_path, settings_file):
    """Write two images, lists of them and of labels that do not exist, and the settings of the lists."""
    for name in ("a", "b"):
        write_image(tmp_path / "scenes" / "images" / f"{name}.png", np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "i.txt").write_text("scenes/images/a.png\nscenes/images/b.png\n")
    (tmp_path / "l.txt").write_text("nowhere/a.png\nnowhere/b.png\n")
    lists = {"images": str(tmp_path / "i.txt"), "labels": str(tmp_path / "l.txt")}
    return settings_file(ListsSettings(layout="lists", classes="camvid", **lists), "camera")


def test_target_whose_label_files_do_not_exist_is_made_without_a_word(tmp_path, settings, capfd):
    output = tmp_path / "out" / "manifest.tsv"
    make_manifest.main(["--dataset", "camera", "--settings", settings, "--output", str(output)])
    assert [(item.id, item.width, item.height, item.label) for item in read_manifest(output)] == [
        ("a", 6, 4, None),
        ("b", 6, 4, None),
    ]
    assert capfd.readouterr().err.rstrip().endswith(f"camera: 2 images -> {output}")


def test_labelled_dataset_whose_label_files_do_not_exist_is_refused_before_anything_is_written(
    tmp_path, settings
):
    output = tmp_path / "manifest.tsv"
    arguments = ["--dataset", "camera", "--settings", settings, "--output", str(output), "--with-labels"]
    with pytest.raises(
        InputError, match=r"datasets\.camera: 2 problems:\n.*l\.txt:1: .*nowhere/a\.png: does not exist"
    ):
        make_manifest.main(arguments)
    assert not output.exists()


@pytest.mark.parametrize("name", ["i.txt", "l.txt", "scenes/images/b.png"])
def test_a_manifest_never_takes_the_place_of_a_file_of_the_dataset(tmp_path, settings, name):
    output = tmp_path / name
    before = output.read_bytes()
    with pytest.raises(InputError, match="is also an input and would be overwritten"):
        make_manifest.main(["--dataset", "camera", "--settings", settings, "--output", str(output)])
    assert output.read_bytes() == before


@pytest.mark.usefixtures("settings")
def test_what_lies_below_the_working_folder_is_stored_relative_to_the_manifest(
    tmp_path, settings_file, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "run" / "manifest.tsv"
    streets = settings_file(StreetsSettings(layout="streets", look="game"), "game")
    scenes = ["--scenes", str(tmp_path / "scenes")]
    make_manifest.main(["--dataset", "game", "--settings", streets, "--output", str(output), *scenes])
    size = (tmp_path / "scenes" / "images" / "a.png").stat().st_size
    assert output.read_text().splitlines()[1] == f"a\t../scenes/images/a.png\t6\t4\t{size}"


def test_settings_may_be_a_yaml_file_and_errors_end_in_status_2_with_one_line(tmp_path):
    (tmp_path / "camera.yaml").write_text("layout: lists\nimages: nowhere.txt\n")
    step = [sys.executable, "-m", "workflow_scripts.make_manifest", "--dataset", "camera"]
    done = subprocess.run(
        [*step, "--settings", str(tmp_path / "camera.yaml"), "--output", str(tmp_path / "m.tsv")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("error: nowhere.txt: list cannot be read (No such file or directory)\n")
    assert len(done.stderr.splitlines()) == 1


def test_mistakes_in_the_settings_are_listed(tmp_path):
    (tmp_path / "camera.yaml").write_text("layout: lists\nimage: images.txt\nevery: 0\n")
    with pytest.raises(InputError, match=r"camera\.yaml has 3 problems:") as error:
        make_manifest.main(
            [
                *("--dataset", "camera", "--settings", str(tmp_path / "camera.yaml")),
                *("--output", str(tmp_path / "m.tsv")),
            ]
        )
    for line in (
        "image: unknown key (did you mean 'images'?)",
        "images: missing, expected the path of a text file",
        "every: expected an integer >= 1, found 0",
    ):
        assert line in str(error.value)


def test_the_steps_for_data_do_not_wait_for_torch():
    steps = ["make_manifest", "check_data", "class_statistics"]
    imports = "; ".join(f"import workflow_scripts.{step}" for step in steps)
    code = f"import sys; {imports}; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout == "[]\n"
