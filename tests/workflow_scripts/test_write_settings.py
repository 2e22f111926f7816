import subprocess
import sys
from pathlib import Path

import pytest

from cotrain.configuration.reading import read_configuration, read_settings
from cotrain.configuration.run_plan import Work
from cotrain.configuration.sections import (
    Crops,
    DatasetSettings,
    InferenceSettings,
    StreetsSettings,
    TrainingSettings,
)
from cotrain.configuration.settings_files import settings_named, settings_text
from cotrain.errors import InputError
from workflow_scripts import write_settings

PROJECT = Path(__file__).parents[2]
CONFIGURATION = """
run: demo
datasets:
  game: {layout: streets, look: game}
  camera: {layout: streets, look: camera}
  camera_test: {layout: streets, look: camera, seed: 2}
source: [game]
target: camera
test: camera_test
"""


@pytest.fixture
def configuration(tmp_path):
    """Write a configuration in two files, of which the second wins, and return them."""
    (tmp_path / "first.yaml").write_text(CONFIGURATION + "baseline: {iterations: 7}\nseed: 3\n")
    (tmp_path / "second.yaml").write_text("baseline: {iterations: 9}\nprediction: {flip: true}\n")
    return [tmp_path / "first.yaml", tmp_path / "second.yaml"]


def write(configuration, name, output):
    write_settings.main(["--config", *map(str, configuration), "--part", name, "--output", str(output)])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training/baseline", TrainingSettings),
        ("training/self_training", TrainingSettings),
        ("training/co_training", TrainingSettings),
        ("training/final", TrainingSettings),
        ("prediction", InferenceSettings),
        ("evaluation", InferenceSettings),
        ("crops", Crops),
        ("work", Work),
        ("datasets/camera/images", DatasetSettings),
        ("datasets/camera_test/labelled", DatasetSettings),
    ],
)
def test_a_step_reads_what_is_written(configuration, tmp_path, name, kind):
    output = tmp_path / "settings" / f"{name}.json"
    write(configuration, name, output)
    expected = settings_named(read_configuration(configuration), name)
    assert output.read_text(encoding="utf-8") == settings_text(expected)
    assert read_settings(output, kind) == expected


def test_what_the_configuration_says_arrives(configuration, tmp_path):
    write(configuration, "training/baseline", tmp_path / "baseline.json")
    training = read_settings(tmp_path / "baseline.json", TrainingSettings)
    assert (training.iterations, training.seed, training.batch_ratio) == (9, 3, None)
    write(configuration, "prediction", tmp_path / "prediction.json")
    assert read_settings(tmp_path / "prediction.json", InferenceSettings) == InferenceSettings(flip=True)
    write(configuration, "datasets/camera_test/labelled", tmp_path / "dataset.json")
    expected = StreetsSettings(layout="streets", look="camera", seed=2)
    assert read_settings(tmp_path / "dataset.json", DatasetSettings) == expected


def test_names_that_there_are_not(configuration, tmp_path):
    for name in ("training/gone", "datasets/gone/images", "weights"):
        with pytest.raises(InputError, match=f"there are no settings '{name}'"):
            write(configuration, name, tmp_path / "s.json")
    assert not (tmp_path / "s.json").exists()


def test_the_output_is_a_json_file(configuration, tmp_path, capsys):
    with pytest.raises(InputError, match=r"--output: found .*s\.yaml, expected a name that ends in \.json"):
        write(configuration, "crops", tmp_path / "s.yaml")
    with pytest.raises(SystemExit):
        write(configuration, "crops", tmp_path)
    assert f"--output: found the folder {tmp_path}, expected a file" in capsys.readouterr().err


def test_mistakes_in_the_configuration_end_with_one_message_and_status_2(configuration, tmp_path):
    configuration[1].write_text("baseline: {iteration: 9}\n")
    command = [sys.executable, "-m", "workflow_scripts.write_settings", "--config", *map(str, configuration)]
    command += ["--part", "crops", "--output", str(tmp_path / "s.json")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "baseline.iteration: unknown key (did you mean 'iterations'?)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s.json").exists()
