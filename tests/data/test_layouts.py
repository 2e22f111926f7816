from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import DatasetSettings, PublishedSettings
from cotrain.data import layouts
from cotrain.data.images import write_image, write_label
from cotrain.data.layouts import dataset_class_table, file_origins, find_dataset, unique_ids
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from tests.miniature import typed


@pytest.fixture
def pairs(tmp_path):
    """Three images with labels, their lists, and the settings of the dataset."""
    for name in ("a b", "c.v2", "d"):
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((4, 6, 3), np.uint8))
        write_label(tmp_path / "labels" / f"{name}.png", np.zeros((4, 6), np.uint8), [])
    (tmp_path / "i.txt").write_text("images/a b.png\nimages/c.v2.png\nimages/d.png\n")
    (tmp_path / "l.txt").write_text("labels/a b.png\n\nlabels/c.v2.png\nlabels/d.png\n")
    lists = {"images": str(tmp_path / "i.txt"), "labels": str(tmp_path / "l.txt")}
    return {"layout": "lists", "classes": "camvid", **lists}


def test_lists_pair_line_by_line(tmp_path, pairs):
    images, labels = tmp_path / "images", tmp_path / "labels"
    assert find_dataset("city", typed(pairs), labelled=True).items == [
        Item(name, image, 6, 4, labels / f"{name}.png", bytes=image.stat().st_size)
        for name in ("a b", "c.v2", "d")
        for image in [images / f"{name}.png"]
    ]
    assert (
        file_origins("city", typed(pairs), labelled=True)[tmp_path / "labels" / "d.png"]
        == f"{tmp_path}/l.txt:4"
    )
    assert (
        file_origins("city", typed(pairs), labelled=True)[tmp_path / "images" / "d.png"]
        == f"{tmp_path}/i.txt:3"
    )


@pytest.mark.parametrize("gone", ["label files", "label list", "setting"])
def test_without_labelled_no_label_is_touched(tmp_path, pairs, gone):
    if gone == "label files":
        for label in (tmp_path / "labels").iterdir():
            label.unlink()
    elif gone == "label list":
        (tmp_path / "l.txt").unlink()
    else:
        del pairs["labels"], pairs["classes"]
    items = find_dataset("city", typed(pairs), labelled=False).items
    assert [item.id for item in items] == ["a b", "c.v2", "d"]
    assert all(item.label is None for item in items)
    assert len(file_origins("city", typed(pairs), labelled=False)) == 3


def test_labels_are_not_opened_when_listed(tmp_path, pairs):
    (tmp_path / "labels" / "d.png").write_bytes(b"")
    assert len(find_dataset("city", typed(pairs), labelled=True).items) == 3


def test_one_message_lists_all_missing_and_broken_files_with_their_lines(tmp_path, pairs):
    (tmp_path / "images" / "a b.png").unlink()
    (tmp_path / "images" / "d.png").write_bytes(b"")
    (tmp_path / "labels" / "c.v2.png").unlink()
    with pytest.raises(InputError) as caught:
        find_dataset("city", typed(pairs), labelled=True)
    assert str(caught.value).splitlines() == [
        "datasets.city: 3 problems:",
        f"  {tmp_path}/i.txt:1: {tmp_path}/images/a b.png: cannot be read (No such file or directory)",
        f"  {tmp_path}/l.txt:3: {tmp_path}/labels/c.v2.png: does not exist",
        f"  {tmp_path}/i.txt:3: {tmp_path}/images/d.png: is empty (0 bytes), expected an image",
    ]


