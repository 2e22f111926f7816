import json
from dataclasses import replace

import numpy as np
import pytest

from cotrain.adaptation.calibration import read_temperature
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.files import sha256_of
from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from workflow_scripts import calibrate, predict

VIEWS = [
    {},
    {"resize": (48, 64)},
    {"window": (32, 32)},
]


def run(tmp_path, flags, *more, name="temperature"):
    arguments = [*flags, "--labelled", str(tmp_path / "images.tsv"), "--seed", "1", *more]
    calibrate.main([*arguments, "--output", str(tmp_path / f"{name}.json")])
    return json.loads((tmp_path / f"{name}.json").read_text())


def predicted(tmp_path, flags, items, *more):
    predict.main(
        [*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0.h5"), *more]
    )
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        return [reader.read(item.id) for item in items]


def with_views(flags, settings_file, views):
    return [*flags[:-1], settings_file(InferenceSettings(batch_size=1, **views), "views")]


@pytest.mark.parametrize("views", VIEWS)
def test_calibrated_confidences_are_the_share_that_is_right(model, tmp_path, settings_file, views):
    """Labels that are right in three of four pixels, and one row of void."""
    items, flags = model
    flags = with_views(flags, settings_file, views)
    rng = np.random.default_rng(2)
    for item, (classes, _) in zip(items, predicted(tmp_path, flags, items), strict=True):
        others = ((classes + rng.integers(1, 11, classes.shape)) % 11).astype(np.uint8)
        label = np.where(rng.random(classes.shape) < 0.75, classes, others)
        label[3] = 255
        write_label(item.label, label, [])
    found = run(tmp_path, flags)
    assert found["images"] == 5
    whole = 5 * 39 * 48
    if not views:
        assert found["pixels"] == whole
        assert found["accuracy"] == pytest.approx(0.75, abs=0.01)
        classes, levels = (np.array(a) for a in zip(*predicted(tmp_path, flags, items), strict=True))
        labels = np.array([read_label(item.label) for item in items])
        assert found["accuracy"] == pytest.approx((classes == labels)[labels != 255].mean())
        assert found["confidence"][0] == pytest.approx(levels[labels != 255].mean() / 65535, abs=1e-4)
    assert found["temperature"] != pytest.approx(1, abs=0.05)
    assert found["negative_log_likelihood"][1] < found["negative_log_likelihood"][0]
    assert abs(found["confidence"][1] - found["accuracy"]) < abs(found["confidence"][0] - found["accuracy"])


def test_a_prediction_takes_the_temperature(model, tmp_path):
    items, flags = model
    found = run(tmp_path, flags)
    plain = predicted(tmp_path, flags, items)
    scaled = predicted(tmp_path, flags, items, "--temperature", str(tmp_path / "temperature.json"))
    assert found["temperature"] == read_temperature(tmp_path / "temperature.json")
    surer = found["temperature"] < 1
    for (classes, levels), (same, other) in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(classes, same)
        assert ((other >= levels) if surer else (other <= levels)).all()
    means = [np.mean([levels.mean() for _, levels in each]) / 65535 for each in (plain, scaled)]
    assert tuple(means) == pytest.approx(found["confidence"], abs=1e-3)


def test_a_temperature_at_the_limit_is_told(model, tmp_path, caplog):
    items, flags = model
    for item, (classes, _) in zip(items, predicted(tmp_path, flags, items), strict=True):
        # Never right: the labels of another label space, say.
        write_label(item.label, (classes + 2) % 11, [])
    assert run(tmp_path, flags)["temperature"] == pytest.approx(20)
    assert "are the labels those of its label space" in caplog.text


def test_the_same_seed_draws_the_same_pixels(model, tmp_path, monkeypatch):
    _, flags = model
    monkeypatch.setattr(calibrate, "PIXELS", 100)
    first, again = run(tmp_path, flags, name="a"), run(tmp_path, flags, name="b")
    assert first == again
    assert first["pixels"] == 100
    assert run(tmp_path, flags, "--seed", "2", name="c") != first


def test_bad_input(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) | 255, [])
    with pytest.raises(InputError, match=r"images\.tsv: no image has a labelled pixel"):
        run(tmp_path, flags)
    write_label(items[2].label, np.full((40, 48), 11, np.uint8), [])
    with pytest.raises(InputError, match=r"2\.png: holds class id 11, but the network has 11 classes"):
        run(tmp_path, flags)
    write_label(items[2].label, np.zeros((40, 47), np.uint8), [])
    with pytest.raises(
        InputError, match=r"2\.png: is \(40, 47\) .*, its image \(40, 48\); expected one size"
    ):
        run(tmp_path, flags)
    write_manifest(tmp_path / "images.tsv", [])
    with pytest.raises(InputError, match="no image is listed"):
        run(tmp_path, flags)


def test_the_output_is_a_file(model, tmp_path, capsys):
    _, flags = model
    with pytest.raises(SystemExit):
        calibrate.main([*flags, "--output", str(tmp_path)])
    assert f"--output: found the folder {tmp_path}, expected a file" in capsys.readouterr().err


def test_labels_that_have_changed_are_refused(model, tmp_path):
    items, flags = model
    write_manifest(tmp_path / "images.tsv", [replace(items[0], label_sha256=sha256_of(items[0].label))])
    run(tmp_path, flags)
    write_label(items[0].label, (read_label(items[0].label) + 1) % np.uint8(11), [])
    with pytest.raises(InputError, match=r"images\.tsv: 1 of 1 label is bad: .*0\.png has changed"):
        run(tmp_path, flags)


def test_labels_of_another_label_space_are_refused(model, tmp_path):
    items, flags = model
    for item in items:
        write_label(item.label, read_label(item.label) % 7, label_space("cityscapes7").palette)
    with pytest.raises(InputError, match="has the colours of label space cityscapes7, expected"):
        run(tmp_path, flags)
