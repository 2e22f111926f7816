import numpy as np
import pytest

from cotrain.adaptation.pseudo_labels import (
    class_evidence,
    ensemble_prediction,
    filter_prediction,
    image_score,
    prior_factor,
    prior_threshold_at,
)
from cotrain.errors import InputError

CLASSES = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
LEVELS = np.array([[50000, 50000, 50000], [50001, 65535, 0]], dtype=np.uint16)
THRESHOLDS = np.array([49999, 50000, 50000], dtype=np.uint16)


def test_pixels_above_the_threshold_of_their_class_are_kept():
    label = filter_prediction(CLASSES, LEVELS, THRESHOLDS)
    np.testing.assert_array_equal(label, [[0, 255, 255], [2, 1, 255]])
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(CLASSES, [[0, 1, 2], [2, 1, 0]])


def test_nothing_exceeds_the_highest_threshold():
    label = filter_prediction(CLASSES, LEVELS, np.array([0, 65535, 0], dtype=np.uint16))
    np.testing.assert_array_equal(label, [[0, 255, 2], [2, 255, 255]])


def test_ids_that_are_no_class_are_never_kept():
    classes = np.array([[3, 255, 0]], dtype=np.uint8)
    levels = np.full((1, 3), 65535, dtype=np.uint16)
    np.testing.assert_array_equal(filter_prediction(classes, levels, THRESHOLDS), [[255, 255, 0]])


def test_ignored_pixels_are_void():
    ignored = np.array([[True, False, False], [False, True, False]])
    label = filter_prediction(CLASSES, LEVELS, THRESHOLDS, ignored=ignored)
    np.testing.assert_array_equal(label, [[255, 255, 255], [2, 255, 255]])


def test_priors_weaken_the_confidence():
    # 50000 · 1 > 49999 stays; 65535 · 0.75 = 49151 ≤ 50000 goes; 50001 · 0.5 goes.
    factor = np.array([[1, 1, 1], [0.5, 0.75, 1]], dtype=np.float32)
    label = filter_prediction(CLASSES, LEVELS, THRESHOLDS, prior_factor=factor)
    np.testing.assert_array_equal(label, [[0, 255, 255], [255, 255, 255]])


def test_prior_factor_is_that_of_the_predicted_class():
    prior = np.array([[[0.1, 0.05]], [[0.02, 0.2]]])
    factor = prior_factor(prior, 0.1, np.array([[0, 0]], dtype=np.uint8))
    np.testing.assert_allclose(factor, [[1, 0.5]])
    np.testing.assert_allclose(prior_factor(prior, 0.1, np.array([[1, 1]], dtype=np.uint8)), [[0.2, 1]])
    assert factor.dtype == np.float32


def test_prior_threshold_falls_to_no_effect():
    assert [prior_threshold_at(step) for step in range(4)] == pytest.approx([0.1, 0.05, 0, 0])
    np.testing.assert_array_equal(prior_factor(np.zeros((3, 2, 3)), 0.0, CLASSES), np.ones((2, 3)))


@pytest.mark.parametrize("shape", [(3, 4, 3), (2, 3)])
def test_priors_of_another_size(shape):
    with pytest.raises(InputError, match="class priors have the shape"):
        prior_factor(np.zeros(shape), 0.1, CLASSES)


def test_score_is_the_mean_over_only_the_kept_pixels():
    # (65535 + 13107) / 2 = 0.6 · 65535; the void pixel of confidence 1 does not count.
    label = np.array([[0, 255], [1, 255]], dtype=np.uint8)
    levels = np.array([[65535, 65535], [13107, 3]], dtype=np.uint16)
    assert image_score(label, levels) == pytest.approx(0.6, abs=1e-12)
    assert isinstance(image_score(label, levels), float)


def test_score_of_an_image_without_labels():
    assert image_score(np.full((2, 2), 255, dtype=np.uint8), np.full((2, 2), 65535, dtype=np.uint16)) == 0.0


def test_score_of_a_large_image_is_exact():
    label = np.zeros((1024, 2048), dtype=np.uint8)
    levels = np.full((1024, 2048), 65534, dtype=np.uint16)
    levels[:, :1024] = 65532
    assert image_score(label, levels) == 65533 / 65535


@pytest.mark.filterwarnings("error")
def test_class_evidence():
    label = np.array([[0, 0, 255], [2, 0, 2]], dtype=np.uint8)
    levels = np.array([[65535, 0, 65535], [13107, 65535, 26214]], dtype=np.uint16)
    counts, mean_confidence = class_evidence(label, levels, 4)
    np.testing.assert_array_equal(counts, [3, 0, 2, 0])
    np.testing.assert_allclose(mean_confidence, [2 / 3, np.nan, 0.3, np.nan])
    assert counts.dtype == np.int64
    assert mean_confidence.dtype == np.float64


def test_ensemble_takes_the_surer_model_and_the_lower_class_at_ties():
    classes_a = np.array([[4, 4, 4, 2, 3]], dtype=np.uint8)
    classes_b = np.array([[2, 2, 2, 4, 3]], dtype=np.uint8)
    levels_a = np.array([[9, 8, 7, 7, 1]], dtype=np.uint16)
    levels_b = np.array([[8, 9, 7, 7, 5]], dtype=np.uint16)
    classes, levels = ensemble_prediction(classes_a, levels_a, classes_b, levels_b)
    np.testing.assert_array_equal(classes, [[4, 2, 2, 2, 3]])
    np.testing.assert_array_equal(levels, [[9, 9, 7, 7, 5]])
    assert (classes.dtype, levels.dtype) == (np.uint8, np.uint16)


def test_ensemble_equals_the_arg_max_of_the_larger_softmax():
    rng = np.random.default_rng(1)
    # Few distinct levels, so that ties within and between the models occur.
    a, b = rng.integers(0, 6, (2, 5, 20, 20), dtype=np.uint16)
    merged = np.maximum(a, b)
    classes, levels = ensemble_prediction(
        *(a.argmax(0).astype(np.uint8), a.max(0)), *(b.argmax(0).astype(np.uint8), b.max(0))
    )
    np.testing.assert_array_equal(classes, merged.argmax(0))
    np.testing.assert_array_equal(levels, merged.max(0))
