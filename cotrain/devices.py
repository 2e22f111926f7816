"""Which device a job computes on, and in which precision."""

import fcntl
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

import torch

from cotrain.errors import InputError

logger = logging.getLogger("cotrain")


@contextmanager
def claimed_device(wanted: str, lock_folder: Path | None = None) -> Iterator[torch.device]:
    """Yield the device for this job; a GPU is this job's alone until the context ends.

    A workflow manager on one machine counts GPUs but names none, so two jobs would both take the first.
    Here each visible GPU has a lock file; a job takes the first free one. A scheduler that shows each
    job its own GPUs (CUDA_VISIBLE_DEVICES) thereby just works: the locks are named by the real device.

    Args:
        wanted: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda" or "mps".
        lock_folder: where the lock files lie; by default the machine's temporary folder.

    Raises:
        InputError: a device was demanded that this machine does not have.
    """
    if wanted == "auto":
        wanted = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    if wanted == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        raise InputError(
            "device: 'cuda' was demanded, but PyTorch finds no usable NVIDIA GPU on this machine "
            f"(torch {torch.__version__}, CUDA_VISIBLE_DEVICES={visible}); "
            "set device: auto or cpu to compute without one"
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise InputError("device: 'mps' was demanded, but PyTorch finds no Apple GPU on this machine")
    if wanted != "cuda":
        yield torch.device(wanted)
        return
    with _first_free(_device_names(), lock_folder or Path(tempfile.gettempdir())) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


def _device_names() -> list[str]:
    """Return a name for each visible GPU that is the same for every process of this machine."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(index) for index in range(count)]


@contextmanager
def _first_free(names: list[str], folder: Path) -> Iterator[int]:
    """Lock the first free name and yield its position; when all are taken, share the first."""
    held: IO[str] | None = None
    position = 0
    for candidate, name in enumerate(names):
        path = folder / f"cotrain-gpu-{re.sub(r'[^A-Za-z0-9]+', '-', name.strip())}.lock"
        if not path.exists():
            path.touch()
        # For reading: the file may be another user's. Closing it frees the device.
        file = open(path)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        held, position = file, candidate
        break
    else:
        # More jobs than GPUs were granted (`gpu` in the profile exceeds this machine): sharing is slow
        # but right, waiting could be for ever.
        logger.info("all %d GPUs are taken by other jobs; sharing the first", len(names))
    try:
        yield position
    finally:
        if held:
            held.close()


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return the context to run a network in.

    Args:
        device: where the network computes.
        precision: "float32", "bfloat16", or "auto": bfloat16 on CUDA, where it halves time and memory,
            float32 elsewhere, where it is rarely faster.
    """
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
