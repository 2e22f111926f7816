"""How long should OpenMP's threads spin while they wait? A training step on the CPU, alone and beside others.

Each row is a setting of the environment, each column a number of threads. "Idle" means that nothing else
runs; "busy" that one other process uses a core all the time. Prints milliseconds of an iteration, and the
ratio to the environment without a setting:

    python -m benchmarks.waiting_threads [--threads 1 2 4] [--iterations 20]
"""

import argparse
import os
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext

# GNU's library counts turns of a loop, LLVM's and Intel's milliseconds.
SETTINGS: dict[str, dict[str, str]] = {
    "no setting": {},
    "1 000 turns": {"GOMP_SPINCOUNT": "1000"},
    "10 000 turns": {"GOMP_SPINCOUNT": "10000"},
    "100 000 turns": {"GOMP_SPINCOUNT": "100000"},
    "no spinning": {"OMP_WAIT_POLICY": "PASSIVE"},
}
VARIABLES = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
LIMIT_S = 60
WARM_UP = 3
# It ends with the benchmark, even if that is killed.
OTHER_WORK = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"


class BusyProcess:
    """A process that keeps one core busy, as a context manager."""

    def __enter__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", OTHER_WORK])

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


def iteration_ms(setting: dict[str, str], threads: int, iterations: int, busy: bool) -> float | None:
    """Return the milliseconds of an iteration in a process of its own; None if it takes over a minute."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "benchmarks.waiting_threads", "--measure", str(threads)]
    other_work: AbstractContextManager[None] = BusyProcess() if busy else nullcontext()
    with other_work:
        try:
            run = subprocess.run(
                [*command, "--iterations", str(iterations)],
                env=environment | setting,
                stdout=subprocess.PIPE,
                timeout=LIMIT_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return None
    return float(run.stdout)


def measure(threads: int, iterations: int) -> float:
    """Return the milliseconds of an iteration of the demo's training in this process."""
    import torch

    from benchmarks.networks import NETWORKS
    from benchmarks.training_step import CASES, HARD_PIXELS, loop_settings, tensors
    from cotrain.networks.build import build_network
    from cotrain.training.loop import step
    from cotrain.training.optimisers import make_optimiser
    from cotrain.training.passes import make_passes

    torch.set_num_threads(threads)
    case, settings = CASES["demo"], loop_settings(iterations)
    network = build_network(NETWORKS[case.network], case.classes, 0, pretrained=False).train()
    optimiser = make_optimiser(network, settings)
    images, labels = tensors(case, torch.device("cpu"))
    passes = make_passes(network, settings, images, labels)
    for number in range(WARM_UP + iterations):
        if number == WARM_UP:
            started = time.perf_counter()
        step(passes, optimiser, images, labels, HARD_PIXELS)
    return 1000 * (time.perf_counter() - started) / iterations


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--measure", type=int, metavar="THREADS", help="only one training, in this process")
    options = parser.parse_args(arguments)
    if options.measure:
        print(measure(options.measure, options.iterations))
        return
    columns = [(threads, busy) for threads in options.threads for busy in (False, True)]
    titles = [f"{threads} threads, {'busy' if busy else 'idle'}" for threads, busy in columns]
    print(f"{os.cpu_count()} cores, ms of an iteration")
    print(" " * 16 + "".join(f"{title:>20}" for title in titles))
    first: list[float | None] = []
    for name, setting in SETTINGS.items():
        row = [iteration_ms(setting, threads, options.iterations, busy) for threads, busy in columns]
        first = first or row
        print(f"{name:<16}" + "".join(map(cell, row, first)), flush=True)


def cell(value: float | None, without: float | None) -> str:
    """Return "MILLISECONDS (RATIO)" of a width of 20."""
    if value is None:
        return f"{f'over {LIMIT_S} s in all':>20}"
    ratio = f" ({value / without:.2f})" if without else ""
    return f"{value:.0f}{ratio}".rjust(20)


if __name__ == "__main__":
    main()
