"""The ground of a street: carriageway, side streets, sidewalks, verges, gardens and road markings."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streets.assembly import GROUND, MARKING, Assembly
from streets.drawing import Random, pick, varied, weighted_pick
from streets.looks import Look
from streets.meshes import Colour, Mesh, ground, quad, repeated

ROAD, SIDEWALK, TERRAIN = 0, 1, 9
START, END, FAR = -12.0, 170.0, 260.0
KERB = 0.12
EDGE = 90.0


@dataclass(frozen=True)
class Crossing:
    """A side street: its middle, half its width, and the sides that it leads to (-1 left, 1 right)."""

    y: float
    half: float
    sides: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """One side of the street: the space between the kerb and the houses."""

    sidewalk: float
    verge: float
    frontage: str
    setback: float
    parked: float


@dataclass(frozen=True)
class Plan:
    """The measures of one street. `own_side` is the side on which the camera's lane lies."""

    half_width: float
    sides: dict[int, Side]
    crossings: tuple[Crossing, ...]
    own_side: int
    signals: bool
    asphalt: int

    @property
    def parking(self) -> float:
        """The width that parked cars may take on a side."""
        return 2.1 if any(side.parked > 0 for side in self.sides.values()) else 0.0

    def lane_centre(self, side: int) -> float:
        """Return the middle of the lane on `side`."""
        parking = 2.1 if self.sides[side].parked > 0 else 0.0
        return side * max(1.25, (self.half_width - parking) * 0.5)

    def stretches(self, side: int, margin: float = 0.0) -> list[tuple[float, float]]:
        """Return the intervals of y along `side` that no side street interrupts."""
        start, intervals = START, []
        for crossing in self.crossings:
            if side in crossing.sides:
                intervals.append((start, crossing.y - crossing.half - margin))
                start = crossing.y + crossing.half + margin
        intervals.append((start, END))
        return [(low, high) for low, high in intervals if high - low > 1.0]

    def free(self, side: int, y: float, margin: float = 0.5) -> bool:
        """Return whether there is no side street at `y` on `side`."""
        return any(low <= y <= high for low, high in self.stretches(side, margin))


def draw_plan(rng: Random, look: Look) -> Plan:
    """Draw the measures of a street."""
    half_width = float(rng.uniform(*look.half_width))
    sides = {}
    for side in (-1, 1):
        frontage = weighted_pick(rng, look.frontages)
        sidewalk = float(rng.uniform(*look.sidewalk_width))
        verge = float(rng.uniform(0.8, 3.0)) if rng.random() < 0.25 else 0.0
        setback = {
            "flush": float(rng.choice([0.0, rng.uniform(0.0, 0.8)])),
            "yard": float(rng.uniform(1.5, 7.0)),
        }.get(frontage, float(rng.uniform(8, 40)))
        may_park = half_width > (4.0 if side == 1 else 4.6)
        parked = float(rng.uniform(*look.parked)) if may_park and rng.random() < 0.75 else 0.0
        sides[side] = Side(sidewalk, verge, frontage, setback, parked)
    crossings = []
    if rng.random() < look.crossing_share:
        leaving = ((-1,), (1,), (-1, 1))[int(rng.integers(3))]
        crossings.append(Crossing(float(rng.uniform(13, 42)), float(rng.uniform(2.8, 5.5)), leaving))
    if rng.random() < look.crossing_share:
        leaving = ((-1,), (1,), (-1, 1))[int(rng.integers(3))]
        crossings.append(Crossing(float(rng.uniform(62, 110)), float(rng.uniform(3, 6)), leaving))
    own_side = -1 if rng.random() < look.drives_on_left else 1
    return Plan(half_width, sides, tuple(crossings), own_side, rng.random() < 0.6, int(rng.integers(10)))


def _steps(low: float, high: float) -> np.ndarray:
    """Return the places along y where the ground may bend: many near the camera, few far ahead."""
    number = max(2, int((high - low) / (2.5 if high < 60 else 4.0)))
    return np.linspace(low, high, number)


