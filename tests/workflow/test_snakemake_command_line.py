"""Mistakes that Snakemake meets before it reads the Snakefile: each profile looks for them first."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cotrain.errors import InputError
from rules import command_line

PROJECT = Path(__file__).resolve().parents[2]
PROFILES = sorted((PROJECT / "profiles").glob("*/profile.yaml"))
LINES = "__use_yte__: true\n__definitions__:\n"


def snakemake(folder, *arguments, profile="default"):
    command = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--dry-run"]
    command += ["--workflow-profile", PROJECT / "profiles" / profile, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    first, *lines = done.stderr.splitlines()
    assert first.startswith("Using workflow specific profile ")
    assert (done.returncode, done.stdout) == (1, "")
    return lines


def refusal(*names):
    with pytest.raises(InputError) as caught:
        command_line.check_files(map(Path, names))
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("mi_camera.yaml",), "mi_camera.yaml: there is no such file; did you mean my_camera.yaml?"),
        (("some/mine.yaml",), "some/mine.yaml: there is no such file, nor a folder some"),
        (
            ("my_camera.yaml", "report"),
            "report: there is no such file; every word after --configfile is read as a file, "
            "so put targets before it",
        ),
        (("other.json",), "other.json: there is no such file; it was looked for in {folder}"),
    ],
)
def test_missing_file(tmp_path, monkeypatch, names, message):
    monkeypatch.chdir(tmp_path)
    Path("my_camera.yaml").write_text("run: mine\n")
    assert refusal(*names) == f"--configfile {message.format(folder=tmp_path)}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: a\nrun: b\n", "mine.yaml, line 2: not valid YAML: the key 'run' is given in line 1 already"),
        ("- run\n", "mine.yaml: expected keys and values such as 'run: demo', found ['run']"),
    ],
)
def test_fault_in_a_file(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text)
    assert refusal("mine.yaml") == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "folder",
            "--configfile folder: is a folder, expected a file of keys and values such as 'run: demo'",
        ),
        ("", "--configfile: found no name, expected a file of keys and values such as 'run: demo'"),
        (
            "empty.yaml",
            "--configfile empty.yaml: holds no key, expected a file of keys and values such as 'run: demo'",
        ),
        (
            "/dev/null",
            "--configfile /dev/null: holds no key, expected a file of keys and values such as 'run: demo'",
        ),
    ],
)
def test_what_has_no_keys(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.yaml").write_text("# run: mine\n")
    assert refusal(name) == message


def test_files_that_are_right():
    command_line.check_files([PROJECT / "config" / "config.yaml"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "network.output_stride=7",
            "--config network.output_stride=7: found the key 'output_stride' of the section 'network', "
            "expected KEY=VALUE of a key in no section, such as run=mine; give others in a file with "
            "--configfile",
        ),
        ("run", "--config run: expected KEY=VALUE, such as run=mine"),
        ("=3", "--config =3: expected KEY=VALUE, such as run=mine"),
    ],
)
def test_values_on_the_command_line(entry, message):
    with pytest.raises(InputError) as caught:
        command_line.check_values(["seed=7", entry])
    assert str(caught.value) == message


def test_values_that_are_right():
    command_line.check_values(["run=mine", "seed=7", "ego_vehicle_mask=", "network={backbone: x}"])


def test_value_and_folder_of_a_real_call(tmp_path):
    (line,) = snakemake(tmp_path, "--config", "run")
    assert line == "--config run: expected KEY=VALUE, such as run=mine"
    (tmp_path / "file").touch()
    (line,) = snakemake(tmp_path, "--directory", "file/below")
    assert line == (
        "file/below/.snakemake: the folder cannot be made: file is a file; move it away, or take another "
        "place"
    )


def test_working_folder_that_is_there_or_not(tmp_path):
    command_line.check_room(tmp_path)
    command_line.check_room(tmp_path / "new" / "er")
    assert not list(tmp_path.iterdir())


def test_working_folder_where_nothing_can_be_made():
    with pytest.raises(InputError) as caught:
        command_line.check_room(Path("/proc/new"))
    message = "/proc/new: the folder cannot be made (No such file or directory)"
    assert str(caught.value) == message


def test_disk_that_is_full(tmp_path, monkeypatch):
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(command_line.shutil, "disk_usage", lambda _: used._replace(free=3_400_000))
    with pytest.raises(InputError) as caught:
        command_line.check_room(tmp_path / "results")
    assert str(caught.value) == (
        f"{tmp_path}/results: its disk has 3 MB free, expected at least 21 MB to begin with; free some space"
    )


def test_yaml_nested_thousands_deep(tmp_path):
    """Snakemake itself would end in a traceback of a thousand lines."""
    (tmp_path / "mine.yaml").write_text("run: " + "[" * 5000 + "]" * 5000)
    (line,) = snakemake(tmp_path, "--configfile", "mine.yaml")
    assert line.startswith("mine.yaml, line 1: ")


@pytest.mark.parametrize("profile", [path.parent.name for path in PROFILES])
def test_each_profile_looks_first(tmp_path, profile):
    (line,) = snakemake(tmp_path, "--configfile", "mine.yaml", profile=profile)
    assert line == f"--configfile mine.yaml: there is no such file; it was looked for in {tmp_path}"


def test_lines_are_the_same_in_each_profile():
    assert len(PROFILES) == 4
    assert len({path.read_text().partition(LINES)[2] for path in PROFILES}) == 1


def test_profile_of_a_workflow_that_imports_this_one(tmp_path):
    """Its Snakefile lies elsewhere, beside none of this project's files."""
    (tmp_path / "Snakefile").write_text("rule all:\n    shell: 'true'\n")
    (tmp_path / "profile.yaml").write_text(PROFILES[0].read_text())
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profile.yaml", "--quiet", "all"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_profiles_are_yaml_that_holds_options_only():
    for path in PROFILES:
        keys = set(yaml.safe_load(path.read_text())) - {"__use_yte__", "__definitions__"}
        assert {"rerun-incomplete", "nolock", "quiet"} <= keys
