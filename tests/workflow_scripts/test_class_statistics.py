import json

import numpy as np
import pytest

from cotrain.data.class_statistics import read_class_statistics
from cotrain.data.images import write_label
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import class_statistics


def arguments(folder, settings):
    files = ["--manifest", str(folder / "manifest.tsv"), "--output", str(folder / "class_statistics.json")]
    return [*files, "--settings", json.dumps(settings), "--label-space", "camvid11"]


@pytest.fixture
def folder(tmp_path):
    """The manifest of a dataset `city` with one CARLA label: 1 lane line, 2 road, 3 vegetation, 2 none."""
    folder = tmp_path / "city"
    write_label(folder / "a.png", np.array([[6, 7, 7, 9], [9, 9, 0, 0]], np.uint8), [])
    write_manifest(folder / "manifest.tsv", [Item("a", folder / "i.png", 4, 2, folder / "a.png")])
    return folder


def test_pixels_are_counted_by_class_of_the_label_space(folder):
    class_statistics.main(arguments(folder, {"layout": "lists", "classes": "carla13"}))
    classes, ids, counts = read_class_statistics(folder / "class_statistics.json")
    assert ids == ["a"]
    assert dict(zip(classes, counts[0].tolist(), strict=True)) == {
        **dict.fromkeys(classes, 0),
        "road": 3,
        "tree": 3,
    }


def test_missing_class_table_is_named_by_the_folder_of_the_manifest(folder):
    with pytest.raises(InputError, match=r"datasets\.city\.classes: is missing"):
        class_statistics.main(arguments(folder, {"layout": "lists"}))
    assert not (folder / "class_statistics.json").exists()
