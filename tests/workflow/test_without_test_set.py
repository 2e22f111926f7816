"""A run for a camera without any label: no `test`, no labels of the target."""

import json
import re
import shutil
from base64 import b64encode

import numpy as np
import pytest

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest
from tests.workflow.test_chain import MODELS
from tests.workflow.test_dag import planned_jobs
from workflow_scripts import verify


def leave_out_test_set(run):
    """Take the test set and all labels but those of the source out of the configuration."""
    configuration = run.configuration()
    del configuration["test"], configuration["datasets"]["camera_test"]
    for key in ("labels", "classes"):
        del configuration["datasets"]["camera"][key]
    run.configure(configuration)
    return configuration


@pytest.fixture(scope="module")
def unscored(finished_run, make_run, tmp_path_factory):
    """The tiny run after its test set was taken away, and what it then says; its scores are removed."""
    run = make_run(tmp_path_factory.mktemp("no test") / "run")
    shutil.rmtree(run.folder)
    shutil.copytree(finished_run.folder, run.folder)
    leave_out_test_set(run)
    results = run.folder / "results" / "tiny"
    for folder in (
        results / "evaluation",
        results / "data" / "camera_test",
        results / "sample" / "labelled",
        run.folder / "some data" / "camera_test",
    ):
        shutil.rmtree(folder)
    # Another test may have asked the finished run for it.
    (results / "report" / "estimate.txt").unlink(missing_ok=True)
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-4000:]
    return run, results, done.stdout


def test_the_same_models_are_planned_and_none_is_scored(run):
    with_scores = planned_jobs(run, "all")
    leave_out_test_set(run)
    jobs = planned_jobs(run, "all")
    assert jobs["train"] == with_scores["train"] == len(MODELS)
    # One model is scored by two shards; the test set is listed, checked and converted.
    assert with_scores["predict"] - jobs["predict"] == 2 * len(MODELS)
    assert with_scores.keys() - jobs.keys() == {"evaluate"}
    for step in ("make_manifest", "check_data", "convert_labels"):
        assert with_scores[step] - jobs.get(step, 0) == 1
    # Models are calibrated although none is scored.
    configuration = run.configuration()
    configuration["prediction"]["calibration_images"] = 2
    run.configure(configuration)
    jobs = planned_jobs(run, "baseline", "self_training", "co_training")
    assert jobs["train"] == jobs["calibrate"] == len(MODELS) - 1
    assert "evaluate" not in jobs
    refused = run.snakemake("upper_bound", "--dry-run")
    assert refused.returncode == 1
    assert refused.stdout.splitlines()[-1].startswith("upper_bound: there is no test set, and an upper bound")


def test_a_run_ends_with_what_is_known_without_labels(unscored):
    run, results, output = unscored
    files = ["health.json", "health.tsv", "health.txt", "index.html", "models.md", "models.tsv"]
    files += ["models.txt", "page", "photos.jpg"]
    assert sorted(path.name for path in (results / "report").iterdir()) == files
    assert not (results / "evaluation").exists()
    text = (results / "report" / "models.txt").read_text()
    assert text.startswith("No scores: no test set is given\n")
    assert text.strip() in output
    last = output.strip().splitlines()[-1]
    assert last.endswith(
        "all models are listed, without scores, in results/tiny/report/models.txt; photos, as the models see "
        "them: results/tiny/report/photos.jpg. Open the page of the run: results/tiny/report/index.html"
    )
    assert "weights in" not in output
    page = (results / "report" / "index.html").read_text()
    assert "Finished, not scored" in page or "It did not work" in page
    assert "Test images" not in page
    # The run before had noted that a test image is also one of the target.
    assert text.count("Note") == 1
    assert "Note: synthetic: no pixel of sidewalk," in text
    assert "No model of this run can learn a class that no source shows" in " ".join(text.split())
    header, *rows = ((results / "report" / "models.tsv").read_text()).splitlines()
    assert header.split("\t")[3:5] == ["target images", "kept pixels (%)"]
    table = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}
    assert list(table) == MODELS
    assert table["baseline"][2:4] == ["", ""]
    for model, manifest in (
        ("self_training/01", "self_training/01/accumulated.tsv"),
        ("co_training/00/b", "co_training/00/b/accumulated.tsv"),
        ("final", "ensemble/manifest.tsv"),
    ):
        items = read_manifest(results / "pseudo_labels" / manifest)
        kept = [np.mean(read_label(run.folder / item.label) != 255) for item in items]
        losses = (results / "models" / model / "history.jsonl").read_text().splitlines()
        last_loss = json.loads(losses[-1])["loss"]
        assert table[model][1:4] == [f"{last_loss:.3f}", str(len(items)), f"{100 * np.mean(kept):.1f}"]