def lay_ground(rng: Random, look: Look, plan: Plan, scene: Assembly) -> None:
    """Put carriageways, sidewalks, the ground beyond them and the markings into the scene."""
    level = float(rng.uniform(*look.asphalt))
    tint = rng.uniform(-look.asphalt_tint, look.asphalt_tint, 3)
    red, green, blue = (float(v) for v in np.clip(level + tint, 0.05, 1.0))
    tar: Colour = (red, green, blue)
    asphalt = ("asphalt", plan.asphalt)
    w = plan.half_width

    def lay(
        x_range: tuple[float, float],
        low: float,
        high: float,
        z: float,
        train_id: int,
        texture: tuple[str, int],
        colour: Colour,
        scale: float = 4.0,
    ) -> None:
        columns = max(2, int(abs(x_range[1] - x_range[0]) / 8) + 2)
        mesh = ground(x_range, _steps(low, high), z, scale, colour, columns)
        scene.add(mesh, train_id, texture, layer=GROUND)

    lay((-EDGE, EDGE), START, FAR, -0.15, TERRAIN, ("grass", int(rng.integers(6))), (0.9, 0.9, 0.9), 6.0)
    lay((-w, w), START, FAR, 0.0, ROAD, asphalt, tar, 8.0)
    for crossing in plan.crossings:
        for side in crossing.sides:
            x_range = (w - 0.05, EDGE) if side > 0 else (-EDGE, -w + 0.05)
            lay(
                x_range,
                crossing.y - crossing.half,
                crossing.y + crossing.half,
                -0.01,
                ROAD,
                asphalt,
                tar,
                8.0,
            )
    stone = varied(rng, pick(rng, look.paving), 0.06)
    other_stone = varied(rng, pick(rng, look.paving), 0.06)
    kerb: Colour = varied(rng, (0.62, 0.61, 0.59), 0.1)
    for side, measures in plan.sides.items():
        pave = ("paving", int(rng.integers(8)))
        grass = ("grass", int(rng.integers(6)))
        here = stone if rng.random() < 0.7 else other_stone
        for low, high in plan.stretches(side):
            _edge(scene, side * w, low, high, side, kerb)
            bounds = np.cumsum([w + 0.15, measures.verge, measures.sidewalk])
            if measures.verge:
                lay(_across(side, bounds[0], bounds[1]), low, high, KERB, TERRAIN, grass, (1, 1, 1), 4.0)
            lay(_across(side, bounds[1], bounds[2]), low, high, KERB, SIDEWALK, pave, here, 2.4)
            if measures.frontage == "flush":
                lay(_across(side, bounds[2], EDGE), low, high, KERB - 0.01, SIDEWALK, pave, here, 2.4)
            else:
                lay(_across(side, bounds[2], EDGE), low, high, KERB + 0.02, TERRAIN, grass, (1, 1, 1), 4.0)
        for crossing in plan.crossings:
            if side in crossing.sides:
                for edge, away in ((crossing.y - crossing.half, -1), (crossing.y + crossing.half, 1)):
                    span = sorted((edge, edge + away * 2.2))
                    lay(
                        _across(side, w + 0.15, EDGE),
                        span[0],
                        span[1],
                        KERB + 0.03,
                        SIDEWALK,
                        pave,
                        here,
                        2.4,
                    )
                    face = [
                        (side * w, edge, -0.02),
                        (side * EDGE, edge, -0.02),
                        (side * EDGE, edge, KERB + 0.03),
                        (side * w, edge, KERB + 0.03),
                    ]
                    scene.add(
                        quad(face if side * away < 0 else [face[i] for i in (1, 0, 3, 2)], kerb), SIDEWALK
                    )
    _mark(rng, look, plan, scene)


def _across(side: int, near: float, far: float) -> tuple[float, float]:
    return (near, far) if side > 0 else (-far, -near)


def _edge(scene: Assembly, x: float, low: float, high: float, side: int, colour: Colour) -> None:
    """Add the kerb: its face and the top of its stones."""
    top = ground(_across(side, abs(x), abs(x) + 0.15), _steps(low, high), KERB, colour=colour)
    scene.add(top, SIDEWALK, layer=GROUND)
    ys = _steps(low, high)
    for a, b in pairwise(ys):
        start, end = (a, b) if side < 0 else (b, a)
        corners = [(x, start, -0.02), (x, end, -0.02), (x, end, KERB), (x, start, KERB)]
        dark = tuple(c * 0.8 for c in colour)
        scene.add(quad(corners, dark), SIDEWALK, layer=GROUND)


def _flat(x: float, y: float, width: float, length: float, colour: Colour) -> Mesh:
    return ground((x - width / 2, x + width / 2), [y - length / 2, y + length / 2], 0.0, colour=colour)


