from collections import Counter

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import Augmentation, Crops, Cutout
from cotrain.randomness import generator
from cotrain.training.augmentation import (
    CROP_TRIES,
    PADDING_RGB,
    Window,
    augment,
    cut_image,
    cut_label,
    cut_out,
    draw_scaled_size,
    draw_window,
    jitter_colours,
)

PLAIN = Augmentation(
    resize=None,
    short_sides=(),
    max_long_side=4096,
    vertical_range=None,
    max_class_share=1.0,
    horizontal_flip=0.0,
    vertical_flip=0.0,
    colour_jitter=0.0,
    blur=0.0,
    cutout=Cutout(holes=(0, 0), size_px=(1, 1)),
)
CROP = (16, 24)


def frame(height, width, seed=0):
    """Return an image whose pixels are all different and a random label of train ids 0 to 4."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(height * width)
    image = np.stack([numbers % 256, numbers // 256, rng.integers(0, 256, numbers.size)], 1)
    return image.reshape(height, width, 3).astype(np.uint8), rng.integers(0, 5, (height, width)).astype(
        np.uint8
    )


def smooth_image(height, width):
    small = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_settings_from_the_configuration():
    section = {"vertical_range": [0.25, 0.75], "cutout": {"holes": [1, 3], "size_px": [4, 8]}}
    settings = settings_of({"crop": [32, 48], "source_augmentation": section}, Crops, "the settings")
    augmentation = settings.source_augmentation
    assert (settings.crop, augmentation.short_sides, augmentation.resize) == ((32, 48), (), None)
    assert augmentation.vertical_range == (0.25, 0.75)
    assert (augmentation.cutout.holes, augmentation.cutout.size_px) == ((1, 3), (4, 8))


class TestScaledSize:
    def test_without_settings_the_frame_stays(self):
        assert draw_scaled_size(30, 50, PLAIN, generator(0)) == (30, 50)

    def test_resize_does_not_keep_the_aspect(self):
        assert draw_scaled_size(30, 50, replace(PLAIN, resize=(64, 64)), generator(0)) == (64, 64)

    def test_short_side_of_either_orientation(self):
        augmentation = replace(PLAIN, short_sides=(60,))
        # 50 · 2 = 100; 1052 · 768 / 1914 has a fraction above one half.
        assert draw_scaled_size(30, 50, augmentation, generator(0)) == (60, 100)
        assert draw_scaled_size(50, 30, augmentation, generator(0)) == (100, 60)
        assert draw_scaled_size(1052, 1914, replace(PLAIN, short_sides=(768,)), generator(0)) == (768, 1397)

    def test_long_side_is_limited(self):
        augmentation = replace(PLAIN, short_sides=(60,), max_long_side=80)
        assert draw_scaled_size(30, 50, augmentation, generator(0)) == (48, 80)
        assert draw_scaled_size(1, 1000, augmentation, generator(0)) == (1, 80)

    def test_every_short_side_is_equally_likely(self):
        augmentation = replace(PLAIN, short_sides=(20, 40, 60))
        drawn = Counter(draw_scaled_size(20, 20, augmentation, generator(seed))[0] for seed in range(900))
        assert set(drawn) == {20, 40, 60}
        assert min(drawn.values()) > 240


class TestWindow:
    def test_uniform_over_all_positions(self):
        windows = [draw_window((6, 5), (4, 3), None, generator(seed)) for seed in range(1800)]
        places = Counter((window.top, window.left) for window in windows)
        assert set(places) == {(top, left) for top in range(3) for left in range(3)}
        # 200 expected, with a standard deviation of 13.
        assert 130 < min(places.values()) <= max(places.values()) < 270

    def test_smaller_frame_is_taken_whole(self):
        assert draw_window((10, 60), CROP, None, generator(0)).size == (10, 24)

    def test_vertical_range(self):
        def tops(height):
            return {
                draw_window((height, 8), (512, 8), (0.25, 0.75), generator(seed)).top for seed in range(1500)
            }

        # The middle half of 1024 rows is as high as the crop; 768 · 0.25 = 192; 512 leaves no choice.
        assert tops(1024) == {256}
        assert tops(768) == {192}
        assert tops(512) == {0}
        assert tops(1280) == set(range(320, 449))

    def test_vertical_range_keeps_the_crop_inside(self):
        for seed in range(50):
            window = draw_window((40, 40), CROP, (0.9, 1.0), generator(seed))
            assert window.top + window.size[0] <= 40


class TestCut:
    @pytest.mark.parametrize("factor", [1, 2, 3, 5])
    def test_labels_equal_resizing_first_at_integer_scales(self, factor):
        label = frame(14, 18)[1]
        whole = label.repeat(factor, 0).repeat(factor, 1)
        for seed in range(20):
            window = draw_window(whole.shape, (9, 11), None, generator(seed))
            expected = whole[window.top : window.top + 9, window.left : window.left + 11]
            np.testing.assert_array_equal(cut_label(label, window), expected)

    def test_shrunken_labels_are_the_pixels_in_the_middle(self):
        label = frame(12, 18)[1]
        window = Window((4, 6), 1, 2, (3, 4))
        np.testing.assert_array_equal(cut_label(label, window), label[1::3, 1::3][1:4, 2:6])

    @pytest.mark.parametrize("scaled", [(77, 95), (80, 96), (121, 100), (40, 48)])
    def test_enlarged_images_equal_resizing_first(self, scaled):
        image = smooth_image(40, 48)
        whole = cv2.resize(image, scaled[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
        for seed in range(10):
            window = draw_window(scaled, (33, 37), None, generator(seed))
            expected = whole[window.top : window.top + 33, window.left : window.left + 37]
            assert np.abs(cut_image(image, window) - expected).max() <= 2

    def test_halved_images_are_means(self):
        image = frame(16, 20)[0]
        means = image.reshape(8, 2, 10, 2, 3).mean((1, 3))
        crop = cut_image(image, Window((8, 10), 2, 3, (5, 6)))
        assert np.abs(crop - means[2:7, 3:9]).max() <= 1

    def test_what_shrinks_is_averaged(self):
        # Every fourth column is white: a quarter of each mean. Single pixels would be 0 or 255.
        image = np.zeros((40, 64, 3), np.uint8)
        image[:, ::4] = 255
        assert set(np.unique(cut_image(image, Window((10, 16), 2, 3, (5, 9))))) == {64}

    @pytest.mark.parametrize("scaled", [(29, 37), (30, 60), (25, 70)])
    def test_shrunken_images_are_close_to_resizing_first(self, scaled):
        image = smooth_image(64, 80)
        whole = cv2.resize(image, scaled[::-1], interpolation=cv2.INTER_AREA).astype(int)
        window = draw_window(scaled, (20, 30), None, generator(1))
        expected = whole[window.top : window.top + 20, window.left : window.left + 30]
        assert np.abs(cut_image(image, window) - expected).mean() < 6

    def test_result_does_not_share_memory_with_the_frame(self):
        image = frame(20, 30)[0]
        assert not np.shares_memory(cut_image(image, Window((20, 30), 1, 1, (5, 5))), image)


class TestAugment:
    @pytest.mark.parametrize("short_sides", [(), (48,), (20, 32, 57, 96)])
    def test_image_and_label_stay_together(self, short_sides):
        # The image shows the label: whatever is drawn, most pixels must still say what their label says.
        blocks = np.random.default_rng(1).integers(0, 5, (4, 6)).astype(np.uint8)
        label = np.kron(blocks, np.ones((10, 10), np.uint8))
        image = np.repeat(label[..., None] * np.uint8(40), 3, 2)
        augmentation = replace(PLAIN, short_sides=short_sides, horizontal_flip=0.5, vertical_flip=0.5)
        for seed in range(40):
            crop, cut = augment(image, label, augmentation, CROP, generator(seed))
            assert (crop.shape, cut.shape) == ((*CROP, 3), CROP)
            assert (np.abs(crop[..., 0].astype(int) - 40 * cut.astype(int)) < 20).mean() > 0.8

    def test_horizontal_flip(self):
        image, label = frame(16, 24)
        crop, cut = augment(image, label, replace(PLAIN, horizontal_flip=1.0), CROP, generator(0))
        np.testing.assert_array_equal(crop, image[:, ::-1])
        np.testing.assert_array_equal(cut, label[:, ::-1])

    def test_vertical_flip(self):
        image, label = frame(16, 24)
        crop, cut = augment(image, label, replace(PLAIN, vertical_flip=1.0), CROP, generator(0))
        np.testing.assert_array_equal(crop, image[::-1])
        np.testing.assert_array_equal(cut, label[::-1])

    def test_flips_are_as_frequent_as_asked(self):
        image, label = frame(16, 24)
        augmentation = replace(PLAIN, horizontal_flip=0.3)
        flipped = sum(
            not np.array_equal(augment(image, label, augmentation, CROP, generator(seed))[0], image)
            for seed in range(500)
        )
        assert 110 < flipped < 190

    def test_crops_come_from_the_vertical_range(self):
        image, label = frame(64, 24)
        for seed in range(20):
            crop, _ = augment(image, label, replace(PLAIN, vertical_range=(0.5, 0.75)), CROP, generator(seed))
            np.testing.assert_array_equal(crop, image[32:48])

    def test_holes_are_cut_into_the_image_only(self):
        image, label = frame(16, 24)
        augmentation = replace(PLAIN, cutout=Cutout(holes=(1, 1), size_px=(3, 3)))
        crop, cut = augment(np.maximum(image, 1), label, augmentation, CROP, generator(0))
        assert 4 <= (crop == 0).all(2).sum() <= 9
        np.testing.assert_array_equal(cut, label)

    def test_padding_right_and_below(self):
        image, label = frame(10, 20)
        crop, cut = augment(image, label, PLAIN, CROP, generator(0))
        np.testing.assert_array_equal(crop[:10, :20], image)
        np.testing.assert_array_equal(cut[:10, :20], label)
        assert (crop[10:] == PADDING_RGB).all()
        assert (crop[:, 20:] == PADDING_RGB).all()
        assert (cut[10:] == 255).all()
        assert (cut[:, 20:] == 255).all()

    def test_dominated_crops_are_redrawn(self):
        # One class but for a column at the right end: 3 of 33 positions of the crop show it.
        label = np.zeros((16, 56), np.uint8)
        label[:, 53:] = 1
        image = np.repeat(label[..., None], 3, 2)

        def share_with_both(augmentation):
            found = [
                augment(image, label, augmentation, CROP, generator(seed))[1].any() for seed in range(400)
            ]
            return float(np.mean(found))

        # 3 / 33, and 1 − (1 − 3 / 33)^10.
        assert share_with_both(PLAIN) == pytest.approx(3 / 33, abs=0.06)
        limited = share_with_both(replace(PLAIN, max_class_share=0.99))
        assert limited == pytest.approx(1 - (30 / 33) ** CROP_TRIES, abs=0.1)

    def test_ignored_pixels_do_not_make_a_crop_varied(self):
        label = np.full((16, 48), 255, np.uint8)
        label[:, :24] = 2
        label[:4, 40:44] = [0, 1, 0, 1]
        image, augmentation = label[..., None].repeat(3, 2), replace(PLAIN, max_class_share=0.9)
        seen = [augment(image, label, augmentation, CROP, generator(seed))[1] for seed in range(60)]
        varied = [len(set(np.unique(cut)) - {255}) > 1 for cut in seen]
        # Positions 17 to 24 of 0 to 24 show two classes, none above 90 %, or classes 0 and 1.
        assert np.mean(varied) > 0.85

    def test_blur_and_jitter_are_as_frequent_as_asked(self):
        image, label = frame(16, 24)

        def changed(augmentation):
            return sum(
                not np.array_equal(augment(image, label, augmentation, CROP, generator(seed))[0], image)
                for seed in range(400)
            )

        assert changed(PLAIN) == 0
        # 120 expected, with a standard deviation of 9.
        assert 80 < changed(replace(PLAIN, blur=0.3)) < 160
        assert changed(replace(PLAIN, colour_jitter=0.3)) == 400

    def test_blur_flattens(self):
        image, label = frame(16, 24)
        crop, _ = augment(image, label, replace(PLAIN, blur=1.0), CROP, generator(0))
        assert crop[..., 2].std() < image[..., 2].std()

    def test_is_a_function_of_the_generator(self):
        image, label = frame(40, 60)
        augmentation = replace(
            PLAIN,
            short_sides=(30, 50),
            horizontal_flip=0.5,
            colour_jitter=0.2,
            blur=0.5,
            cutout=Cutout(holes=(1, 2), size_px=(1, 1)),
        )
        once, again, other = (
            augment(image, label, augmentation, CROP, generator(seed)) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(once[0], again[0])
        np.testing.assert_array_equal(once[1], again[1])
        assert not np.array_equal(once[0], other[0])


class TestJitter:
    def test_no_strength_changes_nothing(self):
        image = frame(30, 30)[0]
        np.testing.assert_array_equal(jitter_colours(image, 1e-9, generator(0)), image)

    def test_brightness_and_balance_stay_in_their_range(self):
        image = np.full((4, 4, 3), 100, np.uint8)
        means = np.array([jitter_colours(image, 0.2, generator(seed)).mean((0, 1)) for seed in range(300)])
        # A grey image has neither contrast nor saturation: 100 · (1 ± 0.2) · (1 ± 0.05).
        assert means.min() >= 75
        assert means.max() <= 127
        assert means.min() < 80
        assert means.max() > 121

    def test_the_balance_of_colours_stays_in_its_range(self):
        image = np.full((4, 4, 3), 100, np.uint8)
        crops = np.array([jitter_colours(image, 0.8, generator(seed))[0, 0] for seed in range(2000)], float)
        # 1.2 of 0.8 at most; what is rounded is off by a half.
        ratios = (crops.max(1) - 0.5) / (crops.min(1) + 0.5)
        assert 1.4 < ratios.max() <= 1.5

    def test_by_hand(self):
        class Ends:
            """Draws numbers that lie at given shares of their ranges."""

            def __init__(self, *shares):
                self.shares = list(shares)

            def uniform(self, low, high, number):
                shares = self.shares.pop(0)
                assert len(shares) == number
                return low + np.array(shares) * (high - low)

        # About the mean of 100, at 0.6 of the contrast: 88 and 112; then at 1.4 of the brightness.
        grey = np.array([[[80] * 3], [[120] * 3]], np.uint8)
        changed = jitter_colours(grey, 0.4, Ends((1, 0, 0.5), (0.5, 0.5, 0.5)))
        assert changed.tolist() == [[[123] * 3], [[157] * 3]]
        # Grey is 101.85. At 1.4 of the saturation: 113.26, 99.26 and 85.26; the balance is 0.9, 1 and 1.1.
        red = np.array([[[110, 100, 90]]], np.uint8)
        assert jitter_colours(red, 0.4, Ends((0.5, 0.5, 1), (0, 0.5, 1))).tolist() == [[[102, 99, 94]]]

    def test_no_overflow(self):
        image = np.full((4, 4, 3), 250, np.uint8)
        brightest = max(jitter_colours(image, 0.5, generator(seed)).min() for seed in range(50))
        assert brightest == 255
        assert min(jitter_colours(image, 0.5, generator(seed)).min() for seed in range(50)) > 100


class TestCutOut:
    def test_holes_are_black_and_of_the_asked_size(self):
        image = np.full((40, 40, 3), 200, np.uint8)
        cutout = Cutout(holes=(1, 1), size_px=(3, 5))
        for seed in range(50):
            holes = (cut_out(image, cutout, generator(seed)) == 0).all(2)
            rows, columns = holes.any(1).sum(), holes.any(0).sum()
            assert 1 <= rows <= 5
            assert 1 <= columns <= 5
            assert holes.sum() == rows * columns
        assert (image == 200).all()

    def test_number_of_holes(self):
        image = np.full((200, 200, 3), 200, np.uint8)
        cutout = Cutout(holes=(2, 4), size_px=(1, 1))
        numbers = Counter(
            int((cut_out(image, cutout, generator(seed)) == 0).all(2).sum()) for seed in range(200)
        )
        assert set(numbers) == {2, 3, 4}
