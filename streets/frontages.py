"""Both sides of a street: rows of houses, gardens, parks, trees, lamps, signs, lights, fences."""

import numpy as np

from streets import furniture
from streets.assembly import Assembly
from streets.buildings import RowStyle, building, row_style
from streets.drawing import Random, weighted_pick
from streets.furniture import Part, put
from streets.ground_plan import END, KERB, Plan
from streets.looks import Look
from streets.meshes import Colour
from streets.shadows import ShadowMap

# Beyond this distance, everything is only a few pixels tall.
DETAIL_END = 95.0
# What stands between a sidewalk and a garden or park, by weight; and how much of it has plants behind it.
BOUNDARIES = {"wall": 0.15, "fence": 0.25, "railings": 0.45, "hedge": 0.15}
PLANTED = {"wall": 0.25, "fence": 0.5, "railings": 0.85, "hedge": 0.0}


def line_street(rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap) -> None:
    """Put everything that stands along both sides of the street into the scene."""
    metal = furniture.metal_colour(rng)
    for side in (-1, 1):
        measures = plan.sides[side]
        front = plan.half_width + 0.15 + measures.verge + measures.sidewalk
        for low, high in plan.stretches(side, 2.2):
            style = row_style(rng, look, measures.frontage == "yard")
            _houses(rng, look, scene, shadow, side, front + measures.setback, low, high, style)
            if measures.frontage == "park":
                _park(rng, look, scene, shadow, side, front, low, high)
            elif measures.frontage == "yard":
                _yards(rng, look, scene, side, front, measures.setback, low, high)
            elif measures.frontage == "flush" and rng.random() < 0.12:
                _boundary(rng, look, scene, side, front - 0.1, max(low, 4.0), min(high, 60.0), 1)
        _furnish(rng, look, plan, scene, shadow, side, metal)
    _close_views(rng, look, plan, scene)
    _signals(rng, plan, scene, metal)


def _houses(
    rng: Random,
    look: Look,
    scene: Assembly,
    shadow: ShadowMap,
    side: int,
    front: float,
    low: float,
    high: float,
    style: RowStyle,
) -> None:
    y = low
    while y < high - 3:
        if rng.random() < 0.06:
            y += float(rng.uniform(2, 8))
            style = row_style(rng, look, rng.random() < 0.5)
            continue
        width = style.bay * int(rng.integers(1, 3) if style.terrace else rng.integers(2, 6))
        width = min(width, high - y)
        depth = float(rng.uniform(8, 13))
        parts, height = building(rng, look, style, width, depth)
        _stand(scene, parts, side, front, y, width)
        if y < DETAIL_END:
            edges = (side * front, side * (front + depth))
            shadow.block([(x, v) for x in edges for v in (y, y + width)], height)
        y += width
        if not style.terrace and rng.random() < 0.2:
            y += float(rng.uniform(1, 4))
        if rng.random() < 0.12:
            style = row_style(rng, look, rng.random() < 0.5)


def _stand(scene: Assembly, parts: list[Part], side: int, front: float, y: float, width: float) -> None:
    if side > 0:
        put(scene, parts, (front, y, KERB))
    else:
        put(scene, parts, (-front, y + width, KERB), 180.0)


def _boundary(
    rng: Random, look: Look, scene: Assembly, side: int, x: float, low: float, high: float, pieces: int
) -> None:
    """Put walls, fences, railings or hedges along the sidewalk, in up to `pieces` pieces of one kind each."""
    if high - low < 1.0:
        return
    ends = np.sort(rng.uniform(low, high, max(pieces - 1, 0)))
    for start, end in zip([low, *ends], [*ends, high], strict=True):
        y = start
        kind = weighted_pick(rng, BOUNDARIES)
        planted = rng.random() < PLANTED[kind]
        while y < end - 0.8:
            length = min(24.0 if kind in ("fence", "railings") else 8.0, end - y)
            if kind == "wall":
                parts = furniture.wall(rng, length)
            elif kind == "fence":
                parts = furniture.fence(rng, look, length)
            elif kind == "railings":
                parts = furniture.railings(rng, look, length)
            else:
                parts = furniture.hedge(rng, length)
            put(scene, parts, (side * x, float(y), KERB))
            if planted:
                _plant(rng, look, scene, side * (x + 0.7), y, y + length)
            y += length + (1.3 if rng.random() < 0.3 else 0.0)


