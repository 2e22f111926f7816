import numpy as np
import pytest

from cotrain.adaptation.look_up import look_up


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(7,), (1, 3), (5, 6), (2, 3, 4)])
def test_equals_indexing(dtype, shape):
    rng = np.random.default_rng(1)
    table = (rng.random(256) * 255).astype(dtype)
    ids = rng.integers(0, 256, shape, dtype=np.uint8)
    values = look_up(table, ids)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, table[ids])


def test_views():
    table = np.arange(256, dtype=np.uint16) * 3
    ids = np.arange(24, dtype=np.uint8).reshape(4, 6)
    np.testing.assert_array_equal(look_up(table, ids[::2, ::-1]), table[ids[::2, ::-1]])
