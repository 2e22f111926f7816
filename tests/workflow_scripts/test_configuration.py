import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from cotrain.configuration.reading import resolve
from cotrain.configuration.schema import whole_schema
from cotrain.data.class_tables import class_table_names
from cotrain.data.images import write_image
from cotrain.errors import InputError
from cotrain.reporting.overview import counted
from workflow_scripts import configuration

PROJECT = Path(__file__).parents[2]


def test_the_schema_is_printed_as_it_lies_in_the_project(capsys):
    configuration.main(["--schema"])
    printed = capsys.readouterr().out
    assert json.loads(printed) == whole_schema()
    assert printed == (PROJECT / "config" / "schema.json").read_text(encoding="utf-8")


def test_an_editor_finds_mistakes_by_the_schema(capsys):
    configuration.main(["--schema"])
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    example = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(example)
    assert not validator.is_valid({**example, "trainning": {}})
    assert not validator.is_valid({**example, "seed": "many"})


def test_one_action_at_a_time(capsys):
    for flags in ([], ["--schema", "--reference"], ["--schema", "--config", "config/config.yaml"]):
        with pytest.raises(SystemExit) as ended:
            configuration.main(flags)
        assert ended.value.code == 2
    assert "found both --schema and --reference" in capsys.readouterr().err


def test_images_are_counted_by_what_the_datasets_say(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{number}.png\n" for number in range(5)))
    write_image(tmp_path / "0.png", np.zeros((40, 60, 3), np.uint8))
    streets = {"layout": "streets", "look": "camera", "images": 30, "width": 448, "height": 320}
    datasets = {
        "game": {"layout": "streets", "look": "game", "images": 20},
        "rendered": streets,
        # Every second of five: the first, third and fifth.
        "listed": {"layout": "lists", "images": str(tmp_path / "list.txt"), "every": 2},
    }
    plain = {"run": "x", "datasets": datasets, "source": ["game"], "training": {"crop": [32, 48]}}
    assert counted(resolve(plain | {"target": "rendered"})) == (
        {"game": 20, "rendered": 30},
        {"game": (720, 1280), "rendered": (320, 448)},
    )
    assert counted(resolve(plain | {"target": "listed"})) == (
        {"game": 20, "listed": 3},
        {"game": (720, 1280), "listed": (40, 60)},
    )


def test_a_configuration_ends_in_a_summary(capsys):
    configuration.main(["--config", "config/config.yaml"])
    printed = capsys.readouterr().out
    assert "run      demo, 7 classes (cityscapes7), seed 100\n" in printed
    # 350 + 2 × 120 + 2 × 100 + 350
    assert "1 140 iterations in all" in printed
    assert printed.endswith("\nNothing in the configuration looks unintended.\n")


def test_a_schedule_that_is_too_short_is_named_before_anything_is_made(tmp_path, capsys):
    later = tmp_path / "later.yaml"
    later.write_text("self_training: {iterations: 10}\n")
    configuration.main(["--config", "config/config.yaml", str(later)])
    printed = capsys.readouterr().out
    assert "- self_training.iterations is 10: a network learns next to nothing" in printed
    assert "- training.warmup_iterations is 20, and self_training ends after 10 iterations" in printed


def test_all_keys_of_what(capsys):
    with pytest.raises(InputError, match="--all: prints the keys of a configuration"):
        configuration.main(["--schema", "--all"])


def test_the_reference_lists_all_class_tables():
    text = " ".join((PROJECT / "config" / "README.md").read_text(encoding="utf-8").split())
    [listed] = re.findall(r"`ids`\. Built in are (.*?)\.", text)
    assert re.findall(r"`(\w+)`", listed) == class_table_names()
