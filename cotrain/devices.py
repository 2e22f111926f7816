"""The device on which a job computes, and its precision."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from cotrain.errors import InputError

logger = logging.getLogger("cotrain")

# On one GPU; with more, they are no longer spread evenly.
MOST_JOBS_PER_GPU = 64


@contextmanager
def claimed_device(setting: str, deterministic: bool = False) -> Iterator[torch.device]:
    """Yield the device for this job; jobs on one machine get different GPUs as long as one is free.

    A workflow manager on one machine counts GPUs but does not name them, so two jobs would both take the
    first. Here a job claims the first free one among the visible GPUs, or one with the fewest jobs, and the
    claim ends with the job. Schedulers that show each job its own GPUs (CUDA_VISIBLE_DEVICES, cgroups) and
    parts of GPUs (MIG) work too, because claims are named after the real devices.

    Args:
        setting: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda" or "mps".
        deterministic: whether only kernels run that give the same bytes every time on the same device.

    Raises:
        InputError: this machine does not have the device, or there is no deterministic kernel for what is
            computed.
    """
    with _same_bytes() if deterministic else nullcontext(), _claimed_device(setting) as device:
        yield device


def usable_device(name: str | torch.device) -> torch.device:
    """Return the device `name`: "auto" (CUDA, else MPS, else CPU) or what torch.device takes.

    Raises:
        InputError: there is no such device, or not on this machine.
    """
    try:
        device = torch.device(_usable_kind(name) if name == "auto" else name)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"device: found {name!r}, expected auto, cpu, mps, cuda, or cuda:1 for the second GPU"
        ) from error
    _usable_kind(device.type)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device: found {str(device)!r}, but this machine has {torch.cuda.device_count()} usable GPUs, "
            "which are counted from 0"
        )
    return device


def _usable_kind(setting: str) -> str:
    """Return the kind of device that a setting means; InputError if this machine does not have it."""
    kind = setting
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
        raise InputError(
            "device: 'cuda' is set, but PyTorch finds no usable NVIDIA GPU on this machine "
            f"(torch {torch.__version__}, CUDA_VISIBLE_DEVICES={visible}); "
            "set device (by hand: --device) to auto or cpu to compute without one"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            "device: 'mps' is set, but PyTorch finds no Apple GPU on this machine; "
            "set device (by hand: --device) to auto or cpu to compute without one"
        )
    return kind


@contextmanager
def _claimed_device(setting: str) -> Iterator[torch.device]:
    kind = _usable_kind(setting)
    if kind != "cuda":
        yield torch.device(kind)
        return
    with _first_free(_device_names()) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


@contextmanager
def _same_bytes() -> Iterator[None]:
    """Allow only deterministic kernels; InputError for what has none."""
    # Read by cuBLAS when CUDA starts; torch refuses matrix products without it.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        found = re.match(r"(\S+) does not have a deterministic implementation", str(error))
        if not found:
            raise
        raise InputError(
            f"deterministic: true is set, but the network needs the operation {found[1]}, which has no "
            f"deterministic kernel in torch {torch.__version__}; set it to false, or take another network"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def tuned_kernels() -> Iterator[None]:
    """Let cuDNN try which kernels are the fastest for each size that it meets, unless bytes must be the same.

    It pays where sizes repeat, as in training. Where each image has another size, trying takes longer.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _device_names() -> list[str]:
    """Return a name for each visible GPU; the name is the same in every process of this machine.

    Not its number: in jobs that a scheduler confines to some GPUs, each numbers its own from 0.
    """
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]


@contextmanager
def _first_free(names: list[str]) -> Iterator[int]:
    """Claim a GPU with the fewest jobs, the first of them, and yield its position."""
    for jobs_before in range(MOST_JOBS_PER_GPU):
        for position, name in enumerate(names):
            if claim := _claimed(f"{name} {jobs_before}"):
                with claim:
                    if jobs_before:
                        # More `gpu` than GPUs: wanted, if one network leaves a GPU idle, or a mistake.
                        logger.info(
                            "all %d GPUs are at work; this job shares one, its jobs are now %d",
                            len(names),
                            jobs_before + 1,
                        )
                    yield position
                return
    # Sharing is slow but correct; waiting could last for ever.
    yield 0


def _claimed(name: str) -> socket.socket | None:
    """Return what holds the claim of a name until it is closed, or None if another process holds it.

    It is a socket with a name in the kernel (Linux's abstract namespace), not a lock file. A file would have
    to lie where all users may write: there others can put a link, a pipe or a file that nobody else may open,
    and whatever cleans up temporary files can remove a lock that is held. This name is unique among all users
    of the machine, and ends with its process, even if the process is killed.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0cotrain-gpu-{re.sub(r'[^A-Za-z0-9]+', '-', name.strip())}")
    except OSError:
        claim.close()
        return None
    return claim


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return the context in which a network runs.

    Args:
        device: the device of the network.
        precision: "float32", "bfloat16" or "auto". "auto" means bfloat16 on CUDA, where it halves time and
            memory, and float32 elsewhere, where bfloat16 is rarely faster.
    """
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
