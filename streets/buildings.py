"""Houses: textured walls with roofs, chimneys, cornices, bay windows, awnings and dormers."""

from dataclasses import dataclass

import numpy as np

from streets.assembly import PLAIN, Texture
from streets.drawing import Random, pick, varied, weighted_pick
from streets.facades import BAYS, STOREYS, facade_style
from streets.looks import Look
from streets.meshes import Colour, Mesh, box, joined, quad, recoloured, tube

BUILDING = 2
FACADES = 40

Part = tuple[Mesh, int, Texture]


@dataclass(frozen=True)
class RowStyle:
    """The common features of the houses in one row."""

    facade: int
    storeys: int
    storey: float
    bay: float
    roof: str
    shops: bool
    bay_windows: bool
    terrace: bool


STOREY_COUNTS = {"low": (2, 4), "middle": (3, 5), "high": (5, 10)}


def row_style(rng: Random, look: Look, residential: bool) -> RowStyle:
    """Draw the style of one row of houses."""
    size = "low" if residential else weighted_pick(rng, look.storeys)
    low, high = STOREY_COUNTS[size]
    facade = int(rng.integers(FACADES))
    roof = weighted_pick(rng, look.roof_kinds) if size != "high" else "flat"
    if facade_style(look, facade)[0] in ("curtain", "ribbon"):
        roof = "flat"
    return RowStyle(
        facade,
        int(rng.integers(low, high)),
        float(rng.uniform(2.7, 3.3)),
        float(rng.uniform(2.6, 4.2)),
        roof,
        not residential and rng.random() < look.shop_share,
        rng.random() < 0.3,
        rng.random() < 0.5,
    )


def building(
    rng: Random, look: Look, style: RowStyle, width: float, depth: float
) -> tuple[list[Part], float]:
    """Return a house and its height. Its front lies at x = 0, faces -x and extends from y = 0 to `width`."""
    facade = style.facade if style.terrace else int(rng.integers(FACADES))
    storeys = style.storeys if style.terrace else max(2, style.storeys + int(rng.integers(-1, 2)))
    ground_height = float(rng.uniform(3.1, 3.9)) if style.shops else style.storey
    top = ground_height + (storeys - 1) * style.storey
    bays = max(1, round(width / style.bay))
    tint = float(rng.uniform(0.86, 1.1))
    tone: Colour = (tint, tint * float(rng.uniform(0.97, 1.03)), tint * float(rng.uniform(0.94, 1.04)))
    shop = style.shops or (not style.terrace and rng.random() < look.shop_share * 0.4)
    street = ("street_level", 2 * facade + (0 if shop else 1))
    upper, plain = ("upper", facade), ("plain_wall", facade)
    parts: list[Part] = []

    def add_front(low: float, high: float, texture: Texture, up: float) -> None:
        corners = [(0, width, low), (0, 0, low), (0, 0, high), (0, width, high)]
        parts.append((quad(corners, tone, (bays / BAYS, up)), BUILDING, texture))

    add_front(0, ground_height, street, 1.0)
    add_front(ground_height, top, upper, (storeys - 1) / STOREYS)
    windows = rng.random() < 0.35
    for y in (0.0, width):
        corners = [(0, y, 0), (depth, y, 0), (depth, y, top), (0, y, top)]
        if y > 0:
            corners = [corners[i] for i in (1, 0, 3, 2)]
        scale = (
            (max(1, round(depth / style.bay)) / BAYS, storeys / STOREYS) if windows else (depth / 4, top / 4)
        )
        parts.append((quad(corners, tone, scale), BUILDING, upper if windows else plain))
    back = [(depth, 0, 0), (depth, width, 0), (depth, width, top), (depth, 0, top)]
    parts.append((quad(back, tone, (bays / BAYS, storeys / STOREYS)), BUILDING, upper))
    height = top + _roof(rng, parts, style.roof, (width, depth, top), plain, tone)
    _trimmings(rng, look, parts, style, (width, ground_height, top), shop, facade, tone)
    return parts, height


