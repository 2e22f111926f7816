import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cotrain.configuration.reading import read_settings, settings_of
from cotrain.configuration.run_plan import HealthSettings, Work
from cotrain.configuration.sections import (
    Crops,
    DatasetSettings,
    InferenceSettings,
    ListsSettings,
    NetworkSettings,
    OwnNetworkSettings,
    TrainingSettings,
)
from cotrain.configuration.settings_files import (
    files_of_images,
    settings_named,
    settings_text,
    write_settings,
)
from cotrain.errors import InputError

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training/baseline", TrainingSettings),
        ("training/baseline_b", TrainingSettings),
        ("training/co_training_b", TrainingSettings),
        ("prediction", InferenceSettings),
        ("evaluation", InferenceSettings),
        ("crops", Crops),
        ("work", Work),
        ("health", HealthSettings),
        ("datasets/game/labelled", DatasetSettings),
        ("datasets/camera/images", DatasetSettings),
    ],
)
def test_what_is_written_is_read_again(make_plan, tmp_path, name, kind):
    plan = make_plan(co_training={"network_b": {"name": "my.networks:make", "arguments": {"width": 3}}})
    settings = settings_named(plan.configuration, name)
    write_settings(tmp_path / "s.json", settings)
    assert read_settings(tmp_path / "s.json", kind) == settings


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        *[("training", "decoded_cache", True), ("training", "save_every_iterations", 7)],
        *[("training", "log_every_iterations", 7), ("training", "tensorboard", True)],
        ("prediction", "shards", 7),
        *[(None, "threads_per_training", 7), (None, "gpus_per_training", 2), (None, "device", "cpu")],
    ],
)
def test_what_changes_no_result_is_in_no_settings_of_a_training_or_prediction(make_plan, section, key, value):
    """Another text of these files would make everything be trained again."""
    first = make_plan().configuration
    changed = make_plan(**({key: value} if section is None else {section: {key: value}})).configuration
    assert changed != first
    names = [f"training/{stage}" for stage in ("baseline", "self_training", "co_training", "final")]
    for name in (*names, "prediction", "evaluation", "crops"):
        before, after = (settings_text(settings_named(of, name)) for of in (first, changed))
        assert before == after, name


def test_an_own_network_keeps_its_arguments(make_plan):
    plan = make_plan(network={"name": "my.networks:make", "arguments": {"width": 3}})
    settings = settings_named(plan.configuration, "training/final")
    assert settings.network == OwnNetworkSettings(name="my.networks:make", arguments={"width": 3})


def test_settings_of_images_know_nothing_of_labels(make_plan):
    configuration = make_plan().configuration
    whole = settings_named(configuration, "datasets/camera_test/labelled")
    images = settings_named(configuration, "datasets/camera_test/images")
    assert isinstance(whole, ListsSettings)
    assert isinstance(images, ListsSettings)
    assert (whole.classes, images.classes, images.labels) == ("camvid", None, None)
    assert whole.images == images.images


def test_list_files_of_labels_count_only_where_labels_are_wanted(make_plan):
    configuration = make_plan().configuration
    dataset = configuration.datasets["camera_test"]
    assert files_of_images(configuration, "camera_test", with_labels=True) == [dataset.images, dataset.labels]
    assert files_of_images(configuration, "camera_test", with_labels=False) == [dataset.images]
    # It has no labels.
    camera = configuration.datasets["camera"]
    assert files_of_images(configuration, "camera", with_labels=True) == [camera.images]
    assert files_of_images(configuration, "game", with_labels=True) == []


def test_unknown_names_come_with_those_that_are_known(make_plan):
    with pytest.raises(InputError, match=r"expected one of training/baseline, .*, storage, work, datasets/"):
        settings_named(make_plan().configuration, "crop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"batch_size": 1, "batch_size": 2}', r"s\.json: the key 'batch_size' is given twice"),
        ('{"scales": [Infinity]}', r"s\.json: found Infinity, expected a number"),
    ],
)
def test_what_json_itself_would_let_pass(tmp_path, text, message):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(tmp_path / "s.json", InferenceSettings)


