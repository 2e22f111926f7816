import numpy as np
import pytest

from cotrain.configuration.sections import ListsSettings
from cotrain.data.images import write_label
from cotrain.data.layouts import dataset_entries
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts.select_images import main

CAR, PEDESTRIAN = 8, 9


@pytest.fixture
def manifest(tmp_path):
    """Write four labels of 20 pixels: 12 of car; 12 of car and 4 of pedestrian; 8 of pedestrian; void."""
    items = []
    for name, ids in {
        "cars": [CAR] * 12,
        "both": [CAR] * 12 + [PEDESTRIAN] * 4,
        "people": [PEDESTRIAN] * 8,
        "void": [],
    }.items():
        path = tmp_path / "labels" / f"{name}.png"
        write_label(path, np.array([ids + [255] * (20 - len(ids))], np.uint8), [])
        items.append(Item(name, tmp_path / f"{name}.jpg", 20, 1, path))
    write_manifest(tmp_path / "m.tsv", items)
    return tmp_path / "m.tsv"


def select(source, folder, *asked):
    main(["--labels", str(source), "--label-space", "camvid11", "--output", str(folder / "out"), *asked])
    return [line.split("/")[-1] for line in (folder / "out" / "labels.txt").read_text().split()]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("--any car --more-than 11", ["cars", "both"]),
        ("--any car pedestrian --more-than 3", ["cars", "both", "people"]),
        ("--all car pedestrian --more-than 3", ["both"]),
        ("--any car --more-than 3 --without pedestrian", ["cars"]),
        ("--any car --more-than 3 --without pedestrian --at-most 4", ["cars", "both"]),
        ("--without car", ["people", "void"]),
    ],
)
def test_by_hand(manifest, tmp_path, asked, expected):
    assert select(manifest, tmp_path, *asked.split()) == [f"{name}.png" for name in expected]


def test_lists_are_a_dataset(manifest, tmp_path):
    select(manifest, tmp_path, "--any", "pedestrian", "--more-than", "3")
    lists = {key: str(tmp_path / "out" / f"{key}.txt") for key in ("images", "labels")}
    entries = dataset_entries("people", ListsSettings(layout="lists", **lists), labelled=True)
    assert [(entry.image.stem, entry.label.stem) for entry in entries] == [
        ("both", "both"),
        ("people", "people"),
    ]


def test_labels_without_images(manifest, tmp_path):
    assert select(manifest.parent / "labels", tmp_path, "--any", "car", "--more-than", "3") == [
        "both.png",
        "cars.png",
    ]
    assert not (tmp_path / "out" / "images.txt").exists()


def test_what_is_wrong_is_named(manifest, tmp_path):
    with pytest.raises(InputError, match="expected --any, --all or --without, found none of them"):
        select(manifest, tmp_path)
    with pytest.raises(InputError, match="--all: found 'tram', expected classes of camvid11"):
        select(manifest, tmp_path, "--all", "tram")
    with pytest.raises(InputError, match=r"m\.tsv: none of 4 images fits --any, --all and --without"):
        select(manifest, tmp_path, "--any", "sky")
    assert not (tmp_path / "out").exists()


def test_the_lists_are_not_overwritten(manifest, tmp_path):
    lines = [str(tmp_path / "labels" / f"{name}.png") for name in ("cars", "people")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"out/labels\.txt is also an input"):
        select(tmp_path / "out" / "labels.txt", tmp_path, "--any", "car")
