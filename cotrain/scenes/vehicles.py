"""Cars, vans, lorries, buses, motorcycles and bicycles as procedural meshes.

All stand on z = 0 with their middle at the origin and their front towards +y. The marker colour of
`meshes.paint` is to be filled in by `meshes.repainted`.
"""

from dataclasses import dataclass

import numpy as np

from cotrain.scenes.assembly import PLAIN, Texture
from cotrain.scenes.drawing import Random
from cotrain.scenes.meshes import (
    Colour,
    Mesh,
    box,
    ellipsoid,
    joined,
    loft,
    paint,
    placed,
    polygon,
    quad,
    tube,
)

GLASS: Colour = (0.10, 0.12, 0.15)
TYRE: Colour = (0.06, 0.06, 0.06)
TRIM: Colour = (0.13, 0.13, 0.14)
CHROME: Colour = (0.62, 0.63, 0.66)
LAMP: Colour = (0.88, 0.90, 0.92)
TAIL: Colour = (0.62, 0.05, 0.06)
AMBER: Colour = (0.85, 0.45, 0.08)
FRONT_PLATE: Colour = (0.92, 0.92, 0.90)
REAR_PLATE: Colour = (0.92, 0.76, 0.18)

Part = tuple[Mesh, Texture]


@dataclass(frozen=True)
class CarShape:
    """Outline of a car, in metres from its middle: `hood` and `boot` are where the glass starts."""

    length: float
    width: float
    height: float
    belt: float
    hood_height: float
    hood: float
    roof_front: float
    roof_rear: float
    boot: float
    boot_height: float
    wheel: float


CAR_SHAPES = {
    "hatchback": CarShape(3.9, 1.70, 1.45, 0.92, 0.80, 0.95, 0.25, -1.45, -1.88, 0.90, 0.30),
    "saloon": CarShape(4.5, 1.76, 1.42, 0.92, 0.80, 1.00, 0.30, -0.95, -1.60, 0.93, 0.31),
    "estate": CarShape(4.6, 1.76, 1.48, 0.94, 0.82, 1.10, 0.40, -1.80, -2.20, 0.93, 0.31),
    "off_roader": CarShape(4.5, 1.86, 1.75, 1.10, 1.02, 1.05, 0.55, -1.85, -2.15, 1.08, 0.37),
    "people_carrier": CarShape(4.4, 1.80, 1.68, 1.02, 0.90, 1.40, 0.45, -1.75, -2.10, 1.00, 0.31),
    "small": CarShape(3.5, 1.60, 1.48, 0.92, 0.82, 0.95, 0.30, -1.35, -1.70, 0.90, 0.28),
    "coupe": CarShape(4.2, 1.76, 1.30, 0.86, 0.74, 0.75, 0.05, -0.85, -1.75, 0.88, 0.31),
    "van": CarShape(4.9, 1.90, 2.00, 1.15, 1.10, 1.75, 1.05, -2.30, -2.42, 1.15, 0.33),
    "large_van": CarShape(5.6, 2.00, 2.50, 1.25, 1.20, 2.05, 1.40, -2.70, -2.76, 1.25, 0.35),
}


def _wheel(x: float, y: float, radius: float, outward: float, width: float = 0.20) -> Mesh:
    """Return a wheel whose outer face lies at `x`, facing `outward` (-1 left, 1 right)."""
    inner = x - outward * width
    tyre = tube((inner, y, radius), (x, y, radius), radius, sides=14, colour=TYRE, caps=True)
    angles = np.arange(12) * (2 * np.pi / 12)
    rim = np.column_stack([np.zeros(12), np.cos(angles), np.sin(angles)])
    hub = polygon(
        rim * radius * 0.62 + (x + outward * 0.012, y, radius), (outward, 0, 0), (0.46, 0.47, 0.49)
    )
    cap = polygon(rim * radius * 0.2 + (x + outward * 0.02, y, radius), (outward, 0, 0), (0.2, 0.2, 0.2))
    return joined([tyre, hub, cap])


def _arch(x: float, y: float, radius: float, outward: float) -> Mesh:
    angles = np.linspace(-0.25, np.pi + 0.25, 12)
    rim = np.column_stack([np.zeros(12), np.cos(angles), np.sin(angles)]) * radius
    return polygon(rim + (x, y, radius * 0.87), (outward, 0, 0), (0.035, 0.035, 0.04))


