"""A fault in a file of `--configfile` ends in one line, although Snakemake reads it before the Snakefile."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rules.configuration_files import refuse_faulty_files

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
    with pytest.raises(SystemExit) as caught:
        refuse_faulty_files(map(Path, names))
    return caught.value.code


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


def test_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert refusal("mine") == "mine: cannot be read: Is a directory"


@pytest.mark.parametrize("paths", [None, [], [PROJECT / "config" / "config.yaml"]])
def test_nothing_to_refuse(paths):
    refuse_faulty_files(paths)


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