def test_a_section_that_is_null_is_named(make_plan, tmp_path):
    content = json.loads(settings_text(settings_named(make_plan().configuration, "crops")))
    (tmp_path / "s.json").write_text(json.dumps(content | {"source_augmentation": None}))
    with pytest.raises(InputError, match=r"source_augmentation: expected a section of keys, found null"):
        read_settings(tmp_path / "s.json", Crops)


@pytest.mark.parametrize("name", ["training/final_b", "datasets/gone/images", "datasets/game", "labels", ""])
def test_unknown_names_are_refused(make_plan, name):
    with pytest.raises(InputError, match="there are no settings"):
        settings_named(make_plan().configuration, name)


# What each edit changes is what reruns: the table in docs/architecture.md.
EDITS = [
    ({"network": {"dropout": 0.2}}, "baseline self_training co_training final"),
    ({"training": {"poly_power": 0.8}}, "baseline self_training co_training final"),
    ({"training": {"crop": [64, 96]}}, "baseline self_training co_training final crops"),
    ({"seed": 101}, "baseline self_training co_training final"),
    ({"precision": "float32"}, "baseline self_training co_training final prediction evaluation"),
    ({"deterministic": True}, "baseline self_training co_training final prediction evaluation"),
    ({"self_training": {"iterations": 7}}, "self_training"),
    ({"co_training": {"hard_pixel_share": 0.7}}, "co_training"),
    ({"final": {"iterations": 8}}, "final"),
    ({"prediction": {"flip": True}}, "prediction evaluation"),
    ({"prediction": {"batch_size": 2}}, "prediction evaluation"),
    ({"prediction": {"shards": 2}}, ""),
    ({"on_collapse": "warn", "report": {"sample_images": 3}}, ""),
    ({"evaluation": {"protocol": {"flip": True}}}, "evaluation"),
    ({"training": {"save_every_iterations": 3, "log_every_iterations": 4, "decoded_cache": True}}, ""),
    ({"training": {"tensorboard": True}}, ""),
    ({"threads_per_training": 3, "self_training": {"keep": 50}}, ""),
    ({"self_training": {"portion": {"initial": 0.41}, "class_mixing": "plain"}}, "self_training"),
    ({"self_training": {"rounds": 7, "images_per_round": 300}}, ""),
    ({"self_training": {"initial_weights": "previous"}}, ""),
    ({"co_training": {"fill": "none", "min_pixels": 3, "cycles": 4}}, ""),
    ({"final": {"labels": "accumulated", "initial_weights": "self_training/00"}}, ""),
    ({"datasets": {"camera_test": {"classes": "camvid_colours"}}}, "datasets/camera_test/labelled"),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS)
def test_an_edit_changes_only_the_settings_that_depend_on_it(make_plan, edit, expected):
    stages = ("baseline", "self_training", "co_training", "final")
    names = [f"training/{stage}" for stage in stages] + ["prediction", "evaluation", "crops"]
    names += ["datasets/camera_test/labelled", "datasets/camera_test/images", "datasets/game/labelled"]
    before, after = make_plan().configuration, make_plan(**edit).configuration
    changed = [
        name.removeprefix("training/")
        for name in names
        if settings_text(settings_named(before, name)) != settings_text(settings_named(after, name))
    ]
    assert changed == expected.split()