def test_names_that_no_manifest_can_store_and_folders_are_told_with_their_lines(tmp_path, pairs):
    (tmp_path / "images" / "d.png").rename(tmp_path / "images" / "d\t.png")
    lines = (tmp_path / "i.txt").read_text().replace("d.png", "d\t.png")
    (tmp_path / "i.txt").write_text(lines)
    (tmp_path / "labels" / "c.v2.png").unlink()
    (tmp_path / "labels" / "c.v2.png").mkdir()
    with pytest.raises(InputError) as caught:
        find_dataset("city", typed(pairs), labelled=True)
    odd = repr(f"{tmp_path}/images/d\t.png")
    assert str(caught.value).splitlines() == [
        "datasets.city: 2 problems:",
        f"  {tmp_path}/l.txt:3: {tmp_path}/labels/c.v2.png: is a folder, expected a file",
        f"  {tmp_path}/i.txt:3: {odd} holds a tab or line end, or is not UTF-8 text, which no manifest can "
        "store; rename the file",
    ]


def test_lists_of_different_length_are_refused(tmp_path, pairs):
    (tmp_path / "l.txt").write_text("labels/a b.png\n")
    with pytest.raises(
        InputError, match=r"datasets\.city: .*i\.txt lists 3 images but .*l\.txt lists 1 label, expected"
    ):
        find_dataset("city", typed(pairs), labelled=True)
    assert len(find_dataset("city", typed(pairs), labelled=False).items) == 3


@pytest.mark.parametrize("every", [1, 3])
def test_labels_in_another_order_are_refused(tmp_path, pairs, every):
    lines = (tmp_path / "l.txt").read_text().splitlines()
    (tmp_path / "l.txt").write_text("\n".join(sorted(lines, reverse=True)))
    with pytest.raises(InputError, match=r"^datasets\.city: .*i\.txt:\d+: .* is paired with .*l\.txt:1: "):
        find_dataset("city", typed(pairs | {"every": every}), labelled=True)
    assert len(find_dataset("city", typed(pairs), labelled=False).items) == 3


def test_empty_label_list_is_refused(tmp_path, pairs):
    (tmp_path / "l.txt").write_text("\n")
    with pytest.raises(InputError, match=r"l\.txt: the list is empty"):
        find_dataset("city", typed(pairs), labelled=True)


def test_the_same_image_twice_is_refused_with_both_lines(tmp_path, pairs):
    (tmp_path / "i.txt").write_text(f"images/a b.png\nimages/d.png\n\n{tmp_path}/images/../images/a b.png\n")
    with pytest.raises(
        InputError,
        match=r"datasets\.city\.images: 1 problem:\n.*i\.txt:4: .*a b\.png: is already listed in line 1",
    ):
        find_dataset("city", typed(pairs), labelled=False)

    (tmp_path / "images" / "link.png").symlink_to("d.png")
    (tmp_path / "i.txt").write_text("images/d.png\nimages/link.png\n")
    with pytest.raises(InputError, match=r"i\.txt:2: .*link\.png: is already listed in line 1"):
        find_dataset("city", typed(pairs), labelled=False)


@pytest.mark.parametrize("key", ["layout", "images"])
def test_missing_key_is_named(pairs, key):
    del pairs[key]
    with pytest.raises(InputError, match=rf"the entry has one problem:\n  {key}: missing, expected "):
        settings_of(pairs, DatasetSettings, "the entry")


def test_missing_list_of_labels_is_named(pairs):
    del pairs["labels"]
    with pytest.raises(InputError, match=r"datasets\.city\.labels: is missing"):
        find_dataset("city", typed(pairs), labelled=True)


def test_missing_root_is_named():
    with pytest.raises(InputError, match=r"root: missing, expected the path of a folder"):
        settings_of({"layout": "gta5"}, DatasetSettings, "the entry")


def test_message_about_an_unknown_layout_lists_the_known_ones():
    with pytest.raises(
        InputError,
        match=r"datasets\.city\.layout: layout 'kitti' is not known; expected one of gta5, synscapes, .*yaml",
    ):
        find_dataset("city", PublishedSettings(layout="kitti", root="/data"), labelled=False)


def test_root_replaces_the_folder_of_the_list(tmp_path, pairs):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "i.txt").rename(tmp_path / "elsewhere" / "i.txt")
    pairs |= {"images": str(tmp_path / "elsewhere" / "i.txt"), "root": str(tmp_path)}
    assert (
        find_dataset("city", typed(pairs), labelled=False).items[0].image == tmp_path / "images" / "a b.png"
    )


