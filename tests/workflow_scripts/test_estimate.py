import json
import re

import pytest
import torch

from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from workflow_scripts.estimate import crops_read, main, report

PLAN = {
    "trainings": {
        "baseline": [100, "baseline"],
        "co_training/00/a": [50, "co_training"],
        "co_training/00/b": [50, "co_training_b"],
        "final": [200, "final"],
    },
    "labellings": {
        "label for co_training/00/a": [30, "baseline"],
        "score co_training/00/b": [-1, "co_training_b"],
    },
}


def test_report_by_hand():
    # 10 images each, at 0.5 and 1 s: 15 s in all. Trainings: 100 × 2, 50 × 2.4 + 50 × 6, 200 × 2 s.
    text = report(
        PLAN,
        images=10,
        seconds_an_iteration={"baseline": 2.0, "co_training": 2.4, "co_training_b": 6.0, "final": 2.0},
        seconds_an_image={"baseline": 0.5, "co_training_b": 1.0},
    )
    assert text.splitlines() == [
        "baseline     1 training   100 iterations   3 min 20 s",
        "co_training  2 trainings  100 iterations   7 min 00 s",
        "final        1 training   200 iterations   6 min 40 s",
        "labelling    2 sets            20 images         15 s",
        "all                                       17 min 15 s",
    ]


@pytest.fixture
def arguments(tmp_path, make_items, training_mapping):
    torch.set_num_threads(1)
    write_manifest(tmp_path / "source.tsv", make_items("source", 3))
    write_manifest(tmp_path / "target.tsv", make_items("target", 2))
    adapting = {**training_mapping, "batch_ratio": [1, 1], "class_mixing": "plain"}
    wider = {**training_mapping["network"], "decoder_channels": 16}
    stages = {
        "baseline": training_mapping,
        "co_training": adapting,
        "co_training_b": {**adapting, "network": wider},
        "final": {**adapting, "class_mixing": "none"},
    }
    files = []
    for name, chosen in stages.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(chosen))
    return [
        *("--training", *map(str, files), "--label-space", "camvid11", "--device", "cpu"),
        *("--source", str(tmp_path / "source.tsv"), "--images", str(tmp_path / "target.tsv")),
        *("--plan", json.dumps(PLAN), "--output", str(tmp_path / "estimate.txt")),
    ]


def test_measures_on_this_machine(arguments, tmp_path, capsys):
    main(arguments)
    text = (tmp_path / "estimate.txt").read_text()
    assert text in capsys.readouterr().out
    assert text.splitlines()[4].startswith("all")
    assert re.search(r"^on cpu, \d+\.\d GiB at most:$", text, re.MULTILINE)
    speeds = re.findall(
        r"^(\w+): .* limited by .* \((\d+) ms a step, (\d+) ms a batch\); .*", text, re.MULTILINE
    )
    assert [name for name, _, _ in speeds] == ["baseline", "co_training", "co_training_b", "final"]
    # Only branch b has another network, so only its steps are measured anew.
    steps = [int(step) for _, step, _ in speeds]
    assert steps[0] == steps[1] == steps[3]
    batches = [int(batch) for _, _, batch in speeds]
    assert batches[1] == batches[2] >= batches[0] == batches[3]


@pytest.mark.parametrize(
    ("changes", "crops"),
    [
        ({}, 4),
        ({"batch_ratio": [3, 2], "class_mixing": "none"}, 5),
        ({"batch_ratio": [3, 2], "class_mixing": "plain"}, 7),
        ({"batch_ratio": [2, 2], "class_mixing": "on_demand"}, 6),
    ],
)
def test_crops_that_a_batch_is_made_of(changes, crops):
    assert crops_read({"training": {"batch_size": 4}, **changes}) == crops


def test_a_target_without_images(arguments, tmp_path):
    write_manifest(tmp_path / "target.tsv", [])
    with pytest.raises(InputError, match=r"target\.tsv: lists no image"):
        main(arguments)


def test_out_of_memory_ends_with_advice(arguments, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", exhausted)
    with pytest.raises(InputError, match=r"^a step of .* out of memory .*training\.crop below \[32, 32\]"):
        main(arguments)


def test_each_of_several_processes_has_its_share(arguments, tmp_path, monkeypatch):
    from cotrain.training import loop

    sizes = []
    step = loop.step
    monkeypatch.setattr(loop, "step", lambda *given: sizes.append(given[2].shape) or step(*given))
    main([*arguments, "--processes", "2"])
    # Of a batch of two crops of 32 × 32 pixels.
    assert set(sizes) == {(1, 3, 32, 32)}
    assert "2 processes, each on cpu, " in (tmp_path / "estimate.txt").read_text()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({}, "found the keys none, expected trainings, labellings"),
        ({"trainings": {"baseline": 100}, "labellings": {}}, r"expected name -> \[number, settings\]"),
    ],
)
def test_plans_of_another_form_are_refused(arguments, capsys, plan, message):
    with pytest.raises(SystemExit):
        main([*arguments, "--plan", json.dumps(plan)])
    assert re.search(message, capsys.readouterr().err)


def test_plans_of_unknown_settings_and_uneven_shares_are_refused(arguments):
    plan = json.dumps({"trainings": {"final": [2, "last"]}, "labellings": {}})
    with pytest.raises(InputError, match="'final' is to have the settings 'last', expected one of base"):
        main([*arguments, "--plan", plan])
    with pytest.raises(InputError, match="--processes: found 3, expected a divisor of the batch's 2 crops"):
        main([*arguments, "--processes", "3"])
