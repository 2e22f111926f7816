from pathlib import Path

import numpy as np
import pytest

from cotrain.adaptation.branch_exchange import (
    BranchImages,
    ExchangeSettings,
    FilledLabels,
    choose_for_exchange,
    evidence_of_branches,
    explain_choices,
    why_nothing_is_offered,
    write_picked_labels,
)
from cotrain.data.images import read_label
from cotrain.data.label_spaces import make_label_space
from cotrain.data.manifests import Item

CLASSES = ("a", "b", "c")
SPACE = make_label_space("own", [{"class": name, "colour": [1, 2, ord(name)]} for name in CLASSES])
VOID = 255


class Labels:
    """Labels in memory, by index of the image; kept pixels have the level `sure`, void ones 0."""

    thresholds = np.zeros(3, np.uint16)

    def __init__(self, rows, sure):
        self.rows, self.sure, self.labelled = np.array(rows, np.uint8), sure, []

    def label(self, item):
        index = int(item.id[-1])
        self.labelled.append(index)
        label = self.rows[[index]]
        levels = np.where(label == VOID, 0, self.sure[index]).astype(np.uint16)
        return label, levels


@pytest.fixture
def branches():
    # Image 0: both know something of their own. Image 1: only b does. Image 2: neither.
    rows = {
        "a": [[0, 0, 1, VOID], [VOID] * 4, [VOID] * 4],
        "b": [[0, 2, VOID, VOID], [2, 2, 2, VOID], [VOID] * 4],
    }
    sure = {"a": [65535, 0, 0], "b": [13107, 26214, 0]}
    return {
        name: BranchImages(
            name,
            [Item(f"{name}{i}", Path(f"{name}{i}.png"), 4, 1) for i in range(3)],
            Labels(rows[name], sure[name]),
        )
        for name in "ab"
    }


def settings(ranking="confidence", min_pixels=0, collaboration="exchange", keep=9):
    return ExchangeSettings(ranking, min_pixels, collaboration, keep)


@pytest.mark.parametrize(
    ("mode", "of_a", "of_b"),
    [
        ("none", [0, 0, 1, VOID], [0, 2, VOID, VOID]),
        ("add", [0, 0, 1, VOID], [0, 2, 1, VOID]),
        ("subtract", [0, VOID, 1, VOID], [0, VOID, 1, VOID]),
    ],
)
def test_filled_labels(branches, mode, of_a, of_b):
    labels = FilledLabels(branches, mode)
    np.testing.assert_array_equal(labels.label("a", 0), [of_a])
    np.testing.assert_array_equal(labels.label("b", 0), [of_b])


def test_without_filling_the_other_branch_is_not_labelled(branches):
    FilledLabels(branches, "none").label("a", 0)
    assert (branches["a"].labeller.labelled, branches["b"].labeller.labelled) == ([0], [])


def test_evidence_counts_after_filling_and_is_as_sure_as_before(branches):
    evidence = evidence_of_branches(FilledLabels(branches, "add"), 3, 2)
    np.testing.assert_array_equal(evidence["a"].counts, [[2, 1, 0], [0, 0, 3], [0, 0, 0]])
    np.testing.assert_array_equal(evidence["b"].counts, [[1, 1, 1], [0, 0, 3], [0, 0, 0]])
    np.testing.assert_array_equal(evidence["a"].void_pixels, [1, 1, 4])
    np.testing.assert_allclose(evidence["a"].scores, [1, 0, 0])
    np.testing.assert_allclose(evidence["b"].scores, [0.2, 0.4, 0])
    nan = np.nan
    np.testing.assert_allclose(evidence["a"].mean_confidence, [[1, 1, nan], [nan] * 3, [nan] * 3])
    np.testing.assert_allclose(evidence["b"].mean_confidence, [[0.2, nan, 0.2], [nan, nan, 0.4], [nan] * 3])
    # Each image is labelled once by each branch.
    assert sorted(branches["a"].labeller.labelled) == [0, 1, 2]


