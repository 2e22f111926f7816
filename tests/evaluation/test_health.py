import numpy as np
import pytest

from cotrain.evaluation.health import (
    added,
    agreement_of,
    confidence_of,
    count_sample,
    distance,
    missing_classes,
    shares_of,
)

PAIRS = [("a", "b")]


def image(classes, levels):
    return np.array([classes], np.uint8), np.array([levels], np.uint16)


def test_two_models_on_two_images_by_hand():
    first = {"a": image([0, 0, 1, 2], [65535, 0, 0, 0]), "b": image([0, 1, 1, 2], [65535] * 4)}
    second = {"a": image([1, 1], [0, 65535]), "b": image([1, 0], [65535, 65535])}
    counts = added(count_sample(first, PAIRS, None, 3), count_sample(second, PAIRS, None, 3))
    assert counts.pixels["a"].tolist() == [2, 3, 1]
    assert counts.pixels["b"].tolist() == [2, 3, 1]
    # Two of six pixels have the confidence 1, the others 0.
    assert confidence_of(counts, "a") == pytest.approx(1 / 3)
    assert confidence_of(counts, "b") == 1
    # Three of four pixels and one of two.
    assert agreement_of(counts, "a") == {"b": pytest.approx(4 / 6)}
    assert agreement_of(counts, "b") == {"a": pytest.approx(4 / 6)}


def test_the_own_vehicle_does_not_count():
    predictions = {"a": image([0, 0, 1, 2], [65535, 0, 0, 0]), "b": image([0, 1, 1, 2], [0] * 4)}
    ignored = np.array([[False, True, False, True]])
    counts = count_sample(predictions, PAIRS, ignored, 3)
    assert counts.pixels["a"].tolist() == [1, 1, 0]
    assert confidence_of(counts, "a") == 0.5
    assert agreement_of(counts, "a") == {"b": 1.0}
    nothing = count_sample(predictions, PAIRS, np.ones((1, 4), bool), 3)
    assert (confidence_of(nothing, "a"), agreement_of(nothing, "a")) == (0.0, {})


def test_distance_is_what_would_have_to_change():
    # 0.6, 0.4 and 0 against 0.5, 0.2 and 0.3.
    assert distance(np.array([6, 4, 0]), np.array([50, 20, 30])) == pytest.approx(0.3)
    assert distance(np.array([1, 2]), np.array([10, 20])) == pytest.approx(0, abs=1e-12)
    assert shares_of(np.zeros(2, np.int64)).tolist() == [0, 0]


def test_missing_are_classes_that_the_source_shows():
    source = np.array([9000, 950, 40, 10])
    # 0.05 of 9.5 % are 4.75 per mille, of 0.4 % 0.2 per mille; the last class has 0.1 % of the source only.
    assert missing_classes(np.array([9995, 4, 1, 0]), source) == [1, 2]
    assert missing_classes(np.array([9940, 48, 3, 0]), source) == []
