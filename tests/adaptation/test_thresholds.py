from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotrain.adaptation.pseudo_labels import filter_prediction
from cotrain.adaptation.thresholds import (
    LEVELS,
    ConfidenceCounter,
    class_thresholds,
    portion_at,
    quantise,
)


def histogram_of(*levels_per_class):
    histogram = np.zeros((len(levels_per_class), LEVELS), dtype=np.int64)
    for class_id, levels in enumerate(levels_per_class):
        np.add.at(histogram[class_id], levels, 1)
    return histogram


def counted(*images):
    counter = ConfidenceCounter(3)
    for image in images:
        counter.add(*image)
    return counter.histogram()


def test_quantise():
    # 0.5 · 65535 = 32767.5 is rounded to the even neighbour.
    levels = quantise(np.array([[0.0, 1.0, 0.5], [0.2, 1 / 65535, 0.4 / 65535]], dtype=np.float32))
    np.testing.assert_array_equal(levels, [[0, 65535, 32768], [13107, 1, 0]])
    assert levels.dtype == np.uint16


def test_quantise_does_not_wrap_around():
    np.testing.assert_array_equal(quantise([1.0001, -0.0001]), [65535, 0])


def test_histogram_counts_each_class_and_level():
    classes = np.array([[0, 1, 1], [1, 0, 255]], dtype=np.uint8)
    levels = np.array([[7, 65535, 0], [65535, 7, 9]], dtype=np.uint16)
    histogram = counted((classes, levels))
    assert histogram.shape == (3, 65536)
    assert histogram.dtype == np.int64
    assert (histogram[0, 7], histogram[1, 0], histogram[1, 65535]) == (2, 1, 2)
    assert histogram.sum() == 5


@pytest.mark.parametrize("strange", [3, 4, 254])
def test_ids_that_are_no_class_do_not_count(strange):
    # The first of them is as large as the number of classes.
    classes = np.array([[0, strange, 2]], np.uint8)
    histogram = counted((classes, np.array([[5, 0, 65535]], np.uint16)))
    assert histogram[0, 5] == histogram[2, 65535] == 1
    assert histogram.sum() == 2


def test_ignored_pixels_do_not_count():
    classes = np.array([[0, 1, 1]], dtype=np.uint8)
    levels = np.array([[5, 6, 7]], dtype=np.uint16)
    histogram = counted((classes, levels, np.array([[True, False, True]])))
    assert histogram[1, 6] == histogram.sum() == 1
    assert classes[0, 0] == 0


def test_counts_may_exceed_32_bit():
    image = np.zeros((2, 5), np.uint8), np.full((2, 5), 65535, np.uint16)
    counter = ConfidenceCounter(3)
    counter.add(*image)
    # As after 2 ** 31 - 5 pixels of this one class and level.
    counter.recent[65535] = counter.recent_pixels = 2**31 - 5
    counter.add(*image)
    assert counter.recent_pixels == 10
    histogram = counter.histogram()
    assert histogram[0, 65535] == histogram.sum() == 2**31 + 5
    np.testing.assert_array_equal(counter.histogram(), histogram)
    counter.add(*image)
    assert counter.histogram().sum() == 2**31 + 15


def test_blocks_of_a_large_image_add_up():
    rng = np.random.default_rng(3)
    classes = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), (300, 1000))
    levels = rng.integers(0, 65536, classes.shape).astype(np.uint16)
    expected = np.zeros((256, LEVELS), np.int64)
    np.add.at(expected, (classes, levels), 1)
    np.testing.assert_array_equal(counted((classes, levels)), expected[:3])


def test_threshold_of_ten_pixels():
    # rint(10 · (1 - 0.3)) = 7: the eighth of the sorted levels.
    levels = np.random.default_rng(1).permutation(np.arange(1000, 11000, 1000))
    np.testing.assert_array_equal(class_thresholds(histogram_of(levels), 0.3, 0, 1), [8000])


@pytest.mark.parametrize(("number", "place"), [(5, 2), (7, 4)])
def test_half_goes_to_even(number, place):
    # 5 · 0.5 = 2.5 is rounded to 2, 7 · 0.5 = 3.5 to 4.
    levels = np.arange(number) * 10
    np.testing.assert_array_equal(class_thresholds(histogram_of(levels), 0.5, 0, 1), [place * 10])


def test_equal_levels():
    # Sorted 5 5 5 9: places 0 to 2 hold 5, place 3 holds 9.
    histogram = histogram_of([5, 9, 5, 5])
    assert [class_thresholds(histogram, p, 0, 1)[0] for p in (1.0, 0.5, 0.25)] == [5, 5, 9]


