from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cotrain.data.checks import check_items, fold, raise_problems, ranges
from cotrain.data.class_tables import ClassTable, class_table, translation_table
from cotrain.data.counting import count_ids
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress

SPACE = label_space("camvid11")
TABLE = class_table("camvid")


@pytest.fixture
def items(tmp_path):
    """Three images of 6×4; label k holds k pixels of road and 24 − k of void."""
    three_items = []
    for number in range(3):
        image, label = tmp_path / f"i{number}.png", tmp_path / f"l{number}.png"
        write_image(image, np.zeros((4, 6, 3), np.uint8))
        ids = np.full(24, 11, np.uint8)
        ids[:number] = 3
        write_label(label, ids.reshape(4, 6), [])
        three_items.append(Item(str(number), image, 6, 4, label))
    return three_items


def check(items, table=TABLE, origins=None, quick=False):
    with Progress(len(items), "images", "checking") as progress:
        return check_items(items, table, SPACE, origins or {}, 2, progress, "datasets.city", quick)


def problems(items, table=TABLE, origins=None, quick=False):
    with pytest.raises(InputError) as caught:
        check(items, table, origins, quick)
    return str(caught.value).splitlines()


def test_report_counts_images_sizes_and_pixels(items):
    report = check(items)
    assert report["images"] == 3
    assert report["sizes"] == {"6x4": 3}
    assert report["void_pixels"] == 3 * 24 - 3
    assert list(report["classes"]) == list(SPACE.classes)
    assert report["classes"]["road"] == {"pixels": 3, "share": 1.0, "images": 2}
    assert report["classes"]["car"] == {"pixels": 0, "share": 0.0, "images": 0}


def test_without_table_no_label_is_opened(items):
    for item in items:
        item.label.unlink()
    assert check(items, table=None) == {
        "images": 3,
        "sizes": {"6x4": 3},
        "turned": [],
        "converted": {},
        "warnings": [],
    }


def test_one_message_lists_all_problems_with_the_lines_of_the_lists(items):
    items[0].label.unlink()
    Image.new("F", (6, 4)).save(items[1].image, format="TIFF")
    write_label(items[1].label, np.zeros((6, 4), np.uint8), [])
    content = items[2].image.read_bytes()
    items[2].image.write_bytes(content[:45])
    write_label(items[2].label, np.array([[3, 12, 13, 200, 255, 3]] * 4, np.uint8), [])
    origins = {items[0].label: "l.txt:1", items[1].image: "i.txt:2", items[2].label: "l.txt:4"}
    found = problems(items, origins=origins)
    assert found[0] == "datasets.city: 5 problems:"
    assert found[1] == f"  l.txt:1: {items[0].label}: cannot be read (No such file or directory)"
    assert found[2] == f"  i.txt:2: {items[1].image}: has 1 channel (float), expected a photo of 8 or 16 bit"
    assert found[3] == f"  {items[1].label}: is 4×6, expected 6×4 as its image {items[1].image}"
    assert found[4].startswith(f"  {items[2].image}: cannot be decoded, perhaps it is truncated")
    assert found[5] == (
        f"  l.txt:4: {items[2].label}: holds the ids 12-13, 200, 255, expected class table 'camvid': 0-11"
    )


@pytest.mark.parametrize("quick", [False, True])
def test_image_that_changed_its_size_since_the_manifest_is_named(items, quick):
    write_image(items[0].image, np.zeros((8, 6, 3), np.uint8))
    # The label fits the new size of the image, so there is no second problem.
    write_label(items[0].label, np.zeros((8, 6), np.uint8), [])
    assert problems(items, quick=quick) == [
        "datasets.city: 1 problem:",
        f"  {items[0].image}: is 6×8 now, 6×4 in the manifest",
    ]


def test_item_without_label_is_named(items):
    bare = Item("0", items[0].image, 6, 4)
    assert problems([bare]) == ["datasets.city: 1 problem:", f"  {bare.image}: the manifest gives no label"]


