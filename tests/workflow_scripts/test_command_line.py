import argparse
import inspect
import logging
import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import pytest
from workflow_scripts.training_batches import training_settings

import workflow_scripts
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from workflow_scripts.command_line import (
    INFERENCE,
    class_ids,
    inference_settings,
    named_paths,
    new_parser,
    parse,
    positive,
    run,
    settings,
    share,
)

MODULES = [f"workflow_scripts.{module.name}" for module in pkgutil.iter_modules(workflow_scripts.__path__)]
STEPS = [name for name in MODULES if hasattr(import_module(name), "main")]
WITH_THREADS = [name for name in STEPS if re.search(r"\w\.threads\b", inspect.getsource(import_module(name)))]

NO_TORCH = """
import contextlib, io, sys
from importlib import import_module
for name in sys.argv[1:]:
    module = import_module(name)
    if hasattr(module, "main"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            module.main(["--help"])
    assert "torch" not in sys.modules, name + " imports torch"
print("none")
"""

WITHOUT_TORCH = [
    "cotrain.data",
    "cotrain.adaptation",
    "cotrain.evaluation",
    "cotrain.reporting",
    "streets",
]


def test_the_steps_are_found():
    assert len(STEPS) >= 18


@pytest.mark.parametrize("name", STEPS)
def test_help_explains_and_shows_an_example(name, capsys):
    module = import_module(name)
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert module.__doc__.splitlines()[0] in shown
    assert f"python -m {name} " in shown[shown.index("example:") :]


def test_no_step_imports_torch_before_it_computes():
    libraries = ["cotrain.progress"]
    for package in WITHOUT_TORCH:
        found = pkgutil.iter_modules(import_module(package).__path__)
        libraries += [f"{package}.{module.name}" for module in found]
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *libraries, *MODULES], capture_output=True, text=True, check=False
    )
    assert done.stdout == "none\n", done.stderr


def test_settings_are_json_text_or_a_yaml_file(tmp_path):
    (tmp_path / "s.yaml").write_text("a: 1\nb: [größer, 3]\n", encoding="utf-8")
    assert settings('{"a": 1}') == {"a": 1}
    assert settings(str(tmp_path / "s.yaml")) == {"a": 1, "b": ["größer", 3]}


@pytest.mark.parametrize("text", ['{"a": ', "gone.yaml"])
def test_other_settings_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="neither JSON text nor"):
        settings(text)


def test_settings_must_be_a_mapping(tmp_path):
    (tmp_path / "s.yaml").write_text("- 1\n")
    with pytest.raises(argparse.ArgumentTypeError, match="found list"):
        settings(str(tmp_path / "s.yaml"))


def test_settings_of_a_prediction_are_completed():
    assert inference_settings('{"flip": true, "shards": 4}') == {**INFERENCE, "flip": True}
    with pytest.raises(argparse.ArgumentTypeError, match="unknown key flipp, expected those of batch_size, "):
        inference_settings('{"flipp": true}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"batch_size": 0}', "batch_size: found 0, expected an integer >= 1"),
        ('{"batch_size": "4"}', "batch_size: found '4', expected an integer >= 1"),
        ('{"scales": []}', r"scales: found \[\], expected a list of numbers > 0"),
        ('{"window": 32}', r"window: found 32, expected \[height, width\], two integers >= 32, or null"),
        ('{"resize": [-1, 5]}', r"resize: found \[-1, 5\], expected \[height, width\]"),
        ('{"flip": "no"}', "flip: found 'no', expected true or false"),
    ],
)
def test_settings_of_a_prediction_that_cannot_be(text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        inference_settings(text)


def test_settings_of_a_training_have_all_their_parts():
    with pytest.raises(argparse.ArgumentTypeError, match="lacks network, training, precision, iterations, "):
        training_settings('{"seed": 1}')


def test_interrupted_at_the_keyboard(capsys):
    parse(new_parser("Does.", "do"), [])

    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_messages_go_to_the_log_too(tmp_path, capsys):
    parse(new_parser("Does.", "do"), ["--log", str(tmp_path / "logs" / "a.log")])
    logging.getLogger("cotrain").info("hello")
    assert "hello" in (tmp_path / "logs" / "a.log").read_text()
    assert "hello" in capsys.readouterr().err
    # The next step of the same process has handlers of its own.
    parse(new_parser("Does.", "do"), [])
    logging.getLogger("cotrain").info("again")
    assert "again" not in (tmp_path / "logs" / "a.log").read_text()
    assert capsys.readouterr().err.count("again") == 1


@pytest.mark.parametrize(("error", "status"), [(InputError("a.txt: is empty"), 2), (ValueError("oops"), 1)])
def test_how_a_step_fails(error, status, capsys):
    parse(new_parser("Does.", "do"), [])

    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        run(main)
    shown = capsys.readouterr().err
    assert ended.value.code == status
    assert str(error) in shown
    assert ("Traceback" in shown) == (status == 1)


def test_names_of_classes_become_train_ids():
    space = label_space("camvid11")
    assert class_ids("--any", ["car", "sky"], space) == [8, 0]
    with pytest.raises(InputError, match="--any: found 'tram', expected classes of camvid11: sky, building"):
        class_ids("--any", ["sky", "tram"], space)


def test_named_paths_keep_their_order_and_may_hold_equal_signs():
    found = named_paths("--scores", "MODEL=PATH", ["b=x/a=1.json", "a=y.json"])
    assert [(name, str(path)) for name, path in found.items()] == [("b", "x/a=1.json"), ("a", "y.json")]


@pytest.mark.parametrize("text", ["1.1", "-0.1", "nan", "half"])
def test_a_share_lies_between_0_and_1(text):
    assert (share("0"), share("1"), share("0.25")) == (0, 1, 0.25)
    with pytest.raises(argparse.ArgumentTypeError, match=f"found {text}, expected a number from 0 to 1"):
        share(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "all", ""])
def test_a_positive_number_is_1_at_least(text):
    assert (positive("1"), positive("20")) == (1, 20)
    with pytest.raises(argparse.ArgumentTypeError, match=f"found {text}, expected an integer >= 1"):
        positive(text)


@pytest.mark.parametrize("name", WITH_THREADS)
def test_no_step_works_with_no_threads(name, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(name).main(["--threads", "0"])
    assert ended.value.code == 2
    assert "argument --threads: found 0, expected an integer >= 1" in capsys.readouterr().err
