import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotrain.errors import InputError
from cotrain.evaluation.scores import (
    confusion_matrix,
    mean_iou_of,
    read_scores,
    scores,
    write_confusion,
)

CLASSES = ("road", "car", "sky")

# Ten labelled pixels: road 5, car 3, sky 2. If the ignored last row counted, every score would change.
LABEL = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 2, 2], [255, 255, 255, 255, 255]], np.uint8)
PREDICTION = np.array([[0, 0, 0, 1, 255], [1, 1, 0, 2, 2], [0, 1, 2, 255, 0]], np.uint8)
CONFUSION = np.array([[3, 1, 0, 1], [1, 2, 0, 0], [0, 0, 2, 0]])

train_ids = st.sampled_from([0, 1, 2, 3, 255])


def pairs_of_images():
    shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=8)
    return shapes.flatmap(
        lambda shape: st.tuples(
            arrays.arrays(np.uint8, shape, elements=train_ids),
            arrays.arrays(np.uint8, shape, elements=train_ids),
        )
    )


def test_confusion_matrix_by_hand():
    counts = confusion_matrix(LABEL, PREDICTION, 3)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, CONFUSION)


@given(pairs_of_images())
def test_confusion_matrix_equals_counting_pixel_by_pixel(images):
    label, prediction = images
    expected = np.zeros((4, 5), np.int64)
    for truth, guess in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth != 255:
            expected[truth, 4 if guess == 255 else guess] += 1
    np.testing.assert_array_equal(confusion_matrix(label, prediction, 4), expected)


@given(pairs_of_images())
def test_confusion_matrices_of_parts_add_up(images):
    label, prediction = images
    halves = [confusion_matrix(label[rows], prediction[rows], 4) for rows in (slice(0, 2), slice(2, None))]
    np.testing.assert_array_equal(sum(halves), confusion_matrix(label, prediction, 4))


@pytest.mark.parametrize("array", ["label", "prediction"])
def test_an_id_beyond_the_classes_is_refused(array):
    arguments = {"label": LABEL.copy(), "prediction": PREDICTION.copy()}
    arguments[array][0, 0] = 3
    with pytest.raises(ValueError, match=f"{array} holds id 3"):
        confusion_matrix(**arguments, number_of_classes=3)


def test_unlike_shapes_and_types_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_matrix(LABEL, PREDICTION[:2], 3)
    with pytest.raises(ValueError, match="int64"):
        confusion_matrix(LABEL, PREDICTION.astype(np.int64), 3)


