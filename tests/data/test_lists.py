import os

import pytest

from cotrain.data.lists import look_into_folder, read_folder, read_list
from cotrain.errors import InputError


def test_paths_keep_their_line_numbers_in_files_of_any_editor(tmp_path):
    text = (
        "\ufeffimages/a b.png\r\n\r\n\"images/quoted.png\"\r\n  'single.png'  \r\n/abs/c.png\r\nlast.v1.png"
    )
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert read_list(tmp_path / "list.txt") == [
        (1, tmp_path / "images" / "a b.png"),
        (3, tmp_path / "images" / "quoted.png"),
        (4, tmp_path / "single.png"),
        (5, tmp_path.__class__("/abs/c.png")),
        (6, tmp_path / "last.v1.png"),
    ]


def test_relative_paths_lie_under_the_root(tmp_path):
    (tmp_path / "list.txt").write_text("a.png\n../b.png\n/c.png\n")
    root = tmp_path / "data"
    assert [str(path) for _, path in read_list(tmp_path / "list.txt", root)] == [
        str(root / "a.png"),
        str(tmp_path / "b.png"),
        "/c.png",
    ]


def test_two_dots_behind_a_link_mean_the_folder_above_its_target(tmp_path):
    (tmp_path / "disk" / "day").mkdir(parents=True)
    (tmp_path / "here").symlink_to(tmp_path / "disk" / "day")
    (tmp_path / "here" / "list.txt").write_text("../a.png\nb/../c.png\n./d.png\n")
    expected = [tmp_path / "disk" / "a.png", tmp_path / "disk" / "day" / "c.png", tmp_path / "here" / "d.png"]
    assert [path for _, path in read_list(tmp_path / "here" / "list.txt")] == expected
    (tmp_path / "list.txt").write_text("a.png\n")
    for root in (tmp_path / "here" / "..", f"{tmp_path}/here/../day/.."):
        assert read_list(tmp_path / "list.txt", root) == [(1, tmp_path / "disk" / "a.png")]


def test_quotes_inside_a_name_stay(tmp_path):
    (tmp_path / "list.txt").write_text("it's.png\n")
    assert read_list(tmp_path / "list.txt") == [(1, tmp_path / "it's.png")]


@pytest.mark.parametrize("text", ["", "\n\r\n  \n", "\ufeff", '""\n'])
def test_empty_list_is_refused(tmp_path, text):
    (tmp_path / "list.txt").write_bytes(text.encode())
    with pytest.raises(InputError, match=r"list\.txt: the list is empty, expected one path per line"):
        read_list(tmp_path / "list.txt")


def test_missing_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"list\.txt: list cannot be read \(No such file"):
        read_list(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("encoding", "found"), [("utf-16", "not UTF-8"), ("utf-16-le", "zero bytes"), ("latin-1", "not UTF-8")]
)
def test_other_encodings_are_refused(tmp_path, encoding, found):
    (tmp_path / "list.txt").write_bytes(
        "straße.png\n".replace("ß", "ss" if "-le" in encoding else "ß").encode(encoding)
    )
    with pytest.raises(InputError, match=rf"list\.txt: .*{found}"):
        read_list(tmp_path / "list.txt")


