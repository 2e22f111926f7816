"""Motorcycles and bicycles as procedural meshes, placed and painted like the meshes of `cars`."""

from itertools import pairwise

import numpy as np

from streets.assembly import PLAIN
from streets.bodywork import CHROME, LAMP, REAR_PLATE, TAIL, TRIM, TYRE, Part, ring
from streets.meshes import Mesh, box, ellipsoid, joined, loft, paint, placed, quad, tube


def motorcycle() -> Mesh:
    """Return a motorcycle without its rider."""
    body = [
        ring(0.55, 0.05, 0.75, 0.85),
        ring(0.35, 0.15, 0.55, 1.0),
        ring(0.05, 0.17, 0.42, 0.98),
        ring(-0.25, 0.13, 0.45, 0.82),
        ring(-0.75, 0.11, 0.62, 0.90),
        ring(-0.95, 0.06, 0.75, 0.92),
    ]
    parts = [
        loft(body, paint()),
        box((0.26, 0.62, 0.08), (0, -0.42, 0.86), (0.05, 0.05, 0.05)),
        box((0.34, 0.5, 0.36), (0, 0.05, 0.45), (0.2, 0.2, 0.21)),
        quad(
            [(0.2, 0.62, 0.9), (-0.2, 0.62, 0.9), (-0.13, 0.42, 1.25), (0.13, 0.42, 1.25)], (0.2, 0.23, 0.26)
        ),
        ellipsoid((0, 0.66, 0.86), (0.13, 0.1, 0.13), LAMP),
        box((0.22, 0.06, 0.1), (0, -0.98, 0.82), TAIL),
        box((0.2, 0.03, 0.18), (0, -1.0, 0.62), REAR_PLATE),
        tube((-0.38, 0.42, 1.08), (0.38, 0.42, 1.08), 0.025, colour=TRIM),
        tube((0.17, -0.1, 0.35), (0.2, -0.95, 0.45), 0.05, 0.07, colour=CHROME, caps=True),
    ]
    for y, width in ((0.78, 0.11), (-0.72, 0.15)):
        parts.append(
            tube((-width / 2, y, 0.31), (width / 2, y, 0.31), 0.31, sides=16, colour=TYRE, caps=True)
        )
        parts.append(
            tube(
                (-width / 2 - 0.01, y, 0.31),
                (width / 2 + 0.01, y, 0.31),
                0.19,
                sides=12,
                colour=(0.35, 0.35, 0.37),
                caps=True,
            )
        )
    for side in (-0.1, 0.1):
        parts.append(tube((side, 0.78, 0.31), (side, 0.45, 1.0), 0.03, colour=CHROME))
        parts.append(tube((side * 3.3, 0.46, 1.1), (side * 3.8, 0.48, 1.28), 0.015, colour=TRIM))
        parts.append(ellipsoid((side * 3.8, 0.48, 1.3), (0.07, 0.03, 0.05), TRIM))
    return joined(parts)


def bicycle() -> list[Part]:
    """Return a bicycle: its frame, and its wheels as cards with spokes."""
    crank, seat, head, rear, front = (
        (0, -0.05, 0.30),
        (0, -0.22, 0.86),
        (0, 0.42, 0.88),
        (0, -0.50, 0.34),
        (0, 0.55, 0.34),
    )
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
        # Seen from the front, a card has no width, but a tyre has.
        frame += [tube(p, q, 0.02, sides=4, colour=TYRE) for p, q in pairwise(tyre)]
    return [(joined(frame), PLAIN), (joined(wheels), ("spokes", 0))]


def leaning(parts: list[Part], degrees: float) -> list[Part]:
    """Return `parts` leaning to one side by `degrees`, like a parked two-wheeler."""
    return [(placed(mesh, roll=degrees), texture) for mesh, texture in parts]
