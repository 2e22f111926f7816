import re

import msgspec
import pytest
import torch

from cotrain.configuration.run_plan import Amount, Work
from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from cotrain.training.estimate import Speed, crops_read, report
from workflow_scripts.estimate import main

WORK = Work(
    trainings=(
        Amount(what="baseline", number=100, settings_name="baseline"),
        Amount(what="co_training/00/a", number=50, settings_name="co_training"),
        Amount(what="co_training/00/b", number=50, settings_name="co_training_b"),
        Amount(what="final", number=200, settings_name="final"),
    ),
    labellings=(
        Amount(what="label for co_training/00/a", number=30, settings_name="baseline"),
        Amount(what="score co_training/00/b", number=-1, settings_name="co_training_b"),
    ),
)


def test_report_by_hand():
    # 10 images each, at 0.5 and 1 s: 15 s in all. Trainings: 100 × 2, 50 × 2.4 + 50 × 6, 200 × 2 s.
    text = report(
        WORK,
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
def arguments(tmp_path, make_items, training_settings, settings_file):
    torch.set_num_threads(1)
    write_manifest(tmp_path / "source.tsv", make_items("source", 3))
    write_manifest(tmp_path / "target.tsv", make_items("target", 2))
    adapting = msgspec.structs.replace(training_settings, batch_ratio=(1, 1), class_mixing="plain")
    wider = msgspec.structs.replace(training_settings.network, decoder_channels=16)
    stages = {
        "baseline": training_settings,
        "co_training": adapting,
        "co_training_b": msgspec.structs.replace(adapting, network=wider),
        "final": msgspec.structs.replace(adapting, class_mixing="none"),
    }
    files = [settings_file(settings, name) for name, settings in stages.items()]
    return [
        *("--training", *files, "--label-space", "camvid11", "--device", "cpu"),
        *("--source", str(tmp_path / "source.tsv"), "--images", str(tmp_path / "target.tsv")),
        *("--work", settings_file(WORK, "work"), "--output", str(tmp_path / "estimate.txt")),
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
    # Only branch b has another network, so only its steps are measured again.
    steps = [int(step) for _, step, _ in speeds]
    assert steps[0] == steps[1] == steps[3]
    batches = [int(batch) for _, _, batch in speeds]
    assert batches[1] == batches[2] >= batches[0] == batches[3]


@pytest.mark.parametrize(
    ("flags", "ms_a_batch", "a_second", "limit"),
    [
        # A crop takes 10 ms; batches have 2 crops, and 3 where classes are mixed.
        ([], (20, 30), (50.0, 33.33), "making batches"),
        # Half of 8 threads make batches, so a step of 8 ms is longer.
        (["--threads", "8"], (5, 8), (125.0, 125.0), "the network"),
        (["--gpus-per-training", "2"], (10, 15), (100.0, 66.67), "making batches"),
    ],
)
def test_the_slower_of_network_and_batches_decides(
    arguments, tmp_path, monkeypatch, flags, ms_a_batch, a_second, limit
):
    speed = Speed(seconds_a_step=0.008, seconds_an_image=0.25)
    monkeypatch.setattr("cotrain.training.estimate.measured_speed", lambda *_: speed)
    monkeypatch.setattr("cotrain.training.estimate.measured_seconds_a_crop", lambda *_: 0.01)
    main([*arguments, *flags])
    text = (tmp_path / "estimate.txt").read_text()
    for place, name in enumerate(("baseline", "co_training")):
        assert (
            f"\n{name}: {a_second[place]:.2f} iterations a second, limited by {limit} (8 ms a step, "
            f"{ms_a_batch[place]} ms a batch); 4.0 images labelled a second\n"
        ) in text


@pytest.mark.parametrize(
    ("changes", "crops"),
    [
        ({}, 4),
        ({"batch_ratio": (3, 2), "class_mixing": "none"}, 5),
        ({"batch_ratio": (3, 2), "class_mixing": "plain"}, 7),
        ({"batch_ratio": (2, 2), "class_mixing": "on_demand"}, 6),
    ],
)
def test_crops_that_a_batch_is_made_of(training_settings, changes, crops):
    assert crops_read(msgspec.structs.replace(training_settings, batch_size=4, **changes)) == crops


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


def test_the_clock_waits_for_a_gpu(monkeypatch):
    from cotrain.training import estimate

    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    estimate._finish(torch.device("cpu"))
    assert waited == []
    estimate._finish(torch.device("cuda", 1))
    assert waited == [torch.device("cuda", 1)]


def test_each_of_several_processes_has_its_share(arguments, tmp_path, monkeypatch):
    from cotrain.training import estimate

    sizes = []
    step = estimate.step

    def noted(*inputs):
        sizes.append((inputs[2].shape, inputs[3].shape))
        return step(*inputs)

    monkeypatch.setattr(estimate, "step", noted)
    main([*arguments, "--gpus-per-training", "2"])
    # Of a batch of two crops of 32 × 32 pixels.
    assert set(sizes) == {((1, 3, 32, 32), (1, 32, 32))}
    assert "2 processes, each on cpu, " in (tmp_path / "estimate.txt").read_text()


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("{}", ["has 2 problems", "trainings: missing, expected a list", "labellings: missing, expected"]),
        (
            '{"trainings": {"baseline": 100}, "labellings": []}',
            ["has one problem", "trainings: expected a list, found a section with the keys baseline"],
        ),
        (
            '{"trainings": [{"what": "final", "number": 1.5, "settings_nam": "final"}], "labellings": []}',
            [
                "has 3 problems",
                r"trainings\[0\]\.settings_nam: unknown key \(did you mean 'settings_name'\?\)",
                r"trainings\[0\]\.settings_name: missing, expected text",
                r"trainings\[0\]\.number: expected an integer, found 1\.5",
            ],
        ),
    ],
)
def test_work_of_another_form_is_refused(arguments, tmp_path, text, mistakes):
    (tmp_path / "work.json").write_text(text)
    with pytest.raises(InputError, match=r"work\.json has ") as error:
        main(arguments)
    for mistake in mistakes:
        assert re.search(mistake, str(error.value)), str(error.value)


def test_work_with_unknown_settings_and_uneven_shares_are_refused(arguments, settings_file):
    unknown = Work(trainings=(Amount(what="final", number=2, settings_name="last"),), labellings=())
    with pytest.raises(InputError, match="'final' has the settings 'last', expected one of baseline, "):
        main([*arguments, "--work", settings_file(unknown, "unknown")])
    message = "--gpus-per-training: found 3, expected a divisor of the 2 crops of a batch"
    with pytest.raises(InputError, match=message):
        main([*arguments, "--gpus-per-training", "3"])