def _ring(y: float, half: float, bottom: float, top: float, shoulder: float = 0.9, crown: float = 0.03) -> np.ndarray:
    """Return a cross-section (10, 3) of a body at `y`: sills drawn in, belly wide, shoulders rounded."""
    rise = top - bottom
    right = [
        (half * 0.90, bottom),
        (half * 0.985, bottom + rise * 0.28),
        (half, bottom + rise * 0.62),
        (half * 0.965, bottom + rise * 0.90),
        (half * shoulder, top + crown),
    ]
    outline = right + [(-x, z) for x, z in reversed(right)]
    return np.array([(x, y, z) for x, z in outline])


def _cabin(shape: CarShape, windows: bool) -> list[Mesh]:
    """Return roof, pillars and glass: four slanted sides between the belt and a smaller roof."""
    half, top = shape.width / 2, shape.height
    low_x, high_x = half * 0.925, half * 0.76 if shape.height < 1.9 else half * 0.86
    belt = shape.belt - 0.01
    base = [(shape.hood, shape.hood_height + 0.06), (shape.boot, shape.boot_height)]
    (front_y, front_z), (rear_y, rear_z) = base
    a, b = shape.roof_front, shape.roof_rear
    parts = [
        # Roof, gently crowned.
        quad([(-high_x, a, top - 0.05), (high_x, a, top - 0.05), (high_x * 0.8, a - 0.1, top), (-high_x * 0.8, a - 0.1, top)], paint()),
        quad([(-high_x * 0.8, a - 0.1, top), (high_x * 0.8, a - 0.1, top), (high_x * 0.8, b + 0.1, top), (-high_x * 0.8, b + 0.1, top)], paint()),
        quad([(-high_x * 0.8, b + 0.1, top), (high_x * 0.8, b + 0.1, top), (high_x, b, top - 0.05), (-high_x, b, top - 0.05)], paint()),
    ]
    for side in (-1, 1):
        parts.append(
            quad([(side * high_x, b, top - 0.05), (side * high_x, a, top - 0.05), (side * high_x * 0.8, a - 0.1, top), (side * high_x * 0.8, b + 0.1, top)][:: -side], paint())
        )

    def panel(corners: np.ndarray, glass: bool, inset: tuple[float, float, float, float]) -> None:
        """Add a painted panel and, a little in front of it, its glass: `inset` left, right, bottom, top."""
        parts.append(quad(corners, paint(0.92)))
        if not glass:
            return
        left, right, bottom, upper = inset

        def point(u: float, v: float) -> np.ndarray:
            return (
                corners[0] * (1 - u) * (1 - v)
                + corners[1] * u * (1 - v)
                + corners[2] * u * v
                + corners[3] * (1 - u) * v
            )

        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        lift = normal / np.linalg.norm(normal) * 0.012
        low = np.array([point(left, bottom), point(1 - right, bottom)]) + lift
        high = np.array([point(1 - right, 1 - upper), point(left, 1 - upper)]) + lift
        middle = np.array([point(1 - right, 0.55), point(left, 0.55)]) + lift
        parts.append(quad([low[0], low[1], middle[0], middle[1]], GLASS))
        # The upper half of a pane mirrors the sky.
        parts.append(quad([middle[1], middle[0], high[0], high[1]], (0.22, 0.25, 0.29)))

    front = np.array([(low_x, front_y, front_z), (-low_x, front_y, front_z), (-high_x, a, top - 0.05), (high_x, a, top - 0.05)])
    rear = np.array([(-low_x, rear_y, rear_z), (low_x, rear_y, rear_z), (high_x, b, top - 0.05), (-high_x, b, top - 0.05)])
    panel(front, True, (0.05, 0.05, 0.04, 0.06))
    panel(rear, windows or shape.height < 1.9, (0.07, 0.07, 0.1, 0.10))
    for side in (-1, 1):
        lower = [(side * low_x, rear_y, belt), (side * low_x, front_y, belt)]
        upper = [(side * high_x, a, top - 0.05), (side * high_x, b, top - 0.05)]
        corners = np.array(lower + upper)
        if side < 0:
            corners = corners[[1, 0, 3, 2]]
        pillars = [0.0, 0.36, 0.68, 1.0] if shape.length > 4.0 else [0.0, 0.45, 1.0]
        if not windows and shape.height > 1.9:
            pillars = [0.72, 1.0]
        parts.append(quad(corners, paint(0.92)))
        for start, end in zip(pillars[:-1], pillars[1:], strict=True):
            if side < 0:
                start, end = 1 - end, 1 - start
            pane = _between(corners, start + 0.022, end - 0.022, 0.07, 0.86)
            parts.append(pane)
    return parts


