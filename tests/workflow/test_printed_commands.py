"""Every command in a block of README.md, CONTRIBUTING.md, docs and config/README.md.

A step that takes seconds runs on the files of the tiny run, and its own parser reads the line of any other.
Snakemake plans what a command asks for. A command that is in no table here fails: none is added unseen.
"""

import argparse
import glob
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib import import_module

import pytest
import torch
from snakemake.cli import get_argument_parser

from tests.documents import GUIDES, PROJECT, blocks, commands
from tests.miniature import make

# What the documents print, and what the tiny run has in its place, in this order.
OF_THE_TINY_RUN = {
    ".venv/bin/": "",
    "config/my_camera.yaml": "tiny.yaml",
    "config/experiments/streets_camvid.yaml": str(PROJECT / "config/experiments/streets_camvid.yaml"),
    "results/my_camera": "results/tiny",
    "results/demo": "results/tiny",
    "results/RUN": "results/tiny",
    "state/RUN": "state/tiny",
    "results/first": "results/tiny",
    "results/second": "results/tiny",
    "models/MODEL": "models/final",
    "state/tiny/MODEL": "state/tiny/final",
    "/data/gta5": "gta5",
    "/data/my_photos": "photos",
    "/game/": "/synthetic/",
    "photos/*.jpg": "photos/*.png",
    # One seed stands for all.
    "seed=102 run=seed102": "seed=101 run=seed101",
    "--model models/my_model.safetensors": "--model results/tiny/models/final",
    "FOLDER_IMAGE_OR_VIDEO": "photos",
    "a/labels b/labels": "'some data/camera_test/labels' segmented/labels",
    "cityscapes7": "cityscapes19",
    "human vehicle": "road sky",
    'car "traffic light"': "road sky",
    # Its models are less sure.
    "--lower 0.5": "--lower 0.05",
    # Of plugins that `make test` does not install. tests/cluster runs with these profiles.
    "--workflow-profile profiles/my_site ": "",
    "--workflow-profile profiles/s3 ": "",
    "--workflow-profile profiles/kubernetes ": "",
    # Not on this machine. tests/test_environments.py has the message without an image.
    '--software-deployment-method apptainer --apptainer-args "--nv --bind /data" ': "",
    # Of a finished run: tests/workflow/test_snakemake_report.py.
    " --report report.html": "",
}
# Steps whose parser reads the line, which is all that happens here.
ONLY_PARSED = {
    "init": "it measures the machine; tests/workflow_scripts/test_init.py runs it",
    "compare": "runs of several seeds; tests/workflow_scripts/test_compare.py makes some",
    "import_corrected_labels": "what a labelling tool exports; tests/test_documents.py does the round trip",
    "export": "it takes a minute; tests/workflow_scripts/test_export.py runs it",
    "import_weights": "weights of another project; tests/workflow_scripts/test_import_weights.py makes some",
    "oracle_study": "labels of the target, which the tiny run does not have",
    "study": "it makes whole runs; test_study.py runs it",
    "training_step": "a GPU; tests/test_benchmarks.py runs the benchmarks",
}
# Commands that no test runs, by their first words.
NOT_RUN = {
    "git clone": "continuous integration begins with a clone",
    "cd": "a folder of the reader's",
    "source activate": "the shell of the reader",
    "rm -r state/tiny/final": "its folder is checked below",
    "cp -r profiles/slurm": "a folder of the reader's",
    "nano": "an editor",
    "tmux": "a terminal",
    "export HF_HUB_OFFLINE=1": "the shell of the reader",
    "pip install": "the network; continuous integration installs the same files",
    "aws s3 sync": "a bucket",
    "podman": "a registry of images",
    "apptainer build": "an image",
    "kubectl": "a cluster",
    "rsync": "another machine",
    "find": "the photos of the reader",
    "sort": "the same",
    "for seed in": "a loop of the shell; tests/test_documents.py runs it with a stand-in for Snakemake",
    "do": "of the loop",
    "done": "of the loop",
    "break": "of the loop",
    "snakemake --configfile tiny.yaml --config seed=$seed": "of the loop",
}
PRINTED = [printed for document in GUIDES for printed in commands(document)]
TEXTS = [printed.text for printed in PRINTED]
MAKE_TARGETS = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)


class Parsed(Exception):  # noqa: N818 (no error: the step has got as far as it should)
    """What a parser has made of its arguments."""


