import os
import warnings
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.color
from hypothesis import given, settings
from hypothesis import strategies as st

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.data.images import read_image
from cotrain.errors import InputError

DATA = Path(os.environ.get("COTRAIN_DATA", Path(__file__).parents[2] / "data"))

# The exact formulas in float64: sRGB (IEC 61966-2-1) and CIE L*a*b* with the D65 white.
RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def exact_lab(rgb):
    encoded = rgb / 255
    linear = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    xyz = linear @ RGB_TO_XYZ.T / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        (116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), axis=-1
    )


def exact_rgb(lab):
    y = (lab[..., 0] + 16) / 116
    f = np.stack((y + lab[..., 1] / 500, y, np.maximum(y - lab[..., 2] / 200, 0)), axis=-1)
    linear = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * WHITE @ np.linalg.inv(RGB_TO_XYZ).T
    power = np.maximum(linear, 0.0031308) ** (1 / 2.4)
    encoded = np.where(linear > 0.0031308, 1.055 * power - 0.055, 12.92 * linear)
    return np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)


def exact_statistics(rgb):
    lab = exact_lab(rgb).reshape(-1, 3)
    return lab.mean(axis=0), lab.std(axis=0)


def exact_translation(rgb, mean, std):
    source_mean, source_std = exact_statistics(rgb)
    return exact_rgb((exact_lab(rgb) - source_mean) / source_std * std + mean)


def noise(seed, height=97, width=131):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_close_to_exact(source, target):
    mean, std = lab_statistics(target)
    exact_mean, exact_std = exact_statistics(target)
    np.testing.assert_allclose(mean, exact_mean, atol=1e-4)
    np.testing.assert_allclose(std, exact_std, atol=1e-4)
    expected = exact_translation(source, exact_mean, exact_std)
    difference = np.abs(translate(source, mean, std).astype(int) - expected).max(axis=-1)
    assert (difference <= 1).mean() >= 0.999
    assert (difference == 0).mean() >= 0.97


def test_lab_of_known_colours():
    def colour(*rgb):
        return lab_statistics(np.full((2, 3, 3), rgb, dtype=np.uint8))

    np.testing.assert_allclose(colour(0, 0, 0)[0], (0, 0, 0), atol=1e-3)
    np.testing.assert_allclose(colour(255, 255, 255)[0], (100, 0, 0), atol=0.01)
    np.testing.assert_allclose(colour(255, 0, 0)[0], (53.24, 80.09, 67.20), atol=0.02)
    np.testing.assert_allclose(colour(0, 0, 255)[0], (32.30, 79.19, -107.86), atol=0.02)
    np.testing.assert_allclose(colour(255, 0, 0)[1], 0, atol=1e-3)


def test_spread_is_that_of_the_population():
    # Black and white: lightness 0 and 100, so mean 50 and standard deviation 50 (70.7 as a sample).
    mean, std = lab_statistics(np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8))
    assert mean[0] == pytest.approx(50, abs=1e-3)
    assert std[0] == pytest.approx(50, abs=1e-3)
    assert mean.dtype == std.dtype == np.float64
    assert mean.shape == std.shape == (3,)


def test_agrees_with_the_exact_formulas_on_random_images():
    assert_close_to_exact(noise(1), noise(2))
    # A large image is converted in several strips; the last one is shorter.
    assert_close_to_exact(noise(3, 301, 211) // 2 + 50, noise(4) // 4)


def test_agrees_with_the_exact_formulas_far_outside_srgb():
    # Dark and extremely yellow: f(Z) falls below zero for most pixels.
    mean, std = np.array([30.0, 0.0, 120.0]), np.array([10.0, 10.0, 30.0])
    expected = exact_translation(noise(10), mean, std)
    difference = np.abs(translate(noise(10), mean, std).astype(int) - expected).max(axis=-1)
    assert (difference <= 1).mean() >= 0.999


def test_agrees_with_the_exact_formulas_on_real_images():
    images = sorted((DATA / "camvid" / "images").rglob("*.jpg"))[::200]
    if len(images) < 2:
        pytest.skip(f"no CamVid images under {DATA}; set COTRAIN_DATA to their folder")
    frames = [read_image(path) for path in images]
    for source, target in pairwise(frames):
        assert_close_to_exact(source, target)
    # The hard case: large factors move most colours out of sRGB.
    assert_close_to_exact(frames[0], noise(5))


def test_achieves_the_wanted_statistics():
    source = noise(6) // 4 + 90
    mean, std = np.array([60.0, 5.0, -8.0]), np.array([6.0, 4.0, 3.0])
    achieved_mean, achieved_std = lab_statistics(translate(source, mean, std))
    np.testing.assert_allclose(achieved_mean, mean, atol=0.05)
    np.testing.assert_allclose(achieved_std, std, atol=0.05)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9))