def _between(corners: np.ndarray, left: float, right: float, bottom: float, top: float) -> Mesh:
    """Return the pane that covers a part of a four-cornered side, given in shares of it."""

    def point(u: float, v: float) -> np.ndarray:
        low = corners[0] + (corners[1] - corners[0]) * u
        high = corners[3] + (corners[2] - corners[3]) * u
        return low + (high - low) * v

    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    lift = normal / np.linalg.norm(normal) * 0.012
    return quad(
        np.array([point(left, bottom), point(right, bottom), point(right, top), point(left, top)]) + lift,
        (0.13, 0.15, 0.18),
    )


def car(shape: CarShape, windows: bool = True) -> Mesh:
    """Return a car or van; without `windows`, its rear half is a closed load space."""
    half, end = shape.width / 2, shape.length / 2
    low = 0.20 + 0.3 * max(shape.wheel - 0.31, 0)
    rings = [
        _ring(end, half * 0.80, low + 0.08, shape.hood_height * 0.80, 0.92),
        _ring(end - 0.10, half * 0.93, low, shape.hood_height * 0.90, 0.92),
        _ring(end - 0.45, half * 0.99, low, shape.hood_height * 0.98, 0.88),
        _ring(shape.hood, half, low, shape.hood_height + 0.06, 0.90),
        _ring(shape.hood - 0.3, half, low, shape.belt, 0.93),
        _ring(shape.boot + 0.3, half, low, shape.belt, 0.93),
        _ring(min(shape.boot, -end + 0.35), half * 0.985, low, shape.boot_height, 0.92),
        _ring(-end + 0.08, half * 0.93, low + 0.04, shape.boot_height * 0.93, 0.92),
        _ring(-end, half * 0.84, low + 0.10, shape.boot_height * 0.80, 0.92),
    ]
    parts = [loft(rings, paint())]
    parts += _cabin(shape, windows)
    axle_front, axle_rear = end - 0.78, -end + 0.80
    for side in (-1.0, 1.0):
        for y in (axle_front, axle_rear):
            parts.append(_arch(side * (half + 0.004), y, shape.wheel * 1.17, side))
            parts.append(_wheel(side * (half + 0.015), y, shape.wheel, side))
        # Sill, rubbing strip, door gap, mirror.
        parts.append(box((0.02, shape.length - 2.1, 0.10), (side * half * 0.96, 0, low + 0.04), TRIM))
        parts.append(box((0.015, shape.length * 0.5, 0.05), (side * (half - 0.002), -0.05, low + 0.34), paint(0.6)))
        for y in (shape.hood - 0.15, shape.hood - 1.2):
            parts.append(box((0.012, 0.02, shape.belt - low - 0.2), (side * half * 0.995, y, (shape.belt + low) / 2), paint(0.45)))
        parts.append(box((0.16, 0.10, 0.13), (side * (half + 0.06), shape.hood - 0.35, shape.belt + 0.05), paint(0.8)))
        lamp_x = side * half * 0.66
        front_z, rear_z = shape.hood_height * 0.72, shape.boot_height * 0.78
        parts.append(box((half * 0.42, 0.10, 0.15), (lamp_x, end - 0.07, front_z), LAMP))
        parts.append(box((half * 0.12, 0.10, 0.12), (side * half * 0.91, end - 0.15, front_z), AMBER))
        tall = 0.42 if shape.height > 1.6 else 0.20
        parts.append(box((half * 0.26, 0.10, tall), (side * half * 0.76, -end + 0.06, rear_z), TAIL))
        parts.append(box((half * 0.26, 0.11, tall * 0.25), (side * half * 0.76, -end + 0.06, rear_z - tall / 3), AMBER))
    parts += [
        box((half * 0.80, 0.06, 0.14), (0, end - 0.015, shape.hood_height * 0.66), TRIM),
        box((half * 1.72, 0.14, 0.16), (0, end - 0.05, low + 0.12), paint(0.75)),
        box((half * 0.9, 0.10, 0.10), (0, end, low + 0.10), TRIM),
        box((half * 1.76, 0.14, 0.18), (0, -end + 0.06, low + 0.14), paint(0.75)),
        box((0.52, 0.03, 0.11), (0, end + 0.04, low + 0.20), FRONT_PLATE),
        box((0.52, 0.03, 0.11), (0, -end - 0.02, low + 0.36), REAR_PLATE),
        box((half * 1.6, shape.length * 0.7, 0.1), (0, 0, 0.17), (0.03, 0.03, 0.03)),
    ]
    return joined(parts)


