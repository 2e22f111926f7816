"""The text of config/README.md: prose of `reference.md`, and tables of all keys made from the sections."""

import math
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from cotrain.configuration.schema import Schema, allowed, is_section, key_schema, keys_of, meaning_of
from cotrain.configuration.sections import Configuration, DatasetSettings, Section
from cotrain.configuration.variants import DATASETS, Variants, variants_of

PROSE = Path(__file__).parent / "reference.md"
PLACE_OF_KEYS = "<!-- keys -->"
# Described once: the other section has the same keys and defaults.
ALIKE = {"target_augmentation": "source_augmentation"}


def reference() -> str:
    """Return the text of config/README.md: how to write a configuration, and a table of keys a section."""
    sections = [key for key in keys_of(Configuration) if is_section(key.type)]
    blocks = ["## Top level", _table(Configuration)]
    for key in sections:
        variants = variants_of(key.type)
        blocks += [f"## {key.name}", key.meaning or meaning_of(key.type)]
        blocks += _variants(variants) if variants else [_table(key.type)]
    [datasets] = [key for key in keys_of(Configuration) if _holds_datasets(key.type)]
    at = blocks.index(f"## {sections[0].name}")
    blocks[at:at] = ["## datasets", datasets.meaning or "", *_variants(DATASETS)]
    return PROSE.read_text(encoding="utf-8").replace(PLACE_OF_KEYS, "\n\n".join(blocks))


def _holds_datasets(kind: Any) -> bool:
    return get_origin(kind) is dict and get_args(kind)[1] is DatasetSettings


def _variants(variants: Variants) -> list[str]:
    """Return a heading, a description and a table for each set of keys that a section can take."""
    classes = {**variants.by_value, variants.others_in_words: variants.others}
    return [
        block
        for value, section in classes.items()
        for block in (f"### {variants.key}: {value}", meaning_of(section), _table(section))
    ]


def _table(section: type[Section]) -> str:
    lines = ["| key | allowed | default | meaning |", "|---|---|---|---|", *_rows(section, "")]
    return "\n".join(lines)


def _rows(section: type[Section], prefix: str) -> list[str]:
    rows = []
    for key in keys_of(section):
        if section is Configuration and (is_section(key.type) or _holds_datasets(key.type)):
            continue
        schema = key_schema(key)
        if key.name in ALIKE:
            schema["description"] += f" The keys and defaults are those of `{ALIKE[key.name]}`."
        rows.append(_row(f"{prefix}{key.name}", schema, key.is_required))
        if not is_section(key.type) or variants_of(key.type) or key.name in ALIKE:
            continue
        if key.completed_from:
            rows += [_row(f"{prefix}{key.name}.{name}", part) for name, part in schema["properties"].items()]
        else:
            rows += _rows(key.type, f"{prefix}{key.name}.")
    return rows


def _row(name: str, schema: Schema, is_required: bool = False) -> str:
    cells = (f"`{name}`", allowed(schema), _default(schema, is_required), schema["description"])
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(schema: Schema, is_required: bool) -> str:
    if "default" in schema:
        text = yaml.safe_dump(schema["default"], default_flow_style=True, width=math.inf)
        return f"`{text.removesuffix(chr(10)).removesuffix(chr(10) + '...')}`"
    return "required" if is_required else ""