def test_its_health_ends_the_report_and_is_no_score(unscored):
    run, results, _ = unscored
    text = (results / "report" / "health.txt").read_text()
    assert (results / "report" / "models.txt").read_text().endswith(text)
    assert "mIoU" not in text
    assert "Whether the run gains or loses is not known" in text
    content = json.loads((results / "report" / "health.json").read_text())
    assert list(content["models"]) == MODELS
    # So little training gives models that have collapsed, and the run was told to go on.
    assert content["findings"][0]["kind"] == "collapsed"
    assert "warning: baseline has collapsed" in (run.folder / "output.txt").read_text()
    final = content["models"]["final"]
    items = read_manifest(results / "pseudo_labels" / "ensemble" / "manifest.tsv")
    counts = sum(
        np.bincount(read_label(run.folder / item.label).ravel(), minlength=256)[:19] for item in items
    )
    assert [*final["pseudo_labels"].values()] == pytest.approx((counts / counts.sum()).tolist(), abs=1e-6)
    sample = read_manifest(results / "sample" / "images.tsv")
    assert {item.id for item in sample} == {item.id for item in items} | {f"{n:02d}" for n in range(8)}


def test_the_card_of_its_last_model_has_the_health(unscored):
    _, results, _ = unscored
    first = json.loads((results / "report" / "health.json").read_text())["findings"][0]["text"]
    cards = {model: (results / "models" / model / "README.md").read_text() for model in MODELS}
    assert f"- Verdict on the run: {first}\n" in cards["final"]
    assert "- The health of its run, `report/health.txt` there," in cards["baseline"]
    assert all("Verdict" not in card for model, card in cards.items() if model != "final")


def test_its_files_are_whole_and_nothing_is_left_to_do(unscored, monkeypatch):
    run, _, _ = unscored
    monkeypatch.chdir(run.folder)
    verify.main(["results/tiny"])
    again = run.snakemake("--dry-run")
    assert "Nothing to be done" in again.stdout, again.stdout


def test_its_page_shows_the_table_and_no_score(unscored):
    run, results, _ = unscored
    done = run.snakemake("--report", "report.html")
    assert done.returncode == 0, done.stdout[-3000:]
    html = (run.folder / "report.html").read_text(encoding="utf-8")
    assert b64encode((results / "report" / "models.txt").read_bytes()).decode() in html
    assert "What is known of each model without labels" in html
    assert not re.findall("Scores of all models|mean IoU of all models", html)


def test_with_a_test_set_the_models_that_are_there_are_scored(unscored, finished_run):
    run, _, _ = unscored
    shutil.copytree(finished_run.folder / "some data", run.folder / "some data", dirs_exist_ok=True)
    without = run.configuration()
    try:
        run.configure(finished_run.configuration())
        jobs = planned_jobs(run)
    finally:
        run.configure(without)
    assert jobs["evaluate"] == len(MODELS)
    assert not jobs.keys() & {"train", "thresholds", "label_round", "exchange", "ensemble_labels"}
