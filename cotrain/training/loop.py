"""The training loop, one for every model of a run."""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch

from cotrain.configuration.sections import TrainingSettings
from cotrain.devices import tuned_kernels
from cotrain.errors import InputError
from cotrain.networks.blocks import compile_blocks
from cotrain.networks.network import Network
from cotrain.progress import Progress
from cotrain.randomness import seed_of
from cotrain.training.average import MovingAverage
from cotrain.training.batches import Batch, Batches
from cotrain.training.event_file import EventFile
from cotrain.training.guidance import ClassWatch, WaitClock, peak_memory_mib
from cotrain.training.losses import hard_pixel_loss, number_of_hard_pixels
from cotrain.training.optimisers import make_optimiser
from cotrain.training.parallel import ALONE, Workers, in_parallel
from cotrain.training.passes import Passes, make_passes
from cotrain.training.schedule import learning_rate
from cotrain.training.state import Stopped, StopRequest, TrainingState

logger = logging.getLogger("cotrain")

ITERATIONS_BETWEEN_AGREEMENTS = 5

CURE = "A lower training.learning_rate or more training.warmup_iterations is the usual cure"


class Training:
    """A network in training, with all that changes from iteration to iteration.

    `state_dict` returns what is saved, `load_state_dict` resumes from it.

    Attributes:
        network: the network that is trained.
        optimiser: its optimiser.
        average: the moving average of its weights, if `average_decay` asks for one.
        watch: counts labelled and predicted pixels near the end.
        iteration: how many iterations are done.
        history: an entry every `log_every` iterations.
        resumes: how often the training was resumed.
    """

    def __init__(self, network: Network, settings: TrainingSettings) -> None:
        self.network = network
        self.optimiser = make_optimiser(network, settings)
        self.average = MovingAverage(network, settings.average_decay) if settings.average_decay else None
        self.watch = ClassWatch(settings.iterations)
        self.iterations = settings.iterations
        self.iteration = 0
        self.history: list[dict[str, float]] = []
        self.resumes = 0
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            # A finished training is only read again for its weights.
            "optimiser": None if self.is_finished else self.optimiser.state_dict(),
            "averaged": self.average.state_dict() if self.average else None,
            "watch": self.watch.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
            "resumes": self.resumes,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned."""
        self.iteration = saved["iteration"]
        self.network.load_state_dict(saved["network"])
        if saved["optimiser"]:
            self.optimiser.load_state_dict(saved["optimiser"])
        if self.average:
            self.average.load_state_dict(saved["averaged"])
        self.watch.load_state_dict(saved["watch"])
        self.history = saved["history"]
        # As if there had been no interruption.
        self.started = time.monotonic() - saved["seconds"]
        # A finished training is only read again.
        self.resumes = saved["resumes"] + (0 if self.is_finished else 1)

    @property
    def seconds(self) -> float:
        """Return how long it has run, interruptions left out."""
        return time.monotonic() - self.started

    @property
    def is_finished(self) -> bool:
        """Return whether all iterations are done."""
        return self.iteration == self.iterations

    @property
    def averaged(self) -> Network | None:
        """Return the network with the averaged weights, if there is one."""
        return self.average.read() if self.average else None

    @property
    def vanished(self) -> list[int]:
        """Return the train ids that the labels held and the network did not predict near the end."""
        return self.watch.vanished()


class NonFiniteLossError(InputError):
    """The loss or a weight became infinite or not a number; the last good state stays on disk."""


def step(
    passes: Passes,
    optimiser: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    hard_pixels: int,
    workers: Workers = ALONE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one step and return the loss before it and the logits (B, C, H, W) float32, both without gradient.

    Args:
        passes: through the network, which is in training mode.
        optimiser: with the learning rate of this step.
        images: (B, 3, H, W) uint8 RGB.
        labels: (B, H, W) int64 train ids, 255 for void.
        hard_pixels: how many pixels of the whole batch the loss is the mean of, as in `hard_pixel_loss`.
        workers: the processes that share the batch; `images` and `labels` are this one's part of it.
    """
    losses, logits = passes.forward(images, labels)
    loss = hard_pixel_loss(losses, hard_pixels, workers)
    passes.backward(loss)
    optimiser.step()
    return workers.sum(loss) / workers.count, logits


