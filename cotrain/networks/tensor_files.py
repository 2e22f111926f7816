"""Files of tensors from elsewhere, read without running any code that they hold, and matched by name."""

import argparse
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from cotrain.errors import InputError
from cotrain.networks.checksums import is_whole
from cotrain.networks.weights_formats import AGAIN, unreadable, weights_format
from cotrain.words import agreeing, counted

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
# The same for torch, which knows its own data. Checkpoints also hold the command line that they come from.
_ARRAY, _SCALAR = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
ALLOWED_IN_CHECKPOINTS: list[Any] = [
    *(argparse.Namespace, np.ndarray, np.dtype, _ARRAY, _SCALAR),
    # As NumPy 1 called them.
    *((_ARRAY, "numpy.core.multiarray._reconstruct"), (_SCALAR, "numpy.core.multiarray.scalar")),
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
]
# A message names at most so many tensors, objects or keys.
NAMED = 3


class _ArraysOnly(pickle.Unpickler):
    """A pickle reader that refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED_IN_PICKLES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, those of nested dictionaries too: `model.conv1.weight`.

    The file is a safetensors file, a pickle of NumPy arrays, or one that `torch.save` wrote. Numbers, texts
    and lists in it are left out.

    Raises:
        InputError: the file is missing, damaged, of another kind, holds code, or holds no tensor.
    """
    content = _read(path)
    tensors = dict(_named_tensors(content, ""))
    if not tensors:
        found = "one tensor without a name"
        if not isinstance(content, Mapping | Tensor):
            found = f"a Python {type(content).__name__}"
        if isinstance(content, Mapping):
            found = "a dictionary"
            if content:
                found += f" with the keys {', '.join(map(str, list(content)[:NAMED]))}"
        raise unreadable(path, f"it holds {found}, expected names and tensors, as in a state dict")
    return tensors