def _plant(rng: Random, look: Look, scene: Assembly, x: float, low: float, high: float) -> None:
    """Put a hedge, or shrubs and small trees, behind a boundary."""
    if rng.random() < 0.5:
        put(scene, furniture.hedge(rng, high - low), (x, low, KERB))
        return
    y = low + float(rng.uniform(0, 1.5))
    while y < high:
        if rng.random() < 0.75:
            parts = furniture.bush(rng)
        else:
            parts = furniture.tree(rng, look, float(rng.uniform(2, 6)))
        put(scene, parts, (x * float(rng.uniform(1.02, 1.25)), y, KERB))
        y += float(rng.uniform(0.8, 3.5))


def _yards(
    rng: Random, look: Look, scene: Assembly, side: int, front: float, setback: float, low: float, high: float
) -> None:
    _boundary(
        rng, look, scene, side, front + 0.2, max(low, -3.0), min(high, DETAIL_END), int(rng.integers(1, 5))
    )
    for y in np.arange(max(low, 0.0) + 2, min(high, 70.0) - 2, 5.0):
        if rng.random() < 0.35 and setback > 2:
            put(scene, furniture.bush(rng), (side * (front + setback * 0.5), float(y), KERB))
        if rng.random() < 0.12 and setback > 3.5:
            height = float(rng.uniform(3, 7))
            put(scene, furniture.tree(rng, look, height), (side * (front + setback * 0.5), float(y), KERB))


def _park(
    rng: Random,
    look: Look,
    scene: Assembly,
    shadow: ShadowMap,
    side: int,
    front: float,
    low: float,
    high: float,
) -> None:
    if rng.random() < 0.8:
        _boundary(
            rng,
            look,
            scene,
            side,
            front + 0.2,
            max(low, -4.0),
            min(high, DETAIL_END),
            int(rng.integers(1, 4)),
        )
    y = max(low, 0.0) + 2
    while y < min(high, 130.0) - 2:
        x, height = side * (front + float(rng.uniform(1.5, 14))), float(rng.uniform(4, 12))
        put(scene, furniture.tree(rng, look, height), (x, float(y), KERB))
        shadow.crown(x, y, height * 0.4, height, height * 0.22, 0.7)
        if rng.random() < 0.4:
            put(scene, furniture.bush(rng), (side * (front + float(rng.uniform(1, 6))), float(y) + 1.5, KERB))
        y += float(rng.uniform(2.5, 9))


def _furnish(
    rng: Random, look: Look, plan: Plan, scene: Assembly, shadow: ShadowMap, side: int, metal: Colour
) -> None:
    """Put lamps, signs, trees and bollards along the kerb."""
    measures = plan.sides[side]
    kerb = plan.half_width
    tree_share = (
        look.trees * float(rng.uniform(0, 1.4)) if measures.sidewalk > 1.9 or measures.verge else 0.05
    )
    sign_share = float(rng.uniform(0.15, 0.45))
    lamp_height = float(rng.uniform(4.5, 9.0))
    lamp_step, next_lamp = float(rng.uniform(18, 32)), float(rng.uniform(2, 18))
    y = float(rng.uniform(3, 9))
    while y < DETAIL_END:
        x = side * (kerb + float(rng.uniform(0.35, 0.7)))
        if plan.free(side, y):
            if y >= next_lamp:
                heading = 0.0 if side > 0 else 180.0
                put(scene, furniture.lamp_post(rng, lamp_height, metal), (x, y, KERB), heading)
                shadow.block([(x - 0.06, y), (x + 0.06, y), (x, y + 0.1)], lamp_height)
                next_lamp = y + lamp_step
            elif rng.random() < tree_share:
                height = float(rng.uniform(3.5, 9.5))
                if measures.verge:
                    x = side * (kerb + 0.15 + measures.verge / 2)
                put(scene, furniture.tree(rng, look, height), (x, y, KERB), float(rng.uniform(0, 360)))
                shadow.crown(x, y, height * 0.4, height, height * 0.24, 0.75)
                shadow.block([(x - 0.12, y), (x + 0.12, y), (x, y + 0.2)], height * 0.4)
            elif rng.random() < sign_share:
                put(scene, furniture.sign_post(rng, metal), (x, y, KERB), float(rng.normal(0, 12)))
                shadow.block([(x - 0.04, y), (x + 0.04, y), (x, y + 0.1)], 2.6)
            elif rng.random() < 0.10:
                put(scene, furniture.bollards(rng, min(10.0, DETAIL_END - y), metal), (x, y, KERB))
        y += float(rng.uniform(2.5, 8))
    if rng.random() < 0.22:
        start = float(rng.uniform(2, 25))
        end = start + float(rng.uniform(8, 24))
        if plan.free(side, start) and plan.free(side, end) and plan.free(side, (start + end) / 2):
            put(scene, furniture.fence(rng, look, end - start), (side * (kerb + 0.3), start, KERB))


