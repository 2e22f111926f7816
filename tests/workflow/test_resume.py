import signal
import time

from tests.workflow.conftest import saved, wait_for_save

WEIGHTS = "models/baseline/weights.safetensors"


def test_a_second_workflow_on_the_same_run_is_refused(run):
    process = run.start("baseline")
    try:
        wait_for_save(run, process)
        second = run.snakemake("baseline")
        assert second.returncode != 0
        assert "another snakemake is at work on run tiny (state/tiny/workflow.lock)" in second.stdout
        assert process.poll() is None
    finally:
        run.kill(process, signal.SIGKILL)


def test_killed_three_ways_it_ends_with_the_same_bytes(tmp_path, run, make_run):
    """`kill -9`, Ctrl-C and SIGTERM of everything, each followed by a plain `snakemake`."""
    configuration = run.configuration()
    # Long enough to be hit three times in the middle, even where this test is given little time.
    configuration["baseline"]["iterations"] = 240
    run.configure(configuration)
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        before = saved(run)
        process = run.start("baseline")
        wait_for_save(run, process, after=before)
        run.kill(process, number)
        assert process.returncode != 0
        assert not (run.folder / "results" / "tiny" / WEIGHTS).exists()
    last = run.snakemake("baseline")
    assert last.returncode == 0, last.stdout[-4000:]
    assert "resumed at iteration" in last.stdout

    whole = make_run(tmp_path / "whole")
    whole.configure(configuration)
    assert whole.snakemake("baseline").returncode == 0
    names = [WEIGHTS, "models/baseline/history.jsonl", "evaluation/baseline/camera_test/scores.json"]
    assert run.bytes_of(*names) == whole.bytes_of(*names)


def everything(run):
    """Return what a run has made but for messages and paths: {name: bytes}."""
    results = run.folder / "results" / "tiny"
    kinds = ("models/**/*.safetensors", "models/**/history.jsonl", "translated/**/*.png")
    kinds += ("pseudo_labels/**/*.png", "pseudo_labels/**/*.json", "evaluation/**/*.tsv", "report/*.tsv")
    found = [path for kind in kinds for path in results.glob(kind)]
    # A job that is killed while it writes a file leaves its beginning, under a hidden name.
    return {
        str(path.relative_to(results)): path.read_bytes() for path in found if not path.name.startswith(".")
    }


def test_killed_in_every_stage_it_makes_the_same_files(run, finished_run):
    """`kill -9` of everything, each time soon after a sign that another stage has been reached."""
    for sign in (
        "data/synthetic/labelled.tsv",
        "translated/synthetic/images/*.png",
        "predictions/baseline/subset/self_training/00/*",
        "pseudo_labels/self_training/00/labels/*.png",
        "models/self_training/01/weights.safetensors",
        "pseudo_labels/co_training/00/a/selected.tsv",
        "pseudo_labels/ensemble/labels/*.png",
        "evaluation/final/camera_test/*",
    ):
        process = run.start()
        deadline = time.monotonic() + 300
        while not any((run.folder / "results" / "tiny").glob(sign)):
            assert process.poll() is None, f"the workflow ended before {sign} was there"
            assert time.monotonic() < deadline, f"{sign} was not made within five minutes"
            time.sleep(0.01)
        run.kill(process, signal.SIGKILL)
        assert process.returncode != 0
    last = run.snakemake()
    assert last.returncode == 0, last.stdout[-4000:]
    made, expected = everything(run), everything(finished_run)
    assert len(made) > 50
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []
    assert not list((run.folder / "results" / "tiny" / "translated").rglob(".*.partial*"))
