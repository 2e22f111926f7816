import io

import numpy as np
import pytest

from cotrain.data.arrays import open_npy, read_npy
from cotrain.errors import InputError


def npy(shape, descr="<f4", content=b"\0" * 24):
    """Return the bytes of an .npy file whose header claims this shape and type."""
    memory = io.BytesIO()
    np.lib.format.write_array_header_1_0(memory, {"descr": descr, "fortran_order": False, "shape": shape})
    return memory.getvalue() + content


@pytest.mark.parametrize(
    "content",
    [
        # As many bytes as two negative sides say.
        npy((-2, -3)),
        npy((True, 6)),
        npy((2, 3), "|O", b"\0" * 48),
        npy((2, 3), content=b"\0" * 23),
        npy((2, 3), content=b"\0" * 25),
    ],
)
def test_a_header_that_lies_is_refused(content, tmp_path):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy: is not a readable \.npy file of numbers"):
        open_npy(tmp_path / "a.npy", "f", 2)
    with pytest.raises(ValueError):  # noqa: PT011 (the caller has the words)
        read_npy(io.BytesIO(content), np.float32, (None, None), 1000)


def test_an_honest_file_is_read(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = npy((2, 3), content=array.tobytes())
    (tmp_path / "a.npy").write_bytes(content)
    np.testing.assert_array_equal(open_npy(tmp_path / "a.npy", "f", 2), array)
    np.testing.assert_array_equal(read_npy(io.BytesIO(content), np.float32, (2, None), 24), array)
    with pytest.raises(ValueError, match="the shape"):
        read_npy(io.BytesIO(content), np.float32, (2, None), 23)
