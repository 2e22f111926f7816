import argparse
import ast
import errno
import inspect
import logging
import os
import pkgutil
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

import workflow_scripts
from cotrain.configuration.sections import InferenceSettings, OwnNetworkSettings
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from workflow_scripts import say_interrupted, thresholds
from workflow_scripts.command_line import (
    ANOTHER_ATTEMPT,
    add_output_argument,
    class_ids,
    inference_settings,
    messages_of,
    named_paths,
    new_parser,
    parse,
    positive,
    run,
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
    "cotrain.configuration",
    "cotrain.data",
    "cotrain.adaptation",
    "cotrain.evaluation",
    "cotrain.reporting",
    "streets",
]


def test_the_steps_are_found():
    assert len(STEPS) >= 18


def test_the_folder_holds_only_steps_and_what_they_share():
    [folder] = map(Path, workflow_scripts.__path__)
    steps = [f"{name.removeprefix('workflow_scripts.')}.py" for name in STEPS]
    found = [path.name for path in folder.iterdir() if path.name != "__pycache__"]
    assert sorted(found) == sorted(["__init__.py", "__main__.py", "command_line.py", *steps])
    assert "workflow_scripts.command_line" not in STEPS


@pytest.mark.parametrize("name", MODULES)
def test_no_step_imports_another_step(name):
    for node in ast.walk(ast.parse(inspect.getsource(import_module(name)))):
        imported = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            imported = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        assert not {*imported} & {"workflow_scripts", *STEPS}


@pytest.mark.parametrize("name", STEPS)
def test_help_explains_and_shows_an_example(name, capsys):
    module = import_module(name)
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert module.__doc__.splitlines()[0] in shown
    assert f"python -m {name} " in shown[shown.index("example:") :]
    assert shown.startswith(f"usage: python -m {name} ")


def test_no_step_imports_torch_before_it_computes():
    libraries = ["cotrain.progress"]
    for package in WITHOUT_TORCH:
        found = pkgutil.iter_modules(import_module(package).__path__)
        libraries += [f"{package}.{module.name}" for module in found]
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *libraries, *MODULES], capture_output=True, text=True, check=False
    )
    assert done.stdout == "none\n", done.stderr


def test_settings_are_a_json_or_a_yaml_file(tmp_path):
    (tmp_path / "s.json").write_text('{"flip": true}')
    (tmp_path / "s.yaml").write_text("flip: true\nscales: [0.5, 1]\n")
    assert inference_settings(tmp_path / "s.json") == InferenceSettings(flip=True)
    assert inference_settings(tmp_path / "s.yaml") == InferenceSettings(flip=True, scales=(0.5, 1.0))
    assert inference_settings(None) == InferenceSettings()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", '{"a": ', r"s\.json: line 1 is not valid JSON"),
        ("s.yaml", "a: [1", r"s\.yaml, line \d: not valid YAML"),
        ("s.json", None, r"s\.json: cannot be read"),
        ("s.yaml", "{flip: true, scales: [1], flip: false}", r"s\.yaml, line 1: .* 'flip' is given twice"),
        (
            "s.yaml",
            "resize: [64, 96]\nshort_side: 48\n",
            r"s\.yaml has one problem:\n  short_side: found 48, but resize is \[64, 96\], and both say",
        ),
        ("s.yaml", "- 1\n", r"s\.yaml: expected keys and values .* found \[1\]"),
    ],
)
def test_other_settings_are_refused(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        inference_settings(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"flipp": true}', r"flipp: unknown key \(did you mean 'flip'\?\)"),
        ('{"flip": true, "shards": 4}', r"shards: unknown key \(it belongs to prediction\)"),
        ('{"batch_size": 0}', "batch_size: expected an integer >= 1, found 0"),
        ('{"batch_size": "4"}', "batch_size: expected an integer >= 1, found '4'"),
        ('{"scales": []}', r"scales: expected a list of numbers > 0, found \[\]"),
        ('{"window": 32}', r"window: expected \[height, width\], two integers >= 32, or null, found 32"),
        ('{"resize": [-1, 5]}', r"resize\S*: expected .*, found -1"),
        ('{"flip": "no"}', "flip: expected true or false, found 'no'"),
    ],
)
def test_settings_of_a_prediction_that_cannot_be(tmp_path, text, message):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=message):
        inference_settings(tmp_path / "s.json")


