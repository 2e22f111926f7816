"""The tables of an oracle study: one line a step of the chain, in per cent."""

from collections.abc import Mapping
from typing import Any

from cotrain.reporting.table import Table, fitted_text, percent, to_text

ORACLE_NOTE = (
    "Oracle study: it reads labels of the target, so it serves analysis alone and nothing is made from it."
)
SHARES = ("precision", "coverage", "recall")


def steps_table(studies: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a header and one line a step: images, classes kept, means over them, shares of all pixels.

    `studies` holds what `cotrain.evaluation.oracle.oracle_scores` returns, and `images`, by the step's name.
    """
    columns = [*(f"mean_{share}" for share in SHARES), "precision", "coverage"]
    means = [f"mean {share}" for share in SHARES]
    table = [["step", "images", "classes", *means, "pixel precision", "pixel coverage"]]
    for step, study in studies.items():
        # The mean precision is of these alone: a step that keeps only easy classes has a high one.
        kept = sum(found["kept"] > 0 for found in study["classes"].values())
        table.append([step, str(study["images"]), str(kept), *(percent(study[name]) for name in columns)])
    return table


def share_table(studies: Mapping[str, Mapping[str, Any]], share: str, decimals: int = 1) -> Table:
    """Return a header of class names and one line a step with one of `SHARES` of each class."""
    classes = list(next(iter(studies.values()))["classes"])
    table = [["step", *classes]]
    for step, study in studies.items():
        table.append([step, *(percent(study["classes"][name][share], decimals) for name in classes)])
    return table


def classes_table(studies: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one line for each class of each step: its pixels, and its shares in per cent."""
    counts = ("labelled", "kept", "agreeing")
    table = [["step", "class", *SHARES, *(f"{count} pixels" for count in counts)]]
    for step, study in studies.items():
        for name, found in study["classes"].items():
            pixels = [str(found[count]) for count in counts]
            table.append([step, name, *(percent(found[share]) for share in SHARES), *pixels])
    return table


def oracle_text(studies: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the whole study for a terminal."""
    parts = [f"{ORACLE_NOTE}\n", "Pseudo-labels against true labels (%)\n", to_text(steps_table(studies))]
    for share, meaning in zip(
        SHARES,
        ("agreeing / kept pixels", "kept / labelled pixels", "agreeing / labelled pixels"),
        strict=True,
    ):
        parts += [f"{share.capitalize()} by class (%): {meaning}\n", fitted_text(share_table(studies, share))]
    return "\n".join(parts)
