"""Words for messages: values as a configuration file has them, and numbers with the noun that fits them."""

import math
from datetime import date
from typing import Any

# Larger ones are no integers of JSON files and records.
LARGEST_INTEGER = 2**63 - 1
HUGE_INTEGER = "an integer of more than 64 bit"
LONGEST = 80


def in_words(value: Any) -> str:
    """Return a value as it would stand in YAML, text in quotes, long ones cut."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, dict):
        keys = ", ".join(key if isinstance(key, str) else in_words(key) for key in value)
        text = f"a section with the keys {keys}" if value else "an empty section"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(map(in_words, value))}]"
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        text = HUGE_INTEGER
    elif isinstance(value, float) and not math.isfinite(value):
        text = ".nan" if math.isnan(value) else "-.inf" if value < 0 else ".inf"
    elif isinstance(value, date):
        # Snakemake reads YAML's dates.
        text = f"the date {value.isoformat()}"
    else:
        text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: counted(2, "round") is "2 rounds".

    `several` is needed for what does not end in a plain s: counted(1, "label has", "labels have").
    """
    return f"{number} {agreeing(number, one, several or f'{one}s')}"


def agreeing(number: int, one: str, several: str) -> str:
    """Return the word that fits a number: agreeing(1, "is", "are") is "is"."""
    return one if number == 1 else several
