"""Triangle meshes as arrays: the basic shapes from which everything in a street is built.

Units are metres; x points right, y forward along the street and z up. Colours are RGB in 0..1. A colour of
(-s, -s, -s) stands for the paint of the object times the shade s; `repainted` replaces it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]

WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Mesh:
    """Vertices and triangles.

    `positions`, `normals` and `colours` are float32 (N, 3), `texture_coordinates` float32 (N, 2), `triangles`
    int32 (M, 3), counter-clockwise if seen from the side to which the normals point.
    """

    positions: Floats
    normals: Floats
    texture_coordinates: Floats
    colours: Floats
    triangles: NDArray[np.int32]


def paint(shade: float = 1.0) -> Colour:
    """Return the colour that stands for the paint of an object, darkened to `shade` in 0 < shade <= 1."""
    return (-shade, -shade, -shade)


def _mesh(
    positions: ArrayLike, normals: ArrayLike, uv: ArrayLike | None, colour: ArrayLike, triangles: ArrayLike
) -> Mesh:
    points = np.asarray(positions, np.float32)
    coordinates = np.zeros((len(points), 2), np.float32) if uv is None else np.asarray(uv, np.float32)
    colours = np.empty_like(points)
    colours[:] = colour
    return Mesh(
        points, np.asarray(normals, np.float32), coordinates, colours, np.asarray(triangles, np.int32)
    )


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the cross products of vectors (..., 3), like `numpy.cross` without its overhead."""
    products = np.empty(np.broadcast_shapes(a.shape, b.shape), np.float32)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        products[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return products


def _outward(points: Floats, normals: Floats, triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return `triangles`, reversing those that do not face along the normals of their corners."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    faces_inward = (_cross(b - a, c - a) * normals[triangles].sum(axis=1)).sum(axis=1) < 0
    return np.where(faces_inward[:, None], triangles[:, ::-1], triangles).astype(np.int32)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Return one mesh of all `meshes` (at least one)."""
    starts = np.cumsum([0] + [len(mesh.positions) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.positions for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.texture_coordinates for mesh in meshes]),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]).astype(
            np.int32
        ),
    )


def rotation(heading: float, roll: float) -> Floats:
    """Return the (3, 3) matrix that turns row vectors by `roll` about y, then by `heading` about z.

    Both are in degrees; a heading of 90 turns forward (+y) to the left (-x).
    """
    h, r = math.radians(heading), math.radians(roll)
    about_z = np.array([[math.cos(h), math.sin(h), 0], [-math.sin(h), math.cos(h), 0], [0, 0, 1]], np.float32)
    if roll == 0.0:
        return about_z
    about_y = [[math.cos(r), 0, -math.sin(r)], [0, 1, 0], [math.sin(r), 0, math.cos(r)]]
    return (np.array(about_y) @ about_z).astype(np.float32)


def placed(mesh: Mesh, at: ArrayLike = (0, 0, 0), heading: float = 0.0, roll: float = 0.0) -> Mesh:
    """Return `mesh` turned (degrees, see `rotation`) and then moved by `at`."""
    offset = np.asarray(at, np.float32)
    if heading == 0.0 and roll == 0.0:
        positions, normals = mesh.positions + offset, mesh.normals
    else:
        matrix = rotation(heading, roll)
        positions, normals = mesh.positions @ matrix + offset, mesh.normals @ matrix
    return Mesh(positions, normals, mesh.texture_coordinates, mesh.colours, mesh.triangles)


def scaled(mesh: Mesh, factors: float | Sequence[float]) -> Mesh:
    """Return `mesh` scaled about the origin by one positive factor, or by one for each axis."""
    factor = np.broadcast_to(np.asarray(factors, np.float32), (3,))
    normals = mesh.normals / factor
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return replace(mesh, positions=mesh.positions * factor, normals=normals)


def repeated(mesh: Mesh, offsets: ArrayLike) -> Mesh:
    """Return a mesh with one copy of `mesh` at each of the `offsets` (K, 3)."""
    shifts = np.asarray(offsets, np.float32).reshape(-1, 3)
    copies, vertices = len(shifts), len(mesh.positions)
    starts = np.arange(copies, dtype=np.int32) * vertices
    return Mesh(
        (mesh.positions[None] + shifts[:, None]).reshape(-1, 3),
        np.tile(mesh.normals, (copies, 1)),
        np.tile(mesh.texture_coordinates, (copies, 1)),
        np.tile(mesh.colours, (copies, 1)),
        (mesh.triangles[None] + starts[:, None, None]).reshape(-1, 3),
    )


def recoloured(mesh: Mesh, colour: ArrayLike) -> Mesh:
    """Return `mesh` with one colour everywhere."""
    colours = np.broadcast_to(np.asarray(colour, np.float32), mesh.positions.shape)
    return replace(mesh, colours=np.ascontiguousarray(colours))


def repainted(mesh: Mesh, colour: ArrayLike) -> Mesh:
    """Return `mesh` with `colour` in place of the colours of `paint`."""
    is_paint = mesh.colours[:, :1] < 0
    return replace(
        mesh, colours=np.where(is_paint, -mesh.colours * np.asarray(colour, np.float32), mesh.colours)
    )


@cache
def _unit_box() -> tuple[Floats, Floats, Floats, NDArray[np.int32]]:
    points: list[list[float]] = []
    normals: list[list[float]] = []
    uv: list[list[float]] = []
    triangles: list[list[int]] = []
    for axis in range(3):
        across, up = [other for other in range(3) if other != axis]
        for sign in (-1.0, 1.0):
            start = len(points)
            for first, second in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
                point = [0.0, 0.0, 0.0]
                point[axis], point[across], point[up] = sign / 2, first, second
                points.append(point)
                normals.append([sign * float(i == axis) for i in range(3)])
                uv.append([first + 0.5, second + 0.5])
            triangles += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    corners, directions = np.array(points, np.float32), np.array(normals, np.float32)
    faces = _outward(corners, directions, np.array(triangles, np.int32))
    return corners, directions, np.array(uv, np.float32), faces


def box(
    size: ArrayLike,
    centre: ArrayLike = (0, 0, 0),
    colour: ArrayLike = WHITE,
    texture_scale: tuple[float, float] = (1, 1),
) -> Mesh:
    """Return a box; each side shows the texture `texture_scale` times across and up."""
    points, normals, uv, triangles = _unit_box()
    corners = points * np.asarray(size, np.float32) + np.asarray(centre, np.float32)
    return _mesh(corners, normals, uv * np.asarray(texture_scale, np.float32), colour, triangles)


@cache
def _circle(sides: int) -> Floats:
    angles = np.arange(sides + 1) * (2 * np.pi / sides)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@cache
def _band(columns: int, rows: int) -> NDArray[np.int32]:
    """Return the triangles of a grid of vertices with `columns` columns and `rows` rows."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    first = corner + np.array([0, 1, columns + 1])
    return np.concatenate([first, corner + np.array([0, columns + 1, columns])]).astype(np.int32)


@cache
def _tube_uv(sides: int) -> Floats:
    turn, height = np.meshgrid(np.linspace(0, 1, sides + 1), [0.0, 1.0])
    return np.column_stack([turn.ravel(), height.ravel()]).astype(np.float32)


def tube(
    start: ArrayLike,
    end: ArrayLike,
    radius: float,
    end_radius: float | None = None,
    sides: int = 8,
    colour: ArrayLike = WHITE,
    caps: bool = False,
) -> Mesh:
    """Return a straight tube from `start` to `end` that tapers to `end_radius`; `caps` closes both ends."""
    base, top = np.asarray(start, np.float32), np.asarray(end, np.float32)
    x, y, z = (top - base).tolist()
    length = max(math.sqrt(x * x + y * y + z * z), 1e-9)
    x, y, z = x / length, y / length, z / length
    # Two directions that are perpendicular to the axis and to each other, counter-clockwise around the axis.
    if abs(z) > 0.9:
        width = math.hypot(y, z)
        across = np.array([0, z / width, -y / width], np.float32)
    else:
        width = math.hypot(x, y)
        across = np.array([y / width, -x / width, 0], np.float32)
    ax, ay, az = across.tolist()
    other = np.array([y * az - z * ay, z * ax - x * az, x * ay - y * ax], np.float32)
    axis = np.array([x, y, z], np.float32)
    circle = _circle(sides)
    outward = circle[:, :1] * across + circle[:, 1:] * other
    top_radius = radius if end_radius is None else end_radius
    points = np.concatenate([base + outward * radius, top + outward * top_radius])
    wall = _mesh(points, np.concatenate([outward, outward]), _tube_uv(sides), colour, _band(sides + 1, 2))
    if not caps:
        return wall
    ends = [
        polygon(base + outward[:-1] * radius, -axis, colour),
        polygon(top + outward[:-1] * top_radius, axis, colour),
    ]
    return joined([wall, *ends])


def polygon(
    corners: ArrayLike, normal: ArrayLike, colour: ArrayLike = WHITE, uv: ArrayLike | None = None
) -> Mesh:
    """Return a flat convex polygon (N, 3) that faces along `normal`."""
    points = np.asarray(corners, np.float32)
    direction = np.asarray(normal, np.float32)
    fan = _fan(len(points))
    if float(_cross(points[1] - points[0], points[2] - points[0]) @ direction) < 0:
        fan = fan[:, ::-1]
    normals = np.empty_like(points)
    normals[:] = direction
    return _mesh(points, normals, uv, colour, fan)


@cache
def _fan(corners: int) -> NDArray[np.int32]:
    return np.array([[0, i, i + 1] for i in range(1, corners - 1)], np.int32)


def quad(corners: ArrayLike, colour: ArrayLike = WHITE, texture_scale: tuple[float, float] = (1, 1)) -> Mesh:
    """Return a four-cornered face; seen from its front: bottom left, bottom right, top right, top left."""
    points = np.asarray(corners, np.float32)
    normal = _cross(points[1] - points[0], points[3] - points[0])
    normals = np.empty_like(points)
    normals[:] = normal / max(math.sqrt(float(normal @ normal)), 1e-9)
    across, up = texture_scale
    uv = np.array([(0, 0), (across, 0), (across, up), (0, up)], np.float32)
    return _mesh(points, normals, uv, colour, _fan(4))


@cache
def _unit_sphere(rows: int, columns: int) -> tuple[Floats, Floats, NDArray[np.int32]]:
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    circle = _circle(columns)
    points = np.concatenate(
        [np.column_stack([circle * np.cos(a), np.full(columns + 1, np.sin(a))]) for a in latitude]
    )
    turn, height = np.meshgrid(np.linspace(0, 2, columns + 1), np.linspace(0, 1, rows + 1))
    uv = np.column_stack([turn.ravel(), height.ravel()])
    return points.astype(np.float32), uv.astype(np.float32), _band(columns + 1, rows + 1)


def ellipsoid(
    centre: ArrayLike, radii: ArrayLike, colour: ArrayLike = WHITE, rows: int = 6, columns: int = 8
) -> Mesh:
    """Return an ellipsoid with its axes along x, y and z."""
    points, uv, triangles = _unit_sphere(rows, columns)
    radius = np.asarray(radii, np.float32)
    normals = points / radius
    normals = normals / np.sqrt((normals * normals).sum(axis=1, keepdims=True))
    return _mesh(points * radius + np.asarray(centre, np.float32), normals, uv, colour, triangles)


def loft(rings: ArrayLike, colour: ArrayLike = WHITE) -> Mesh:
    """Return the closed, faceted skin over `rings` (S, P, 3), with flat ends."""
    points = np.asarray(rings, np.float32)
    around = points.shape[1]
    following = np.roll(points, -1, axis=1)
    corners = np.stack([points[:-1], following[:-1], following[1:], points[1:]], axis=2).reshape(-1, 4, 3)
    normals = _cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.maximum(length, 1e-9)
    # A ring may run in either direction; the skin must face away from the middle of its own pair of rings.
    middle = (points[:-1].mean(axis=1) + points[1:].mean(axis=1)) / 2
    outward = corners.mean(axis=1) - np.repeat(middle, around, axis=0)
    start = np.arange(len(corners), dtype=np.int32)[:, None] * 4
    triangles = np.concatenate([start + np.array([0, 1, 2]), start + np.array([0, 2, 3])])
    if (normals * outward * length).sum() < 0:
        normals, triangles = -normals, triangles[:, ::-1]
    skin = _mesh(corners.reshape(-1, 3), np.repeat(normals, 4, axis=0), None, colour, triangles)
    axis = points[-1].mean(axis=0) - points[0].mean(axis=0)
    axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
    return joined([skin, polygon(points[0], -axis, colour), polygon(points[-1], axis, colour)])


def ground(
    x_range: tuple[float, float],
    y_values: Sequence[float] | NDArray[np.floating],
    z: float,
    metres_per_texture: float = 4.0,
    colour: ArrayLike = WHITE,
    columns: int = 2,
) -> Mesh:
    """Return a horizontal strip with vertices at each of `y_values`, so it can follow a curved street."""
    across, along = np.meshgrid(np.linspace(*x_range, columns), np.asarray(y_values, np.float64))
    points = np.column_stack([across.ravel(), along.ravel(), np.full(across.size, z)])
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    return _mesh(points, normals, points[:, :2] / metres_per_texture, colour, _band(columns, len(y_values)))
