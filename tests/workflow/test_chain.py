import csv
import fcntl
import json
import re
import shutil
import subprocess

import pytest
import torch

from cotrain import __version__
from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest, verify_labels
from tests.workflow.test_dag import planned_jobs
from workflow_scripts import status

MODELS = ["baseline", "self_training/00", "self_training/01", "co_training/00/a", "co_training/00/b", "final"]


def test_all_models_are_trained_and_scored(finished_run):
    for model in MODELS:
        folder = finished_run.folder / "results" / "tiny"
        assert (folder / "models" / model / "weights.safetensors").stat().st_size > 0
        scores = json.loads((folder / "evaluation" / model / "camera_test" / "scores.json").read_text())
        assert scores["model"] == model
        assert scores["images"] == 4
        assert 0 <= scores["mean_iou"] <= 1


def test_table_is_shown_at_the_end_and_kept(finished_run):
    output = (finished_run.folder / "output.txt").read_text()
    table = (finished_run.folder / "results" / "tiny" / "report" / "models.txt").read_text()
    assert table.strip() in output
    with open(finished_run.folder / "results" / "tiny" / "report" / "models.tsv", encoding="utf-8") as file:
        assert [row["model"] for row in csv.DictReader(file, delimiter="\t")] == MODELS


def test_a_test_image_that_is_also_a_target_image_is_noted_below_the_table(finished_run):
    results = finished_run.folder / "results" / "tiny"
    (note,) = json.loads((results / "data" / "checked.json").read_text())["notes"]
    assert note.startswith("1 of the 4 test images of camera_test is also in camera; the first is ")
    assert "camera_test/03.png, there " in note
    assert f"Note: {note}" in " ".join((results / "report" / "models.txt").read_text().split())
    assert f"Note: {note}" in (results / "report" / "models.md").read_text()


def test_every_model_has_a_card(finished_run):
    results = finished_run.folder / "results" / "tiny"
    cards = {model: (results / "models" / model / "README.md").read_text() for model in MODELS}
    parameters = json.loads((results / "data" / "networks.json").read_text())["networks"]["network"][
        "parameters"
    ]
    for model, card in cards.items():
        assert card.startswith(f"# Model `{model}`\n")
        assert f"backbone test_efficientnet (timm), {parameters:,} parameters" in card
        scores = json.loads((results / "evaluation" / model / "camera_test" / "scores.json").read_text())
        assert "measured on camera_test: 4 images" in card
        assert f"\n| {100 * scores['mean_iou']:.2f} | " in card
        assert "Note: 1 of the 4 test images of camera_test is also in camera" in card
        assert "Source: 8 labelled images of synthetic\n" in card
        assert "First weights: random numbers; no weights of others\n" in card
    assert "Target: no image is trained on\n" in cards["baseline"]
    assert "Target: 8 images of camera with pseudo-labels, which cover " in cards["final"]
    # The code at hand has trained it.
    assert f"Trained by: cotrain {__version__}" in cards["final"]
    [program] = re.findall(r"```python\n(.*?)```", cards["final"], re.DOTALL)
    names = {"images": torch.zeros(2, 3, 50, 70, dtype=torch.uint8)}
    exec(program.replace("path/of/this/folder", str(results / "models" / "final")), names)
    assert names["classes"].shape == names["confidence"].shape == (2, 50, 70)


def test_a_finished_run_without_a_card_gets_it_and_nothing_else(finished_run):
    card = finished_run.folder / "results" / "tiny" / "models" / "final" / "README.md"
    card.rename(card.with_suffix(".kept"))
    try:
        assert planned_jobs(finished_run) == {"model_card": 1, "all": 1}
    finally:
        card.with_suffix(".kept").rename(card)


def test_each_training_names_its_parents(finished_run):
    models = finished_run.folder / "results" / "tiny" / "models"

    def parents(model):
        return set(json.loads((models / model / "training.json").read_text())["parents"])

    results = "results/tiny"
    assert f"{results}/models/baseline/weights.safetensors" in parents("self_training/01")
    assert f"{results}/pseudo_labels/self_training/01/accumulated.tsv" in parents("self_training/01")
    assert f"{results}/models/self_training/00/weights.safetensors" in parents("co_training/00/a")
    assert f"{results}/models/self_training/01/weights.safetensors" in parents("co_training/00/b")
    assert f"{results}/models/baseline/weights.safetensors" in parents("final")
    assert f"{results}/pseudo_labels/ensemble/manifest.tsv" in parents("final")
    assert parents("baseline") == {f"{results}/translated/synthetic/manifest.tsv"}


