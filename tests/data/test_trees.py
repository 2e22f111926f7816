import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.class_tables import translation_table
from cotrain.data.images import read_own_ids, write_image, write_label
from cotrain.data.label_spaces import IGNORE, label_space
from cotrain.data.layouts import dataset_class_table, find_dataset
from cotrain.data.trees import tree_layout, tree_layout_names
from cotrain.errors import InputError
from tests.miniature import make, scene, typed

FORMATS = Path(os.environ.get("COTRAIN_DATA", Path(__file__).parents[2] / "data")) / "formats"
CITYSCAPES = label_space("cityscapes19")
PAIR = "trees: [{images: 'a/{x}.png', labels: 'b/{x}.png'}]"


def train_ids(entry, item):
    table = dataset_class_table("d", typed(entry))
    return translation_table(table, CITYSCAPES)[read_own_ids(item.label, table)]


@pytest.mark.parametrize(
    "layout", ["gta5", "synscapes", "synthia", "cityscapes", "bdd100k", "mapillary_vistas"]
)
def test_a_published_tree_is_found_and_its_labels_are_understood(tmp_path, layout):
    entry = make(layout, tmp_path / "root", images=3)
    items = find_dataset("d", typed(entry), labelled=True).items
    assert len(items) == 3
    assert all((item.width, item.height) == (64, 48) for item in items)
    for number, item in enumerate(items):
        np.testing.assert_array_equal(train_ids(entry, item), np.array([0, 10, 2, 13])[scene(number)])
    assert [item.image for item in find_dataset("d", typed(entry), labelled=False).items] == [
        i.image for i in items
    ]


@pytest.mark.parametrize(
    ("layout", "image", "label", "extra"),
    [
        ("urbansyn", "rgb/rgb_0001.png", "ss/ss_0001.png", {}),
        (
            "acdc",
            "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png",
            "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelIds.png",
            {"split": "train"},
        ),
        (
            "idd",
            "leftImg8bit/val/119/638495_leftImg8bit.png",
            "gtFine/val/119/638495_gtFine_labellevel3Ids.png",
            {"split": "val"},
        ),
        (
            "idd",
            "leftImg8bit/val/201/frame0029_leftImg8bit.jpg",
            "gtFine/val/201/frame0029_gtFine_labellevel3Ids.png",
            {"split": "val"},
        ),
        ("camvid", "test/0001TP_008550.png", "testannot/0001TP_008550.png", {"split": "test"}),
        ("camvid", "images/test/0001TP_008550.jpg", "labels/test/0001TP_008550.png", {"split": "test"}),
    ],
)
def test_other_trees_pair_images_and_labels(tmp_path, layout, image, label, extra):
    write_image(tmp_path / image, np.zeros((4, 6, 3), np.uint8))
    write_label(tmp_path / label, np.zeros((4, 6), np.uint8), [])
    (item,) = find_dataset(
        "d", typed({"layout": layout, "root": str(tmp_path), **extra}), labelled=True
    ).items
    assert (item.image, item.label) == (tmp_path / image, tmp_path / label)


def test_camvid_as_published_has_its_classes_in_colours(tmp_path):
    write_image(tmp_path / "701_StillsRaw_full" / "0016E5_00390.png", np.zeros((1, 2, 3), np.uint8))
    colours = np.array([[[128, 64, 128], [192, 128, 192]]], np.uint8)
    write_image(tmp_path / "LabeledApproved_full" / "0016E5_00390_L.png", colours)
    entry = {"layout": "camvid_original", "root": str(tmp_path)}
    (item,) = find_dataset("d", typed(entry), labelled=True).items
    table = dataset_class_table("d", typed(entry))
    lookup = translation_table(table, label_space("camvid11"))
    assert lookup[read_own_ids(item.label, table)].tolist() == [[3, 8]]


@pytest.mark.parametrize("name", tree_layout_names())
def test_every_layout_names_a_class_table(name, tmp_path):
    layout = tree_layout(name)
    if layout.versions:
        (tmp_path / f"config_{layout.versions[0]}.json").write_text('{"labels": []}')
    assert dataset_class_table("d", typed({"layout": name, "root": str(tmp_path)})).name == layout.classes