def test_interrupted_at_the_keyboard(capsys):
    parse(new_parser("Does.", "do"), [])

    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_messages_go_to_the_log_too(tmp_path, capsys):
    parse(new_parser("Does.", "do"), ["--log-file", str(tmp_path / "logs" / "a.log")])
    logging.getLogger("cotrain").info("hello")
    assert "hello" in (tmp_path / "logs" / "a.log").read_text()
    assert "hello" in capsys.readouterr().err
    # The next step of the same process has handlers of its own.
    parse(new_parser("Does.", "do"), [])
    logging.getLogger("cotrain").info("again")
    assert "again" not in (tmp_path / "logs" / "a.log").read_text()
    assert capsys.readouterr().err.count("again") == 1


def test_a_log_keeps_the_attempts_that_have_failed(tmp_path):
    log = tmp_path / "logs" / "a.log"

    def attempt(text, error=None):
        parse(new_parser("Does.", "do"), ["--log-file", str(log)])

        def main():
            logging.getLogger("cotrain").info(text)
            if error:
                raise error

        if error:
            with pytest.raises(SystemExit):
                run(main)
        else:
            run(main)
        return [line[-len("another attempt") :].split("  ")[-1] for line in log.read_text().splitlines()]

    assert attempt("first", InputError("is bad")) == ["first", "error: is bad"]
    # As Snakemake does before it tries again.
    log.unlink()
    second = attempt("second", InputError("is bad"))
    assert second == ["first", "error: is bad", "another attempt", "second", "error: is bad"]
    assert messages_of(log) == ["second", "error: is bad"]
    log.unlink()
    assert attempt("third") == [*second, "another attempt", "third"]
    # Now that the step has succeeded, its next run begins a log of its own.
    assert [path.name for path in log.parent.iterdir()] == ["a.log"]
    log.unlink()
    assert attempt("fourth") == ["fourth"]


def test_an_output_is_a_file_or_a_folder(tmp_path, capsys):
    def output(kind, *path):
        parser = new_parser("Does.", "do")
        add_output_argument(parser, kind, "where")
        return parse(parser, ["--output", *map(str, path)] if path else []).output

    for path in (tmp_path / "new", tmp_path):
        assert output("FOLDER", path) == path
    assert output("FILE", tmp_path / "new") == tmp_path / "new"
    with pytest.raises(SystemExit):
        output("FILE", tmp_path)
    assert f"error: --output: found the folder {tmp_path}, expected a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        output("FILE")
    assert "error: --output: missing" in capsys.readouterr().err


def test_no_step_writes_over_a_file_that_it_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("0.npz", "1.npz"):
        Path(name).write_bytes(b"histogram")
    Path("linked").symlink_to(tmp_path)
    values = ["--label-space", "camvid11", "--portion", "0.5", "--lower", "0.5", "--upper", "0.9"]
    for flag, others in (("--output", []), ("--log-file", ["--output", "t.json"])):
        for path in ("1.npz", "linked/1.npz", str(tmp_path / "1.npz")):
            with pytest.raises(InputError) as refused:
                thresholds.main([*values, "--histograms", "0.npz", "1.npz", *others, flag, path])
            assert str(refused.value) == (
                f"{flag}: {path} is also an input and would be overwritten; expected another place"
            )
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")} == dict.fromkeys(
        ("0.npz", "1.npz"), b"histogram"
    )