def lorry(rng: Random, length: float, body: Colour) -> list[Part]:
    """Return a lorry with a box body of colour `body` and a painted cab."""
    half, end, roof = 1.2, length / 2, float(rng.uniform(3.0, 3.7))
    cab = 1.9
    start = end - cab - 0.15
    parts = [
        loft(
            [
                _ring(end, half * 0.9, 0.45, 2.2, 0.92),
                _ring(end - 0.15, half * 0.97, 0.42, 2.5, 0.92),
                _ring(end - 0.6, half * 0.97, 0.42, 2.75, 0.9),
                _ring(end - cab, half * 0.97, 0.42, 2.75, 0.9),
            ],
            paint(),
        ),
        quad([(0.98, end + 0.03, 1.45), (-0.98, end + 0.03, 1.45), (-0.94, end - 0.13, 2.3), (0.94, end - 0.13, 2.3)], GLASS),
        box((2.0, 0.06, 0.5), (0, end - 0.0, 1.0), TRIM),
        box((2.3, 0.2, 0.4), (0, end - 0.02, 0.6), paint(0.6)),
        box((1.0, length - 0.4, 0.3), (0, 0, 0.75), (0.08, 0.08, 0.08)),
        box((2.3, 0.15, 0.2), (0, -end + 0.1, 0.6), TRIM),
        box((0.52, 0.04, 0.12), (0.5, -end - 0.02, 0.75), REAR_PLATE),
    ]
    for side in (-1.0, 1.0):
        window = [(end - 0.4, 1.5), (end - 1.3, 1.5), (end - 1.3, 2.3), (end - 0.55, 2.3)]
        corners = np.array([(side * (half * 0.975), y, z) for y, z in window])
        parts.append(quad(corners if side > 0 else corners[[1, 0, 3, 2]], GLASS))
        parts.append(box((0.4, 0.06, 0.2), (side * 0.85, end + 0.02, 0.85), LAMP))
        parts.append(box((0.35, 0.08, 0.16), (side * 0.95, -end + 0.02, 0.75), TAIL))
        parts.append(box((0.12, 0.06, 0.5), (side * 1.35, end - 0.15, 1.95), TRIM))
        for y in (end - 1.0, -end + 1.3, -end + 2.4)[: 3 if length > 7.5 else 2]:
            parts.append(_arch(side * (half + 0.002), y, 0.58, side))
            parts.append(_wheel(side * (half + 0.01), y, 0.48, side, 0.3))
    load = box((half * 2.06, start + end, roof - 0.95), (0, (start - end) / 2, (roof + 0.95) / 2), body)
    rear = [
        box((0.03, 0.03, roof - 1.0), (0, -end - 0.01, (roof + 1) / 2), (0.3, 0.3, 0.3)),
        box((2.2, 0.04, 0.08), (0, -end - 0.01, roof - 0.06), (0.3, 0.3, 0.3)),
        box((2.2, 0.04, 0.08), (0, -end - 0.01, 1.0), (0.25, 0.25, 0.25)),
    ]
    return [(joined(parts + rear), PLAIN), (load, ("lettering", int(rng.integers(12))))]


