"""Traffic: parked and moving vehicles, cyclists, motorcyclists and pedestrians."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from streets import cars, heavy_vehicles, people, two_wheelers
from streets.assembly import PLAIN, Assembly
from streets.drawing import Random, pick, varied
from streets.ground_plan import KERB, Plan
from streets.looks import Look
from streets.meshes import Colour, Mesh, repainted
from streets.shadows import ShadowMap

PERSON, RIDER, CAR, TRUCK, BUS, MOTORCYCLE, BICYCLE = 11, 12, 13, 14, 15, 17, 18

CAR_SHARES = {
    "hatchback": 0.3,
    "saloon": 0.17,
    "estate": 0.12,
    "off_roader": 0.1,
    "people_carrier": 0.09,
    "small": 0.08,
    "coupe": 0.04,
    "van": 0.06,
    "large_van": 0.04,
}

RED: Colour = (0.62, 0.09, 0.09)


@cache
def _car_mesh(name: str, windows: bool) -> Mesh:
    return cars.car(cars.CAR_SHAPES[name], windows)


@dataclass
class Stage:
    """The street that is being filled, and the rectangles of its ground that are occupied already."""

    rng: Random
    look: Look
    plan: Plan
    scene: Assembly
    shadow: ShadowMap
    occupied: list[tuple[float, float, float, float]] = field(default_factory=list)

    def claim(self, x: float, y: float, width: float, length: float) -> bool:
        """Occupy a rectangle around (x, y) and return True; return False if something is there already."""
        for other_x, other_y, other_width, other_length in self.occupied:
            if (
                abs(x - other_x) < (width + other_width) / 2
                and abs(y - other_y) < (length + other_length) / 2
            ):
                return False
        self.occupied.append((x, y, width, length))
        return True

    def paint(self) -> Colour:
        """Draw the colour of a vehicle."""
        return varied(self.rng, pick(self.rng, self.look.car_paints), 0.05)

    def shade(self, at: tuple[float, float], size: tuple[float, float, float], heading: float) -> None:
        """Cast the shadow of a vehicle of `size` (width, length, height)."""
        (x, y), (width, length, height) = at, size
        self.shadow.beneath(x, y, width + 0.1, length + 0.1, heading)
        turn = np.radians(heading)
        along = np.array([-np.sin(turn), np.cos(turn)]) * length * 0.42
        across = np.array([np.cos(turn), np.sin(turn)]) * width / 2
        middle = np.array([x, y])
        self.shadow.block([middle + a * along + b * across for a in (-1, 1) for b in (-1, 1)], height)


def fill_street(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap) -> None:
    """Put all vehicles and people into the scene."""
    stage = Stage(rng, look, plan, scene, shadow)
    flow = float(rng.uniform(*look.traffic))
    for side in (-1, 1):
        _parked(stage, side)
        _driving(stage, side, flow)
    for side in (-1, 1):
        _two_wheelers(stage, side)
        _walkers(stage, side)
    if rng.random() < 0.3:
        y = float(rng.uniform(9, 35))
        for _ in range(int(rng.integers(1, 4))):
            x = float(rng.uniform(-plan.half_width, plan.half_width))
            heading = float(rng.choice([90.0, 270.0])) + float(rng.normal(0, 12))
            _person(stage, x, y, 0.0, heading)
            y += float(rng.normal(0, 0.8))


def _car(stage: Stage, x: float, y: float, heading: float) -> None:
    rng = stage.rng
    name = str(rng.choice(list(CAR_SHARES), p=np.array(list(CAR_SHARES.values()))))
    shape = cars.CAR_SHAPES[name]
    windows = not name.endswith("van") or rng.random() < 0.3
    colour = stage.paint()
    if name.endswith("van") and rng.random() < 0.6:
        colour = varied(rng, (0.82, 0.82, 0.81), 0.06)
    if stage.claim(x, y, shape.width, shape.length):
        stage.scene.add(repainted(_car_mesh(name, windows), colour), CAR, at=(x, y, 0), heading=heading)
        stage.shade((x, y), (shape.width, shape.length, shape.height), heading)


def _heavy(stage: Stage, x: float, y: float, heading: float) -> float:
    """Put a lorry or a bus into the scene, with its near end at `y`; return its length."""
    rng, look = stage.rng, stage.look
    if rng.random() < 0.5:
        length = float(rng.uniform(6.0, 9.5))
        body = varied(rng, pick(rng, ((0.86, 0.86, 0.85), *look.car_paints)), 0.06)
        parts, train_id, height = heavy_vehicles.lorry(rng, length, body), TRUCK, 3.4
    else:
        double = rng.random() < look.double_decker
        parts, train_id = heavy_vehicles.bus(rng, double), BUS
        length, height = (10.0, 4.3) if double else (11.5, 3.0)
    colour = RED if train_id == BUS and rng.random() < 0.4 else stage.paint()
    middle = y + length / 2
    if stage.claim(x, middle, 2.5, length):
        for mesh, texture in parts:
            stage.scene.add(repainted(mesh, colour), train_id, texture, (x, middle, 0), heading)
        stage.shade((x, middle), (2.5, length, height), heading)
    return length


def _parked(stage: Stage, side: int) -> None:
    rng, plan = stage.rng, stage.plan
    density = plan.sides[side].parked
    if not density:
        return
    x = side * (plan.half_width - 1.08)
    with_traffic = 0.0 if side == plan.own_side else 180.0
    y = float(rng.uniform(0.5, 6.0))
    while y < 90:
        if rng.random() < density and plan.free(side, y, 3.5):
            heading = with_traffic + (180.0 if rng.random() < 0.12 else 0.0) + float(rng.normal(0, 1.5))
            if rng.random() < 0.04 and y > 8:
                y += _heavy(stage, side * (plan.half_width - 1.35), y - 2, heading)
            elif rng.random() < 0.07:
                _motorcycle(
                    stage, x + side * 0.4, y, heading + side * float(rng.uniform(20, 80)), ridden=False
                )
                y -= 3.0
            else:
                _car(stage, x + float(rng.normal(0, 0.1)), y, heading)
        y += float(rng.uniform(5.2, 6.6))


def _driving(stage: Stage, side: int, flow: float) -> None:
    rng, lane = stage.rng, stage.plan.lane_centre(side)
    own = side == stage.plan.own_side
    heading = 0.0 if own else 180.0
    y = float(rng.uniform(7.5, 26)) if own else float(rng.uniform(5, 22))
    while y < 100:
        if rng.random() < flow:
            turn = heading + float(rng.normal(0, 1.5))
            x = lane + float(rng.normal(0, 0.15))
            if rng.random() < stage.look.heavy:
                y += _heavy(stage, x, y - 2, turn)
            else:
                _car(stage, x, y, turn)
        y += float(rng.uniform(6.5, 22))


def _two_wheelers(stage: Stage, side: int) -> None:
    rng, plan, look = stage.rng, stage.plan, stage.look
    heading = 0.0 if side == plan.own_side else 180.0
    parking = 2.1 if plan.sides[side].parked else 0.0
    edge = max(1.2, plan.half_width - parking - 0.55)
    for _ in range(int(rng.poisson(look.cyclists))):
        x, y = side * (edge - float(rng.exponential(0.3))), 5.5 + float(rng.exponential(13.0))
        turn = heading + float(rng.normal(0, 5)) + (90.0 if rng.random() < 0.12 else 0.0)
        rider = people.cyclist(rng, look)
        if _bicycle(stage, x, y, 0.0, turn, 0.0):
            stage.scene.add(rider, RIDER, at=(x, y, 0), heading=turn)
            stage.shade((x, y), (0.3, 1.4, 1.6), turn)
    if rng.random() < 0.22:
        x, y = plan.lane_centre(side) + float(rng.normal(0, 0.6)), 7.0 + float(rng.exponential(12.0))
        _motorcycle(stage, x, y, heading + float(rng.normal(0, 4)), ridden=True)
    if rng.random() < 0.4:
        # A row of parked bicycles at the kerb or at the houses.
        measures = plan.sides[side]
        y = float(rng.uniform(4, 28))
        at_wall = rng.random() < 0.5
        offset = measures.verge + (measures.sidewalk - 0.35 if at_wall else 0.55)
        for k in range(int(rng.integers(1, 6))):
            place = y + k * (0.75 if not at_wall else 1.9)
            turn = float(rng.normal(0, 6)) + (0.0 if at_wall else 65.0)
            x = side * (plan.half_width + 0.15 + offset)
            if plan.free(side, place, 1.0):
                _bicycle(stage, x, place, KERB, turn, float(rng.uniform(-9, 9)))


def _motorcycle(stage: Stage, x: float, y: float, heading: float, ridden: bool) -> None:
    mesh = repainted(two_wheelers.motorcycle(), stage.paint())
    rider = people.motorcyclist(stage.rng, stage.look) if ridden else None
    if stage.claim(x, y, 0.7, 2.0):
        stage.scene.add(mesh, MOTORCYCLE, at=(x, y, 0), heading=heading)
        if rider is not None:
            stage.scene.add(rider, RIDER, at=(x, y, 0), heading=heading)
        stage.shade((x, y), (0.5, 1.8, 1.1), heading)


def _bicycle(stage: Stage, x: float, y: float, z: float, heading: float, lean: float) -> bool:
    """Put a bicycle into the scene unless its place is occupied; return whether it was put there."""
    colour = stage.paint()
    if not stage.claim(x, y, 0.5, 0.7 if z else 1.8):
        return False
    for mesh, texture in two_wheelers.leaning(two_wheelers.bicycle(), lean):
        stage.scene.add(repainted(mesh, colour), BICYCLE, texture, (x, y, z), heading)
    return True


def _person(stage: Stage, x: float, y: float, z: float, heading: float) -> None:
    mesh = people.pedestrian(stage.rng, stage.look)
    if stage.claim(x, y, 0.5, 0.5):
        stage.scene.add(mesh, PERSON, PLAIN, (x, y, z), heading)
        stage.shadow.beneath(x, y, 0.4, 0.4)
        stage.shadow.block([(x - 0.2, y), (x + 0.2, y), (x, y + 0.2)], 1.7)


def _walkers(stage: Stage, side: int) -> None:
    rng, measures = stage.rng, stage.plan.sides[side]
    busy = float(rng.gamma(1.6, 1 / 1.6)) * stage.look.people
    start = stage.plan.half_width + 0.15 + measures.verge
    for _ in range(int(rng.poisson(busy * 0.8))):
        x = side * (start + float(rng.uniform(0.3, max(0.5, measures.sidewalk - 0.4))))
        y = 4.0 + 42.0 * float(rng.random()) ** 1.6
        if not stage.plan.free(side, y, 0.0):
            continue
        heading = float(rng.choice([0.0, 180.0])) + float(rng.normal(0, 12))
        if rng.random() < 0.12:
            heading = float(rng.uniform(0, 360))
        for k in range(1 + int(rng.random() < 0.3)):
            _person(stage, x - side * 0.6 * k, y + float(rng.normal(0, 0.2)) * k, KERB, heading)
