"""Random numbers as a pure function of their purpose.

A generator is made only from its keys, for instance (seed, "target", iteration, slot). No code keeps a
generator from one use to the next. So a run that was killed and resumed draws the same numbers as a run that
was never interrupted, with any number of workers.
"""

import hashlib

import numpy as np


def generator(*keys: int | str) -> np.random.Generator:
    """Return the random generator for `keys`; equal keys give equal numbers."""
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def seed_of(*keys: int | str) -> int:
    """Return a 63-bit integer seed for `keys`, for libraries that have their own generators."""
    return int.from_bytes(hashlib.sha256(repr(keys).encode()).digest()[:8], "little") >> 1
