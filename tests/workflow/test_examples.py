"""The examples of `--help` do what they say after `make demo`; here they are run on the tiny run's files."""

import glob
import pkgutil
import shlex
from importlib import import_module

import pytest
import torch

import workflow_scripts

# In an order in which each finds what it needs among the files of a run and what those before it have made.
STEPS = [
    *("make_manifest", "check_data", "collect_checks", "translate"),
    *("contact_sheet", "convert_labels", "decode_images"),
    *("class_statistics", "class_priors", "select_images"),
    *("write_settings", "check_networks", "batch_sheet", "estimate", "train", "hold_out", "calibrate"),
    *("choose_subset", "predict", "thresholds", "label_round", "accumulate"),
    *("sample", "photo_sheet", "health"),
    *("evaluate", "report", "model_card", "page", "segment", "class_probabilities", "score_labels"),
    "error_images",
    *("colour_labels", "export_pseudo_labels"),
]
# Their examples need what neither the tiny run nor an example before them leaves.
NOT_HERE = {
    "check_device": "a GPU",
    "compare": "a second run",
    "configuration": "a configuration of the project; it writes no file",
    "ego_vehicle_mask": "a dataset with ids of the own vehicle",
    "ensemble_labels": "predictions of two models",
    "exchange": "predictions of two models",
    "init": "photos of a camera",
    "join_ensemble": "labels by two models",
    "export": "the packages of its own environment",
    "extract_frames": "a video",
    "import_corrected_labels": "labels that a labelling tool has exported",
    "import_weights": "a checkpoint of another project",
    "oracle_study": "labels of the target, which the tiny run does not have",
    "relabel": "predictions of the accumulated images",
    "render_scenes": "a dataset of rendered streets",
    "status": "it writes no file",
    "verify": "it writes no file",
    "vote_labels": "labels of two models",
}
OF_THE_TINY_RUN = {
    "--scenes results/demo/data/camera_test/scenes": "",
    "results/demo/data/camera_test/scenes/images/00000.jpg": "'some data/camera_test/00.png'",
    "results/demo/data/camera_test/scenes/images": "'some data/camera_test'",
    "results/demo": "results/tiny",
    "/game/": "/synthetic/",
    "cityscapes7": "cityscapes19",
    "human vehicle": "road sky",
    "averaged.safetensors": "weights.safetensors",
    "--number 20": "--number 2",
    # Its models are less sure.
    "--lower 0.5": "--lower 0.05",
}


@pytest.fixture(scope="module")
def folder(finished_run, tmp_path_factory):
    """A folder with the data and the results of the tiny run, to write something else beside them."""
    folder = tmp_path_factory.mktemp("by hand")
    for name in ("some data", "results"):
        (folder / name).symlink_to(finished_run.folder / name)
    return folder


def test_every_example_runs_or_has_a_reason_not_to():
    names = {module.name for module in pkgutil.iter_modules(workflow_scripts.__path__)}
    names -= {"__main__", "command_line"}
    assert sorted([*STEPS, *NOT_HERE]) == sorted(names)


@pytest.mark.parametrize("name", STEPS)
def test_example_runs(name, folder, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.chdir(folder)
    step = import_module(f"workflow_scripts.{name}")
    # Of several examples the last is of a run; those before it are of datasets.
    example = step.EXAMPLE.split("python -m ")[-1]
    for demo, tiny in OF_THE_TINY_RUN.items():
        example = example.replace(demo, tiny)
    module, *words = shlex.split(example.replace("\\\n", " "))
    # As a shell does it.
    arguments = [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else [word])]
    assert module == step.__name__
    step.main(arguments)
    output = arguments[arguments.index("--output") + 1]
    assert glob.glob(f"{output}*"), f"{output} is not there"
