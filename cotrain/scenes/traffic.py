"""Who is under way: parked and driving vehicles, cyclists, motorcyclists and people on foot."""

from functools import cache

import numpy as np

from cotrain.scenes import people, vehicles
from cotrain.scenes.assembly import PLAIN, Assembly
from cotrain.scenes.drawing import Random, pick, varied
from cotrain.scenes.ground_plan import KERB, Plan
from cotrain.scenes.looks import Look
from cotrain.scenes.meshes import Colour, Mesh, repainted
from cotrain.scenes.shadows import ShadowMap

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


@cache
def _car_mesh(name: str, windows: bool) -> Mesh:
    return vehicles.car(vehicles.CAR_SHAPES[name], windows)


def fill_street(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap) -> None:
    """Put everything that moves, or could, into the scene."""
    flow = float(rng.uniform(*look.traffic))
    for side in (-1, 1):
        _parked(rng, look, plan, scene, shadow, side)
        _driving(rng, look, plan, scene, shadow, side, flow)
        _two_wheelers(rng, look, plan, scene, shadow, side)
        _walkers(rng, look, plan, scene, shadow, side)
    if rng.random() < 0.3:
        y, step = float(rng.uniform(9, 35)), 0.0
        for _ in range(int(rng.integers(1, 4))):
            x = float(rng.uniform(-plan.half_width, plan.half_width))
            heading = float(rng.choice([90.0, 270.0])) + float(rng.normal(0, 12))
            _person(rng, look, scene, shadow, x, y + step, 0.0, heading)
            step += float(rng.normal(0, 0.8))


def _paint(rng: Random, look: Look) -> Colour:
    return varied(rng, pick(rng, look.car_paints), 0.05)


def _car(rng: Random, look: Look, scene: Assembly, shadow: ShadowMap, x: float, y: float, heading: float) -> float:
    name = str(rng.choice(list(CAR_SHARES), p=np.array(list(CAR_SHARES.values()))))
    shape = vehicles.CAR_SHAPES[name]
    windows = not name.endswith("van") or rng.random() < 0.3
    colour = _paint(rng, look)
    if name.endswith("van") and rng.random() < 0.6:
        colour = varied(rng, (0.82, 0.82, 0.81), 0.06)
    scene.add(repainted(_car_mesh(name, windows), colour), CAR, at=(x, y, 0), heading=heading)
    _vehicle_shadow(shadow, x, y, shape.width, shape.length, shape.height, heading)
    return shape.length


