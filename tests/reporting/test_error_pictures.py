import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotrain.reporting.error_pictures import COLOURS, class_errors, error_picture
from cotrain.reporting.pictures import heading

LABEL = np.array([[1, 1, 0, 0, 255, 255, 1]], np.uint8)
PREDICTION = np.array([[1, 0, 1, 0, 1, 0, 255]], np.uint8)


def test_errors_by_hand():
    errors = class_errors(LABEL, PREDICTION, 1)
    assert np.flatnonzero(errors.true_positive).tolist() == [0]
    assert np.flatnonzero(errors.false_positive).tolist() == [2]
    # A prediction of void is a miss; pixels 4 and 5, whose label is void, do not count.
    assert np.flatnonzero(errors.false_negative).tolist() == [1, 6]
    assert errors.pixels == (1, 1, 2)


ids = arrays.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 255]))


@given(ids, ids)
def test_the_three_never_meet_and_void_is_in_none(label, prediction):
    errors = class_errors(label, prediction, 1)
    parts = np.stack([errors.true_positive, errors.false_positive, errors.false_negative])
    assert parts.sum(axis=0).max() <= 1
    concerned = ((label == 1) | (prediction == 1)) & (label != 255)
    np.testing.assert_array_equal(parts.any(axis=0), concerned)


def big(row):
    """Return the row as an image of 40 × 280 pixels, which is large enough for a page."""
    return np.kron(row, np.ones((40, 40), np.uint8)).astype(np.uint8)


def test_picture_has_the_three_colours_over_the_dimmed_image():
    label, prediction = big(LABEL), big(PREDICTION)
    image = np.full((*label.shape, 3), 100, np.uint8)
    page = error_picture(class_errors(label, prediction, 1), image, "car", "IoU 25 %")
    top = heading("car", "IoU 25 %", label.shape[1]).shape[0]
    row = page[top + 20, 20::40][:7]
    green, red, blue = (0.35 * 100 + 0.65 * np.array(colour) for colour in COLOURS)
    dimmed = np.array([50, 50, 50])
    expected = np.array([green, blue, red, dimmed, dimmed, dimmed, blue])
    assert np.abs(row - expected).max() <= 0.5, "rounded to the nearest grey level"
    assert np.array_equal(page[:top, : label.shape[1]], heading("car", "IoU 25 %", label.shape[1]))
    for colour in COLOURS:
        assert (page[top + 40 :] == np.array(colour)).all(axis=2).any(), "the legend"


def test_without_an_image_the_ground_is_grey():
    page = error_picture(class_errors(big(LABEL), big(PREDICTION), 1), None, "car", "")
    top = heading("car", "", 280).shape[0]
    assert page[top + 20, 20 + 3 * 40].tolist() == [80, 80, 80]


def test_unlike_sizes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        class_errors(LABEL, PREDICTION[:, :3], 1)
    with pytest.raises(ValueError, match=r"image \(2, 2\) and label \(1, 7\) differ in size"):
        error_picture(class_errors(LABEL, PREDICTION, 1), np.zeros((2, 2, 3), np.uint8), "car", "")
