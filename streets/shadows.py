"""The shadows on the ground, as a picture of the street from above."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streets.assembly import SHADOW, Assembly
from streets.meshes import ground

X_RANGE, Y_RANGE = (-30.0, 30.0), (-8.0, 94.0)
ROWS, COLUMNS = 512, 256
MAX_REACH = 40.0


class ShadowMap:
    """The darkness of the ground in 0..255, uint8 (512, 256); row 0 lies farthest ahead."""

    def __init__(self, towards_sun: tuple[float, float, float], sun_strength: float) -> None:
        x, y, z = towards_sun
        self.reach = np.array([-x, -y]) / max(z, 0.12)
        self.sun_strength = sun_strength
        self.cast = np.zeros((ROWS, COLUMNS), np.uint8)
        self.contact = np.zeros((ROWS, COLUMNS), np.uint8)

    def _pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        across = (points[:, 0] - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) * COLUMNS
        along = (Y_RANGE[1] - points[:, 1]) / (Y_RANGE[1] - Y_RANGE[0]) * ROWS
        return np.rint(np.column_stack([across, along])).astype(np.int32)

    def _shift(self, height: float) -> NDArray[np.float64]:
        shift = self.reach * height
        length = float(np.linalg.norm(shift))
        return np.asarray(shift * min(1.0, MAX_REACH / max(length, 1e-6)))

    def block(self, footprint: ArrayLike, height: float) -> None:
        """Cast the shadow of an upright block over a convex `footprint` (N, 2)."""
        corners = np.asarray(footprint, np.float64)
        hull = cv2.convexHull(self._pixels(np.concatenate([corners, corners + self._shift(height)])))
        cv2.fillConvexPoly(self.cast, hull, 255)

    def crown(self, x: float, y: float, low: float, high: float, radius: float, density: float) -> None:
        """Cast the shadow of a tree's crown; `density` in 0..1 is the share of light that it absorbs."""
        start, end = np.array([x, y]) + self._shift(low), np.array([x, y]) + self._shift(high)
        angles = np.arange(10) * (2 * np.pi / 10)
        circle = np.column_stack([np.cos(angles), np.sin(angles)]) * radius
        shape = np.zeros_like(self.cast)
        hull = cv2.convexHull(self._pixels(np.concatenate([circle + start, circle + end])))
        cv2.fillConvexPoly(shape, hull, round(255 * density))
        np.maximum(self.cast, shape, out=self.cast)

    def beneath(self, x: float, y: float, width: float, length: float, heading: float = 0.0) -> None:
        """Darken the ground under a vehicle or a person, with or without sun."""
        turn = np.radians(heading)
        along = np.array([-np.sin(turn), np.cos(turn)]) * length / 2
        across = np.array([np.cos(turn), np.sin(turn)]) * width / 2
        middle = np.array([x, y])
        corners = [middle + a * along + b * across for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
        cv2.fillConvexPoly(self.contact, self._pixels(np.array(corners)), 255)

    def darkness(self) -> NDArray[np.uint8]:
        """Return the finished map."""
        cast = cv2.GaussianBlur(self.cast, (0, 0), 0.8).astype(np.float32) * (self.sun_strength / 255)
        contact = cv2.GaussianBlur(self.contact, (0, 0), 1.3).astype(np.float32) * (0.62 / 255)
        return np.asarray(255 * (1 - (1 - cast) * (1 - contact)), np.uint8)

    def lay(self, scene: Assembly) -> None:
        """Put a sheet with this map on the ground of `scene`."""
        steps = np.linspace(*Y_RANGE, 52)
        sheet = ground(X_RANGE, steps, 0.0, columns=7)
        uv = sheet.positions[:, :2] - (X_RANGE[0], Y_RANGE[0])
        sheet.texture_coordinates[:] = uv / (X_RANGE[1] - X_RANGE[0], Y_RANGE[1] - Y_RANGE[0])
        scene.add(sheet, 0, ("shadow", 0), layer=SHADOW)
