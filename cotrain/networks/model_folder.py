"""Which weights file a model is; without torch, so that command lines can ask."""

from pathlib import Path

from cotrain.errors import InputError


def weights_file(path: Path) -> Path:
    """Return the weights file of a model: `path` itself, unless it is a folder.

    A folder stands for its averaged weights if there are any, because they predict better.

    Raises:
        InputError: the folder holds no weights.
    """
    if not path.is_dir():
        return path
    for name in ("averaged.safetensors", "weights.safetensors"):
        if (path / name).exists():
            return path / name
    raise InputError(f"{path}: holds no weights.safetensors; is its training unfinished?")
