"""Pedestrians, cyclists and motorcyclists in varied clothes and poses."""

from collections.abc import Sequence

import numpy as np

from streets.drawing import Random, pick, varied
from streets.looks import Look
from streets.meshes import Colour, Floats, Mesh, box, ellipsoid, joined, loft, placed, scaled, tube

SKIN: tuple[Colour, ...] = ((0.86, 0.68, 0.56), (0.78, 0.58, 0.46), (0.55, 0.38, 0.28), (0.34, 0.23, 0.17))
HAIR: tuple[Colour, ...] = (
    (0.08, 0.06, 0.05),
    (0.22, 0.15, 0.10),
    (0.45, 0.34, 0.20),
    (0.60, 0.58, 0.55),
    (0.30, 0.14, 0.08),
)
# Heights of the joints of an adult who is 1.75 m tall, and the length of both bones of a leg.
HIP, SHOULDER = 0.90, 1.42
LEG_BONE = 0.43


def _point(*values: float) -> Floats:
    return np.array(values, np.float32)


def _limb(points: list[Floats], radii: list[float], colour: Colour) -> list[Mesh]:
    pieces = []
    for k in range(len(points) - 1):
        pieces.append(tube(points[k], points[k + 1], radii[k], radii[k + 1], sides=6, colour=colour))
        pieces.append(ellipsoid(points[k + 1], (radii[k + 1],) * 3, colour, rows=3, columns=6))
    return pieces


def _bent(
    start: Floats, lengths: tuple[float, float], angles: tuple[float, float], side: float
) -> list[Floats]:
    """Return the three joints of a limb that hangs down; `angles`, in degrees, swing it forward."""
    joints = [start]
    for length, angle in zip(lengths, angles, strict=True):
        swing = np.radians(angle)
        joints.append(joints[-1] + _point(side, length * np.sin(swing), -length * np.cos(swing)))
    return joints


def _section(centre: Floats, half_width: float, half_depth: float) -> Floats:
    angles = np.arange(8) * (2 * np.pi / 8) + np.pi / 8
    ring = np.column_stack([np.cos(angles) * half_width, np.sin(angles) * half_depth, np.zeros(8)])
    return (ring * 1.08 + centre).astype(np.float32)


def _trunk(hip: Floats, chest: Floats, colour: Colour, breadth: float, hem: float) -> Mesh:
    """Return a jacket from `hem` metres below the hip to the shoulders."""
    axis = chest - hip
    down = _point(0, 0, hem)
    rings = [
        _section(hip - down, 0.17 * breadth + hem * 0.12, 0.12 + hem * 0.12),
        _section(hip + axis * 0.25, 0.155 * breadth, 0.115),
        _section(hip + axis * 0.72, 0.19 * breadth, 0.125),
        _section(hip + axis * 1.0, 0.17 * breadth, 0.10),
        _section(hip + axis * 1.06, 0.07, 0.06),
    ]
    return loft(rings, colour)


def _head(neck: Floats, skin: Colour, hair: Colour, rng: Random, helmet: Colour | None) -> list[Mesh]:
    centre = neck + _point(0, 0.02, 0.19)
    parts = [
        tube(neck - _point(0, 0, 0.03), centre, 0.055, 0.05, sides=6, colour=skin),
        ellipsoid(centre, (0.082, 0.10, 0.125), skin, rows=6, columns=8),
    ]
    if helmet:
        parts.append(
            ellipsoid(centre + _point(0, -0.005, 0.045), (0.105, 0.13, 0.10), helmet, rows=5, columns=8)
        )
        return parts
    parts.append(ellipsoid(centre + _point(0, -0.028, 0.028), (0.092, 0.098, 0.115), hair, rows=5, columns=8))
    if rng.random() < 0.3:
        parts.append(
            ellipsoid(centre + _point(0, -0.06, -0.07), (0.085, 0.055, 0.14), hair, rows=5, columns=8)
        )
    elif rng.random() < 0.2:
        cap = varied(rng, (0.3, 0.3, 0.35), 0.25)
        parts.append(ellipsoid(centre + _point(0, 0, 0.07), (0.1, 0.115, 0.075), cap, rows=5, columns=8))
    return parts


