import numpy as np
import pytest

from cotrain.errors import InputError
from streets.assembly import CUT_OUT, MARKING, SHADOW
from streets.drawing import noise
from streets.looks import CAMERA, GAME, LOOKS, look_named
from streets.shadows import COLUMNS, ROWS, X_RANGE, Y_RANGE, ShadowMap
from streets.street import make_scene
from streets.textures import MAKERS, Library


def test_scene_is_a_pure_function_of_look_seed_and_index():
    make_scene(GAME, 1, 3)
    first, again, other = make_scene(GAME, 1, 2), make_scene(GAME, 1, 2), make_scene(GAME, 2, 2)
    assert first.view == again.view
    assert [batch.texture for batch in first.batches] == [batch.texture for batch in again.batches]
    for one, two in zip(first.batches, again.batches, strict=True):
        assert np.array_equal(one.positions, two.positions)
        assert np.array_equal(one.colours, two.colours)
    assert first.view != other.view


@pytest.mark.parametrize("look", [GAME, CAMERA], ids=lambda look: look.name)
def test_scenes_are_drawn_from_the_ground_up_with_known_classes(look):
    for index in range(6):
        scene = make_scene(look, 7, index)
        layers = [batch.layer for batch in scene.batches]
        assert layers == sorted(layers)
        for batch in scene.batches:
            assert batch.triangles.max() < len(batch.positions)
            assert np.isfinite(batch.positions).all()
            if batch.layer not in (MARKING, SHADOW):
                assert set(np.unique(batch.train_ids)) <= set(range(19)) - {10, 16}
        height = scene.view.position[2]
        assert look.camera_height[0] <= height <= look.camera_height[1]
        assert any(batch.layer == CUT_OUT for batch in scene.batches)


@pytest.mark.parametrize("look", list(LOOKS.values()), ids=list(LOOKS))
@pytest.mark.parametrize("kind", list(MAKERS))
def test_textures_are_repeatable_pixels_with_sides_of_powers_of_two(look, kind):
    pixels = Library(look, 5).pixels((kind, 1))
    assert pixels.dtype == np.uint8
    assert all(side & (side - 1) == 0 for side in pixels.shape[:2])
    if pixels.shape[2] == 4:
        assert set(np.unique(pixels[..., 3])) == {0, 255}
    # Another library that has made other textures before.
    other = Library(look, 5)
    other.pixels((kind, 0))
    assert np.array_equal(other.pixels((kind, 1)), pixels)


def test_noise_has_no_seam():
    field = noise(np.random.default_rng(0), 64, 64, (8, 16))
    inside = np.abs(np.diff(field, axis=1)).max()
    assert np.abs(field[:, 0] - field[:, -1]).max() <= 1.5 * inside


def row(y: float) -> int:
    return round((Y_RANGE[1] - y) / (Y_RANGE[1] - Y_RANGE[0]) * ROWS)


def column(x: float) -> int:
    return round((x - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) * COLUMNS)


def test_shadow_of_a_block_falls_away_from_the_sun():
    # The sun is 45 degrees high on the left, so a block of 6 m casts a shadow of 6 m to its right.
    shadow = ShadowMap((-(0.5**0.5), 0.0, 0.5**0.5), 0.8)
    shadow.block([(-1, 9), (1, 9), (1, 11), (-1, 11)], 6.0)
    darkness = shadow.darkness()
    assert darkness[row(10), column(0)] == pytest.approx(0.8 * 255, abs=3)
    assert darkness[row(10), column(6)] == pytest.approx(0.8 * 255, abs=3)
    assert darkness[row(10), column(9)] == 0
    assert darkness[row(10), column(-4)] == 0
    assert darkness[row(14), column(3)] == 0


def test_ground_beneath_a_car_is_dark_without_sun():
    shadow = ShadowMap((0.0, 0.0, 1.0), 0.0)
    shadow.block([(5, 5), (7, 5), (7, 7)], 3.0)
    shadow.beneath(0.0, 10.0, 2.0, 4.0)
    darkness = shadow.darkness()
    assert darkness[row(10), column(0)] > 100
    assert darkness[row(6), column(6)] == 0


def test_message_about_an_unknown_look_lists_the_known_ones():
    with pytest.raises(InputError, match=r"'photo'.*game, camera"):
        look_named("photo")
