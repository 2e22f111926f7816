from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cotrain.adaptation.labelling import EnsembleLabeller, Labeller, labels_in_words
from cotrain.data.class_priors import ClassPriors
from cotrain.data.manifests import Item
from cotrain.data.masks import EgoVehicleMask

ITEM = Item("x", Path("x.png"), 3, 1)
NO_MASK = EgoVehicleMask(None)


class Predictions:
    """Predictions in memory: id -> (classes, levels)."""

    def __init__(self, **of_id):
        self.of_id = {
            name: (np.array([classes], np.uint8), np.array([levels], np.uint16))
            for name, (classes, levels) in of_id.items()
        }

    def read(self, image_id):
        return self.of_id[image_id]


X = Predictions(x=([0, 1, 0], [30000, 30000, 50000]))
THRESHOLDS = np.array([20000, 40000], np.uint16)


def test_label_and_score():
    labeller = Labeller(X, THRESHOLDS, NO_MASK)
    label, levels = labeller.label(ITEM)
    np.testing.assert_array_equal(label, [[0, 255, 0]])
    np.testing.assert_array_equal(levels, [[30000, 30000, 50000]])
    label, score = labeller.scored_label(ITEM)
    np.testing.assert_array_equal(label, [[0, 255, 0]])
    assert score == pytest.approx(40000 / 65535)


def test_own_vehicle_is_void(tmp_path):
    Image.fromarray(np.array([[1, 0, 0]], np.uint8)).save(tmp_path / "mask.png")
    labeller = Labeller(X, THRESHOLDS, EgoVehicleMask(tmp_path / "mask.png"))
    np.testing.assert_array_equal(labeller.label(ITEM)[0], [[255, 255, 0]])


def test_priors_weaken_confidences_up_to_their_threshold():
    # 0.05 of 0.1 halves the confidence of the first pixel: 15000 is below 20000.
    priors = ClassPriors(Path("p.npy"), np.array([[[0.05, 0.05, 0.2]], [[1, 1, 1]]], np.float32))
    weakened = Labeller(X, THRESHOLDS, NO_MASK, priors, prior_threshold=0.1)
    np.testing.assert_array_equal(weakened.label(ITEM)[0], [[255, 255, 0]])
    later = Labeller(X, THRESHOLDS, NO_MASK, priors, prior_threshold=0.0)
    np.testing.assert_array_equal(later.label(ITEM)[0], [[0, 255, 0]])


def test_ensemble_takes_the_surer_model_of_each_pixel():
    of_b = Predictions(night=([1, 1, 1], [29000, 41000, 50001]))
    labeller = EnsembleLabeller(X, of_b, {"x": "night"}, THRESHOLDS, NO_MASK)
    label, score = labeller.scored_label(ITEM)
    np.testing.assert_array_equal(label, [[0, 1, 1]])
    assert score == pytest.approx((30000 + 41000 + 50001) / 3 / 65535)


def test_what_pseudo_labels_hold():
    items = [Item(name, Path(f"{name}.png"), 10, 5) for name in "ab"]
    classes = ("road", "car", "sky", "pole", "sign", "fence", "wall")

    def words(*counts):
        return labels_in_words(np.array(counts), items, classes[: len(counts)])

    assert words(30, 20) == "50.0 % of their pixels have labels, 60.0 % of these are road"
    assert words(0, 25, 0) == (
        "25.0 % of their pixels have labels, 100.0 % of these are car, none is road, sky"
    )
    assert words(1, 0, 0, 0, 0, 0, 0).endswith("none is car, sky, pole, sign and 2 more")
    assert words(0, 0) == "no pixel has a label"
