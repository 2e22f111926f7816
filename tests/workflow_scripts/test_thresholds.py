import json
from dataclasses import replace

import numpy as np
import pytest

from cotrain.adaptation.thresholds import LEVELS
from cotrain.data.label_spaces import label_space
from cotrain.data.predictions import Origin, write_histogram
from cotrain.errors import InputError
from workflow_scripts import thresholds

CLASSES = 11
ORIGIN = Origin(label_space("camvid11").classes, "a model", "an image set", 0, 1)


def run(tmp_path, histograms, *portion, lower="0.5", upper="0.9", more=()):
    paths = []
    for number, histogram in enumerate(histograms):
        paths.append(str(tmp_path / f"{number}.npz"))
        write_histogram(paths[-1], histogram, replace(ORIGIN, shard=number, shards=len(histograms)))
    flags = ["--label-space", "camvid11", "--portion", *portion]
    flags += ["--lower", lower, "--upper", upper, "--output", str(tmp_path / "t.json")]
    thresholds.main(["--histograms", *paths, *flags, *more])
    return json.loads((tmp_path / "t.json").read_text())


def histogram(**levels_of_class):
    made = np.zeros((CLASSES, LEVELS), np.int64)
    for name, levels in levels_of_class.items():
        np.add.at(made[int(name[1:])], levels, 1)
    return made


def test_by_hand(tmp_path):
    # Class 0: of 4 pixels the half survives: x[rint(4 · 0.5)] = x[2] = 50000, which one pixel exceeds.
    result = run(tmp_path, [histogram(c0=[40000, 45000, 50000, 55000], c2=[65000] * 3)], "0.5")
    names = list(result["levels"])
    assert result["levels"][names[0]] == 50000
    assert result["confidences"][names[0]] == pytest.approx(50000 / 65535, abs=1e-6)
    assert (result["pixels"][names[0]], result["kept_share"][names[0]]) == (4, 0.25)
    # Absent: the lower clip and no share; very sure: the upper clip, which all exceed.
    assert (result["confidences"][names[1]], result["kept_share"][names[1]]) == (0.500008, None)
    assert (result["confidences"][names[2]], result["kept_share"][names[2]]) == (0.900008, 1.0)
    assert set(result["portion"].values()) == {0.5}
    assert [result["highest_confidence"][name] for name in names[:3]] == [
        pytest.approx(55000 / 65535, abs=1e-6),
        None,
        pytest.approx(65000 / 65535, abs=1e-6),
    ]


def test_shards_add_up(tmp_path):
    whole = run(tmp_path, [histogram(c0=[40000, 45000, 50000, 55000, 56000])], "0.5")
    parts = run(tmp_path, [histogram(c0=[40000, 55000]), histogram(c0=[45000, 56000, 50000])], "0.5")
    assert whole == parts


def test_one_portion_a_class(tmp_path):
    # x[rint(4 · (1 - p))]: x[1] for p = 0.75, x[3] for p = 0.25.
    levels = [40000, 45000, 50000, 55000]
    portions = ["0.75", "0.25", *["0.5"] * (CLASSES - 2)]
    result = run(tmp_path, [histogram(c0=levels, c1=levels)], *portions)
    names = list(result["levels"])
    assert [result["levels"][name] for name in names[:2]] == [45000, 55000]
    assert [result["portion"][name] for name in names[:3]] == [0.75, 0.25, 0.5]


def test_equal_bounds_are_the_threshold(tmp_path):
    # 0.7 · 65535 = 45874.5 is rounded to the even neighbour.
    result = run(tmp_path, [histogram(c0=[40000, 50000])], "0.5", lower="0.7", upper="0.7")
    assert set(result["levels"].values()) == {45874}


def test_saturated_confidences_exceed_no_threshold(tmp_path):
    result = run(tmp_path, [histogram(c0=[65535] * 4)], "0.5", upper="1.0")
    name = next(iter(result["levels"]))
    assert (result["levels"][name], result["kept_share"][name]) == (65535, 0.0)


def test_no_pixel_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"0\.npz: counts no pixel of any class"):
        run(tmp_path, [histogram()], "0.5")


@pytest.mark.parametrize(
    ("portion", "upper", "message"),
    [
        ("7", "0.9", "--portion: found 7, expected a number from 0 to 1"),
        ('{"initial": 0.5}', "0.9", "expected a number from 0 to 1"),
        ("0.5", "90", "--upper: found 90, expected a number from 0 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, capsys, portion, upper, message):
    with pytest.raises(SystemExit):
        run(tmp_path, [histogram(c0=[1])], portion, upper=upper)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()


def test_portions_and_bounds_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="--portion: found 2 values, expected 1, or 11: one for each class"):
        run(tmp_path, [histogram(c0=[1])], "0.5", "0.6")
    with pytest.raises(InputError, match=r"--lower: found 0\.9, expected at most --upper, 0\.5"):
        run(tmp_path, [histogram(c0=[1])], "0.5", lower="0.9", upper="0.5")


def source_check(path, pixels):
    """Write the report of a check that has found so many pixels of each class."""
    names = label_space("camvid11").classes
    content = {
        name: {"pixels": number, "share": 0.0, "images": 1}
        for name, number in zip(names, pixels, strict=True)
    }
    report = {"images": 1, "sizes": {}, "turned": [], "converted": {}, "warnings": [], "classes": content}
    path.write_text(json.dumps(report))
    return str(path)


def test_a_collapsed_model_labels_nothing(tmp_path, caplog):
    # Both source datasets together: 30 % road, of which the model makes 96 %, and is sure of it.
    checks = [source_check(tmp_path / f"{n}.json", (35, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0)) for n in (0, 1)]
    road = histogram(c3=[60000] * 24, c0=[60000])
    more = ["--source-checks", *checks, "--name", "self_training/00"]
    with pytest.raises(InputError) as error:
        run(tmp_path, [road], "0.5", more=more)
    assert str(error.value) == (
        "self_training/00 has collapsed: 96.0 % of the target is road to it, 30.0 % of the source is; it is "
        "sure of that, so its training went astray: lower training.learning_rate, or go on with on_collapse: "
        "warn"
    )
    assert not (tmp_path / "t.json").exists()
    result = run(tmp_path, [road], "0.5", more=[*more, "--on-collapse", "warn"])
    assert "warning: self_training/00 has collapsed" in caplog.text
    # The thresholds are the same as where nothing is known of the source.
    assert result == run(tmp_path, [road], "0.5")


def test_the_source_has_the_classes_of_the_run(tmp_path):
    path = tmp_path / "check.json"
    source_check(path, [1] * CLASSES)
    path.write_text(path.read_text().replace("bicyclist", "tricyclist"))
    with pytest.raises(
        InputError, match=r"check\.json: counts the classes sky, .*, tricyclist, expected sky"
    ):
        run(tmp_path, [histogram(c0=[9])], "0.5", more=["--source-checks", str(path)])
    path.write_text('{"images": 1, "sizes": {}, "turned": [], "converted": {}, "warnings": []}')
    with pytest.raises(InputError, match=r"check\.json: counts no labels, expected sky"):
        run(tmp_path, [histogram(c0=[9])], "0.5", more=["--source-checks", str(path)])
