import time

import torch

from cotrain.training.guidance import ClassWatch, WaitClock, peak_memory_mib


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


def test_share_of_waiting():
    clock = WaitClock()
    with clock:
        time.sleep(0.05)
    assert 0.3 < clock.share() <= 1
    assert WaitClock().share() == 0


def test_memory_is_that_of_this_process():
    before = peak_memory_mib(torch.device("cpu"))
    held = torch.ones(60, 1024, 1024)
    assert peak_memory_mib(torch.device("cpu")) > 100
    assert peak_memory_mib(torch.device("cpu")) >= before
    del held