def test_lone_pixel():
    # rint(1 · 0.7) = 1 lies beyond the only place; the published code crashes.
    np.testing.assert_array_equal(class_thresholds(histogram_of([40000]), 0.3, 0, 1), [40000])


def test_absent_class_gets_the_lower_limit():
    thresholds = class_thresholds(histogram_of([], [60000], []), 0.5, 0.5, 1)
    np.testing.assert_array_equal(thresholds, [32768, 60000, 32768])
    assert thresholds.dtype == np.uint16


def test_limits():
    # 0.4 · 65535 = 26214, 0.8 · 65535 = 52428.
    thresholds = class_thresholds(histogram_of([100], [65535], [30000]), 1.0, 0.4, 0.8)
    np.testing.assert_array_equal(thresholds, [26214, 52428, 30000])


def test_one_portion_a_class():
    levels = np.arange(10)
    thresholds = class_thresholds(histogram_of(levels, levels, levels), [1.0, 0.5, 0.1], 0, 1)
    np.testing.assert_array_equal(thresholds, [0, 5, 9])


def test_portion_grows_to_its_maximum():
    portions = [portion_at(step, 0.5, 0.7, 0.05) for step in range(7)]
    np.testing.assert_allclose(portions, [0.5, 0.55, 0.6, 0.65, 0.7, 0.7, 0.7])


def test_portion_with_a_maximum_below_its_start():
    assert [portion_at(step, 0.3, 0.2, 0.05) for step in range(3)] == [0.3, 0.2, 0.2]


def test_portion_of_each_class():
    np.testing.assert_allclose(portion_at(2, [0.2, 0.5], [0.4, 0.55], 0.05), [0.3, 0.55])
    np.testing.assert_allclose(portion_at(1, 0.2, [0.4, 0.21], [0.1, 0.1]), [0.3, 0.21])


predictions = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(st.just(seed), st.integers(1, 12), st.integers(1, 12), st.sampled_from([9, 65536]))
)


def draw(seed, height, width, highest):
    rng = np.random.default_rng(seed)
    classes = rng.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (height, width))
    return classes, rng.integers(0, highest, (height, width)).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(predictions, st.lists(st.integers(0, 12), max_size=4))
def test_any_split_adds_up_to_the_same_histogram(case, cuts):
    classes, levels = draw(*case)
    borders = [0, *sorted(cuts), 12]
    parts = [slice(a, b) for a, b in pairwise(borders)]
    total = sum(counted((classes[part], levels[part])) for part in parts)
    np.testing.assert_array_equal(total, counted((classes, levels)))


def definition(images, number_of_classes, portion, lower, upper):
    """Return thresholds and labels by the method's definition, from all confidences in memory at once."""
    low, high = (round(limit * 65535) for limit in (lower, upper))
    classes = np.concatenate([image[0].ravel() for image in images])
    levels = np.concatenate([image[1].ravel() for image in images])
    thresholds = []
    for class_id in range(number_of_classes):
        ordered = np.sort(levels[classes == class_id])
        place = min(round(len(ordered) * (1 - portion)), len(ordered) - 1)
        thresholds.append(min(max(int(ordered[place]), low), high) if len(ordered) else low)
    labels = [np.full(of_image.shape, 255) for of_image, _ in images]
    for class_id, threshold in enumerate(thresholds):
        for label, (of_image, sure) in zip(labels, images, strict=True):
            label[(of_image == class_id) & (sure > threshold)] = class_id
    return thresholds, labels


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(predictions, st.integers(0, 3)), min_size=1, max_size=6).flatmap(
        lambda images: st.tuples(st.just(images), st.permutations(range(len(images))))
    ),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.floats(0.5, 1),
)
def test_images_of_any_size_in_any_shards_and_order_give_the_same_as_the_definition(
    images_and_order, portion, lower, upper
):
    images_of_shards, order = images_and_order
    images = [draw(*case) for case, _ in images_of_shards]
    shards = [ConfidenceCounter(3) for _ in range(4)]
    for index in order:
        shards[images_of_shards[index][1]].add(*images[index])
    histogram = sum(shard.histogram() for shard in shards)
    thresholds = class_thresholds(histogram, portion, lower, upper)
    expected, labels = definition(images, 3, portion, lower, upper)
    np.testing.assert_array_equal(thresholds, expected)
    for image, label in zip(images, labels, strict=True):
        np.testing.assert_array_equal(filter_prediction(*image, thresholds), label)