def test_pseudo_labels_are_train_ids_of_target_images(finished_run):
    labels = finished_run.folder / "results" / "tiny" / "pseudo_labels"
    for name in (
        "self_training/01/accumulated.tsv",
        "co_training/00/a/selected.tsv",
        "ensemble/manifest.tsv",
    ):
        items = read_manifest(labels / name)
        verify_labels(items, labels / name)
        assert items
        for item in items:
            assert item.image.parent.name == "camera"
            assert item.label is not None
            assert set(read_label(item.label).ravel().tolist()) <= {*range(19), 255}


def test_the_page_is_made_at_the_end_and_at_any_time(finished_run):
    page = finished_run.folder / "results" / "tiny" / "report" / "index.html"
    html = page.read_text()
    for text in ("Test images", "Photos of the target", "Images of the source", "1 of the 4 test images of"):
        assert text in html
    # As if the run were still at work.
    with open(finished_run.folder / "state" / "tiny" / "workflow.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert finished_run.snakemake("page").returncode == 0
        made = page.stat().st_mtime_ns
        done = finished_run.snakemake("page")
        refused = finished_run.snakemake("--forcerun", "report")
    assert done.returncode == 0, done.stdout
    assert page.stat().st_mtime_ns > made
    assert "another snakemake is at work on run tiny" in refused.stdout
    assert "Nothing to be done" in finished_run.snakemake("--dry-run").stdout


def test_predictions_are_given_back(finished_run):
    assert not list((finished_run.folder / "results" / "tiny" / "predictions").rglob("*.h5"))


def test_a_run_can_be_moved_with_its_folder(finished_run, tmp_path):
    """No file says where the folder lies: under another path nothing is made again."""
    names = [path for part in ("results", "state") for path in (finished_run.folder / part).rglob("*")]
    texts = [path for path in names if path.suffix in (".tsv", ".json", ".jsonl", ".txt")]
    assert len(texts) > 50
    for path in texts:
        assert str(finished_run.folder) not in path.read_text(), path
    shutil.copytree(finished_run.folder, tmp_path / "elsewhere")
    moved = subprocess.run(
        finished_run.command("--dry-run"), cwd=tmp_path / "elsewhere", capture_output=True, text=True
    )
    assert "Nothing to be done" in moved.stderr + moved.stdout


def test_finished_run_has_nothing_to_do(finished_run):
    again = finished_run.snakemake("--dry-run")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_number_of_shards_does_not_change_the_models(finished_run, run):
    """Histograms add up: one shard or two, the thresholds and so all later bytes are the same."""
    configuration = run.configuration()
    configuration["prediction"]["shards"] = 1
    run.configure(configuration)
    done = run.snakemake("results/tiny/models/self_training/00/weights.safetensors")
    assert done.returncode == 0, done.stdout[-4000:]
    name = "models/self_training/00/weights.safetensors"
    assert run.bytes_of(name) == finished_run.bytes_of(name)


@pytest.mark.parametrize("gpus", [1, 2])
def test_branches_train_side_by_side_where_two_gpus_are_granted(finished_run, run, gpus):
    shutil.rmtree(run.folder)
    shutil.copytree(finished_run.folder, run.folder)
    shutil.rmtree(run.folder / "results" / "tiny" / "models" / "co_training")
    # Jobs ask for a GPU unless the device is the CPU; that there is none changes nothing of their order.
    run.configure(run.configuration() | {"device": "auto"})
    models = [f"results/tiny/models/co_training/00/{branch}/weights.safetensors" for branch in "ab"]
    options = ["--quiet", "host", "--rerun-triggers", "mtime", "--resources", f"gpu={gpus}"]
    done = run.snakemake(*options, "--", *models)
    assert done.returncode == 0, done.stdout[-4000:]
    assert ("Execute 2 jobs" in done.stdout) == (gpus == 2), done.stdout


def test_a_finished_run_has_all_that_its_status_counts(finished_run, capsys):
    status.main([str(finished_run.folder / "results" / "tiny")])
    output = capsys.readouterr().out
    assert "tiny: finished" in output
    assert "6 of 6 models" in output
