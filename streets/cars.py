"""Cars and vans as procedural meshes: a lofted body, a cabin of glass and pillars, wheels, lamps.

All stand on z = 0, with their middle at the origin and their front towards +y. Their paint is `meshes.paint`;
`meshes.repainted` replaces it with a colour.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streets.bodywork import AMBER, FRONT_PLATE, GLASS, LAMP, REAR_PLATE, TAIL, TRIM, arch, ring, wheel
from streets.meshes import Mesh, box, joined, loft, paint, quad


@dataclass(frozen=True)
class CarShape:
    """Outline of a car in metres from its middle. The glass starts at `hood` and at `boot`."""

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
        quad(
            [
                (-high_x, a, top - 0.05),
                (high_x, a, top - 0.05),
                (high_x * 0.8, a - 0.1, top),
                (-high_x * 0.8, a - 0.1, top),
            ],
            paint(),
        ),
        quad(
            [
                (-high_x * 0.8, a - 0.1, top),
                (high_x * 0.8, a - 0.1, top),
                (high_x * 0.8, b + 0.1, top),
                (-high_x * 0.8, b + 0.1, top),
            ],
            paint(),
        ),
        quad(
            [
                (-high_x * 0.8, b + 0.1, top),
                (high_x * 0.8, b + 0.1, top),
                (high_x, b, top - 0.05),
                (-high_x, b, top - 0.05),
            ],
            paint(),
        ),
    ]
    for side in (-1, 1):
        parts.append(
            quad(
                [
                    (side * high_x, b, top - 0.05),
                    (side * high_x, a, top - 0.05),
                    (side * high_x * 0.8, a - 0.1, top),
                    (side * high_x * 0.8, b + 0.1, top),
                ][::-side],
                paint(),
            )
        )

    def panel(corners: np.ndarray, glass: bool, inset: tuple[float, float, float, float]) -> None:
        """Add a painted panel and its glass, slightly in front of it; `inset` is left, right, bottom, top."""
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

    front = np.array(
        [
            (low_x, front_y, front_z),
            (-low_x, front_y, front_z),
            (-high_x, a, top - 0.05),
            (high_x, a, top - 0.05),
        ]
    )
    rear = np.array(
        [(-low_x, rear_y, rear_z), (low_x, rear_y, rear_z), (high_x, b, top - 0.05), (-high_x, b, top - 0.05)]
    )
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
        for start, end in pairwise(pillars):
            if side < 0:
                start, end = 1 - end, 1 - start
            parts.append(_side_window(corners, start + 0.022, end - 0.022))
    return parts


def _side_window(corners: np.ndarray, left: float, right: float) -> Mesh:
    """Return the window between `left` and `right` of a side with four corners, in shares of its length."""
    bottom, top = 0.07, 0.86

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


def car(shape: CarShape, windows: bool) -> Mesh:
    """Return a car or van; without `windows`, its rear half is a closed load space."""
    half, end = shape.width / 2, shape.length / 2
    low = 0.20 + 0.3 * max(shape.wheel - 0.31, 0)
    rings = [
        ring(end, half * 0.80, low + 0.08, shape.hood_height * 0.80, 0.92),
        ring(end - 0.10, half * 0.93, low, shape.hood_height * 0.90, 0.92),
        ring(end - 0.45, half * 0.99, low, shape.hood_height * 0.98, 0.88),
        ring(shape.hood, half, low, shape.hood_height + 0.06, 0.90),
        ring(shape.hood - 0.3, half, low, shape.belt, 0.93),
        ring(shape.boot + 0.3, half, low, shape.belt, 0.93),
        ring(min(shape.boot, -end + 0.35), half * 0.985, low, shape.boot_height, 0.92),
        ring(-end + 0.08, half * 0.93, low + 0.04, shape.boot_height * 0.93, 0.92),
        ring(-end, half * 0.84, low + 0.10, shape.boot_height * 0.80, 0.92),
    ]
    parts = [loft(rings, paint())]
    parts += _cabin(shape, windows)
    axle_front, axle_rear = end - 0.78, -end + 0.80
    for side in (-1.0, 1.0):
        for y in (axle_front, axle_rear):
            parts.append(arch(side * (half + 0.004), y, shape.wheel * 1.17, side))
            parts.append(wheel(side * (half + 0.015), y, shape.wheel, side))
        # Sill, rubbing strip, door gap, mirror.
        parts.append(box((0.02, shape.length - 2.1, 0.10), (side * half * 0.96, 0, low + 0.04), TRIM))
        parts.append(
            box((0.015, shape.length * 0.5, 0.05), (side * (half - 0.002), -0.05, low + 0.34), paint(0.6))
        )
        for y in (shape.hood - 0.15, shape.hood - 1.2):
            parts.append(
                box(
                    (0.012, 0.02, shape.belt - low - 0.2),
                    (side * half * 0.995, y, (shape.belt + low) / 2),
                    paint(0.45),
                )
            )
        parts.append(
            box((0.16, 0.10, 0.13), (side * (half + 0.06), shape.hood - 0.35, shape.belt + 0.05), paint(0.8))
        )
        lamp_x = side * half * 0.66
        front_z, rear_z = shape.hood_height * 0.72, shape.boot_height * 0.78
        parts.append(box((half * 0.42, 0.10, 0.15), (lamp_x, end - 0.07, front_z), LAMP))
        parts.append(box((half * 0.12, 0.10, 0.12), (side * half * 0.91, end - 0.15, front_z), AMBER))
        tall = 0.42 if shape.height > 1.6 else 0.20
        parts.append(box((half * 0.26, 0.10, tall), (side * half * 0.76, -end + 0.06, rear_z), TAIL))
        parts.append(
            box((half * 0.26, 0.11, tall * 0.25), (side * half * 0.76, -end + 0.06, rear_z - tall / 3), AMBER)
        )
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
