import os
import re
import signal
from collections import Counter
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cotrain.networks.network import Network
from cotrain.training.loop import NonFiniteLossError, check_weights, train
from cotrain.training.parallel import ALONE, Workers
from cotrain.training.state import Stopped, TrainingState

CLASSES = 3


class Model(nn.Module):
    """A model with all that a training saves: weights, batch norm, dropout. `hook` sees each pass."""

    def __init__(self, hook=None):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, CLASSES, 1))
        self.hook, self.passes = hook, 0

    def forward(self, x):
        self.passes += 1
        logits = self.head(self.backbone(x))
        return self.hook(self, logits) if self.hook else logits


class RandomBatches:
    """Batches as a pure function of the iteration."""

    def batch(self, iteration):
        rng = np.random.default_rng(iteration)
        labels = rng.integers(0, CLASSES, (2, 8, 8)).astype(np.uint8)
        return (labels[..., None] * 80 + rng.integers(0, 60, (2, 8, 8, 3))).astype(np.uint8), labels

    def stream(self, first, end, threads, slots=None, *, pinned=False):
        for iteration in range(first, end):
            images, labels = self.batch(iteration)
            yield torch.from_numpy(images), torch.from_numpy(labels)


@pytest.fixture
def settings(training_settings):
    return replace(training_settings, iterations=9)


def train_here(network, batches, settings, state, log_every=1, workers=ALONE):
    """Train on the CPU; the state is saved every fourth iteration."""
    every = {"save_every": 4, "log_every": log_every}
    return train(network, batches, settings, state, torch.device("cpu"), 1, "test", **every, workers=workers)


@pytest.fixture
def run(tmp_path):
    torch.set_num_threads(1)
    averages, trainings = [], []

    def go(settings, folder="state", hook=None, identity="mine", log_every=1, workers=ALONE):
        torch.manual_seed(1)
        network = Network(Model(hook), (127.0,) * 3, (60.0,) * 3)
        # Random numbers drawn before a training must not change it.
        torch.manual_seed(np.random.default_rng().integers(2**31))
        with TrainingState(tmp_path / folder, identity) as state:
            training = train_here(network, RandomBatches(), settings, state, log_every, workers)
            averages.append(training.averaged)
            trainings.append(training)
            return network, training.history, state.load()

    go.averages, go.trainings = averages, trainings
    return go


def at_pass(number, action):
    def hook(model, logits):
        return action(logits) if model.passes == number else logits

    return hook


def assert_same_training(one, other):
    for name, tensor in one[0].state_dict().items():
        assert torch.equal(tensor, other[0].state_dict()[name]), name
    assert one[1] == other[1]


def test_it_learns(run, settings):
    _, history, last = run(replace(settings, iterations=60, learning_rate=0.1))
    assert np.mean([entry["loss"] for entry in history[-10:]]) < 0.7 * history[0]["loss"]
    assert (last["iteration"], last["optimiser"], last["resumes"]) == (60, None, 0)


def test_history(run, settings):
    _, history, _ = run(settings, log_every=4)
    assert [entry["iteration"] for entry in history] == [4, 8, 9]
    # Iterations 3, 7 and 8, counted from 0, are past the warm-up of 3.
    expected = [0.01 * (6 / 9) ** 0.7, 0.01 * (2 / 9) ** 0.7, 0.01 * (1 / 9) ** 0.7]
    assert [entry["learning_rate"] for entry in history] == pytest.approx(expected, rel=1e-12)


class SparseBatches(RandomBatches):
    """Batches with a different number of void pixels in each iteration."""

    def batch(self, iteration):
        images, labels = super().batch(iteration)
        labels[0, : 2 + iteration] = 255
        return images, labels