def test_mistakes_in_a_file_are_listed_in_words(tmp_path):
    path = tmp_path / "prediction.json"
    path.write_text('{"batch_size": 0, "flipp": true, "window": [32], "scales": "1"}')
    with pytest.raises(InputError) as caught:
        read_settings(path, InferenceSettings)
    assert str(caught.value).split("\n  ") == [
        f"{path} has 4 problems:",
        "flipp: unknown key (did you mean 'flip'?)",
        "scales: expected a list of numbers > 0, found '1' (write [1])",
        "window: expected [height, width], two integers >= 32, or null, found [32]",
        "batch_size: expected an integer >= 1, found 0",
    ]


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        (
            InferenceSettings,
            {"resize": [64, 96], "short_side": 48},
            "short_side: found 48, but resize is [64, 96], and both say the size of an image in the network: "
            "expected null for one of them",
        ),
        (
            Crops,
            {"source_augmentation": {"vertical_range": [0.5, 0.5]}},
            "source_augmentation.vertical_range: expected the smaller number first, found [0.5, 0.5]",
        ),
        (
            Crops,
            {"target_augmentation": {"cutout": {"holes": [3, 1]}}},
            "target_augmentation.cutout.holes: expected the smaller number first, found [3, 1]",
        ),
        (
            TrainingSettings,
            {"compile": True, "gradient_checkpointing": True}
            | {"seed": 1, "iterations": 2, "hard_pixel_share": 1.0, "network": {"name": "deeplabv3plus"}},
            "compile: found true, but gradient_checkpointing is true too, which works only without it: "
            "set one "
            "of them to false",
        ),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused_as_in_a_configuration(kind, content, problem):
    assert mistakes(content, kind) == f"s.json has one problem:\n  {problem}"
    for key, value in content.items():
        # Each is right by itself.
        if key in ("resize", "short_side", "compile"):
            assert mistakes({**content, key: None if key != "compile" else False}, kind) is None, value


WHOLE = "found a configuration, with the keys run, datasets, source, target and the like, expected only "


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            InferenceSettings,
            "resize, short_side, scales, flip and the like, as in results/demo/settings/prediction.json",
        ),
        (
            TrainingSettings,
            "crop, source_augmentation, target_augmentation, batch_size and the like, as in "
            "results/demo/settings/training/STAGE.json",
        ),
        (Crops, "crop, source_augmentation, target_augmentation, as in results/demo/settings/crops.json"),
        (DatasetSettings, "layout, as in results/demo/settings/datasets/NAME/labelled.json"),
        (NetworkSettings, "name, backbone, backbone_weights, output_stride and the like"),
    ],
)
def test_a_whole_configuration_in_place_of_settings_is_told_once(make_plan, kind, expected):
    whole = json.loads(settings_text(make_plan().configuration))
    given = {key: whole[key] for key in ("run", "datasets", "source", "target", "precision", "prediction")}
    for content in (given, {**given, "lable_space": "x"}):
        assert mistakes(content, kind) == f"s.json: {WHOLE}{expected}"


def test_a_section_with_its_heading_and_a_single_stranger(tmp_path):
    assert mistakes({"prediction": {"flip": True}}, InferenceSettings) == (
        "s.json: found a configuration, with the keys prediction, expected only resize, short_side, "
        "scales, flip "
        "and the like, as in results/RUN/settings/prediction.json"
    )
    assert mistakes({"on_collapse": "stop"}, InferenceSettings) == (
        "s.json has one problem:\n  on_collapse: unknown key (it belongs to the top level)"
    )


