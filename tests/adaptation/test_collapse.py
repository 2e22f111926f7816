import numpy as np
import pytest

from cotrain.adaptation.collapse import Collapse, collapse_in_words, found_collapse, mean_confidence
from cotrain.adaptation.thresholds import LEVELS

# Streets: road, building, vegetation, sky, car, person and pole.
STREETS = np.array([360, 260, 160, 130, 70, 12, 8])


def collapse(*pixels, source=STREETS):
    return found_collapse(np.array(pixels), np.array(source))


def test_one_class_takes_nearly_all():
    # 94 % of road, of which the source shows 36 %: the others take 6 %, a tenth of 64 % is 6.4 %.
    assert collapse(940, 30, 30, 0, 0, 0, 0) == Collapse((0,), 0.94, 0.36)
    assert collapse(930, 40, 30, 0, 0, 0, 0) is None
    # Of a class that the source lacks, more than 90 % will do.
    assert collapse(50, 950, source=(100, 0)) == Collapse((1,), 0.95, 0.0)
    assert collapse(100, 900, source=(100, 0)) is None


def test_two_classes_take_nearly_all():
    found = collapse(0, 600, 0, 395, 5, 0, 0)
    assert found == Collapse((1, 3), pytest.approx(0.995), pytest.approx(0.39))
    # The first class alone, where it is alone.
    assert collapse(0, 0, 0, 1000, 0, 0, 0) == Collapse((3,), 1.0, 0.13)
    assert collapse(0, 600, 0, 385, 15, 0, 0) is None


@pytest.mark.parametrize(
    ("pixels", "source"),
    [
        # A motorway: 60 % road, 30 % sky.
        ((600, 0, 80, 300, 20, 0, 0), STREETS),
        # A night without colours, half of it sky.
        ((380, 60, 40, 510, 10, 0, 0), STREETS),
        # The demo's baseline, whose classes object and human are not there yet.
        ((337, 355, 105, 142, 61, 0, 0), STREETS),
        # A task with a small foreground: as many as in the source, or a fifth of it.
        ((950, 50), (950, 50)),
        ((990, 10), (950, 50)),
        # Three classes, of which the smallest is not found.
        ((600, 400, 0), (550, 400, 50)),
        # Two are all that there are.
        ((600, 400), (500, 500)),
        # Nothing is known of the source, or of the target.
        ((1000, 0), (0, 0)),
        ((0, 0), (500, 500)),
    ],
)
def test_what_is_no_collapse(pixels, source):
    assert collapse(*pixels, source=source) is None


def test_the_cause_depends_on_how_sure_the_model_is():
    histogram = np.zeros((7, LEVELS), np.int64)
    histogram[0, 65535], histogram[3, 0] = 3, 1
    assert mean_confidence(histogram) == 0.75
    found = Collapse((1, 3), 0.995, 0.39)
    classes = ("road", "building", "vegetation", "sky", "car", "person", "pole")
    assert collapse_in_words(found, "self_training/01", classes, 0.75) == (
        "self_training/01 has collapsed: 99.5 % of the target is building or sky to it, 39.0 % of the source "
        "is; it is unsure, so it has learnt too little: raise self_training.iterations"
    )
    text = collapse_in_words(found, "baseline", classes, 0.9)
    assert text.endswith("it is sure of that, so its training went astray: lower training.learning_rate")
    assert "raise baseline.iterations" in collapse_in_words(found, "the model", classes, 0.4)
