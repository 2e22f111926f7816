"""Lorries and buses as procedural meshes, placed and painted like the meshes of `cars`."""

import numpy as np

from streets.assembly import PLAIN
from streets.bodywork import GLASS, LAMP, REAR_PLATE, TAIL, TRIM, Part, arch, ring, wheel
from streets.drawing import Random
from streets.meshes import Colour, box, joined, loft, paint, quad


def lorry(rng: Random, length: float, body: Colour) -> list[Part]:
    """Return a lorry with a painted cab and a load box of colour `body`."""
    half, end, roof = 1.2, length / 2, float(rng.uniform(3.0, 3.7))
    cab = 1.9
    start = end - cab - 0.15
    parts = [
        loft(
            [
                ring(end, half * 0.9, 0.45, 2.2, 0.92),
                ring(end - 0.15, half * 0.97, 0.42, 2.5, 0.92),
                ring(end - 0.6, half * 0.97, 0.42, 2.75, 0.9),
                ring(end - cab, half * 0.97, 0.42, 2.75, 0.9),
            ],
            paint(),
        ),
        quad(
            [
                (0.98, end + 0.03, 1.45),
                (-0.98, end + 0.03, 1.45),
                (-0.94, end - 0.13, 2.3),
                (0.94, end - 0.13, 2.3),
            ],
            GLASS,
        ),
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
            parts.append(arch(side * (half + 0.002), y, 0.58, side))
            parts.append(wheel(side * (half + 0.01), y, 0.48, side, 0.3))
    load = box((half * 2.06, start + end, roof - 0.95), (0, (start - end) / 2, (roof + 0.95) / 2), body)
    rear = [
        box((0.03, 0.03, roof - 1.0), (0, -end - 0.01, (roof + 1) / 2), (0.3, 0.3, 0.3)),
        box((2.2, 0.04, 0.08), (0, -end - 0.01, roof - 0.06), (0.3, 0.3, 0.3)),
        box((2.2, 0.04, 0.08), (0, -end - 0.01, 1.0), (0.25, 0.25, 0.25)),
    ]
    return [(joined(parts + rear), PLAIN), (load, ("lettering", int(rng.integers(12))))]


def bus(rng: Random, double_decker: bool) -> list[Part]:
    """Return a painted city bus with bands of windows."""
    length, half = (10.0, 1.25) if double_decker else (11.5, 1.25)
    end, roof = length / 2, 4.3 if double_decker else 3.0
    rings = [
        ring(end, half * 0.92, 0.32, roof - 0.12, 0.9, 0.06),
        ring(end - 0.12, half, 0.30, roof - 0.04, 0.93, 0.06),
        ring(-end + 0.12, half, 0.30, roof - 0.04, 0.93, 0.06),
        ring(-end, half * 0.94, 0.32, roof - 0.12, 0.9, 0.06),
    ]
    parts = [loft(rings, paint())]
    decks = [(1.15, 2.15), (2.85, 3.75)] if double_decker else [(1.15, 2.35)]
    for low, high in decks:
        number = 7
        for side in (-1.0, 1.0):
            for k in range(number):
                y = -end + 0.35 + (length - 0.7) * (k + 0.5) / number
                pane = box(
                    (0.05, (length - 0.7) / number - 0.12, high - low),
                    (side * half * 0.99, y, (low + high) / 2),
                    GLASS,
                )
                parts.append(pane)
                parts.append(
                    box(
                        (0.052, (length - 0.7) / number - 0.12, (high - low) * 0.35),
                        (side * half * 0.99, y, high - (high - low) * 0.175),
                        (0.2, 0.23, 0.27),
                    )
                )
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
            parts.append(arch(side * (half + 0.006), y, 0.58, side))
            parts.append(wheel(side * (half + 0.012), y, 0.48, side, 0.3))
    vehicle: list[Part] = [(joined(parts), PLAIN)]
    if double_decker or rng.random() < 0.4:
        z = 2.5 if double_decker else 0.72
        texture = ("lettering", int(rng.integers(12)))
        for side in (-1, 1):
            corners = np.array(
                [
                    (side * 1.262, -3.0, z - 0.24),
                    (side * 1.262, 2.0, z - 0.24),
                    (side * 1.262, 2.0, z + 0.24),
                    (side * 1.262, -3.0, z + 0.24),
                ]
            )
            vehicle.append((quad(corners if side > 0 else corners[[1, 0, 3, 2]]), texture))
    return vehicle
