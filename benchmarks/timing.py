"""What the benchmarks share: how long a piece of work takes, and how much memory a process has had."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def seconds(
    work: Callable[[int], object], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the median time of `work`, called with 0, 1, 2, … in `rounds` rounds.

    With `time.process_time` as `clock` it is the processor's time, which other processes change less.
    """
    taken = []
    for number in range(rounds):
        started = clock()
        work(number)
        taken.append(clock() - started)
    return float(np.median(taken))


def peak_memory_mb() -> float:
    """Return the most memory in MB (10**6 bytes) that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: under Linux a new process inherits that of the one that started it.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    # In bytes on macOS, where there is no /proc.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
