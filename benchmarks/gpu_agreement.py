"""Whether a GPU computes what the CPU computes, and the same each time.

Logits and losses of two steps on the GPU against the CPU, in each number format; a recorded training against
one that is not; a training that is stopped and resumed against one that is not. Each line has a difference
and its bound, the last line counts the bounds that are not met. Where there is no GPU, the CPU is compared
with itself.

    python -m benchmarks.gpu_agreement [--size 256 512]
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from benchmarks.networks import NETWORKS
from benchmarks.training_step import loop_settings, name_of
from cotrain.configuration.choices import Precision
from cotrain.configuration.sections import TrainingSettings
from cotrain.devices import autocast, claimed_device
from cotrain.networks.build import build_network
from cotrain.networks.network import Network
from cotrain.training.batches import Batch
from cotrain.training.loop import step, train
from cotrain.training.optimisers import make_optimiser
from cotrain.training.passes import make_passes
from cotrain.training.state import Stopped, TrainingState

CASES = {"the demo's": 11, "the paper's": 19}
CPU = torch.device("cpu")
HARD_PIXELS = 2000

# Convolutions in TF32 keep 10 bits behind the binary point, bfloat16 keeps 7: each value is rounded by up to
# 2^-11 and 2^-8 of itself. What a hundred layers round adds up as in a random walk, to about ten times that.
EXACT, TF32, BFLOAT16 = 1e-5, 5e-3, 1e-1
# What some ten roundings in float32, of up to 2^-24 each, make of a value.
TEN_ROUNDINGS = 1e-6


class Report:
    """Prints differences beside their bounds and remembers which bounds are not met."""

    def __init__(self) -> None:
        self.unmet: list[str] = []

    def difference(self, what: str, value: float, bound: float, note: str = "") -> None:
        """Print a difference; one that is no number does not meet its bound."""
        if not value <= bound:
            self.unmet.append(what)
        verdict = "" if value <= bound else "NOT MET"
        print(f"{what:<62}{value:9.1e}  at most {bound:7.0e}  {verdict:<8}{note}".rstrip(), flush=True)


def relative(found: Tensor, expected: Tensor) -> float:
    """Return |found − expected| / |expected|."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return float((found - expected).norm() / expected.norm())


def network_of(name: str, dropout: float) -> Network:
    """Return a network with weights from chance, the same each time, whose classes differ."""
    settings = replace(NETWORKS[name], dropout=dropout)
    network = build_network(settings, CASES[name], 0, pretrained=False)
    classifier: Any = network.model.classifier
    nn.init.normal_(classifier.weight, std=0.1)
    return network


