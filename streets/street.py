"""Lays out one street: ground, markings, houses, furniture and traffic."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cotrain.randomness import generator
from streets import frontages, ground_plan, traffic
from streets.assembly import Assembly, Batch, Light
from streets.drawing import Random, weighted_pick
from streets.ground_plan import Plan
from streets.looks import Look
from streets.renderer import View
from streets.shadows import ShadowMap


@dataclass(frozen=True)
class Scene:
    """Everything that the renderer and the camera need for one scene.

    `shadow` uint8 (512, 256) is the texture of the shadow layer, `sky` the kind of sky, and `rng` the
    generator for the sky and the camera.
    """

    batches: list[Batch]
    view: View
    shadow: NDArray[np.uint8]
    haze_distance: float
    sky: str
    rng: Random = field(repr=False)


def _light(rng: Random, look: Look, sky: str) -> Light:
    azimuth, elevation = np.radians(rng.uniform(0, 360)), np.radians(rng.uniform(14, 58))
    towards = (
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.cos(elevation) * np.cos(azimuth)),
        float(np.sin(elevation)),
    )
    strength = float(rng.uniform(*look.sun)) * {"clear": 1.0, "cloudy": 0.5, "white": 0.45}[sky]
    sky_light = float(rng.uniform(*look.sky_light))
    warm = float(rng.uniform(0, look.warmth))
    return Light(
        towards,
        strength * np.array([1 + warm, 1.0, 1 - 1.6 * warm], np.float32),
        sky_light * np.array([1 - 0.5 * warm, 1.0, 1 + warm], np.float32),
        sky_light * np.array([0.62, 0.60, 0.58], np.float32),
    )


def _view(rng: Random, look: Look, plan: Plan, scene: Assembly) -> View:
    lane = plan.lane_centre(plan.own_side)
    room = max(0.1, plan.half_width - plan.parking - abs(lane) - 1.3)
    x = lane + float(np.clip(rng.normal(0, 0.5), -room, room))
    look_aside = float(rng.normal(0, 3.0)) if rng.random() < 0.8 else float(rng.normal(0, 14.0))
    # In a bend, the camera looks along the road.
    bend = -np.degrees(np.arctan(2 * scene.curve * 16.0)) * float(rng.uniform(0.3, 1.0))
    slope = np.degrees(np.arctan(2 * scene.slope * 14.0))
    return View(
        (x, 0.0, float(rng.uniform(*look.camera_height))),
        look_aside + float(bend),
        float(rng.uniform(*look.pitch)) + float(slope),
        float(rng.normal(0, 0.7)),
        float(rng.uniform(*look.field_of_view)),
    )


def make_scene(look: Look, seed: int, index: int) -> Scene:
    """Return scene `index` of the data set (`look`, `seed`): a pure function of these three."""
    rng = generator("scene", look.name, seed, index)
    sky = weighted_pick(rng, look.skies)
    light = _light(rng, look, sky)
    share = float(light.sun.mean() / (light.sun.mean() + light.sky.mean()))
    shadow = ShadowMap(light.towards_sun, min(0.85, share * 1.25))
    scene = Assembly(float(rng.normal(0, look.curve / 2)), float(rng.normal(0, look.slope / 2)))
    plan = ground_plan.draw_plan(rng, look)
    ground_plan.lay_ground(rng, look, plan, scene)
    frontages.line_street(rng, look, plan, scene, shadow)
    traffic.fill_street(rng, look, plan, scene, shadow)
    shadow.lay(scene)
    view = _view(rng, look, plan, scene)
    haze = float(np.exp(rng.uniform(*np.log(look.haze_distance))))
    return Scene(scene.batches(light), view, shadow.darkness(), haze, sky, rng)
