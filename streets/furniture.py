"""Things that stand along a street: lamps, signs, traffic lights, bollards, fences, walls, hedges, trees."""

from dataclasses import replace

import numpy as np

from streets.assembly import FILLING, PLAIN, Assembly, Texture
from streets.drawing import Random, pick, varied
from streets.looks import Look
from streets.meshes import (
    Colour,
    Mesh,
    box,
    ellipsoid,
    joined,
    placed,
    polygon,
    quad,
    repeated,
    tube,
)
from streets.textures import SIGN_FACES, sign_outline, sign_shape

# The height of the stones on top of a wall.
COPING = 0.08
WALL, FENCE, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION = 3, 4, 5, 6, 7, 8

Part = tuple[Mesh, int, Texture]


def lamp_post(rng: Random, height: float, metal: Colour) -> list[Part]:
    """Return a street lamp whose arm reaches towards -x."""
    top = np.array([0.0, 0.0, height])
    parts = [
        tube((0, 0, 0), (0, 0, 1.2), 0.10, 0.09, colour=metal),
        tube((0, 0, 1.2), top, 0.065, 0.045, colour=metal),
    ]
    kind = rng.integers(3)
    if kind == 0:
        reach = float(rng.uniform(0.8, 2.2))
        bend, end = np.add(top, (-reach * 0.4, 0, 0.35)), np.add(top, (-reach, 0, 0.42))
        parts += [tube(top, bend, 0.04, sides=6, colour=metal), tube(bend, end, 0.035, sides=6, colour=metal)]
        parts.append(box((0.75, 0.24, 0.12), np.add(end, (-0.3, 0, -0.03)), (0.72, 0.73, 0.72)))
    elif kind == 1:
        parts.append(box((0.9, 0.26, 0.1), np.add(top, (-0.3, 0, 0.03)), (0.35, 0.36, 0.38)))
    else:
        parts.append(ellipsoid(np.add(top, (0, 0, 0.15)), (0.19, 0.19, 0.24), (0.78, 0.78, 0.72)))
        parts.append(ellipsoid(np.add(top, (0, 0, 0.38)), (0.21, 0.21, 0.06), metal))
    return [(joined(parts), POLE, PLAIN)]


def sign_post(rng: Random, metal: Colour) -> list[Part]:
    """Return a post with one or two traffic signs that face -y."""
    low = float(rng.uniform(1.9, 2.5))
    parts: list[Part] = []
    top, count = low, 1 + int(rng.random() < 0.25)
    for _ in range(count):
        number = int(rng.integers(SIGN_FACES))
        shape = sign_shape(number)
        size = float(rng.uniform(0.55, 0.9))
        width, height = {"wide": (size * 2.4, size * 1.3), "tall": (size, size * 1.6)}.get(
            shape, (size, size)
        )
        outline = np.asarray(sign_outline(shape), np.float64)
        corners = np.column_stack(
            [(outline[:, 0] - 0.5) * width, np.full(len(outline), -0.075), top + outline[:, 1] * height]
        )
        parts.append((polygon(corners, (0, -1, 0), uv=outline), TRAFFIC_SIGN, ("sign", number)))
        behind = np.add(corners, (0, 0.03, 0))
        parts.append((polygon(behind, (0, 1, 0), (0.42, 0.43, 0.44)), TRAFFIC_SIGN, PLAIN))
        top += height + 0.06
    parts.append((tube((0, 0, 0), (0, 0, top), 0.045, sides=7, colour=metal), POLE, PLAIN))
    if parts[0][2][1] % 12 in (4, 10):
        parts.append((tube((0.5, 0, 0), (0.5, 0, top), 0.045, sides=7, colour=metal), POLE, PLAIN))
    return parts


