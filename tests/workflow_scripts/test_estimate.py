import json

import pytest
import torch

from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from workflow_scripts.estimate import main, report

PLAN = {
    "trainings": {"baseline": 100, "self_training/00": 50, "self_training/01": 50, "final": 200},
    "labellings": {"label for self_training/00": 30, "score final": -1},
}


def test_report_by_hand():
    # 400 iterations of 2 s are 800 s, and 30 + 10 of at most 10 target images at 0.5 s each are 10 s.
    text = report(PLAN, images=10, seconds_an_iteration=2.0, seconds_an_image=0.5)
    assert text.splitlines() == [
        "baseline       1 training   100 iterations   3 min 20 s",
        "self_training  2 trainings  100 iterations   3 min 20 s",
        "final          1 training   200 iterations   6 min 40 s",
        "labelling      2 sets            20 images         10 s",
        "all                                         13 min 30 s",
    ]


@pytest.fixture
def arguments(tmp_path, make_items, training_mapping):
    torch.set_num_threads(1)
    write_manifest(tmp_path / "source.tsv", make_items("source", 3))
    write_manifest(tmp_path / "target.tsv", make_items("target", 2))
    return [
        *("--training", json.dumps(training_mapping), "--label-space", "camvid11", "--device", "cpu"),
        *("--source", str(tmp_path / "source.tsv"), "--images", str(tmp_path / "target.tsv")),
        *("--plan", json.dumps(PLAN), "--output", str(tmp_path / "estimate.txt")),
    ]


def test_measures_on_this_machine(arguments, tmp_path, capsys):
    main(arguments)
    text = (tmp_path / "estimate.txt").read_text()
    assert text in capsys.readouterr().out
    assert "on cpu: " in text
    assert "limited by" in text
    assert text.splitlines()[4].startswith("all")


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
    from cotrain.training.batches import Batches

    sizes, slots = [], []
    step, batch = loop.step, Batches.batch
    monkeypatch.setattr(loop, "step", lambda *given: sizes.append(given[2].shape) or step(*given))
    monkeypatch.setattr(Batches, "batch", lambda *given: slots.append(list(given[2])) or batch(*given))
    main([*arguments, "--processes", "2"])
    # Of a batch of two crops of 32 × 32 pixels.
    assert set(sizes) == {(1, 3, 32, 32)}
    assert slots == [[0]] * len(slots)
    assert "2 processes, each on cpu: " in (tmp_path / "estimate.txt").read_text()
