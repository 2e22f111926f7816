import numpy as np
import pytest

from cotrain.adaptation import ranking as ranking_module
from cotrain.adaptation.ranking import BranchEvidence, rank_for_exchange, rank_images

NAN = np.nan


def evidence(thresholds, mean_confidence, counts=None, scores=None, void_pixels=None):
    confidence = np.array(mean_confidence, dtype=np.float64)
    number = len(confidence)
    return BranchEvidence(
        thresholds=np.array(thresholds, dtype=np.uint16),
        scores=np.zeros(number) if scores is None else np.array(scores),
        counts=np.where(np.isnan(confidence), 0, 6000) if counts is None else np.array(counts),
        mean_confidence=confidence,
        void_pixels=np.zeros(number, dtype=np.int64) if void_pixels is None else np.array(void_pixels),
    )


SCORES = np.array([0.5, 0.9, 0.7, 0.9])
COUNTS = np.array([[3, 1, 1], [5, 0, 0], [1, 9, 0], [1, 1, 0]])
VOID = np.array([10, 9, 10000, 9])


@pytest.mark.parametrize(
    ("method", "order"),
    [("confidence", [1, 3, 2, 0]), ("class_count", [0, 3, 2, 1]), ("void_pixels", [1, 3, 0, 2])],
)
def test_rank_images(method, order):
    np.testing.assert_array_equal(rank_images(method, SCORES, COUNTS, VOID), order)


@pytest.mark.parametrize("method", ["confidence", "class_count", "void_pixels"])
def test_image_rankings_serve_the_exchange_too(method):
    sender = evidence([0, 0, 0], np.zeros((4, 3)), COUNTS, SCORES, VOID)
    receiver = evidence([0, 0, 0], np.ones((4, 3)))
    ranking = rank_for_exchange(method, sender, receiver, min_pixels=5000)
    np.testing.assert_array_equal(ranking.order, rank_images(method, SCORES, COUNTS, VOID))
    np.testing.assert_array_equal(ranking.reason, [-1, -1, -1, -1])


def test_unknown_methods():
    sender = evidence([0], [[0.5]])
    with pytest.raises(ValueError, match="threshold_difference"):
        rank_images("threshold_difference", SCORES, COUNTS, VOID)
    with pytest.raises(ValueError, match="unknown ranking 'best'"):
        rank_for_exchange("best", sender, sender, 0)


def test_class_that_lives_in_few_images():
    # Ten images, class 5 only in images 7, 8 and 9. Used as image indices, the positions 0, 1, 2 among these
    # three would point to images without the class, and no image would be selected for it.
    confidence = np.full((10, 6), NAN)
    confidence[7:, 5] = 0.6, 0.9, 0.85
    sender = evidence([50000] * 6, confidence)
    receiver = evidence([50000] * 5 + [40000], np.full((10, 6), 0.5))
    assert np.isnan(confidence[[0, 1, 2], 5]).all()
    ranking = rank_for_exchange("threshold_difference", sender, receiver, min_pixels=5000)
    # Limit 0.9 - 0.2 · (0.9 - 0.6) = 0.84: image 8, then 9.
    np.testing.assert_array_equal(ranking.order, [8, 9])
    np.testing.assert_array_equal(ranking.reason, [5, 5])


def test_classes_in_the_order_of_demand():
    confidence = [
        [0.9, NAN, 0.7],
        [0.5, 0.8, NAN],
        [NAN, 0.6, 0.9],
        [NAN, 0.79, 0.5],
    ]
    sender = evidence([60000, 50000, 40000], confidence)
    receiver = evidence([50000, 45000, 45000], np.full((4, 3), 0.5))
    # Receiver less sender: -10000, -5000, +5000. Class 0 brings image 0; class 1 images 1 and 3
    # (limit 0.8 - 0.2 · 0.2 = 0.76); class 2 image 2 (limit 0.9 - 0.2 · 0.4 = 0.82).
    ranking = rank_for_exchange("threshold_difference", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [0, 1, 3, 2])
    np.testing.assert_array_equal(ranking.reason, [0, 1, 1, 2])
    # The receiver is equally weak in classes 1 and 2, so the lower id comes first; then class 0.
    ranking = rank_for_exchange("receiver_threshold", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 3, 2, 0])
    np.testing.assert_array_equal(ranking.reason, [1, 1, 2, 0])