def test_messages_of_a_log_and_of_a_list_the_first_problem(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(
        "a warning of a library:\n  is of no interest\n"
        "12:00:01  hello\n"
        "  more of it\n"
        "12:00:02  error: x.yaml has 2 problems:\n  seed: is missing\n  run: is missing\n"
    )
    assert messages_of(log) == ["hello", "error: x.yaml has 2 problems: seed: is missing"]
    # A list may be all that a log holds, and the last attempt is what counts.
    with open(log, "a") as file:
        file.write(f"{ANOTHER_ATTEMPT}\n12:00:03  error: y.yaml has one problem:\n  run: is missing\n")
    assert messages_of(log) == ["error: y.yaml has one problem: run: is missing"]
    assert messages_of(tmp_path / "gone.log") == []


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


def test_how_a_step_fails_on_a_full_disk(capsys):
    parse(new_parser("Does.", "do"), [])

    def main():
        raise OSError(errno.ENOSPC, "No space left on device", "some/file.json")

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 2
    assert "error: some/file.json: " in (shown := capsys.readouterr().err)
    assert "Traceback" not in shown


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
    assert "error: --threads: found 0, expected an integer >= 1. `python -m" in capsys.readouterr().err


WRONG = [
    ("init --preset foo", "--preset: found 'foo', expected one of try, laptop, gpu, paper."),
    ("init --hours soon", "--hours: found soon, expected a number of hours above 0, such as 1.5"),
    ("init --target", "--target: found no value, expected one"),
    ("init --source", "--source: found no value, expected one or more"),
    ("init --targett photos", "--targett: unknown flag (did you mean --target?)"),
    # The misspelt flag is named, and not the required one that it was meant to be.
    ("segment --modell m --input a --output b", "--modell: unknown flag (did you mean --model?)"),
    ("init --quite-another", "--quite-another: unknown flag, expected one of --change, --device, --every,"),
    (
        "init --target a.jpg b.jpg",
        "found b.jpg where no value is expected; a path with spaces needs quotes around it, and in place",
    ),
    (f"init --target {'a.jpg ' * 1000}", "found a.jpg a.jpg a.jpg"),
    ("sample --images a --output b", "--number, --seed: missing"),
    ("sample --seed x --images a", "--seed: found 'x', expected an integer"),
    ("vote_labels --mean-size 3", "--mean-size: unknown flag, expected one of"),
    ("configuration", "expected one of the flags --config --reference --schema"),
    ("configuration --schema --reference", "found both --schema and --reference, expected one of them"),
    ("configuration --all=1 --schema", "--all: found the value '1', expected none"),
    ("train --t 1", "--t: unknown flag, expected one of --target, --thresholds, --threads, --tensorboard"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_a_wrong_command_line_ends_in_one_sentence(line, message, capsys):
    step, *arguments = line.split()
    with pytest.raises(SystemExit) as ended:
        import_module(f"workflow_scripts.{step}").main(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {message}")
    help_of = f"`python -m workflow_scripts.{step} --help` shows all flags and an example"
    assert shown.endswith(f". {help_of}\n")
    assert len(shown.splitlines()) == 1
    assert len(shown) < 500


def test_a_value_may_begin_with_dashes_and_flags_may_be_shortened(capsys):
    parser = new_parser("Does.", "python -m workflow_scripts.do")
    parser.add_argument("--target")
    parser.add_argument("rest", nargs="*")
    assert parse(parser, ["--tar=--x", "--", "--y"]).rest == ["--y"]
    assert parse(parser, ["--target", "-- a b"]).target == "-- a b"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["1000", "0"]),
        ({"GOMP_SPINCOUNT": "7"}, ["7", "0"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, [None, None]),
    ],
)
def test_threads_spin_only_briefly_unless_the_user_says_otherwise(monkeypatch, environment, expected):
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    for name in (*names, "OMP_WAIT_POLICY"):
        # First set, so that the end of the test restores also what was not set.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parse(new_parser("a step", "none"), [])
    assert [os.environ.get(name) for name in names] == expected


WITH_MODEL = [
    name
    for name in STEPS
    if re.search(r"add_(model|allow_code)_argument\(", inspect.getsource(import_module(name)))
]


def test_the_steps_that_take_a_model_are_found():
    assert {name.partition(".")[2] for name in WITH_MODEL} == {
        *("predict", "evaluate", "segment", "export", "calibrate", "class_probabilities")
    }


@pytest.mark.parametrize("name", WITH_MODEL)
def test_no_step_runs_code_that_a_weights_file_names(name, tmp_path, make_items):
    import torch

    from cotrain.networks.weights import save_weights

    own, space = OwnNetworkSettings(name="no_such_package:make"), label_space("camvid11")
    save_weights(tmp_path / "w.safetensors", SimpleNamespace(model=torch.nn.Linear(1, 1)), own, space)
    [item] = make_items("x", 1)
    write_manifest(tmp_path / "images.tsv", [item])
    manifest, image = str(tmp_path / "images.tsv"), str(item.image)
    arguments = {
        "predict": ["--images", manifest, "--output", str(tmp_path / "0.h5")],
        "evaluate": ["--labelled", manifest, "--output", str(tmp_path / "out")],
        "calibrate": ["--labelled", manifest, "--seed", "1", "--output", str(tmp_path / "t.json")],
        "segment": ["--input", image, "--output", str(tmp_path / "out")],
        "export": ["--images", image, "--output", str(tmp_path / "out")],
        "class_probabilities": ["--image", image, "--output", str(tmp_path / "p.npy")],
    }[name.partition(".")[2]]
    main = import_module(name).main
    arguments += ["--model", str(tmp_path / "w.safetensors")]
    with pytest.raises(InputError, match=r"whose code would be run.* add --allow-code no_such_package:make"):
        main(arguments)
    # Allowed, it is imported, which there is nothing for here.
    with pytest.raises(InputError, match="'no_such_package:make' cannot be imported"):
        main([*arguments, "--allow-code", "no_such_package:make"])


def test_ctrl_c_while_a_step_reads_its_modules_is_one_line(tmp_path):
    (tmp_path / "msgspec.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.thresholds"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "interrupted\n")


def test_another_exception_keeps_its_traceback(capsys):
    say_interrupted(ValueError, ValueError("a defect"), None)
    assert capsys.readouterr().err == "ValueError: a defect\n"