def test_streets_are_found_in_their_folder(tmp_path, pairs):
    # A rendering that was killed leaves such a file.
    (tmp_path / "images" / ".d.123.partial.png").write_bytes(b"half")
    items = find_dataset("game", typed({"layout": "streets"}), True, tmp_path).items
    assert [item.id for item in items] == ["a b", "c.v2", "d"]
    assert items[1].label == tmp_path / "labels" / "c.v2.png"
    assert find_dataset("game", typed({"layout": "streets"}), False, tmp_path).items[1].label is None
    assert dataset_class_table("game", typed({"layout": "streets"})).name == "cityscapes_train_ids"
    assert file_origins("game", typed({"layout": "streets"}), True) == {}


def test_streets_without_scenes_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.game: .*images holds no image"):
        find_dataset("game", typed({"layout": "streets"}), False, tmp_path)
    with pytest.raises(InputError, match=r"datasets\.game: the layout 'streets' needs the folder"):
        find_dataset("game", typed({"layout": "streets"}), False)


def test_class_table_comes_from_the_settings(pairs):
    assert dataset_class_table("city", typed(pairs)).name == "camvid"
    with pytest.raises(InputError, match=r"datasets\.city\.classes: is missing"):
        dataset_class_table("city", typed({"layout": "lists", "images": "i.txt"}))
    with pytest.raises(
        InputError, match=r"datasets\.city\.classes: class table 'kitti' is not known; expected one of"
    ):
        dataset_class_table("city", typed(pairs | {"classes": "kitti"}))


@pytest.mark.parametrize(
    ("images", "ids"),
    [
        (["/d/a.png", "/d/b.c.png"], ["a", "b.c"]),
        (["/d/x/a.png", "/d/y/a.png", "/d/x/b.png"], ["x__a", "y__a", "b"]),
        (["/1/x/a.png", "/2/x/a.png"], ["1__x__a", "2__x__a"]),
        (["/d/a.png", "/d/a.jpg"], ["a.png", "a.jpg"]),
        (["/d/x/a.png", "/d/y/A.png"], ["x__a", "y__A"]),
        (["/d/x/a.png", "/d/y/a.png", "/e/x__a.png"], ["d__x__a", "y__a", "e__x__a"]),
    ],
)
def test_ids_are_stems_with_as_many_folders_as_needed(images, ids):
    assert unique_ids([Path(image) for image in images]) == ids


NAMES = st.text("aAb._", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})


@given(st.sets(st.tuples(NAMES, NAMES, NAMES), max_size=12))
def test_ids_are_unique_or_refused(paths):
    images = [Path("/", *parts) for parts in sorted(paths)]
    try:
        ids = unique_ids(images)
    except InputError:
        # Images may be refused only if their whole paths look the same.
        joined = [str(image).casefold().replace("/", "__") for image in images]
        assert len(set(joined)) < len(joined)
        return
    assert len({image_id.casefold() for image_id in ids}) == len(images)
    assert not any("/" in image_id for image_id in ids)


def test_paths_that_differ_only_in_capitals_are_refused():
    with pytest.raises(InputError, match=r"/d/a\.png and /d/A\.png would have the same id; rename one"):
        unique_ids([Path("/d/a.png"), Path("/d/A.png")])


@pytest.mark.parametrize("slow_s", [0.0, 1000.0])
def test_headers_are_the_same_with_threads_and_without(tmp_path, pairs, monkeypatch, slow_s):
    monkeypatch.setattr(layouts, "TRIED", 1)
    monkeypatch.setattr(layouts, "SLOW_S", slow_s)
    items = find_dataset("city", typed(pairs), labelled=True).items
    assert [item.id for item in items] == ["a b", "c.v2", "d"]
    (tmp_path / "images" / "d.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"i\.txt:3: .*d\.png: is empty"):
        find_dataset("city", typed(pairs), labelled=True)
