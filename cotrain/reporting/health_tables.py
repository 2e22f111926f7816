"""The health of a run as text for a terminal, and as tables for files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cotrain.configuration.names import ModelName
from cotrain.configuration.run_plan import HealthSettings
from cotrain.evaluation.health import (
    ModelHealth,
    Pixels,
    distance,
    missing_classes,
    shares_of,
)
from cotrain.evaluation.verdict import Finding
from cotrain.reporting.model_report import filled
from cotrain.reporting.table import MISSING, Table, fitted_text, percent, to_text

EXPLANATION = (
    "All models predict the same target images. Kept: share of the pixels that have a pseudo-label, in the "
    "images that the model learnt from. As before: pixels that it takes for the same class as the model "
    "before it. Branches: pixels that both branches of the cycle take for the same class. Off source: pixels "
    "that would have to change class for the class shares of the source's labels. Missing: classes that the "
    "source shows and that it hardly predicts. Vanished: classes that it did not predict near the end of its "
    "training, although the labels hold them."
)
NOTHING_LOOKS_WRONG = "Nothing that can be seen without labels looks wrong."
OF_HELD_OUT = (
    "Held out: its mean confidence on source images that no training has seen, and the share of their pixels "
    "that is right. The closer the two, the better."
)


def agreement_with_before(model: ModelHealth, settings: HealthSettings) -> float | None:
    """Return how much a model agrees with the one before it, or with two on average; None for the first."""
    before = [name for name in settings.before.get(model.model, ()) if name in model.agreement]
    return sum(model.agreement[name] for name in before) / len(before) if before else None


def agreement_of_branches(model: ModelHealth) -> float | None:
    """Return how much a branch agrees with the other one of its cycle; None for another model."""
    name = ModelName.parse(model.model)
    if name.branch is None:
        return None
    return model.agreement.get(str(ModelName(name.stage, name.number, "b" if name.branch == "a" else "a")))


def health_table(
    models: Sequence[ModelHealth], source: Pixels, classes: Sequence[str], settings: HealthSettings
) -> Table:
    """Return a header and one line for each model; shares in per cent."""
    has_held_out = any(model.held_out for model in models)
    has_scores = any(model.mean_iou is not None for model in models)
    table: Table = [
        [
            *("model", "kept", "as before", "branches", "confidence", "largest class", "off source"),
            *("missing", "vanished"),
            *(["held out"] if has_held_out else []),
            *(["mIoU"] if has_scores else []),
        ]
    ]
    for model in models:
        shares, held_out = shares_of(model.pixels), model.held_out
        largest = int(shares.argmax())
        line = [
            model.model,
            percent(model.kept, 1),
            percent(agreement_with_before(model, settings), 1),
            percent(agreement_of_branches(model), 1),
            percent(model.confidence, 1),
            f"{classes[largest]} {percent(float(shares[largest]), 1)}",
            percent(distance(model.pixels, source), 1),
            str(len(missing_classes(model.pixels, source))),
            str(len(model.vanished)),
        ]
        if has_held_out:
            line.append(
                f"{percent(held_out.confidence, 1)} / {percent(held_out.accuracy, 1)}"
                if held_out
                else MISSING
            )
        if has_scores:
            line.append(percent(model.mean_iou))
        table.append(line)
    return table


def shares_table(models: Sequence[ModelHealth], source: Pixels, classes: Sequence[str]) -> Table:
    """Return lines in per cent below a header of classes: the source, and labels and predictions of models.

    Classes that have no pixel anywhere are left out.
    """
    rows = {"source": source}
    for model in models:
        if model.labels is not None:
            rows[f"{model.model}, labels"] = model.labels
        rows[f"{model.model}, predictions"] = model.pixels
    shown = np.flatnonzero(sum(rows.values())).tolist()
    table: Table = [["shares (%)", *(classes[train_id] for train_id in shown)]]
    for name, pixels in rows.items():
        shares = shares_of(pixels)
        table.append([name, *(percent(float(shares[train_id]), 1) for train_id in shown)])
    return table


def side_by_side(models: Sequence[ModelHealth]) -> list[ModelHealth]:
    """Return the models whose class shares are shown: the baseline, the last round, and the final model."""
    last = {ModelName.parse(model.model).stage: model for model in models}
    return [last[stage] for stage in ("baseline", "self_training", "final") if stage in last]


def health_text(
    outcome: str,
    findings: Sequence[Finding],
    models: Sequence[ModelHealth],
    source: Pixels,
    classes: Sequence[str],
    settings: HealthSettings,
    images: int,
) -> str:
    """Return the health of a run of `images` sample images for a terminal; the verdict stands at the end."""
    has_held_out = any(model.held_out for model in models)
    explanation = f"{EXPLANATION} {OF_HELD_OUT}" if has_held_out else EXPLANATION
    parts = [
        f"Health, seen without labels on {images} target images (%)\n",
        to_text(health_table(models, source, classes, settings)),
        filled(explanation),
        "Classes in the source's labels, in pseudo-labels, and in predictions of the target\n",
        fitted_text(shares_table(side_by_side(models), source, classes)),
        "Verdict\n",
        filled(outcome),
        *(filled(finding.text) for finding in findings),
        *([] if findings else [filled(NOTHING_LOOKS_WRONG)]),
    ]
    return "\n".join(parts)


def health_rows(models: Sequence[ModelHealth], source: Pixels, classes: Sequence[str]) -> Table:
    """Return for a spreadsheet a line for each model and class: shares from 0 to 1."""
    table: Table = [["model", "class", "source", "pseudo-labels", "predictions"]]
    of_source = shares_of(source)
    for model in models:
        labels = None if model.labels is None else shares_of(model.labels)
        predictions = shares_of(model.pixels)
        for train_id, name in enumerate(classes):
            in_labels = MISSING if labels is None else f"{labels[train_id]:.6f}"
            shares = f"{of_source[train_id]:.6f}", in_labels, f"{predictions[train_id]:.6f}"
            table.append([model.model, name, *shares])
    return table


def health_content(
    outcome: str,
    findings: Sequence[Finding],
    models: Sequence[ModelHealth],
    source: Pixels,
    classes: Sequence[str],
    settings: HealthSettings,
    images: int,
) -> Mapping[str, Any]:
    """Return all of it as JSON types; shares from 0 to 1."""

    def of_classes(pixels: Pixels | None) -> dict[str, float] | None:
        if pixels is None:
            return None
        return {name: round(float(share), 6) for name, share in zip(classes, shares_of(pixels), strict=True)}

    return {
        "images": images,
        "outcome": outcome,
        "findings": [finding._asdict() for finding in findings],
        "source": of_classes(source),
        "models": {
            model.model: {
                "kept_share": model.kept,
                "agreement": {name: round(share, 6) for name, share in model.agreement.items()},
                "agreement_with_before": _rounded(agreement_with_before(model, settings)),
                "agreement_of_branches": _rounded(agreement_of_branches(model)),
                "confidence": round(model.confidence, 6),
                "distance_from_source": round(distance(model.pixels, source), 6),
                "missing_classes": [classes[train_id] for train_id in missing_classes(model.pixels, source)],
                "vanished_classes": [*model.vanished],
                "pseudo_labels": of_classes(model.labels),
                "predictions": of_classes(model.pixels),
                "held_out": None
                if model.held_out is None
                else {"confidence": model.held_out.confidence, "accuracy": model.held_out.accuracy},
                "mean_iou": model.mean_iou,
            }
            for model in models
        },
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