def _mark(rng: Random, look: Look, plan: Plan, scene: Assembly) -> None:
    white = varied(rng, look.marking[0], 0.04)
    wear = float(rng.uniform(0.55, 1.0))
    w = plan.half_width

    def paint(mesh: Mesh, strength: float = 1.0) -> None:
        scene.add(mesh, ROAD, layer=MARKING, opacity=wear * strength)

    def dashes(x: float, length: float, gap: float, width: float, colour: Colour, end: float) -> None:
        steps = np.arange(-6, end, length + gap)
        one = ground((x - width / 2, x + width / 2), [0, length / 2, length], 0.0, colour=colour)
        paint(repeated(one, np.column_stack([steps * 0, steps, steps * 0])))

    kind = rng.random()
    if kind < 0.8:
        length, gap = ((2.0, 4.0), (4.0, 2.0), (3.0, 6.0), (1.0, 5.0), (40.0, 0.0))[int(rng.integers(5))]
        colour = varied(rng, pick(rng, look.marking), 0.04)
        for offset in (-0.12, 0.12) if gap == 0 and rng.random() < 0.5 else (0.0,):
            dashes(offset, min(length, 4.0), gap, float(rng.uniform(0.1, 0.16)), colour, 120)
    if plan.parking and rng.random() < 0.4:
        for side in (-1, 1):
            if plan.sides[side].parked:
                dashes(side * (w - 2.15), 1.0, 1.0, 0.1, white, 90)
    for side in (-1, 1):
        line = weighted_pick(rng, look.kerb_line)
        colour = varied(rng, (0.80, 0.66, 0.22), 0.08) if rng.random() < 0.6 or line == "double" else white
        for k in range({"none": 0, "single": 1, "double": 2}[line]):
            x = side * (w - 0.30 - 0.22 * k)
            for low, high in plan.stretches(side):
                paint(ground((x - 0.05, x + 0.05), _steps(low, high), 0.0, colour=colour))
    if rng.random() < 0.22:
        y = float(rng.uniform(7, 30))
        bars = np.arange(-w + 0.5, w - 0.2, 1.1)
        paint(repeated(_flat(0, 0, 0.55, 3.2, white), np.column_stack([bars, bars * 0 + y, bars * 0])))
    for crossing in plan.crossings:
        stop = crossing.y - crossing.half - 1.5
        lane = plan.own_side
        if plan.signals:
            paint(_flat(lane * w / 2, stop, w * 0.92, 0.3, white))
            if rng.random() < 0.5:
                box_marks = np.linspace(-w, w, 7)
                for x in box_marks[:-1]:
                    paint(_slanted(x, crossing.y - 3, w / 2.5, 6, (0.85, 0.72, 0.25)))
                    paint(_slanted(-x, crossing.y - 3, -w / 2.5, 6, (0.85, 0.72, 0.25)))
        for side in crossing.sides:
            ys = np.arange(crossing.y - crossing.half + 0.4, crossing.y + crossing.half - 0.2, 0.9)
            for x in (side * (w + 0.4), side * (w + 0.8)):
                paint(repeated(_flat(0, 0, 0.2, 0.5, white), np.column_stack([ys * 0 + x, ys, ys * 0])))
    if rng.random() < 0.4:
        x, y = plan.lane_centre(plan.own_side), float(rng.uniform(6, 22))
        paint(_flat(x, y, 0.15, 2.4, white))
        paint(_slanted(x - 0.5, y + 0.9, 0.5, 0.9, white, 0.16))
        paint(_slanted(x + 0.5, y + 0.9, -0.5, 0.9, white, 0.16))
    if rng.random() < 0.15:
        side = plan.own_side
        colour = pick(rng, ((0.45, 0.20, 0.18), (0.18, 0.36, 0.22)))
        inner = w - (2.2 if plan.sides[side].parked else 0.2)
        paint(ground(_across(side, inner - 1.4, inner), _steps(2, 60), 0.0, colour=colour), 0.7)
    for _ in range(int(rng.integers(0, 5))):
        tone = float(rng.uniform(0.1, 0.3))
        x, y = float(rng.uniform(-w, w)) * 0.8, float(rng.uniform(3, 30))
        paint(_flat(x, y, 0.55, 0.55, (tone, tone, tone)), 0.7)


def _slanted(x: float, y: float, lean: float, length: float, colour: Colour, width: float = 0.14) -> Mesh:
    corners = [(x, y, 0), (x + width, y, 0), (x + lean + width, y + length, 0), (x + lean, y + length, 0)]
    return quad(corners, colour)