def test_every_layout_has_the_class_table_of_its_labels():
    assert {name: tree_layout(name).classes for name in tree_layout_names()} == {
        "gta5": "gta5",
        "synscapes": "cityscapes_ids",
        "synthia": "synthia",
        "cityscapes": "cityscapes_ids",
        "bdd100k": "cityscapes_train_ids",
        "mapillary_vistas": "mapillary_vistas",
        "urbansyn": "urbansyn",
        "acdc": "cityscapes_ids",
        "idd": "idd_level3",
        "camvid": "camvid",
        "camvid_original": "camvid_colours",
    }


true_files = pytest.mark.skipif(not FORMATS.is_dir(), reason=f"{FORMATS} is missing; set COTRAIN_DATA")


@true_files
def test_the_true_gta5_pair():
    entry = {"layout": "gta5", "root": str(FORMATS / "gta5")}
    (item,) = find_dataset("d", typed(entry), labelled=True).items
    assert (item.id, item.width, item.height) == ("08688", 1914, 1052)
    found = train_ids(entry, item)
    assert {0, 1, 2, 8, 10, 13} <= set(np.unique(found).tolist())
    assert np.unique(found).max() == IGNORE


@true_files
def test_the_true_cityscapes_pair_and_its_train_ids():
    entry = {"layout": "cityscapes", "root": str(FORMATS / "cityscapes"), "split": "val"}
    (item,) = find_dataset("d", typed(entry), labelled=True).items
    official = read_own_ids(
        str(item.label).replace("labelIds", "labelTrainIds"),
        dataset_class_table("d", typed({"layout": "streets"})),
    )
    # The two files were shrunk separately, so they differ where classes meet.
    assert (train_ids(entry, item) == official).mean() > 0.995


@true_files
def test_the_true_synthia_tree_of_several_cameras():
    entry = {"layout": "synthia", "root": str(FORMATS / "synthia")}
    items = find_dataset("d", typed(entry), labelled=True).items
    assert [item.id for item in items] == [
        "Omni_B__000000",
        "Omni_B__000001",
        "Omni_F__000000",
        "Omni_F__000001",
    ]
    assert all(item.label.parts[-5:-3] == ("GT", "LABELS") for item in items)
    # 16 bits per channel: read as 8 bits, all ids would be 0, which is void.
    assert train_ids(entry, items[0]).tolist() == [[10, 10, 11, 11, 11]]


@true_files
@pytest.mark.parametrize(("version", "split", "images"), [("v1.2", "train", 2), ("v2.0", "val", 2)])
def test_the_true_mapillary_trees(version, split, images):
    root = FORMATS / "mapillary_vistas" / version
    entry = {"layout": "mapillary_vistas", "root": str(root), "split": split}
    assert len(find_dataset("d", typed(entry), labelled=False).items) == images
    table = dataset_class_table("d", typed(entry))
    names = {"v1.2": [None, None, "person"], "v2.0": [None, None, "bicycle"]}
    assert list(table.ids.values()) == names[version]
    with pytest.raises(InputError, match=r"config_v2\.0\.json: cannot be read"):
        dataset_class_table(
            "d", typed({**entry, "root": str(FORMATS / "mapillary_vistas" / "v1.2"), "version": "v2.0"})
        )


def test_names_of_mapillary_cover_names_that_continue_them(tmp_path):
    entry = make("mapillary_vistas", tmp_path) | {"version": "v2.0"}
    expected = [None] * 3 + ["road", "person", "rider", "road", "road", "sky", "traffic light", "car", None]
    assert list(dataset_class_table("d", typed(entry)).ids.values()) == expected


