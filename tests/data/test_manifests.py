import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotrain.data.files import sha256_of
from cotrain.data.manifests import Item, read_manifest, verify_labels, write_manifest
from cotrain.errors import InputError


def test_items_come_back_as_written(tmp_path):
    items = [
        Item(
            "a", tmp_path / "with space" / "ä.png", 480, 360, tmp_path / "a.png", "ab12" * 16, 0.1 + 0.2, 7, 3
        ),
        Item("b", tmp_path / "b.png", 10, 20),
    ]
    write_manifest(tmp_path / "manifest.tsv", items)
    assert read_manifest(tmp_path / "manifest.tsv") == items


@given(score=st.floats(0, 1), pixels=st.integers(0, 2**40))
def test_numbers_come_back_exactly(tmp_path_factory, score, pixels):
    path = tmp_path_factory.mktemp("numbers") / "manifest.tsv"
    item = Item("a", path.parent / "a.png", 2**20, 2**20, score=score, kept_pixels=pixels)
    write_manifest(path, [item])
    assert read_manifest(path) == [item]


def test_columns_that_no_item_has_are_left_out(tmp_path):
    write_manifest(tmp_path / "manifest.tsv", [Item("a", tmp_path / "a.png", 480, 360)])
    assert (
        tmp_path / "manifest.tsv"
    ).read_text() == f"id\timage\twidth\theight\na\t{tmp_path}/a.png\t480\t360\n"


def test_empty_manifest_can_be_written_and_read(tmp_path):
    write_manifest(tmp_path / "manifest.tsv", [])
    assert read_manifest(tmp_path / "manifest.tsv") == []


def test_files_under_the_root_move_with_the_tree(tmp_path):
    run, outside = tmp_path / "results" / "run", tmp_path / "store" / "a.png"
    item = Item("a", outside, 4, 4, label=run / "labels" / "a.png")
    write_manifest(run / "data" / "manifest.tsv", [item], relative_to_root=run)
    assert (run / "data" / "manifest.tsv").read_text().splitlines()[
        1
    ] == f"a\t{outside}\t4\t4\t../labels/a.png"
    shutil.move(tmp_path / "results", tmp_path / "moved")
    moved = tmp_path / "moved" / "run"
    assert read_manifest(moved / "data" / "manifest.tsv") == [
        dataclasses.replace(item, label=moved / "labels" / "a.png")
    ]


def test_relative_paths_are_stored_absolute_and_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest("sub/manifest.tsv", [Item("a", tmp_path / "x" / ".." / "a.png", 4, 4)])
    os.chdir("/")
    assert read_manifest(tmp_path / "sub" / "manifest.tsv")[0].image == tmp_path / "a.png"


@pytest.mark.parametrize("other", ["a", "A"])
def test_equal_ids_are_refused_with_both_files(tmp_path, other):
    items = [Item("a", tmp_path / "one.png", 4, 4), Item(other, tmp_path / "two.png", 4, 4)]
    with pytest.raises(InputError, match=rf"share the id '{other}': .*one\.png and .*two\.png"):
        write_manifest(tmp_path / "manifest.tsv", items)
    assert not (tmp_path / "manifest.tsv").exists()


def test_tab_in_a_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds a tab or line end"):
        write_manifest(tmp_path / "manifest.tsv", [Item("a", tmp_path / "a\tb.png", 4, 4)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"m\.tsv: is empty \(0 bytes\), expected a manifest\. Make it again"),
        ("\n", r"m\.tsv:1: is no manifest: found the columns \[''\], expected id, image, width, height"),
        ("id\timage\twidth\n", r"m\.tsv:1: is no manifest"),
        ("id\timage\twidth\theight\tcolour\n", r"m\.tsv:1: is no manifest"),
        ("id\timage\twidth\theight\na\tb\t1\t1\na\tb\t1\n", r"m\.tsv:3: found 3 columns, expected 4"),
        (
            "id\timage\twidth\theight\na\tb\twide\t1\n",
            r"m\.tsv:2: column 'width' holds 'wide', expected an integer from 1 to 2147483647",
        ),
        ("id\timage\twidth\theight\n\tb\t1\t1\n", r"m\.tsv:2: column 'id' is empty"),
        ("id\timage\twidth\twidth\theight\n", r"m\.tsv:1: is no manifest"),
        (
            "id\timage\twidth\theight\na\tb\t1\t1\na\tc\t1\t1\n",
            r"m\.tsv:3: the id 'a' is already used in line 2",
        ),
        (
            "id\timage\twidth\theight\nab\tb\t1\t1\nc\tb\t1\t1\nAb\tc\t1\t1\n",
            r"m\.tsv:4: the id 'Ab' is already used in line 2",
        ),
    ],
)
def test_broken_manifest_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "m.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path / "m.tsv")