def _roof(
    rng: Random,
    parts: list[Part],
    kind: str,
    size: tuple[float, float, float],
    plain: Texture,
    tone: Colour,
) -> float:
    """Add the roof and return how far it rises above the walls."""
    width, depth, top = size
    roof = ("roof", int(rng.integers(10)))
    if kind == "flat":
        rim = float(rng.uniform(0.3, 1.0))
        parts.append(
            (box((depth, width, 0.05), (depth / 2, width / 2, top), (0.35, 0.35, 0.36)), BUILDING, PLAIN)
        )
        for y, length, across in ((0.12, 0.24, depth), (width - 0.12, 0.24, depth)):
            parts.append((box((across, length, rim), (depth / 2, y, top + rim / 2), tone), BUILDING, plain))
        parts.append(
            (
                box((0.3, width, rim), (0.10, width / 2, top + rim / 2), tone, (width / 4, rim / 4)),
                BUILDING,
                plain,
            )
        )
        if rng.random() < 0.4:
            hut = box((3, 3, 2.2), (depth * 0.6, width / 2, top + 1.1), (0.55, 0.55, 0.56))
            parts.append((hut, BUILDING, PLAIN))
        return rim
    span = depth if kind == "along" else width
    rise = (
        span / 2 * float(rng.uniform(0.55, 1.0))
        if kind == "front"
        else span / 2 * float(rng.uniform(0.5, 0.85))
    )
    over, peak = 0.3, top + rise
    if kind == "along":
        drop = rise * over / (depth / 2)
        slopes = [
            [
                (-over, width, top - drop),
                (-over, 0, top - drop),
                (depth / 2, 0, peak),
                (depth / 2, width, peak),
            ],
            [
                (depth + over, 0, top - drop),
                (depth + over, width, top - drop),
                (depth / 2, width, peak),
                (depth / 2, 0, peak),
            ],
        ]
        gables: list[list[tuple[float, float, float]]] = [
            [(0, 0, top), (depth, 0, top), (depth / 2, 0, peak)],
            [(depth, width, top), (0, width, top), (depth / 2, width, peak)],
        ]
        scale = (width / 4, depth / 8)
    else:
        drop = rise * over / (width / 2)
        slopes = [
            [
                (-over, -over, top - drop),
                (depth, -over, top - drop),
                (depth, width / 2, peak),
                (-over, width / 2, peak),
            ],
            [
                (depth, width + over, top - drop),
                (-over, width + over, top - drop),
                (-over, width / 2, peak),
                (depth, width / 2, peak),
            ],
        ]
        gables = [[(0, width, top), (0, 0, top), (0, width / 2, peak)]]
        scale = (depth / 4, width / 8)
    parts += [(quad(corners, texture_scale=scale), BUILDING, roof) for corners in slopes]
    for left, right, tip in gables:
        parts.append((quad([left, right, tip, tip], tone, (2, 1)), BUILDING, plain))
    if rng.random() < 0.75:
        for y in (0.3, width - 0.3) if rng.random() < 0.5 else (width - 0.3,):
            x = depth / 2 if kind == "along" else depth * 0.3
            z = peak if kind == "along" else top + rise * 0.4
            stack = box((0.6, 1.1, 1.9), (x, y, z + 0.35), (0.85, 0.8, 0.78), (0.3, 0.5))
            pots = [
                tube((x, y + o, z + 1.3), (x, y + o, z + 1.75), 0.12, 0.1, 6, (0.55, 0.34, 0.25))
                for o in (-0.3, 0.3)
            ]
            parts += [(stack, BUILDING, plain), (joined(pots), BUILDING, PLAIN)]
    if kind == "along" and rng.random() < 0.25:
        for y in np.arange(1.8, width - 1.4, 3.6):
            x, z = depth * 0.16, top + rise * 0.32
            parts.append((box((2.0, 1.4, 1.5), (x + 0.9, y, z + 0.45), (0.72, 0.72, 0.72)), BUILDING, roof))
            parts.append((box((0.06, 1.0, 0.95), (x - 0.12, y, z + 0.5), (0.15, 0.17, 0.2)), BUILDING, PLAIN))
    return rise


def _trimmings(
    rng: Random,
    look: Look,
    parts: list[Part],
    style: RowStyle,
    size: tuple[float, float, float],
    shop: bool,
    facade: int,
    tone: Colour,
) -> None:
    width, ground_height, top = size
    pale = varied(rng, pick(rng, look.frames), 0.1)
    plain: list[Mesh] = []
    if rng.random() < 0.6:
        plain.append(box((0.30, width, 0.18), (-0.10, width / 2, top - 0.05), pale))
    if shop or rng.random() < 0.3:
        plain.append(box((0.24, width, 0.14), (-0.10, width / 2, ground_height), pale))
    for y in (0.12, width - 0.12):
        if rng.random() < 0.35:
            plain.append(box((0.1, 0.1, top), (-0.06, y, top / 2), (0.2, 0.2, 0.21)))
    if shop and rng.random() < 0.35:
        colour = varied(rng, pick(rng, look.shops), 0.1)
        low, high, out = 2.35, 2.95, float(rng.uniform(0.8, 1.5))
        start, end = width * 0.06, width * 0.94
        cloth = [(-out, end, low), (-out, start, low), (-0.02, start, high), (-0.02, end, high)]
        flap = [(-out, end, low - 0.22), (-out, start, low - 0.22), (-out, start, low), (-out, end, low)]
        plain += [quad(cloth, colour), quad(cloth[::-1], tuple(c * 0.5 for c in colour)), quad(flap, colour)]
    if shop and rng.random() < 0.5:
        y, z = float(rng.uniform(0.15, 0.85)) * width, ground_height + 0.6
        board = box((0.7, 0.08, float(rng.uniform(0.5, 1.1))), (-0.5, y, z))
        parts.append((board, BUILDING, ("banner", int(rng.integers(16)))))
    if style.bay_windows and not shop:
        for y in np.arange(style.bay / 2, width - 1.0, style.bay * 2):
            high = top - 0.3 if rng.random() < 0.5 else ground_height
            body = box(
                (0.7, style.bay * 0.72, high),
                (-0.35, y + 0.2, high / 2),
                tone,
                (0.5, max(1, round(high / style.storey)) / STOREYS),
            )
            parts.append((body, BUILDING, ("upper", facade)))
            plain.append(box((0.8, style.bay * 0.78, 0.25), (-0.36, y + 0.2, high), pale))
    if plain:
        parts.append(
            (joined([recoloured(mesh, np.clip(mesh.colours, 0, 1)) for mesh in plain]), BUILDING, PLAIN)
        )
