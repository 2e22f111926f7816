import os

import numpy as np
import pytest
from PIL import Image

from cotrain.data.cityscapes_export import export_as_cityscapes, exported_ids
from cotrain.data.class_tables import class_table, translation_table
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import dataset_class_table, find_dataset
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress
from tests.miniature import typed

SIZE = (6, 8)


def write_item(folder, name, space, suffix=".png", seed=0):
    """Write an image and a label of random train ids, including void."""
    rng = np.random.default_rng(seed)
    image = folder / "camera" / f"{name}{suffix}"
    write_image(image, rng.integers(0, 256, (*SIZE, 3), np.uint8))
    label = folder / "labels" / f"{name}.png"
    ids = rng.integers(0, space.number_of_classes + 1, SIZE).astype(np.uint8)
    write_label(label, np.where(ids == space.number_of_classes, 255, ids).astype(np.uint8), space.palette)
    return Item(name, image, SIZE[1], SIZE[0], label)


def export(items, folder, space, city=None, copy=False):
    with Progress(len(items), "images", "export") as progress:
        return export_as_cityscapes(items, folder, space, city, copy, 2, progress)


@pytest.mark.parametrize("name", ["cityscapes19", "synthia16", "synthia13", "cityscapes7", "camvid11"])
def test_our_layout_reads_the_same_train_ids_back(tmp_path, name):
    space = label_space(name)
    items = [
        write_item(tmp_path, f"{number}", space, suffix, number)
        for number, suffix in enumerate((".png", ".jpg"))
    ]
    ids = export(items, tmp_path / "out", space)
    settings = {"layout": "cityscapes", "root": str(tmp_path / "out"), "split": "train"}
    assert ids.of_cityscapes == (name in ("cityscapes19", "synthia16", "synthia13"))
    if not ids.of_cityscapes:
        settings["classes"] = str(tmp_path / "out" / "classes.yaml")
        space = label_space(str(tmp_path / "out" / "label_space.yaml"))
        assert space.classes == label_space(name).classes
        assert space.palette == label_space(name).palette
    found = find_dataset("exported", typed(settings), labelled=True).items
    to_train_id = translation_table(dataset_class_table("exported", typed(settings)), space)
    assert [item.image.suffix for item in found] == [".png", ".jpg"]
    for item, original in zip(found, items, strict=True):
        np.testing.assert_array_equal(to_train_id[read_label(item.label)], read_label(original.label))
        np.testing.assert_array_equal(read_image(item.image), read_image(original.image))


def test_ids_are_those_of_cityscapes_also_for_a_part_of_its_classes():
    """Without terrain, sky is class 9 of the space, but train id 10 of Cityscapes."""
    space = label_space("synthia16")
    ids, sky = exported_ids(space), space.classes.index("sky")
    assert sky == 9
    assert (ids.label_ids[sky], ids.train_ids[sky]) == (23, 10)
    assert (ids.label_ids[255], ids.train_ids[255]) == (0, 255)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_label_files_are_grey_as_the_official_ones(tmp_path, kind):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "a", space)
    export([item], tmp_path / "out", space, city="zurich")
    path = tmp_path / "out" / "gtFine" / "train" / "zurich" / f"a_gtFine_{kind}.png"
    assert Image.open(path).mode == "L"
    table = {"labelIds": "cityscapes_ids", "labelTrainIds": "cityscapes_train_ids"}[kind]
    read = TrainIdReader(space, table).read(path)
    np.testing.assert_array_equal(read, read_label(item.label))
    assert class_table(table).ids[int(read_label(path)[0, 0])] in (*space.classes, None)


def test_images_of_cityscapes_get_their_names_back(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "aachen_000000_000019_leftImg8bit", space)
    export([item], tmp_path / "out", space)
    names = sorted(path.name for path in (tmp_path / "out").rglob("aachen*"))
    assert names == [
        "aachen_000000_000019_gtFine_labelIds.png",
        "aachen_000000_000019_gtFine_labelTrainIds.png",
        "aachen_000000_000019_leftImg8bit.png",
    ]


