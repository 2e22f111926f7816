import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cotrain.data.counting import count_and_sum, count_ids


def test_by_hand():
    ids = np.array([[1, 1, 0], [0, 255, 1]], np.uint8)
    values = np.array([[10, 20, 3], [4, 65535, 30]], np.uint16)
    counts, sums = count_and_sum(ids, values)
    assert (counts.shape, counts.dtype, sums.dtype) == ((256,), np.int64, np.int64)
    assert {i: (int(counts[i]), int(sums[i])) for i in np.flatnonzero(counts)} == {
        0: (2, 7),
        1: (3, 60),
        255: (1, 65535),
    }


@given(arrays.arrays(np.uint8, arrays.array_shapes(max_dims=2, min_side=0), elements=st.integers(0, 3)))
def test_equal_to_counting_pixel_by_pixel(ids):
    values = np.arange(ids.size, dtype=np.uint16).reshape(ids.shape) * np.uint16(4001)
    counts, sums = count_and_sum(ids, values)
    np.testing.assert_array_equal(counts, [int((ids == i).sum()) for i in range(256)])
    np.testing.assert_array_equal(sums, [int(values[ids == i].sum(dtype=np.int64)) for i in range(256)])
    np.testing.assert_array_equal(count_ids(ids), counts)


def test_ids_of_sixteen_bit():
    counts = count_ids(np.array([65535, 65535, 256, 0], np.uint16))
    assert counts.shape == (65536,)
    assert (counts[65535], counts[256], counts[0], counts.sum()) == (2, 1, 1, 4)


def test_sums_of_large_images_do_not_wrap_around():
    counts, sums = count_and_sum(np.zeros((300, 300), np.uint8), np.full((300, 300), 65535, np.uint16))
    assert (counts[0], sums[0]) == (90000, 90000 * 65535)
