"""House fronts as textures: upper storeys, the ground floor with shops and doors, and blank side walls.

The number of a facade decides its material and colours, so the three textures of a house match.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.randomness import generator
from streets.drawing import Random, Rgb, noise, pick, to_pixels, varied, weighted_pick, writing
from streets.looks import Look

# One texture shows this many bays and storeys.
BAYS, STOREYS = 2, 2
CELL = 128


def facade_style(look: Look, number: int) -> tuple[str, Rgb, str]:
    """Return (window style, wall colour, wall surface) of facade `number`."""
    rng = generator("facade", look.name, number)
    style = weighted_pick(rng, look.facades)
    palette = look.brick if rng.random() < look.brick_share else look.render
    surface = "brick" if palette is look.brick else pick(rng, ("render", "render", "stone"))
    if style in ("curtain", "ribbon"):
        surface = "render"
        palette = look.modern
    return style, varied(rng, pick(rng, palette), 0.07), surface


def wall_surface(rng: Random, colour: Rgb, height: int, width: int, surface: str) -> NDArray[np.float64]:
    """Return a float64 (H, W, 3) wall of "brick", of blocks ("stone") or of plain plaster ("render")."""
    amount = {"brick": 0.30, "stone": 0.28, "render": 0.14}[surface]
    field = amount * noise(rng, height, width, (1, 4, 64))
    if surface == "brick":
        courses = noise(rng, height // 4, width // 8, (1,))
        field = field + 0.35 * np.repeat(np.repeat(courses, 4, axis=0), 8, axis=1)[:height, :width]
        field[::4] -= 0.10
    elif surface == "stone":
        courses = noise(rng, height // 16, width // 32, (1,))
        field = field + 0.4 * np.repeat(np.repeat(courses, 16, axis=0), 32, axis=1)[:height, :width]
        field[::16] -= 0.16
        field[:, ::32] -= 0.12
    else:
        # Rain leaves streaks on plaster.
        field = field + 0.10 * cv2.resize(noise(rng, 2, width, (2,)), (width, height))
    return np.asarray(colour) * (1 + field[..., None])


def _glass(rng: Random, height: int, width: int, look: Look) -> NDArray[np.float64]:
    """Return a pane: a dark room, reflected sky towards the top, sometimes a curtain or a light."""
    tone = np.asarray(varied(rng, pick(rng, look.glass), 0.06))
    slope = np.linspace(rng.uniform(0.9, 1.7), 0.7, height)[:, None, None]
    pane = tone * slope * (1 + 0.35 * noise(rng, height, width, (max(2, height // 3),))[..., None])
    kind = rng.random()
    if kind < 0.25:
        pane[:, : width // 4] = pane[:, -width // 4 :] = varied(rng, (0.62, 0.6, 0.55), 0.15)
    elif kind < 0.45:
        pane[: int(height * rng.uniform(0.2, 0.7))] = varied(rng, (0.7, 0.68, 0.62), 0.12)
    elif kind < 0.5:
        pane[:] = pane * 0.4 + np.array([0.6, 0.5, 0.3]) * 0.6
    return pane


def _window(
    rng: Random,
    picture: NDArray[np.float64],
    place: tuple[int, int, int, int],
    frame: Rgb,
    bars: str,
    look: Look,
) -> None:
    """Draw one framed window with its sill and lintel; `place` is (x, y, width, height)."""
    x, y, w, h = place
    wall = picture[y + h // 2, max(x - 8, 0)].copy()
    sill = np.clip(wall * pick(rng, (0.75, 1.25)), 0, 1)
    picture[max(y - 9, 0) : y, max(x - 3, 0) : x + w + 3] = sill
    picture[y + h : y + h + 6, max(x - 4, 0) : x + w + 4] = np.clip(wall * 1.3 + 0.05, 0, 1)
    picture[y + h + 6 : y + h + 9, max(x - 4, 0) : x + w + 4] *= 0.6
    picture[y - 2 : y + h, x - 2 : x + w + 2] = np.asarray(frame) * 0.55
    picture[y : y + h, x : x + w] = frame
    edge = 4
    picture[y + edge : y + h - edge, x + edge : x + w - edge] = _glass(rng, h - 2 * edge, w - 2 * edge, look)
    # The reveal shades the top of the pane.
    picture[y + edge : y + edge + 4, x + edge : x + w - edge] *= 0.55
    if bars in ("sash", "cross"):
        picture[y + h // 2 - 2 : y + h // 2 + 2, x : x + w] = frame
    if bars in ("cross", "double"):
        picture[y : y + h, x + w // 2 - 2 : x + w // 2 + 2] = frame


def upper_storeys(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return two bays by two storeys, tileable in both directions: uint8 (256, 256, 3)."""
    style, colour, surface = facade_style(look, number)
    size = CELL * 2
    picture = wall_surface(rng, colour, size, size, surface)
    frame = varied(rng, pick(rng, look.frames), 0.06)
    if style == "curtain":
        line = np.asarray(varied(rng, pick(rng, look.frames), 0.1)) * 0.8
        for y in range(0, size, 64):
            for x in range(0, size, 64):
                picture[y : y + 64, x : x + 64] = _glass(rng, 64, 64, look)
        for offset in range(0, size, 64):
            picture[:, offset : offset + 4] = line
            picture[offset : offset + (22 if offset % 128 == 0 else 4)] = line * 0.9
        return to_pixels(picture)
    if style == "ribbon":
        for y in (30, 30 + CELL):
            picture[y - 3 : y + 69] = np.asarray(frame) * 0.7
            for x in range(0, size, 64):
                picture[y : y + 66, x + 3 : x + 61] = _glass(rng, 66, 58, look)
        picture[::CELL] *= 0.7
        return to_pixels(picture)
    bars = pick(rng, ("sash", "cross", "double", "none"))
    width = int(rng.integers(44, 76)) if style == "sash" else int(rng.integers(56, 100))
    height = int(rng.integers(74, 92)) if style == "sash" else int(rng.integers(56, 84))
    for row in range(STOREYS):
        for column in range(BAYS):
            x, y = column * CELL + (CELL - width) // 2, row * CELL + (CELL - height) // 2 + 4
            _window(rng, picture, (x, y, width, height), frame, bars, look)
    if rng.random() < 0.35:
        picture[0:5] = np.clip(np.asarray(colour) * 1.25, 0, 1)
        picture[CELL : CELL + 5] = picture[0:5]
    return to_pixels(picture)