def test_images_are_links_or_copies(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "a", space, ".jpg")
    exported = tmp_path / "out" / "leftImg8bit" / "train" / "camera" / "a_leftImg8bit.jpg"
    os.chmod(item.image, 0o444)
    export([item], tmp_path / "out", space)
    assert exported.is_symlink()
    assert exported.resolve() == item.image.resolve()
    export([item], tmp_path / "out", space, copy=True)
    assert not exported.is_symlink()
    assert exported.read_bytes() == item.image.read_bytes()
    # And back again: the copy is replaced, the image itself stays.
    export([item], tmp_path / "out", space)
    assert exported.is_symlink()
    assert item.image.is_file()


def test_an_image_that_exif_turns_is_written_upright(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "a", space)
    picture = Image.open(item.image).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers must turn it by 90° to the right
    turned = item.image.with_suffix(".jpg")
    picture.save(turned, exif=exif, quality=100, subsampling=0)
    assert Image.open(turned).size == SIZE
    export([Item("a", turned, SIZE[1], SIZE[0], item.label)], tmp_path / "out", space)
    [exported] = (tmp_path / "out" / "leftImg8bit").rglob("*.*")
    assert exported.suffix == ".png"
    assert Image.open(exported).size == (SIZE[1], SIZE[0])
    np.testing.assert_array_equal(np.array(Image.open(exported)), read_image(turned))


def test_another_format_becomes_png(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "a", space)
    other = item.image.with_suffix(".bmp")
    Image.open(item.image).save(other)
    export([Item("a", other, SIZE[1], SIZE[0], item.label)], tmp_path / "out", space)
    [exported] = (tmp_path / "out" / "leftImg8bit").rglob("*.*")
    assert exported.name == "a_leftImg8bit.png"
    np.testing.assert_array_equal(read_image(exported), read_image(item.image))


def test_another_export_in_the_folder_is_named(tmp_path):
    space = label_space("cityscapes19")
    first, second = (write_item(tmp_path, name, space) for name in "ab")
    export([first, second], tmp_path / "out", space)
    with pytest.raises(
        InputError, match=r"out: holds .*b_.*, which does not belong to this export; expected"
    ):
        export([first], tmp_path / "out", space)


def test_two_images_of_one_name_are_named(tmp_path):
    space = label_space("cityscapes19")
    items = [write_item(tmp_path, name, space) for name in ("a", "a_leftImg8bit")]
    with pytest.raises(
        InputError, match=r"a\.png and .*a_leftImg8bit\.png would both be called camera/a_left"
    ):
        export(items, tmp_path / "out", space)
    assert not (tmp_path / "out").exists()


def test_a_label_that_does_not_fit_is_named(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "a", space)
    with pytest.raises(InputError, match=r"a\.png: is 8×6, but its image .*a\.png is 9×6"):
        export([Item("a", item.image, 9, 6, item.label)], tmp_path / "out", space)
    with pytest.raises(InputError, match="image 'a' has no label to export"):
        export([Item("a", item.image, 8, 6)], tmp_path / "out", space)
    # The label belongs to another label space. It is grey, so its colours do not show that.
    write_label(item.label, read_label(item.label), [])
    with pytest.raises(
        InputError, match=r"found id .*, which 'cityscapes7' does not list; expected train ids"
    ):
        export([item], tmp_path / "out", label_space("cityscapes7"))


def test_a_dataset_is_not_exported_over_itself(tmp_path):
    space = label_space("cityscapes19")
    item = write_item(tmp_path, "1", space)
    image = tmp_path / "city" / "leftImg8bit" / "train" / "bonn" / "1_leftImg8bit.png"
    write_image(image, read_image(item.image))
    before = image.read_bytes()
    of_city = Item("1_leftImg8bit", image, SIZE[1], SIZE[0], item.label)
    with pytest.raises(
        InputError, match=r"bonn/1_leftImg8bit\.png is also an input and would be overwritten"
    ):
        export([of_city], tmp_path / "city", space)
    assert image.read_bytes() == before
    assert not image.is_symlink()


def test_labels_of_another_label_space_are_refused(tmp_path):
    item = write_item(tmp_path, "1", label_space("cityscapes7"))
    with pytest.raises(InputError, match=r"1\.png: has the colours of label space cityscapes7"):
        export([item], tmp_path / "out", label_space("cityscapes19"))
