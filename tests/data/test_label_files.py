from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.files import sha256_of
from cotrain.data.images import write_grey, write_image, write_label
from cotrain.data.label_files import (
    TrainIdReader,
    check_palette,
    names_of,
    paired_label_files,
    read_label_files,
)
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError

SPACE = label_space("camvid11")


def write_labels(folder, *names):
    for name in names:
        write_label(folder / f"{name}.png", np.zeros((2, 3), np.uint8), [])
    return folder


def write_list(path, *paths):
    path.write_text("".join(f"{line}\n" for line in paths))
    return path


def manifest(path, *ids):
    folder = path.parent
    write_labels(folder / "of manifest", *ids)
    write_manifest(
        path, [Item(i, folder / f"{i}.jpg", 3, 2, folder / "of manifest" / f"{i}.png") for i in ids]
    )
    return path


def test_a_list_gives_places(tmp_path):
    source = write_list(tmp_path / "list.txt", "a.png", "", "b.png")
    files = read_label_files(source)
    assert [file.path for file in files] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert [file.origin for file in files] == [f"{source}, line 1", f"{source}, line 3"]
    assert [file.name for file in files] == [None, None]


def test_a_manifest_gives_ids_and_images(tmp_path):
    [file] = read_label_files(manifest(tmp_path / "m.tsv", "x"))
    assert (file.path, file.name) == (tmp_path / "of manifest" / "x.png", "x")
    assert file.image == tmp_path / "x.jpg"
    assert file.origin.endswith("m.tsv, image 'x'")


def test_a_folder_gives_stems(tmp_path):
    write_labels(tmp_path / "in", "b", "a", ".hidden")
    (tmp_path / "in" / "notes.txt").write_text("no label")
    assert [file.name for file in read_label_files(tmp_path / "in")] == ["a", "b"]


def test_images_by_place_or_by_name(tmp_path):
    labels = write_labels(tmp_path / "labels", "a", "b")
    for name in ("b.jpg", "a.png", "c.jpg"):
        write_image(tmp_path / "images" / name, np.zeros((2, 3, 3), np.uint8))
    by_name = read_label_files(labels, tmp_path / "images")
    assert [file.image.name for file in by_name] == ["a.png", "b.jpg"]
    listed = write_list(tmp_path / "images.txt", "z.jpg", "y.jpg")
    by_place = read_label_files(labels, listed)
    assert [file.image.name for file in by_place] == ["z.jpg", "y.jpg"]


def test_images_that_do_not_fit_are_named(tmp_path):
    labels = write_labels(tmp_path / "labels", "a", "b")
    write_image(tmp_path / "images" / "a.jpg", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"1 of 2 labels has no image with the same name, .*b\.png"):
        read_label_files(labels, tmp_path / "images")
    with pytest.raises(InputError, match=r"images\.txt lists 1 image, .*labels 2 labels"):
        read_label_files(labels, write_list(tmp_path / "images.txt", "a.jpg"))


def test_a_manifest_without_labels_is_refused(tmp_path):
    write_manifest(tmp_path / "m.tsv", [Item("x", tmp_path / "x.jpg", 3, 2)])
    with pytest.raises(InputError, match=r"m\.tsv: 1 of 1 label is bad: image 'x' has no label"):
        read_label_files(tmp_path / "m.tsv")


def test_a_label_that_changed_since_its_manifest_was_written_is_named(tmp_path):
    label = write_labels(tmp_path, "x") / "x.png"
    item = Item("x", tmp_path / "x.jpg", 3, 2, label, label_sha256=sha256_of(label))
    write_manifest(tmp_path / "m.tsv", [item])
    assert len(read_label_files(tmp_path / "m.tsv")) == 1
    write_label(label, np.ones((2, 3), np.uint8), [])
    with pytest.raises(InputError, match=r"m\.tsv: 1 of 1 label is bad: .*x\.png has changed since"):
        read_label_files(tmp_path / "m.tsv")


def names(pairs):
    return [(first.path.stem, second.path.stem) for first, second in pairs]


def test_lists_are_paired_by_position_even_with_sources_that_have_names(tmp_path):
    listed = write_list(tmp_path / "list.txt", "y.png", "x.png")
    folder = write_labels(tmp_path / "folder", "a", "b")
    assert names(paired_label_files(listed, folder)) == [("y", "a"), ("x", "b")]
    assert names(paired_label_files(folder, listed)) == [("a", "y"), ("b", "x")]
    longer = write_list(tmp_path / "longer.txt", "1.png", "2.png", "3.png")
    for complete in (True, False):
        with pytest.raises(
            InputError, match=r"list\.txt lists 2 files, .*longer\.txt 3; expected equally many"
        ):
            paired_label_files(listed, longer, complete=complete)


def test_manifests_and_folders_are_paired_by_name(tmp_path):
    folder = write_labels(tmp_path / "folder", "a", "b", "c")
    some = manifest(tmp_path / "m.tsv", "c", "a")
    assert names(paired_label_files(some, folder, complete=False)) == [("c", "c"), ("a", "a")]
    with pytest.raises(InputError, match=r"folder: 1 file has no partner in .*m\.tsv, the first is 'b'"):
        paired_label_files(some, folder)
    other = manifest(tmp_path / "other.tsv", "a", "d")
    with pytest.raises(InputError, match=r"other\.tsv: 1 file has no partner in .*folder, the first is 'd'"):
        paired_label_files(other, folder, complete=False)


