"""What a user wants to know about a training: time spent waiting, memory, and classes that have collapsed."""

import re
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cotrain.configuration.sections import DeepLabV3PlusSettings, TrainingSettings
from cotrain.data.label_spaces import IGNORE
from cotrain.errors import InputError
from cotrain.training.parallel import ALONE, Workers

# A class with a smaller share of the labelled pixels may be missed although nothing is wrong.
NOTABLE_SHARE = 0.001
# Classes are watched only near the end: before that, rare ones are not yet learnt.
WATCHED_SHARE = 0.25


class ClassWatch:
    """Counts labelled and predicted pixels of each class near the end of a training.

    A class that is often in the labels and never in the predictions has collapsed: the model will give the
    next round no pseudo-labels of it, and it will not come back.
    """

    def __init__(self, iterations: int) -> None:
        self.first = min(round((1 - WATCHED_SHARE) * iterations), iterations - 1)
        self.labelled: Tensor | None = None
        self.predicted: Tensor | None = None

    def see(self, iteration: int, logits: Tensor, labels: Tensor, workers: Workers = ALONE) -> None:
        """Count a batch: `logits` (B, C, H, W), `labels` (B, H, W) int64 with 255 ignored.

        Where `workers` share the batch, each passes its own part, and each counts the whole batch.
        """
        if iteration < self.first:
            return
        classes = logits.shape[1]
        known = labels != IGNORE
        labelled = workers.sum(torch.bincount(labels[known], minlength=classes)[:classes]).cpu()
        predicted = workers.sum(torch.bincount(logits.argmax(1)[known], minlength=classes)).cpu()
        self.labelled = labelled if self.labelled is None else self.labelled + labelled
        self.predicted = predicted if self.predicted is None else self.predicted + predicted

    def vanished(self) -> list[int]:
        """Return the train ids that the labels hold and the predictions do not."""
        if self.labelled is None or self.predicted is None:
            return []
        notable = self.labelled > NOTABLE_SHARE * int(self.labelled.sum())
        return torch.nonzero(notable & (self.predicted == 0)).flatten().tolist()

    def state_dict(self) -> dict[str, Tensor | None]:
        """Return what `load_state_dict` takes."""
        return {"labelled": self.labelled, "predicted": self.predicted}

    def load_state_dict(self, saved: Mapping[str, Tensor | None]) -> None:
        """Resume from what `state_dict` returned."""
        self.labelled, self.predicted = saved["labelled"], saved["predicted"]


def about_vanished(
    title: str,
    classes: Sequence[str],
    before: Sequence[str],
    *,
    has_target: bool,
    rare_class_sampling: str | None,
) -> str:
    """Return one line about classes that have vanished in a training, the likeliest cause first.

    Where all had vanished `before`, in the model that it started from, the line only says so: that model's
    line had the advice. `has_target` says whether target images were trained on, `rare_class_sampling` the
    key that turns it on, if it is off.
    """
    listed = ", ".join(classes)
    if set(classes) <= set(before):
        return f"{title}: still not predicted near the end, as in the model that it started from: {listed}"
    others = [rare_class_sampling] if rare_class_sampling else []
    others += ["a larger hard_pixel_share"]
    others += ["a lower portion of the pseudo-labels"] if has_target else []
    return (
        f"{title}: no longer predicted near the end, although the labels hold them: {listed}. Most often the "
        f"iterations are too few. What else may keep them: {', '.join(others)}"
    )


class WaitClock:
    """Measures the share of the time since its creation that a device waits for what this context brings.

    Time inside the context does not count while a GPU still computes what was started before.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.started = time.monotonic()
        self.waited = 0.0

    def __enter__(self) -> None:
        self.entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self.device.type != "cuda" or torch.cuda.current_stream(self.device).query():
            self.waited += time.monotonic() - self.entered

    def share(self) -> float:
        """Return the share, in [0, 1]."""
        return self.waited / max(time.monotonic() - self.started, 1e-9)


@contextmanager
def memory_advice(title: str, settings: TrainingSettings) -> Iterator[None]:
    """Raise an InputError that says what to change, cheapest first, when memory runs out in this context.

    `settings` are those of the training.
    """
    try:
        yield
    except RuntimeError as error:
        # A GPU raises an error of its own, a CPU only these words.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        asked = re.search(r"ried to allocate ([\d.,]+ \w+)", str(error))
        found = f" ({asked[1]} more were asked for)" if asked else ""
        network = settings.network
        height, width = settings.crop
        changes = []
        if not settings.gradient_checkpointing:
            changes.append("training.gradient_checkpointing: true (the same result, but slower)")
        changes.append(f"training.crop below [{height}, {width}] (memory falls with its area)")
        if settings.batch_size > 2:
            changes.append(f"training.batch_size below {settings.batch_size} (and each batch_ratio with it)")
        if isinstance(network, DeepLabV3PlusSettings) and network.output_stride < 32:
            changes.append(f"network.output_stride above {network.output_stride}")
        if settings.precision == "float32":
            changes.append("precision: auto, which is bfloat16 on a GPU")
        raise InputError(
            f"{title}: out of memory{found}. Change one of these: "
            f"{'; '.join(changes)}. `snakemake estimate` shows how much a training then needs"
        ) from error


def peak_memory_mib(device: torch.device) -> int:
    """Return the peak memory of this process in MiB: that of the GPU if it computes there."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_reserved() / 2**20)
    # Linux counts in kibibytes, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