def test_void_pixels_are_those_of_the_whole_image():
    class Half:
        """The left half of each row is class 0, the right half is void."""

        thresholds = np.zeros(3, np.uint16)

        def label(self, item):
            label = np.zeros((item.height, item.width), np.uint8)
            label[:, item.width // 2 :] = VOID
            return label, np.full(label.shape, 40000, np.uint16)

    items = [Item("0", Path("0.png"), 6, 5), Item("1", Path("1.png"), 4, 7)]
    both = {name: BranchImages(name, items, Half()) for name in "ab"}
    evidence = evidence_of_branches(FilledLabels(both, "none"), 3, 1)
    np.testing.assert_array_equal(evidence["b"].counts, [[15, 0, 0], [14, 0, 0]])
    np.testing.assert_array_equal(evidence["b"].void_pixels, [15, 14])


def explained(branches, mode, chosen, tmp_path):
    """Return what each branch trains on, and why each image of each branch is chosen or not."""
    labels = FilledLabels(branches, mode)
    evidence = evidence_of_branches(labels, 3, 1)
    rankings, picks = choose_for_exchange(evidence, chosen)
    items, taken = {}, {}
    for name, branch in branches.items():
        items[name], taken[name] = write_picked_labels(
            branch, picks[name], labels, evidence, tmp_path / name, SPACE, 1
        )
    whys = {
        name: explain_choices(name, evidence[name], rankings[name], taken, chosen, CLASSES) for name in "ab"
    }
    return items, whys


def test_the_others_best_labels_on_own_images(branches, tmp_path):
    items, whys = explained(branches, "none", settings(keep=2), tmp_path)
    # b's scores are 0.2, 0.4 and 0; a's 1, 0 and 0, so of its two images one has no label and is left out.
    assert [item.id for item in items["a"]] == ["a1", "a0"]
    assert [item.id for item in items["b"]] == ["b0"]
    assert [item.score for item in items["a"]] == pytest.approx([0.4, 0.2])
    np.testing.assert_array_equal(read_label(items["b"][0].label), [[0, 0, 1, VOID]])
    assert whys["a"] == [
        (True, "to b for confidence: rank 1"),
        (False, "no pixel exceeds the threshold of its class"),
        (False, "no pixel exceeds the threshold of its class"),
    ]
    assert whys["b"][:2] == [(True, "to a for confidence: rank 2"), (True, "to a for confidence: rank 1")]


def test_reasons_where_few_images_are_taken(branches, tmp_path):
    _, whys = explained(branches, "none", settings(keep=1), tmp_path)
    assert whys["b"][0] == (False, "confidence: rank 2 of 3, 1 image is taken")


def test_reasons_where_a_label_of_its_own_is_preferred(branches, tmp_path):
    # a takes its own image 0 first, so that of b has no place.
    _, whys = explained(branches, "none", settings(collaboration="both", keep=2), tmp_path)
    assert whys["b"][0] == (
        False,
        "confidence: rank 2, but branch a takes the image with its own label",
    )
    assert whys["b"][1] == (True, "to a and b for confidence: rank 1")


def test_reasons_by_class_demand(branches, tmp_path):
    # Class c is in b's images 0 (0.2) and 1 (0.4): only the latter is among the surest.
    _, whys = explained(branches, "none", settings("receiver_threshold", min_pixels=0), tmp_path)
    assert whys["b"][1] == (True, "to a for receiver_threshold: c")
    # Image 0 of b has one pixel of each class: exactly one is not more than one.
    for least in (1, 2):
        _, whys = explained(branches, "none", settings("receiver_threshold", min_pixels=least), tmp_path)
        assert whys["b"][0] == (False, f"receiver_threshold: shows no class with more than {least} pixels")
    branches["b"].labeller.rows[0] = [2, 2, 2, VOID]
    _, whys = explained(branches, "none", settings("receiver_threshold", min_pixels=2), tmp_path)
    assert whys["b"][0] == (False, "receiver_threshold: confidence too low among the images of c")


def test_a_branch_that_offers_nothing_shows_its_largest_class(branches):
    evidence = evidence_of_branches(FilledLabels(branches, "add"), 3, 1)
    # Filled from b, image 1 of a has three pixels of c; of what a found itself, two of a are the most.
    assert why_nothing_is_offered(branches["a"], evidence["a"], 2, CLASSES) == (
        "branch a offers no image: none shows a class with more than 2 pixels; the most are 2 of a in a0.png"
        ". Set co_training.min_pixels (by hand: --min-pixels) well below 2; small images need a small value"
    )
