import numpy as np
import pytest

from cotrain.data.class_statistics import read_class_statistics
from cotrain.data.images import write_label
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import class_statistics


def arguments(folder):
    files = ["--manifest", str(folder / "manifest.tsv"), "--output", str(folder / "class_statistics.json")]
    return [*files, "--label-space", "camvid11"]


@pytest.fixture
def folder(tmp_path):
    """A manifest with one label of train ids: 3 sky, 2 road, 1 bicyclist, 2 void."""
    write_label(tmp_path / "a.png", np.array([[0, 0, 0, 3], [3, 10, 255, 255]], np.uint8), [])
    write_manifest(tmp_path / "manifest.tsv", [Item("a", tmp_path / "i.png", 4, 2, tmp_path / "a.png")])
    return tmp_path


def test_pixels_are_counted_by_train_id(folder):
    class_statistics.main(arguments(folder))
    classes, ids, counts = read_class_statistics(folder / "class_statistics.json")
    assert ids == ["a"]
    expected = {**dict.fromkeys(classes, 0), "sky": 3, "road": 2, "bicyclist": 1}
    assert dict(zip(classes, counts[0].tolist(), strict=True)) == expected


def test_manifest_without_labels_is_refused(folder):
    write_manifest(folder / "manifest.tsv", [Item("a", folder / "i.png", 4, 2)])
    with pytest.raises(InputError, match="has no label"):
        class_statistics.main(arguments(folder))
    assert not (folder / "class_statistics.json").exists()


def test_ids_of_the_dataset_are_translated(folder):
    write_label(folder / "a.png", np.array([[23, 23, 23, 7], [7, 25, 0, 4]], np.uint8), [])
    with pytest.raises(InputError, match="found id 23"):
        class_statistics.main(arguments(folder))
    class_statistics.main([*arguments(folder), "--classes", "cityscapes_ids"])
    classes, _, counts = read_class_statistics(folder / "class_statistics.json")
    found = dict(zip(classes, counts[0].tolist(), strict=True))
    assert (found["sky"], found["road"], found["bicyclist"], sum(found.values())) == (3, 2, 1, 6)
