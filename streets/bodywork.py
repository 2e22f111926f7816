"""Common parts of all vehicles: colours, wheels, wheel arches and cross-sections of a body."""

import numpy as np

from streets.assembly import Texture
from streets.meshes import Colour, Mesh, joined, polygon, tube

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


def wheel(x: float, y: float, radius: float, outward: float, width: float = 0.20) -> Mesh:
    """Return a wheel whose outer face lies at `x` and faces `outward` (-1 left, 1 right)."""
    inner = x - outward * width
    tyre = tube((inner, y, radius), (x, y, radius), radius, sides=14, colour=TYRE, caps=True)
    angles = np.arange(12) * (2 * np.pi / 12)
    rim = np.column_stack([np.zeros(12), np.cos(angles), np.sin(angles)])
    hub = polygon(rim * radius * 0.62 + (x + outward * 0.012, y, radius), (outward, 0, 0), (0.46, 0.47, 0.49))
    cap = polygon(rim * radius * 0.2 + (x + outward * 0.02, y, radius), (outward, 0, 0), (0.2, 0.2, 0.2))
    return joined([tyre, hub, cap])


def arch(x: float, y: float, radius: float, outward: float) -> Mesh:
    """Return the dark opening around a wheel, on the side wall at `x` that faces `outward`."""
    angles = np.linspace(-0.25, np.pi + 0.25, 12)
    rim = np.column_stack([np.zeros(12), np.cos(angles), np.sin(angles)]) * radius
    return polygon(np.add(rim, (x, y, radius * 0.87)), (outward, 0, 0), (0.035, 0.035, 0.04))


def ring(
    y: float, half: float, bottom: float, top: float, shoulder: float = 0.9, crown: float = 0.03
) -> np.ndarray:
    """Return a cross-section (10, 3) of a body at `y`: narrow sills, a wide belly, rounded shoulders."""
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
