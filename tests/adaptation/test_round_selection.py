from pathlib import Path

import numpy as np
import pytest

from cotrain.adaptation.round_selection import RoundEvidence, evidence_of_round, select_images
from cotrain.data.manifests import Item


class HandMade:
    """Labels of 2 × 2 pixels in memory: id -> (label, levels)."""

    def __init__(self, **of_id):
        self.of_id = of_id

    def label(self, item):
        label, levels = self.of_id[item.id]
        return np.array(label, np.uint8).reshape(2, 2), np.array(levels, np.uint16).reshape(2, 2)


def test_evidence_of_two_images():
    labeller = HandMade(x=([0, 2, 2, 255], [65535, 0, 65535, 9]), y=([255] * 4, [9] * 4))
    items = [Item(name, Path(f"{name}.png"), 2, 2) for name in "xy"]
    evidence = evidence_of_round(items, labeller, 3, 2, "label")
    np.testing.assert_allclose(evidence.scores, [2 / 3, 0])
    np.testing.assert_array_equal(evidence.counts, [[1, 0, 2], [0, 0, 0]])
    np.testing.assert_array_equal(evidence.void_pixels, [1, 4])


def test_evidence_of_no_image():
    evidence = evidence_of_round([], HandMade(), 3, 2, "label")
    assert (evidence.scores.shape, evidence.counts.shape) == ((0,), (0, 3))
    selection = select_images(evidence, "confidence", 4)
    assert (selection.kept, selection.choices) == ([], [])


# The third image has no label left.
EVIDENCE = RoundEvidence(
    scores=np.array([0.7, 0.9, 0.0, 0.8]),
    counts=np.array([[20, 0], [10, 0], [0, 0], [10, 10]]),
    void_pixels=np.array([0, 10, 20, 0]),
)


@pytest.mark.parametrize(
    ("ranking", "order"), [("confidence", [1, 3, 0]), ("class_count", [3, 1, 0]), ("void_pixels", [0, 3, 1])]
)
def test_the_best_are_kept_and_an_image_without_label_never(ranking, order):
    assert select_images(EVIDENCE, ranking, 9).kept == order
    assert select_images(EVIDENCE, ranking, 2).kept == order[:2]


def test_each_choice_has_a_reason():
    assert select_images(EVIDENCE, "confidence", 2).choices == [
        (False, "confidence rank 3 of 3, the first 2 are kept"),
        (True, "confidence rank 1 of 3"),
        (False, "no pixel exceeds the threshold of its class"),
        (True, "confidence rank 2 of 3"),
    ]
