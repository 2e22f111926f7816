import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from workflow_scripts import ensemble_labels


def run(tmp_path, thresholds_a, thresholds_b, *more):
    of_both = [
        *("--images", str(tmp_path / "a.tsv"), "--images-b", str(tmp_path / "b.tsv")),
        *("--predictions-a", str(tmp_path / "a.h5"), "--predictions-b", str(tmp_path / "b.h5")),
    ]
    ensemble_labels.main(
        [
            *(*of_both, "--thresholds-a", str(thresholds_a), "--thresholds-b", str(thresholds_b)),
            *("--label-space", "camvid11", "--output", str(tmp_path / "ensemble"), *more),
        ]
    )
    return read_manifest(tmp_path / "ensemble" / "manifest.tsv")


def test_the_surer_model_wins_under_the_lower_threshold(tmp_path, predicted_set, write_thresholds):
    predicted_set("a", {"x": [(0, 0.9), (1, 0.6), (2, 0.55), (4, 0.7)], "void": [(0, 0.1)]})
    predicted_set("b", {"x": [(1, 0.8), (2, 0.7), (3, 0.52), (3, 0.7)], "void": [(0, 0.3)]})
    a = write_thresholds("ta", {0: 0.95, 2: 0.65})
    b = write_thresholds("tb", {0: 0.85, 2: 0.6})
    items = run(tmp_path, a, b)
    # An image without any label left is not trained on.
    assert [item.id for item in items] == ["x"]
    # a with 0.9 over 0.85; b with 0.7 over 0.6; a with 0.55 below 0.6; equally sure: the lower id.
    assert [set(row.tolist()) for row in read_label(items[0].label)] == [{0}, {2}, {255}, {3}]
    assert items[0].score == pytest.approx((0.9 + 0.7 + 0.7) / 3, abs=1e-4)


def test_the_images_of_b_have_names_of_their_own(tmp_path, predicted_set, write_thresholds):
    # Two views of the same places, by position. An image of b with a name of a shows another place.
    predicted_set("a", {"x": [(0, 0.6)], "y": [(1, 0.6)]})
    predicted_set("b", {"night x": [(2, 0.9)], "x": [(3, 0.8)]})
    thresholds = write_thresholds("t")
    items = run(tmp_path, thresholds, thresholds)
    assert [item.id for item in items] == ["x", "y"]
    assert [set(read_label(item.label).ravel().tolist()) for item in items] == [{2}, {3}]
    assert [item.image.name for item in items] == ["x.png", "y.png"]


def test_ego_vehicle_takes_no_part(tmp_path, predicted_set, write_thresholds):
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.9), (1, 0.7)]})
    mask = np.zeros((2, 10), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    thresholds = write_thresholds("t")
    [item] = run(tmp_path, thresholds, thresholds, "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert [set(row.tolist()) for row in read_label(item.label)] == [{255}, {1}]
    assert item.score == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize(
    ("of_b", "message"),
    [
        ({"x": [(0, 0.9)]}, r"a\.tsv lists 2 images, .*b\.tsv 1; expected equally many"),
        (
            {"x": [(0, 0.9)], "y": [(0, 0.9)] * 2},
            r"y\.png is 10×1, its pair .*y\.png 10×2; expected one size",
        ),
    ],
)
def test_sets_that_are_no_pairs_are_refused(tmp_path, predicted_set, write_thresholds, of_b, message):
    predicted_set("a", {"x": [(0, 0.9)], "y": [(0, 0.9)]})
    predicted_set("b", of_b)
    thresholds = write_thresholds("t")
    with pytest.raises(InputError, match=message):
        run(tmp_path, thresholds, thresholds)


def test_predictions_of_another_image_set_are_refused(tmp_path, predicted_set, write_thresholds):
    thresholds = write_thresholds("t")
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.9)]})
    predicted_set("c", {"y": [(0, 0.9)]})
    (tmp_path / "c.h5").replace(tmp_path / "b.h5")
    with pytest.raises(
        InputError, match=r"b\.tsv: is not the image set of .*b\.h5: image 'x' was not predicted"
    ):
        run(tmp_path, thresholds, thresholds)


def test_when_nothing_is_left_the_run_stops(tmp_path, predicted_set, write_thresholds):
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.1)]})
    thresholds = write_thresholds("t")
    message = "no image has a label left by the thresholds of(.|\\n)*raise co_training.iterations"
    with pytest.raises(InputError, match=message):
        run(tmp_path, thresholds, thresholds)
    assert not (tmp_path / "ensemble" / "manifest.tsv").exists()
