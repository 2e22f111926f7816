import os
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.images import write_image
from cotrain.data.photos import paired_folders, photos_below, usable_photos
from cotrain.errors import InputError


def test_images_of_all_folders_below_and_nothing_else(tmp_path):
    names = [
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.jpg",
        "day 2/c.webp",
        ".cache/d.jpg",
        "day 2/e.heic",
        "day 1/f.jpg",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths, others = photos_below(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in paths]
    assert others == {".txt": 1}
    assert found == ["a.PNG", "b.jpg", "day 1/f.jpg", "day 2/c.webp", "day 2/e.heic"]


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path, monkeypatch):
    for name, size in (
        ("a.jpg", (40, 60)),
        ("b.png", (50, 70)),
        ("c.jpg", (40, 60)),
        ("thin.png", (400, 31)),
    ):
        write_image(tmp_path / name, np.full((*size, 3), 90, np.uint8))
    torn = tmp_path / "c.jpg"
    torn.write_bytes(torn.read_bytes()[:-40])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "same.jpg").symlink_to(tmp_path / "a.jpg")
    os.link(tmp_path / "b.png", tmp_path / "hard.png")
    (tmp_path / "two\nlines.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    items, left_out = usable_photos(photos_below(tmp_path)[0], 2)
    assert [(item.id, item.image.name, item.width, item.height) for item in items] == [
        ("0", "a.jpg", 60, 40),
        ("1", "b.png", 70, 50),
        # Another file to everybody who looks.
        ("2", "hard.png", 70, 50),
    ]
    reasons = {path.name: reason for path, reason in left_out.items()}
    assert set(reasons) == {"c.jpg", "empty.jpg", "text.png", "same.jpg", "two\nlines.jpg", "thin.png"}
    assert reasons["same.jpg"] == f"the same file as {tmp_path / 'a.jpg'}"
    assert reasons["thin.png"] == "has 31×400 pixels, expected at least 32 a side"
    assert "tab or a line end" in reasons["two\nlines.jpg"]
    assert str(tmp_path) not in reasons["text.png"]


def test_paths_in_a_list_are_absolute(tmp_path, monkeypatch):
    write_image(tmp_path / "a.jpg", np.zeros((40, 60, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    items, _ = usable_photos([Path("a.jpg")], 1)
    assert items[0].image == tmp_path / "a.jpg"


def touch(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        # In their order the second image would get the first label.
        (
            ["a.jpg", "a_b.jpg"],
            ["a_label.png", "a_b_label.png"],
            [("a.jpg", "a_label.png"), ("a_b.jpg", "a_b_label.png")],
        ),
        (["x/1.png", "y/1.png"], ["x/1.png", "y/1.png"], [("x/1.png",) * 2, ("y/1.png",) * 2]),
        (["one.jpg"], ["label of it.tif"], [("one.jpg", "label of it.tif")]),
        (["11.png", "21.png"], ["11_L.png", "21_L.png"], [("11.png", "11_L.png"), ("21.png", "21_L.png")]),
        # The numbers say which belong together; the words before them do not matter.
        (
            ["img_10.png", "img_11.png"],
            ["label-11.png", "label-10.png"],
            [("img_10.png", "label-10.png"), ("img_11.png", "label-11.png")],
        ),
        # A number that only one of the two has says nothing against them.
        (
            ["cam2_01.png", "cam2_02.png"],
            ["01.png", "02.png"],
            [("cam2_01.png", "01.png"), ("cam2_02.png", "02.png")],
        ),
        (
            ["ulm_0_leftImg8bit.png", "ulm_1_leftImg8bit.png"],
            ["ulm_0_gtFine_labelIds.png", "ulm_1_gtFine_labelIds.png"],
            [(f"ulm_{i}_leftImg8bit.png", f"ulm_{i}_gtFine_labelIds.png") for i in (0, 1)],
        ),
    ],
)
def test_folders_are_paired_by_name(tmp_path, images, labels, expected):
    touch(tmp_path / "images", images)
    touch(tmp_path / "labels", labels)
    pairs = paired_folders(tmp_path / "images", tmp_path / "labels")
    folders = tmp_path / "images", tmp_path / "labels"
    found = [tuple(str(p.relative_to(f)) for p, f in zip(pair, folders, strict=True)) for pair in pairs]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a_10.png", "a_11.png"], ""),
        (
            ["10_L.png", "11_L.png"],
            "images and labels: by what differs in their names, 10_L.png belongs to a_10.png",
        ),
    ],
)
def test_names_that_differ_are_paired_and_told(tmp_path, monkeypatch, caplog, labels, message):
    monkeypatch.chdir(tmp_path)
    touch(Path("images"), ["a_10.png", "a_11.png"])
    touch(Path("labels"), labels)
    with caplog.at_level("INFO", logger="cotrain"):
        paired_folders(Path("images"), Path("labels"))
    assert caplog.messages == [message] * bool(message)


@pytest.mark.parametrize(
    ("images", "labels", "alone"),
    [
        # Their last digits are the same, and they are other numbers.
        (["1", "2", "3"], ["11", "12", "13"], ("i/1.png", "label", "3 of 3")),
        (["1"], ["11"], ("i/1.png", "label", "1 of 1")),
        (["a1", "a2"], ["a11", "a12"], ("i/a1.png", "label", "2 of 2")),
        # The second is no end of the first.
        (["cat", "car"], ["dot", "dor"], ("i/car.png", "label", "2 of 2")),
        # Other days, and other cameras.
        (
            ["05-01_0", "05-01_1"],
            ["05-02_0", "05-02_1"],
            ("i/05-01_0.png", "label", "2 of 2"),
        ),
        (
            ["0_cam1", "1_cam1"],
            ["0_cam2", "1_cam2"],
            ("i/0_cam1.png", "label", "2 of 2"),
        ),
        (["1/a", "1/b"], ["2/a", "2/b"], ("i/1/a.png", "label", "2 of 2")),
        # Only those without a partner count, whatever else the names have in common.
        (
            ["img_10", "img_11", "img_20"],
            ["img_10", "img_11"],
            ("i/img_20.png", "label", "1 of 3"),
        ),
        (["a", "b"], ["a"], ("i/b.png", "label", "1 of 2")),
        (["a"], ["a", "b"], ("l/b.png", "image", "1 of 2")),
        (
            ["a_x", "b_x", "c_x"],
            ["a_y", "b_y"],
            ("i/c_x.png", "label", "1 of 3"),
        ),
    ],
)
def test_the_files_without_a_partner_are_counted(tmp_path, monkeypatch, images, labels, alone):
    monkeypatch.chdir(tmp_path)
    touch(Path("i"), [f"{name}.png" for name in images])
    touch(Path("l"), [f"{name}.png" for name in labels])
    with pytest.raises(InputError) as caught:
        paired_folders(Path("i"), Path("l"))
    first, missing, number = alone
    other = "l" if missing == "label" else "i"
    assert str(caught.value) == (
        f"{first}: there is no {missing} of this name in {other} (so for {number} files); give the two the "
        "same names, or write two lists in the same order"
    )


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            ["a.jpg", "b.jpg", "d.jpg"],
            ["b.png", "d.png", "e.png"],
            r"a\.jpg: there is no label of this name in .*1 of 3",
        ),
        (["a.jpg", "b.jpg"], ["a.png", "b.png", "e.png"], r"e\.png: there is no image of this name"),
        (["a.jpg", "a.png"], ["a.png"], r"a\.jpg and .*a\.png have the same name; rename one of them"),
        (
            ["a.jpg", "a.png", "b/c.jpg", "b/c.bmp"],
            ["a.png"],
            r"a\.jpg and .*a\.png have the same name \(2 such names in all\); rename one of them, or write",
        ),
        (["a.jpg"], ["b/a\nb.png"], r"labels: the name 'b/a\\nb\.png' holds a tab or line end"),
        (["caf\udce9.jpg"], ["a.png"], r"images: the name 'caf\\udce9\.jpg' holds .* not UTF-8 text"),
        (["a.jpg"], ["notes.txt"], r"labels: holds no file whose name ends in \.png"),
    ],
)
def test_folders_that_do_not_belong_together(tmp_path, images, labels, message):
    touch(tmp_path / "images", images)
    touch(tmp_path / "labels", labels)
    with pytest.raises(InputError, match=message):
        paired_folders(tmp_path / "images", tmp_path / "labels")
