"""Collects the meshes of one scene by texture, lights them and bends the street."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streets.meshes import Floats, Mesh, placed

# (kind, number): the texture library makes it. The kind "plain" has no texture.
Texture = tuple[str, int]
PLAIN: Texture = ("plain", 0)

# Fills the holes of a thing in the label, and is not in the picture.
FILLING: Texture = ("filling", 0)

# Layers are drawn in this order. Ground decals (markings, shadows) have no label: the label pass leaves them
# out, and the ground beneath them gives the class. Fillings are in the label only.
GROUND, MARKING, SHADOW, SOLID, CUT_OUT, FILLED = range(6)
CUT_OUT_KINDS = frozenset({"leaves", "branches", "spokes"})


@dataclass(frozen=True)
class Light:
    """Light of sun and sky; `towards_sun` is a unit vector that points from the ground to the sun."""

    towards_sun: tuple[float, float, float]
    sun: Floats
    sky: Floats
    ground: Floats


@dataclass(frozen=True)
class Batch:
    """All triangles of one layer and texture, ready for drawing.

    `positions` float32 (N, 3), `texture_coordinates` float32 (N, 2), `colours` uint8 (N, 4) RGBA including
    light, `train_ids` uint8 (N,), `triangles` int32 (M, 3).
    """

    layer: int
    texture: Texture
    positions: Floats
    texture_coordinates: Floats
    colours: NDArray[np.uint8]
    train_ids: NDArray[np.uint8]
    triangles: NDArray[np.int32]


@dataclass
class Assembly:
    """The growing scene.

    `curve` and `slope` bend the scene ahead of the camera: x += curve * y², z += slope * y².
    """

    curve: float = 0.0
    slope: float = 0.0
    parts: dict[tuple[int, Texture], list[tuple[Mesh, int, float]]] = field(default_factory=dict)

    def add(
        self,
        mesh: Mesh,
        train_id: int,
        texture: Texture = PLAIN,
        at: ArrayLike | None = None,
        heading: float = 0.0,
        layer: int | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Put `mesh`, turned by `heading` degrees and moved to `at`, into the scene."""
        if at is not None or heading:
            mesh = placed(mesh, (0, 0, 0) if at is None else at, heading)
        if layer is None:
            layer = CUT_OUT if texture[0] in CUT_OUT_KINDS else FILLED if texture == FILLING else SOLID
        self.parts.setdefault((layer, texture), []).append((mesh, train_id, opacity))

    def batches(self, light: Light) -> list[Batch]:
        """Return everything, lit and bent, in the order of drawing."""
        return [self._batch(key, self.parts[key], light) for key in sorted(self.parts)]

    def _batch(self, key: tuple[int, Texture], parts: list[tuple[Mesh, int, float]], light: Light) -> Batch:
        layer, texture = key
        meshes = [mesh for mesh, _, _ in parts]
        sizes = [len(mesh.positions) for mesh in meshes]
        starts = np.repeat(np.cumsum([0, *sizes[:-1]]), [len(mesh.triangles) for mesh in meshes])
        positions = np.concatenate([mesh.positions for mesh in meshes])
        normals = np.concatenate([mesh.normals for mesh in meshes])
        colours = np.concatenate([mesh.colours for mesh in meshes])
        if layer != SHADOW:
            colours = colours * _received_light(light, layer, positions, normals)
        rgba = np.empty((len(positions), 4), np.uint8)
        rgba[:, :3] = np.clip(colours * 255, 0, 255)
        rgba[:, 3] = np.repeat([round(255 * opacity) for _, _, opacity in parts], sizes)
        ahead = np.maximum(positions[:, 1], 0) ** 2
        bent_positions = positions.copy()
        bent_positions[:, 0] += self.curve * ahead
        bent_positions[:, 2] += self.slope * ahead
        return Batch(
            layer,
            texture,
            bent_positions,
            np.concatenate([mesh.texture_coordinates for mesh in meshes]),
            rgba,
            np.repeat(np.array([train_id for _, train_id, _ in parts], np.uint8), sizes),
            (np.concatenate([mesh.triangles for mesh in meshes]) + starts[:, None]).astype(np.int32),
        )


def _received_light(light: Light, layer: int, positions: Floats, normals: Floats) -> Floats:
    """Return the light (N, 3) on each vertex: from the sky, reflected from the ground, and from the sun."""
    upward = normals[:, 2:] * 0.5 + 0.5
    facing = np.maximum(normals @ np.asarray(light.towards_sun, np.float32), 0)[:, None]
    if layer == CUT_OUT:
        # Leaves let light through: on the side away from the sun they are not as dark as a wall.
        facing = 0.35 + 0.5 * facing
    received = light.ground + (light.sky - light.ground) * upward + light.sun * facing
    if layer == SOLID:
        # Little light from the sky reaches the foot of things.
        received = received * (0.78 + 0.22 * np.clip(positions[:, 2:] / 1.6, 0, 1))
    return received.astype(np.float32)
