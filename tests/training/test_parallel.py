"""Two processes compute what one computes, up to rounding; real processes that communicate through gloo."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

from cotrain.training.losses import hard_pixel_loss
from cotrain.training.parallel import Workers

# Trains a network with batch norm (timm's and PyTorch's) on random batches and saves what it became.
TRAINING = """
import sys
from pathlib import Path

import numpy as np
import torch

from cotrain.configuration.sections import DeepLabV3PlusSettings, TrainingSettings
from cotrain.networks.build import build_network
from cotrain.training.loop import train
from cotrain.training.parallel import joined_workers
from cotrain.training.state import Stopped, TrainingState

folder, share, of = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
iterations, stop_at, size = map(int, sys.argv[4:])
torch.set_num_threads(1)
# In float32 rounding decides which pixels are the hardest, and the trainings part after a few steps.
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
network_settings = DeepLabV3PlusSettings(
    backbone="test_efficientnet", backbone_weights="none", output_stride=16, last_stage_dilations=None,
    aspp_channels=8, aspp_dilations=(1, 2), decoder_channels=8, low_level_channels=4, dropout=0.0)
network = build_network(network_settings, 3, 1, pretrained=False)


class Batches:
    ratio = (size - size // 2, size // 2)

    def stream(self, first, end, threads, slots=None):
        for iteration in range(first, end):
            rng = np.random.default_rng(iteration)
            labels = rng.integers(0, 3, (size, 32, 32)).astype(np.uint8)
            images = (labels[..., None] * 80 + rng.integers(0, 60, (size, 32, 32, 3))).astype(np.uint8)
            # Sparse in some slots, so that the processes hold unequal numbers of labelled pixels.
            labels[1, 4:], labels[-1, :, 9:] = 255, 255
            if iteration == stop_at:
                import os, signal
                os.kill(os.getpid(), signal.SIGTERM)
            places = list(range(size)) if slots is None else list(slots)
            yield images[places], labels[places]


settings = TrainingSettings(
    network=network_settings, batch_size=size, optimiser="sgd", learning_rate=0.05,
    head_learning_rate_factor=1.0, layer_decay=1.0, momentum=0.9, weight_decay=1e-4,
    iterations=iterations, warmup_iterations=0, warmup_factor=0.1, poly_power=0.9,
    hard_pixel_share=share, hard_pixels_of=of, average_decay=0.9, compile=False, precision="float32", seed=3)
with joined_workers("cpu") as workers:
    state = TrainingState(folder, "same")
    if workers.is_first:
        state.__enter__()
    try:
        training = train(
            network, Batches(), settings, state, torch.device("cpu"), 1, "test",
            save_every=4, log_every=1, workers=workers)
    except Stopped as stopped:
        sys.exit(9)
    if workers.is_first:
        losses = torch.tensor([entry["loss"] for entry in training.history])
        weights = {"network": network.state_dict(), "averaged": training.averaged.state_dict()}
        torch.save({"losses": losses, **weights}, folder / "result.pt")
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "training.py").write_text(textwrap.dedent(TRAINING))

    def go(processes, name, share=0.3, of="labelled", iterations=6, stop_at=-1, size=4, expect=0):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        arguments = [folder, share, of, iterations, stop_at, size]
        done = subprocess.run(
            [*launcher, str(tmp_path / "training.py"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
        )
        assert (done.returncode == 0) == (expect == 0), done.stderr[-3000:]
        return torch.load(folder / "result.pt", weights_only=True) if expect == 0 else None

    return go


@pytest.mark.parametrize(
    ("share", "of", "size"),
    # With two images each process has one, whose own statistics would be none of the batch.
    [(0.3, "labelled", 4), (1.0, "labelled", 4), (0.4, "all", 4), (0.3, "labelled", 2)],
)
def test_two_processes_train_as_one(run, share, of, size):
    one, two = run(1, "one", share, of, size=size), run(2, "two", share, of, size=size)
    torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-9, atol=0)
    for weights in ("network", "averaged"):
        assert one[weights].keys() == two[weights].keys()
        for name, tensor in one[weights].items():
            torch.testing.assert_close(two[weights][name], tensor, rtol=1e-6, atol=1e-9, msg=name)


def test_resumed_together_as_if_uninterrupted(run):
    whole = run(2, "whole", iterations=14)
    run(2, "cut", iterations=14, stop_at=6, expect=9)
    resumed = run(2, "cut", iterations=14)
    assert torch.equal(resumed["losses"], whole["losses"])
    for weights in ("network", "averaged"):
        for name, tensor in whole[weights].items():
            assert torch.equal(resumed[weights][name], tensor), name


def test_slots_are_dealt_out():
    assert [list(Workers(rank, 2).slots(4)) for rank in (0, 1)] == [[0, 2], [1, 3]]
    assert list(Workers().slots(3)) == [0, 1, 2]


class FirstOfTwo(Workers):
    """The first of two processes, with what the second would bring to the `hardest` pixels."""

    def __init__(self, own, other, hardest):
        super().__init__(0, 2)
        object.__setattr__(self, "values", (own, other, hardest))

    def gathered(self, tensor):
        return torch.cat(self.values[:2])

    def sum(self, tensor):
        own, other, hardest = self.values
        if tensor.ndim == 0:
            return tensor + len(other)
        least = torch.topk(torch.cat([own, other]), hardest).values[-1]
        return tensor + torch.stack([(other > least).sum(), (other == least).sum()])


def test_hardest_pixels_are_those_of_all_by_hand():
    # Two classes and logits (0, x): the loss of class 0 is log(1 + exp x), strictly rising in x.
    x = torch.tensor([3.0, 1.0, 2.0, -1.0])
    logits = torch.stack([torch.zeros(4), x]).view(1, 2, 1, 4)
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    own, other = torch.log1p(x.exp()), torch.log1p(torch.tensor([2.5, 0.0, -2.0, -3.0]).exp())
    # Half of 8 is 4 pixels, of which 3.0, 2.5, 2.0 and 1.0 are the hardest; 3 of them are here.
    expected = (own[0] + own[1] + own[2]) / 4
    loss = hard_pixel_loss(logits, labels, 0.5, "labelled", FirstOfTwo(own, other, 4))
    assert float(loss) / 2 == pytest.approx(float(expected), rel=1e-6)
