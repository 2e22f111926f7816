import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from cotrain.data.cvat import object_colours, read_labelmap
from cotrain.data.images import read_label, write_image, write_label
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space, make_label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts import convert_labels, export_pseudo_labels, import_corrected_labels, make_manifest

SPACE = make_label_space(
    "two", [{"class": "road", "colour": [128, 64, 128]}, {"class": "car", "colour": [0, 0, 142]}]
)
YAML = "- {class: road, colour: [128, 64, 128]}\n- {class: car, colour: [0, 0, 142]}\n"
COMMON = ["--manifest", "to_correct.tsv", "--label-space", "two.yaml"]
EXPORT = [*COMMON, "--format", "cvat", "--output", "for_cvat"]
IMPORT = [*COMMON, "--corrected", "from_cvat", "--output", "corrected"]
ROAD, CAR, BLACK = (128, 64, 128), (0, 0, 142), (0, 0, 0)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """Export the pseudo-labels of three images for CVAT, and unpack what CVAT would get."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(YAML)
    items = []
    for name, suffix in (("a", ".png"), ("b.c", ".jpg"), ("d", ".png")):
        image = tmp_path / "photos" / f"{name}{suffix}"
        write_image(image, np.zeros((2, 3, 3), np.uint8))
        items.append(Item(name, image, 3, 2))
    label = np.array([[0, 1, 255], [0, 0, 255]], np.uint8)
    made = write_pseudo_labels(items, lambda item: (label, 0.9), tmp_path / "pseudo", SPACE, workers=1)
    write_manifest("to_correct.tsv", made)
    export_pseudo_labels.main(EXPORT)
    with zipfile.ZipFile("for_cvat/annotations.zip") as archive:
        archive.extractall("from_cvat")
    return tmp_path


def import_labels():
    import_corrected_labels.main(IMPORT)


def test_what_cvat_gets(exported):
    assert json.loads((exported / "for_cvat" / "labels.json").read_text()) == [
        {"name": "road", "color": "#804080", "attributes": []},
        {"name": "car", "color": "#00008e", "attributes": []},
    ]
    assert sorted(path.name for path in (exported / "for_cvat" / "images").iterdir()) == [
        *("a.png", "b.c.jpg", "d.png"),
    ]
    unpacked = exported / "from_cvat"
    assert (unpacked / "ImageSets" / "Segmentation" / "default.txt").read_text() == "a\nb.c\nd\n"
    assert (unpacked / "labelmap.txt").read_text().splitlines()[1:] == [
        *("background:0,0,0::", "road:128,64,128::", "car:0,0,142::"),
    ]
    classes = np.array(Image.open(unpacked / "SegmentationClass" / "b.c.png"))
    assert classes.tolist() == [[list(c) for c in row] for row in ((ROAD, CAR, BLACK), (ROAD, ROAD, BLACK))]
    # Objects 1 and 2 of PASCAL VOC; no object where nothing is labelled.
    objects = np.array(Image.open(unpacked / "SegmentationObject" / "b.c.png"))
    assert objects.tolist() == [[[128, 0, 0], [0, 128, 0], [0, 0, 0]], [[128, 0, 0], [128, 0, 0], [0, 0, 0]]]
    # Bit 3 of 9 is the second bit of red.
    assert object_colours(label_space("cityscapes19"))[[2, 8]].tolist() == [[128, 128, 0], [192, 0, 0]]


def test_corrected_labels_are_those_that_a_training_gets(exported, caplog):
    caplog.set_level("INFO")
    # As a person would: a car becomes road, a void pixel a car, a road void; b.c stays, d is not exported.
    path = exported / "from_cvat" / "SegmentationClass" / "a.png"
    Image.fromarray(np.array([[ROAD, ROAD, CAR], [BLACK, ROAD, BLACK]], np.uint8)).save(path)
    (exported / "from_cvat" / "SegmentationClass" / "d.png").unlink()
    import_labels()
    assert "2 of 3 images have labels, 1 of them with other pixels than before (25.00 %" in caplog.text
    entry = caplog.text.rpartition("corrected: ")[2]
    (exported / "dataset.yaml").write_text(entry)
    dataset = ["--dataset", "corrected", "--settings", "dataset.yaml"]
    make_manifest.main([*dataset, "--with-labels", "--output", "labelled.tsv"])
    manifest = ["--manifest", "labelled.tsv", "--label-space", "two.yaml"]
    convert_labels.main([*dataset, *manifest, "--output", "train"])
    items = read_manifest("train/train_ids.tsv")
    assert [item.image for item in items] == [exported / "photos" / name for name in ("a.png", "b.c.jpg")]
    assert [read_label(item.label).tolist() for item in items] == [
        *([[0, 0, 1], [255, 0, 255]], [[0, 1, 255], [0, 0, 255]]),
    ]


def test_colours_are_those_of_the_task(exported, caplog):
    """Whatever colours a person gave to the labels; palette images are read too."""
    (exported / "from_cvat" / "labelmap.txt").write_text(
        "car:1,2,3::\nbackground:9,9,9::\nroad:4,5,6:a,b:c\n"
    )
    for name in ("a", "b.c", "d"):
        write_label(
            exported / "from_cvat" / "SegmentationClass" / f"{name}.png",
            np.array([[0, 1, 2], [3, 3, 3]], np.uint8),
            [(1, 2, 3), (4, 5, 6), (9, 9, 9)],
        )
    import_labels()
    assert read_label(exported / "corrected" / "labels" / "a.png").tolist() == [[1, 0, 255], [255, 255, 255]]


def test_images_without_a_label_are_left_out(exported, caplog):
    folder = exported / "from_cvat" / "SegmentationClass"
    for name in ("a", "b.c"):
        write_image(folder / f"{name}.png", np.zeros((2, 3, 3), np.uint8))
    import_labels()
    assert "2 images have no labelled pixel, and are left out" in caplog.text
    assert (exported / "corrected" / "labels.txt").read_text() == "labels/d.png\n"
    write_image(folder / "d.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match="no label has a labelled pixel"):
        import_labels()


def test_what_does_not_belong_to_the_export_is_refused(exported):
    folder = exported / "from_cvat" / "SegmentationClass"
    write_image(folder / "a.png", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png: is 6×4, but its image .*a\.png is 3×2"):
        import_labels()
    write_image(folder / "a.png", np.full((2, 3, 3), 7, np.uint8))
    with pytest.raises(
        InputError, match=r"a\.png: 6 pixels have colours that class table 'labelmap.txt' lacks"
    ):
        import_labels()
    (folder / "more").mkdir()
    (folder / "d.png").rename(folder / "more" / "a.png")
    with pytest.raises(InputError, match="have one name"):
        import_labels()
    (folder / "more" / "a.png").rename(folder / "e.png")
    with pytest.raises(InputError, match=r"e\.png: to_correct\.tsv lists no image 'e' \(1 of 3"):
        import_labels()
    folder.rename(exported / "elsewhere")
    with pytest.raises(InputError, match="there is no folder SegmentationClass"):
        import_labels()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "truck:1,2,3::\n",
            r"labelmap\.txt:1: found the label 'truck', expected classes of two \(road, car\)",
        ),
        ("# a\nroad:1,2::\n", r"labelmap\.txt:2: found 'road:1,2::', expected NAME:RED,GREEN,BLUE::"),
        ("road:1,2,256::\n", r"found 'road:1,2,256::'"),
        ("road:1,2,3::\ncar:1,2,3::\n", "'car' or its colour occurs twice"),
        ("road:1,2,3::\nroad:1,2,4::\n", "'road' or its colour occurs twice"),
        ("road:0,0,0::\n", "the label 'road' is black"),
        ("background:0,0,0::\n", "names no label"),
    ],
)
def test_bad_label_maps_are_refused(tmp_path, text, message):
    (tmp_path / "labelmap.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_labelmap(tmp_path / "labelmap.txt", SPACE)


@pytest.mark.parametrize(
    ("name", "colour", "message"),
    [
        ("a", "[0, 0, 0]", "'a' is black, which means no label in CVAT"),
        ("Background", "[1, 0, 0]", "has the name that CVAT gives"),
        ('"a:b"', "[1, 0, 0]", "has a name that labelmap.txt cannot hold"),
    ],
)
def test_classes_that_cvat_cannot_hold_are_refused(exported, name, colour, message):
    # An absolute path: a label space is read once.
    path = exported / "three.yaml"
    path.write_text(f"- {{class: {name}, colour: {colour}}}\n{YAML}")
    with pytest.raises(InputError, match=message):
        export_pseudo_labels.main(
            f"--format cvat --manifest to_correct.tsv --label-space {path} --output for_cvat".split()
        )


def test_another_export_is_not_mixed_in(exported):
    write_image(exported / "for_cvat" / "images" / "z.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"z\.png, which does not belong to this export"):
        export_pseudo_labels.main(EXPORT)
    with pytest.raises(InputError, match="--city: is a name in the folders of Cityscapes"):
        export_pseudo_labels.main([*EXPORT, "--city", "ours"])