def _close_views(rng: Random, look: Look, plan: Plan, scene: Assembly) -> None:
    """Close the view at the end of the street and of each side street."""
    if rng.random() < 0.75:
        x = -45.0
        style = row_style(rng, look, False)
        while x < 45:
            width = style.bay * int(rng.integers(2, 6))
            parts, _ = building(rng, look, style, width, 10.0)
            put(scene, parts, (x + width, END + 6.0, 0.0), 90.0)
            x += width
    for _ in range(int(rng.integers(3, 12))):
        place = (float(rng.uniform(-40, 40)), END + float(rng.uniform(-6, 5)), 0.0)
        if abs(place[0]) > plan.half_width + 1:
            put(scene, furniture.tree(rng, look, float(rng.uniform(6, 14))), place)
    for crossing in plan.crossings:
        for side in crossing.sides:
            style = row_style(rng, look, rng.random() < 0.5)
            measures = plan.sides[side]
            x = plan.half_width + measures.sidewalk + measures.verge + measures.setback + 13.0
            while x < 70:
                width = style.bay * int(rng.integers(2, 5))
                parts, _ = building(rng, look, style, width, 10.0)
                start = x + width if side > 0 else -x
                put(scene, parts, (start, crossing.y + crossing.half + 2.5, KERB), 90.0)
                x += width
            if rng.random() < 0.5:
                end = side * float(rng.uniform(26, 60))
                put(scene, furniture.tree(rng, look, float(rng.uniform(5, 10))), (end, crossing.y, 0.0))


def _signals(rng: Random, plan: Plan, scene: Assembly, metal: Colour) -> None:
    """Put traffic lights at the first side street or at a pedestrian crossing."""
    stops = [c.y - c.half - 1.0 for c in plan.crossings[:1]] if plan.signals else []
    if not stops and rng.random() < 0.3:
        stops = [float(rng.uniform(9, 32))]
    for stop in stops:
        lit = int(rng.choice(3, p=[0.45, 0.1, 0.45]))
        for side in (-1, 1):
            x = side * (plan.half_width + float(rng.uniform(0.3, 0.6)))
            reach = 3.0 if side == plan.own_side and rng.random() < 0.15 else 0.0
            heading = 0.0 if side > 0 or not reach else 180.0
            put(
                scene,
                furniture.traffic_light(rng, metal, lit, reach if heading == 0 else 0.0),
                (x, stop, KERB),
            )
            if rng.random() < 0.7 and plan.crossings:
                beyond = plan.crossings[0].y + plan.crossings[0].half + 1.2
                put(
                    scene,
                    furniture.traffic_light(rng, metal, lit),
                    (x, beyond, KERB),
                    float(rng.normal(0, 8)),
                )
            if rng.random() < 0.4:
                away = furniture.traffic_light(rng, metal, int(rng.integers(3)))
                put(scene, away, (x + side * 0.3, stop + 0.6, KERB), float(rng.choice([90.0, 180.0, 270.0])))
