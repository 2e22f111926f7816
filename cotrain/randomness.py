"""Random numbers as a pure function of what they are for.

A generator is made from its keys, for instance (seed, "target", iteration, slot), and from nothing
else. No generator is ever carried along, so a run that was killed and resumed draws the same numbers
as one that was never interrupted, whatever the number of workers.
"""

import hashlib

import numpy as np


def generator(*keys: int | str) -> np.random.Generator:
    """Return the random generator that belongs to `keys`; equal keys give equal numbers."""
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def seed_of(*keys: int | str) -> int:
    """Return a 63-bit integer seed that belongs to `keys`, for libraries with generators of their own."""
    return int.from_bytes(hashlib.sha256(repr(keys).encode()).digest()[:8], "little") >> 1
