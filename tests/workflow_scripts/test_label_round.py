import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cotrain.adaptation.thresholds import ConfidenceCounter
from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.data.predictions import PredictionReader, write_histogram
from cotrain.errors import InputError
from workflow_scripts import label_round, thresholds


@pytest.fixture
def run(tmp_path, predicted_set, write_thresholds):
    predicted_set(
        "subset",
        {
            # Kept: one row of 0.9; two rows of 0.7; none (0.5 does not exceed 0.5); rows of 0.8, two classes.
            "sure": [(0, 0.9), (1, 0.3)],
            "full": [(0, 0.7), (0, 0.7)],
            "unsure": [(0, 0.5), (1, 0.1)],
            "varied": [(0, 0.8), (1, 0.8)],
        },
    )
    path = write_thresholds("thresholds")

    def go(*more):
        arguments = ["--subset", str(tmp_path / "subset.tsv"), "--predictions", str(tmp_path / "subset.h5")]
        arguments += ["--thresholds", str(path), "--label-space", "camvid11", "--ranking", "confidence"]
        label_round.main([*arguments, "--output", str(tmp_path / "round"), *more])
        return read_manifest(tmp_path / "round" / "selected.tsv")

    return go


def table(tmp_path):
    lines = (tmp_path / "round" / "scores.tsv").read_text().splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        ("confidence", ["sure", "varied", "full"]),
        ("class_count", ["varied", "sure", "full"]),
        ("void_pixels", ["full", "varied", "sure"]),
    ],
)
def test_the_best_images_are_kept_in_order(run, ranking, expected):
    # The image without any label left is never kept, however many are asked for.
    assert [item.id for item in run("--keep", "9", "--ranking", ranking)] == expected
    assert [item.id for item in run("--keep", "2", "--ranking", ranking)] == expected[:2]


def test_labels_scores_and_reasons(run, tmp_path):
    items = run("--keep", "2")
    np.testing.assert_array_equal(read_label(items[0].label), [[0] * 10, [255] * 10])
    assert items[0].score == pytest.approx(0.9, abs=1e-5)
    assert (items[0].kept_pixels, items[1].kept_pixels, items[1].classes) == (10, 20, 2)
    rows = table(tmp_path)
    assert [row["id"] for row in rows] == ["sure", "full", "unsure", "varied"]
    assert [(row["chosen"], row["why"]) for row in rows] == [
        ("yes", "confidence rank 1 of 3"),
        ("no", "confidence rank 3 of 3, the first 2 are kept"),
        ("no", "no pixel exceeds the threshold of its class"),
        ("yes", "confidence rank 2 of 3"),
    ]
    assert (rows[0]["kept_share"], rows[2]["kept_share"]) == ("0.500000", "0.000000")
    assert json.loads(rows[2]["score"]) == 0