def _lamps(rng: Random, lit: int, at: tuple[float, float, float]) -> Mesh:
    dark = varied(rng, (0.05, 0.05, 0.06), 0.02)
    x, y, z = at
    parts = [box((0.30, 0.22, 0.92), at, dark)]
    if rng.random() < 0.5:
        parts.append(box((0.52, 0.03, 1.15), (x, y + 0.1, z), dark))
    colours = ((1.0, 0.10, 0.06), (1.0, 0.65, 0.05), (0.10, 1.0, 0.45))
    for k, colour in enumerate(colours):
        strength = 1.9 if k == lit else 0.22
        lamp_z = z + 0.29 - 0.29 * k
        angles = np.arange(10) * (2 * np.pi / 10)
        rim = np.column_stack([np.cos(angles), np.zeros(10), np.sin(angles)]) * 0.105
        shade = tuple(min(c * strength, 3.0) for c in colour)
        parts.append(polygon(np.add(rim, (x, y - 0.115, lamp_z)), (0, -1, 0), shade))
        parts.append(box((0.25, 0.16, 0.025), (x, y - 0.17, lamp_z + 0.115), dark))
    return joined(parts)


def traffic_light(rng: Random, metal: Colour, lit: int, reach: float = 0.0) -> list[Part]:
    """Return a traffic light that faces -y; with `reach` > 0 a second one hangs on an arm towards -x."""
    height = float(rng.uniform(2.5, 3.1))
    parts: list[Part] = [(_lamps(rng, lit, (0, -0.16, height - 0.2)), TRAFFIC_LIGHT, PLAIN)]
    pole_top = height + 0.25
    if reach:
        pole_top = 5.4
        arm = tube((0, 0, 5.3), (-reach, 0, 5.5), 0.06, 0.045, sides=6, colour=metal)
        parts.append((arm, POLE, PLAIN))
        parts.append((_lamps(rng, lit, (-reach + 0.2, -0.12, 5.0)), TRAFFIC_LIGHT, PLAIN))
    parts.append((tube((0, 0, 0), (0, 0, pole_top), 0.065, colour=metal, sides=7), POLE, PLAIN))
    return parts


def bollards(rng: Random, length: float, metal: Colour) -> list[Part]:
    """Return a row of bollards along +y."""
    one = joined(
        [
            tube((0, 0, 0), (0, 0, 0.95), 0.075, 0.065, colour=metal),
            ellipsoid((0, 0, 0.97), (0.08, 0.08, 0.07), metal),
        ]
    )
    steps = np.arange(0, length, float(rng.uniform(1.5, 2.5)))
    return [(repeated(one, np.column_stack([steps * 0, steps, steps * 0])), POLE, PLAIN)]


def fence(rng: Random, look: Look, length: float) -> list[Part]:
    """Return `length` metres of railing, pickets, mesh or boards along +y."""
    colour = varied(rng, pick(rng, look.fences), 0.06)
    kind, height = int(rng.integers(4)), float(rng.uniform(0.9, 1.5))
    if kind == 3:
        height = float(rng.uniform(1.2, 2.0))
        panels = max(1, round(length / 2.4))
        boards = box((0.06, length, height), (0, length / 2, height / 2 + 0.05), texture_scale=(panels, 1))
        return [(boards, FENCE, ("boards", int(rng.integers(6))))]
    spacing, thick = ((0.13, 0.022), (0.16, 0.09), (1.9, 0.06))[kind]
    depth = 0.022 if kind != 1 else 0.02
    rails = {0: (0.12, 0.95), 1: (0.3, 0.8), 2: (0.35, 0.65, 0.97)}[kind]
    return _palisade(length, 0.04, height, colour, spacing, (depth, thick), rails)


def _palisade(
    length: float,
    foot: float,
    height: float,
    colour: Colour,
    spacing: float,
    picket: tuple[float, float],
    rails: tuple[float, ...],
) -> list[Part]:
    """Return pickets `height` metres tall, whose feet are at `foot`, with rails at shares of the height."""
    steps = np.arange(0, length, spacing)
    one = box((*picket, height), (0, 0, height / 2 + foot), colour)
    parts = [repeated(one, np.column_stack([steps * 0, steps, steps * 0]))]
    # Equal pieces of at most 5 m can follow a bending street.
    starts, piece = np.linspace(0, length, int(np.ceil(length / 5.0)), endpoint=False, retstep=True)
    places = np.column_stack([starts * 0, starts, starts * 0])
    for share in rails:
        rail = box((0.045, piece, 0.055), (0, piece / 2, height * share + foot), colour)
        parts.append(repeated(rail, places))
    filling = repeated(box((picket[0], piece, height), (0, piece / 2, height / 2 + foot)), places)
    return [(joined(parts), FENCE, PLAIN), (filling, FENCE, FILLING)]


