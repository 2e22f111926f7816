"""`snakemake --report`: one file that shows a finished run to somebody who has none of its folders."""

import re
from base64 import b64encode

from tests.workflow.conftest import PROJECT

TARGETS = ["all", "contact_sheets", "batch_sheets"]


def test_report_shows_scores_data_and_pictures(finished_run):
    made = finished_run.snakemake(*TARGETS)
    assert made.returncode == 0, made.stdout[-3000:]
    done = finished_run.snakemake(*TARGETS, "--report", "report.html")
    assert done.returncode == 0, done.stdout[-3000:]
    html = (finished_run.folder / "report.html").read_text(encoding="utf-8")
    results = finished_run.folder / "results" / "tiny"
    for name in (
        *("report/models.txt", "report/models.png", "report/models.tsv", "report/classes.tsv"),
        *("report/health.txt", "report/health.tsv"),
        *(
            "evaluation/final/camera_test/confusion.png",
            "evaluation/self_training/01/camera_test/confusion.png",
        ),
        *(
            "data/camera/images.check.txt",
            "data/camera_test/contact_sheet.png",
            "models/baseline/batches.png",
            "report/photos.jpg",
            "report/index.html",
        ),
    ):
        assert b64encode((results / name).read_bytes()).decode() in html, name
    for text in (
        "adapted from labelled synthetic images",
        "This page shows the\\nrun <tt",
        "Scores of all models on the labelled test images",
        "Each row is a labelled class",
        "The first batches of the training of baseline",
        "mean IoU of all models",
        "Some photos of the target, one in each row",
    ):
        assert text in html, text
    # It opens without a network.
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", html)


def test_every_caption_belongs_to_an_output():
    rules = "".join(path.read_text() for path in [PROJECT / "Snakefile", *(PROJECT / "rules").glob("*.smk")])
    used = set(re.findall(r"captions/(\w+)\.rst", rules))
    assert used == {path.stem for path in (PROJECT / "rules" / "captions").iterdir()}