def crops(iteration: int, classes: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return two crops (2, H, W, 3) uint8 and their labels (2, H, W) uint8: noisy blocks of classes."""
    rng = np.random.default_rng(iteration)
    small = rng.integers(0, classes, (2, size[0] // 16, size[1] // 16)).astype(np.uint8)
    labels = small.repeat(16, 1).repeat(16, 2)
    images = (labels[..., None] * (190 // classes) + rng.integers(0, 60, (*labels.shape, 3))).astype(np.uint8)
    labels[:, :20] = 255
    return torch.from_numpy(images), torch.from_numpy(labels)


class Crops:
    """Batches that are a function of the iteration; before one of them the process gets a signal."""

    ratio = (2, 0)

    def __init__(self, classes: int, size: tuple[int, int], stop_before: int | None) -> None:
        self.classes, self.size, self.stop_before = classes, size, stop_before

    def stream(
        self, first: int, end: int, threads: int, slots: Any = None, *, pinned: bool = False
    ) -> Iterator[Batch]:
        """Yield the batch of each iteration."""
        for iteration in range(first, end):
            if iteration == self.stop_before:
                os.kill(os.getpid(), signal.SIGTERM)
            yield crops(iteration, self.classes, self.size)


def exact_float32(wanted: bool) -> None:
    """Let convolutions compute float32 in TF32, which is PyTorch's default, or not."""
    torch.backends.cudnn.allow_tf32 = not wanted


@torch.inference_mode()
def compare_logits(report: Report, device: torch.device, size: tuple[int, int]) -> None:
    """Compare logits of networks in evaluation."""
    for name, classes in CASES.items():
        images = crops(0, classes, size)[0].permute(0, 3, 1, 2)
        network = network_of(name, 0.0).eval()
        expected = network(images)
        network.to(device)
        formats: list[tuple[str, bool, Precision, float]] = [
            ("float32 without TF32", True, "float32", EXACT),
            ("float32 with TF32, the default", False, "float32", TF32),
            ("bfloat16", False, "bfloat16", BFLOAT16),
        ]
        for title, is_exact, precision, bound in formats:
            exact_float32(is_exact)
            with autocast(device, precision):
                found = network(images.to(device)).float().cpu()
            same = float((found.argmax(1) == expected.argmax(1)).float().mean())
            note = f"{100 * same:.1f} % of the pixels have the same class"
            report.difference(f"logits, {name} network, {title}", relative(found, expected), bound, note)


def compare_steps(report: Report, device: torch.device, size: tuple[int, int]) -> None:
    """Compare the losses before and after a step of training."""
    for name, classes in CASES.items():
        images, labels = crops(0, classes, size)
        expected = _losses(name, images, labels, CPU, "float32")
        # A step multiplies small differences, of one network a thousand times as much as of another. How much
        # is seen on the CPU, with weights that differ a little. On the CPU, the demo's network is 1e-2 from
        # what it computes in float64.
        rounded = _losses(name, images, labels, CPU, "float32", TEN_ROUNDINGS)
        after = max(100 * EXACT, 2 * abs(rounded[1] / expected[1] - 1))
        bounds: list[tuple[Precision, tuple[float, float]]] = [
            # The loss is the mean of the hardest pixels, where logits differ most.
            ("float32", (10 * EXACT, after)),
            ("bfloat16", (BFLOAT16, BFLOAT16)),
        ]
        for precision, bound in bounds:
            exact_float32(precision == "float32")
            found = _losses(name, images, labels, device, precision)
            for when, i in (("before", 0), ("after", 1)):
                note = f"{found[i]:.4f}, CPU {expected[i]:.4f}"
                difference = abs(found[i] / expected[i] - 1)
                report.difference(
                    f"loss {when} a step, {name} network, {precision}", difference, bound[i], note
                )


def _losses(
    name: str,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    precision: Precision,
    change: float = 0.0,
) -> list[float]:
    """Return the losses of two steps of a network; its weights are changed by about so much of themselves."""
    network = network_of(name, 0.0).to(device).train()
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1 + change * torch.randn(weight.shape, generator=chance).to(device))
    settings = replace(loop_settings(10), precision=precision, learning_rate=1e-4)
    optimiser = make_optimiser(network, settings)
    x, y = images.to(device).permute(0, 3, 1, 2), labels.to(device).long()
    passes = make_passes(network, settings, x, y)
    return [float(step(passes, optimiser, x, y, HARD_PIXELS)[0]) for _ in range(2)]


def compare_trainings(report: Report, iterations: int, size: tuple[int, int]) -> None:
    """Compare whole trainings, which must hold the same bytes where kernels are deterministic."""
    exact_float32(False)
    for name, classes in CASES.items():
        plain = replace(
            loop_settings(iterations), average_decay=0.9, learning_rate=0.02, deterministic=True, batch_size=2
        )

        def trained(
            settings: TrainingSettings,
            stop_before: int | None = None,
            name: str = name,
            classes: int = classes,
        ) -> list[Tensor]:
            with tempfile.TemporaryDirectory() as folder, claimed_device("auto", True) as device:

                def go(stop_before: int | None) -> list[Tensor]:
                    network, batches = network_of(name, 0.3), Crops(classes, size, stop_before)
                    with TrainingState(Path(folder), "check") as state:
                        made = train(
                            network,
                            batches,  # type: ignore[arg-type]
                            settings,
                            state,
                            device,
                            1,
                            "check",
                            save_every=10**9,
                            log_every=4,
                        )
                    assert made.averaged
                    return [*network.state_dict().values(), *made.averaged.state_dict().values()]

                if stop_before is not None:
                    try:
                        go(stop_before)
                    except Stopped as stopped:
                        print(f"the training was {stopped}")
                return go(None)

        expected = trained(plain)
        others = {
            "the same training again": (plain, None),
            "without CUDA graphs": (replace(plain, cuda_graph=False), None),
            "with gradient checkpointing": (replace(plain, gradient_checkpointing=True), None),
            "stopped and resumed": (plain, iterations // 2 - 1),
        }
        for title, (settings, stop_before) in others.items():
            found = trained(settings, stop_before)
            differing = sum(not torch.equal(a, b) for a, b in zip(found, expected, strict=True))
            note = f"of {len(expected)} tensors"
            report.difference(f"tensors that differ, {name} network, {title}", differing, 0, note)


def main(arguments: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="height and width of crops")
    parser.add_argument("--iterations", type=int, default=12, help="of each training (default 12)")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{name_of(device)} against the CPU, torch {torch.__version__}")
    report, size = Report(), tuple(options.size)
    compare_logits(report, device, size)
    compare_steps(report, device, size)
    compare_trainings(report, options.iterations, size)
    print(f"bounds not met: {len(report.unmet)}")
    sys.exit(bool(report.unmet))


if __name__ == "__main__":
    main()