def test_missing_version_is_found_or_asked_for(tmp_path):
    entry = make("mapillary_vistas", tmp_path)
    del entry["version"]
    with pytest.raises(
        InputError, match=r"datasets\.d\.version: .* holds v1\.2 and v2\.0; set the key to one of them"
    ):
        find_dataset("d", typed(entry), labelled=True)
    assert find_dataset("d", typed(entry), labelled=False).items, "images do not depend on the version"
    shutil.rmtree(tmp_path / "training" / "v1.2")
    assert find_dataset("d", typed(entry), labelled=True).items[0].label.parts[-3] == "v2.0"


def test_own_layout_is_read_from_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "trees: [{images: 'cam/{drive}/{frame}.png', labels: 'truth/{frame}_of_{drive}.png'}]\n"
        "classes: camvid\n"
    )
    write_image(tmp_path / "cam" / "d 1" / "7.png", np.zeros((4, 6, 3), np.uint8))
    write_label(tmp_path / "truth" / "7_of_d 1.png", np.zeros((4, 6), np.uint8), [])
    entry = {"layout": str(tmp_path / "own.yaml"), "root": str(tmp_path)}
    (item,) = find_dataset("d", typed(entry), labelled=True).items
    assert item.label == tmp_path / "truth" / "7_of_d 1.png"
    assert dataset_class_table("d", typed(entry)).name == "camvid"
    assert dataset_class_table("d", typed(entry | {"classes": "carla13"})).name == "carla13"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{trees: []}", "expected the keys trees and classes"),
        ("{trees: [], classes: camvid}", "expected `trees`, a list"),
        ("{trees: [{images: 'a/{x}.png'}], classes: camvid}", "expected {images: PATH, labels: PATH}"),
        (
            "{trees: [{images: 'a/{x}.png', labels: 5}], classes: camvid}",
            "expected {images: PATH, labels: PATH}",
        ),
        (f"{{{PAIR}, classes: 5}}", "found 5 as `classes`, expected the name of a class table"),
        (
            f"{{{PAIR}, classes: camvid, splits: [train]}}",
            r"found \['train'\] as `splits`, expected split ->",
        ),
        (f"{{{PAIR}, classes: camvid, splits: {{train: []}}}}", "expected split -> its folder"),
        (f"{{{PAIR}, classes: camvid, versions: v1}}", "found 'v1' as `versions`, expected a list of names"),
        (
            f"{{{PAIR}, classes: camvid, sizes_may_differ: 'no'}}",
            "found 'no' as `sizes_may_differ`, expected true or false",
        ),
        (
            "{trees: [{images: 'a/{x}.png', labels: 'b/{y}.png'}], classes: camvid}",
            r"\{y\} in 'b/\{y\}.png' is not in 'a/\{x\}.png', so it has no meaning",
        ),
        (
            "{trees: [{images: 'a/{split}/{x}.png', labels: 'b/{x}.png'}], classes: camvid}",
            r"a path contains \{split\}, but the key `splits` is missing",
        ),
    ],
)
def test_wrong_layouts_are_explained(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        tree_layout(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "classes: camvid\ntrees: null",
            ", line 2: expected `trees`, a list of {images, labels}, found null",
        ),
        (
            "classes: camvid\ntrees:\n  - {images: a.png, labels: b.png}\n  - {images: c.png}",
            ", line 4: found a section with the keys images in `trees`, expected {images: PATH, labels: "
            "PATH}",
        ),
        (
            "trees: [{images: a, labels: b}]\nclasses: 1.5",
            ", line 2: found 1.5 as `classes`, expected the name",
        ),
        (
            "",
            ": expected the keys trees and classes, and perhaps splits, versions and sizes_may_differ, "
            "found null",
        ),
    ],
)
def test_mistakes_in_layouts_come_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        tree_layout(str(path))
    assert str(caught.value).startswith(f"layout {path}{message}")


def failure(entry, labelled=True):
    with pytest.raises(InputError) as caught:
        find_dataset("gta", typed(entry), labelled)
    return str(caught.value)


def test_missing_root_is_named_with_the_folders_expected_in_it(tmp_path):
    entry = {"layout": "gta5", "root": str(tmp_path / "nowhere")}
    assert failure(entry) == (
        f"datasets.gta.root: {tmp_path}/nowhere is no folder; "
        "expected the root of gta5, with images/ and labels/"
    )