def bus(rng: Random, double_decker: bool) -> list[Part]:
    """Return a city bus, painted, with its window bands."""
    length, half = (10.0, 1.25) if double_decker else (11.5, 1.25)
    end, roof = length / 2, 4.3 if double_decker else 3.0
    rings = [
        _ring(end, half * 0.92, 0.32, roof - 0.12, 0.9, 0.06),
        _ring(end - 0.12, half, 0.30, roof - 0.04, 0.93, 0.06),
        _ring(-end + 0.12, half, 0.30, roof - 0.04, 0.93, 0.06),
        _ring(-end, half * 0.94, 0.32, roof - 0.12, 0.9, 0.06),
    ]
    parts = [loft(rings, paint())]
    decks = [(1.15, 2.15), (2.85, 3.75)] if double_decker else [(1.15, 2.35)]
    for low, high in decks:
        number = 7
        for side in (-1.0, 1.0):
            for k in range(number):
                y = -end + 0.35 + (length - 0.7) * (k + 0.5) / number
                pane = box((0.05, (length - 0.7) / number - 0.12, high - low), (side * half * 0.99, y, (low + high) / 2), GLASS)
                parts.append(pane)
                parts.append(box((0.052, (length - 0.7) / number - 0.12, (high - low) * 0.35), (side * half * 0.99, y, high - (high - low) * 0.175), (0.2, 0.23, 0.27)))
        parts.append(box((2.15, 0.06, high - low + 0.1), (0, end - 0.0, (low + high) / 2), GLASS))
        parts.append(box((1.9, 0.06, (high - low) * 0.75), (0, -end + 0.0, (low + high) / 2 + 0.1), GLASS))
    sign_z = 2.5 if double_decker else 2.62
    parts += [
        box((1.7, 0.09, 0.3), (0, end, sign_z), (0.05, 0.05, 0.05)),
        box((1.2, 0.10, 0.14), (0, end, sign_z), (0.95, 0.7, 0.15)),
        box((0.06, 0.08, 1.0), (0, end + 0.01, 1.65), paint(0.7)),
        box((2.4, 0.14, 0.3), (0, end - 0.02, 0.5), paint(0.5)),
        box((2.4, 0.14, 0.3), (0, -end + 0.02, 0.5), paint(0.5)),
        box((0.52, 0.04, 0.12), (0, -end - 0.06, 0.75), REAR_PLATE),
        box((0.6, 0.04, 0.25), (0, -end - 0.04, decks[0][1] + 0.25), (0.05, 0.05, 0.05)),
        box((1.6, 3.0, 0.3), (0, 0, roof + 0.05), paint(0.85)),
    ]
    for side in (-1.0, 1.0):
        parts.append(box((0.4, 0.08, 0.2), (side * 0.85, end, 0.78), LAMP))
        parts.append(box((0.2, 0.08, 0.5), (side * 1.02, -end, 1.0), TAIL))
        parts.append(box((0.08, 0.08, 0.4), (side * 1.35, end + 0.1, 2.2), TRIM))
        parts.append(box((0.04, length, 0.06), (side * half, 0, 0.95), paint(0.6)))
        for y in (end - 2.4, -end + 2.8):
            parts.append(_arch(side * (half + 0.006), y, 0.58, side))
            parts.append(_wheel(side * (half + 0.012), y, 0.48, side, 0.3))
    made: list[Part] = [(joined(parts), PLAIN)]
    if double_decker or rng.random() < 0.4:
        z = 2.5 if double_decker else 0.72
        texture = ("lettering", int(rng.integers(12)))
        for side in (-1, 1):
            corners = np.array([(side * 1.262, -3.0, z - 0.24), (side * 1.262, 2.0, z - 0.24), (side * 1.262, 2.0, z + 0.24), (side * 1.262, -3.0, z + 0.24)])
            made.append((quad(corners if side > 0 else corners[[1, 0, 3, 2]]), texture))
    return made