def test_defaults_may_be_left_out_and_required_keys_not(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("flip: true\n")
    assert read_settings(path, InferenceSettings) == InferenceSettings(flip=True)
    with pytest.raises(InputError, match=r"seed: missing, expected an integer >= 0"):
        read_settings(path, TrainingSettings)


def mistakes(content, kind):
    """Return what is wrong with settings, None if nothing is."""
    try:
        settings_of(content, kind, "s.json")
    except InputError as error:
        return str(error)
    return None


def places(value, path=()):
    """Yield the path of every key and every item within JSON types."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training/final", TrainingSettings),
        ("prediction", InferenceSettings),
        ("crops", Crops),
        ("work", Work),
        ("datasets/game/labelled", DatasetSettings),
        ("datasets/camera_test/labelled", DatasetSettings),
    ],
)
def test_a_wrong_value_anywhere_is_named(make_plan, name, kind):
    plan = make_plan(self_training={"rounds": 2}, co_training={"cycles": 1})
    content = json.loads(settings_text(settings_named(plan.configuration, name)))
    refused = 0
    for *path, key in places(content):
        for value in (None, "x", -1, [], [0], {}, {"a": 1}, True, float("nan")):
            wrong = copy.deepcopy(content)
            section = wrong
            for part in path:
                section = section[part]
            section[key] = value
            message = mistakes(wrong, kind)
            if message is not None:
                refused += 1
                assert str(key) in message
                assert re.search("found|missing, expected|unknown key|got `null`", message)
    assert refused > 20


def test_a_training_says_which_network_it_has(tmp_path):
    (tmp_path / "s.json").write_text('{"seed": 1}')
    with pytest.raises(InputError) as error:
        read_settings(tmp_path / "s.json", TrainingSettings)
    for key in ("network", "iterations", "hard_pixel_share"):
        assert f"{key}: missing, expected" in str(error.value)
    (tmp_path / "s.json").write_text('{"seed": 1, "iterations": 2, "hard_pixel_share": 1.0}')
    with pytest.raises(InputError, match=r"s\.json has one problem:\n  network: missing, expected a section"):
        read_settings(tmp_path / "s.json", TrainingSettings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "s.json: line 1 is not valid JSON"),
        ("[1]", "s.json: expected keys and values"),
        ("", "it is empty"),
    ],
)
def test_files_that_are_no_settings(tmp_path, text, message):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(tmp_path / "s.json", InferenceSettings)


ADDED_KEY = '    dummy_weight: Annotated[Probability, "How much a dummy counts."] = 0.25\n'
USE_OF_THE_KEY = """
import json, sys
from pathlib import Path
from cotrain.configuration import reading, reference, schema
from cotrain.configuration.settings_files import settings_named
config = json.loads(sys.argv[1])
found = [settings_named(reading.resolve(config), "training/baseline").dummy_weight]
config["training"] = {"dummy_weight": 0.5}
found.append(settings_named(reading.resolve(config), "training/final").dummy_weight)
found.append(schema.whole_schema()["properties"]["training"]["properties"]["dummy_weight"]["maximum"])
row = "| `dummy_weight` | a number from 0 to 1 | `0.25` | How much a dummy counts. |"
found.append(row in reference.reference())
config["training"] = {"dummy_weight": 2, "dummy_weigth": 1}
try:
    reading.resolve(config)
except Exception as error:
    found.append(str(error))
print(json.dumps(found))
"""


def test_a_key_is_added_in_one_place(make_plan, tmp_path):
    """One line in sections.py, and it is checked, documented, completed, and reaches every training."""
    copy = tmp_path / "copy"
    shutil.copytree(PROJECT / "cotrain", copy / "cotrain", ignore=shutil.ignore_patterns("__pycache__"))
    sections = copy / "cotrain" / "configuration" / "sections.py"
    text = sections.read_text()
    before = "    rare_class_sampling: RareClassSampling"
    assert text.count(before) == 1
    sections.write_text(text.replace(before, ADDED_KEY + before))
    plan = make_plan()
    lists = {"layout": "lists", "images": plan.configuration.datasets["camera"].images}
    labelled = lists | {"labels": lists["images"], "classes": "camvid"}
    config = {
        "run": "a",
        "datasets": {"game": {"layout": "streets", "look": "game"}, "camera": lists, "test": labelled},
        **{"source": ["game"], "target": "camera", "test": "test"},
    }
    done = subprocess.run(
        [sys.executable, "-c", USE_OF_THE_KEY, json.dumps(config)],
        cwd=copy,
        env={"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, message = json.loads(done.stdout)
    assert found == [0.25, 0.5, 1, True]
    assert message == (
        "the configuration has 2 problems:\n"
        "  training.dummy_weigth: unknown key (did you mean 'dummy_weight'?)\n"
        "  training.dummy_weight: expected a number from 0 to 1, found 2"
    )
