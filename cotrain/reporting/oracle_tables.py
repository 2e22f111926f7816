"""The tables of an oracle study: one line for each step of the chain, in per cent."""

from collections.abc import Mapping
from typing import Any

from cotrain.reporting.table import Table, fitted_text, percent, to_text

ORACLE_NOTE = (
    "Oracle study: it reads labels of the target, so it is only for analysis, and nothing is made from it."
)
SHARES = ("precision", "coverage", "recall")


def steps_table(studies: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a header and one line for each step: images, kept classes, mean shares, shares of all pixels.

    `studies` maps the name of each step to the result of `cotrain.evaluation.oracle.oracle_scores` with
    `images` added.
    """
    columns = [*(f"mean_{share}" for share in SHARES), "precision", "coverage"]
    means = [f"mean {share}" for share in SHARES]
    table = [["step", "images", "classes", *means, "pixel precision", "pixel coverage"]]
    for step, study in studies.items():
        # The mean precision is over only these classes, so it is high for a step that keeps only easy
        # classes.
        kept = sum(counts["kept"] > 0 for counts in study["classes"].values())
        table.append([step, str(study["images"]), str(kept), *(percent(study[name]) for name in columns)])
    return table


def share_table(studies: Mapping[str, Mapping[str, Any]], share: str) -> Table:
    """Return a header of class names and one line for each step, with one of `SHARES` of each class."""
    classes = list(next(iter(studies.values()))["classes"])
    table = [["step", *classes]]
    for step, study in studies.items():
        table.append([step, *(percent(study["classes"][name][share], decimals=1) for name in classes)])
    return table


def classes_table(studies: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one line for each class of each step: its shares in per cent, and its pixels."""
    counts = ("labelled", "kept", "agreeing")
    table = [["step", "class", *SHARES, *(f"{count} pixels" for count in counts)]]
    for step, study in studies.items():
        for name, entry in study["classes"].items():
            pixels = [str(entry[count]) for count in counts]
            table.append([step, name, *(percent(entry[share]) for share in SHARES), *pixels])
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