def test_missing_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match=r"m\.tsv: manifest cannot be read \(No such file"):
        read_manifest(tmp_path / "m.tsv")


def test_labels_are_verified_by_existence_and_hash(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_text(name)
    items = [
        Item(name, tmp_path / "i.png", 1, 1, tmp_path / f"{name}.png", sha256_of(tmp_path / f"{name}.png"))
        for name in "abc"
    ]
    verify_labels(items, "m.tsv")
    (tmp_path / "b.png").write_text("changed")
    (tmp_path / "c.png").unlink()
    with pytest.raises(InputError, match=r"m\.tsv: 2 of 3 labels are bad: .*b\.png has changed"):
        verify_labels(items, "m.tsv")
    with pytest.raises(InputError, match=r"m\.tsv: 1 of 1 label is bad: .*c\.png does not exist"):
        verify_labels(items[2:], "m.tsv")
    with pytest.raises(InputError, match="image 'd' has no label"):
        verify_labels([Item("d", tmp_path / "i.png", 1, 1)], "m.tsv")
    verify_labels([dataclasses.replace(items[1], label_sha256=None)], "m.tsv")


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        *(
            ("width", text, "an integer from 1")
            for text in ("-5", "0", "1.0", "1_0", " 5", "٣", "nan", "9" * 4999)
        ),
        *(
            ("score", text, "a number from 0 to 1")
            for text in ("nan", "inf", "1e999", "-0.1", "1.01", "true")
        ),
        ("bytes", "-1", "an integer from 0"),
        ("kept_pixels", "17", "more than the image has pixels"),
        ("classes", "256", "an integer from 0 to 255"),
        *(("label_sha256", text, "64 hexadecimal digits") for text in ("ab12", "g" * 64, "A" * 64, "a" * 65)),
    ],
)
def test_values_that_nothing_can_have_are_refused(tmp_path, column, text, message):
    cells = {"id": "a", "image": "a.png", "width": "4", "height": "4"} | {column: text}
    (tmp_path / "m.tsv").write_text("\t".join(cells) + "\n" + "\t".join(cells.values()) + "\n")
    with pytest.raises(InputError, match=rf"m\.tsv:2: column '{column}' holds .*{message}"):
        read_manifest(tmp_path / "m.tsv")


@pytest.mark.parametrize(
    "image_id", ["../../ESC", "/tmp/ESC", "a/b", "a\0b", ".", "..", ".hidden", "a\x85b", "a" * 221]
)
def test_ids_that_lead_elsewhere_or_name_no_file_are_refused(tmp_path, image_id):
    (tmp_path / "m.tsv").write_bytes(f"id\timage\twidth\theight\n{image_id}\ta.png\t4\t4\n".encode())
    with pytest.raises(InputError, match=r"m\.tsv:2: the id .* expected a name for files"):
        read_manifest(tmp_path / "m.tsv")
    with pytest.raises(InputError, match=r"w\.tsv: the id .*rename the file"):
        write_manifest(tmp_path / "w.tsv", [Item(image_id, tmp_path / "a.png", 4, 4)])
    assert not (tmp_path / "w.tsv").exists()


def test_paths_that_are_not_utf8_are_refused_when_a_manifest_is_written(tmp_path):
    with pytest.raises(InputError, match=r"w\.tsv: the path .* not UTF-8 text.*rename the file"):
        write_manifest(tmp_path / "w.tsv", [Item("a", Path("/d/" + os.fsdecode(b"caf\xe9.png")), 4, 4)])
