import numpy as np
import pytest

from cotrain.adaptation.collaboration import exchange, fill

LABEL_A = np.array([[1, 255, 2, 255, 3]], dtype=np.uint8)
LABEL_B = np.array([[1, 4, 255, 255, 5]], dtype=np.uint8)


def test_fill_add():
    filled_a, filled_b = fill(LABEL_A, LABEL_B, "add")
    np.testing.assert_array_equal(filled_a, [[1, 4, 2, 255, 3]])
    np.testing.assert_array_equal(filled_b, [[1, 4, 2, 255, 5]])
    assert filled_a.dtype == filled_b.dtype == np.uint8
    np.testing.assert_array_equal(LABEL_A, [[1, 255, 2, 255, 3]])


def test_fill_subtract():
    for filled in fill(LABEL_A, LABEL_B, "subtract"):
        np.testing.assert_array_equal(filled, [[1, 4, 2, 255, 255]])
    np.testing.assert_array_equal(LABEL_B, [[1, 4, 255, 255, 5]])


def test_no_fill_leaves_labels_of_any_size():
    label_a, label_b = np.array([[0, 255]], np.uint8), np.array([[1, 2, 255]], np.uint8)
    filled_a, filled_b = fill(label_a, label_b, "none")
    np.testing.assert_array_equal(filled_a, [[0, 255]])
    np.testing.assert_array_equal(filled_b, [[1, 2, 255]])


def test_unknown_fill():
    with pytest.raises(ValueError, match="unknown fill 'both'"):
        fill(LABEL_A, LABEL_B, "both")


ORDER_A = np.array([0, 1, 2, 3])
ORDER_B = np.array([1, 4, 0, 5])


def test_exchange_gives_each_branch_the_other_ones_images():
    for_a, for_b = exchange(ORDER_A, ORDER_B, 3, "exchange")
    assert for_a == [("b", 1), ("b", 4), ("b", 0)]
    assert for_b == [("a", 0), ("a", 1), ("a", 2)]


def test_own():
    for_a, for_b = exchange(ORDER_A, ORDER_B, 2, "own")
    assert for_a == [("a", 0), ("a", 1)]
    assert for_b == [("b", 1), ("b", 4)]


def test_both_keeps_an_image_once_and_fills_the_gap():
    for_a, for_b = exchange(ORDER_A, ORDER_B, 4, "both")
    assert for_a == [("a", 0), ("a", 1), ("b", 4), ("b", 5)]
    assert for_b == [("b", 1), ("b", 4), ("a", 0), ("a", 2)]


def test_both_takes_the_smaller_half_from_its_own():
    for_a, for_b = exchange(ORDER_A, ORDER_B, 3, "both")
    assert for_a == [("a", 0), ("b", 1), ("b", 4)]
    assert for_b == [("b", 1), ("a", 0), ("a", 2)]


def test_fewer_offers_than_asked_for():
    assert exchange([7], [], 5, "exchange") == ([], [("a", 7)])
    assert exchange([7], [7], 5, "both") == ([("a", 7)], [("b", 7)])
    # a offers one of its three: the other branch fills its places too.
    for_a, for_b = exchange([7], [1, 2, 3, 4, 5, 6], 6, "both")
    assert for_a == [("a", 7), *(("b", image) for image in (1, 2, 3, 4, 5))]
    assert for_b == [("b", 1), ("b", 2), ("b", 3), ("a", 7)]


def test_unknown_collaboration():
    with pytest.raises(ValueError, match="unknown collaboration 'none'"):
        exchange([0], [0], 1, "none")
