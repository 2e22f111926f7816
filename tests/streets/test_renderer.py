"""A process can open the renderer only once, so this module has one renderer for all tests."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streets.assembly import FILLING, GROUND, MARKING, Assembly, Light
from streets.furniture import FENCE, WALL, Part, fence, railings
from streets.looks import GAME
from streets.meshes import box, ground, placed, quad, repeated
from streets.renderer import SKY, Drawing, Renderer, View
from streets.textures import Library

WIDTH, HEIGHT = 160, 120
SHADOW = np.zeros((512, 256), np.uint8)
DAYLIGHT = Light((0, 0, 1), np.zeros(3, np.float32), np.ones(3, np.float32), np.ones(3, np.float32))
# The camera is level, at a height of 1 m, with a field of view of 90 degrees: the horizon is the middle row.
VIEW = View((0.0, 0.0, 1.0), 0.0, 0.0, 0.0, 90.0)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(WIDTH, HEIGHT, Library(GAME, 1))


def drawn(renderer: Renderer, scene: Assembly, haze: float = 1e6) -> Drawing:
    return renderer.draw(scene.batches(DAYLIGHT), VIEW, SHADOW, haze)


def test_ground_below_the_horizon_and_sky_above(renderer):
    scene = Assembly()
    scene.add(ground((-500, 500), np.linspace(0.3, 399, 40), 0.0, colour=(0.5, 0.25, 1.0)), 0, layer=GROUND)
    picture, _, passed, label = drawn(renderer, scene)
    assert (label[: HEIGHT // 2 - 2] == SKY).all()
    assert (label[HEIGHT // 2 + 2 : HEIGHT - 1] == 0).all()
    assert np.abs(picture[HEIGHT - 5, 80].astype(int) - (127, 63, 255)).max() <= 2
    assert (picture[0] == 0).all()
    assert (passed >= 253).all()


def test_box_covers_the_pixels_given_by_perspective(renderer):
    scene = Assembly()
    # The near side lies 10 m ahead, from x = -2 to 2 and z = 0 to 3. With a focal length of 80 px, that is 16
    # px to the left and right of the middle, 16 px above and 8 px below it.
    scene.add(box((4, 1, 3), (0, 10.5, 1.5)), 13)
    label = drawn(renderer, scene).label
    expected = np.full((HEIGHT, WIDTH), SKY)
    expected[60 - 16 : 60 + 8, 80 - 16 : 80 + 16] = 13
    assert (label != expected).sum() <= 2 * (32 + 24)
    assert label[60 - 15, 80 - 15] == label[60 + 6, 80 + 14] == 13
    assert label[60 - 18, 80] == label[60, 80 - 18] == SKY


def test_near_things_hide_far_ones_and_headings_turn_left(renderer):
    scene = Assembly()
    scene.add(box((1, 1, 1), (0, 8, 1)), 11)
    scene.add(box((1, 1, 1), (0, 4, 1)), 12)
    scene.add(placed(box((1, 1, 1), (0, 6, 0)), (0, 0, 1), heading=30), 18)
    label = drawn(renderer, scene).label
    assert 11 not in label
    assert label[60, 80] == 12
    columns = np.nonzero(label == 18)[1]
    assert columns.size
    assert columns.max() < 80


@pytest.mark.parametrize("texture", [("leaves", 0), ("branches", 0), ("spokes", 0)])
def test_a_cut_out_has_holes_in_the_picture_and_none_in_the_label(renderer, texture):
    scene = Assembly()
    white = renderer.library.pixels(texture).copy()
    white[..., :3] = 255
    renderer.library.textures[texture] = white
    scene.add(quad([(-2, 5, -1), (2, 5, -1), (2, 5, 3), (-2, 5, 3)]), 8, texture)
    picture, shows_sky, _, label = drawn(renderer, scene)
    is_drawn = picture.sum(axis=2) > 0
    assert np.array_equal(is_drawn, ~shows_sky)
    assert (label[is_drawn] == 8).all()
    # The label is one piece without holes.
    outlines, _ = cv2.findContours((label == 8).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert len(outlines) == 1
    assert 200 < is_drawn.sum() < 0.9 * (label == 8).sum()


def test_a_fence_is_labelled_as_a_whole_and_hides_what_is_behind_it(renderer):
    scene = Assembly()
    # Pickets of 2 cm with 20 cm between them, 5 m ahead and 1.2 m high; a wall behind them.
    scene.add(repeated(box((0.02, 0.02, 1.2), (0, 5, 0.6)), [(x, 0, 0) for x in np.arange(-1, 1.1, 0.2)]), 4)
    scene.add(box((8, 0.2, 3), (0, 9, 1.5)), 3)
    bare = drawn(renderer, scene)
    assert {3, 4} == set(bare.label[60:64, 70:90].ravel())
    scene.add(box((2.02, 0.02, 1.2), (0, 5, 0.6)), 4, FILLING)
    filled = drawn(renderer, scene)
    assert np.array_equal(filled.picture, bare.picture)
    assert np.array_equal(filled.passed, bare.passed)
    assert (filled.label[60:75, 66:94] == 4).all()
    # Beside and above the fence, nothing changes.
    assert np.array_equal(filled.label[:55], bare.label[:55])
    assert np.array_equal(filled.label[:, :60], bare.label[:, :60])


def label_from_the_front(renderer: Renderer, parts: list[Part]) -> NDArray[np.uint8]:
    """Return the label of 10 m of a boundary that stands across the view, 6 m ahead."""
    scene = Assembly()
    for mesh, train_id, texture in parts:
        scene.add(mesh, train_id, texture, (-5.0, 6.0, 0.0), -90.0)
    return drawn(renderer, scene).label


@pytest.mark.parametrize("seed", range(12))
def test_the_fences_of_a_street_have_no_holes(renderer, seed):
    label = label_from_the_front(renderer, fence(np.random.default_rng(seed), GAME, 10.0))
    # Seen from the front, a fence is a rectangle.
    rows, columns = np.nonzero(label == 4)
    assert columns.max() - columns.min() > 100
    inside = label[rows.min() + 1 : rows.max(), columns.min() + 2 : columns.max() - 1]
    assert (inside == 4).all()


@pytest.mark.parametrize("seed", range(4))
def test_railings_are_a_fence_without_holes_on_a_wall(renderer, seed):
    label = label_from_the_front(renderer, railings(np.random.default_rng(seed), GAME, 10.0))
    assert {WALL, FENCE} == set(label[label != SKY])
    # Seen from the front, each column is sky, then fence, then wall, in the same rows.
    inside = label[:, 40:120]
    assert (inside == inside[:, :1]).mean() > 0.98
    assert (np.diff(np.argmax(inside == FENCE, axis=0)) == 0).all()
    column = inside[:, 40]
    pieces = column[np.flatnonzero(np.diff(column, prepend=-1))]
    assert list(pieces[:3]) == [SKY, FENCE, WALL]


def test_markings_change_only_the_picture(renderer):
    scene = Assembly()
    scene.add(ground((-50, 50), np.linspace(0.3, 100, 20), 0.0, colour=(0.2, 0.2, 0.2)), 0, layer=GROUND)
    plain = drawn(renderer, scene)
    scene.add(ground((-1, 1), [2, 6], 0.0), 7, layer=MARKING)
    marked = drawn(renderer, scene)
    assert np.array_equal(marked.label, plain.label)
    assert marked.picture.max() > 240 > plain.picture.max()


def test_haze_lets_less_light_through_from_farther_away(renderer):
    scene = Assembly()
    scene.add(box((4, 1, 3), (-3, 10.5, 1.5)), 13)
    scene.add(box((40, 1, 20), (25, 100.5, 1.5)), 2)
    _, shows_sky, passed, label = drawn(renderer, scene, haze=50.0)
    near, far = passed[label == 13].mean() / 255, passed[label == 2].mean() / 255
    assert near == pytest.approx(np.exp(-10.6 / 50), abs=0.02)
    assert far == pytest.approx(np.exp(-103 / 50), abs=0.02)
    assert (passed[shows_sky] == 255).all()
