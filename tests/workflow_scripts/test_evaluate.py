import json

import numpy as np
import pytest

from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
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
    arguments = [*flags, "--model", "final", "--labelled", str(tmp_path / "images.tsv")]
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
            predict.main(
                [
                    *(
                        *flags,
                        "--images",
                        str(tmp_path / "images.tsv"),
                        "--shard",
                        str(shard),
                        "--shards",
                        "3",
                    ),
                    *("--output", str(tmp_path / str(shard))),
                ]
            )
        output = ["--output", str(tmp_path / "of shards" / "scores.json"), "--model", "final"]
        return ["--labels", str(tmp_path / "images.tsv"), "--label-space", "camvid11", *flags[-2:], *output]

    def files(self, tmp_path, *numbers):
        return ["--predictions", *(str(tmp_path / f"{number}.h5") for number in numbers)]

    def test_their_scores_are_those_of_the_model(self, model, shards, tmp_path):
        _, flags = model
        evaluate.main([*self.files(tmp_path, 2, 0, 1), *shards, "--write-outputs"])
        of_model = [*flags, "--model", "final", "--labelled", str(tmp_path / "images.tsv"), "--write-outputs"]
        evaluate.main([*of_model, "--output", str(tmp_path / "of model")])
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
        with pytest.raises(InputError, match="expected the manifest whose images the shards are of"):
            evaluate.main([*all_shards, *shards, "--labels", str(tmp_path)])
        with pytest.raises(InputError, match=r"--classes: labels that shards .* are train ids"):
            evaluate.main([*all_shards, *shards, "--classes", "camvid"])
        with pytest.raises(
            InputError, match="found 2 files, expected one list, manifest or folder, or shards"
        ):
            evaluate.main(["--predictions", "a.txt", "0.h5", *shards])
        write_label(items[0].label, np.zeros((40, 47), np.uint8), [])
        with pytest.raises(InputError, match=r"images\.tsv: .*0\.png against .*differ in shape"):
            evaluate.main([*all_shards, *shards])
        write_manifest(tmp_path / "images.tsv", items[1:])
        with pytest.raises(InputError, match=r"images\.tsv: is not the image set of the predictions"):
            evaluate.main([*all_shards, *shards])


class TestLists:
    """Predictions that any tool has written."""

    @pytest.fixture
    def pair(self, tmp_path):
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
                *("--label-space", "camvid11", "--output", str(tmp_path / "out" / "scores.json")),
            ]

        return write

    def test_by_hand(self, pair, tmp_path):
        # Class 0: 3 of 4 pixels right, one more taken for it; class 1: 1 of 2 right, one taken for it.
        evaluate.main(pair([[[0, 0]], [[0, 1], [0, 1]]], [[[0, 0]], [[0, 0], [1, 1]]]))
        scores = json.loads((tmp_path / "out" / "scores.json").read_text())
        assert scores["iou"]["sky"] == pytest.approx(3 / 5)
        assert scores["iou"]["building"] == pytest.approx(1 / 3)
        assert scores["mean_iou"] == pytest.approx((3 / 5 + 1 / 3) / 2)
        assert (scores["model"], scores["images"]) == ("predictions", 2)
        assert (tmp_path / "out" / "confusion.tsv").exists()

    def test_folders_and_labels_in_the_ids_of_their_dataset(self, pair, tmp_path):
        arguments = pair([[[3, 8]]], [[[7, 7]]])
        folder = tmp_path / "two lists"
        by_name = ["--predictions", str(folder / "predictions"), "--labels", str(folder / "labels")]
        # Cityscapes' label id 7 is road, our class 3: one of two pixels is right.
        evaluate.main([*by_name, *arguments[4:], "--classes", "cityscapes_ids"])
        scores = json.loads((tmp_path / "out" / "scores.json").read_text())
        assert scores["pixel_accuracy"] == 0.5
        (folder / "labels" / "0.png").rename(folder / "labels" / "1.png")
        with pytest.raises(InputError, match="1 files have no partner"):
            evaluate.main([*by_name, *arguments[4:]])

    @pytest.mark.parametrize(
        ("predictions", "labels", "message"),
        [
            ([[[0]]], [[[0]], [[0]]], "lists 1 files, .* 2; expected equally many"),
            ([[[0]], [[0, 0]]], [[[0]], [[0]]], r"predictions\.txt, line 2: .*1\.png .* differ in shape"),
            ([[[12]]], [[[0]]], "line 1: .*prediction holds id 12, beyond 11 classes of camvid11"),
            ([[[0]]], [[[11]]], "label holds id 11, beyond 11 classes of camvid11"),
            ([[[0]]], [[[255]]], "nothing to score"),
        ],
    )
    def test_bad_input(self, pair, predictions, labels, message):
        with pytest.raises(InputError, match=message):
            evaluate.main(pair(predictions, labels))

    def test_flags_of_two_kinds(self, pair):
        with pytest.raises(
            InputError, match=r"expected either --weights and --labelled, or .* found --weights"
        ):
            evaluate.main(["--weights", "w.safetensors", *pair([[[0]]], [[[0]]])])

    def test_a_class_table_is_of_lists_alone(self, tmp_path):
        of_model = ["--weights", "w.safetensors", "--labelled", "m.tsv", "--classes", "camvid"]
        with pytest.raises(InputError, match="--classes: the labels of --labelled are train ids"):
            evaluate.main([*of_model, "--output", str(tmp_path)])


def test_labels_of_another_label_space_are_refused(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) % 7, label_space("cityscapes7").palette)
    arguments = [*flags, "--model", "final", "--labelled", str(tmp_path / "images.tsv")]
    with pytest.raises(InputError, match="has the colours of label space cityscapes7, expected"):
        evaluate.main([*arguments, "--output", str(tmp_path / "evaluation")])


def test_the_same_files_in_another_order_are_refused(tmp_path):
    for name in "abc":
        write_label(tmp_path / f"{name}.png", np.zeros((4, 6), np.uint8), [])
    (tmp_path / "p.txt").write_text("a.png\nb.png\nc.png\n")
    (tmp_path / "l.txt").write_text("a.png\nc.png\nb.png\n")
    arguments = ["--predictions", str(tmp_path / "p.txt"), "--labels", str(tmp_path / "l.txt")]
    with pytest.raises(InputError, match=r"in another order: .*p\.txt, line 2 is b\.png, .* is c\.png"):
        evaluate.main([*arguments, "--label-space", "camvid11", "--output", str(tmp_path / "s.json")])
    with pytest.raises(InputError, match="--temperature: the predictions of --predictions are made already"):
        evaluate.main(
            [*arguments, "--label-space", "camvid11", "--output", "s.json", "--temperature", "t.json"]
        )
