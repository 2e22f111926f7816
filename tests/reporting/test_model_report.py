import pytest

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.model_report import (
    circumstances,
    report_markdown,
    report_text,
    unscored_markdown,
    unscored_text,
)
from cotrain.reporting.table import to_tsv, trainings_table
from cotrain.training.record import RecordedImages, RecordedSettings, TrainingRecord

PROTOCOL = {"test": "camera_test", "resize": None, "flip": True, "window": False, "scales": [0.5, 1.0]}


@pytest.fixture
def rows():
    """Scores of a baseline and a final model on two classes."""
    shares = {"frequency_weighted_iou": 0.7, "pixel_accuracy": 0.9, "mean_class_accuracy": 0.5}
    return [
        ModelScores(
            name, mean_iou, **shares, iou={"road": mean_iou, "sky": None}, images=3, protocol=PROTOCOL
        )
        for name, mean_iou in (("baseline", 0.3), ("final", 0.45))
    ]


def test_circumstances_in_words(rows):
    expected = "test: camera_test, resize: none, flip: yes, window: no, scales: [0.5, 1.0]"
    assert circumstances(rows[0]) == f"3 images, 2 classes, {expected}"


def test_both_forms_say_the_same(rows):
    text, markdown = report_text(rows), report_markdown(rows, "a picture.png")
    for report in (text, markdown):
        assert circumstances(rows[0]) in report
        assert all(found in report for found in ("45.00", "+15.00", "road"))
    assert "![mIoU by model](a picture.png)" in markdown
    # In Markdown, classes are lines.
    assert "| road | 30.00 | 45.00 |" in markdown


@pytest.fixture
def trainings():
    """Records of a baseline, and of a final model in which two classes have vanished."""
    return {
        "baseline": TrainingRecord(
            settings=RecordedSettings(iterations=60000),
            images=RecordedImages(source=9, target=0),
            last_loss=0.45678,
        ),
        "final": TrainingRecord(
            settings=RecordedSettings(iterations=350),
            images=RecordedImages(source=9, target=200, kept_share=0.87654),
            last_loss=1.2,
            vanished_classes=["traffic light", "pole"],
        ),
    }


def test_what_is_known_of_models_without_labels(trainings):
    note = "2 of the 3 images are dark. " + "Look at them. " * 9 + "/a/long-path.png"
    text = unscored_text(trainings, [note])
    assert max(map(len, text.splitlines())) <= 110
    title, how, about, table, vanished, noted = text.split("\n\n")
    assert title == "No scores: no test set is given"
    assert " ".join(how.split()) == (
        "The configuration has no `test`, so nothing says how good these models are. For scores, list some "
        "labelled images of the camera as a further dataset, and name it with the key `test`. The same "
        "command then scores these models; it trains none again."
    )
    assert about.startswith("This is known without labels. It tells how each training went, not which model")
    assert table.splitlines() == [
        "model     iterations  last loss  target images  kept pixels (%)  vanished classes",
        "---------------------------------------------------------------------------------",
        "baseline       60000      0.457              –                –                 0",
        "final            350      1.200            200             87.7                 2",
    ]
    assert vanished == "Vanished in final: traffic light, pole"
    assert " ".join(noted.split()) == f"Note: {note}"
    assert to_tsv(trainings_table(trainings)).splitlines()[1] == "baseline\t60000\t0.457\t\t\t0"


def test_nothing_in_a_report_without_scores_looks_like_one(trainings):
    markdown = unscored_markdown(trainings, ["a note"])
    for text in (unscored_text(trainings), markdown):
        assert not any(word in text for word in ("IoU", "accuracy", "(points)", "!["))
    assert markdown.startswith("# No scores: no test set is given\n\nThe configuration has no `test`, ")
    assert (
        "| final | 350 | 1.200 | 200 | 87.7 | 2 |\n\n- Vanished in final: traffic light, pole\n\n" in markdown
    )
    assert markdown.endswith("Note: a note\n")


def test_a_report_without_vanished_classes_has_no_line_of_them(trainings):
    del trainings["final"]
    assert unscored_text(trainings).endswith("–                 0\n")
    assert unscored_markdown(trainings).endswith("| baseline | 60000 | 0.457 | – | – | 0 |\n")