def test_message_about_a_wrong_root_lists_its_content(tmp_path):
    make("gta5", tmp_path / "root")
    (tmp_path / "notes").mkdir()
    assert failure({"layout": "gta5", "root": str(tmp_path)}) == (
        f"datasets.gta.root: {tmp_path} does not look like gta5: "
        "expected images/ and labels/, found notes, root"
    )


def test_folder_without_images_is_named(tmp_path):
    entry = make("gta5", tmp_path)
    for image in (tmp_path / "images").iterdir():
        image.rename(image.with_suffix(".bmp"))
    assert failure(entry) == (
        f"datasets.gta.root: expected images such as {tmp_path}/images/{{frame}}.png, found none; "
        f"{tmp_path}/images holds 00000.bmp, 00001.bmp, 00002.bmp, 00003.bmp"
    )


def test_links_to_a_parent_folder_are_not_followed(tmp_path):
    entry = make("synthia", tmp_path)
    found = find_dataset("d", typed(entry), labelled=True).items
    (tmp_path / "RGB" / "again").symlink_to(tmp_path / "RGB")
    assert find_dataset("d", typed(entry), labelled=True).items == found


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    entry = make("gta5", tmp_path)

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    assert failure(entry) == f"{tmp_path}/images: the folder cannot be read (Permission denied)"


def test_labels_that_were_not_unpacked_are_reported(tmp_path):
    entry = make("gta5", tmp_path)
    shutil.rmtree(tmp_path / "labels")
    assert (
        f"{tmp_path}/labels is missing: the labels of gta5 are expected there; unpack their archive"
        in failure(entry)
    )
    assert len(find_dataset("gta", typed(entry), labelled=False).items) == 4


def test_half_unpacked_labels_are_reported(tmp_path):
    entry = make("gta5", tmp_path)
    (tmp_path / "labels" / "00002.png").unlink()
    assert failure(entry) == f"datasets.gta: 1 problem:\n  {tmp_path}/labels/00002.png: does not exist"


def test_half_unpacked_images_are_reported(tmp_path):
    entry = make("gta5", tmp_path)
    (tmp_path / "images" / "00002.png").unlink()
    assert "1 label has no image, the first is" in failure(entry)


def test_label_that_links_to_nothing_is_named(tmp_path):
    entry = make("gta5", tmp_path)
    label = tmp_path / "labels" / "00001.png"
    label.unlink()
    label.symlink_to("/nowhere/00001.png")
    assert f"{label}: does not exist, it is a link to /nowhere/00001.png" in failure(entry)


@pytest.mark.parametrize(
    ("layout", "key", "value", "message"),
    [
        (
            "cityscapes",
            "split",
            "training",
            r"datasets.gta.split: found 'training', expected train, val, test",
        ),
        ("gta5", "split", "train", "datasets.gta.split: found 'train', expected none: gta5 has no splits"),
        ("mapillary_vistas", "version", "v3", r"datasets.gta.version: found 'v3', expected v1.2, v2.0"),
    ],
)
def test_message_about_an_unknown_split_or_version_lists_the_known_ones(
    tmp_path, layout, key, value, message
):
    assert failure(make(layout, tmp_path) | {key: value}) == message


def test_gta5_images_of_another_size_than_their_label_are_left_out_and_named(tmp_path):
    entry = make("gta5", tmp_path)
    write_image(tmp_path / "images" / "00001.png", np.zeros((48, 60, 3), np.uint8))
    found = find_dataset("gta", typed(entry), labelled=True)
    assert [item.id for item in found.items] == ["00000", "00002", "00003"]
    assert found.left_out == {
        "the label is of another size than the image": [tmp_path / "images" / "00001.png"]
    }


