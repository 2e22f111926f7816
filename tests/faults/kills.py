"""A run that is killed again and again, at moments of chance, makes the bytes of one that is not killed."""

import random
import signal
import time

from tests.workflow.conftest import Run, finished_run  # noqa: F401 (a fixture)

KILLS = 12
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def test_kills_in_every_stage(finished_run: Run, tmp_path) -> None:  # noqa: F811
    run = Run(tmp_path / "killed run")
    chance = random.Random(4)
    kills = 0
    while kills < KILLS:
        process = run.start()
        time.sleep(chance.uniform(3, 14))
        if process.poll() is not None:
            break
        run.kill(process, chance.choice(SIGNALS))
        kills += 1
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-4000:]
    print(f"killed {kills} times")
    assert kills >= KILLS // 2
    results = finished_run.folder / "results" / "tiny"
    compared = 0
    for path in sorted(results.rglob("*")):
        if (
            path.is_file()
            and path.suffix in (".safetensors", ".png", ".tsv", ".jsonl")
            and "logs" not in path.parts
        ):
            # It says what it was made from and when, in the order in which threads finished.
            if path.name == "done.jsonl":
                continue
            other = run.folder / "results" / "tiny" / path.relative_to(results)
            assert other.read_bytes() == path.read_bytes(), other
            compared += 1
    print(f"{compared} files are equal")
    assert compared > 50