def motorcycle() -> Mesh:
    """Return a motorcycle; the rider is a mesh of its own."""
    body = [
        _ring(0.55, 0.05, 0.75, 0.85),
        _ring(0.35, 0.15, 0.55, 1.0),
        _ring(0.05, 0.17, 0.42, 0.98),
        _ring(-0.25, 0.13, 0.45, 0.82),
        _ring(-0.75, 0.11, 0.62, 0.90),
        _ring(-0.95, 0.06, 0.75, 0.92),
    ]
    parts = [
        loft(body, paint()),
        box((0.26, 0.62, 0.08), (0, -0.42, 0.86), (0.05, 0.05, 0.05)),
        box((0.34, 0.5, 0.36), (0, 0.05, 0.45), (0.2, 0.2, 0.21)),
        quad([(0.2, 0.62, 0.9), (-0.2, 0.62, 0.9), (-0.13, 0.42, 1.25), (0.13, 0.42, 1.25)], (0.2, 0.23, 0.26)),
        ellipsoid((0, 0.66, 0.86), (0.13, 0.1, 0.13), LAMP),
        box((0.22, 0.06, 0.1), (0, -0.98, 0.82), TAIL),
        box((0.2, 0.03, 0.18), (0, -1.0, 0.62), REAR_PLATE),
        tube((-0.38, 0.42, 1.08), (0.38, 0.42, 1.08), 0.025, colour=TRIM),
        tube((0.17, -0.1, 0.35), (0.2, -0.95, 0.45), 0.05, 0.07, colour=CHROME, caps=True),
    ]
    for y, width in ((0.78, 0.11), (-0.72, 0.15)):
        parts.append(tube((-width / 2, y, 0.31), (width / 2, y, 0.31), 0.31, sides=16, colour=TYRE, caps=True))
        parts.append(tube((-width / 2 - 0.01, y, 0.31), (width / 2 + 0.01, y, 0.31), 0.19, sides=12, colour=(0.35, 0.35, 0.37), caps=True))
    for side in (-0.1, 0.1):
        parts.append(tube((side, 0.78, 0.31), (side, 0.45, 1.0), 0.03, colour=CHROME))
        parts.append(tube((side * 3.3, 0.46, 1.1), (side * 3.8, 0.48, 1.28), 0.015, colour=TRIM))
        parts.append(ellipsoid((side * 3.8, 0.48, 1.3), (0.07, 0.03, 0.05), TRIM))
    return joined(parts)


def bicycle() -> list[Part]:
    """Return a bicycle: its frame, and its wheels as cards of spokes."""
    crank, seat, head, rear, front = (0, -0.05, 0.30), (0, -0.22, 0.86), (0, 0.42, 0.88), (0, -0.50, 0.34), (0, 0.55, 0.34)
    frame = [
        tube(crank, seat, 0.022, sides=5, colour=paint()),
        tube(crank, (0, 0.40, 0.74), 0.024, sides=5, colour=paint()),
        tube((0, -0.2, 0.78), head, 0.022, sides=5, colour=paint()),
        tube(crank, rear, 0.018, sides=5, colour=paint()),
        tube((0, -0.2, 0.78), rear, 0.016, sides=5, colour=paint()),
        tube((0, 0.40, 0.98), front, 0.022, sides=5, colour=paint(0.8)),
        tube((-0.28, 0.36, 1.02), (0.28, 0.36, 1.02), 0.018, sides=5, colour=TRIM),
        box((0.16, 0.26, 0.06), (0, -0.24, 0.92), (0.05, 0.05, 0.05)),
        tube((-0.05, -0.05, 0.30), (0.05, -0.05, 0.30), 0.09, sides=10, colour=(0.3, 0.3, 0.32), caps=True),
        box((0.05, 0.36, 0.03), (0, -0.5, 0.70), TRIM),
    ]
    wheels = []
    for y in (-0.50, 0.55):
        card = quad([(0, y - 0.35, 0), (0, y + 0.35, 0), (0, y + 0.35, 0.70), (0, y - 0.35, 0.70)])
        wheels.append(card)
        tyre = [(0, y + 0.335 * np.cos(a), 0.35 + 0.335 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 15)]
        # Seen from ahead a card has no width, the tyre has.
        frame += [tube(p, q, 0.02, sides=4, colour=TYRE) for p, q in zip(tyre[:-1], tyre[1:], strict=True)]
    return [(joined(frame), PLAIN), (joined(wheels), ("spokes", 0))]


def leaning(parts: list[Part], degrees: float) -> list[Part]:
    """Return `parts` leaning to one side, as a parked two-wheeler does."""
    return [(placed(mesh, roll=degrees), texture) for mesh, texture in parts]
