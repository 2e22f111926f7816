import time

import pytest
import torch
from msgspec.structs import replace

from cotrain.errors import InputError
from cotrain.training.guidance import ClassWatch, WaitClock, memory_advice, peak_memory_mib


def logits_of(predicted, classes=4):
    return torch.nn.functional.one_hot(predicted, classes).permute(0, 3, 1, 2).float()


def test_a_class_that_is_labelled_and_never_predicted_has_vanished():
    watch = ClassWatch(100)
    labels = torch.tensor([[[0, 0, 1, 2, 255]]])
    watch.see(80, logits_of(torch.tensor([[[0, 0, 1, 1, 3]]])), labels)
    assert watch.vanished() == [2]
    watch.see(90, logits_of(torch.tensor([[[2, 0, 1, 1, 3]]])), labels)
    assert watch.vanished() == []


def test_only_the_end_counts_and_tiny_shares_do_not():
    watch = ClassWatch(100)
    labels = torch.zeros(1, 100, 100, dtype=torch.long)
    labels[0, 0, :5] = 1
    predicted = torch.zeros_like(labels)
    watch.see(74, logits_of(predicted), torch.full_like(labels, 3))
    watch.see(75, logits_of(predicted), labels)
    # 5 of 10 000 pixels are fewer than a thousandth.
    assert watch.vanished() == []
    labels[0, 0, :50] = 1
    watch.see(76, logits_of(predicted), labels)
    assert watch.vanished() == [1]


def test_a_class_that_is_predicted_only_on_void_pixels_has_vanished():
    watch = ClassWatch(1)
    watch.see(0, logits_of(torch.tensor([[[0, 0, 0, 1]]])), torch.tensor([[[0, 1, 0, 255]]]))
    assert watch.vanished() == [1]


def test_a_watch_resumes_from_its_state():
    watch, other = ClassWatch(4), ClassWatch(4)
    assert other.vanished() == []
    watch.see(3, logits_of(torch.tensor([[[0, 0]]])), torch.tensor([[[0, 1]]]))
    other.load_state_dict(watch.state_dict())
    assert other.vanished() == [1]


@pytest.mark.parametrize(
    ("changes", "stride", "advice"),
    [
        (
            {"batch_size": 4},
            16,
            "training.gradient_checkpointing: true (the same result, but slower); "
            "training.crop below [32, 32] (memory falls with its area); "
            "training.batch_size below 4 (and each batch_ratio with it); network.output_stride above 16; "
            "precision: auto, which is bfloat16 on a GPU",
        ),
        (
            {"precision": "bfloat16", "gradient_checkpointing": True},
            32,
            "training.crop below [32, 32] (memory falls with its area)",
        ),
    ],
)
@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0"), " (2.50 GiB more"),
        (RuntimeError("can't allocate memory: you tried to allocate 2,000 bytes"), " (2,000 bytes more"),
    ],
)
def test_advice_where_memory_runs_out(training_settings, changes, stride, advice, error, asked):
    network = replace(training_settings.network, output_stride=stride)
    settings = replace(training_settings, network=network, **changes)
    with pytest.raises(InputError) as caught, memory_advice("final", settings):
        raise error
    assert str(caught.value) == (
        f"final: out of memory{asked} were asked for). Change one of these: {advice}. "
        "`snakemake estimate` shows how much a training then needs"
    )


def test_other_errors_get_no_advice_on_memory(training_settings):
    with pytest.raises(RuntimeError, match=r"^shape$"), memory_advice("final", training_settings):
        raise RuntimeError("shape")


def test_share_of_waiting():
    clock = WaitClock(torch.device("cpu"))
    with clock:
        time.sleep(0.05)
    assert 0.3 < clock.share() <= 1
    assert WaitClock(torch.device("cpu")).share() == 0


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**10), ("darwin", 2**20)])
def test_the_unit_of_memory_is_that_of_the_system(monkeypatch, system, unit):
    usage = type("Usage", (), {"ru_maxrss": 300 * unit})
    monkeypatch.setattr("resource.getrusage", lambda who: usage)
    monkeypatch.setattr("sys.platform", system)
    assert peak_memory_mib(torch.device("cpu")) == 300


def test_memory_is_that_of_this_process():
    before = peak_memory_mib(torch.device("cpu"))
    held = torch.ones(60, 1024, 1024)
    assert peak_memory_mib(torch.device("cpu")) > 100
    assert peak_memory_mib(torch.device("cpu")) >= before
    del held