def test_a_training_by_hand(settings, tmp_path):
    """Four iterations, with every setting of optimiser, schedule and loss, written out."""
    settings = replace(settings, iterations=4, learning_rate=0.03, head_learning_rate_factor=1.5)
    torch.manual_seed(1)
    model = nn.Module()
    model.backbone, model.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, CLASSES, 1)
    model.forward = lambda x: model.head(model.backbone(x).relu())
    names = ["backbone.weight", "backbone.bias", "head.weight", "head.bias"]
    weights = [model.get_parameter(name).detach().clone() for name in names]
    directions = [torch.zeros_like(weight) for weight in weights]
    losses = []
    for iteration in range(4):
        images, labels = SparseBatches().batch(iteration)
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 60
        truth = torch.from_numpy(labels).long()
        w, b, head_w, head_b = (weight.requires_grad_() for weight in weights)
        logits = F.conv2d(F.conv2d(x, w, b, stride=2, padding=1).relu(), head_w, head_b)
        share = F.interpolate(logits, (8, 8), mode="bilinear", align_corners=False).softmax(1)
        of_truth = share.gather(1, truth.where(truth < 255, 0)[:, None])[:, 0]
        of_pixels = torch.where(truth < 255, -of_truth.log(), 0.0).flatten()
        # 0.7 of all 128 pixels, void ones too.
        loss = of_pixels.sort(descending=True).values[:89].mean()
        losses.append(float(loss.detach()))
        warm_up = [0.2, 0.2 * 2 / 3 + 1 / 3, 0.2 / 3 + 2 / 3, 1.0][iteration]
        rate = 0.03 * (1 - iteration / 4) ** 0.7 * warm_up
        for place, gradient in enumerate(torch.autograd.grad(loss, weights)):
            with torch.no_grad():
                directions[place] = 0.8 * directions[place] + gradient + 0.003 * weights[place]
                factor = 1.0 if place < 2 else 1.5
                weights[place] = weights[place] - factor * rate * directions[place]
    network = Network(model, (127.0,) * 3, (60.0,) * 3)
    with TrainingState(tmp_path / "state", "mine") as state:
        history = train_here(network, SparseBatches(), settings, state).history
    assert [entry["loss"] for entry in history] == pytest.approx(losses, rel=1e-5)
    for name, weight in zip(names, weights, strict=True):
        torch.testing.assert_close(model.get_parameter(name), weight, rtol=1e-4, atol=1e-6, msg=name)


