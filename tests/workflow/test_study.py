"""Studies: the variants of config/experiments/studies, and the command that runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.study import command_of_run, named_variants, share_scenes
from cotrain.configuration.reading import merged, read_mapping, resolve

PROJECT = Path(__file__).parents[2]
STUDIES = sorted((PROJECT / "config" / "experiments" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_variant_changes_the_experiment_that_it_is_for(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = read_mapping(PROJECT / "config" / "experiments" / "streets_camvid.yaml")
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            file = tmp_path / common["datasets"][f"camvid_{part}"][kind]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("a.png\n")
    assert path.read_text().startswith("# ")
    assert resolve(merged(common, read_mapping(path))) != resolve(common)


def test_runs_of_all_variants_are_made_and_compared(run):
    (run.folder / "fewer pixels.yaml").write_text("final: {hard_pixel_share: 0.5}\n")
    command = [sys.executable, "-m", "benchmarks.study", "--configfile", "tiny.yaml", "--variants"]
    command += ["fewer pixels.yaml", "--seeds", "1", "--name", "pixels"]
    # As far as the settings of all steps: what is trained makes no difference here.
    command += ["--", "--cores", "1", "--until", "write_settings"]
    done = subprocess.run(
        command,
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    places = [line for line in done.stdout.splitlines() if line.startswith("study pixels: run")]
    assert places == [
        "study pixels: run 1 of 2, pixels-unchanged-1",
        "study pixels: run 2 of 2, pixels-fewer_pixels-1",
    ]
    study = run.folder / "results" / "studies" / "pixels"
    settings = (study / "settings.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in settings[1:]] == ["final.hard_pixel_share"]
    assert settings[1].split("\t")[1:] == ["0.2", "0.5"]
    assert (study / "index.html").is_file()
    assert read_mapping(study / "variants.yaml") == {
        "unchanged": {},
        "fewer_pixels": {"final": {"hard_pixel_share": 0.5}},
    }


def test_a_variant_comes_last_so_that_its_keys_count():
    command = command_of_run("x", 3, [Path("a.yaml"), Path("b.yaml")], ["--cores", "1"])
    assert command[-8:] == ["--configfile", "a.yaml", "b.yaml", "--config", "run=x", "seed=3", "--cores", "1"]


def test_names_of_variants_are_unique():
    assert named_variants([Path("a/x.yaml")]) == {"unchanged": None, "x": Path("a/x.yaml")}
    with pytest.raises(SystemExit, match=r"b/x\.yaml and a/x\.yaml have the name x"):
        named_variants([Path("a/x.yaml"), Path("b/x.yaml")])


def test_rendered_scenes_are_shared(tmp_path):
    (tmp_path / "config.yaml").write_text("datasets: {game: {layout: streets}, other: {layout: lists}}\n")
    first, second = tmp_path / "first", tmp_path / "second"
    scenes = first / "data" / "game" / "scenes"
    (scenes / "images").mkdir(parents=True)
    (scenes / "images" / "0.jpg").write_bytes(b"x")
    share_scenes(second, first, [tmp_path / "config.yaml"])
    assert not second.exists()
    (scenes / "scenes.tsv").write_text("")
    share_scenes(second, first, [tmp_path / "config.yaml"])
    shared = second / "data" / "game" / "scenes"
    assert (shared / "images" / "0.jpg").samefile(scenes / "images" / "0.jpg")
    # The step that renders still writes its list, and checks what is there.
    assert not (shared / "scenes.tsv").exists()
