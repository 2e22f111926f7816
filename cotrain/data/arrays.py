"""Arrays in files: what is read has the declared type, shape and range, or is refused before it is used."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cotrain.errors import InputError, reason

# The number of entries along each axis; None allows any.
Shape = Sequence[int | None]
# Kinds of NumPy: unsigned, signed, float.
NUMBERS = "uif"


def open_npy(path: Path, dtypes: str, dimensions: int) -> npt.NDArray[Any]:
    """Return the array of an .npy file, mapped into memory: its entries are read when they are used.

    `dtypes` are NumPy's letters of the kinds that are allowed (`NUMBERS`). Raises InputError if the file is
    missing, is no such file, or holds another kind or number of dimensions.
    """
    try:
        with open(path, "rb") as file:
            shape, fortran_order, dtype = _header(file)
            offset, number_of_bytes = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.kind in dtypes:
            expected = math.prod(shape) * dtype.itemsize
            if number_of_bytes - offset != expected:
                raise ValueError
    except OSError as error:
        raise InputError(f"{path}: is not a readable .npy file of numbers: {reason(error)}") from error
    # NumPy reads a header as Python source, so for a broken one it raises all kinds of errors.
    except Exception as error:
        raise InputError(f"{path}: is not a readable .npy file of numbers: {reason(ValueError())}") from error
    if dtype.kind not in dtypes:
        raise InputError(f"{path}: is not a readable .npy file of numbers: it holds {dtype}")
    if len(shape) != dimensions or not expected:
        raise InputError(f"{path}: has the shape {shape}, expected {dimensions} dimensions, none of them 0")
    array: npt.NDArray[Any] = np.memmap(
        path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran_order else "C"
    )
    return array


def read_npy(file: IO[bytes], dtype: npt.DTypeLike, shape: Shape, most_bytes: int) -> npt.NDArray[Any]:
    """Return an array from an open file of .npy content, such as one that is unpacked while it is read.

    Not more than it must hold is read, however much there is. Raises ValueError for another type or shape
    than the declared ones, for more than `most_bytes`, and for too few or too many bytes.
    """
    found, fortran_order, kind = _header(file)
    number = math.prod(found) * kind.itemsize
    if fortran_order and len(found) > 1:
        raise ValueError("another order of axes")
    if not _fits(found, shape) or number > most_bytes:
        raise ValueError(f"the shape {found}")
    if kind.kind != np.dtype(dtype).kind or (kind.kind != "U" and kind != np.dtype(dtype)):
        raise ValueError(f"the type {kind}")
    content = file.read(number)
    if len(content) != number or file.read(1):
        raise ValueError("another number of bytes")
    return np.frombuffer(content, kind).reshape(found)


def check_range(array: npt.NDArray[Any], place: str, low: float, high: float) -> None:
    """Raise InputError, which begins with `place`, unless all entries are numbers from `low` to `high`."""
    smallest, largest = array.min(), array.max()
    # NaN is neither.
    if not (low <= smallest and largest <= high):
        found = "NaN" if np.isnan(smallest) else f"{smallest:g} to {largest:g}"
        raise InputError(f"{place}: holds {found}, expected numbers from {low:g} to {high:g}")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran_order, dtype = readers[version](file)
    if any(type(side) is not int or side < 0 for side in shape) or dtype.hasobject:
        raise ValueError("no array of numbers")
    return shape, fortran_order, dtype


def _fits(found: Sequence[int], shape: Shape) -> bool:
    return len(found) == len(shape) and all(
        expected in (None, side) for side, expected in zip(found, shape, strict=True)
    )