def test_files_that_are_paired_by_place_must_be_in_one_order(tmp_path):
    first = write_list(tmp_path / "p.txt", "p/s0.png", "p/s1.png", "p/s2.png")
    second = write_list(tmp_path / "l.txt", "l/s2_L.png", "l/s0_L.png", "l/s1_L.png")
    message = (
        r"p\.txt, line 1: .*/p/s0\.png is paired with .*l\.txt, line 1: .*s2_L\.png; expected .*s0_L\.png"
    )
    with pytest.raises(InputError, match=message):
        paired_label_files(first, second)
    with pytest.raises(InputError, match=r"l\.txt, line 1: .* is paired with .*p\.txt, line 1"):
        read_label_files(second, first)
    # A folder has names, but a list has none to pair them by.
    folder = write_labels(tmp_path / "folder", "f0", "f1", "f2")
    with pytest.raises(InputError, match=r"^[^:]*folder/f0\.png is paired with .*line 1: .*s2_L"):
        paired_label_files(folder, second)


def test_a_label_that_is_listed_twice_is_a_warning(tmp_path, caplog):
    read_label_files(write_list(tmp_path / "once.txt", "a.png", "b.png"))
    assert not caplog.messages
    read_label_files(write_list(tmp_path / "twice.txt", "a.png", "b.png", "x/../a.png"))
    twice = tmp_path / "twice.txt"
    assert caplog.messages == [
        f"warning: {twice}, line 3: {tmp_path}/a.png is already {twice}, line 1 (1 of 3 files is "
        "listed again)"
    ]


def test_pairs_take_the_images_of_the_first(tmp_path):
    first, second = (write_list(tmp_path / f"{name}.txt", f"{name}.png") for name in ("a", "b"))
    [(one, two)] = paired_label_files(first, second, write_list(tmp_path / "images.txt", "i.jpg"))
    assert one.image == tmp_path / "i.jpg"
    assert two.image is None


def test_names_differ(tmp_path):
    listed = write_list(tmp_path / "list.txt", "x/a.png", "y/a.png", "b.png")
    assert names_of(read_label_files(listed)) == ["x__a", "y__a", "b"]
    assert names_of(read_label_files(manifest(tmp_path / "m.tsv", "n.1", "n.2"))) == ["n.1", "n.2"]
    with pytest.raises(InputError, match="rename one of them"):
        names_of(read_label_files(write_list(tmp_path / "twice.txt", "a.png", "a.png")))


class TestTrainIds:
    """Reading labels as train ids."""

    def test_train_ids_stay(self, tmp_path):
        label = np.array([[0, 10, 255]], np.uint8)
        write_label(tmp_path / "a.png", label, SPACE.palette)
        np.testing.assert_array_equal(TrainIdReader(SPACE).read(tmp_path / "a.png"), label)

    def test_ids_of_a_dataset_are_translated(self, tmp_path):
        # Cityscapes' label ids: road, terrain (a tree in CamVid), bus (a car), void.
        write_grey(tmp_path / "a.png", np.array([[7, 22, 28, 0]], np.uint8))
        read = TrainIdReader(SPACE, "cityscapes_ids").read(tmp_path / "a.png")
        assert read.tolist() == [[3, 5, 8, 255]]

    def test_strange_ids_are_named(self, tmp_path):
        write_grey(tmp_path / "a.png", np.array([[0, 11]], np.uint8))
        with pytest.raises(InputError) as caught:
            TrainIdReader(SPACE).read(tmp_path / "a.png")
        assert str(caught.value) == (
            f"{tmp_path}/a.png: found id 11, which 'camvid11' does not list; expected train ids of camvid11: "
            "0 to 10, and 255 for void"
        )
        # Only a step that has the flag can take the advice.
        with pytest.raises(InputError) as caught:
            TrainIdReader(SPACE, flag="--classes").read(tmp_path / "a.png")
        assert str(caught.value) == (
            f"{tmp_path}/a.png: found id 11, which 'camvid11' does not list; name the class table of the "
            "dataset's label files with --classes"
        )

    def test_unknown_tables_are_named(self):
        with pytest.raises(InputError, match="class table 'nonsense' is not known"):
            TrainIdReader(SPACE, "nonsense")


def test_missing_sources_are_named():
    with pytest.raises(InputError, match=r"nowhere\.tsv: manifest cannot be read"):
        read_label_files(Path("nowhere.tsv"))
    with pytest.raises(InputError, match=r"nowhere\.txt: list cannot be read"):
        read_label_files(Path("nowhere.txt"))


def test_colours_of_another_label_space_are_refused_and_unknown_colours_accepted(tmp_path):
    space = label_space("camvid11")
    label = np.zeros((4, 6), np.uint8)

    def check(palette):
        write_label(tmp_path / "label.png", label, palette)
        check_palette([Item("a", tmp_path / "a.png", 6, 4, tmp_path / "label.png")], space)

    check(space.palette)
    # Grey, and the colours of another tool.
    check([])
    check([(128, 0, 0), (0, 128, 0)])
    with pytest.raises(InputError, match=r"label\.png: has the colours of label space synthia16"):
        check(label_space("synthia16").palette)
    check_palette([Item("a", tmp_path / "a.png", 6, 4)], space)


def test_colours_of_the_same_classes_may_differ(tmp_path):
    """A user's label space with the classes of Cityscapes in other colours has the same train ids."""
    original = label_space("cityscapes19")
    own = replace(original, name="own", palette=tuple((number, 0, 0) for number in range(19)))
    write_label(tmp_path / "label.png", np.zeros((4, 6), np.uint8), original.palette)
    check_palette([Item("a", tmp_path / "a.png", 6, 4, tmp_path / "label.png")], own)
