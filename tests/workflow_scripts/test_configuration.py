import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from cotrain.configuration.schema import whole_schema
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
    assert "not allowed with argument --schema" in capsys.readouterr().err
