import fcntl

import pytest

from cotrain.configuration.names import BASELINE, FINAL, ModelName
from cotrain.reporting.run_status import (
    Begun,
    Noted,
    Piece,
    RunStatus,
    is_held,
    pieces_of,
    read_locks,
    status_text,
)
from cotrain.reporting.time_left import Cost
from tests.configuration.conftest import make_plan  # noqa: F401

PIECES = (
    Piece("data", "data/checked.json", (Cost("collect_checks", 1),)),
    Piece("baseline", "models/baseline/weights.safetensors", (Cost("train", 100),), BASELINE),
    Piece("baseline", "evaluation/baseline/scores.json", (Cost("evaluate", 1),)),
    Piece("final", "models/final/weights.safetensors", (Cost("train", 200),), FINAL),
    Piece("report", "report/models.txt", (Cost("report", 1),)),
)


def status(done=1, noted=None, begun=(), at_work=True, speeds=None):
    return RunStatus(
        name="demo",
        pieces=PIECES,
        missing=frozenset(piece.path for piece in PIECES[done:]),
        iterations={BASELINE: 100, FINAL: 200},
        noted=noted or {},
        begun=begun,
        at_work=at_work,
        speeds=speeds or {},
    )


def lines(*arguments, **named):
    # Noon, 1 January 2026 of Greenwich.
    text = status_text(status(*arguments, **named), 1767268800.0)
    return [tuple(line.split(maxsplit=1)) for line in text.replace("stopped in", "stopped").splitlines()]


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_run_at_work():
    begun = [Begun("train/baseline", "baseline: 30/100 iterations"), Begun("predict/x/0", "")]
    noted = {BASELINE: Noted(40, 2.0, 3.4)}
    found = lines(1, noted, begun, speeds={"evaluate": 30.0, "train": 5.0})
    assert found[:7] == [
        ("run", "demo: a snakemake is at work on it on this machine"),
        ("done", "0 of 2 models, 1 of 5 files"),
        ("complete", "data"),
        ("training", "baseline: iteration 40 of 100 (40 %), 2 min 00 s left; noted 3 s ago"),
        ("running", "predict/x/0"),
        ("next", "final, report"),
        # 60 and 200 iterations at 2 s, which the training has noted itself, 30 s and 1 s for a report: 551 s.
        ("left", "about 9 min 11 s, one job after the other; ends at about 12:09"),
    ]


def test_the_end_may_be_on_another_day():
    assert lines(1, speeds={"train": 600.0})[4][1].endswith("ends at about 03 Jan, 14:00")


def test_before_a_training_no_time_is_known():
    assert lines(0)[:5] == [
        ("run", "demo: a snakemake is at work on it on this machine"),
        ("done", "0 of 2 models, 0 of 5 files"),
        ("complete", "nothing yet"),
        ("next", "data, baseline, final, report"),
        (
            "left",
            "not known before a training has noted its speed; `snakemake estimate` measures how long a whole "
            "run takes",
        ),
    ]


def test_a_run_that_has_stopped():
    begun = [Begun("train/final", "error: " + "x" * 200)]
    found = dict(lines(3, {FINAL: Noted(50, 1.0, 7200)}, begun, at_work=False))
    assert found["run"].endswith("no snakemake is at work on it here; the same snakemake command goes on")
    assert found["training"] == "final: iteration 50 of 200 (25 %), 2 min 30 s left; noted 2 h 00 min ago"
    assert found["stopped"] == f"train/final: error: {'x' * 153}…"
    assert found["left"] == "about 2 min 31 s, one job after the other"


def test_where_locks_cannot_be_seen_it_says_so():
    found = dict(lines(3, begun=[Begun("train/final", "")], at_work=None))
    assert (
        found["run"]
        == "demo: not finished; whether a snakemake is at work on it cannot be seen on this machine"
    )
    assert found["begun"] == "train/final"


def test_a_finished_run():
    assert lines(5, at_work=False)[:3] == [
        ("run", "demo: finished"),
        ("done", "2 of 2 models, 5 of 5 files"),
        ("complete", "data, baseline, final, report"),
    ]
    assert [kind for kind, _ in lines(5)[3:]] == ["note"]


def test_the_lock_is_seen_and_not_taken(tmp_path):
    text = (
        "1: FLOCK  ADVISORY  WRITE 8141 fe:00:{} 0 EOF\n2: POSIX  ADVISORY  WRITE 9 fe:00:{} 0 EOF\n"
        "3: -> FLOCK  ADVISORY  WRITE 8141 fe:00:1 0 EOF\n"
    )
    path, other = tmp_path / "workflow.lock", tmp_path / "other.lock"
    path.write_text("")
    other.write_text("")
    text = text.format(path.stat().st_ino, other.stat().st_ino)
    assert is_held(path, text)
    assert not is_held(other, text)
    assert not is_held(tmp_path / "gone", text)
    locks = read_locks()
    if locks is not None:
        assert not is_held(path, locks)
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert is_held(path, read_locks())


def test_what_a_run_leaves(make_plan):  # noqa: F811
    plan = make_plan(prediction={"shards": 3, "calibration_images": 2}, self_training={"rounds": 2})
    pieces = {piece.path: piece for piece in pieces_of(plan)}
    assert len(pieces) == len(pieces_of(plan))
    # The baseline, two rounds, both branches of each cycle, and the final model.
    models = [piece.model for piece in pieces.values() if piece.model]
    assert models == plan.models
    kinds = [cost.kind for cost in pieces["pseudo_labels/self_training/01/selected.tsv"].costs]
    assert kinds == ["choose_subset", "predict", "predict", "predict", "thresholds", "label_round"]
    exchanged = [pieces[f"pseudo_labels/co_training/00/{branch}/selected.tsv"].costs for branch in "ab"]
    assert [("exchange", 1) in [cost[:2] for cost in costs] for costs in exchanged] == [True, False]
    final = [cost.kind for cost in pieces["pseudo_labels/ensemble/manifest.tsv"].costs]
    assert (final.count("predict"), final.count("ensemble_labels"), final.count("join_ensemble")) == (6, 3, 1)
    scoring = [cost.kind for cost in pieces["evaluation/final/camera_test/scores.json"].costs]
    assert scoring == ["predict", "predict", "predict", "evaluate"]
    [training] = pieces["models/final/weights.safetensors"].costs
    assert training == Cost("train", plan.configuration.final.iterations)
    assert "models/baseline/temperature.json" in pieces
    b = make_plan(co_training={"network_b": {"name": "my.networks:make"}})
    by_path = {piece.path: piece for piece in pieces_of(b)}
    step = str(ModelName("co_training", 0, "b"))
    assert by_path[f"models/{step}/weights.safetensors"].costs[0].kind == "train b"