def _shop(rng: Random, picture: NDArray[np.float64], x: int, width: int, look: Look) -> None:
    fascia = varied(rng, pick(rng, look.shops), 0.08)
    body = np.asarray(varied(rng, fascia, 0.06)) * rng.uniform(0.7, 1.0)
    picture[:, x : x + width] = body
    picture[6:34, x : x + width] = fascia
    picture[34:37, x : x + width] = np.asarray(fascia) * 0.4
    ink: Rgb = (0.95, 0.93, 0.85) if sum(fascia) < 1.5 else (0.12, 0.1, 0.12)
    writing(rng, picture, (x + 12, 11), width - 30, int(rng.integers(11, 18)), ink)
    door = int(rng.integers(0, 3))
    left = x + (36 if door == 0 else 5)
    right = x + width - (36 if door == 2 else 5)
    pane = _glass(rng, 68, right - left, look) * rng.uniform(0.7, 1.3)
    for _ in range(int(rng.integers(2, 7))):
        # Things in the shop window.
        px, py = int(rng.integers(0, max(1, right - left - 16))), int(rng.integers(10, 50))
        pane[py : py + int(rng.integers(8, 26)), px : px + int(rng.integers(6, 20))] = varied(
            rng, (0.5, 0.45, 0.42), 0.4
        )
    picture[40:108, left:right] = pane
    for bar in range(left, right, int(rng.integers(24, 50))):
        picture[40:108, bar : bar + 3] = body
    if door != 1:
        start = x + 6 if door == 0 else x + width - 31
        picture[40:126, start : start + 25] = _glass(rng, 86, 25, look) * 0.6
        picture[40:126, start : start + 3] = picture[40:126, start + 22 : start + 25] = body
    picture[124:, x : x + width] *= 0.6


def _house(rng: Random, picture: NDArray[np.float64], x: int, width: int, frame: Rgb, look: Look) -> None:
    paint = varied(rng, pick(rng, look.shops), 0.1)
    start = x + (10 if rng.random() < 0.5 else width - 46)
    picture[24:126, start - 4 : start + 40] = np.asarray(frame) * 0.85
    picture[44:126, start : start + 36] = np.asarray(paint) * 0.8
    picture[28:42, start : start + 36] = _glass(rng, 14, 36, look)
    for y in (50, 88):
        cv2.rectangle(picture, (start + 5, y), (start + 30, y + 30), tuple(c * 0.6 for c in paint), 1)
    other = x + (56 if start < x + width // 2 else 10)
    _window(rng, picture, (other, 34, 60, 62), frame, pick(rng, ("sash", "double", "cross")), look)


def street_level(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return two bays of the ground floor, with the ground at the bottom: uint8 (128, 256, 3).

    Even numbers are shops and offices, odd ones are houses.
    """
    style, colour, surface = facade_style(look, number // 2)
    picture = wall_surface(rng, colour, CELL, CELL * 2, surface)
    frame = varied(rng, pick(rng, look.frames), 0.06)
    if number % 2:
        for bay in range(BAYS):
            _house(rng, picture, bay * CELL, CELL, frame, look)
    elif style in ("curtain", "ribbon"):
        picture[14:118, 8:248] = _glass(rng, 104, 240, look) * 0.7
        for x in range(8, 250, 60):
            picture[8:, x : x + 10] = np.asarray(colour) * 0.9
    elif rng.random() < 0.5:
        _shop(rng, picture, 2, 252, look)
    else:
        for bay in range(BAYS):
            _shop(rng, picture, bay * CELL + 2, CELL - 4, look)
    picture[-3:] *= 0.6
    return to_pixels(picture)


def side_wall(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return the blank wall that matches facade `number`: uint8 (128, 128, 3)."""
    _, colour, surface = facade_style(look, number)
    return to_pixels(wall_surface(rng, colour, 128, 128, surface))
