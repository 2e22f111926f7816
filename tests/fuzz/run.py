"""Read damaged files of every format, and configurations that nobody would write; see `make fuzz`.

A reader may return something or raise InputError. Anything else is a failure: another exception, more than
some seconds, a crash, or more memory than `MEMORY`. Each failure is printed with what repeats it.
"""

import argparse
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from cotrain.errors import InputError
from tests.fuzz.configurations import check, drawn
from tests.fuzz.formats import FORMATS, Format
from tests.fuzz.mutations import damaged

SLOW_S = 5.0
HANGS_S = 20.0
MEMORY = 6 << 30
SHOWN = 5
NO_CASE = -1


def cases(name: str, folder: Path) -> Callable[[int, int], str]:
    """Return what runs case `number` of `seed` and says what came of it: "read", "refused" or a failure."""
    if name == "configuration":
        return lambda seed, number: outcome(lambda: check(drawn(Random(f"{seed}/{number}"))))
    [kind] = [one for one in FORMATS if one.name == name]
    path = folder / kind.name
    kind.write(path)
    whole = path.read_bytes()
    # The whole file is read.
    kind.read(path)
    return lambda seed, number: _damaged(kind, path, whole, Random(f"{seed}/{name}/{number}"))


def _damaged(kind: Format, path: Path, whole: bytes, random: Random) -> str:
    # A new file: the old one may still be mapped into memory.
    path.unlink()
    path.write_bytes(damaged(kind.name, whole, random))
    return outcome(lambda: kind.read(path))


def outcome(read: Callable[[], Any]) -> str:
    """Return "read" or "refused", or the last lines of the traceback of any other exception."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = "refused" if read() is False else "read"
    except InputError as error:
        result = "refused"
        if "\n" in str(error) and "Traceback" in str(error):
            result = f"a traceback in a message: {error}"
    except Exception:
        result = "".join(traceback.format_exc().splitlines(keepends=True)[-8:])
    seconds = time.monotonic() - started
    return f"took {seconds:.1f} s" if seconds > SLOW_S else result


def run(name: str, seed: int, first: int, number: int, send: Any) -> None:
    """Run cases in a process of its own and send what came of each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Libraries of images write about damage to the standard error of the process itself.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_case = cases(name, Path(folder))
        except Exception:
            # Without a file that can be read there is nothing to damage.
            send.send((NO_CASE, traceback.format_exc()))
            return
        for case in range(first, first + number):
            send.send((case, run_case(seed, case)))
    send.send((None, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))


def outcomes(name: str, seed: int, number: int) -> Iterator[tuple[int | None, str]]:
    """Yield what came of each case, and (None, MiB of memory); a crash or a hang costs only its case."""
    context = multiprocessing.get_context("spawn")
    case = 0
    while case < number:
        receive, send = context.Pipe(duplex=False)
        worker = context.Process(target=run, args=(name, seed, case, number - case, send))
        worker.start()
        send.close()
        waiting = HANGS_S + 40
        with contextlib.suppress(EOFError):
            while receive.poll(waiting):
                found, result = receive.recv()
                yield found, result
                if found in (None, NO_CASE):
                    case = number
                    break
                case, waiting = found + 1, HANGS_S
        # A process that ends closes its pipe a little earlier.
        worker.join(1)
        if case < number:
            hangs = worker.is_alive()
            if hangs:
                worker.kill()
            worker.join()
            yield case, "hangs" if hangs else f"ends the process: {_signal(worker.exitcode)}"
            case += 1
        worker.join()


def _signal(code: int | None) -> str:
    return signal.Signals(-code).name if code and code < 0 else f"exit status {code}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["configuration", *(kind.name for kind in FORMATS)]
    parser.add_argument("--cases", type=int, default=10_000, help="of each format (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--formats", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known)
    )
    options = parser.parse_args()
    failures = 0
    for name in options.formats:
        started = time.monotonic()
        counts: Counter[str] = Counter()
        memory = "?"
        for case, result in outcomes(name, options.seed, options.cases):
            if case is None:
                memory = result
                continue
            counts[result] += 1
            if result not in ("read", "refused"):
                failures += 1
                if counts[result] == 1 and len(counts) <= SHOWN + 2:
                    print(f"{name}, seed {options.seed}, case {case}: {result}", flush=True)
        bad = sum(counts.values()) - counts["read"] - counts["refused"]
        print(
            f"{name:24} {counts['read']:6} read {counts['refused']:6} refused {bad:4} failures "
            f"{time.monotonic() - started:6.0f} s {memory:>5} MiB",
            flush=True,
        )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
