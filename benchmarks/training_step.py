"""A training step against the bare network: forward, backward, step, on the CPU or a GPU.

Prints milliseconds and ratios of one run, images per second, the arithmetic reached and peak memory. On
request, also measures the loop with other settings, and a training from image files with the share of time
it waits:

    python -m benchmarks.training_step [--network demo|paper] [--settings '{"compile": true}']
        [--data decoded|png]

The full figures of a GPU: --network paper --iterations 200 --threads 16 --data decoded
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.frames import add_scenes_argument, frames
from benchmarks.input_pipeline import PUBLISHED
from benchmarks.networks import NETWORKS
from cotrain.adaptation.sampling import ShuffledSampler
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.decoded import decode
from cotrain.data.manifests import Item
from cotrain.devices import autocast, claimed_device
from cotrain.networks.build import build_network
from cotrain.progress import duration
from cotrain.training.batches import Batch, Batches, Samples, loader_threads
from cotrain.training.guidance import WaitClock, peak_memory_mib
from cotrain.training.loop import step, train
from cotrain.training.optimisers import make_optimiser
from cotrain.training.passes import make_passes

BATCH_SIZE = 4
# Of a step that is taken outside of the loop.
HARD_PIXELS = 1000
WARM_UP = 3
# Kernels are chosen, passes are recorded and the first crops are made.
WARM_UP_ITERATIONS = 20
# The published chain: baseline and final 60 000 each, 10 rounds and 5 cycles of two branches 8 000 each.
CHAIN_ITERATIONS = 280_000
# Dense bfloat16 operations per second, from the vendor's data sheets.
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Case:
    """A network and what it is trained on: crops of (height, width), cut from frames of (width, height)."""

    network: str
    crop: tuple[int, int]
    classes: int
    frame: tuple[int, int]
    short_sides: tuple[int, ...]


CASES = {
    "demo": Case("the demo's", (160, 224), 7, (384, 216), (160, 216, 288)),
    "paper": Case("the paper's", (512, 1024), 19, (2048, 1024), PUBLISHED.short_sides),
    "tiny": Case("the demo's", (64, 64), 7, (96, 64), (64, 96)),
}


class RandomBatches:
    """Batches that cost nothing: the same one is yielded again and again."""

    ratio = (BATCH_SIZE, 0)

    def __init__(self, crop: tuple[int, int], classes: int) -> None:
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (BATCH_SIZE, *crop, 3), np.uint8)
        self.labels = rng.integers(0, classes, (BATCH_SIZE, *crop)).astype(np.uint8)

    def stream(
        self, first: int, end: int, threads: int, slots: Any = None, *, pinned: bool = False
    ) -> Generator[Batch, None, None]:
        """Yield the batch for each iteration."""
        images, labels = torch.from_numpy(self.images), torch.from_numpy(self.labels)
        batch = (images.pin_memory(), labels.pin_memory()) if pinned else (images, labels)
        for _ in range(first, end):
            yield batch


class TimedBatches:
    """Batches of a training that say when it has warmed up, and how long it then waits for them.

    Attributes:
        started: the time at which iteration `WARM_UP_ITERATIONS` begins and all before are done.
        waited: the share of the time from then on in which the device waits.
    """

    def __init__(self, batches: Batches | RandomBatches, device: torch.device) -> None:
        self.batches, self.ratio, self.device = batches, batches.ratio, device

    def stream(
        self, first: int, end: int, threads: int, slots: Any = None, *, pinned: bool = False
    ) -> Generator[Batch, None, None]:
        """Yield the batches."""
        with closing(self.batches.stream(first, end, threads, slots, pinned=pinned)) as stream:
            clock = WaitClock(self.device)
            for iteration in range(first, end):
                if iteration == WARM_UP_ITERATIONS:
                    self.started, clock = finished(self.device), WaitClock(self.device)
                with clock:
                    batch = next(stream)
                self.waited = clock.share()
                yield batch


class Measured(NamedTuple):
    """What a training took.

    Attributes:
        seconds: an iteration, after the first ones.
        start: seconds of the first iterations.
        waited: share of the time in which it waited for crops.
        memory_mib: the peak.
    """

    seconds: float
    start: float
    waited: float
    memory_mib: int


class NoState:
    """A training state that forgets."""

    def load(self) -> None:
        """Return nothing."""

    def save(self, content: dict[str, Any]) -> None:
        """Keep nothing."""

    def note_progress(self, iteration: int, seconds_an_iteration: float) -> None:
        """Note nothing."""


def loop_settings(iterations: int) -> TrainingSettings:
    """Return the configuration's defaults for a training of so many iterations."""
    return TrainingSettings(
        network=NETWORKS["the demo's"], seed=100, iterations=iterations, hard_pixel_share=0.2
    )


