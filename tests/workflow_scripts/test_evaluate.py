import json
from dataclasses import replace

import numpy as np
import pytest

from cotrain.data.files import sha256_of
from cotrain.data.images import read_image, read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from workflow_scripts import evaluate, predict

SPACE = label_space("camvid11")


def test_scores_by_hand(model, tmp_path):
    items, flags = model
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0.h5")])
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
            *(*flags, "--name", "final", "--labelled", str(tmp_path / "images.tsv")),
            *("--output", str(output), "--write-outputs", "--class-subsets", "camvid11"),
        ]
    )
    scores = json.loads((output / "scores.json").read_text())
    assert scores["pixel_accuracy"] == pytest.approx(38 / 39)
    assert 0.3 < scores["mean_iou"] < 1
    assert (scores["model"], scores["images"], scores["protocol"]["label_space"]) == ("final", 5, "camvid11")
    assert scores["mean_iou_of"] == {"camvid11": scores["mean_iou"]}
    assert len(list((output / "images").glob("*.png"))) == 5
    coloured = [read_image(path) for path in (output / "coloured").glob("*.jpg")]
    # Below each picture the legend.
    assert [picture.shape[0] > 39 + 24 for picture in coloured] == [True] * 5
    assert (output / "confusion.png").stat().st_size > 1000
    lines = (output / "confusion.tsv").read_text().splitlines()[1:]
    assert sum(int(cell) for line in lines for cell in line.split("\t")[1:]) == 5 * 39 * 48


def test_predictions_of_a_sample_are_kept_as_predict_writes_them(model, tmp_path):
    items, flags = model
    sample = [items[3], items[1]]
    write_manifest(tmp_path / "sample.tsv", sample)
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0.h5")])
    arguments = ["--labelled", str(tmp_path / "images.tsv"), "--sample", str(tmp_path / "sample.tsv")]
    evaluate.main([*flags, *arguments, "--output", str(tmp_path / "by model")])
    of_predictions = ["--predictions", str(tmp_path / "0.h5"), "--label-space", "camvid11"]
    evaluate.main([*of_predictions, *arguments, "--output", str(tmp_path / "by predictions")])
    with PredictionReader([tmp_path / "0.h5"]) as whole:
        for way in ("by model", "by predictions"):
            with PredictionReader([tmp_path / way / "sample.h5"]) as reader:
                reader.check(sample, tmp_path / "sample.tsv", SPACE.classes)
                assert sorted(reader.holder) == sorted(item.id for item in sample)
                assert reader.origin.model == whole.origin.model
                for item in sample:
                    for own, other in zip(reader.read(item.id), whole.read(item.id), strict=True):
                        np.testing.assert_array_equal(own, other)
    write_manifest(tmp_path / "sample.tsv", [replace(items[0], id="gone")])
    with pytest.raises(InputError, match=r"sample\.tsv has the image gone, which .*images\.tsv has not"):
        evaluate.main([*flags, *arguments, "--output", str(tmp_path / "by model")])


def test_labels_that_have_changed_are_refused(model, tmp_path):
    items, flags = model
    write_manifest(tmp_path / "images.tsv", [replace(i, label_sha256=sha256_of(i.label)) for i in items])
    label = read_label(items[2].label)
    label[0, 0] = (label[0, 0] + 1) % 11
    write_label(items[2].label, label, [])
    arguments = ["--labelled", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "evaluation")]
    message = r"images\.tsv: 1 of 5 labels is bad: .*2\.png has changed since the manifest was written"
    with pytest.raises(InputError, match=message):
        evaluate.main([*flags, *arguments])
    with pytest.raises(InputError, match=message):
        evaluate.main(["--predictions", "0.h5", "--label-space", "camvid11", *arguments])


def test_labels_without_any_class_are_reported(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) | 255, [])
    arguments = [*flags, "--name", "final", "--labelled", str(tmp_path / "images.tsv")]
    with pytest.raises(InputError, match="nothing to score"):
        evaluate.main([*arguments, "--output", str(tmp_path / "evaluation")])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((40, 47), np.uint8), r"label \(40, 47\) and prediction \(40, 48\) differ in shape"),
        (np.full((40, 48), 11, np.uint8), "label holds id 11, beyond 11 classes of camvid11"),
    ],
)
def test_labels_that_do_not_fit_their_image_are_named(model, tmp_path, label, message):
    items, flags = model
    write_label(items[3].label, label, [])
    arguments = [*flags, "--name", "final", "--labelled", str(tmp_path / "images.tsv")]
    with pytest.raises(InputError, match=rf"images\.tsv: .*labels/3\.png against .*images/3\.png: {message}"):
        evaluate.main([*arguments, "--output", str(tmp_path / "evaluation")])