def test_labels_of_only_void_are_refused(items):
    assert "all labels are void: no pixel of class table 'camvid'" in problems(items[:1])[1]


def test_first_ten_problems_and_the_total_are_shown():
    raise_problems("x", [])
    with pytest.raises(InputError) as caught:
        raise_problems("x", [str(number) for number in range(11)])
    assert str(caught.value) == "x: 11 problems, the first 10:\n" + "\n".join(f"  {n}" for n in range(10))


def test_folded_counts_equal_the_counts_of_the_translated_label():
    label = np.random.default_rng(4).integers(0, 256, (50, 40), dtype=np.uint8)
    lookup = translation_table(class_table("cityscapes_ids"), SPACE)
    np.testing.assert_array_equal(fold(count_ids(label), lookup), count_ids(lookup[label]))
    assert count_ids(label).sum() == 2000


def test_ranges_are_short():
    assert ranges([]) == ""
    assert ranges([5]) == "5"
    assert ranges([0, 1, 2, 5, 7, 8, 255]) == "0-2, 5, 7-8, 255"


def test_report_lists_every_id_and_its_class(items):
    report = check(items)
    assert report["ids"] == {
        "3": {"name": "road", "class": "road", "pixels": 3, "images": 2},
        "11": {"name": None, "class": None, "pixels": 69, "images": 3},
    }


def test_quick_check_reads_only_headers(items):
    for item in items:
        # Cut within the pixels, so the header is complete.
        item.image.write_bytes(item.image.read_bytes()[:45])
    with Progress(3, "images", "checking") as progress:
        report = check_items(items, TABLE, SPACE, {}, 1, progress, quick=True)
    assert report == {"images": 3, "sizes": {"6x4": 3}, "turned": [], "converted": {}, "warnings": []}
    write_label(items[0].label, np.zeros((6, 4), np.uint8), [])
    Image.new("F", (6, 4)).save(items[1].image, format="TIFF")
    Image.new("RGB", (6, 4)).save(items[2].label)
    bare = replace(items[2], label=None)
    with Progress(4, "images", "checking") as progress, pytest.raises(InputError) as caught:
        check_items([*items, bare], TABLE, SPACE, {items[1].image: "i.txt:2"}, 1, progress, quick=True)
    assert str(caught.value).splitlines() == [
        "data: 4 problems:",
        f"  {items[0].label}: is 4×6, expected 6×4 as its image {items[0].image}",
        f"  i.txt:2: {items[1].image}: has 1 channel (float), expected a photo of 8 or 16 bit",
        f"  {items[2].label}: has 3 channels (RGB), expected the encoding 'ids'",
        f"  {bare.image}: the manifest gives no label",
    ]


@pytest.mark.parametrize("quick", [False, True])
def test_images_of_other_channels_are_counted(items, quick):
    Image.new("L", (6, 4)).save(items[0].image)
    Image.new("RGBA", (6, 4)).save(items[1].image)
    Image.new("RGBA", (6, 4)).save(items[2].image)
    with Progress(3, "images", "checking") as progress:
        report = check_items(items, None, SPACE, {}, 1, progress, quick=quick)
    assert report["converted"] == {
        "4 channels (RGBA): alpha is dropped": 2,
        "1 channel (grey): grey is repeated in three channels": 1,
    }


def test_turned_images_are_counted(items, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (4, 6)).save(tmp_path / "phone.jpg", exif=exif)
    phone = Item("phone", tmp_path / "phone.jpg", 6, 4, items[1].label)
    assert check([items[1], phone])["turned"] == [str(phone.image)]
    phone = replace(phone, label=items[0].label)
    write_label(items[0].label, np.zeros((6, 4), np.uint8), [])
    (line,) = problems([phone])[1:]
    assert line.endswith("phone.jpg, which is turned upright according to its EXIF orientation")


