"""The training loop, one for every model of a run."""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cotrain.devices import autocast
from cotrain.networks.build import Network
from cotrain.progress import Progress
from cotrain.randomness import seed_of
from cotrain.training.batches import Batches
from cotrain.training.losses import hard_pixel_loss
from cotrain.training.optimisers import OptimiserSettings, make_optimiser
from cotrain.training.schedule import learning_rate
from cotrain.training.state import Stopped, StopRequest, TrainingState

logger = logging.getLogger("cotrain")

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
    precision: str
    seed: int

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "LoopSettings":
        """Make settings from the `training` section and what a stage adds to it."""
        return cls(**{key: mapping[key] for key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Trained:
    """What a training leaves besides its network.

    `history` has an entry every `log_every_iterations`; `averaged` is the network with the exponential moving
    average of its weights and batch-norm statistics, if `average_decay` asks for one.
    """

    history: list[dict[str, float]]
    averaged: nn.Module | None


class NonFiniteLossError(Exception):
    """The loss or a weight became infinite or not a number; the last good state stays on disk."""


def train(
    network: Network,
    batches: Batches,
    settings: LoopSettings,
    state: TrainingState,
    device: torch.device,
    threads: int,
    title: str,
) -> Trained:
    """Train `network` in place.

    Goes on from `state` when that holds a save of this training. On SIGTERM, SIGINT and SIGUSR1 the state is
    saved and `Stopped` is raised.

    Raises:
        Stopped: a signal asked for it.
        NonFiniteLossError: the loss or a weight is no longer a number.
    """
    network.to(device).train()
    optimiser = make_optimiser(network, settings)
    averaged = None
    if settings.average_decay:
        rule = get_ema_multi_avg_fn(settings.average_decay)
        averaged = AveragedModel(network, multi_avg_fn=rule, use_buffers=True)
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
        logger.info("%s: resumed at iteration %d of %d", title, first, settings.iterations)
    started = time.monotonic()

    def save(iteration: int) -> None:
        finished = iteration == settings.iterations
        state.save(
            {
                "iteration": iteration,
                "network": network.state_dict(),
                # A finished training is only ever read again for its weights.
                "optimiser": None if finished else optimiser.state_dict(),
                "averaged": averaged.state_dict() if averaged else None,
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

    with (
        closing(batches.stream(first, settings.iterations, threads)) as stream,
        StopRequest() as stop,
        Progress(settings.iterations, "iterations", title, done=first) as progress,
    ):
        for iteration in range(first, settings.iterations):
            images, labels = next(stream)
            x = torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)
            y = torch.from_numpy(labels).to(device, non_blocking=True).long()

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
            torch.manual_seed(seed_of(settings.seed, "dropout", iteration))
            with autocast(device, settings.precision):
                logits = network(x)
            logits = F.interpolate(logits.float(), y.shape[1:], mode="bilinear", align_corners=False)
            loss = hard_pixel_loss(logits, y, settings.hard_pixel_share, settings.hard_pixels_of)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if averaged:
                averaged.update_parameters(network)

            done = iteration + 1
            if done % settings.log_every_iterations == 0 or done == settings.iterations:
                history.append(
                    {"iteration": done, "loss": checked(loss.detach(), iteration), "learning_rate": rate}
                )
            progress.advance(note=f"loss {history[-1]['loss']:.3f}" if history else "")
            if stop.number or done % settings.save_every_iterations == 0 or done == settings.iterations:
                checked(loss.detach(), iteration)
                check_weights(iteration)
                save(done)
            if stop.number and done < settings.iterations:
                raise Stopped(stop.number, done)
    return Trained(history, averaged.module if averaged else None)
