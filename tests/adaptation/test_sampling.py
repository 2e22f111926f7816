import random

import numpy as np
import pytest

from cotrain.adaptation.sampling import (
    DRAWS_IN_BLOCK,
    RareClassSampler,
    ShuffledSampler,
    choose_subset,
    class_probabilities,
    co_training_subset_seed,
    rare_class_sampling_key,
    self_training_subset_seed,
    spread_sample,
)
from cotrain.errors import InputError

PATHS = [f"/target/{(7 * number) % 1000:04d}.png" for number in range(1000)]


def test_published_seeds():
    published = [100, 101, 103, 106, 110, 115, 121, 128, 136, 145]
    assert [self_training_subset_seed(100, number) for number in range(10)] == published
    assert [co_training_subset_seed(100, cycle) for cycle in range(5)] == [100, 101, 102, 103, 104]


def test_subset_is_the_published_draw():
    subset = choose_subset(PATHS, 500, 100)
    assert [PATHS[index] for index in subset] == random.Random(100).sample(sorted(PATHS), 500)
    assert subset.dtype == np.int64


@pytest.mark.parametrize("number", [-1, 1000, 2000])
def test_all_images_in_sorted_order(number):
    assert [PATHS[index] for index in choose_subset(PATHS, number, 100)] == sorted(PATHS)


def test_no_image():
    assert choose_subset(PATHS, 0, 100).tolist() == []
    assert choose_subset([], 5, 100).tolist() == []


def test_the_seed_decides_where_every_third_begins():
    ordered = sorted(PATHS)
    starts = set()
    for seed in range(20):
        subset = [PATHS[index] for index in choose_subset(PATHS, -1, seed, every=3)]
        start = ordered.index(subset[0])
        assert subset == ordered[start::3]
        starts.add(start)
        some = choose_subset(PATHS, 50, seed, every=3)
        assert [PATHS[index] for index in some] == random.Random(seed).sample(subset, 50)
    assert starts == {0, 1, 2}


def test_class_probabilities():
    # Shares 0.25 and 0.75, exponents 1.5 and 0.5: e / (e + 1) = 0.7311.
    probabilities = class_probabilities(np.array([1, 0, 3]), 0.5)
    np.testing.assert_allclose(probabilities, [0.7310585786, 0, 0.2689414214], rtol=1e-9)


def test_class_probabilities_at_the_published_temperature():
    counts = np.array([10**13, 1, 0, 10**12])
    probabilities = class_probabilities(counts, 0.01)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[1] == pytest.approx(0.9999, abs=1e-3)
    np.testing.assert_array_equal(class_probabilities(np.array([0, 5]), 0.01), [0, 1])


def test_no_labelled_pixel():
    with pytest.raises(InputError, match="no pixel of any class"):
        class_probabilities(np.array([0, 0]), 0.01)


def test_one_image_is_enough():
    assert [ShuffledSampler(1, seed=100).index(position) for position in range(3)] == [0, 0, 0]


def test_shuffled_sampler_shows_every_image_once_a_pass():
    sampler = ShuffledSampler(50, seed=100)
    passes = [[sampler.index(50 * number + place) for place in range(50)] for number in range(3)]
    assert all(sorted(one) == list(range(50)) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert isinstance(passes[0][0], int)


def test_shuffled_sampler_is_a_function_of_position():
    sampler, other = ShuffledSampler(7, seed=100), ShuffledSampler(7, seed=100)
    forward = [sampler.index(position) for position in range(40)]
    assert [other.index(position) for position in reversed(range(40))] == forward[::-1]
    assert [ShuffledSampler(7, seed=100).index(33)] == forward[33:34]


def test_seeds_and_streams_differ():
    def first(seed, stream):
        sampler = ShuffledSampler(50, seed, stream)
        return [sampler.index(position) for position in range(50)]

    orders = [first(1, "source"), first(1, "target"), first(2, "source")]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_no_image_to_shuffle():
    with pytest.raises(InputError, match="no image"):
        ShuffledSampler(0, seed=1)


# No image has more than 3000 pixels of class 0; images 1 and 3 have them of class 1; class 3 is absent.
COUNTS = np.array(
    [[10, 100, 0, 0], [0, 3001, 0, 0], [20, 0, 5000, 0], [0, 4000, 3000, 0]],
    dtype=np.int64,
)


def rare_draws(number, seed=100, temperature=1.0):
    sampler = RareClassSampler(COUNTS, min_pixels=3000, temperature=temperature, seed=seed)
    return [sampler.index(position) for position in range(number)]


def test_rare_class_sampler_draws_classes_and_then_their_images():
    # Totals 30, 7101, 8000, 0 of 15131; P = softmax(1 - f) over three classes.
    weights = np.exp(1 - np.array([30, 7101, 8000]) / 15131)
    first, second, third = weights / weights.sum()
    # Class 0: images 0 and 2; class 1: images 1 and 3; class 2: image 2 (3000 is not more than 3000).
    expected = [first / 2, second / 2, first / 2 + third, second / 2]
    draws = np.bincount(rare_draws(40000), minlength=4) / 40000
    np.testing.assert_allclose(draws, expected, atol=0.01)


def test_low_temperature_draws_only_the_rarest_class():
    assert set(rare_draws(2000, temperature=0.001)) == {0, 2}


def test_rare_class_sampler_is_a_function_of_position():
    draws = rare_draws(2 * DRAWS_IN_BLOCK)
    sampler = RareClassSampler(COUNTS, min_pixels=3000, temperature=1.0, seed=100)
    for position in (DRAWS_IN_BLOCK + 5, 3, DRAWS_IN_BLOCK, DRAWS_IN_BLOCK - 1, 2 * DRAWS_IN_BLOCK - 1):
        assert sampler.index(position) == draws[position]
    assert draws[:DRAWS_IN_BLOCK] != draws[DRAWS_IN_BLOCK:]
    assert draws[:200] != rare_draws(200, seed=101)


def test_rare_class_sampler_without_labels():
    with pytest.raises(InputError, match="no pixel of any class"):
        RareClassSampler(np.zeros((3, 2), dtype=np.int64), 0, 0.01, 1)


def test_a_sample_is_spread_and_so_are_its_first_images():
    for seed in range(20):
        sample = spread_sample(100, 5, seed).tolist()
        # Of five parts of 20 places in the order 0, 4, 2, 1, 3: 0, 100, 10, 1, 11 are their bits in reverse.
        assert [place // 20 for place in sample] == [0, 4, 2, 1, 3]
    assert len({tuple(spread_sample(100, 5, seed)) for seed in range(20)}) > 10
    assert [place // 125 for place in spread_sample(1000, 8, 1)] == [0, 4, 2, 6, 1, 5, 3, 7]
    # Parts of 10 / 4 places begin at 0, 2, 5 and 7.
    assert [np.searchsorted([2, 5, 7], place, side="right") for place in spread_sample(10, 4, 3)] == [
        0,
        2,
        1,
        3,
    ]


@pytest.mark.parametrize("images", [0, 1, 2, 5])
def test_a_sample_of_few_images_has_them_all(images):
    assert sorted(spread_sample(images, 5, 1).tolist()) == [*range(images)]
    assert spread_sample(images, 5, 1).dtype == np.int64


@pytest.mark.parametrize(("size", "min_pixels"), [((1914, 1052), 3000), ((480, 360), 260), ((288, 216), 93)])
def test_rare_class_sampling_is_advised_for_the_size_of_the_source(size, min_pixels):
    expected = f"training.rare_class_sampling: {{enabled: true, min_pixels: {min_pixels}}}"
    assert rare_class_sampling_key(size[0] * size[1]) == expected