def test_train_ids_in_place_of_ids_are_recognised(items):
    table = class_table("cityscapes_ids")
    write_label(items[0].label, np.array([[0, 10, 13, 255, 255, 18]] * 4, np.uint8), [])
    (line,) = problems(items[:1], table)[1:]
    assert line.endswith(
        "holds the ids 255, expected class table 'cityscapes_ids': 0-33; these look like train ids: give the "
        "labelIds files, or the class table that these labels have, such as cityscapes_train_ids"
    )
    # Only Cityscapes has such files.
    write_label(items[0].label, np.array([[0, 10, 7, 255, 255, 8]] * 4, np.uint8), [])
    (line,) = problems(items[:1], class_table("camvid"))[1:]
    assert line.endswith("holds the ids 255, expected class table 'camvid': 0-11")
    # Train ids end at 18: with 26 they are label ids, and only 255 is wrong.
    write_label(items[0].label, np.array([[7, 7, 26, 255, 255, 7]] * 4, np.uint8), [])
    (line,) = problems(items[:1], table)[1:]
    assert line.endswith("holds the ids 255, expected class table 'cityscapes_ids': 0-33")
    # Without void, each file alone could hold label ids.
    write_label(items[0].label, np.array([[0, 10, 13, 8, 7, 18]] * 4, np.uint8), [])
    (line,) = problems(items[:1], table)[1:]
    assert "no label file holds an id above 18, so neither sky nor car, expected ids of class table " in line
    assert "these look like train ids: give the labelIds files, or the class table that these" in line
    # Secret labels hold only void, whose ids are small.
    write_label(items[0].label, np.array([[0, 1, 3, 3, 3, 3]] * 4, np.uint8), [])
    (line,) = problems(items[:1], table)[1:]
    assert "all labels are void" in line


def test_labels_of_another_version_are_recognised_by_their_colours(items):
    table = ClassTable("mapillary", {3: "road", 11: None}, palette=((0, 0, 0),) * 3 + ((1, 2, 3),) * 9)
    palette = [(0, 0, 0)] * 3 + [(1, 2, 3)] * 9
    for item in items[1:]:
        write_label(item.label, np.full((4, 6), 3, np.uint8), palette)
    check(items[1:], table)
    write_label(items[1].label, np.full((4, 6), 3, np.uint8), [(9, 9, 9)] * 12)
    (line,) = problems(items[1:], table)[1:]
    assert "id 3 has the colour (9, 9, 9), but the dataset's list of classes gives it (1, 2, 3)" in line


def test_a_label_of_two_images_is_a_warning_with_its_lines(items):
    assert check(items)["warnings"] == []
    twice = [items[1], replace(items[2], label=items[1].label)]
    origins = {items[1].image: "i.txt:2", items[2].image: "i.txt:3"}
    (warning,) = check(twice, origins=origins)["warnings"]
    assert warning == (
        f"1 label file belongs to several images: {items[1].label} is the label of i.txt:2: {items[1].image} "
        f"and i.txt:3: {items[2].image}; expected a label for each image, unless the images show the same "
        "scene"
    )


def test_labels_of_another_table_are_a_warning(tmp_path):
    """Ten labels of CamVid, read as train ids of Cityscapes: its road is their wall, its tree their pole."""
    # Sky, building, pole, road, sidewalk, tree, car, cyclist, in thousandths.
    ids = np.repeat([0, 1, 2, 3, 4, 5, 8, 10], [180, 250, 10, 330, 50, 110, 67, 3])
    items = []
    for number in range(10):
        write_image(tmp_path / f"{number}.png", np.zeros((100, 120, 3), np.uint8))
        write_label(tmp_path / f"l{number}.png", np.repeat(ids, 12).reshape(100, 120).astype(np.uint8), [])
        items.append(Item(str(number), tmp_path / f"{number}.png", 120, 100, tmp_path / f"l{number}.png"))
    assert check(items)["warnings"] == []
    (warning,) = check(items, class_table("cityscapes_train_ids"))["warnings"]
    assert warning == (
        "not the pixels of streets: wall (33 %, in streets at most 12 %), pole (11 %, in streets at most "
        "6 %) and sky (0.3 %, in streets at least 0.5 %). Is 'cityscapes_train_ids' the class table of these "
        "label files?"
    )
