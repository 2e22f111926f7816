"""Sizes of the things that stand along a street."""

import numpy as np
import pytest

from streets.furniture import Part, fence, railings
from streets.looks import CAMERA, GAME


def extent(parts: list[Part], axis: int) -> tuple[float, float]:
    """Return where `parts` begin and end along an axis, in metres."""
    positions = np.concatenate([mesh.positions[:, axis] for mesh, _, _ in parts])
    return float(positions.min()), float(positions.max())


@pytest.mark.parametrize("make", [fence, railings])
@pytest.mark.parametrize("length", [1.0, 4.0, 5.0, 7.0, 24.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_fence_is_as_long_as_asked_for(make, length, seed):
    start, end = extent(make(np.random.default_rng(seed), GAME, length), axis=1)
    # A picket stands at the start, and may stand close to the end: half of its width may stand out.
    assert -0.05 <= start <= 0.0
    assert length <= end + 1e-6 <= length + 0.05


def test_railings_stand_on_a_wall_and_can_be_taller_than_a_person():
    heights = [extent(railings(np.random.default_rng(seed), CAMERA, 8.0), axis=2)[1] for seed in range(200)]
    # A wall of 0.2 to 1 m, a coping of 8 cm, and railings of 0.8 to 2.2 m.
    assert 1.08 <= min(heights) < 1.4
    assert 2.9 < max(heights) <= 3.28
