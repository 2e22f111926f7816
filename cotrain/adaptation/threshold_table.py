"""thresholds.json: the confidence threshold of each class, and what it was found from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from cotrain.adaptation.thresholds import HIGHEST_LEVEL, class_thresholds
from cotrain.data.files import write_json
from cotrain.data.json_files import Count, Record, Share, read_record
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError

if TYPE_CHECKING:
    # A training reads thresholds, and needs no HDF5.
    from cotrain.data.predictions import PredictionReader

# `why_nothing_is_kept` names at most this many classes, those with the most pixels.
NAMED_CLASSES = 3
# Confidences and shares in the file have this many decimals; levels lie further apart.
DECIMALS = 6


class ThresholdColumns(Record, frozen=True):
    """The file of a threshold table: the model, and column -> class -> value; see `ThresholdTable`."""

    model: str
    levels: dict[str, Annotated[int, Meta(ge=0, le=HIGHEST_LEVEL)]]
    portion: dict[str, Share]
    pixels: dict[str, Count]
    highest_confidence: dict[str, Share | None]
    kept_share: dict[str, Share | None]

    def __post_init__(self) -> None:
        for name in ("portion", "pixels", "highest_confidence", "kept_share"):
            if getattr(self, name).keys() != self.levels.keys():
                raise ValueError(f"{name!r} has other classes than 'levels'")
        for name, pixels in self.pixels.items():
            if (
                not (pixels > 0)
                == (self.kept_share[name] is not None)
                == (self.highest_confidence[name] is not None)
            ):
                raise ValueError(
                    f"the class {name!r} has {pixels} pixels, which does not fit its other values"
                )


@dataclass(frozen=True)
class ThresholdTable:
    """The thresholds of one labelling. All arrays have one entry for each of the C classes.

    `levels` uint16: a pixel must exceed this level to become a pseudo-label; `portion` float64 in [0, 1]: the
    share of pixels that was to be kept; `pixels` int64: how many pixels were predicted as the class;
    `highest_confidence` float64 in [0, 1]: the highest one among them; `kept_share` float64 in [0, 1]: the
    share of them that exceeds the threshold. The last two are NaN for a class without pixels. `model` is the
    hash by which the predictions name their model and its settings.
    """

    model: str
    classes: tuple[str, ...]
    levels: NDArray[np.uint16]
    portion: NDArray[np.float64]
    pixels: NDArray[np.int64]
    highest_confidence: NDArray[np.float64]
    kept_share: NDArray[np.float64]

    @classmethod
    def from_histogram(
        cls,
        histogram: NDArray[np.int64],
        portion: ArrayLike,
        lower: float,
        upper: float,
        classes: Sequence[str],
        model: str,
    ) -> "ThresholdTable":
        """Find the thresholds as `class_thresholds` does, and note what they keep of the histogram."""
        levels = class_thresholds(histogram, portion, lower, upper)
        pixels = histogram.sum(1)
        # As int: the successor of level 65535 is not 0.
        kept = [histogram[index, int(level) + 1 :].sum() for index, level in enumerate(levels)]
        highest = [np.flatnonzero(row)[-1] if row.any() else np.nan for row in histogram]
        with np.errstate(invalid="ignore"):
            kept_share = np.array(kept) / pixels
        return cls(
            model=model,
            classes=tuple(classes),
            levels=levels,
            portion=np.broadcast_to(np.asarray(portion, np.float64), pixels.shape),
            pixels=pixels,
            highest_confidence=np.array(highest) / HIGHEST_LEVEL,
            kept_share=kept_share,
        )

    @classmethod
    def read(cls, path: Path, space: LabelSpace) -> "ThresholdTable":
        """Return the table that `write` wrote.

        Raises:
            InputError: the file is missing, is no such table, or has other classes than `space`.
        """
        columns = read_record(path, ThresholdColumns, "thresholds", "what the step thresholds wrote")
        classes = tuple(columns.levels)
        if classes != space.classes:
            raise InputError(
                f"{path}: holds the classes {', '.join(classes)}, expected {', '.join(space.classes)}"
            )
        return cls(
            columns.model,
            classes,
            levels=np.array([*columns.levels.values()], np.uint16),
            portion=np.array([columns.portion[name] for name in classes], np.float64),
            pixels=np.array([columns.pixels[name] for name in classes], np.int64),
            # As float64, None is NaN.
            highest_confidence=np.array([columns.highest_confidence[name] for name in classes], np.float64),
            kept_share=np.array([columns.kept_share[name] for name in classes], np.float64),
        )

    @property
    def confidences(self) -> NDArray[np.float64]:
        """The thresholds as confidences in [0, 1]."""
        return self.levels / HIGHEST_LEVEL

    @property
    def kept_portion(self) -> float:
        """The share of all pixels that exceeds its threshold; NaN where there is no pixel."""
        with np.errstate(invalid="ignore"):
            return float(np.nansum(self.kept_share * self.pixels) / self.pixels.sum())

    def write(self, path: Path) -> None:
        """Write the table as JSON: the model, and column -> class -> value, null for NaN."""
        columns = {
            "confidences": _rounded(self.confidences),
            "levels": self.levels.tolist(),
            "portion": self.portion.tolist(),
            "pixels": self.pixels.tolist(),
            "highest_confidence": _rounded(self.highest_confidence),
            "kept_share": _rounded(self.kept_share),
        }
        by_class = {name: dict(zip(self.classes, column, strict=True)) for name, column in columns.items()}
        write_json(path, {"model": self.model, **by_class})

    def check_model(self, path: Path, predictions: "PredictionReader") -> None:
        """Raise InputError unless the table, read from `path`, is of the model of `predictions`."""
        if predictions.origin.model != self.model:
            raise InputError(
                f"{path}: holds the thresholds of another model, or of other settings, than the predictions "
                f"{predictions.paths[0]}; expected those of the same model"
            )

    def why_nothing_is_kept(self, path: Path, advice: str) -> str:
        """Return a message for when these thresholds, read from `path`, leave no label in any image.

        Its first line ends with the `advice`. Below, it shows the most frequent classes with their highest
        confidences and their thresholds.
        """
        most_pixels_first = np.argsort(-self.pixels, kind="stable")[:NAMED_CLASSES]
        lines = [
            f"\n  {self.classes[train_id]} ({100 * self.pixels[train_id] / self.pixels.sum():.1f} % of the "
            f"pixels) is predicted with a confidence up to {self.highest_confidence[train_id]:.3f}, its "
            f"threshold is {self.confidences[train_id]:.3f}"
            for train_id in most_pixels_first
            if self.pixels[train_id]
        ]
        return f"no image has a label left by the thresholds of {path}. {advice}{''.join(lines)}"


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(value, DECIMALS) for value in values.tolist()]
