import json

import pytest

from cotrain.reporting.time_left import Cost, Speeds, cost_of_training, seconds_left


def test_the_rest_is_the_sum_over_the_jobs():
    speeds = {"train": 0.5, "predict": 3.0}
    costs = [Cost("train", 100), Cost("predict", 1), Cost("predict", 0.5), Cost("thresholds", 1)]
    # 50 + 3 + 1.5, and one second for a kind that nobody has measured.
    assert seconds_left(costs, speeds) == 55.5


def test_nothing_is_said_before_a_training_is_measured():
    assert seconds_left([Cost("predict", 1), Cost("train", 10)], {"predict": 3.0}) is None
    assert seconds_left([Cost("predict", 1)], {}) == 4.0


def test_what_a_training_says_of_itself_counts_for_its_kind():
    costs = [Cost("train", 10, seconds=2.0), Cost("train", 5)]
    assert seconds_left(costs, {"train": 100.0}) == 30.0


def test_another_network_counts_as_the_slowest_known():
    assert seconds_left([Cost("train b", 10)], {"train": 2.0, "train c": 3.0}) == 30.0


def test_a_training_is_as_far_as_its_state_says(tmp_path):
    assert cost_of_training("train", 100, tmp_path) == Cost("train", 100)
    note = {"iteration": 30, "seconds_an_iteration": 0.25}
    (tmp_path / "progress.json").write_text(json.dumps(note))
    assert cost_of_training("train", 100, tmp_path) == Cost("train", 70, 0.25)
    # Its model is there, and yet it is to be made: other settings or data have come.
    assert cost_of_training("train", 100, tmp_path, has_ended=True) == Cost("train", 100, 0.25)
    for text in (
        '{"iter',
        "[" * 100_000,
        json.dumps(note).replace("30", "1e999"),
        json.dumps(note | {"iteration": -1}),
    ):
        (tmp_path / "progress.json").write_text(text)
        assert cost_of_training("train", 100, tmp_path) == Cost("train", 100)


def test_speeds_outlive_the_run(tmp_path):
    speeds = Speeds(tmp_path / "speeds.json")
    speeds.add(Cost("train", 10), 20.0)
    assert speeds.seconds == {"train": 2.0}
    Speeds(tmp_path / "speeds.json").add(Cost("train", 5), 20.0)
    assert Speeds(tmp_path / "speeds.json").seconds == {"train": 3.0}
    # It knows best, and its 20 seconds hold more than these two iterations.
    speeds.add(Cost("train", 2, seconds=1.0), 20.0)
    assert speeds.seconds == {"train": 1.5}
    speeds.add(Cost("predict", 0), 20.0)
    assert "predict" not in speeds.seconds


@pytest.mark.parametrize(
    "text", ["", "[]", '{"train": "fast"}', '{"train": NaN}', '{"train": -1}', "[" * 100_000]
)
def test_damaged_speeds_are_measured_again(tmp_path, text):
    (tmp_path / "speeds.json").write_text(text)
    assert Speeds(tmp_path / "speeds.json").seconds == {}
