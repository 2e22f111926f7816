import json
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.class_statistics import (
    class_counts,
    count_classes,
    read_class_statistics,
    write_class_statistics,
)
from cotrain.data.images import write_label
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import make_label_space
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress

SPACE = make_label_space(
    "own",
    [
        {"class": "road", "colour": [1, 2, 3]},
        {"class": "sidewalk", "colour": [1, 2, 4]},
        {"class": "sky", "colour": [1, 2, 5]},
    ],
)


def count(items, classes=None):
    with Progress(len(items), "labels", "counting") as progress:
        return count_classes(items, TrainIdReader(SPACE, classes), 2, progress)


@pytest.fixture
def items(tmp_path):
    write_label(tmp_path / "a.png", np.array([[7, 7, 8], [8, 8, 0]], np.uint8), [])
    write_label(tmp_path / "b.png", np.array([[0, 11], [7, 0]], np.uint8), [])
    return [Item(name, tmp_path / "i.png", 1, 1, tmp_path / f"{name}.png") for name in "ba"]


def test_own_ids_are_translated_and_void_is_not_counted(items):
    assert list(count(items, "cityscapes_ids").items()) == [("b", [1, 0, 0]), ("a", [2, 3, 0])]


def test_strange_ids_are_named(items):
    with pytest.raises(InputError, match=r"b\.png: found id 7, which 'own' does not list"):
        count(items)


def test_item_without_label_is_refused(items, tmp_path):
    with pytest.raises(InputError, match=r"bare\.png: has no label"):
        count([*items, Item("c", tmp_path / "bare.png", 1, 1)], "cityscapes_ids")


def test_file_is_read_as_written_with_one_line_for_each_image(tmp_path):
    path = tmp_path / "class_statistics.json"
    write_class_statistics(path, ["road", "sky"], {'a "b"': [3, 2**40], "ä": [0, 1]})
    assert json.loads(path.read_text()) == {
        "classes": ["road", "sky"],
        "images": {'a "b"': [3, 2**40], "ä": [0, 1]},
    }
    assert len(path.read_text().splitlines()) == 7
    classes, ids, counts = read_class_statistics(path)
    assert classes == ["road", "sky"]
    assert ids == ['a "b"', "ä"]
    assert counts.dtype == np.int64
    assert counts.tolist() == [[3, 2**40], [0, 1]]


def test_empty_statistics_keep_their_shape(tmp_path):
    write_class_statistics(tmp_path / "s.json", ["road", "sky"], {})
    assert read_class_statistics(tmp_path / "s.json")[2].shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 1 is not valid JSON"),
        ("[]", "expected keys and values, found a list"),
        ('{"classes": ["a"]}', "it lacks 'images'"),
        (
            '{"classes": ["a"], "images": {"x": [1, 2]}}',
            "'x' has 2 numbers, expected one for each of the 1 cl",
        ),
        ('{"classes": ["a", "a"], "images": {}}', "a class is named twice"),
        (
            '{"classes": ["a"], "images": {"w": [1], "x": [1.7]}}',
            r"images\.x\[0\]: expected an integer, found a num",
        ),
        ('{"classes": ["a"], "images": {"x": [true]}}', "expected an integer, found true or false"),
        ('{"classes": ["a"], "images": {"x": [-1]}}', "expected an integer >= 0"),
        ('{"classes": ["a"], "images": {"x": [NaN]}}', "found NaN, expected a number"),
        ('{"classes": ["a"], "images": {"x": [1' + "0" * 400 + "]}}", "found the integer .* 64 bit"),
        ('{"classes": ["a"], "images": {"x": [1], "x": [2]}}', "the key 'x' is given twice"),
        ('{"classes": ["a"], "images": {"\\udcff": [1]}}', "half a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_refused(tmp_path, text, why):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(
        InputError, match=rf"s\.json: cannot be read as class statistics \(.*{why}.*\), expected"
    ):
        read_class_statistics(tmp_path / "s.json")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"s\.json: cannot be read as class statistics \(No such"):
        read_class_statistics(tmp_path / "s.json")


def test_statistics_of_the_manifests_in_another_order_are_refused():
    manifests = [Path(f"data/{name}/train_ids.tsv") for name in ("game", "town")]
    statistics = [Path(f"data/{name}/class_statistics.json") for name in ("town", "game")]
    with pytest.raises(
        InputError, match=r"manifest 1: data/game/.*file 1: data/town/.*expected .*file 2: data/game/"
    ):
        class_counts(manifests, statistics)