def railings(rng: Random, look: Look, length: float) -> list[Part]:
    """Return `length` metres of iron railings on a wall along +y: 1.1 to 3.3 m tall, as in front of parks."""
    colour = varied(rng, pick(rng, look.railings), 0.04)
    foot, height = float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.8, 2.2))
    spacing = float(rng.uniform(0.11, 0.18))
    iron = _palisade(length, foot + COPING, height, colour, spacing, (0.025, 0.025), (0.08, 0.9))
    return _wall(rng, length, foot) + iron


def wall(rng: Random, length: float) -> list[Part]:
    """Return `length` metres of free-standing wall with a coping along +y."""
    return _wall(rng, length, float(rng.choice([rng.uniform(0.6, 1.1), rng.uniform(1.2, 2.6)])))


def _wall(rng: Random, length: float, height: float) -> list[Part]:
    body = box(
        (0.25, length, height), (0, length / 2, height / 2), texture_scale=(length / 2.5, height / 2.5)
    )
    tone = float(rng.uniform(0.4, 0.75))
    coping = box(
        (0.34, length, COPING), (0, length / 2, height + COPING / 2), (tone, tone * 0.98, tone * 0.94)
    )
    return [(body, WALL, ("stone", int(rng.integers(8)))), (coping, WALL, PLAIN)]


def hedge(rng: Random, length: float) -> list[Part]:
    """Return `length` metres of clipped hedge along +y."""
    height, width = float(rng.uniform(0.9, 3.0)), float(rng.uniform(0.6, 1.2))
    steps = np.arange(0, length, 1.1)
    texture = ("leaves", 1 + 2 * int(rng.integers(3)))
    clump = ellipsoid((0, 0, height * 0.5), (width / 2, 0.95, height * 0.56), rows=5, columns=9)
    core = box((width * 0.75, length, height * 0.92), (0, length / 2, height * 0.46), (0.10, 0.14, 0.06))
    tops = repeated(
        _shaded(clump, height),
        np.column_stack([rng.normal(0, 0.06, len(steps)), steps, rng.normal(0, 0.05, len(steps))]),
    )
    return [(core, VEGETATION, PLAIN), (tops, VEGETATION, texture)]


def _shaded(mesh: Mesh, height: float, dark: float = 0.5) -> Mesh:
    """Return foliage that is darker towards its foot."""
    share = np.clip(mesh.positions[:, 2:] / max(height, 1e-6), 0, 1)
    return Mesh(
        mesh.positions,
        mesh.normals,
        mesh.texture_coordinates,
        (mesh.colours * (dark + (1 - dark) * share)).astype(np.float32),
        mesh.triangles,
    )


def bush(rng: Random) -> list[Part]:
    """Return a round shrub."""
    radius = float(rng.uniform(0.4, 1.1))
    shape = ellipsoid(
        (0, 0, radius * 0.8), (radius, radius, radius * float(rng.uniform(0.8, 1.3))), rows=6, columns=9
    )
    return [(_shaded(shape, radius * 1.6), VEGETATION, ("leaves", int(rng.integers(6))))]