class TestShards:
    """Predictions that the step predict has written."""

    @pytest.fixture
    def shards(self, model, tmp_path):
        """Write labels that are partly right and three shards, and return all arguments but the shards."""
        items, flags = model
        rng = np.random.default_rng(3)
        for item in items:
            ids = rng.choice([0, 1, 2, 255], (4, 8)).astype(np.uint8)
            write_label(item.label, np.kron(ids, np.ones((10, 6), np.uint8)), [])
        for shard in range(3):
            images = ["--images", str(tmp_path / "images.tsv"), "--shard", str(shard), "--shards", "3"]
            predict.main([*flags, *images, "--output", str(tmp_path / f"{shard}.h5")])
        output = ["--output", str(tmp_path / "of shards"), "--name", "final"]
        return ["--labelled", str(tmp_path / "images.tsv"), "--label-space", "camvid11", *flags[-2:], *output]

    def files(self, tmp_path, *numbers):
        return ["--predictions", *(str(tmp_path / f"{number}.h5") for number in numbers)]

    def test_their_scores_are_those_of_the_model(self, model, shards, tmp_path):
        _, flags = model
        evaluate.main([*self.files(tmp_path, 2, 0, 1), *shards, "--write-outputs"])
        labelled = ["--name", "final", "--labelled", str(tmp_path / "images.tsv"), "--write-outputs"]
        evaluate.main([*flags, *labelled, "--output", str(tmp_path / "of model")])
        for name in ("scores.json", "confusion.tsv", "images/x_3.png", "coloured/x_3.jpg"):
            one, other = (tmp_path / folder / name for folder in ("of shards", "of model"))
            assert one.read_bytes() == other.read_bytes()

    def test_bad_input(self, model, shards, tmp_path):
        items, _ = model
        with pytest.raises(InputError, match="of 3 shards, counted from 0, 1 is missing"):
            evaluate.main([*self.files(tmp_path, 0, 2), *shards])
        all_shards = self.files(tmp_path, 0, 1, 2)
        with pytest.raises(InputError, match="another label space"):
            evaluate.main([*all_shards, *shards, "--label-space", "cityscapes19"])
        with pytest.raises(InputError, match="manifest cannot be read"):
            evaluate.main([*all_shards, *shards, "--labelled", str(tmp_path)])
        with pytest.raises(InputError, match=r"images\.tsv: cannot be read as predictions"):
            evaluate.main(["--predictions", str(tmp_path / "images.tsv"), *shards])
        write_label(items[0].label, np.zeros((40, 47), np.uint8), [])
        with pytest.raises(InputError, match=r"images\.tsv: .*0\.png against .*differ in shape"):
            evaluate.main([*all_shards, *shards])
        write_manifest(tmp_path / "images.tsv", items[1:])
        with pytest.raises(InputError, match=r"images\.tsv: is not the image set of the predictions"):
            evaluate.main([*all_shards, *shards])


def test_labels_of_another_label_space_are_refused(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) % 7, label_space("cityscapes7").palette)
    arguments = [*flags, "--name", "final", "--labelled", str(tmp_path / "images.tsv")]
    with pytest.raises(InputError, match="has the colours of label space cityscapes7, expected"):
        evaluate.main([*arguments, "--output", str(tmp_path / "evaluation")])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected either --model or --predictions, found none of them"),
        (["--model", "w.safetensors", "--predictions", "0.h5"], "--predictions, found both"),
        (["--predictions", "0.h5"], "--label-space: is missing, expected the label space of the predictions"),
        (
            ["--model", "w.safetensors", "--label-space", "camvid11"],
            "--label-space: works only with --predictions",
        ),
        (
            ["--predictions", "0.h5", "--label-space", "camvid11", "--temperature", "t.json"],
            "--temperature: works only with --model",
        ),
    ],
)
def test_flags_that_do_not_go_together(flags, message):
    with pytest.raises(InputError, match=message):
        evaluate.main([*flags, "--labelled", "m.tsv", "--output", "out"])