def test_own_statistics_leave_an_image_as_it_is(seed, span, height, width):
    source = np.random.default_rng(seed).integers(60, 60 + span, (height, width, 3), dtype=np.uint8)
    difference = translate(source, *lab_statistics(source)).astype(int) - source
    assert np.abs(difference).max() <= 1


@pytest.mark.filterwarnings("error")
def test_constant_image_is_shifted_and_not_scaled():
    constant = np.full((4, 5, 3), (200, 30, 90), dtype=np.uint8)
    mean, _ = lab_statistics(np.full((1, 1, 3), (40, 120, 160), dtype=np.uint8))
    translated = translate(constant, mean, np.array([20.0, 10.0, 10.0]))
    assert np.abs(translated.astype(int) - (40, 120, 160)).max() <= 1


@pytest.mark.filterwarnings("error")
def test_grey_image_gets_no_colours_out_of_rounding_noise():
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    translated = translate(grey, np.array([50.0, 0.0, 0.0]), np.array([25.0, 15.0, 15.0])).astype(int)
    assert np.ptp(translated, axis=2).max() <= 1
    assert np.ptp(translated[..., 0]) > 100


def test_target_of_one_colour_gives_one_colour():
    target = np.full((3, 3, 3), (10, 90, 200), dtype=np.uint8)
    translated = translate(noise(7), *lab_statistics(target))
    assert np.abs(translated.astype(int) - (10, 90, 200)).max() <= 1


def test_input_stays_untouched_and_views_are_fine():
    source = noise(8)
    before = source.copy()
    mean, std = lab_statistics(noise(9))
    mirrored = translate(source[:, ::-1], mean, std)
    np.testing.assert_array_equal(source, before)
    np.testing.assert_array_equal(mirrored[:, ::-1], translate(source, mean, std))


def test_target_images_depend_only_on_seed_and_row():
    targets = choose_target_images(40, 7, seed=100, per_image=3)
    assert targets.shape == (40, 3)
    assert targets.dtype == np.int64
    assert set(targets.ravel().tolist()) == set(range(7))
    assert all(len(set(row)) == 3 for row in targets.tolist())
    np.testing.assert_array_equal(targets[:15], choose_target_images(15, 7, seed=100, per_image=3))
    assert (targets != choose_target_images(40, 7, seed=101, per_image=3)).any()


def test_more_different_targets_than_there_are():
    assert sorted(choose_target_images(1, 2, seed=1, per_image=2)[0].tolist()) == [0, 1]
    with pytest.raises(InputError, match=r"targets_per_image: found 3, but the target has only 2 images"):
        choose_target_images(5, 2, seed=1, per_image=3)


@pytest.mark.parametrize("seed", range(6))
def test_equals_scikit_image_in_floats_within_one_grey_level(seed):
    # The formulas of the published code, on smooth pictures with noise, different brightness and colour cast.
    rng = np.random.default_rng(seed)

    def picture(shape):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
        values = smooth * rng.uniform(0.4, 1.0, 3) + rng.normal(0, 6, (*shape, 3)) + rng.uniform(0, 40, 3)
        return np.clip(values, 0, 255).astype(np.uint8)

    source, target = picture((120, 200)), picture((90, 160))
    lab, target_lab = skimage.color.rgb2lab(source), skimage.color.rgb2lab(target)
    moved = (lab - lab.mean((0, 1))) / lab.std((0, 1)) * target_lab.std((0, 1)) + target_lab.mean((0, 1))
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        # Colours outside sRGB are clipped, and scikit-image warns about that.
        warnings.simplefilter("ignore")
        expected = np.rint(255 * skimage.color.lab2rgb(moved))
    difference = np.abs(translate(source, *lab_statistics(target)) - expected).max(axis=2)
    assert (difference <= 1).mean() >= 0.999