def test_a_folder_gives_its_files_in_order(tmp_path):
    for name in ("b.png", "a.PNG", ".hidden.png", "c.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in read_folder(tmp_path, (".png",))] == ["a.PNG", "b.png"]
    with pytest.raises(InputError, match=r"holds no image, expected files whose names end in \.gif, \.tif"):
        read_folder(tmp_path, (".gif", ".tif"))
    (tmp_path / "b.jpg").touch()
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path, (".png", ".jpg"))
    ending = "would have the same name; rename one of each, or move it to another folder"
    assert str(caught.value) == f"{tmp_path}: the outputs of b.jpg and b.png {ending}"
    for name in ("c.png", "c.gif", "a.jpg", "d.png", "d.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path, (".png", ".jpg", ".gif"))
    names = "a.PNG and a.jpg, of b.jpg and b.png, of c.gif and c.jpg, and of 1 other pair"
    assert str(caught.value) == f"{tmp_path}: the outputs of {names} {ending}"


def test_folders_below_are_named_where_a_folder_holds_no_image(tmp_path):
    for name in ("raw/a.png", "raw/b.PNG", "raw/day 2/c.png", "raw/day 2/c.heic", "notes/n.txt", ".x/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        look_into_folder(tmp_path, (".png", ".jpg"), (".heic",))
    assert str(caught.value) == (
        f"{tmp_path}: holds no image, expected files whose names end in .png, .jpg; folders in it are not "
        f"looked into, and some hold such files: {tmp_path}/raw (2), {tmp_path}/raw/day 2 (1). Give one of "
        "them"
    )
    with pytest.raises(InputError) as caught:
        look_into_folder(tmp_path / "notes", (".png",), (".heic",))
    expected = f"{tmp_path}/notes: holds no image, expected files whose names end in .png"
    assert str(caught.value) == expected


def test_what_is_left_out_of_a_folder_is_named(tmp_path, caplog):
    for name in ("a.png", "b.heic", "notes.txt", "two\nlines.txt"):
        (tmp_path / name).touch()
    (tmp_path / "dangling.png").symlink_to("gone.png")
    (tmp_path / "dangling.txt").symlink_to("gone.txt")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    with caplog.at_level("INFO", logger="cotrain"):
        files, odd = look_into_folder(tmp_path, (".png",), (".heic",))
    # Whoever opens the link says that it leads nowhere.
    assert [path.name for path in files] == ["a.png", "b.heic", "dangling.png"]
    assert odd == []
    assert caplog.messages == [
        f"{tmp_path}: left out 3, by their names no images: dangling.txt, notes.txt, 'two\\nlines.txt'",
        f"{tmp_path}: left out 1, neither files nor folders: pipe.png",
        f"{tmp_path}: left out 1, folders, which are not looked into: folder.png",
    ]


@pytest.mark.parametrize("name", [b"a\nb.png", b"a\tb.png", b"caf\xe9.png"])
def test_names_that_no_list_can_hold_are_refused(tmp_path, name):
    (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / "z.png").touch()
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path, (".png",))
    assert str(caught.value) == (
        f"{tmp_path}: the name {os.fsdecode(name)!r} holds a tab or line end, or is not UTF-8 text, so no "
        "list can hold it; rename the file"
    )
    # A file that is not looked for may have any name, and others need not wait for the odd one.
    (tmp_path / os.fsdecode(name)).rename(tmp_path / os.fsdecode(name.replace(b"png", b"txt")))
    assert [path.name for path in read_folder(tmp_path, (".png",))] == ["z.png"]
    (tmp_path / os.fsdecode(name)).touch()
    found = look_into_folder(tmp_path, (".png",))
    assert found == ([tmp_path / "z.png"], [tmp_path / os.fsdecode(name)])


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("header", ["", "image{}label\n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_table_is_no_list(tmp_path, separator, header, quote):
    rows = "".join(f"{quote}{n}.jpg{quote}{separator}{quote}labels/{n}.png{quote}\n" for n in (1, 2))
    (tmp_path / "pairs.csv").write_text(header.format(separator) + rows)
    line = 3 if header else 2
    message = rf"pairs\.csv, line {line}: found 2 columns, `2\.jpg`, `labels/2\.png`, expected one path"
    with pytest.raises(InputError, match=message):
        read_list(tmp_path / "pairs.csv")


def test_a_table_without_two_paths_is_told_by_the_file_that_is_there(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "weather.csv").write_text("number,image,weather\n1,a.jpg,rain\n")
    with pytest.raises(InputError, match=r"line 2: found 3 columns, `1`, `a.jpg`, `rain`, expected one path"):
        read_list(tmp_path / "weather.csv")


@pytest.mark.parametrize("name", ["Berlin, Mitte/1.jpg", "a,b.jpg", "v1.2; new/1.jpg"])
def test_a_path_may_hold_commas(tmp_path, name):
    (tmp_path / "list.txt").write_text(f"{name}\n")
    assert read_list(tmp_path / "list.txt") == [(1, tmp_path / name)]


def test_a_file_that_is_there_is_no_row_of_a_table(tmp_path):
    (tmp_path / "a.jpg, b.jpg").touch()
    (tmp_path / "list.txt").write_text("a.jpg, b.jpg\n")
    assert read_list(tmp_path / "list.txt") == [(1, tmp_path / "a.jpg, b.jpg")]