def leafy_tree(rng: Random, look: Look, height: float) -> list[Part]:
    """Return a broad-leaved tree: a forked trunk and clumps of leaves."""
    bark = varied(rng, pick(rng, look.bark), 0.05)
    fork = height * float(rng.uniform(0.28, 0.42))
    radius = 0.03 * height * float(rng.uniform(0.6, 1.1)) + 0.04
    lean = rng.normal(0, 0.04, 2) * height
    top = np.array([lean[0], lean[1], fork])
    wood = [tube((0, 0, 0), top, radius, radius * 0.75, colour=bark)]
    texture = ("leaves", 2 * int(rng.integers(5)))
    spread, clumps = height * float(rng.uniform(0.20, 0.30)), []
    for k in range(int(rng.integers(6, 11))):
        angle = k * 2.4 + float(rng.uniform(0, 0.8))
        out = spread * float(rng.uniform(0.15, 1.0))
        level = fork + (height - fork) * float(rng.uniform(0.22, 0.85))
        centre = np.add(top, (np.cos(angle) * out, np.sin(angle) * out, level - fork))
        size = height * rng.uniform(0.13, 0.21)
        clump = ellipsoid((0, 0, 0), (size, size, size * rng.uniform(0.7, 0.95)), rows=5, columns=8)
        bumps = 1 + rng.normal(0, 0.10, (len(clump.positions), 1)).astype(np.float32)
        clump = Mesh(
            clump.positions * bumps,
            clump.normals,
            clump.texture_coordinates + rng.random(2).astype(np.float32),
            clump.colours,
            clump.triangles,
        )
        clumps.append(placed(clump, centre))
        if k < 4:
            wood.append(tube(top - (0, 0, 0.3), centre, radius * 0.45, radius * 0.15, sides=5, colour=bark))
    crown = joined(clumps)
    depth = np.clip((crown.positions[:, 2:] - fork) / (height - fork), 0, 1)
    crown = Mesh(
        crown.positions,
        crown.normals,
        crown.texture_coordinates,
        crown.colours * (0.55 + 0.55 * depth),
        crown.triangles,
    )
    return [(joined(wood), VEGETATION, PLAIN), (crown, VEGETATION, texture)]


def bare_tree(rng: Random, look: Look, height: float) -> list[Part]:
    """Return a leafless tree: a trunk, and crossed cards of branches."""
    bark = varied(rng, pick(rng, look.bark), 0.05)
    fork, radius = height * float(rng.uniform(0.15, 0.3)), 0.02 * height + 0.05
    trunk = tube((0, 0, 0), (0, 0, fork + 0.4), radius, radius * 0.8, colour=bark)
    half = (height - fork) * float(rng.uniform(0.42, 0.56))
    cards = []
    for k in range(3):
        card = quad([(-half, 0, fork), (half, 0, fork), (half, 0, height), (-half, 0, height)])
        cards.append(placed(card, heading=60.0 * k + float(rng.uniform(-15, 15))))
    return [(trunk, VEGETATION, PLAIN), (joined(cards), VEGETATION, ("branches", int(rng.integers(8))))]


def conifer(rng: Random, look: Look, height: float) -> list[Part]:
    """Return an evergreen: stacked skirts of needles."""
    bark = varied(rng, pick(rng, look.bark), 0.05)
    parts: list[Part] = [(tube((0, 0, 0), (0, 0, height * 0.4), 0.16, 0.1, colour=bark), VEGETATION, PLAIN)]
    layers = []
    width = height * float(rng.uniform(0.16, 0.26))
    for k in range(5):
        low = height * (0.10 + 0.17 * k)
        top = low + height * 0.32
        skirt = tube((0, 0, low), (0, 0, top), width * (1 - 0.19 * k), 0.03, sides=9, colour=(0.8, 0.85, 0.8))
        # Needles are finer than leaves.
        layers.append(replace(skirt, texture_coordinates=skirt.texture_coordinates * np.float32(2)))
    parts.append((_shaded(joined(layers), height, 0.6), VEGETATION, ("leaves", 1 + 2 * int(rng.integers(3)))))
    return parts


def tree(rng: Random, look: Look, height: float) -> list[Part]:
    """Return a tree of a random kind; `look` gives the shares of the kinds."""
    kind = rng.random()
    if kind < look.bare_share:
        return bare_tree(rng, look, height * 1.15)
    if kind < look.bare_share + 0.12:
        return conifer(rng, look, height)
    return leafy_tree(rng, look, height)


def metal_colour(rng: Random) -> Colour:
    """Return the colour of a street's posts."""
    tone = float(rng.choice([rng.uniform(0.05, 0.15), rng.uniform(0.3, 0.55)]))
    return (tone, tone * 1.01, tone * 1.03)


def put(scene: Assembly, parts: list[Part], at: tuple[float, float, float], heading: float = 0.0) -> None:
    """Put the parts of one object into the scene."""
    for mesh, train_id, texture in parts:
        scene.add(mesh, train_id, texture, at, heading)