def batches_of_files(items: list[Item], folder: Path, case: Case, is_decoded: bool) -> Batches:
    """Return the batches of a round of self-training: source crops, and target crops mixed with donors."""
    decoded = {item.image: decode(item, folder / "decoded") for item in items} if is_decoded else {}
    augmentation = replace(PUBLISHED, short_sides=case.short_sides)
    source, target = (
        Samples(
            name,
            items,
            case.classes,
            ShuffledSampler(len(items), 0, stream=name),
            augmentation,
            case.crop,
            0,
            decoded,
        )
        for name in ("source", "target")
    )
    return Batches(source, target, (BATCH_SIZE // 2, BATCH_SIZE // 2), "plain", None, 0)


def name_of(device: torch.device) -> str:
    """Return what a report calls the device."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"


def finished(device: torch.device) -> float:
    """Return the time when the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def start_up(case: Case, weights: str, settings: TrainingSettings, device: torch.device) -> float:
    """Return the seconds to build a network, load its weights and take its first step."""
    started = time.perf_counter()
    of_network = replace(NETWORKS[case.network], backbone_weights=weights)
    network = build_network(of_network, case.classes, 0, pretrained=True)
    network.to(device).train()
    images, labels = tensors(case, device)
    passes = make_passes(network, settings, images, labels)
    step(passes, make_optimiser(network, settings), images, labels, HARD_PIXELS)
    return finished(device) - started


def tensors(case: Case, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random batch, images (B, 3, H, W) and labels (B, H, W), on the device."""
    batches = RandomBatches(case.crop, case.classes)
    images = torch.from_numpy(batches.images).to(device).permute(0, 3, 1, 2)
    return images, torch.from_numpy(batches.labels).to(device).long()


def clear_memory(device: torch.device) -> None:
    """Free what was used before, so that the peak of memory is that of what follows."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def bare(network: Any, case: Case, settings: TrainingSettings, device: torch.device) -> tuple[float, int]:
    """Return the seconds of a bare step and its floating-point operations."""
    x, y = tensors(case, device)
    optimiser = make_optimiser(network, settings)

    def bare_step() -> None:
        with autocast(device, "auto"):
            logits = network(x)
            loss = F.cross_entropy(logits, y[:, ::4, ::4][:, : logits.shape[2], : logits.shape[3]])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    with FlopCounterMode(display=False) as counter:
        bare_step()
    for _ in range(WARM_UP):
        bare_step()
    started = finished(device)
    for _ in range(settings.iterations):
        bare_step()
    return (finished(device) - started) / settings.iterations, counter.get_total_flops()


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=CASES, default="demo")
    parser.add_argument(
        "--weights", default="none", help="network.backbone_weights at the start (default: none)"
    )
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--settings",
        type=json.loads,
        help="keys of `training` as JSON to measure the loop with as well, such as '{\"compile\": true}'",
    )
    parser.add_argument("--data", choices=("png", "decoded"), help="measure a training from files as well")
    parser.add_argument("--frames", type=int, default=8, help="number of frames for it (default 8)")
    add_scenes_argument(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    case = CASES[options.network]
    settings = loop_settings(options.iterations)
    loaders = loader_threads(options.threads, device.type)

    def fresh() -> Any:
        return build_network(NETWORKS[case.network], case.classes, 0, pretrained=False).to(device).train()

    def loop(batches: Batches | RandomBatches, of_loop: TrainingSettings = settings) -> Measured:
        clear_memory(device)
        network, timed = fresh(), TimedBatches(batches, device)
        began = finished(device)
        with claimed_device("auto", of_loop.deterministic):
            train(
                network,
                timed,  # type: ignore[arg-type]
                replace(of_loop, iterations=WARM_UP_ITERATIONS + of_loop.iterations),
                NoState(),  # type: ignore[arg-type]
                device,
                loaders,
                "measured",
                save_every=10**9,
                log_every=20,
            )
        seconds = (finished(device) - timed.started) / of_loop.iterations
        return Measured(seconds, timed.started - began, timed.waited, peak_memory_mib(device))

    figures: dict[str, str] = {}
    start_up_seconds = start_up(case, options.weights, settings, device)
    figures["built, weights loaded, first step"] = f"{start_up_seconds:.1f} s (weights: {options.weights})"
    bare_seconds, operations = bare(fresh(), case, settings, device)
    figures["bare forward, backward and step"] = f"{1000 * bare_seconds:.1f} ms"
    random = RandomBatches(case.crop, case.classes)
    plain = last = loop(random)
    figures["training loop"] = f"{1000 * plain.seconds:.1f} ms, {plain.seconds / bare_seconds:.2f} times bare"
    if options.settings:
        settings = replace(settings, **options.settings)
        last = loop(random, settings)
        figures[f"training loop, {options.settings}"] = (
            f"{1000 * last.seconds:.1f} ms, {plain.seconds / last.seconds:.2f} times as fast"
        )
    figures[f"its first {WARM_UP_ITERATIONS} iterations"] = f"{last.start:.1f} s"
    figures["peak memory"] = f"{last.memory_mib} MiB"
    if options.data:
        with tempfile.TemporaryDirectory() as folder:
            items = frames(Path(folder), options.frames, case.frame, case.classes, options.scenes)
            batches = batches_of_files(items, Path(folder), case, options.data == "decoded")
            last = loop(batches, settings)
        figures[f"training from {options.data} frames"] = (
            f"{1000 * last.seconds:.1f} ms, {100 * last.waited:.1f} % of it waiting for crops"
        )
    best = last.seconds
    figures["arithmetic of a step"] = f"{operations / 1e12:.3f} TFLOP, {operations / best / 1e12:.1f} TFLOP/s"
    figures["images per second"] = f"{BATCH_SIZE / best:.1f}"
    figures[f"chain of {CHAIN_ITERATIONS} iterations"] = duration(CHAIN_ITERATIONS * best)
    name = name_of(device)
    for peak in (value for key, value in PEAK_FLOPS.items() if key in name):
        floor = duration(CHAIN_ITERATIONS * operations / peak)
        figures["model-FLOPs utilisation"] = (
            f"{100 * operations / best / peak:.0f} %, the chain's floor is {floor}"
        )
    crop = f"{case.crop[1]}×{case.crop[0]}"
    print(f"{case.network} network, {BATCH_SIZE} crops of {crop}, {name}, {options.threads} threads")
    for what, value in figures.items():
        print(f"{what:<46}{value}")


if __name__ == "__main__":
    main()
