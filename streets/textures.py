"""Procedural textures: asphalt, paving, grass, roofs, foliage, road markings, sign faces.

Facades are in their own module. Every texture is a pure function of (seed, look, kind, number), so all
processes that render a data set use the same textures.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotrain.randomness import generator
from streets import facades
from streets.assembly import Texture
from streets.drawing import Random, Rgb, letters, noise, pick, shaded, to_pixels, varied, writing
from streets.looks import Look

SIGN_FACES = 24


class Library:
    """Makes textures when they are needed and keeps them."""

    def __init__(self, look: Look, seed: int) -> None:
        self.look, self.seed = look, seed
        self.textures: dict[Texture, NDArray[np.uint8]] = {}

    def pixels(self, texture: Texture) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3 or 4); the fourth channel is alpha, 0 or 255."""
        if texture not in self.textures:
            kind, number = texture
            rng = generator("texture", self.seed, self.look.name, kind, number)
            self.textures[texture] = MAKERS[kind](rng, self.look, number)
        return self.textures[texture]


def _asphalt(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    size = 256
    grain = look.texture_contrast * (
        0.10 * noise(rng, size, size, (1, 2)) + 0.16 * noise(rng, size, size, (32, 96))
    )
    picture = shaded((1.0, 1.0, 1.0), grain, size, size)
    if rng.random() < 0.6:
        # Tyre tracks and repaired trenches run along the street.
        for _ in range(int(rng.integers(1, 4))):
            x, width = int(rng.integers(0, size)), int(rng.integers(10, 60))
            picture[:, x : x + width] *= rng.uniform(0.86, 1.08)
    for _ in range(int(rng.integers(0, 4))):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 20, 20), (200, 200, 90, 130)))
        picture[y : y + h, x : x + w] *= rng.uniform(0.78, 1.1)
    for _ in range(int(rng.integers(0, 4))):
        points = np.cumsum(rng.normal(0, 14, (8, 2)), axis=0) + rng.uniform(0, size, 2)
        cv2.polylines(picture, [points.astype(np.int32)], False, (0.55, 0.55, 0.55), 1, cv2.LINE_AA)
    return to_pixels(picture * 0.9)