def train(
    network: Network,
    batches: Batches,
    settings: TrainingSettings,
    state: TrainingState,
    device: torch.device,
    threads: int,
    title: str,
    *,
    save_every: int,
    log_every: int,
    events: EventFile | None = None,
    workers: Workers = ALONE,
) -> Training:
    """Train `network` in place, all `workers` together, and return the finished training.

    It saves its state every `save_every` iterations and notes its loss every `log_every`, in `events` too if
    that is given. It resumes from
    `state` if that holds a save of this training. On SIGTERM, SIGINT and SIGUSR1 it saves its state and
    raises `Stopped`.

    Raises:
        Stopped: a signal asked for it.
        NonFiniteLossError: the loss or a weight is no longer a number.
    """
    if settings.compile:
        compile_blocks(network)
    parallel = in_parallel(network.to(device).train(), workers, device)
    training = Training(network, settings)
    saved = state.load()
    if saved:
        training.load_state_dict(saved)
        logger.info(
            *("%s: resumed at iteration %d of %d", title, training.iteration, settings.iterations),
            extra={"is_progress": True},
        )

    events = events if workers.is_first else None
    if events:
        events.begin(training.history, training.seconds)
    clock = WaitClock(device)
    slots = None if workers.count == 1 else workers.slots(sum(batches.ratio))
    first, pinned = training.iteration, device.type == "cuda"
    passes: Passes | None = None
    with (
        tuned_kernels(),
        closing(batches.stream(first, settings.iterations, threads, slots, pinned=pinned)) as stream,
        StopRequest() as stop,
        Progress(settings.iterations, "iterations", title, done=first) as progress,
    ):
        note = ""
        for iteration in range(first, settings.iterations):
            with clock:
                batch = next(stream)
            hard_pixels = number_of_hard_pixels(
                batch[1], settings.hard_pixel_share, settings.hard_pixels_of, workers, device
            )
            images, labels = on_device(batch, device)

            rate = learning_rate(
                iteration,
                settings.iterations,
                settings.learning_rate,
                power=settings.poly_power,
                warmup_iterations=settings.warmup_iterations,
                warmup_factor=settings.warmup_factor,
            )
            for group in training.optimiser.param_groups:
                group["lr"] = rate * group["factor"]

            if passes is None:
                passes = make_passes(parallel, settings, images, labels, workers)
            # Dropout is a function of the iteration too: no generator's state has to be saved.
            torch.manual_seed(seed_of(settings.seed, "dropout", iteration, workers.rank))
            loss, logits = step(passes, training.optimiser, images, labels, hard_pixels, workers)
            if training.average:
                training.average.update()
            training.iteration = done = iteration + 1

            if done % log_every == 0 or training.is_finished:
                check_loss(loss, iteration, title)
                training.history.append({"iteration": done, "loss": float(loss), "learning_rate": rate})
                if events:
                    events.add(training.history[-1])
                training.watch.see(iteration, logits, labels, workers)
                note = (
                    f"loss {float(loss):.3f}, learning rate {rate:.2g}, "
                    f"{100 * clock.share():.0f} % of the time waiting for images, "
                    f"{peak_memory_mib(device) / 1024:.1f} GiB"
                )
            progress.advance(note)
            if workers.is_first and done % log_every == 0:
                state.note_progress(done, progress.seconds_a_piece())

            signal = agreed_signal(stop, workers, done, device)
            if signal or done % save_every == 0 or training.is_finished:
                check_loss(loss, iteration, title)
                check_weights(network, iteration, title)
                if workers.is_first:
                    if signal:
                        logger.warning("%s: stopping, the state is being saved", title)
                    state.save(training.state_dict())
            if signal and not training.is_finished:
                raise Stopped(signal, done)
    return training


def on_device(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch as images (B, 3, H, W) uint8 and labels (B, H, W) int64 on the device."""
    # From pinned memory they travel while the last step still computes.
    images, labels = (tensor.to(device, non_blocking=True) for tensor in batch)
    return images.permute(0, 3, 1, 2), labels.long()


def agreed_signal(stop: StopRequest, workers: Workers, done: int, device: torch.device) -> int:
    """Return the number of the signal that stops the training after `done` iterations, or 0.

    Processes that share a batch must stop at the same iteration. Asking each other costs time, so they do it
    only now and then.
    """
    if workers.count > 1 and done % ITERATIONS_BETWEEN_AGREEMENTS:
        return 0
    return workers.agreed(stop.number, device)


def check_loss(loss: torch.Tensor, iteration: int, title: str) -> None:
    """Raise NonFiniteLossError when the loss of an iteration is infinite or not a number."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(
            f"{title}: the loss is {float(loss)} at iteration {iteration}; "
            f"the state before it is kept. {CURE}"
        )


def check_weights(network: Network, iteration: int, title: str) -> None:
    """Raise NonFiniteLossError when a weight is infinite or not a number after an iteration.

    The loss is computed before the step: it shows a step that broke the weights one iteration too late.
    """
    content = {name: of for name, of in network.state_dict().items() if of.is_floating_point()}
    # One question to the device in place of hundreds. The largest absolute value is finite if all are.
    if torch.stack(torch._foreach_norm(list(content.values()), math.inf)).isfinite().all():
        return
    for name, tensor in content.items():
        if not tensor.isfinite().all():
            raise NonFiniteLossError(
                f"{title}: {name} is no longer finite after iteration {iteration}; "
                f"the state before it is kept. {CURE}"
            )
