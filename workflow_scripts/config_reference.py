"""The text of config/README.md, made from config/schema.yaml."""

import math
from typing import Any

import yaml

from workflow_scripts.config_schema import (
    AUGMENTATIONS,
    Schema,
    allowed,
    dereferenced,
    keys,
    variants,
    whole_schema,
)


def reference() -> str:
    """Return the text of config/README.md: how to write a configuration, and a table of keys a section."""
    schema = whole_schema()
    properties = {name: dereferenced(part) for name, part in schema["properties"].items()}
    top = {name: part for name, part in properties.items() if "properties" not in part}
    generated = "<!-- Generated from schema.yaml: python -m workflow_scripts.configuration --reference -->"
    blocks = ["# Configuration", generated, schema["description"].strip()]
    blocks += ["## Top level", _table({**schema, "properties": top})]
    blocks += ["## datasets", properties["datasets"]["description"]]
    blocks += _variants(properties["datasets"]["additionalProperties"])
    for name, part in properties.items():
        if "allOf" in part:
            blocks += [f"## {name}", part["description"], *_variants(part)]
        elif "properties" in part:
            blocks += [f"## {name}", part["description"], _table(part)]
    blocks.append(schema["$comment"].strip())
    return "\n\n".join(blocks) + "\n"


def _variants(section: Schema) -> list[str]:
    """Return a heading, a description and a table for each set of keys that a section can take."""
    key, known = variants(section)
    blocks = []
    for value, part in known.items():
        blocks += [f"### {key}: {value}", part["description"].strip(), _table(part)]
    return blocks


def _table(section: Schema) -> str:
    lines = ["| key | allowed | default | meaning |", "|---|---|---|---|"]
    for key, part in keys(section):
        if key.startswith(f"{AUGMENTATIONS[1]}."):
            continue
        required = key in section.get("required", ())
        default = f"`{_yaml_text(part['default'])}`" if "default" in part else "required" if required else ""
        meaning = part["description"]
        if key == AUGMENTATIONS[1]:
            meaning += f" The keys and defaults are those of `{AUGMENTATIONS[0]}`."
        cells = (f"`{key}`", allowed(part), default, meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _yaml_text(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")
