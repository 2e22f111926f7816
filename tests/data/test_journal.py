import os

import pytest

from cotrain.data.journal import Journal


@pytest.fixture
def written(tmp_path):
    """A journal with one finished piece, whose file is there."""
    (tmp_path / "a.png").write_bytes(b"12345")
    with Journal(tmp_path / "done.jsonl") as journal:
        journal.add("a", {"source": ["x.png", 3], "share": 0.5}, [tmp_path / "a.png"])
    return tmp_path


def holds(folder, name="a", share=0.5):
    content = {"source": ("x.png", 3), "share": share}
    return Journal(folder / "done.jsonl").finished([(name, content, [folder / "a.png"])]) == {name}


def test_a_finished_piece_is_kept(written):
    assert holds(written)
    assert not holds(written, name="b")


def test_what_was_made_from_something_else_is_made_again(written):
    assert not holds(written, share=0.25)


def test_a_file_that_is_missing_or_cut_off_is_made_again(written):
    (written / "a.png").write_bytes(b"123")
    assert not holds(written)
    (written / "a.png").unlink()
    assert not holds(written)


def test_a_file_that_was_altered_at_its_size_is_made_again_and_a_copy_is_kept(written):
    status = (written / "a.png").stat()
    os.utime(written / "a.png", ns=(0, 0))
    assert holds(written)
    (written / "a.png").write_bytes(b"12344")
    # As a disk alters it: neither size nor time tell.
    os.utime(written / "a.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not holds(written)


def test_half_a_line_of_a_killed_run_is_passed_over(written):
    with open(written / "done.jsonl", "a") as file:
        file.write('{"name": "b", "so')
    with Journal(written / "done.jsonl") as journal:
        journal.add("c", {}, [])
    again = Journal(written / "done.jsonl")
    assert holds(written)
    assert again.finished([("c", {}, []), ("b", {}, [])]) == {"c"}


@pytest.mark.parametrize(
    "line",
    [
        "7",
        "[]",
        "{}",
        '{"name": ["a"]}',
        '{"name": {}}',
        '{"name": "b", "sha256": 3}',
        "[" * 100_000,
        '{"name": 1' + "0" * 5000 + "}",
        "\0",
    ],
)
def test_lines_of_another_kind_are_passed_over(written, line):
    with open(written / "done.jsonl", "a") as file:
        file.write(line + "\n")
    assert holds(written)


def test_the_last_entry_of_a_name_counts(written):
    with Journal(written / "done.jsonl") as journal:
        journal.add("a", {"source": ["x.png", 3], "share": 0.25}, [written / "a.png"])
    assert holds(written, share=0.25)
    assert not holds(written)
