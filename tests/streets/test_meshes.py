import numpy as np
import pytest

from streets.meshes import (
    Mesh,
    box,
    ellipsoid,
    ground,
    joined,
    loft,
    paint,
    placed,
    polygon,
    quad,
    repainted,
    repeated,
    scaled,
    tube,
)

SQUARE = [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]
SOLIDS = {
    "box": box((1, 2, 3), (4, 5, 6)),
    "tube": tube((1, 2, 3), (3, 1, 7), 0.5, sides=12, caps=True),
    "level tube": tube((0, 0, 0), (2, 1, 0), 0.5, 0.2, sides=12, caps=True),
    "ellipsoid": ellipsoid((1, 1, 1), (1, 2, 3), rows=12, columns=16),
    "loft": loft(np.stack([np.add(SQUARE, (0.0, y, 0.0)) for y in (0, 1, 2)])),
    "loft the other way": loft(np.stack([np.add(SQUARE, (0.0, -y, 0.0)) for y in (0, 1, 2)])),
}


def volume(mesh: Mesh) -> float:
    """Return the volume by the divergence theorem; it is positive if all triangles face outwards."""
    a, b, c = (mesh.positions[mesh.triangles[:, k]].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("box", 6.0),
        ("tube", 0.5**2 * 12 / 2 * np.sin(2 * np.pi / 12) * np.sqrt(4 + 1 + 16)),
        ("ellipsoid", 8 * np.pi),
        ("loft", 8.0),
        ("loft the other way", 8.0),
    ],
)
def test_solids_are_closed_and_face_outward(name, expected):
    assert volume(SOLIDS[name]) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("mesh", SOLIDS.values(), ids=SOLIDS.keys())
def test_normals_are_unit_vectors_on_the_side_of_the_winding(mesh):
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    a, b, c = (mesh.positions[mesh.triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    area = np.linalg.norm(faces, axis=1)
    agreement = np.einsum("ij,ij->i", faces, mesh.normals[mesh.triangles].mean(axis=1))
    assert (agreement[area > 1e-7] > 0).all()


def test_flat_faces_face_where_they_should():
    assert quad(SQUARE).normals[0].tolist() == [0, -1, 0]
    assert volume(placed(quad(SQUARE), (0, -5, 0))) > 0
    turned = polygon(SQUARE, (0, 1, 0))
    assert volume(placed(turned, (0, 5, 0))) > 0
    assert volume(placed(ground((0, 2), [0, 1, 3], 0.0), (0, 0, 6))) == pytest.approx(2 * 3 * 6 / 3)


def test_placed_turns_forward_to_the_left_then_moves():
    arrow = box((0, 0, 0), (0, 2, 0))
    np.testing.assert_allclose(placed(arrow, (10, 0, 1), 90).positions[0], (8, 0, 1), atol=1e-6)

    right = box((0, 0, 0), (3, 0, 0))
    np.testing.assert_allclose(placed(right, roll=90).positions[0], (0, 0, -3), atol=1e-6)


def test_scaled_keeps_normals_at_right_angles_to_slopes():
    slope = quad([(0, 0, 0), (1, 0, 1), (1, 1, 1), (0, 1, 0)])
    steep = scaled(slope, (1, 1, 3))
    along = np.array([1, 0, 3])
    assert steep.normals[0] @ along == pytest.approx(0, abs=1e-6)


def test_repeated_and_joined_keep_triangles_apart():
    row = repeated(box((1, 1, 1)), [(0, 0, 0), (5, 0, 0), (9, 0, 0)])
    assert volume(row) == pytest.approx(3)
    assert row.positions[:, 0].max() == 9.5
    both = joined([box((1, 1, 1)), box((2, 2, 2), (10, 0, 0))])
    assert volume(both) == pytest.approx(9)
    assert both.triangles.max() == len(both.positions) - 1


def test_paint_is_filled_in_with_its_shade():
    body = joined([box((1, 1, 1), colour=paint(0.5)), box((1, 1, 1), colour=(0.1, 0.2, 0.3))])
    colours = np.unique(repainted(body, (0.8, 0.4, 0.2)).colours, axis=0)
    np.testing.assert_allclose(colours, [(0.1, 0.2, 0.3), (0.4, 0.2, 0.1)], atol=1e-6)
