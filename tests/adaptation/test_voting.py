import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotrain.adaptation.voting import windowed_majority

CLASSES = 4


def pixel_by_pixel(first, second, window):
    result = first.copy()
    reach = window // 2
    for row, column in np.argwhere(first != second):
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        around = np.concatenate([label[rows, columns].ravel() for label in (first, second)])
        votes = np.bincount(around[around != 255], minlength=CLASSES)
        result[row, column] = votes.argmax() if votes.any() else 255
    return result


labels = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.tuples(
        *[arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])) for _ in range(2)]
    )
)


@given(labels, st.sampled_from([1, 3, 5, 7, 11, 13, 25]))
@settings(max_examples=200)
def test_equals_counting_pixel_by_pixel_at_every_border(pair, window):
    np.testing.assert_array_equal(windowed_majority(*pair, window, CLASSES), pixel_by_pixel(*pair, window))


def test_by_hand():
    first = np.array([[2, 2, 2], [2, 1, 2], [2, 2, 2]], np.uint8)
    second = np.array([[2, 2, 2], [2, 3, 2], [2, 2, 2]], np.uint8)
    # 16 votes for class 2 against one each for 1 and 3: the class that no label has in the middle wins.
    assert windowed_majority(first, second, 3, CLASSES)[1, 1] == 2
    # Only the pixel itself: a tie, so the lower id.
    assert windowed_majority(first, second, 1, CLASSES)[1, 1] == 1


def test_agreement_stays_even_among_other_classes():
    lonely = np.full((5, 5), 1, np.uint8)
    lonely[2, 2] = 3
    np.testing.assert_array_equal(windowed_majority(lonely, lonely, 5, CLASSES), lonely)


def test_void_does_not_vote():
    void, lonely = np.full((3, 3), 255, np.uint8), np.full((3, 3), 255, np.uint8)
    lonely[1, 1] = 2
    assert windowed_majority(void, lonely, 3, CLASSES)[1, 1] == 2
    assert (windowed_majority(void, lonely, 3, CLASSES) != 255).sum() == 1


def test_votes_beyond_a_byte_are_counted():
    """A window of 21 × 21 holds up to 882 votes."""
    first = np.full((41, 41), 3, np.uint8)
    second = np.full((41, 41), 1, np.uint8)
    second[:10] = 3
    np.testing.assert_array_equal(
        windowed_majority(first, second, 21, CLASSES), pixel_by_pixel(first, second, 21)
    )


def test_the_last_train_id_can_win():
    first, second = np.full((3, 3), 254, np.uint8), np.full((3, 3), 254, np.uint8)
    first[1, 1] = 0
    assert windowed_majority(first, second, 3, 255)[1, 1] == 254


@pytest.mark.parametrize("window", [0, 2, -1])
def test_windows_without_a_middle_are_refused(window):
    label = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=f"window of {window} pixels, expected a positive odd number"):
        windowed_majority(label, label, window, CLASSES)


def test_labels_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\) differ in shape"):
        windowed_majority(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 3, CLASSES)
