"""Triangle meshes as arrays: the primitives that everything in a street is made of.

Units are metres, x points right, y forward along the street and z up. Colours are RGB in 0..1; a colour
of (-s, -s, -s) stands for "the paint of this object, darkened by s" and is filled in by `repainted`.
"""

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

    positions, normals and colours are float32 (N, 3), texture_coordinates float32 (N, 2), triangles int32
    (M, 3), counter-clockwise seen from the side the normals point to.
    """

    positions: Floats
    normals: Floats
    texture_coordinates: Floats
    colours: Floats
    triangles: NDArray[np.int32]


def paint(shade: float = 1.0) -> Colour:
    """Return the marker colour for an object's paint, darkened to `shade` in 0 < shade <= 1."""
    return (-shade, -shade, -shade)


def _made(
    positions: ArrayLike, normals: ArrayLike, uv: ArrayLike | None, colour: ArrayLike, triangles: ArrayLike
) -> Mesh:
    points = np.asarray(positions, np.float32)
    directions = np.asarray(normals, np.float32)
    faces = np.asarray(triangles, np.int32)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), directions[faces].sum(axis=1)) < 0
    if inward.any():
        faces = np.where(inward[:, None], faces[:, ::-1], faces)
    coordinates = np.zeros((len(points), 2)) if uv is None else uv
    colours = np.broadcast_to(np.asarray(colour, np.float32), points.shape)
    return Mesh(points, directions, np.asarray(coordinates, np.float32), np.ascontiguousarray(colours), faces)


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


