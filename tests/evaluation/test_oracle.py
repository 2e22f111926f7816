import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotrain.evaluation.oracle import oracle_scores
from cotrain.evaluation.scores import confusion_matrix

CLASSES = ("road", "car", "sky")


def test_by_hand():
    """Road: of 4 pixels 2 are kept correctly, 1 as car, 1 is dropped. Car: both are kept. There is no sky."""
    label = np.array([[0, 0, 0, 0, 1, 1, 255, 255]], np.uint8)
    pseudo_label = np.array([[0, 0, 1, 255, 1, 1, 0, 255]], np.uint8)
    found = oracle_scores(confusion_matrix(label, pseudo_label, 3), CLASSES)
    assert found["classes"] == {
        "road": {"agreeing": 2, "kept": 2, "labelled": 4, "precision": 1.0, "coverage": 0.5, "recall": 0.5},
        "car": {
            "agreeing": 2,
            "kept": 3,
            "labelled": 2,
            "precision": pytest.approx(2 / 3),
            "coverage": 1.5,
            "recall": 1.0,
        },
        "sky": {
            "agreeing": 0,
            "kept": 0,
            "labelled": 0,
            "precision": None,
            "coverage": None,
            "recall": None,
        },
    }
    assert found["precision"] == pytest.approx(4 / 5)
    assert found["coverage"] == pytest.approx(5 / 6)
    assert found["mean_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["mean_coverage"] == pytest.approx((0.5 + 1.5) / 2)
    assert found["mean_recall"] == pytest.approx((0.5 + 1) / 2)


def test_a_kept_class_that_never_occurs_has_precision_0():
    found = oracle_scores(np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), CLASSES)
    assert found["classes"]["car"]["precision"] == 0
    assert found["classes"]["car"]["coverage"] is None
    assert found["classes"]["road"]["precision"] is None


def test_nothing_kept_or_nothing_known():
    nothing = oracle_scores(np.zeros((3, 4), np.int64), CLASSES)
    assert nothing["mean_precision"] is None
    assert nothing["precision"] is None
    assert nothing["coverage"] is None
    void = oracle_scores(np.array([[0, 0, 0, 9], [0, 0, 0, 0], [0, 0, 0, 0]]), CLASSES)
    assert void["coverage"] == 0
    assert void["precision"] is None


confusions = arrays.arrays(np.int64, (3, 4), elements=st.integers(0, 1000))


@given(confusions, confusions)
def test_counts_of_parts_add_up_and_recall_is_precision_times_coverage(one, other):
    together = oracle_scores(one + other, CLASSES)["classes"]
    parts = [oracle_scores(part, CLASSES)["classes"] for part in (one, other)]
    for name, found in together.items():
        for count in ("agreeing", "kept", "labelled"):
            assert found[count] == sum(part[name][count] for part in parts)
        if found["precision"] is not None and found["coverage"] is not None:
            assert found["recall"] == pytest.approx(found["precision"] * found["coverage"])
