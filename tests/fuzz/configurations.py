"""Configurations: valid ones, near misses and nonsense, drawn with a generator.

Whatever is drawn, `check` must either plan a whole run from it or raise InputError.
"""

import copy
import datetime
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cotrain.configuration.reading import read_mapping, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.schema import whole_schema
from cotrain.configuration.settings_files import settings_named, settings_names, settings_text
from cotrain.errors import InputError

PROJECT = Path(__file__).parents[2]
NONSENSE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 255, 1e-300, 0.5, 1.0, 1e308, float("nan"), float("inf"), -0.0),
    *(
        2**31,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        10**309,
        -(10**309),
        10**5000,
        "",
        " ",
        "a",
        "a\n",
        "a\tb",
        "\0",
        "..",
        "/",
    ),
    *(
        "../../x",
        "a" * 256,
        "a" * 5000,
        "\udcff",
        "é",
        "1e5",
        "nan",
        "null",
        "true",
        "~",
        "-1",
        "x.yaml",
        "x.yaml\n",
    ),
    *(
        "a:b",
        "a:b\n",
        "baseline",
        "previous",
        "source",
        "none",
        "co_training/00/a",
        [],
        {},
        [[]],
        [{}],
        {"": None},
    ),
    *([0], [1, 1], [0, 0], [-1, 2], [1] * 19, [0.5] * 7, ["game"], ["game", "game"], [None], [True, False]),
    *({"a": 1}, {1: 2}, {None: None}, {"a\n": 1}, {True: 1}, [10**400], {"x": float("inf")}, "cityscapes19"),
    *(datetime.date(2001, 1, 1), datetime.datetime(2001, 1, 1), b"bytes", (1, 2), {1, 2}, [["a"] * 3] * 3),
)


@cache
def bases() -> list[dict[str, Any]]:
    """Return valid configurations to start from."""
    small = {
        "run": "demo",
        "datasets": {
            "game": {"layout": "streets", "look": "game"},
            "camera": {"layout": "streets", "look": "camera", "seed": 2},
            "exam": {"layout": "streets", "look": "camera", "seed": 3},
        },
        "source": ["game"],
        "target": "camera",
        "test": "exam",
    }
    return [small, read_mapping(PROJECT / "config" / "config.yaml")]


def drawn(random: Random) -> Any:
    """Return a configuration with up to six changes."""
    content = copy.deepcopy(random.choice(bases()))
    for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
        _change(content, random)
    return content


def _change(content: dict[str, Any], random: Random) -> None:
    if random.random() < 0.5:
        # A key of the schema, with a value that it allows or nearly allows.
        path, schema = random.choice(_keys())
        _put(content, path, _fitting(schema, random))
        return
    holder, key = random.choice(list(_places(content)))
    what = random.randrange(6)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[random.choice(("x", 1, None, "seed", "rounds", "a\n", "\0", "é" * 200))] = holder[key]
    elif what == 2:
        holder[key] = [holder[key]] if random.random() < 0.5 else {"a": holder[key]}
    elif what == 3:
        other, from_key = random.choice(list(_places(content)))
        holder[key] = copy.deepcopy(other[from_key])
    else:
        holder[key] = copy.deepcopy(random.choice(NONSENSE))
    if not _has_places(content):
        content["run"] = "demo"


def _has_places(content: Any) -> bool:
    return next(iter(_places(content)), None) is not None


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from _places(item)


@cache
def _keys() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def walk(schema: dict[str, Any], path: tuple[str, ...]) -> None:
        for name, part in schema.get("properties", {}).items():
            found.append(((*path, name), part))
            walk(part, (*path, name))
        for condition in schema.get("allOf", ()):
            walk(condition["then"], path)

    walk(whole_schema(), ())
    return found


def _put(content: Any, path: tuple[str, ...], value: Any) -> None:
    *sections, key = path
    for section in sections:
        if not isinstance(content, dict):
            return
        content = content.setdefault(section, {})
    if isinstance(content, dict):
        content[key] = value


def _fitting(schema: dict[str, Any], random: Random) -> Any:
    if "enum" in schema:
        return random.choice(schema["enum"])
    if "anyOf" in schema:
        return _fitting(random.choice(schema["anyOf"]), random)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = random.choice(kind) if isinstance(kind, list) else kind
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 8))
        value = random.choice((low, high, low + (high - low) / 2, random.uniform(low, high), 10**12))
        return int(value) if kind == "integer" else value
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})] * random.choice((1, 2, 7))
        return [_fitting(part, random) for part in parts]
    if kind == "object":
        return {name: _fitting(part, random) for name, part in schema.get("properties", {}).items()}
    if kind == "null":
        return None
    return schema.get("default", random.choice(("game", "camera", "none", "previous", "x", "source")))


def check(content: Any) -> bool:
    """Resolve a configuration and plan the whole run; return whether it was valid."""
    try:
        configuration = resolve(content)
    except InputError:
        return False
    plan = RunPlan(configuration)
    for model in plan.models:
        plan.network(model)
        plan.parent(model)
        plan.initial_file(model)
    for name in settings_names(configuration):
        json.loads(settings_text(settings_named(configuration, name)))
    return True
