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
    read_confusion,
    read_scores,
    scores,
    write_confusion,
)

CLASSES = ("road", "car", "sky")

# Ten labelled pixels: road 5, car 3, sky 2; the ignored last row would change every score.
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
    counted = confusion_matrix(LABEL, PREDICTION, 3)
    assert counted.dtype == np.int64
    np.testing.assert_array_equal(counted, CONFUSION)


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
    made = scores(CONFUSION, CLASSES)
    # road: 3 / (3 + 2 missed + 1 false); car: 2 / (2 + 1 + 1); sky: 2 / 2
    assert made["iou"] == {"road": 3 / 6, "car": 2 / 4, "sky": 1.0}
    assert made["class_accuracy"] == {"road": 3 / 5, "car": 2 / 3, "sky": 1.0}
    assert made["mean_iou"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert made["frequency_weighted_iou"] == pytest.approx(0.5 * 0.5 + 0.3 * 0.5 + 0.2 * 1)
    assert made["pixel_accuracy"] == 0.7
    assert made["mean_class_accuracy"] == pytest.approx((3 / 5 + 2 / 3 + 1) / 3)


def test_a_class_without_label_counts_only_when_it_was_predicted():
    never = np.array([[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]])
    made = scores(never, CLASSES)
    assert made["iou"]["sky"] is None
    assert made["class_accuracy"]["sky"] is None
    assert made["mean_iou"] == 1.0

    predicted = np.array([[3, 0, 1, 0], [0, 4, 0, 0], [0, 0, 0, 0]])
    made = scores(predicted, CLASSES)
    assert made["iou"] == {"road": 3 / 4, "car": 1.0, "sky": 0.0}
    assert made["class_accuracy"]["sky"] is None
    assert made["mean_iou"] == pytest.approx(1.75 / 3)
    assert made["mean_class_accuracy"] == pytest.approx((3 / 4 + 1) / 2)


def test_a_class_that_is_never_found_counts_as_zero():
    made = scores(np.array([[4, 0, 0], [2, 0, 0]]), ("road", "car"))
    assert made["iou"] == {"road": 4 / 6, "car": 0.0}


def official_scores(label, prediction, number_of_classes):
    """The Cityscapes evaluator's rule in its own terms: a matrix over all ids, the ignored id among them.

    Rows of ignored ids are left out of the false positives; everything in a class's own row counts.
    """
    ids = [*range(number_of_classes), 255]
    matrix = {(i, j): int(((label == i) & (prediction == j)).sum()) for i in ids for j in ids}
    found = []
    for this in range(number_of_classes):
        tp = matrix[this, this]
        fn = sum(matrix[this, other] for other in ids) - tp
        fp = sum(matrix[other, this] for other in range(number_of_classes) if other != this)
        found.append(tp / (tp + fp + fn) if tp + fp + fn else math.nan)
    valid = [value for value in found if not math.isnan(value)]
    return found, sum(valid) / len(valid) if valid else math.nan


@given(pairs_of_images())
def test_scores_equal_the_official_definition(images):
    label, prediction = images
    confusion = confusion_matrix(label, prediction, 4)
    if not confusion.any():
        return
    expected, expected_mean = official_scores(label, prediction, 4)
    made = scores(confusion, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(
        [math.nan if value is None else value for value in made["iou"].values()], expected
    )
    assert made["mean_iou"] == pytest.approx(expected_mean)


def test_counts_beyond_floating_point_stay_exact():
    # 2**53 + 1 has no double of its own: sums must be those of integers.
    many = 2**53
    made = scores(np.array([[many, 0, 1], [0, 1, 0]]), ("road", "car"))
    assert made["iou"]["road"] == many / (many + 1)
    assert made["pixel_accuracy"] == (many + 1) / (many + 2)


def test_scores_survive_json():
    made = scores(np.array([[4, 0, 0], [0, 0, 0]]), ("road", "car"))
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_nothing_labelled_is_a_user_error():
    with pytest.raises(InputError, match="no pixel"):
        scores(np.zeros((3, 4), np.int64), CLASSES)


def test_a_matrix_that_does_not_fit_the_classes_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        scores(np.ones((3, 3), np.int64), CLASSES)


def test_confusion_file_round_trip(tmp_path):
    path = tmp_path / "deep" / "confusion.tsv"
    write_confusion(path, CONFUSION, ("road", "traffic light", "sky"))
    confusion, classes = read_confusion(path)
    assert classes == ("road", "traffic light", "sky")
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, CONFUSION)
    lines = path.read_text().splitlines()
    assert lines[0].split("\t")[1:] == ["road", "traffic light", "sky", "void"]
    assert lines[1] == "road\t3\t1\t0\t1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tvoid", "", "line 1"),
        ("car\t1\t2", "bus\t1\t2", "line 3.*`bus`.*`car`"),
        ("car\t1\t2", "car\t1\t2.5", "line 3.*4 whole numbers"),
        ("car\t1\t2", "car\t2", "line 3.*4 whole numbers"),
        ("sky\t0\t0\t2\t0\n", "", "2 rows"),
    ],
)
def test_broken_confusion_files_are_named(tmp_path, old, new, message):
    path = tmp_path / "confusion.tsv"
    write_confusion(path, CONFUSION, CLASSES)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"confusion.tsv.*{message}"):
        read_confusion(path)


def test_missing_and_empty_confusion_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_confusion(tmp_path / "none.tsv")
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(InputError, match=r"empty\.tsv, line 1"):
        read_confusion(tmp_path / "empty.tsv")


def scores_file(path, **changes):
    content = {"model": "x", "protocol": {"resize": None}, "images": 2, **scores(CONFUSION, CLASSES)}
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "removed"}))
    return path


def test_read_scores(tmp_path):
    read = read_scores(scores_file(tmp_path / "scores.json"), "final")
    assert (read.model, read.images, read.protocol) == ("final", 2, {"resize": None})
    assert read.pixel_accuracy == 0.7
    assert read.iou == {"road": 0.5, "car": 0.5, "sky": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_iou": 35.2}, "`mean_iou`.*35.2.*from 0 to 1"),
        ({"mean_iou": "removed"}, "`mean_iou`.*None"),
        ({"mean_iou": True}, "True"),
        ({"iou": {"road": "half"}}, "iou.road"),
        ({"iou": "removed"}, "lack `iou`"),
        ({"protocol": "removed"}, "lack `protocol`"),
    ],
)
def test_scores_that_are_no_scores_are_named(tmp_path, changes, message):
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
    assert mean_iou_of(iou, ["road", "train"]) == pytest.approx(0.8), "a class that does not occur has no say"
    assert mean_iou_of(iou, ["train"]) is None
    with pytest.raises(
        InputError, match="the class 'bus' is none of the classes that were scored: road, sky"
    ):
        mean_iou_of(iou, ["bus"])
