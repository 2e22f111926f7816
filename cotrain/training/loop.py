"""The training loop, one for every model of a run."""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cotrain.devices import autocast
from cotrain.errors import InputError
from cotrain.networks.network import Network
from cotrain.progress import Progress
from cotrain.randomness import seed_of
from cotrain.training.batches import Batches
from cotrain.training.guidance import ClassWatch, WaitClock, peak_memory_mib
from cotrain.training.losses import hard_pixel_loss
from cotrain.training.optimisers import OptimiserSettings, make_optimiser
from cotrain.training.parallel import ALONE, Workers, in_parallel
from cotrain.training.schedule import learning_rate
from cotrain.training.state import Stopped, StopRequest, TrainingState

logger = logging.getLogger("cotrain")

ITERATIONS_BETWEEN_AGREEMENTS = 5

CURE = "A lower training.learning_rate or more training.warmup_iterations is the usual cure"


@dataclass(frozen=True)
class LoopSettings(OptimiserSettings):
    """How to optimise; the keys are explained in the `training` section of the configuration."""

    iterations: int
    warmup_iterations: int
    warmup_factor: float
    poly_power: float
    hard_pixel_share: float
    hard_pixels_of: str
    save_every_iterations: int
    log_every_iterations: int
    average_decay: float
    compile: bool
    precision: str
    seed: int

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "LoopSettings":
        """Make settings from the `training` section and what a stage adds to it.

        Raises:
            InputError: a key is missing.
        """
        missing = [key for key in cls.__dataclass_fields__ if key not in mapping]
        if missing:
            raise InputError(f"settings of a training: {', '.join(missing)} missing")
        return cls(**{key: mapping[key] for key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Trained:
    """What a training leaves besides its network.

    `history` has an entry every `log_every_iterations`; `averaged` is the network with the exponential moving
    average of its weights and batch-norm statistics, if `average_decay` asks for one; `vanished` are train
    ids that the labels held and the network no longer predicted near the end.
    """

    history: list[dict[str, float]]
    averaged: Network | None
    vanished: list[int]


class NonFiniteLossError(InputError):
    """The loss or a weight became infinite or not a number; the last good state stays on disk."""


def step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: LoopSettings,
    workers: Workers = ALONE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one step and return the loss before it and the logits (B, C, H, W) float32, both without gradient.

    Args:
        network: in training mode.
        optimiser: with the learning rate of this step.
        images: (B, 3, H, W) uint8 RGB.
        labels: (B, H, W) int64 train ids, 255 for void.
        settings: precision and loss.
        workers: the processes that share the batch; `images` and `labels` are this one's part of it.
    """
    with autocast(images.device, settings.precision):
        logits = network(images)
    # Class by class in memory: the softmax over the full size then takes half the time of channels-last.
    logits = logits.float().contiguous()
    logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    loss = hard_pixel_loss(logits, labels, settings.hard_pixel_share, settings.hard_pixels_of, workers)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return workers.sum(loss) / workers.count, logits.detach()


def train(
    network: Network,
    batches: Batches,
    settings: LoopSettings,
    state: TrainingState,
    device: torch.device,
    threads: int,
    title: str,
    workers: Workers = ALONE,
) -> Trained:
    """Train `network` in place, all `workers` together.

    Goes on from `state` when that holds a save of this training. On SIGTERM, SIGINT and SIGUSR1 the state is
    saved and `Stopped` is raised.

    Raises:
        Stopped: a signal asked for it.
        NonFiniteLossError: the loss or a weight is no longer a number.
    """
    parallel: Any = in_parallel(network.to(device).train(), workers, device)
    if settings.compile:
        # Of the arithmetic alone: names of tensors and what is saved stay those of the network.
        parallel = torch.compile(parallel)
    optimiser = make_optimiser(network, settings)
    averaged: Any = None
    if settings.average_decay:
        rule = get_ema_multi_avg_fn(settings.average_decay)
        averaged = AveragedModel(network, multi_avg_fn=rule, use_buffers=True)
    watch = ClassWatch(settings.iterations)
    first, history, seconds_before, resumes = 0, [], 0.0, 0
    saved = state.load()
    if saved:
        first, history, seconds_before = saved["iteration"], saved["history"], saved["seconds"]
        resumes = saved["resumes"] + 1
        network.load_state_dict(saved["network"])
        if saved["optimiser"]:
            optimiser.load_state_dict(saved["optimiser"])
        if averaged:
            averaged.load_state_dict(saved["averaged"])
        watch.restore(saved["watch"])
        logger.info("%s: resumed at iteration %d of %d", title, first, settings.iterations)
    started = time.monotonic()

    def save(iteration: int) -> None:
        if not workers.is_first:
            return
        finished = iteration == settings.iterations
        state.save(
            {
                "iteration": iteration,
                "network": network.state_dict(),
                # A finished training is only ever read again for its weights.
                "optimiser": None if finished else optimiser.state_dict(),
                "averaged": averaged.state_dict() if averaged else None,
                "watch": watch.state(),
                "history": history,
                "seconds": seconds_before + time.monotonic() - started,
                "resumes": resumes,
            }
        )

    def checked(loss: torch.Tensor, iteration: int) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"{title}: the loss is {value} at iteration {iteration}; the state before it is kept. {CURE}"
            )
        return value

    def check_weights(iteration: int) -> None:
        # The loss is that of before the step: a step that broke the weights shows in it one iteration later.
        for name, tensor in network.state_dict().items():
            if not tensor.isfinite().all():
                raise NonFiniteLossError(
                    f"{title}: {name} is no longer finite after iteration {iteration}; "
                    f"the state before it is kept. {CURE}"
                )

    clock = WaitClock()
    slots = None if workers.count == 1 else workers.slots(sum(batches.ratio))
    with (
        closing(batches.stream(first, settings.iterations, threads, slots)) as stream,
        StopRequest() as stop,
        Progress(settings.iterations, "iterations", title, done=first) as progress,
    ):
        note = ""
        for iteration in range(first, settings.iterations):
            with clock:
                images, labels = next(stream)
            x = on_device(images, device).permute(0, 3, 1, 2)
            y = on_device(labels, device).long()

            rate = learning_rate(
                iteration,
                settings.iterations,
                settings.learning_rate,
                power=settings.poly_power,
                warmup_iterations=settings.warmup_iterations,
                warmup_factor=settings.warmup_factor,
            )
            for group in optimiser.param_groups:
                group["lr"] = rate * group["factor"]

            # Dropout is a function of the iteration too: no generator's state has to be saved.
            torch.manual_seed(seed_of(settings.seed, "dropout", iteration, workers.rank))
            loss, logits = step(parallel, optimiser, x, y, settings, workers)
            if averaged:
                averaged.update_parameters(network)

            done = iteration + 1
            if done % settings.log_every_iterations == 0 or done == settings.iterations:
                history.append({"iteration": done, "loss": checked(loss, iteration), "learning_rate": rate})
                watch.see(iteration, logits, y, workers)
                note = (
                    f"loss {history[-1]['loss']:.3f}, learning rate {rate:.2g}, "
                    f"{100 * clock.share():.0f} % of the time waiting for images, "
                    f"{peak_memory_mib(device) / 1024:.1f} GiB"
                )
            progress.advance(note=note)
            # Processes that share a batch must also stop at one iteration; asking each other costs time.
            asks = workers.count == 1 or done % ITERATIONS_BETWEEN_AGREEMENTS == 0
            number = workers.agreed(stop.number, device) if asks else 0
            if number or done % settings.save_every_iterations == 0 or done == settings.iterations:
                checked(loss, iteration)
                check_weights(iteration)
                save(done)
            if number and done < settings.iterations:
                raise Stopped(number, done)
    return Trained(history, averaged.module if averaged else None, watch.vanished())


def on_device(array: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on the device; to a GPU it travels while the last step still computes."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
