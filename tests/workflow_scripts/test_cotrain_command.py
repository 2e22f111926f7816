"""The command `cotrain`, and the package that `pip install .` installs."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import workflow_scripts
from cotrain.data.images import write_image, write_label
from workflow_scripts import __main__ as command

PROJECT = Path(__file__).parents[2]


def test_every_step_is_in_one_group():
    names = {module.name for module in pkgutil.iter_modules(workflow_scripts.__path__)}
    assert sorted(command.STEPS) == sorted(names - {"__main__", "command_line"})


def test_the_readme_has_the_same_groups():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*) \| (.*) \|$", text.split("| steps | for |\n|---|---|\n")[1], re.MULTILINE)
    groups = {re.sub(r"\[(.*)\]\(.*\)", r"\1", title): re.findall(r"`(\w+)`", steps) for steps, title in rows}
    assert groups == {title: list(steps) for title, steps in command.GROUPS.items()}


def test_every_step_has_its_line():
    shown = command.help_text("cotrain ")
    for step in command.STEPS:
        line = import_module(f"workflow_scripts.{step}").__doc__.splitlines()[0]
        assert f"  {step:{command.NAME_WIDTH}}{line}\n" in shown
    assert "`cotrain STEP --help`" in shown
    assert "`snakemake` makes it, in a clone" in shown


def start(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cotrain", *words])
    # Both are for a process of its own.
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("workflow_scripts.command_line._start", "")
    command.start_step()


@pytest.mark.parametrize(
    ("step", "meant"),
    [("segmnt", " (did you mean segment?)"), ("check-data", " (did you mean check_data?)"), ("xyz", "")],
)
def test_an_unknown_step(monkeypatch, capsys, step, meant):
    with pytest.raises(SystemExit) as ended:
        start(monkeypatch, step)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"error: there is no step {step!r}{meant}; `cotrain --help` lists all steps\n"
    )


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_without_a_step_all_are_listed(monkeypatch, capsys, words):
    start(monkeypatch, *words)
    assert capsys.readouterr().out == command.help_text("cotrain ")


def test_the_help_of_a_step_shows_how_it_was_started(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        start(monkeypatch, "report", "--help")
    shown = capsys.readouterr().out
    assert shown.startswith("usage: cotrain report ")
    # It has two examples.
    assert shown[shown.index("example:") :].count("  cotrain report --") == 2
    assert "python -m" not in shown


def test_the_list_of_steps_imports_no_step(tmp_path):
    code = "import sys, runpy; sys.argv = ['x']; runpy.run_module('workflow_scripts', run_name='__main__')"
    code += "; assert not {'torch', 'numpy', 'cv2', 'workflow_scripts.report'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the package, without what it depends on, into a folder, and return the folder."""
    folder = tmp_path_factory.mktemp("installation")
    for name in ("cotrain", "streets", "workflow_scripts"):
        shutil.copytree(
            PROJECT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder / "source" / name)
    # Like `pip install .`, but without a download of setuptools, which torch brings.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(folder / "packages")]
    done = subprocess.run(
        [*pip, *options, str(folder / "source")], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "packages"


def test_every_file_is_installed(installed):
    for name in ("cotrain", "streets", "workflow_scripts"):
        expected, found = (
            {str(path.relative_to(root)) for path in (root / name).rglob("*") if path.is_file()}
            for root in (PROJECT, installed)
        )
        assert {path for path in expected ^ found if "__pycache__" not in path} == set()


def test_the_installed_command_works_from_any_folder(installed, tmp_path):
    write_label(tmp_path / "labels" / "a.png", np.zeros((32, 48), np.uint8), [])
    write_image(tmp_path / "images" / "a.png", np.zeros((32, 48, 3), np.uint8))
    # A file of the user's does not take the place of a package.
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["--labels", "labels", "--images", "images", "--label-space", "camvid11", "--output", "shown"]
    done = subprocess.run(
        [sys.executable, installed / "bin" / "cotrain", "colour_labels", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shown" / "coloured" / "a.png").is_file()
    code = "import cotrain; print(cotrain.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout == f"{installed / 'cotrain' / '__init__.py'}\n"