def test_thresholds_do_not_wrap_around():
    # 65535 - 0 and 0 - 65535 in 16 bit would both be small.
    sender = evidence([0, 65535], [[0.9, NAN], [NAN, 0.9]])
    receiver = evidence([65535, 0], [[0.5, 0.5], [0.5, 0.5]])
    ranking = rank_for_exchange("threshold_difference", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 0])
    np.testing.assert_array_equal(ranking.reason, [1, 0])


def test_an_image_is_sent_once_for_the_first_class_that_asks(monkeypatch):
    monkeypatch.setattr(ranking_module, "KEEP_SHARE", 0.0)
    sender = evidence([9, 5], [[0.9, 0.9], [0.8, 0.89]])
    receiver = evidence([0, 0], [[0.5, 0.5], [0.5, 0.5]])
    ranking = rank_for_exchange("threshold_difference", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [0, 1])
    np.testing.assert_array_equal(ranking.reason, [0, 0])


def test_only_images_with_more_than_the_minimum_of_pixels(monkeypatch):
    monkeypatch.setattr(ranking_module, "KEEP_SHARE", 0.0)
    sender = evidence([0], [[0.9], [0.89], [0.88]], counts=[[5000], [5001], [9000]])
    ranking = rank_for_exchange("receiver_threshold", sender, sender, min_pixels=5000)
    np.testing.assert_array_equal(ranking.order, [1, 2])


def test_class_held_by_one_image_or_equally_surely_by_several():
    sender = evidence([0, 0], [[NAN, 0.7], [0.6, NAN], [NAN, 0.7]])
    ranking = rank_for_exchange("receiver_threshold", sender, sender, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 0, 2])
    np.testing.assert_array_equal(ranking.reason, [0, 1, 1])


def test_what_the_receiver_filled_in_is_not_sent_back():
    # Image 0 holds the class after filling, but the sender itself kept no pixel of it.
    sender = evidence([0], [[NAN], [0.6]], counts=[[9000], [9000]])
    ranking = rank_for_exchange("receiver_threshold", sender, sender, min_pixels=5000)
    np.testing.assert_array_equal(ranking.order, [1])


def test_nothing_to_send():
    sender = evidence([0], [[NAN], [NAN]])
    ranking = rank_for_exchange("threshold_difference", sender, sender, min_pixels=0)
    assert ranking.order.shape == ranking.reason.shape == (0,)
    assert ranking.order.dtype == np.int64


def test_confidence_gain():
    sender = evidence([0, 0], [[0.9, 0.5], [0.6, NAN], [0.9, 0.9], [NAN, 0.8]])
    receiver = evidence([0, 0], [[0.5, 0.9], [NAN, 0.5], [0.8, 0.8], [0.1, 0.5]])
    # Means of (0.4 · 0.5, 0), (0.6 · 1, 0), (0.1 · 0.2, 0.1 · 0.2), (0, 0.3 · 0.5): 0.1, 0.3, 0.02, 0.075.
    ranking = rank_for_exchange("confidence_gain", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 0, 3, 2])
    np.testing.assert_array_equal(ranking.reason, [-1, -1, -1, -1])


def test_classes_in_which_the_receiver_is_surer_take_nothing_away():
    sender = evidence([0, 0], [[0.9, 0.1], [0.6, 0.5]])
    receiver = evidence([0, 0], [[0.5, 0.6], [0.5, 0.5]])
    # Means of (0.4 · 0.5, 0) and (0.1 · 0.5, 0): 0.1 and 0.025. With −0.5 · 0.4 the first would be last.
    ranking = rank_for_exchange("confidence_gain", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [0, 1])


def test_a_gain_counts_less_where_the_receiver_is_sure():
    sender, receiver = evidence([0], [[0.99], [0.3]]), evidence([0], [[0.89], [0.21]])
    # 0.1 · 0.11 = 0.011 and 0.09 · 0.79 = 0.071.
    ranking = rank_for_exchange("confidence_gain", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 0])


def test_equal_gains_go_by_the_number_of_classes():
    sender = evidence([0, 0], [[0.5, NAN], [0.5, 0.5], [0.5, NAN]])
    receiver = evidence([0, 0], [[0.9, 0.9]] * 3)
    ranking = rank_for_exchange("confidence_gain", sender, receiver, min_pixels=0)
    np.testing.assert_array_equal(ranking.order, [1, 0, 2])
