import json

import pytest

from cotrain.data.images import read_label, write_label
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from workflow_scripts import evaluate, predict


def test_scores_by_hand(model, tmp_path):
    items, flags = model
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0")])
    # Labels that equal the predictions but for one row of ignored and one of wrong pixels.
    present = set()
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        for item in items:
            label = reader.read(item.id)[0].copy()
            label[0] = 255
            label[1] = (label[1] + 1) % 11
            present |= set(label.ravel().tolist()) - {255}
            write_label(item.label, label, [])
    output = tmp_path / "evaluation"
    evaluate.main(
        [
            *(*flags, "--model", "final", "--labelled", str(tmp_path / "images.tsv")),
            *("--output", str(output), "--write-outputs", "--class-subsets", "camvid11"),
        ]
    )
    scores = json.loads((output / "scores.json").read_text())
    assert scores["pixel_accuracy"] == pytest.approx(38 / 39)
    assert 0.3 < scores["mean_iou"] < 1
    assert (scores["model"], scores["images"], scores["protocol"]["label_space"]) == ("final", 5, "camvid11")
    assert scores["mean_iou_of"] == {"camvid11": scores["mean_iou"]}
    assert len(list((output / "images").glob("*.png"))) == 5
    assert len(list((output / "coloured").glob("*.jpg"))) == 5
    assert (output / "confusion.png").stat().st_size > 1000
    lines = (output / "confusion.tsv").read_text().splitlines()[1:]
    assert sum(int(cell) for line in lines for cell in line.split("\t")[1:]) == 5 * 39 * 48


def test_labels_without_any_class_are_reported(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) | 255, [])
    arguments = [*flags, "--model", "final", "--labelled", str(tmp_path / "images.tsv")]
    with pytest.raises(InputError, match="nothing to score"):
        evaluate.main([*arguments, "--output", str(tmp_path / "evaluation")])
