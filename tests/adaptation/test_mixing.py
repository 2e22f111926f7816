import numpy as np
import pytest

from cotrain.adaptation.mixing import classes_on_demand, classes_plain, paste


def label_of(*train_ids):
    return np.array([train_ids], dtype=np.uint8)


@pytest.mark.parametrize(
    ("present", "number"), [([], 0), ([4], 1), ([1, 4], 1), ([1, 4, 7], 2), ([0, 1, 4, 7], 2)]
)
def test_plain_takes_half_rounded_up(present, number):
    classes = classes_plain(label_of(*present, 255, 255), np.random.default_rng(1))
    assert len(set(classes.tolist())) == len(classes) == number
    assert set(classes.tolist()) <= set(present)


def test_plain_can_take_any_class_but_void():
    rng = np.random.default_rng(1)
    drawn = [tuple(sorted(classes_plain(label_of(2, 5, 9, 255), rng).tolist())) for _ in range(60)]
    assert set(drawn) == {(2, 5), (2, 9), (5, 9)}


THRESHOLDS = np.array([50000, 40000, 60000, 40000, 32768], dtype=np.uint16)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([0, 1, 2, 3, 4], [4, 1]),
        ([0, 2], [0]),
        ([2, 3, 1, 0], [1, 3]),
        ([3, 1], [1]),
        ([0, 1, 2], [1]),
    ],
)
def test_on_demand_takes_the_least_sure_half_rounded_down(present, expected):
    np.testing.assert_array_equal(classes_on_demand(label_of(*present), THRESHOLDS), expected)


def test_on_demand_with_a_single_class_pastes_nothing():
    assert classes_on_demand(label_of(4, 4, 4), THRESHOLDS).shape == (0,)
    # Void is no class: it does not count as a second one, and it is not pasted.
    assert classes_on_demand(label_of(4, 255, 255), THRESHOLDS).shape == (0,)
    assert classes_on_demand(label_of(255), THRESHOLDS).shape == (0,)
    np.testing.assert_array_equal(classes_on_demand(label_of(2, 4, 255), THRESHOLDS), [4])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_paste(dtype):
    donor_image = np.arange(12, dtype=dtype).reshape(2, 2, 3)
    donor_label = np.array([[3, 5], [255, 3]], dtype=np.uint8)
    image = np.full((2, 2, 3), 100, dtype=dtype)
    label = np.array([[1, 1], [2, 255]], dtype=np.uint8)
    mixed_image, mixed_label = paste(donor_image, donor_label, image, label, np.array([3], dtype=np.uint8))
    np.testing.assert_array_equal(mixed_label, [[3, 1], [2, 3]])
    np.testing.assert_array_equal(mixed_image, [[[0, 1, 2], [100, 100, 100]], [[100, 100, 100], [9, 10, 11]]])
    assert mixed_image.dtype == dtype
    assert (image == 100).all()
    np.testing.assert_array_equal(label, [[1, 1], [2, 255]])


def test_void_is_never_pasted():
    donor = np.zeros((1, 2, 3), dtype=np.uint8)
    image, label = np.ones_like(donor), label_of(1, 2)
    mixed_image, mixed_label = paste(
        donor, label_of(255, 0), image, label, np.array([0, 255], dtype=np.uint8)
    )
    np.testing.assert_array_equal(mixed_label, [[1, 0]])
    np.testing.assert_array_equal(mixed_image[0, :, 0], [1, 0])


def test_nothing_to_paste_gives_copies():
    image, label = np.ones((1, 2, 3), dtype=np.uint8), label_of(1, 2)
    mixed_image, mixed_label = paste(image * 0, label_of(0, 0), image, label, np.array([], dtype=np.uint8))
    np.testing.assert_array_equal(mixed_image, image)
    np.testing.assert_array_equal(mixed_label, label)
    mixed_image[:], mixed_label[:] = 9, 9
    assert image.max() == 1
    assert label.max() == 2


def test_views_such_as_flipped_crops():
    rng = np.random.default_rng(1)
    donor, image = rng.integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    donor_label, label = rng.integers(0, 4, (2, 8, 9), dtype=np.uint8)
    classes = np.array([1, 2], dtype=np.uint8)
    flipped = paste(donor[2:6, ::-1], donor_label[2:6, ::-1], image[2:6, ::-1], label[2:6, ::-1], classes)
    mask = np.isin(donor_label, classes)
    np.testing.assert_array_equal(flipped[0], np.where(mask[..., None], donor, image)[2:6, ::-1])
    np.testing.assert_array_equal(flipped[1], np.where(mask, donor_label, label)[2:6, ::-1])


def test_sizes_and_types_must_agree():
    small, large = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    none = np.array([], dtype=np.uint8)
    with pytest.raises(ValueError, match="shapes"):
        paste(large, large[..., 0], small, small[..., 0], none)
    with pytest.raises(ValueError, match="shapes"):
        paste(small, large[..., 0], small, small[..., 0], none)
    with pytest.raises(ValueError, match="float32"):
        paste(small.astype(np.float32), small[..., 0], small, small[..., 0], none)