def test_filters_leave_out_and_say_why(tmp_path):
    sizes = {"a": (48, 64), "b": (64, 48), "c": (36, 64), "d": (24, 32), "e": (49, 64), "f": (48, 48)}
    for name, (height, width) in sizes.items():
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((height, width, 3), np.uint8))
    entry = {"layout": "gta5", "root": str(tmp_path)}

    def kept(**filters):
        return "".join(item.id for item in find_dataset("d", typed(entry | filters), labelled=False).items)

    assert kept() == "abcdef"
    # 64 / 49 is 1.306, which is not 4:3 to two decimals.
    assert kept(aspect_ratio=4 / 3) == "ad"
    assert kept(aspect_ratio=1.33) == "ad"
    # A square is both.
    assert kept(orientation="landscape") == "acdef"
    assert kept(orientation="portrait") == "bf"
    assert kept(min_size=[40, 60]) == "ae"
    assert kept(every=2) == "ace"
    assert kept(every=2, orientation="landscape", min_size=None, aspect_ratio=None) == "ace"
    left_out = find_dataset("d", typed(entry | {"min_size": [40, 60]}), labelled=False).left_out
    assert {reason: len(images) for reason, images in left_out.items()} == {"smaller than min_size 40×60": 4}
    with pytest.raises(
        InputError, match=r"datasets\.d: no image is left of 6 \(smaller than min_size 999×32: 6\)"
    ):
        kept(min_size=[999, 32])


def test_hidden_files_are_no_images(tmp_path):
    entry = make("gta5", tmp_path, images=2)
    (tmp_path / "images" / "._00000.png").write_bytes(b"Mac")
    assert len(find_dataset("d", typed(entry), labelled=True).items) == 2


def test_equal_names_in_several_folders_get_ids_of_their_own(tmp_path):
    for camera in ("front", "back"):
        write_image(tmp_path / "RGB" / camera / "1.png", np.zeros((4, 6, 3), np.uint8))
    items = find_dataset("d", typed({"layout": "synthia", "root": str(tmp_path)}), labelled=False).items
    assert [item.id for item in items] == ["back__1", "front__1"]


def test_linked_folders_are_followed(tmp_path):
    entry = make("cityscapes", tmp_path / "store", images=2)
    (tmp_path / "root").mkdir()
    for folder in ("leftImg8bit", "gtFine"):
        (tmp_path / "root" / folder).symlink_to(tmp_path / "store" / folder)
    items = find_dataset("d", typed(entry | {"root": str(tmp_path / "root")}), labelled=True).items
    assert [str(item.image)[: len(str(tmp_path)) + 5] for item in items] == [f"{tmp_path}/root"] * 2


def test_broken_list_of_mapillary_names_is_explained(tmp_path):
    entry = make("mapillary_vistas", tmp_path)
    (tmp_path / "config_v1.2.json").write_text(json.dumps({"classes": []}))
    with pytest.raises(
        InputError,
        match=r"config_v1\.2\.json: cannot be read as the dataset's list of class names \(it lacks",
    ):
        dataset_class_table("d", typed(entry))
    with pytest.raises(InputError, match="so it needs a layout with a root"):
        dataset_class_table("d", typed({"layout": "lists", "images": "i.txt", "classes": "mapillary_vistas"}))


def test_many_files_are_listed_quickly(tmp_path):
    # The limit is generous: a search that looks at every file for every image would take minutes here.
    folder = tmp_path / "RGB"
    folder.mkdir()
    write_image(folder / "0.png", np.zeros((4, 6, 3), np.uint8))
    for number in range(1, 5000):
        os.link(folder / "0.png", folder / f"{number}.png")
    started = time.monotonic()
    assert (
        len(find_dataset("d", typed({"layout": "synthia", "root": str(tmp_path)}), labelled=False).items)
        == 5000
    )
    assert time.monotonic() - started < 60


def test_a_line_end_in_a_file_name_is_not_passed_over(tmp_path):
    write_image(tmp_path / "RGB" / "a\nb.png", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\\nb\.png.* holds a tab or line end.*rename the file"):
        find_dataset("d", typed({"layout": "synthia", "root": str(tmp_path)}), labelled=False)
