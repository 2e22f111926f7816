"""Going on from a finished run as docs/more_photos.md says it, on the files of the tiny run."""

import json
import re
import shutil

import pytest
import yaml
from safetensors.torch import load_file

from cotrain.data.manifests import read_manifest
from tests.workflow.conftest import PROJECT, write_dataset

DOCUMENT = (PROJECT / "docs" / "more_photos.md").read_text(encoding="utf-8")
# The document's run, in the folder of the tiny one.
NAMES = {
    "lists/camera_all.txt": "some data/all.images.txt",
    "my_camera": "tiny",
    "averaged.safetensors": "weights.safetensors",
}


def of_the_tiny_run(text):
    for name, tiny in NAMES.items():
        text = text.replace(name, tiny)
    return text


def state_of(*folders):
    """Return what tells whether files were touched."""
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for folder in folders
        for path in folder.rglob("*")
        # Each Snakemake opens it.
        if path.name != "workflow.lock"
    }


def trained(output):
    """Return the models whose training a dry run plans."""
    return sorted(re.findall(r"^rule train:.*?wildcards: model=(\S+?),?$", output, re.MULTILINE | re.DOTALL))


@pytest.fixture
def second(finished_run):
    """The finished run with new photos and the second run's file; removed afterwards."""
    folder = finished_run.folder
    write_dataset(folder, "new", 3, 40)
    photos = [
        *(f"camera/{index:02d}.png" for index in range(8)),
        *(f"new/{index:02d}.png" for index in range(3)),
    ]
    (folder / "some data" / "all.images.txt").write_text("\n".join(photos) + "\n")
    [printed] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    content = yaml.safe_load(of_the_tiny_run(printed))
    assert content["run"] == "tiny_2"
    # Without its test set and shards, to save time; an average, because all files of a model are checked.
    content |= {"test": None, "prediction": {"shards": 1}, "training": {"average_decay": 0.5}}
    content["datasets"]["camera"] |= {"labels": None, "classes": None}
    (folder / "tiny_2.yaml").write_text(yaml.safe_dump(content))
    yield finished_run
    for name in ("results/tiny_2", "state/tiny_2", "some data/new"):
        shutil.rmtree(folder / name, ignore_errors=True)


def test_a_second_run_goes_on_from_the_finished_model(second):
    folder = second.folder
    [command] = re.findall(r"snakemake --configfile (.*)", DOCUMENT)
    files = of_the_tiny_run(command.replace("config/", "")).split()
    assert files == ["tiny.yaml", "tiny_2.yaml"]
    before = state_of(folder / "results" / "tiny", folder / "state" / "tiny", folder / "some data")
    models = folder / "results" / "tiny_2" / "models"
    target = "results/tiny_2/models/self_training/00/weights.safetensors"
    # Snakemake takes the last of several --configfile alone.
    done = second.snakemake(target, "--configfile", *files)
    assert done.returncode == 0, done.stdout[-4000:]
    assert state_of(folder / "results" / "tiny", folder / "state" / "tiny", folder / "some data") == before

    # The baseline is the finished model, bit for bit, and was not trained.
    finished = load_file(folder / "results" / "tiny" / "models" / "final" / "weights.safetensors")
    for name in ("weights", "averaged"):
        taken = load_file(models / "baseline" / f"{name}.safetensors")
        assert {key: tensor.numpy().tobytes() for key, tensor in taken.items()} == {
            key: tensor.numpy().tobytes() for key, tensor in finished.items()
        }
    record = json.loads((models / "baseline" / "training.json").read_text())
    assert (record["settings"]["iterations"], record["last_loss"], record["images"]["source"]) == (0, None, 0)
    assert list(record["parents"])[-1] == "results/tiny/models/final/weights.safetensors"
    assert "those of results/tiny/models/final/weights.safetensors as they are" in done.stdout
    # It is no schedule that is too short.
    assert "note: baseline.iterations" not in done.stdout

    # The round draws from the old and the new images.
    data = folder / "results" / "tiny_2" / "data" / "camera"
    assert len(read_manifest(data / "images.tsv")) == 11
    round_record = json.loads((models / "self_training" / "00" / "training.json").read_text())
    assert (round_record["settings"]["iterations"], round_record["images"]["target"]) == (4, 4)


ROWS = [
    ({"self_training": {"rounds": 3}}, ["co_training/00/a", "co_training/00/b", "final", "self_training/02"]),
    ({"self_training": {"rounds": 3}, "co_training": {"round_b": 1}}, ["self_training/02"]),
    ({"co_training": {"cycles": 2}}, ["co_training/01/a", "co_training/01/b", "final"]),
]


@pytest.mark.parametrize(("changes", "models"), ROWS, ids=("rounds", "rounds, b as before", "cycles"))
def test_added_rounds_and_cycles_keep_the_models(finished_run, changes, models):
    for section, keys in changes.items():
        [(key, value)] = keys.items()
        assert f"`{section}: {{{key}: {value}}}`" in DOCUMENT
    (finished_run.folder / "more.yaml").write_text(yaml.safe_dump(changes))
    done = finished_run.snakemake("--dry-run", "--quiet", "host", "--configfile", "tiny.yaml", "more.yaml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert trained(done.stdout) == models


def test_photos_added_to_the_list_make_all_models_again(finished_run):
    photos = finished_run.folder / "some data" / "camera.images.txt"
    before = photos.read_text()
    (finished_run.folder / "longer.txt").write_text(
        before + before.splitlines()[0].replace("00", "01") + "\n"
    )
    longer = {"datasets": {"camera": {"images": "longer.txt", "root": "some data", "labels": None}}}
    (finished_run.folder / "more.yaml").write_text(yaml.safe_dump(longer))
    done = finished_run.snakemake("--dry-run", "--quiet", "host", "--configfile", "tiny.yaml", "more.yaml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert {"baseline", "self_training/00", "final"} <= set(trained(done.stdout))