def test_dropout_draws_anew_in_each_iteration_and_each_process(run, settings):
    # Ones go into the dropout, so that what is 0 behind it was drawn.
    def ones(module, inputs):
        return (torch.ones_like(inputs[0]),) if isinstance(module, nn.Dropout) else None

    def dropped_by(rank):
        dropped = []

        def note(module, _inputs, output):
            if isinstance(module, nn.Dropout):
                dropped.append(output == 0)

        handles = [
            nn.modules.module.register_module_forward_pre_hook(ones),
            nn.modules.module.register_module_forward_hook(note),
        ]
        try:
            run(settings, f"rank {rank}", workers=Workers(rank, 1))
        finally:
            for handle in handles:
                handle.remove()
        return dropped

    first, second = dropped_by(0), dropped_by(1)
    assert len(first) == len(second) == settings.iterations
    for one, other in combinations([*first, *second], 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_network_runs_in_the_precision_asked_for(run, settings, precision, dtype):
    seen = []

    def see(model, logits):
        seen.append(logits.dtype)
        return logits

    run(replace(settings, iterations=1, precision=precision), hook=see)
    assert seen == [dtype]


def test_classes_that_are_not_predicted_near_the_end_have_vanished(run, settings):
    # Nine iterations: from the eighth on, the last quarter, only class 1 is predicted.
    def hook(model, logits):
        certain = 1 if model.passes > 7 else 0
        return logits + 100 * F.one_hot(torch.tensor(certain), CLASSES)[:, None, None]

    run(settings, hook=hook)
    assert run.trainings[-1].vanished == [0, 2]


def test_training_again_gives_the_same_weights(run, settings):
    assert_same_training(run(settings, "one"), run(settings, "two"))
    other = run(replace(settings, seed=8), "three")
    assert other[1] != run(settings, "one")[1]


@pytest.mark.parametrize("changes", [{}, {"optimiser": "adamw"}, {"precision": "bfloat16"}])
@pytest.mark.parametrize("iteration", [5, 8, 9])
def test_resumed_after_a_crash_as_if_uninterrupted(run, settings, iteration, changes):
    settings = replace(settings, **changes)

    def crash(logits):
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(settings, hook=at_pass(iteration, crash))
    network, history, last = run(settings)
    # Saved at 4 and 8: only what came after is computed again.
    saved = (iteration - 1) // 4 * 4
    assert network.model.passes == 9 - saved
    assert last["resumes"] == 1
    assert_same_training((network, history), run(settings, "uninterrupted"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_resumed_after_a_signal_as_if_uninterrupted(run, settings, number):
    def send(logits):
        os.kill(os.getpid(), number)
        return logits

    with pytest.raises(Stopped) as stopped:
        run(settings, hook=at_pass(6, send))
    assert stopped.value.number == number
    network, history, _ = run(settings)
    assert network.model.passes == 3
    assert_same_training((network, history), run(settings, "uninterrupted"))


def test_stopped_in_the_last_iteration_it_is_finished(run, settings):
    def send(logits):
        os.kill(os.getpid(), signal.SIGTERM)
        return logits

    _, history, last = run(settings, hook=at_pass(9, send))
    assert (history[-1]["iteration"], last["iteration"]) == (9, 9)


def test_a_finished_training_is_not_repeated(run, settings):
    first = run(settings)
    again = run(settings)
    assert again[0].model.passes == 0
    assert_same_training(first, again)


def test_another_identity_starts_from_the_beginning(run, settings):
    run(settings)
    assert run(settings, identity="other")[0].model.passes == 9


@pytest.mark.parametrize("log_every", [1, 100])
def test_non_finite_loss_keeps_the_last_good_state(run, settings, log_every, tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"the loss is nan .*learning_rate"):
        run(settings, hook=at_pass(6, lambda logits: logits * float("nan")), log_every=log_every)
    with TrainingState(tmp_path / "state", "mine") as state:
        last = state.load()
    assert last["iteration"] == 4
    assert all(tensor.isfinite().all() for tensor in last["network"].values())


def test_a_step_that_breaks_the_weights_is_not_saved(run, settings, tmp_path):
    # The loss of iteration 8 is finite, its gradient is not: before the save only the weights show it.
    def with_bad_gradient(logits):
        logits.register_hook(lambda gradient: gradient * float("inf"))
        return logits

    with pytest.raises(NonFiniteLossError, match="no longer finite after iteration 7"):
        run(settings, hook=at_pass(8, with_bad_gradient))
    with TrainingState(tmp_path / "state", "mine") as state:
        assert state.load()["iteration"] == 4


def test_the_head_moves_by_its_factor(run, settings):
    settings = replace(
        settings, iterations=1, warmup_iterations=0, momentum=0.0, weight_decay=0.0, learning_rate=0.01
    )
    torch.manual_seed(1)
    start = Network(Model(), (127.0,) * 3, (60.0,) * 3).state_dict()
    plain = run(settings, "plain")[0].state_dict()
    faster = run(replace(settings, head_learning_rate_factor=5.0), "faster")[0].state_dict()
    for name, factor in (("model.head.1.weight", 5), ("model.backbone.0.weight", 1)):
        moved, moved_faster = plain[name] - start[name], faster[name] - start[name]
        assert moved.abs().max() > 0
        torch.testing.assert_close(moved_faster, factor * moved, rtol=1e-3, atol=1e-7)


def test_average_of_the_weights_by_hand(run, settings):
    settings = replace(settings, iterations=3, average_decay=0.75)
    weights = run(settings, "whole")[0].state_dict()
    average = run.averages[0].state_dict()
    seen = []

    def keep(model, logits):
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return logits

    last = run(settings, "watched", hook=keep)[0]
    # What a pass sees are the weights after the step before it, and the statistics that it changes itself.
    after = [tensors["backbone.0.weight"] for tensors in seen[1:]] + [last.model.backbone[0].weight.detach()]
    statistics = [tensors["backbone.1.running_mean"] for tensors in seen]
    for name, values in (("backbone.0.weight", after), ("backbone.1.running_mean", statistics)):
        expected = 0.75 * (0.75 * values[0] + 0.25 * values[1]) + 0.25 * values[2]
        torch.testing.assert_close(average[f"model.{name}"], expected)
    assert not torch.equal(average["model.backbone.0.weight"], weights["model.backbone.0.weight"])


def test_average_resumed_as_if_uninterrupted(run, settings):
    settings = replace(settings, average_decay=0.5)

    def crash(logits):
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(settings, hook=at_pass(7, crash))
    run(settings)
    run(settings, "uninterrupted")
    resumed, whole = (average.state_dict() for average in run.averages)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_no_average_unless_asked_for(run, settings):
    run(settings)
    assert run.averages == [None]


def test_a_line_shows_the_progress(run, settings, monkeypatch, caplog):
    monkeypatch.setattr("cotrain.progress.SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level("INFO", "cotrain"):
        run(settings)
    line = next(message for message in caplog.messages if message.startswith("test: 4/9 iterations"))
    assert re.fullmatch(
        r"test: 4/9 iterations, \d+ s left, [\d.e+]+/s, loss \d\.\d{3}, learning rate 0\.00\d+, "
        r"\d+ % of the time waiting for images, \d+\.\d GiB",
        line,
    )


def test_compiled_training_resumed_as_if_uninterrupted(settings, tmp_path, monkeypatch):
    # Without machine code, whose compilation takes long: what is saved and loaded is the same.
    compiled, by_eager = [], partial(torch.compile, backend="eager")
    monkeypatch.setattr(
        *(torch, "compile"), lambda network, **more: compiled.append(network) or by_eager(network, **more)
    )
    settings = replace(settings, compile=True)

    class Interrupted(RandomBatches):
        def stream(self, first, end, threads, slots=None, *, pinned=False):
            yield from super().stream(first, 6, threads)
            raise RuntimeError("power cut")

    def go(folder, batches):
        torch.manual_seed(1)
        layers = (
            nn.Conv2d(3, 4, 3, 2, 1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(4, CLASSES, 1),
        )
        network = Network(nn.Sequential(*layers), (127.0,) * 3, (60.0,) * 3)
        with TrainingState(tmp_path / folder, "mine") as state:
            return network, train_here(network, batches, settings, state).history

    with pytest.raises(RuntimeError, match="power cut"):
        go("state", Interrupted())
    assert_same_training(go("state", RandomBatches()), go("uninterrupted", RandomBatches()))
    assert len(compiled) == 3


def test_compiled_network_learns_the_same(settings, tmp_path):
    torch.set_num_threads(1)
    weights = []
    for compiled in (False, True):
        torch.manual_seed(1)
        # Without dropout: compiled code draws other numbers.
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, CLASSES, 1)
        )
        network = Network(model, (127.0,) * 3, (60.0,) * 3)
        settings = replace(settings, compile=compiled)
        with TrainingState(tmp_path / str(compiled), "mine") as state:
            train_here(network, RandomBatches(), settings, state)
        weights.append(network.state_dict())
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-4, msg=name)


class Asked(TorchDispatchMode):
    """Counts what makes the process wait for a device: numbers and sizes that are read from it."""

    READS = (
        "aten._local_scalar_dense",
        "aten.nonzero",
        "aten.is_nonzero",
        "aten.masked_select",
        "aten.equal",
    )

    def __init__(self):
        super().__init__()
        self.reads = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = str(function).rsplit(".", 1)[0]
        if name in self.READS:
            self.reads[name] += 1
        return function(*arguments, **keywords or {})


@pytest.mark.parametrize("share_of", ["labelled", "all"])
def test_nothing_is_read_from_the_device_between_two_entries_of_the_log(settings, tmp_path, share_of):
    settings = replace(
        settings, iterations=7, average_decay=0.9, hard_pixels_of=share_of, weight_decay=0.1, momentum=0.9
    )
    network = Network(Model(None), (127.0,) * 3, (60.0,) * 3)
    asked = Asked()

    class Counting(RandomBatches):
        def stream(self, first, end, threads, slots=None, *, pinned=False):
            for iteration, batch in enumerate(super().stream(first, end, threads)):
                # The first iterations make the optimiser's state; in the last, the log and the save read.
                if iteration == 2:
                    asked.__enter__()
                if iteration == 6:
                    asked.__exit__(None, None, None)
                yield batch

    with TrainingState(tmp_path / "state", "mine") as state:
        every = {"save_every": 100, "log_every": 100}
        train(network, Counting(), settings, state, torch.device("cpu"), 1, "test", **every)
    assert asked.reads == {}


def test_what_is_read_is_counted():
    asked = Asked()
    with asked:
        float(torch.ones(()))
        torch.ones(3).nonzero()
    assert asked.reads == {"aten._local_scalar_dense": 1, "aten.nonzero": 1}


def test_kernels_are_tuned_in_trainings_unless_bytes_must_be_the_same(run, settings):
    seen = []

    def hook(model, logits):
        seen.append(torch.backends.cudnn.benchmark)
        return logits

    run(settings, hook=hook)
    torch.use_deterministic_algorithms(True)
    try:
        run(settings, "other", hook=hook)
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == [True] * 9 + [False] * 9
    assert not torch.backends.cudnn.benchmark


def test_a_weight_that_is_no_number_is_named(settings):
    network = Network(Model(None), (127.0,) * 3, (60.0,) * 3)
    check_weights(network, 3, "test")
    name, parameter = list(network.named_parameters())[-1]
    for value in (float("inf"), float("nan")):
        with torch.no_grad():
            parameter.flatten()[0] = value
        with pytest.raises(
            NonFiniteLossError, match=re.escape(f"test: {name} is no longer finite after iter")
        ):
            check_weights(network, 3, "test")
    with torch.no_grad():
        # Large numbers are numbers: their squares would not be.
        parameter.fill_(3e38)
    check_weights(network, 3, "test")