def _paving(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    size = 128
    picture = shaded(
        (0.93, 0.93, 0.93), look.texture_contrast * 0.22 * noise(rng, size, size, (1, 8, 32)), size, size
    )
    style = int(rng.integers(3))
    across, along = [(32, 21), (64, 32), (0, 0)][style]
    if across:
        for row, y in enumerate(range(0, size, along)):
            shift = (row % 2) * across // 2
            for x in range(0, size, across):
                left = (x + shift) % size
                picture[y : y + along, left : left + across] *= rng.uniform(0.9, 1.06)
                picture[y : y + along, left : left + 1] *= 0.72
            picture[y : y + 1] *= 0.72
    return to_pixels(picture)


def _grass(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    base = varied(rng, pick(rng, look.grass), 0.10)
    grain = 0.55 * noise(rng, 128, 128, (1, 3)) + 0.5 * noise(rng, 128, 128, (24, 48))
    picture = shaded(base, grain, 128, 128)
    bare = np.clip(noise(rng, 128, 128, (16, 40)) * 3 - 0.45, 0, 0.8)[..., None]
    return to_pixels(picture * (1 - bare) + np.array([0.42, 0.36, 0.27]) * bare)


def _roof(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    base = varied(rng, pick(rng, look.roofs), 0.06)
    picture = shaded(base, 0.25 * noise(rng, 128, 128, (1, 4, 32)), 128, 128)
    picture[::8] *= 0.78
    for row in range(0, 128, 8):
        picture[row : row + 8, (row // 8 % 2) * 6 :: 12] *= 0.86
    return to_pixels(picture)


def _stone(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return a free-standing wall of bricks, blocks or plaster."""
    base = varied(rng, pick(rng, look.walls), 0.06)
    return to_pixels(facades.wall_surface(rng, base, 128, 128, pick(rng, ("brick", "stone", "render"))))


def _boards(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return a fence of closed boards or metal sheets."""
    base = varied(rng, pick(rng, look.fences), 0.08)
    picture = shaded(base, 0.3 * noise(rng, 64, 128, (2, 16)), 64, 128)
    width = int(pick(rng, (8, 16)))
    for x in range(0, 128, width):
        picture[:, x : x + width] *= rng.uniform(0.85, 1.1)
        picture[:, x : x + 2] *= 0.55
    picture[6:9] *= 0.7
    picture[-10:-7] *= 0.7
    return to_pixels(picture)


def _leaves(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return a clump of leaves with holes; even numbers are broad-leaved, odd ones are conifers or hedges."""
    size = 128
    base = varied(rng, pick(rng, look.foliage), 0.10)
    light = noise(rng, size, size, (4, 8)) * 1.3 + noise(rng, size, size, (2,)) * 0.7
    picture = shaded(base, light, size, size)
    picture[..., 0] *= 1 + 0.3 * noise(rng, size, size, (16,))
    threshold = -0.22 if number % 2 else rng.uniform(-0.16, -0.04)
    holes = noise(rng, size, size, (4, 10)) + 0.35 * noise(rng, size, size, (2,))
    alpha = np.where(holes > threshold, 255, 0)
    return np.dstack([to_pixels(picture), alpha.astype(np.uint8)])


def _branches(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return the crown of a leafless tree, drawn twig by twig; the trunk starts at the bottom centre."""
    size = 256
    alpha = np.zeros((size, size), np.uint8)
    front = [(size / 2, size - 1.0, -np.pi / 2 + rng.normal() * 0.05, size * 0.26, 6.0)]
    for _ in range(8):
        following = []
        for x, y, angle, length, width in front:
            end_x, end_y = x + np.cos(angle) * length, y + np.sin(angle) * length
            cv2.line(alpha, (int(x), int(y)), (int(end_x), int(end_y)), 255, max(1, round(width)))
            for spread in rng.normal((-0.42, 0.42, 0.0), 0.2)[: 3 if len(front) < 90 else 2]:
                following.append(
                    (end_x, end_y, angle + spread, length * rng.uniform(0.66, 0.86), width * 0.68)
                )
        front = following[:420]
    tone = varied(rng, pick(rng, look.bark), 0.1)
    picture = shaded(tone, 0.5 * noise(rng, size, size, (2, 16)), size, size)
    return np.dstack([to_pixels(picture), alpha])


def _spokes(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return a bicycle wheel as a square card."""
    size = 128
    alpha, middle = np.zeros((size, size), np.uint8), (size // 2, size // 2)
    picture = np.full((size, size, 3), 0.62)
    for angle in np.arange(18) * (2 * np.pi / 18):
        end = (int(64 + 58 * np.cos(angle)), int(64 + 58 * np.sin(angle)))
        cv2.line(alpha, middle, end, 255, 3)
    cv2.circle(alpha, middle, 57, 255, 9)
    cv2.circle(picture, middle, 58, (0.07, 0.07, 0.07), 10)
    cv2.circle(alpha, middle, 7, 255, -1)
    return np.dstack([to_pixels(picture), alpha])


def filled(kind: str, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the `alpha` (H, W) of a cut-out without its holes; a crown has none between its twigs."""
    if kind == "leaves":
        # The texture is repeated over the clump, whose mesh gives the outline.
        return np.full_like(alpha, 255)
    # As wide as an eighth of the card; twice `edge` and one, so that the middle stays where it is.
    edge = alpha.shape[0] // 16
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * edge + 1, 2 * edge + 1))
    framed = cv2.copyMakeBorder(alpha, edge, edge, edge, edge, cv2.BORDER_CONSTANT)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel)[edge:-edge, edge:-edge]
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(closed.copy(), outlines, -1, 255, cv2.FILLED), np.uint8)


RED, BLUE, YELLOW, GREEN = (0.75, 0.08, 0.1), (0.07, 0.22, 0.6), (0.95, 0.78, 0.1), (0.02, 0.36, 0.2)
BLACK, WHITE = (0.05, 0.05, 0.06), (0.95, 0.95, 0.95)


def sign_shape(number: int) -> str:
    """Return the outline of sign face `number`: disc, triangle, inverted, octagon, square, wide or tall."""
    return (
        "disc",
        "triangle",
        "disc",
        "square",
        "wide",
        "disc",
        "inverted",
        "octagon",
        "tall",
        "disc",
        "wide",
        "disc",
    )[number % 12]


def _sign(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return the face of a traffic sign, which fills the square; the mesh cuts its outline."""
    size, shape = 64, sign_shape(number)
    face = np.zeros((size, size, 3))
    variant = number % 12
    if shape == "disc" and variant in (0, 9, 11):
        face[:] = RED
        cv2.circle(face, (32, 32), 24, WHITE, -1)
        letters(face, pick(rng, ("20", "30", "40", "50")), (17, 40), 0.75, BLACK, 3)
    elif shape == "disc" and variant == 2:
        face[:] = RED
        cv2.rectangle(face, (12, 26), (52, 37), WHITE, -1)
    elif shape == "disc":
        face[:] = BLUE
        cv2.arrowedLine(face, (32, 52), (int(pick(rng, (14, 32, 50))), 16), WHITE, 6, tipLength=0.35)
    elif shape in ("triangle", "inverted"):
        face[:] = RED
        corners = [(13, 55), (51, 55), (32, 17)] if shape == "triangle" else [(13, 9), (51, 9), (32, 47)]
        cv2.fillConvexPoly(face, np.array(corners), WHITE)
        if shape == "triangle":
            cv2.line(face, (32, 32), (32, 50), BLACK, 5)
    elif shape == "octagon":
        face[:] = RED
        letters(face, "STOP", (7, 39), 0.62, WHITE, 2)
    else:
        colour = varied(rng, pick(rng, (BLUE, GREEN, WHITE, YELLOW, (0.4, 0.25, 0.12))), 0.05)
        ink = BLACK if sum(colour) > 1.7 else WHITE
        face[:] = colour
        cv2.rectangle(face, (2, 2), (61, 61), ink, 2)
        if shape == "square":
            letters(face, "P", (16, 50), 1.6, ink, 5)
        else:
            for row in range(10, 52, 14):
                writing(rng, face, (8, row), 48, 9, ink)
    return to_pixels(face)


def _lettering(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    """Return an advertisement or a company's name for the side of a bus or lorry, on a light ground."""
    face = np.full((64, 256, 3), 0.97)
    band = np.array(varied(rng, (0.5, 0.45, 0.45), 0.4))
    style = int(rng.integers(4))
    if style == 1:
        face[40:] = band
    elif style == 2:
        face[:, : int(rng.integers(40, 120))] = band
    ink: Rgb = varied(rng, (0.25, 0.25, 0.3), 0.25)
    if style:
        writing(rng, face, (130, 14), 110, 22, ink)
    if rng.random() < 0.5:
        cv2.circle(
            face, (90, 30), int(rng.integers(10, 22)), varied(rng, (0.6, 0.4, 0.3), 0.3), -1, cv2.LINE_AA
        )
    return to_pixels(face)


def _banner(rng: Random, look: Look, number: int) -> NDArray[np.uint8]:
    face = np.empty((64, 64, 3))
    face[:] = varied(rng, (0.5, 0.5, 0.5), 0.45)
    ink = (1.0, 1.0, 1.0) if face[0, 0].sum() < 1.6 else (0.1, 0.1, 0.1)
    for row in (8, 26, 44):
        writing(rng, face, (6, row), 52, 12, ink)
    return to_pixels(face)


MAKERS: dict[str, Callable[[Random, Look, int], NDArray[np.uint8]]] = {
    "asphalt": _asphalt,
    "paving": _paving,
    "grass": _grass,
    "roof": _roof,
    "stone": _stone,
    "boards": _boards,
    "leaves": _leaves,
    "branches": _branches,
    "spokes": _spokes,
    "sign": _sign,
    "lettering": _lettering,
    "banner": _banner,
    "upper": facades.upper_storeys,
    "street_level": facades.street_level,
    "plain_wall": facades.side_wall,
}


def sign_outline(shape: str) -> ArrayLike:
    """Return the corners (N, 2) of a sign's outline in the unit square; x points right, y up."""
    if shape == "triangle":
        return [(0.0, 0.08), (1.0, 0.08), (0.5, 0.95)]
    if shape == "inverted":
        return [(0.0, 0.92), (0.5, 0.05), (1.0, 0.92)]
    if shape in ("disc", "octagon"):
        corners = 16 if shape == "disc" else 8
        angles = np.arange(corners) * (2 * np.pi / corners) + np.pi / corners
        return np.column_stack([0.5 + 0.5 * np.cos(angles), 0.5 + 0.5 * np.sin(angles)])
    return [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