def pedestrian(rng: Random, look: Look) -> Mesh:
    """Return a person of 1.1 to 1.95 m who stands or walks towards +y, with the feet on z = 0."""
    coat, trousers = varied(rng, pick(rng, look.clothes), 0.08), varied(rng, pick(rng, look.clothes), 0.06)
    skin, hair = varied(rng, pick(rng, SKIN), 0.04), pick(rng, HAIR)
    shoes = varied(rng, (0.14, 0.12, 0.11), 0.08)
    stride = float(rng.uniform(14, 30)) if rng.random() < 0.75 else float(rng.uniform(0, 5))
    breadth = float(rng.uniform(0.9, 1.15))
    hip, chest = _point(0, 0, HIP), _point(0, 0.03, SHOULDER)
    style = rng.random()
    hem = 0.45 if style < 0.2 else (0.12 if style < 0.75 else 0.02)
    parts = [_trunk(hip, chest, coat, breadth, hem)]
    skirt = rng.random() < 0.12
    if skirt:
        parts.append(
            loft(
                [
                    _section(hip - _point(0, 0, 0.45), 0.25, 0.2),
                    _section(hip + _point(0, 0, 0.05), 0.15, 0.12),
                ],
                trousers,
            )
        )
    for side in (-1.0, 1.0):
        swing = side * stride
        start = hip + _point(side * 0.09, 0, -0.02)
        bend = 6.0 + max(0.0, -swing) * 0.9
        knee_angle = swing - bend
        joints = _bent(start, (LEG_BONE, LEG_BONE), (swing, knee_angle), 0.0)
        parts += _limb(joints, [0.088, 0.065, 0.05], skin if skirt else trousers)
        parts.append(box((0.09, 0.26, 0.08), joints[-1] + _point(0, 0.06, 0.0), shoes))
        arm = _bent(
            chest + _point(side * 0.20 * breadth, 0, -0.04),
            (0.29, 0.27),
            (-swing * 0.8, -swing * 0.8 + float(rng.uniform(8, 55))),
            side * 0.025,
        )
        parts += _limb(arm, [0.062, 0.05, 0.04], coat)
        parts.append(ellipsoid(arm[-1], (0.04, 0.045, 0.055), skin, rows=4, columns=6))
    parts += _head(chest + _point(0, 0, 0.06), skin, hair, rng, None)
    if rng.random() < 0.3:
        bag = varied(rng, pick(rng, look.clothes), 0.1)
        if rng.random() < 0.5:
            parts.append(box((0.30, 0.16, 0.42), chest + _point(0, -0.2, -0.22), bag))
        else:
            parts.append(box((0.08, 0.30, 0.32), _point(pick(rng, (-0.34, 0.34)), 0, 0.62), bag))
    person = joined(parts)
    lift = -float(person.positions[:, 2].min())
    height = float(rng.normal(1.72, 0.09)) if rng.random() < 0.9 else float(rng.uniform(1.1, 1.45))
    return scaled(placed(person, (0, 0, lift)), float(np.clip(height, 1.1, 1.95)) / 1.75)


def _rider(
    rng: Random,
    look: Look,
    seat: Floats,
    chest: Floats,
    hands: Floats,
    feet: Sequence[Floats],
    helmet: Colour | None,
) -> Mesh:
    coat = varied(rng, pick(rng, look.clothes), 0.08)
    if rng.random() < 0.2:
        coat = (0.78, 0.86, 0.15)
    trousers = varied(rng, pick(rng, look.clothes), 0.06)
    skin, hair = varied(rng, pick(rng, SKIN), 0.04), pick(rng, HAIR)
    parts = [_trunk(seat, chest, coat, 1.0, 0.05)]
    for side, foot in zip((-1.0, 1.0), feet, strict=True):
        hip = np.asarray(seat + _point(side * 0.09, 0.02, -0.02), np.float32)
        joints: list[Floats] = [hip, _knee(hip, foot), foot]
        parts += _limb(joints, [0.088, 0.066, 0.05], trousers)
        parts.append(box((0.09, 0.25, 0.08), foot + _point(0, 0.05, -0.02), (0.12, 0.11, 0.1)))
        shoulder = chest + _point(side * 0.19, 0, -0.04)
        hand = hands * _point(side, 1, 1)
        elbow = np.asarray((shoulder + hand) / 2 + _point(side * 0.07, -0.04, -0.07), np.float32)
        parts += _limb([shoulder, elbow, hand], [0.06, 0.05, 0.04], coat)
        parts.append(ellipsoid(hand, (0.045, 0.05, 0.045), skin, rows=4, columns=6))
    parts += _head(chest + _point(0, 0.04, 0.06), skin, hair, rng, helmet)
    if rng.random() < 0.2:
        parts.append(
            box(
                (0.28, 0.15, 0.4),
                (seat + chest) / 2 + _point(0, -0.17, 0.1),
                varied(rng, (0.3, 0.3, 0.3), 0.2),
            )
        )
    return joined(parts)


def _knee(hip: Floats, foot: Floats) -> Floats:
    """Return the knee of a leg that is bent forward."""
    half = (foot - hip) / 2
    reach = float(np.linalg.norm(half))
    out = float(np.sqrt(max(LEG_BONE**2 - reach**2, 0.0)))
    forward = np.cross(_point(1, 0, 0), half / max(reach, 1e-6))
    forward = forward if forward[1] >= 0 else -forward
    return (hip + half + forward * out).astype(np.float32)


def cyclist(rng: Random, look: Look) -> Mesh:
    """Return the rider of `two_wheelers.bicycle`."""
    turn = float(rng.uniform(0, 2 * np.pi))
    feet: list[Floats] = [
        _point(side * 0.11, -0.05 + 0.16 * np.sin(turn + phase), 0.30 + 0.16 * np.cos(turn + phase))
        for side, phase in ((-1, 0.0), (1, np.pi))
    ]
    helmet = varied(rng, (0.6, 0.5, 0.5), 0.4) if rng.random() < 0.5 else None
    lean = float(rng.uniform(0.12, 0.34))
    seat = _point(0, -0.22, 0.98)
    return _rider(
        rng, look, seat, np.add(seat, _point(0, lean, 0.50)), _point(0.25, 0.36, 1.04), feet, helmet
    )


def motorcyclist(rng: Random, look: Look) -> Mesh:
    """Return the rider of `two_wheelers.motorcycle`, always with a helmet."""
    feet = [_point(side * 0.22, -0.25, 0.36) for side in (-1, 1)]
    seat = _point(0, -0.42, 0.98)
    helmet = varied(rng, (0.45, 0.4, 0.4), 0.4)
    return _rider(rng, look, seat, seat + _point(0, 0.24, 0.50), _point(0.34, 0.42, 1.08), feet, helmet)