def _read(path: Path) -> Any:
    form = weights_format(path)
    try:
        if form == "safetensors":
            tensors = load_file(path)
            if not is_whole(path, tensors):
                raise ValueError("its tensors do not have the sum in its header")
            return tensors
        if form == "pickle":
            with path.open("rb") as file:
                return _ArraysOnly(file).load()
        # Opened here, because torch also goes by the name of a file. Its warnings have advice of its own.
        with (
            path.open("rb") as file,
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals(ALLOWED_IN_CHECKPOINTS),
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    # A damaged pickle can fail in any of the ways its instructions can.
    except Exception as error:
        raise unreadable(path, _why_refused(path)) from error


def _why_refused(path: Path) -> str:
    """Return what keeps a pickle from being read: the code that it asks for, or damage."""
    try:
        names = [name for pickled in _pickles(path) for name in _foreign_names(pickled)]
    # Also here a damaged pickle can fail in any way.
    except Exception:
        names = []
    if not names:
        return f"it is damaged or cut off. {AGAIN}"
    if "torch.storage._load_from_bytes" in names:
        return "its tensors were written by pickle, which needs code to read them; expected torch.save"
    shown = ", ".join(list(dict.fromkeys(names))[:NAMED])
    if any(name.startswith("torch.nn.modules.") for name in names):
        what, write = f"a whole pickled network ({shown})", "network.state_dict()"
    else:
        what, write = f"objects other than tensors and numbers ({shown})", "the state dict alone"
    return (
        f"it holds {what}. To load it would run code of the file, so it is refused. Expected only names and "
        f"tensors: where the network was made, or where you trust the file, write {write} with torch.save"
    )


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """Yield the pickles of a file, each at its beginning."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            [name] = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
            with archive.open(name) as file:
                yield file
        return
    with path.open("rb") as file:
        # Before there were archives, torch wrote several pickles, and then the bytes of the tensors.
        for _ in range(4):
            if file.read(1) != b"\x80":
                return
            file.seek(-1, 1)
            yield file


def _foreign_names(pickled: IO[bytes]) -> list[str]:
    """Return the functions and classes that a pickle asks for and that are no data; nothing is run."""
    texts: list[str] = []
    names: list[str] = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            names.append(str(argument).replace(" ", "."))
        elif operation.name == "STACK_GLOBAL":
            names.append(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    data = {f"{module}.{name}" for module, name in ALLOWED_IN_PICKLES} | {"argparse.Namespace"}
    return [name for name in names if name not in data and not _is_of_tensors(name)]


def _is_of_tensors(name: str) -> bool:
    code = ("torch.nn.modules.", "torch.storage._load_from_bytes", "torch.optim.")
    return name.startswith(("torch.", "numpy.dtypes.")) and not name.startswith(code)


def _named_tensors(content: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors; `place` is the name of what holds `content`, with a dot at its end."""
    if not isinstance(content, Mapping):
        return
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            # torch knows only this machine's order of bytes.
            yield f"{place}{name}", torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        elif isinstance(value, Tensor):
            yield f"{place}{name}", value.detach()
        else:
            yield from _named_tensors(value, f"{place}{name}.")


def without_batch_counts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without batch norm's counts of batches, which nothing reads and some files lack."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def matched(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of `found` under the names of `expected`, and what stood before these names.

    All expected tensors must be there, in their shapes, below one prefix such as `state_dict.module.`; the
    empty prefix comes first. Others are left out. A dot and an underscore are the same: where timm takes a
    model apart for its feature maps, `stages.0` becomes `stages_0`.

    Raises:
        InputError: the tensors do not fit, or they fit below several prefixes. The message says how.
    """
    of_prefix = _names_by_prefix(expected, found)

    def below(prefix: str) -> dict[str, Tensor]:
        return {own: found[name] for own, name in of_prefix[prefix].items()}

    fitting = [prefix for prefix in of_prefix if not mistakes(expected, below(prefix))]
    if len(fitting) > 1 and "" not in fitting:
        raise InputError(
            f"several sets of tensors fit, those below {_listed(map(repr, fitting))}; expected one. Write "
            "the wanted one into a file of its own with torch.save"
        )
    if fitting:
        prefix = "" if "" in fitting else fitting[0]
        return below(prefix), prefix
    if not of_prefix:
        raise InputError(
            f"of its {counted(len(found), 'tensor')} none has an expected name; found {_listed(found)}, "
            f"expected {_listed(expected)}"
        )
    tensors, prefix = closest(expected, found)
    others = [name for name in without_batch_counts(found) if name not in of_prefix[prefix].values()]
    parts = mistakes(expected, tensors)
    if others:
        parts.append(
            f"{counted(len(others), 'other is', 'others are')} there ({_with_shapes(others, found)})"
        )
    place = f"below {prefix!r}, " if prefix else ""
    raise InputError(place + "; ".join(parts))


def closest(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of `found` with expected names, and the prefix below which there are most.

    Their shapes may be others; see `matched`. Without any expected name, nothing is returned.
    """
    of_prefix = _names_by_prefix(expected, found)
    prefix = max(of_prefix, key=lambda prefix: len(of_prefix[prefix]), default="")
    return {own: found[name] for own, name in of_prefix.get(prefix, {}).items()}, prefix


def _names_by_prefix(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, dict[str, str]]:
    """Return prefix -> expected name -> name in `found`."""
    names = {_joined(name): name for name in expected}
    of_prefix: dict[str, dict[str, str]] = {}
    for name in found:
        for prefix in _prefixes(name):
            rest = name.removeprefix(prefix)
            own = rest if rest in expected else names.get(_joined(rest))
            if own is not None:
                of_prefix.setdefault(prefix, {})[own] = name
    return of_prefix


def mistakes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return how tensors differ from those that are expected, in words; empty if they can be taken.

    Tensors that are not expected are no mistake. Floating-point numbers of any precision can be taken.
    """
    missing = [name for name in expected if name not in found]
    both = [name for name in expected if name in found]
    misshapen = [name for name in both if found[name].shape != expected[name].shape]
    floating = [name for name in both if expected[name].is_floating_point()]
    quantised = [name for name in floating if not _is_floating(found[name])]
    not_finite = [
        name
        for name in floating
        if _is_floating(found[name]) and not _is_finite(found[name]) and _is_finite(expected[name])
    ]
    parts = []
    if missing:
        parts.append(
            f"{len(missing)} of {counted(len(expected), 'tensor')} {agreeing(len(missing), 'is', 'are')} "
            f"missing ({_with_shapes(missing, expected)})"
        )
    if misshapen:
        shown = [f"{name} is {_shape(found[name])}, expected {_shape(expected[name])}" for name in misshapen]
        parts.append(f"{counted(len(misshapen), 'has', 'have')} another shape ({_listed(shown, '; ')})")
    if quantised:
        shown = [f"{name} is {str(found[name].dtype).removeprefix('torch.')}" for name in quantised]
        parts.append(
            f"{counted(len(quantised), 'holds', 'hold')} no floating-point numbers of 16 bit or more "
            f"({_listed(shown)}), expected the weights before they were quantised"
        )
    if not_finite:
        parts.append(
            f"{counted(len(not_finite), 'holds', 'hold')} infinite values or NaN ({_listed(not_finite)})"
        )
    return parts


def unexpected(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return in words which tensors were found although they are not expected; empty if there are none."""
    names = [name for name in found if name not in expected]
    if not names:
        return []
    return [f"{counted(len(names), 'is', 'are')} not expected ({_with_shapes(names, found)})"]


def _is_floating(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() > 1


def _is_finite(tensor: Tensor) -> bool:
    # A sum is not finite if a summand is not, and it needs no memory.
    return bool(tensor.sum(dtype=torch.float64).isfinite())


def _joined(name: str) -> str:
    return name.replace(".", "_")


def _prefixes(name: str) -> Iterator[str]:
    """Yield all beginnings of a name that end before one of its parts, the empty one first."""
    yield ""
    for place, letter in enumerate(name):
        if letter == ".":
            yield name[: place + 1]


def _listed(words: Iterable[str], separator: str = ", ") -> str:
    shown = list(words)
    more = [f"and {len(shown) - NAMED} more"] if len(shown) > NAMED else []
    return separator.join([*shown[:NAMED], *more])


def _with_shapes(names: Iterable[str], tensors: Mapping[str, Tensor]) -> str:
    return _listed(f"{name} {_shape(tensors[name])}" for name in names)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
