import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotrain.data.file_names import (
    LONGEST_NEW_NAME,
    fault_of_name,
    in_one_line,
    is_one_line,
    new_name,
    repeated,
)
from cotrain.data.files import remove_partial, write_bytes
from cotrain.data.layouts import unique_ids


@pytest.mark.parametrize(
    "name", ["a", "a.b", "frame 0001", "münchen_000000_000019", "a@03", "x" * 220, "名" * 70]
)
def test_ordinary_names_are_kept(name):
    assert fault_of_name(name) == ""
    assert new_name(name, 220) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".a",
        "a/b",
        "/a",
        "a\0",
        "a\n",
        "a\tb",
        "a\x7f",
        "a\u2028b",
        "\udce9",
        "x" * 221,
        "名" * 74,
    ],
)
def test_other_names_are_refused_and_replaced(name):
    assert fault_of_name(name)
    assert not fault_of_name(new_name(name))
    assert len(new_name(name).encode()) <= LONGEST_NEW_NAME


@given(names=st.sets(st.text(min_size=1).filter(lambda name: "/" not in name), min_size=2))
def test_new_names_are_names_and_stay_different(names):
    made = {new_name(name) for name in names}
    assert len(made) == len(names)
    assert not any(map(fault_of_name, made))


def test_text_of_one_line():
    assert is_one_line("a class of its own – Straße")
    assert not any(map(is_one_line, ("a\tb", "a\nb", "a\rb", "a\x85b", "a\u2029b", "\udcff")))


def test_long_stems_and_ids_of_deep_folders_become_ids_that_files_can_have(tmp_path):
    long, deep = "s" * 240, "/".join(["d" * 100] * 4)
    images = [
        Path(f"/d/{long}.png"),
        Path("/d/..png"),
        Path("/d/a\nb.png"),
        Path("/d/" + os.fsdecode(b"caf\xe9.png")),
        Path(f"/x/{deep}/0.png"),
        Path(f"/y/{deep}/0.png"),
    ]
    ids = unique_ids(images)
    assert len({*ids}) == len(images)
    assert not any(map(fault_of_name, ids))
    # The same images have the same ids in each run, and what is left of a name is readable.
    assert ids == unique_ids(images)
    assert ids[0].startswith("s" * 100)
    assert ids[2].startswith("a_b~")
    for image_id in ids:
        write_bytes(tmp_path / f"{image_id}_gtFine_labelTrainIds.png", b"x")


def test_a_name_of_255_bytes_can_be_written_and_its_unfinished_versions_are_found(tmp_path):
    for name in (f"{'s' * 251}.png", f"{'é' * 125}.png", "a[1]*.png"):
        write_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"
        with pytest.raises(OSError, match="broken"):  # noqa: PT012
            from cotrain.data import files

            with files.written_whole(tmp_path / name) as temporary:
                temporary.write_bytes(b"half")
                os.link(temporary, tmp_path / "kept")
                raise OSError("broken")
        (tmp_path / "kept").rename(temporary)
        remove_partial(tmp_path / name)
        assert not temporary.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a b's.png", "a b's.png"), ("a\nb.png", "'a\\nb.png'"), ("caf\udce9.png", "'caf\\udce9.png'")],
)
def test_a_name_in_a_message_stays_in_its_line(name, expected):
    assert in_one_line(Path(name)) == expected


def test_places_of_names_that_occur_again():
    assert repeated(["b", "a", "c", "b", "a", "b"]) == [[0, 3, 5], [1, 4]]
    assert repeated(["a", "b"]) == []
