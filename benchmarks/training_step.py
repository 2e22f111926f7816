"""A training step against the bare network: forward, backward, step, on the CPU or a GPU.

Prints milliseconds and ratios of one run, images per second, the arithmetic reached and peak memory; on a GPU
the utilisation too:

    python -m benchmarks.training_step [--box demo|paper] [--iterations 20] [--compile]
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.boxes import BOXES
from cotrain.devices import autocast
from cotrain.networks.build import build_network
from cotrain.networks.settings import NetworkSettings
from cotrain.training.guidance import peak_memory_mib
from cotrain.training.loop import LoopSettings, train
from cotrain.training.optimisers import make_optimiser
from workflow_scripts.config_schema import whole_schema, with_defaults

SETTINGS = {
    "demo": ("the demo's", (160, 224), 7),
    "paper": ("the paper's", (512, 1024), 19),
    "tiny": ("the demo's", (64, 64), 7),
}
BATCH_SIZE = 4
WARM_UP = 3
# Dense bfloat16 arithmetic of an H200, as its vendor gives it.
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


class RandomBatches:
    """Batches that cost nothing to make: one is made and handed out again and again."""

    ratio = (BATCH_SIZE, 0)

    def __init__(self, crop: tuple[int, int], classes: int) -> None:
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (BATCH_SIZE, *crop, 3), np.uint8)
        self.labels = rng.integers(0, classes, (BATCH_SIZE, *crop)).astype(np.uint8)

    def stream(self, first: int, end: int, threads: int, slots: Any = None) -> Any:
        """Yield the batch for each iteration."""
        for _ in range(first, end):
            yield self.images, self.labels


class NoState:
    """A training state that forgets."""

    def load(self) -> None:
        """Return nothing."""

    def save(self, content: dict[str, Any]) -> None:
        """Keep nothing."""


def loop_settings(iterations: int, compiled: bool) -> LoopSettings:
    """Return the configuration's defaults for a training of so many iterations that saves nothing."""
    defaults = with_defaults({}, whole_schema())
    chosen = {"iterations": iterations, "compile": compiled, "save_every_iterations": 10**9}
    return LoopSettings.from_mapping(defaults | defaults["training"] | defaults["baseline"] | chosen)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--box", choices=SETTINGS, default="demo")
    made.add_argument("--iterations", type=int, default=20)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--compile", action="store_true", help="of the training loop, not of the bare network")
    options = made.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    title, crop, classes = SETTINGS[options.box]
    settings = loop_settings(options.iterations, options.compile)

    def fresh() -> Any:
        network = build_network(NetworkSettings.from_mapping(BOXES[title]), classes, 0, pretrained=False)
        return network.to(device).train()

    def finish() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    started = time.perf_counter()
    network = fresh()
    built = time.perf_counter() - started
    batches = RandomBatches(crop, classes)
    x = torch.from_numpy(batches.images).to(device).permute(0, 3, 1, 2)
    y = torch.from_numpy(batches.labels).to(device).long()
    optimiser = make_optimiser(network, settings)

    def bare() -> None:
        with autocast(device, "auto"):
            logits = network(x)
            loss = F.cross_entropy(logits, y[:, ::4, ::4][:, : logits.shape[2], : logits.shape[3]])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    with FlopCounterMode(display=False) as counter:
        bare()
    operations = counter.get_total_flops()
    for _ in range(WARM_UP):
        bare()
    started = finish()
    for _ in range(options.iterations):
        bare()
    bare_seconds = (finish() - started) / options.iterations

    network = fresh()
    state: Any = NoState()
    loaded: Any = batches
    train(network, loaded, settings, state, device, options.threads, "warm-up")
    started = finish()
    train(network, loaded, settings, state, device, options.threads, "measured")
    seconds = (finish() - started) / options.iterations
    shown = {
        "network built": f"{built:.1f} s",
        "bare forward, backward and step": f"{1000 * bare_seconds:.1f} ms",
        "training loop": f"{1000 * seconds:.1f} ms, {seconds / bare_seconds:.2f} times bare",
        "arithmetic of a step": f"{operations / 1e12:.3f} TFLOP, {operations / seconds / 1e12:.1f} TFLOP/s",
        "images per second": f"{BATCH_SIZE / seconds:.1f}",
        "peak memory": f"{peak_memory_mib(device)} MiB",
    }
    print(f"{title} network, {BATCH_SIZE} crops of {crop[1]}×{crop[0]}, {device}, {options.threads} threads")
    for what, value in shown.items():
        print(f"{what:<34}{value}")
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
        peak = next((value for key, value in PEAK_FLOPS.items() if key in name), None)
        if peak:
            print(f"model-FLOPs utilisation on {name}: {100 * operations / seconds / peak:.0f} %")


if __name__ == "__main__":
    main()
