"""Files of tensors from elsewhere, read without running any code that they hold."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from cotrain.errors import InputError, reason

# The objects in a pickle of NumPy arrays; all of them are data.
ALLOWED_IN_PICKLES = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


class _NoTensorError(pickle.UnpicklingError):
    """Something in a pickle that could run code; its text is for users."""


class _ArraysOnly(pickle.Unpickler):
    """A pickle reader that refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED_IN_PICKLES:
            raise _NoTensorError(f"it holds {module}.{name}, which is not a tensor")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file under their own names.

    The file is a `.safetensors`, a `.pkl` of NumPy arrays, or (any other suffix) written by `torch.save`.

    Raises:
        InputError: the file is missing, damaged, or holds anything but tensors and arrays.
    """
    return _tensors(_read(path), path)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, or only those of its `model` if it also holds optimiser and schedule.

    Raises:
        InputError: as `read_tensors`; numbers and texts beside the model are allowed.
    """
    content = _read(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    return _tensors(content, path)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                return _ArraysOnly(file).load()
        return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle can fail in any of the ways its instructions can.
    except Exception as error:
        why = str(error) if isinstance(error, _NoTensorError) else reason(error)
        raise InputError(f"{path}: cannot be read as weights: {why}; expected only tensors") from error


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds {type(content).__name__}, expected names and tensors")
    tensors = {
        str(name): torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
    }
    others = [name for name, value in tensors.items() if not isinstance(value, Tensor)]
    if others or not tensors:
        raise InputError(
            f"{path}: expected names and tensors in a plain dictionary, found none or others ({others[:3]})"
        )
    return tensors


def without_batch_counts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without batch norm's counts of batches, which nothing reads and some files lack."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
