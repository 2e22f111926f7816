"""Every step that sends images through a network does so as its settings say."""

import json

import msgspec
import pytest
import torch

from cotrain.configuration.sections import InferenceSettings
from cotrain.networks.weights import load_networks
from workflow_scripts import calibrate, class_probabilities, evaluate, predict, segment

# Every setting has a value that is no default.
SETTINGS = InferenceSettings(
    resize=(32, 48), scales=(0.5, 1.0), flip=True, window=(64, 64), precision="bfloat16", batch_size=2
)
VIEWS = [(16, 24), (16, 24), (32, 48), (32, 48)]


@pytest.fixture
def seen(monkeypatch):
    """Return (shape of the images, dtype of the logits, in training mode?, temperature) of each pass."""
    passes = []

    def note(network, inputs, logits):
        passes.append((tuple(inputs[0].shape), logits.dtype, network.training, network.temperature))

    def watched(*arguments, **options):
        networks, space = load_networks(*arguments, **options)
        for network in networks:
            network.register_forward_hook(note)
        return networks, space

    monkeypatch.setattr("cotrain.networks.weights.load_networks", watched)
    return passes


def arguments_of(step, items, tmp_path):
    """Return the flags of a step beside model and settings, for five images of 40 × 48."""
    (tmp_path / "t.json").write_text('{"temperature": 2.5}')
    if step is calibrate:
        flags = ["--labelled", str(tmp_path / "images.tsv"), "--seed", "1"]
        return [*flags, "--output", str(tmp_path / "temperature.json")]
    return ["--temperature", str(tmp_path / "t.json"), *inputs_of(step, items, tmp_path)]


def inputs_of(step, items, tmp_path):
    if step is predict:
        return ["--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0.h5")]
    if step is evaluate:
        return ["--labelled", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "scores")]
    if step is segment:
        return ["--input", str(items[0].image.parent), "--output", str(tmp_path / "segmented")]
    return ["--image", str(items[0].image), "--output", str(tmp_path / "maps.npy")]


@pytest.mark.parametrize(
    ("step", "batches", "views"),
    [
        (predict, [2, 2, 1], VIEWS),
        (evaluate, [2, 2, 1], VIEWS),
        (segment, [2, 2, 1], VIEWS),
        (class_probabilities, [1], VIEWS),
        # Only at the size of predictions, unmirrored.
        (calibrate, [1] * 5, [(32, 48)]),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else "",
)
def test_settings_decide_what_a_network_sees(model, seen, settings_file, tmp_path, step, batches, views):
    items, flags = model
    step.main([*flags[:-1], settings_file(SETTINGS, "views"), *arguments_of(step, items, tmp_path)])
    # Calibration finds the temperature, so it begins without one.
    rest = (torch.bfloat16, False, 1.0 if step is calibrate else 2.5)
    assert seen == [((images, 3, *view), *rest) for images in batches for view in views]


def test_windows_divide_what_is_larger(model, seen, settings_file, tmp_path):
    items, flags = model
    settings = settings_file(msgspec.structs.replace(SETTINGS, scales=(1.0,), window=(32, 32)), "views")
    class_probabilities.main([*flags[:-1], settings, *arguments_of(class_probabilities, items, tmp_path)])
    # Two windows of 32 cover 48 columns, and so they do in the mirror.
    assert [shape for shape, *_ in seen] == [(1, 3, 32, 32)] * 4


def test_the_score_file_says_what_was_seen(model, settings_file, tmp_path):
    items, flags = model
    evaluate.main([*flags[:-1], settings_file(SETTINGS, "views"), *arguments_of(evaluate, items, tmp_path)])
    assert json.loads((tmp_path / "scores" / "scores.json").read_text())["protocol"] == {
        **{"label_space": "camvid11", "resize": [32, 48], "short_side": None, "scales": [0.5, 1.0]},
        "flip": True,
        "window": [64, 64],
    }