def test_ego_vehicle_takes_no_part(run, tmp_path):
    mask = np.zeros((2, 10), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    items = run("--keep", "9", "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert [item.id for item in items] == ["varied", "full"]
    assert all((read_label(item.label)[0] == 255).all() for item in items)


def test_class_priors_weaken_what_is_rarely_there(run, tmp_path):
    # In round 0 priors below 0.1 count: class 0 is never in the upper row. From round 2 on nothing counts.
    priors = np.ones((11, 2, 10))
    priors[0, 0] = 0.0
    np.save(tmp_path / "priors.npy", priors)
    flags = ["--keep", "9", "--class-priors", str(tmp_path / "priors.npy"), "--round"]
    assert [item.id for item in run(*flags, "0")] == ["varied", "full"]
    assert [item.id for item in run(*flags, "2")] == ["sure", "varied", "full"]


def test_priors_that_leave_nothing_are_to_blame(run, tmp_path):
    np.save(tmp_path / "priors.npy", np.zeros((11, 2, 10)))
    # By the thresholds alone pixels of each class would be kept.
    table = json.loads((tmp_path / "thresholds.json").read_text())
    table["kept_share"] = dict.fromkeys(table["kept_share"], 0.5)
    (tmp_path / "thresholds.json").write_text(json.dumps(table))
    with pytest.raises(
        InputError, match=r"class priors have lowered them: set self_training.class_priors to null"
    ):
        run("--keep", "9", "--class-priors", str(tmp_path / "priors.npy"))


def test_bad_priors_are_refused(run, tmp_path):
    np.save(tmp_path / "priors.npy", np.ones((11, 5, 10)))
    with pytest.raises(InputError, match=r"priors\.npy: the class priors are 10×5, .*sure\.png is 10×2"):
        run("--keep", "1", "--class-priors", str(tmp_path / "priors.npy"))
    with pytest.raises(InputError, match=r"gone\.npy: is not a readable \.npy file"):
        run("--keep", "1", "--class-priors", str(tmp_path / "gone.npy"))


def test_thresholds_that_are_none_are_refused(run, tmp_path):
    (tmp_path / "other.json").write_text('{"levels": ')
    with pytest.raises(InputError, match=r"other\.json: cannot be read as thresholds"):
        run("--keep", "1", "--thresholds", str(tmp_path / "other.json"))
    with pytest.raises(InputError, match=r"gone\.json: cannot be read as thresholds"):
        run("--keep", "1", "--thresholds", str(tmp_path / "gone.json"))


def test_thresholds_of_another_model_are_refused(run, tmp_path, write_thresholds):
    path = write_thresholds("other", model="another model")
    message = (
        f"{path}: holds the thresholds of another model, or of other settings, than the predictions "
        f"{tmp_path / 'subset.h5'}; expected those of the same model"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run("--keep", "1", "--thresholds", str(path))


def test_predictions_of_another_label_space_are_refused(run):
    with pytest.raises(InputError, match=r"subset\.h5: predicted by a model of another label space"):
        run("--keep", "1", "--label-space", "cityscapes19")


def test_a_subset_that_changed_since_it_was_predicted_is_refused(run, tmp_path):
    items = read_manifest(tmp_path / "subset.tsv")
    write_manifest(tmp_path / "subset.tsv", [replace(items[0], bytes=1), *items[1:]])
    with pytest.raises(
        InputError, match=r"subset\.tsv: is not the image set of the predictions .*subset\.h5"
    ):
        run("--keep", "1")


def test_when_nothing_is_left_the_run_says_which_class_is_to_blame(run, tmp_path, predicted_set, caplog):
    # Of 30 pixels, 20 of class 0 with confidences up to 0.4 and 10 of class 2 with 0.3; none exceeds 0.5.
    predicted_set("subset", {"x": [(0, 0.4), (0, 0.2)], "y": [(2, 0.3)]})
    with PredictionReader([tmp_path / "subset.h5"]) as reader:
        counter = ConfidenceCounter(11)
        for name in "xy":
            counter.add(*reader.read(name))
        write_histogram(tmp_path / "histogram.npz", counter.histogram(), reader.origin)
    thresholds.main(
        [
            *("--histograms", str(tmp_path / "histogram.npz"), "--label-space", "camvid11"),
            *("--portion", "0.5", "--lower", "0.5", "--upper", "0.9"),
            *("--output", str(tmp_path / "thresholds.json")),
        ]
    )
    with pytest.raises(InputError, match="no image has a label left by the thresholds of") as error:
        run("--keep", "1")
    assert not (tmp_path / "round" / "selected.tsv").exists()
    # A later round trains on the images of those before it.
    assert run("--keep", "1", "--round", "1") == []
    assert "warning: this round adds no image to those before it: no image has" in caplog.text
    for text, iterations in ((str(error.value), "baseline"), (caplog.text, "self_training")):
        assert (
            "sky (66.7 % of the pixels) is predicted with a confidence up to 0.400, its threshold is 0.500"
            in text
        )
        assert "pole (33.3 % of the pixels) is predicted with a confidence up to 0.300" in text
        assert f"raise {iterations}.iterations. If its classes look right, set self_training.conf" in text
        assert "self_training.confidence.lower below 0.400, the highest confidence" in text
    assert {row["why"] for row in table(tmp_path)} == {"no pixel exceeds the threshold of its class"}