def rotation(heading: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """Return the (3, 3) matrix that turns row vectors: about y by roll, x by pitch, then z by heading, in degrees.

    A heading of 90 turns forward (+y) to the left (-x).
    """
    h, p, r = np.radians([heading, pitch, roll])
    about_z = [[np.cos(h), np.sin(h), 0], [-np.sin(h), np.cos(h), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    about_y = [[np.cos(r), 0, -np.sin(r)], [0, 1, 0], [np.sin(r), 0, np.cos(r)]]
    return (np.array(about_y) @ np.array(about_x) @ np.array(about_z)).astype(np.float32)


def placed(
    mesh: Mesh, at: ArrayLike = (0, 0, 0), heading: float = 0.0, pitch: float = 0.0, roll: float = 0.0
) -> Mesh:
    """Return `mesh` turned (degrees, see `rotation`) and then moved by `at`."""
    offset = np.asarray(at, np.float32)
    if heading == 0.0 and pitch == 0.0 and roll == 0.0:
        return replace(mesh, positions=mesh.positions + offset)
    matrix = rotation(heading, pitch, roll)
    return replace(mesh, positions=mesh.positions @ matrix + offset, normals=mesh.normals @ matrix)


def scaled(mesh: Mesh, factors: float | Sequence[float]) -> Mesh:
    """Return `mesh` scaled about the origin by one positive factor or one for each axis."""
    factor = np.broadcast_to(np.asarray(factors, np.float32), (3,))
    normals = mesh.normals / factor
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return replace(mesh, positions=mesh.positions * factor, normals=normals)


def repeated(mesh: Mesh, offsets: ArrayLike) -> Mesh:
    """Return one copy of `mesh` at each of the `offsets` (K, 3)."""
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
    """Return `mesh` with `colour` wherever it was marked by `paint`."""
    marked = mesh.colours[:, :1] < 0
    return replace(
        mesh, colours=np.where(marked, -mesh.colours * np.asarray(colour, np.float32), mesh.colours)
    )


@cache
def _unit_box() -> tuple[Floats, Floats, Floats, NDArray[np.int32]]:
    points, normals, uv, triangles = [], [], [], []
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
    return (
        np.array(points, np.float32),
        np.array(normals, np.float32),
        np.array(uv, np.float32),
        np.array(triangles, np.int32),
    )


def box(
    size: ArrayLike,
    centre: ArrayLike = (0, 0, 0),
    colour: ArrayLike = WHITE,
    texture_scale: tuple[float, float] = (1, 1),
) -> Mesh:
    """Return a box; each side carries the texture `texture_scale` times across and up."""
    points, normals, uv, triangles = _unit_box()
    corners = points * np.asarray(size, np.float32) + np.asarray(centre, np.float32)
    return _made(corners, normals, uv * np.asarray(texture_scale, np.float32), colour, triangles)


@cache
def _circle(sides: int) -> Floats:
    angles = np.arange(sides + 1) * (2 * np.pi / sides)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@cache
def _band(columns: int, rows: int) -> NDArray[np.int32]:
    """Return the triangles of a grid of vertices with `columns` in a row and `rows` rows."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    first = corner + np.array([0, 1, columns + 1])
    return np.concatenate([first, corner + np.array([0, columns + 1, columns])]).astype(np.int32)


def tube(
    start: ArrayLike,
    end: ArrayLike,
    radius: float,
    end_radius: float | None = None,
    sides: int = 8,
    colour: ArrayLike = WHITE,
    caps: bool = False,
) -> Mesh:
    """Return a straight tube from `start` to `end`, tapering to `end_radius`; `caps` closes both ends."""
    base, top = np.asarray(start, np.float32), np.asarray(end, np.float32)
    axis = (top - base) / max(float(np.linalg.norm(top - base)), 1e-9)
    helper = np.array([1, 0, 0] if abs(axis[2]) > 0.9 else [0, 0, 1], np.float32)
    across = np.cross(axis, helper)
    across = across / np.linalg.norm(across)
    other = np.cross(axis, across)
    circle = _circle(sides)
    outward = circle[:, :1] * across + circle[:, 1:] * other
    top_radius = radius if end_radius is None else end_radius
    points = np.concatenate([base + outward * radius, top + outward * top_radius])
    turn = np.linspace(0, 1, sides + 1)
    uv = np.concatenate([np.stack([turn, turn * 0], 1), np.stack([turn, turn * 0 + 1], 1)])
    made = _made(points, np.concatenate([outward, outward]), uv, colour, _band(sides + 1, 2))
    if not caps:
        return made
    ends = [
        polygon(base + outward[:-1] * radius, -axis, colour),
        polygon(top + outward[:-1] * top_radius, axis, colour),
    ]
    return joined([made, *ends])


def polygon(
    corners: ArrayLike, normal: ArrayLike, colour: ArrayLike = WHITE, uv: ArrayLike | None = None
) -> Mesh:
    """Return a flat convex polygon (N, 3) that faces along `normal`."""
    points = np.asarray(corners, np.float32)
    fan = [[0, i, i + 1] for i in range(1, len(points) - 1)]
    return _made(points, np.tile(np.asarray(normal, np.float32), (len(points), 1)), uv, colour, fan)


def quad(corners: ArrayLike, colour: ArrayLike = WHITE, texture_scale: tuple[float, float] = (1, 1)) -> Mesh:
    """Return a four-cornered face: bottom left, bottom right, top right, top left, seen from its front."""
    points = np.asarray(corners, np.float32)
    normal = np.cross(points[1] - points[0], points[3] - points[0])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    across, up = texture_scale
    return polygon(points, normal, colour, [[0, 0], [across, 0], [across, up], [0, up]])


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
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return _made(points * radius + np.asarray(centre, np.float32), normals, uv, colour, triangles)


def loft(rings: ArrayLike, colour: ArrayLike = WHITE, ring_colours: ArrayLike | None = None) -> Mesh:
    """Return the closed skin over `rings` (S, P, 3), faceted, with flat ends.

    `ring_colours` (S, P, 3), where given, colours the face that starts at each ring point.
    """
    points = np.asarray(rings, np.float32)
    number, around = points.shape[:2]
    following = np.roll(points, -1, axis=1)
    corners = np.stack([points[:-1], following[:-1], following[1:], points[1:]], axis=2).reshape(-1, 4, 3)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.maximum(length, 1e-9)
    # A ring may run either way round; the skin has to face away from the middle of its own pair of rings.
    middle = (points[:-1].mean(axis=1) + points[1:].mean(axis=1)) / 2
    outward = corners.mean(axis=1) - np.repeat(middle, around, axis=0)
    if np.einsum("ij,ij,ik->", normals, outward, length) < 0:
        normals = -normals
    start = np.arange(len(corners), dtype=np.int32)[:, None] * 4
    triangles = np.concatenate([start + [0, 1, 2], start + [0, 2, 3]])
    face_colours: ArrayLike = colour
    if ring_colours is not None:
        face_colours = np.repeat(np.asarray(ring_colours, np.float32)[: number - 1].reshape(-1, 3), 4, axis=0)
    skin = _made(corners.reshape(-1, 3), np.repeat(normals, 4, axis=0), None, face_colours, triangles)
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
    """Return a horizontal strip with vertices at every `y_values`, so that it can follow a bending street."""
    across, along = np.meshgrid(np.linspace(*x_range, columns), np.asarray(y_values, np.float64))
    points = np.column_stack([across.ravel(), along.ravel(), np.full(across.size, z)])
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    return _made(points, normals, points[:, :2] / metres_per_texture, colour, _band(columns, len(y_values)))