@pytest.fixture(scope="module")
def folder(finished_run, tmp_path_factory):
    """A folder with the tiny run in it and what else the commands name, to write beside it."""
    folder = tmp_path_factory.mktemp("printed commands")
    for name in ("some data", "results", "tiny.yaml"):
        (folder / name).symlink_to(finished_run.folder / name)
    (folder / "photos").symlink_to(folder / "some data" / "camera_test")
    shutil.copy(folder / "photos" / "00.png", folder / "photo.jpg")
    make("gta5", folder / "gta5")
    photos = sorted((folder / "photos").glob("*.png"))
    for name, paths in {
        "images": photos,
        "labels": [path.parent / "labels" / path.name for path in photos],
        "predicted": [folder / "segmented" / "labels" / path.name for path in photos],
    }.items():
        (folder / f"{name}.txt").write_text("".join(f"{path}\n" for path in paths))
    for name in ("train.images", "train.labels", "test.images", "test.labels"):
        listed = folder / f"{name.partition('.')[2]}.txt"
        (folder / "data" / "camvid").mkdir(parents=True, exist_ok=True)
        shutil.copy(listed, folder / "data" / "camvid" / f"{name}.txt")
    [(_, second_run)] = blocks(PROJECT / "docs" / "more_photos.md", "yaml")
    for name, text in {
        # The tiny run keeps no average.
        "config/my_camera_2.yaml": of_the_tiny_run(second_run).replace("averaged", "weights"),
        "lists/camera_all.txt": (folder / "images.txt").read_text(),
    }.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    make("cityscapes", folder / "cityscapes")
    make("cityscapes", folder / "cityscapes", "val")
    make("synscapes", folder / "synscapes")
    (folder / "config" / "experiments").mkdir()
    for name in ("gtav_cityscapes", "gtav_cityscapes_today", "gtav_synscapes_cityscapes_today"):
        experiment = f"config/experiments/{name}.yaml"
        (folder / experiment).write_text((PROJECT / experiment).read_text().replace("/data/", f"{folder}/"))
    return folder


def of_the_tiny_run(command):
    for printed, tiny in OF_THE_TINY_RUN.items():
        command = command.replace(printed, tiny)
    return command


def start_of(command):
    """Return the first words of a command by which a table here knows it, or None."""
    return next((start for start in NOT_RUN if command == start or command.startswith(f"{start} ")), None)


def arguments_of(command):
    """Return the words of a command, with patterns of files filled in as a shell does it."""
    words = shlex.split(command)
    return [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else [word])]


def stop_after_parsing(patch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *arguments):
        raise Parsed(parse(parser, *arguments))

    patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)


def run_step(module, arguments, patch, capsys):
    """Run a step in this process, or only its parser; check that what it writes is there."""
    name = module.split(".")[-1]
    step = import_module(module)
    if name in ONLY_PARSED:
        stop_after_parsing(patch)
        with pytest.raises(Parsed):
            step.main(arguments)
        return
    step.main(arguments)
    if "--output" in arguments:
        output = arguments[arguments.index("--output") + 1]
        assert glob.glob(f"{output}*"), f"{output} is not there"
    else:
        assert any(capsys.readouterr())


@pytest.fixture(scope="module")
def plan(folder):
    """Return a function that lets Snakemake plan what a command asks for.

    Its own parser reads each line. Then all targets that belong to one configuration are planned at once.
    """
    parser = get_argument_parser()
    asked = {}
    for command in filter(is_snakemake, map(of_the_tiny_run, TEXTS)):
        # A line that the parser refuses fails its own test.
        with suppress(SystemExit):
            configuration, targets = request(parser, command)
            asked.setdefault(configuration, set()).update(targets)
    done = {}

    def plan(command):
        configuration, _ = request(parser, command)
        if configuration not in done:
            options = [*configuration, "--dry-run", "--cores", "2", "--snakefile", str(PROJECT / "Snakefile")]
            done[configuration] = subprocess.run(
                [sys.executable, "-m", "snakemake", *sorted(asked[configuration]), *options],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        assert done[configuration].returncode == 0, done[configuration].stdout[-2000:]

    return plan


def is_snakemake(command):
    return command.startswith("snakemake")


def request(parser, command):
    """Return the words of a command that name its configuration, and its targets."""
    words = shlex.split(command)[1:]
    options = parser.parse_args(words)
    flags = {"--configfile": options.configfile, "--config": options.config}
    configuration = [word for flag, values in flags.items() if values for word in (flag, *map(str, values))]
    return tuple(configuration), options.targets or ["all"]


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: f"{printed.place} {printed.text[:60]}")
def test_command_works_as_printed(printed, folder, monkeypatch, capsys, plan):
    command = of_the_tiny_run(printed.text)
    if command.startswith("make "):
        assert command.split()[1] in MAKE_TARGETS
    elif command.startswith(("python -m workflow_scripts.", "python -m benchmarks.")):
        torch.set_num_threads(1)
        monkeypatch.chdir(folder)
        module, *arguments = arguments_of(command.removeprefix("python -m ").partition(" > ")[0])
        run_step(module, arguments, monkeypatch, capsys)
    elif is_snakemake(command) and not start_of(command):
        plan(command)
    else:
        assert start_of(command), "in no table of this file: a command needs a test, or a reason"


def test_every_line_of_the_tables_is_needed():
    """What no document prints any more leaves the tables."""
    used, texts = set(), []
    for text in TEXTS:
        for printed, tiny in OF_THE_TINY_RUN.items():
            used |= {printed} if printed in text else set()
            text = text.replace(printed, tiny)
        texts.append(text)
    assert used == OF_THE_TINY_RUN.keys()
    assert {start_of(text) for text in texts} - {None} == NOT_RUN.keys()
    steps = {match[1] for text in texts if (match := re.match(r"python -m \w+\.(\w+)", text))}
    assert steps >= ONLY_PARSED.keys()


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_modules_and_targets_in_the_text_exist(document):
    text = document.read_text(encoding="utf-8")
    for module in re.findall(r"python -m ((?:workflow_scripts|benchmarks|tests)\.[\w.]+)", text):
        if module.split(".")[-1] not in ("STEP", ""):
            assert PROJECT.joinpath(*module.rstrip(".").split(".")).with_suffix(".py").exists(), module
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= {*MAKE_TARGETS}
