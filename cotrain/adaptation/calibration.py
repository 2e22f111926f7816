"""Calibration: one temperature for the logits of a network, so that confidences match the accuracy.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017: the logits are divided
by the temperature T that minimises the mean negative log-likelihood of held-out labels. The likeliest class
of a pixel does not change; T > 1 lowers confidences, T < 1 raises them.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from cotrain.data.files import write_json
from cotrain.data.json_files import Record, Share, read_record

# A network that needs a temperature beyond these is not trained yet, or was trained on the held-out labels.
LOWEST, HIGHEST = 0.05, 20.0


class TemperatureRecord(Record, frozen=True):
    """What is read of the file of a calibration."""

    temperature: Annotated[float, Meta(ge=LOWEST, le=HIGHEST)]


class CalibrationRecord(TemperatureRecord, frozen=True):
    """What a report reads of the file of a calibration."""

    accuracy: Share
    confidence: tuple[Share, Share]


# Each bisection halves the interval of log T, which has a width of 6.
BISECTIONS = 24


@dataclass(frozen=True)
class Calibration:
    """A temperature and its effect on the pixels to which it was fitted.

    `accuracy` is the share of pixels whose likeliest class is right. `confidence` is the mean probability of
    the likeliest class, `negative_log_likelihood` the mean over the labels; both are pairs of (at temperature
    1, at `temperature`).
    """

    temperature: float
    images: int
    pixels: int
    accuracy: float
    confidence: tuple[float, float]
    negative_log_likelihood: tuple[float, float]


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Return the T in [0.05, 20] for which the labels have the greatest likelihood under softmax(logits / T).

    `logits` is (M, C), `labels` (M,) in [0, C), M > 0. With b = 1 / T the mean negative log-likelihood is
    convex in b, and its slope is the mean over pixels of Σ p_c z_c − z_label, with p the softmax of b · z.
    So the slope rises with b, and bisection finds where it is 0.
    """
    label_logits = np.take_along_axis(logits, labels[:, None].astype(np.intp), 1)[:, 0]
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        expected = (_softmax(logits / np.exp(middle)) * logits).sum(1)
        # If the slope is below 0, a larger b is better, so a smaller T.
        if np.mean(expected - label_logits, dtype=np.float64) < 0:
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))


def calibrated(logits: NDArray[np.float32], labels: NDArray[np.uint8], images: int) -> Calibration:
    """Fit the temperature to pixels of `images` images (see `fit_temperature`) and measure its effect."""
    temperature = fit_temperature(logits, labels)
    places = np.arange(len(labels))
    both = [_softmax(logits / at) for at in (1.0, temperature)]
    confidences = [float(p.max(1).mean(dtype=np.float64)) for p in both]
    # At least the smallest float, because the logarithm of an underflow is infinite.
    likelihoods = [np.log(np.maximum(p[places, labels], np.finfo(np.float32).tiny)) for p in both]
    losses = [float(-part.mean(dtype=np.float64)) for part in likelihoods]
    return Calibration(
        temperature,
        images,
        len(labels),
        float((logits.argmax(1) == labels).mean()),
        (confidences[0], confidences[1]),
        (losses[0], losses[1]),
    )


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON."""
    write_json(path, asdict(calibration))


def read_temperature(path: Path) -> float:
    """Return the temperature in a file of `write_calibration`, or in any JSON with the key `temperature`.

    Raises:
        InputError: there is no such file, or it holds no temperature from 0.05 to 20.
    """
    return read_record(
        path,
        TemperatureRecord,
        "a temperature",
        "`temperature`, a number from 0.05 to 20, as calibrate writes it",
    ).temperature


def read_calibration(path: Path) -> CalibrationRecord:
    """Return what `write_calibration` wrote; InputError if it did not write the file."""
    return read_record(path, CalibrationRecord, "a calibration", "what calibrate wrote")


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of (M, C) over the classes."""
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    softmax: NDArray[np.float32] = exponentials / exponentials.sum(1, keepdims=True)
    return softmax