def _vehicle_shadow(
    shadow: ShadowMap, x: float, y: float, width: float, length: float, height: float, heading: float
) -> None:
    shadow.beneath(x, y, width + 0.1, length + 0.1, heading)
    turn = np.radians(heading)
    along, across = np.array([-np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), np.sin(turn)])
    corners = [
        np.array([x, y]) + a * along * length * 0.42 + b * across * width / 2
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    shadow.block(corners, height)


def _heavy(rng: Random, look: Look, scene: Assembly, shadow: ShadowMap, x: float, y: float, heading: float) -> float:
    """Put a lorry or a bus whose near end lies about `y` into the scene; return its length."""
    if rng.random() < 0.5:
        length = float(rng.uniform(6.0, 9.5))
        body = varied(rng, pick(rng, ((0.86, 0.86, 0.85), *look.car_paints)), 0.06)
        parts, train_id, height = vehicles.lorry(rng, length, body), TRUCK, 3.4
    else:
        double = rng.random() < look.double_decker
        parts, train_id = vehicles.bus(rng, double), BUS
        length, height = (10.0, 4.3) if double else (11.5, 3.0)
    red = (0.62, 0.09, 0.09)
    colour = red if train_id == BUS and rng.random() < 0.4 else _paint(rng, look)
    for mesh, texture in parts:
        scene.add(repainted(mesh, colour), train_id, texture, (x, y + length / 2, 0), heading)
    _vehicle_shadow(shadow, x, y + length / 2, 2.5, length, height, heading)
    return length


def _parked(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap, side: int) -> None:
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
                y += _heavy(rng, look, scene, shadow, side * (plan.half_width - 1.35), y - 2, heading)
            elif rng.random() < 0.07:
                mesh = repainted(vehicles.motorcycle(), _paint(rng, look))
                scene.add(mesh, MOTORCYCLE, at=(x + side * 0.4, y, 0), heading=heading + side * float(rng.uniform(20, 80)))
                shadow.beneath(x + side * 0.4, y, 0.6, 1.8, heading)
                y -= 3.0
            else:
                _car(rng, look, scene, shadow, x + float(rng.normal(0, 0.1)), y, heading)
        y += float(rng.uniform(5.2, 6.6))


def _driving(
    rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap, side: int, flow: float
) -> None:
    lane = plan.lane_centre(side)
    own = side == plan.own_side
    heading = 0.0 if own else 180.0
    y = float(rng.uniform(7.5, 26)) if own else float(rng.uniform(5, 22))
    while y < 100:
        if rng.random() < flow:
            turn = heading + float(rng.normal(0, 1.5))
            x = lane + float(rng.normal(0, 0.15))
            if rng.random() < look.heavy:
                y += _heavy(rng, look, scene, shadow, x, y, turn)
            else:
                _car(rng, look, scene, shadow, x, y, turn)
        y += float(rng.uniform(6.5, 22))


def _two_wheelers(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap, side: int) -> None:
    heading = 0.0 if side == plan.own_side else 180.0
    taken = 2.1 if plan.sides[side].parked else 0.0
    edge = max(1.2, plan.half_width - taken - 0.55)
    for _ in range(int(rng.poisson(look.cyclists))):
        x, y = side * (edge - float(rng.exponential(0.3))), 5.5 + float(rng.exponential(13.0))
        turn = heading + float(rng.normal(0, 5))
        if rng.random() < 0.12:
            turn += 90.0
        _bicycle(rng, look, scene, x, y, 0.0, turn, 0.0)
        scene.add(people.cyclist(rng, look), RIDER, at=(x, y, 0), heading=turn)
        shadow.beneath(x, y, 0.35, 1.4, turn)
    if rng.random() < 0.26:
        x, y = plan.lane_centre(side) + float(rng.normal(0, 0.6)), 7.0 + float(rng.exponential(12.0))
        turn = heading + float(rng.normal(0, 4))
        scene.add(repainted(vehicles.motorcycle(), _paint(rng, look)), MOTORCYCLE, at=(x, y, 0), heading=turn)
        scene.add(people.motorcyclist(rng, look), RIDER, at=(x, y, 0), heading=turn)
        shadow.beneath(x, y, 0.5, 1.8, turn)
    if rng.random() < 0.4:
        # A row of parked bicycles, at the kerb or against the houses.
        measures = plan.sides[side]
        y = float(rng.uniform(4, 28))
        at_wall = rng.random() < 0.5
        offset = measures.verge + (measures.sidewalk - 0.35 if at_wall else 0.55)
        for k in range(int(rng.integers(1, 6))):
            place = y + k * (0.75 if not at_wall else 1.9)
            turn = float(rng.normal(0, 6)) + (0.0 if at_wall else 65.0)
            x = side * (plan.half_width + 0.15 + offset)
            if plan.free(side, place, 1.0):
                _bicycle(rng, look, scene, x, place, KERB, turn, float(rng.uniform(-9, 9)))


def _bicycle(
    rng: Random, look: Look, scene: Assembly, x: float, y: float, z: float, heading: float, lean: float
) -> None:
    colour = _paint(rng, look)
    for mesh, texture in vehicles.leaning(vehicles.bicycle(), lean):
        scene.add(repainted(mesh, colour), BICYCLE, texture, (x, y, z), heading)


def _person(
    rng: Random, look: Look, scene: Assembly, shadow: ShadowMap, x: float, y: float, z: float, heading: float
) -> None:
    scene.add(people.pedestrian(rng, look), PERSON, PLAIN, (x, y, z), heading)
    shadow.beneath(x, y, 0.4, 0.4)
    shadow.block([(x - 0.2, y), (x + 0.2, y), (x, y + 0.2)], 1.7)


def _walkers(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap, side: int) -> None:
    measures = plan.sides[side]
    busy = float(rng.gamma(1.6, 1 / 1.6)) * look.people
    start = plan.half_width + 0.15 + measures.verge
    for _ in range(int(rng.poisson(busy * 0.7))):
        x = side * (start + float(rng.uniform(0.3, max(0.5, measures.sidewalk - 0.4))))
        y = 4.0 + 42.0 * float(rng.random()) ** 1.5
        if not plan.free(side, y, 0.0):
            continue
        heading = float(rng.choice([0.0, 180.0])) + float(rng.normal(0, 12))
        if rng.random() < 0.12:
            heading = float(rng.uniform(0, 360))
        for k in range(1 + int(rng.random() < 0.3)):
            _person(rng, look, scene, shadow, x - side * 0.6 * k, y + float(rng.normal(0, 0.2)) * k, KERB, heading)
