"""Studies: the variants of config/experiments/studies, and the command that runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.study import command_of_run, make_working_folder, named_variants, settings_of, share_scenes
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


def study_of(run, variants: list[str], seeds: list[str], more: list[str]) -> str:
    """Run a study named tries, and return what it has said."""
    command = [sys.executable, "-m", "benchmarks.study", "--configfile", "tiny.yaml", "--variants", *variants]
    done = subprocess.run(
        [*command, "--seeds", *seeds, "--name", "tries", "--", "--cores", "1", *more],
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_runs_of_all_variants_are_made_and_compared(run):
    (run.folder / "fewer pixels.yaml").write_text("final: {hard_pixel_share: 0.5}\n")
    # As far as the settings of all steps: what is trained makes no difference here.
    said = study_of(run, ["fewer pixels.yaml"], ["1", "2"], ["--until", "write_settings"])
    assert [line for line in said.splitlines() if line.startswith("study tries: run")] == [
        "study tries: run 1 of 4, unchanged-1",
        "study tries: run 2 of 4, fewer_pixels-1",
        "study tries: run 3 of 4, unchanged-2",
        "study tries: run 4 of 4, fewer_pixels-2",
    ]
    study = run.folder / "results" / "studies" / "tries"
    settings = (study / "settings.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in settings[1:]] == ["final.hard_pixel_share"]
    assert settings[1].split("\t")[1:] == ["0.2", "0.5"]
    runs = [line.split()[0] for line in (study / "comparison.txt").read_text().splitlines() if line]
    assert runs[3:7] == ["unchanged-1", "unchanged-2", "fewer_pixels-1", "fewer_pixels-2"]
    assert (study / "index.html").is_file()
    assert read_mapping(study / "variants.yaml") == {
        "unchanged": {},
        "fewer_pixels": {"final": {"hard_pixel_share": 0.5}},
    }


def test_a_variant_makes_again_only_what_it_changes(run):
    (run.folder / "later.yaml").write_text("final: {hard_pixel_share: 0.5}\n")
    (run.folder / "sooner.yaml").write_text("baseline: {hard_pixel_share: 0.5}\n")
    baseline = Path("results/tiny/models/baseline/weights.safetensors")
    targets = [str(baseline)]
    said = study_of(run, ["later.yaml", "sooner.yaml"], ["1"], targets)
    assert said.count("baseline: weights in") == 2
    work = run.folder / "results" / "studies" / "tries"
    assert (work / "later-1" / baseline).samefile(work / "unchanged-1" / baseline)
    unchanged, sooner = ((work / name / baseline).read_bytes() for name in ("unchanged-1", "sooner-1"))
    assert sooner != unchanged
    # The settings that are compared are made for each, though nobody has asked for them.
    settings = (work / "settings.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in settings[1:]] == [
        "baseline.hard_pixel_share",
        "final.hard_pixel_share",
    ]
    # The second time all is there.
    said = study_of(run, ["later.yaml", "sooner.yaml"], ["1"], targets)
    assert "baseline: weights in" not in said


def test_a_variant_comes_last_so_that_its_keys_count():
    command = command_of_run(Path("w"), 3, [Path("/a.yaml"), Path("/b.yaml")], ["--cores", "1"])
    words = " ".join(command)
    assert words.endswith(" --directory w --configfile /a.yaml /b.yaml --config seed=3 --cores 1")


def test_a_working_folder_shows_the_files_of_the_present_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "results/mine", "state", ".snakemake"):
        Path(folder).mkdir(parents=True)
    Path("photos/a.jpg").write_bytes(b"x")
    Path("list.txt").write_text("photos/a.jpg\n")
    os.utime("list.txt", (1000, 1000))
    make_working_folder(Path("results/studies/s/w"), None)
    work = Path("results/studies/s/w")
    assert sorted(path.name for path in work.iterdir()) == ["list.txt", "photos"]
    assert (work / "photos" / "a.jpg").read_bytes() == b"x"
    assert (work / "list.txt").lstat().st_mtime == 1000


def test_a_working_folder_goes_on_from_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = Path("results/s/first"), Path("results/s/second")
    # A dry run has been there before the first one had made anything.
    make_working_folder(second, first)
    assert not (second / "results").exists()
    for file in ("results/r/a.png", "results/r/log.txt", ".snakemake/metadata/x", "state/r/last.pt"):
        (first / file).parent.mkdir(parents=True, exist_ok=True)
        (first / file).write_bytes(b"x")
        os.utime(first / file, (1000, 1000))
    # What a killed copy has left.
    (second / "results.partial" / "r").mkdir(parents=True)
    (second / "results.partial" / "r" / "a.png").write_bytes(b"")
    make_working_folder(second, first)
    assert (second / "results/r/a.png").samefile(first / "results/r/a.png")
    # A log is opened and written again: it must not be the same file.
    assert not (second / "results/r/log.txt").samefile(first / "results/r/log.txt")
    assert (second / "results/r/log.txt").stat().st_mtime == 1000
    assert (second / ".snakemake/metadata/x").is_file()
    # A training that the variant does not change is at its end there too.
    assert (second / "state/r/last.pt").samefile(first / "state/r/last.pt")
    # It is made once, but a file that has come since is shown.
    (first / "results/r/b.png").write_bytes(b"x")
    Path("new.txt").write_text("")
    Path("to a disk that is away").symlink_to("/nowhere")
    make_working_folder(second, first)
    assert not (second / "results/r/b.png").exists()
    assert (second / "new.txt").is_file()


def test_a_configuration_without_datasets_completes_that_of_the_demo(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 7\n")
    assert settings_of([tmp_path / "a.yaml"])["run"] == "demo"
    (tmp_path / "b.yaml").write_text("run: mine\ndatasets: {}\n")
    assert settings_of([tmp_path / "a.yaml", tmp_path / "b.yaml"])["run"] == "mine"


def test_names_of_variants_are_unique():
    assert named_variants([Path("a/x.yaml")]) == {"unchanged": None, "x": Path("a/x.yaml")}
    with pytest.raises(SystemExit, match=r"b/x\.yaml and a/x\.yaml have the name x"):
        named_variants([Path("a/x.yaml"), Path("b/x.yaml")])


def test_rendered_scenes_are_shared(tmp_path):
    scenes, shared = tmp_path / "first" / "scenes", tmp_path / "second" / "scenes"
    (scenes / "images").mkdir(parents=True)
    (scenes / "images" / "0.jpg").write_bytes(b"x")
    share_scenes(shared, scenes)
    assert not shared.exists()
    (scenes / "scenes.tsv").write_text("")
    share_scenes(shared, scenes)
    assert (shared / "images" / "0.jpg").samefile(scenes / "images" / "0.jpg")
    # The step that renders still writes its list, and checks what is there.
    assert not (shared / "scenes.tsv").exists()
