import pytest

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.model_report import circumstances, report_markdown, report_text

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
