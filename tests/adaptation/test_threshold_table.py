import json

import numpy as np
import pytest

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.adaptation.thresholds import LEVELS
from cotrain.data.label_spaces import make_label_space
from cotrain.errors import InputError

SPACE = make_label_space("own", [{"class": name, "colour": [1, 2, ord(name)]} for name in "abc"])


@pytest.fixture
def table():
    """Four pixels of class a, none of b, three very sure ones of c."""
    histogram = np.zeros((3, LEVELS), np.int64)
    np.add.at(histogram[0], [40000, 45000, 50000, 55000], 1)
    histogram[2, 65000] = 3
    return ThresholdTable.from_histogram(histogram, [0.5, 0.25, 0.5], 0.5, 0.9, SPACE.classes, "a model")


def test_table_of_a_histogram(table):
    # a: x[rint(4 · 0.5)] = x[2] = 50000, which one of four exceeds. b: the lower bound. c: the upper bound.
    np.testing.assert_array_equal(table.levels, [50000, 32768, 58982])
    np.testing.assert_allclose(table.confidences, [50000 / 65535, 32768 / 65535, 58982 / 65535])
    np.testing.assert_array_equal(table.portion, [0.5, 0.25, 0.5])
    np.testing.assert_array_equal(table.pixels, [4, 0, 3])
    np.testing.assert_allclose(table.highest_confidence, [55000 / 65535, np.nan, 65000 / 65535])
    np.testing.assert_array_equal(table.kept_share, [0.25, np.nan, 1])
    assert table.kept_portion == pytest.approx(4 / 7)


@pytest.mark.filterwarnings("error")
def test_without_a_pixel_the_kept_share_is_not_known():
    table = ThresholdTable.from_histogram(
        np.zeros((3, LEVELS), np.int64), 0.5, 0.5, 0.9, SPACE.classes, "a model"
    )
    assert np.isnan(table.kept_portion)
    assert np.isnan(table.kept_share).all()


def test_one_portion_is_that_of_every_class():
    histogram = np.ones((3, LEVELS), np.int64)
    table = ThresholdTable.from_histogram(histogram, 0.25, 0, 1, SPACE.classes, "a model")
    np.testing.assert_array_equal(table.portion, [0.25] * 3)


def test_what_is_written(table, tmp_path):
    table.write(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {
        "model": "a model",
        "confidences": {"a": 0.762951, "b": 0.500008, "c": 0.900008},
        "levels": {"a": 50000, "b": 32768, "c": 58982},
        "portion": {"a": 0.5, "b": 0.25, "c": 0.5},
        "pixels": {"a": 4, "b": 0, "c": 3},
        "highest_confidence": {"a": 0.839246, "b": None, "c": 0.991836},
        "kept_share": {"a": 0.25, "b": None, "c": 1.0},
    }


def whole(classes=("a", "b", "c"), **of_a):
    """Return the text of a table whose first class has other values."""
    columns = {"levels": 9, "portion": 0.5, "pixels": 4, "highest_confidence": 0.9, "kept_share": 0.25}
    table = {name: dict.fromkeys(classes, value) for name, value in columns.items()}
    for name, value in of_a.items():
        table[name] = table[name] | {"a": value}
    return json.dumps({"model": "a model", **table})


def test_a_table_that_is_read_and_written_again_has_the_same_bytes(table, tmp_path):
    table.write(tmp_path / "t.json")
    read = ThresholdTable.read(tmp_path / "t.json", SPACE)
    np.testing.assert_array_equal(read.levels, table.levels)
    assert read.levels.dtype == np.uint16
    read.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "t.json").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (whole(classes=["sky"]), r"t\.json: holds the classes sky, expected a, b, c"),
        ('{"levels": ', r"t\.json: cannot be read as thresholds"),
        ('["a"]', r"t\.json: cannot be read as thresholds"),
        ('{"levels": ["a", "b", "c"]}', r"t\.json: cannot be read as thresholds"),
        ('{"levels": {"a": 1, "b": 2, "c": 70000}}', r"t\.json: cannot be read as thresholds"),
        (whole(levels=1.7), r"levels\.a: expected an integer, found a number"),
        (whole(levels=True), r"levels\.a: expected an integer, found true or false"),
        (whole(levels=-1), r"levels\.a: expected an integer >= 0"),
        (whole(portion=1.5), r"portion\.a: expected a number <= 1\.0"),
        (whole(portion=float("nan")), "found NaN, expected a number"),
        (whole(pixels=-4), r"pixels\.a: expected an integer >= 0"),
        (whole(kept_share=2), r"kept_share\.a: expected a number <= 1\.0"),
        (whole(kept_share=None), "class 'a' has 4 pixels, which does not fit its other values"),
        (
            whole().replace('"portion": {"a": 0.5, ', '"portion": {'),
            "'portion' has other classes than 'levels'",
        ),
        (
            '{"model": "a model", "levels": {"a": 1, "b": 2, "c": 3}}',
            r"t\.json: cannot be read as thresholds \(it lacks 'portion'\), expected what .* wrote$",
        ),
        (
            '{"levels": {}}',
            r"t\.json: cannot be read as thresholds \(it lacks 'model'\), expected what .* wrote$",
        ),
    ],
)
def test_files_that_are_no_thresholds_are_refused(tmp_path, text, message):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match=message):
        ThresholdTable.read(tmp_path / "t.json", SPACE)
    with pytest.raises(InputError, match=r"gone\.json: cannot be read as thresholds"):
        ThresholdTable.read(tmp_path / "gone.json", SPACE)


def test_why_nothing_is_kept_names_the_most_frequent_classes(table, tmp_path):
    assert table.why_nothing_is_kept(tmp_path / "t.json", "Do this.") == (
        f"no image has a label left by the thresholds of {tmp_path / 't.json'}. Do this."
        "\n  a (57.1 % of the pixels) is predicted with a confidence up to 0.839, its threshold is 0.763"
        "\n  c (42.9 % of the pixels) is predicted with a confidence up to 0.992, its threshold is 0.900"
    )
