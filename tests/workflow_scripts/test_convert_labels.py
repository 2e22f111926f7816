from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cotrain.configuration.sections import ListsSettings
from cotrain.data.class_tables import class_table, translation_table
from cotrain.data.files import sha256_of
from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, read_manifest, verify_labels, write_manifest
from cotrain.errors import InputError
from workflow_scripts import convert_labels


@pytest.fixture
def run(tmp_path, settings_file):
    items = []
    for number in range(3):
        path = tmp_path / "own" / f"{number}.png"
        write_label(path, np.array([[number, 7, 8, 11]], np.uint8), [])
        items.append(Item(f"i{number}", tmp_path / f"{number}.jpg", 4, 1, path, sha256_of(path)))

    def go(table, space, change=lambda items: items):
        write_manifest(tmp_path / "labelled.tsv", change(items))
        arguments = ["--manifest", str(tmp_path / "labelled.tsv"), "--dataset", "city"]
        settings = ListsSettings(layout="lists", images="images.txt", classes=table)
        arguments += ["--settings", settings_file(settings)]
        convert_labels.main([*arguments, "--label-space", space, "--output", str(tmp_path / "out")])
        converted = read_manifest(tmp_path / "out" / "train_ids.tsv")
        verify_labels(converted, "train_ids.tsv")
        return items, converted

    return go


def test_ids_become_train_ids(run, tmp_path):
    own, converted = run("cityscapes_ids", "cityscapes19")
    table = translation_table(class_table("cityscapes_ids"), label_space("cityscapes19"))
    assert (table[7], table[8], table[0]) == (0, 1, 255)
    for before, after in zip(own, converted, strict=True):
        assert after.label == tmp_path / "out" / "labels" / f"{before.id}.png"
        np.testing.assert_array_equal(read_label(after.label), table[read_label(before.label)])
        assert after == replace(before, label=after.label, label_sha256=sha256_of(after.label))


def test_train_ids_are_used_where_they_are(run, tmp_path):
    own, converted = run("cityscapes_train_ids", "cityscapes19")
    assert converted == own
    assert not (tmp_path / "out" / "labels").exists()


def test_hashes_are_added(run):
    # The hash is what tells a training that a label was made again under its old name.
    own, converted = run(
        "cityscapes_train_ids", "cityscapes19", lambda items: [replace(i, label_sha256=None) for i in items]
    )
    assert converted == own


def test_an_image_without_label_is_reported(run):
    with pytest.raises(InputError, match=r"labelled\.tsv: image 'i0' has no label"):
        run(
            "camvid", "camvid11", lambda items: [replace(items[0], label=None, label_sha256=None), *items[1:]]
        )


@pytest.mark.parametrize(
    ("table", "space"), [("cityscapes_train_ids", "cityscapes19"), ("camvid", "camvid11")]
)
@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            np.array([[0, 7, 8, 300]], np.uint16),
            r"0\.png: has .*16 bit.*, expected 1 channel of 8-bit class ids",
        ),
        (
            np.array([[0, 7, 8, 77]], np.uint8),
            r"0\.png: found id 77, .*label files with datasets\.city\.classes",
        ),
        (np.array([[0, 7, 8]], np.uint8), r"0\.png: is 3×1, expected 4×1 as its image .*0\.jpg"),
    ],
)
def test_labels_that_are_no_train_ids_are_refused_wherever_they_would_stay(
    run, tmp_path, capfd, table, space, label, message
):
    Image.fromarray(label).save(tmp_path / "own" / "0.png")
    with pytest.raises(InputError, match=message):
        run(table, space, lambda items: [replace(item, label_sha256=None) for item in items])
    assert "already hold" not in capfd.readouterr().err
    assert not (tmp_path / "out" / "train_ids.tsv").exists()


def test_a_label_is_never_written_over(run, tmp_path):
    own = tmp_path / "out" / "labels" / "i0.png"
    write_label(own, np.array([[0, 7, 8, 11]], np.uint8), [])
    content = own.read_bytes()
    with pytest.raises(InputError, match=r"i0\.png is also an input and would be overwritten"):
        run("cityscapes_ids", "cityscapes19", lambda items: [replace(items[0], label=own, label_sha256=None)])
    assert own.read_bytes() == content
