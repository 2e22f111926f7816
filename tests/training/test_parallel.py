"""Two processes compute what one computes, up to rounding; real processes that communicate through gloo."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from cotrain.training.losses import hard_pixel_loss, pixel_losses
from cotrain.training.parallel import Workers

# Trains a network with batch norm (timm's and PyTorch's) on random batches, case after case, and saves what
# became of it. A start of two processes takes longer than all these trainings, so one start does them all.
TRAINING = """
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from cotrain.configuration.sections import DeepLabV3PlusSettings, TrainingSettings
from cotrain.networks.build import build_network
from cotrain.training.loop import train
from cotrain.training.parallel import ALONE, joined_workers
from cotrain.training.state import Stopped, TrainingState

folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
torch.set_num_threads(1)
# In float32 rounding decides which pixels are the hardest, and the trainings part after a few steps.
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
network_settings = DeepLabV3PlusSettings(
    backbone="test_efficientnet", backbone_weights="none", output_stride=16, last_stage_dilations=None,
    aspp_channels=8, aspp_dilations=(1, 2), decoder_channels=8, low_level_channels=4, dropout=0.0)


class Batches:
    def __init__(self, size, stop_at):
        self.size, self.stop_at = size, stop_at
        self.ratio = (size - size // 2, size // 2)

    def stream(self, first, end, threads, slots=None, *, pinned=False):
        for iteration in range(first, end):
            rng = np.random.default_rng(iteration)
            labels = rng.integers(0, 3, (self.size, 32, 32)).astype(np.uint8)
            noise = rng.integers(0, 60, (self.size, 32, 32, 3))
            images = (labels[..., None] * 80 + noise).astype(np.uint8)
            # Sparse in some slots, so that the processes hold unequal numbers of labelled pixels.
            labels[1, 4:], labels[-1, :, 9:] = 255, 255
            # Only one of two gets the signal; both must stop.
            if iteration == self.stop_at and os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGTERM)
            places = list(range(self.size)) if slots is None else list(slots)
            yield torch.from_numpy(images[places]), torch.from_numpy(labels[places])


def run(workers, name, state, share, of, size, iterations, stop_at):
    network = build_network(network_settings, 3, 1, pretrained=False)
    settings = TrainingSettings(
        network=network_settings, batch_size=size, optimiser="sgd", learning_rate=0.05,
        head_learning_rate_factor=1.0, layer_decay=1.0, momentum=0.9, weight_decay=1e-4,
        iterations=iterations, warmup_iterations=0, warmup_factor=0.1, poly_power=0.9,
        hard_pixel_share=share, hard_pixels_of=of, average_decay=0.9, compile=False, precision="float32",
        seed=3)
    state = TrainingState(folder / state, "same")
    if workers.is_first:
        state.__enter__()
    try:
        training = train(
            network, Batches(size, stop_at), settings, state, torch.device("cpu"), 1, "test",
            save_every=4, log_every=1, workers=workers)
        losses = torch.tensor([entry["loss"] for entry in training.history])
        weights = {"network": network.state_dict(), "averaged": training.averaged.state_dict()}
        result = {"losses": losses, "resumes": training.resumes, **weights}
    except Stopped as stopped:
        result = {"stopped": str(stopped)}
    if workers.is_first:
        state.__exit__(None, None, None)
    # What each process holds: they must agree.
    torch.save(result, folder / f"{name}.{workers.rank}.pt")


if os.environ["RANK"] == "0":
    for case in cases["one"]:
        run(ALONE, **case)
with joined_workers("cpu") as workers:
    for case in cases["two"]:
        run(workers, **case)
"""

# Share of hard pixels, of what, and size of the batch.
CASES = [
    (0.3, "labelled", 4),
    (1.0, "labelled", 4),
    (0.4, "all", 4),
    # Each process has one image, whose own statistics would be none of the batch.
    (0.3, "labelled", 2),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train all cases and return a function: (name, rank) -> what the training became in that process."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "training.py").write_text(textwrap.dedent(TRAINING))
    cases = {
        name: [
            {"name": f"{name}_{number}", "state": f"{name}_{number}", "iterations": 6, "stop_at": -1}
            | {"share": share, "of": of, "size": size}
            for number, (share, of, size) in enumerate(CASES)
        ]
        for name in ("one", "two")
    }
    longer = {"share": 0.3, "of": "labelled", "size": 4, "iterations": 14, "stop_at": -1}
    cases["two"] += [
        longer | {"name": "whole", "state": "whole"},
        longer | {"name": "cut", "state": "cut", "stop_at": 6},
        longer | {"name": "resumed", "state": "cut"},
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(folder / "training.py"), str(folder), json.dumps(cases)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return lambda name, rank=0: torch.load(folder / f"{name}.{rank}.pt", weights_only=True)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(map(str, CASES[number])))
def test_two_processes_train_as_one(trained, number):
    one = trained(f"one_{number}")
    for rank in (0, 1):
        two = trained(f"two_{number}", rank)
        torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-9, atol=0)
        for weights in ("network", "averaged"):
            assert one[weights].keys() == two[weights].keys()
            for name, tensor in one[weights].items():
                torch.testing.assert_close(two[weights][name], tensor, rtol=1e-6, atol=1e-9, msg=name)


def test_resumed_together_as_if_uninterrupted(trained):
    whole, resumed = trained("whole"), trained("resumed")
    # The processes ask each other every fifth iteration, so both stop after the tenth.
    for rank in (0, 1):
        assert trained("cut", rank) == {"stopped": "stopped by SIGTERM at iteration 10, state saved"}
    assert (whole["resumes"], resumed["resumes"]) == (0, 1)
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
    loss = hard_pixel_loss(pixel_losses(logits, labels), 4, FirstOfTwo(own, other, 4))
    assert float(loss) / 2 == pytest.approx(float(expected), rel=1e-6)