def test_scores_by_hand():
    result = scores(CONFUSION, CLASSES)
    # road: 3 / (3 + 2 missed + 1 false); car: 2 / (2 + 1 + 1); sky: 2 / 2
    assert result["iou"] == {"road": 3 / 6, "car": 2 / 4, "sky": 1.0}
    assert result["class_accuracy"] == {"road": 3 / 5, "car": 2 / 3, "sky": 1.0}
    assert result["mean_iou"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert result["frequency_weighted_iou"] == pytest.approx(0.5 * 0.5 + 0.3 * 0.5 + 0.2 * 1)
    assert result["pixel_accuracy"] == 0.7
    assert result["mean_class_accuracy"] == pytest.approx((3 / 5 + 2 / 3 + 1) / 3)


def test_a_class_without_label_counts_only_when_it_was_predicted():
    never = np.array([[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]])
    result = scores(never, CLASSES)
    assert result["iou"]["sky"] is None
    assert result["class_accuracy"]["sky"] is None
    assert result["mean_iou"] == 1.0

    predicted = np.array([[3, 0, 1, 0], [0, 4, 0, 0], [0, 0, 0, 0]])
    result = scores(predicted, CLASSES)
    assert result["iou"] == {"road": 3 / 4, "car": 1.0, "sky": 0.0}
    assert result["class_accuracy"]["sky"] is None
    assert result["mean_iou"] == pytest.approx(1.75 / 3)
    assert result["mean_class_accuracy"] == pytest.approx((3 / 4 + 1) / 2)


def test_a_class_that_is_never_found_counts_as_zero():
    result = scores(np.array([[4, 0, 0], [2, 0, 0]]), ("road", "car"))
    assert result["iou"] == {"road": 4 / 6, "car": 0.0}


def official_scores(label, prediction, number_of_classes):
    """Return the scores by the rule of the Cityscapes evaluator: a matrix over all ids, with the ignored id.

    Rows of ignored ids do not count as false positives; everything in the row of a class counts.
    """
    ids = [*range(number_of_classes), 255]
    matrix = {(i, j): int(((label == i) & (prediction == j)).sum()) for i in ids for j in ids}
    ious = []
    for this in range(number_of_classes):
        tp = matrix[this, this]
        fn = sum(matrix[this, other] for other in ids) - tp
        fp = sum(matrix[other, this] for other in range(number_of_classes) if other != this)
        ious.append(tp / (tp + fp + fn) if tp + fp + fn else math.nan)
    valid = [value for value in ious if not math.isnan(value)]
    return ious, sum(valid) / len(valid) if valid else math.nan


@given(pairs_of_images())
def test_scores_equal_the_official_definition(images):
    label, prediction = images
    confusion = confusion_matrix(label, prediction, 4)
    if not confusion.any():
        return
    expected, expected_mean = official_scores(label, prediction, 4)
    result = scores(confusion, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(
        [math.nan if value is None else value for value in result["iou"].values()], expected
    )
    assert result["mean_iou"] == pytest.approx(expected_mean)


def test_counts_beyond_floating_point_stay_exact():
    # A double cannot hold 2**53 + 1, so sums must be of integers.
    many = 2**53
    result = scores(np.array([[many, 0, 1], [0, 1, 0]]), ("road", "car"))
    assert result["iou"]["road"] == many / (many + 1)
    assert result["pixel_accuracy"] == (many + 1) / (many + 2)


def test_scores_survive_json():
    result = scores(np.array([[4, 0, 0], [0, 0, 0]]), ("road", "car"))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_nothing_labelled_is_a_user_error():
    with pytest.raises(InputError, match="no pixel"):
        scores(np.zeros((3, 4), np.int64), CLASSES)


def test_a_matrix_that_does_not_fit_the_classes_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        scores(np.ones((3, 3), np.int64), CLASSES)


def test_confusion_file(tmp_path):
    path = tmp_path / "deep" / "confusion.tsv"
    write_confusion(path, CONFUSION, ("road", "traffic light", "sky"))
    assert path.read_text() == (
        "label \\ prediction\troad\ttraffic light\tsky\tvoid\n"
        "road\t3\t1\t0\t1\n"
        "traffic light\t1\t2\t0\t0\n"
        "sky\t0\t0\t2\t0\n"
    )


def scores_file(path, **changes):
    content = {"model": "x", "protocol": {"resize": None}, "images": 2, **scores(CONFUSION, CLASSES)}
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "removed"}))
    return path


def test_read_scores(tmp_path):
    model = read_scores(scores_file(tmp_path / "scores.json"), "final")
    assert (model.model, model.images, model.protocol) == ("final", 2, {"resize": None})
    assert model.pixel_accuracy == 0.7
    assert model.iou == {"road": 0.5, "car": 0.5, "sky": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_iou": 35.2}, r"mean_iou: expected a number <= 1\.0"),
        ({"mean_iou": "removed"}, "lacks 'mean_iou'"),
        ({"mean_iou": True}, "mean_iou: expected a number, found true or false"),
        ({"pixel_accuracy": float("nan")}, "found NaN"),
        ({"iou": {"road": "half"}}, r"iou\.road: expected a number or null, found text"),
        ({"iou": {"ro\tad": 0.5}}, r"'ro\\tad' holds a tab or a line end"),
        ({"iou": {}}, "iou: expected keys and values of length >= 1"),
        ({"iou": "removed"}, "lacks 'iou'"),
        ({"images": -3}, "images: expected an integer >= 1"),
        ({"images": 2.5}, "images: expected an integer, found a number"),
        ({"protocol": {"resize": {}}}, r"protocol\.resize: expected"),
        ({"protocol": "removed"}, "lacks 'protocol'"),
    ],
)
def test_wrong_values_in_scores_are_named(tmp_path, changes, message):
    path = scores_file(tmp_path / "scores.json", **changes)
    with pytest.raises(InputError, match=message) as error:
        read_scores(path, "final")
    assert str(path) in str(error.value)


def test_unreadable_scores_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json.*`final`"):
        read_scores(tmp_path / "none.json", "final")
    (tmp_path / "half.json").write_text('{"model": ')
    with pytest.raises(InputError, match=r"half\.json.*`final`"):
        read_scores(tmp_path / "half.json", "final")


def test_mean_over_fewer_classes():
    iou = {"road": 0.8, "sky": 0.4, "train": None, "car": 0.1}
    assert mean_iou_of(iou, ["road", "car"]) == pytest.approx(0.45)
    assert mean_iou_of(iou, ["road", "train"]) == pytest.approx(0.8), (
        "a class that does not occur does not count"
    )
    assert mean_iou_of(iou, ["train"]) is None
    with pytest.raises(
        InputError, match="found the class 'bus', expected classes that were scored: road, sky"
    ):
        mean_iou_of(iou, ["bus"])
