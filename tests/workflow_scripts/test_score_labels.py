"""Predictions that any tool has written."""

import json

import numpy as np
import pytest

from cotrain.data.images import write_label
from cotrain.errors import InputError
from workflow_scripts import score_labels


@pytest.fixture
def pair(tmp_path):
    """Return a function that writes predictions and labels and their lists, in a folder with a space."""

    def write(predictions, labels):
        folder = tmp_path / "two lists"
        for kind, arrays in (("predictions", predictions), ("labels", labels)):
            for index, array in enumerate(arrays):
                write_label(folder / kind / f"{index}.png", np.array(array, np.uint8), [])
            names = [f"{kind}/{index}.png" for index in range(len(arrays))]
            (folder / f"{kind}.txt").write_text("\n".join(names) + "\n")
        return [
            *("--predictions", str(folder / "predictions.txt"), "--labels", str(folder / "labels.txt")),
            *("--label-space", "camvid11", "--output", str(tmp_path / "out")),
        ]

    return write


def test_by_hand(pair, tmp_path):
    # Class 0: 3 of 4 pixels right, one more taken for it; class 1: 1 of 2 right, one taken for it.
    arguments = pair([[[0, 0]], [[0, 1], [0, 1]]], [[[0, 0]], [[0, 0], [1, 1]]])
    score_labels.main([*arguments, "--name", "ours"])
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["iou"]["sky"] == pytest.approx(3 / 5)
    assert scores["iou"]["building"] == pytest.approx(1 / 3)
    assert scores["mean_iou"] == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert (scores["model"], scores["images"]) == ("ours", 2)
    assert scores["protocol"] == {"label_space": "camvid11"}
    assert (tmp_path / "out" / "confusion.tsv").exists()
    assert (tmp_path / "out" / "confusion.png").exists()


def test_folders_and_labels_in_the_ids_of_their_dataset(pair, tmp_path):
    arguments = pair([[[3, 8]]], [[[7, 7]]])
    folder = tmp_path / "two lists"
    by_name = ["--predictions", str(folder / "predictions"), "--labels", str(folder / "labels")]
    # Cityscapes' label id 7 is road, our class 3: one of two pixels is right.
    score_labels.main([*by_name, *arguments[4:], "--classes", "cityscapes_ids"])
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["pixel_accuracy"] == 0.5
    (folder / "labels" / "0.png").rename(folder / "labels" / "1.png")
    with pytest.raises(InputError, match="1 file has no partner"):
        score_labels.main([*by_name, *arguments[4:]])


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        ([[[0]]], [[[0]], [[0]]], "lists 1 file, .* 2; expected equally many"),
        ([[[0]], [[0, 0]]], [[[0]], [[0]]], r"predictions\.txt, line 2: .*1\.png .* differ in shape"),
        ([[[12]]], [[[0]]], "line 1: .*prediction holds id 12, beyond 11 classes of camvid11"),
        ([[[0]]], [[[11]]], "label holds id 11, beyond 11 classes of camvid11"),
        ([[[0]]], [[[255]]], "nothing to score"),
    ],
)
def test_bad_input(pair, predictions, labels, message):
    with pytest.raises(InputError, match=message):
        score_labels.main(pair(predictions, labels))


def test_the_same_files_in_another_order_are_refused(tmp_path):
    for name in "abc":
        write_label(tmp_path / f"{name}.png", np.zeros((4, 6), np.uint8), [])
    (tmp_path / "p.txt").write_text("a.png\nb.png\nc.png\n")
    (tmp_path / "l.txt").write_text("a.png\nc.png\nb.png\n")
    arguments = ["--predictions", str(tmp_path / "p.txt"), "--labels", str(tmp_path / "l.txt")]
    with pytest.raises(InputError, match=r"p\.txt, line 2: .*b\.png is paired with .*c\.png; expected"):
        score_labels.main([*arguments, "--label-space", "camvid11", "--output", str(tmp_path / "out")])
