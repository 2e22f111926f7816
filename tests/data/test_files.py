import errno
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cotrain.data.files import (
    check_folder,
    hold_until_exit,
    link,
    make_folder,
    refuse_overwriting,
    remove_partial,
    sha256_of,
    write_array,
    write_bytes,
    write_json,
    write_text,
    written_whole,
)
from cotrain.data.images import write_image, write_label
from cotrain.errors import InputError


def test_the_name_appears_only_with_the_complete_content(tmp_path):
    path = tmp_path / "a" / "b.histogram.npy"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".npy"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")

    def fail():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_forgetting_to_write_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "x"):
        pass
    assert not list(tmp_path.iterdir())


def test_text_and_json(tmp_path):
    write_text(tmp_path / "t", "größer\n")
    assert (tmp_path / "t").read_bytes() == b"gr\xc3\xb6\xc3\x9fer\n"
    content = {"b": 1, "a": ["ü", None, 0.1]}
    write_json(tmp_path / "j", content)
    text = (tmp_path / "j").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert list(json.loads(text)) == ["b", "a"]
    assert "ü" in text
    assert text.endswith("}\n")


def test_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_a_link_replaces_what_was_there(tmp_path):
    (tmp_path / "image.png").write_text("image")
    place = tmp_path / "new folder" / "link.png"
    link(place, tmp_path / "image.png")
    assert place.read_text() == "image"
    (tmp_path / "other.png").write_text("other")
    link(place, tmp_path / "other.png")
    assert place.readlink() == tmp_path / "other.png"
    assert (tmp_path / "image.png").read_text() == "image"
    assert list(place.parent.iterdir()) == [place]


def test_only_leftovers_of_that_file_are_removed(tmp_path):
    left, other, whole = (tmp_path / name for name in (".0.123.partial.h5", ".1.123.partial.h5", "0.h5"))
    for path in (left, other, whole):
        path.write_text("half")
    remove_partial(tmp_path / "0.h5")
    assert sorted(tmp_path.iterdir()) == sorted([other, whole])
    remove_partial(tmp_path / "*.h5")
    assert list(tmp_path.iterdir()) == [whole]


def test_inputs_are_not_overwritten(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "same").symlink_to(tmp_path / "a")
    refuse_overwriting([tmp_path / "a" / "1.png"], [tmp_path / "a" / "2.png"])
    with pytest.raises(
        InputError, match=r"--output: .*same/1\.png is also an input and would be overwritten"
    ):
        refuse_overwriting([tmp_path / "same" / "1.png"], [tmp_path / "a" / "1.png"])
    # Writing replaces a link and does not touch its target.
    (tmp_path / "link.png").symlink_to(tmp_path / "a" / "1.png")
    refuse_overwriting([tmp_path / "link.png"], [tmp_path / "a" / "1.png"])


def test_a_lock_is_held_until_the_process_ends(tmp_path):
    lock = tmp_path / "state" / "lock"
    holds = f"from cotrain.data.files import hold_until_exit; hold_until_exit({str(lock)!r}, 'in use')"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holds}; print('held', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"^in use \({lock}\)$"):
            hold_until_exit(lock, "in use")
        first.kill()
    hold_until_exit(lock, "in use")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EDQUOT, "the quota of this disk is used up; free some space"),
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EACCES, r"/.* may not be read or written; change its rights"),
        (errno.EPERM, r"/.* may not be read or written; change its rights"),
        (errno.EROFS, r"/.* lies on a disk that is mounted for reading only; choose another folder"),
    ],
)
def test_what_the_disk_refuses_is_explained(tmp_path, number, reason):
    with (
        pytest.raises(InputError, match=rf"file\.txt: cannot be written: {reason}"),
        written_whole(tmp_path / "file.txt"),
    ):
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match="Input/output"), written_whole(tmp_path / "file.txt"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not list(tmp_path.iterdir())


NOISE = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)


@pytest.mark.parametrize(
    "write",
    [
        # Each writes 19 200 bytes or more; NumPy and Pillow lose the error of the last ones.
        lambda path: write_image(path.with_suffix(".png"), NOISE),
        lambda path: write_label(path.with_suffix(".png"), NOISE.reshape(160, 120), []),
        lambda path: write_array(path.with_suffix(".npy"), NOISE),
        lambda path: write_bytes(path, NOISE.tobytes()),
        lambda path: write_json(path, NOISE.tolist()),
    ],
)
@pytest.mark.parametrize("free_kib", [4, 8, 12, 16])
def test_a_full_disk_leaves_no_part_of_a_file(small_disk, write, free_kib):
    (small_disk / "more").write_bytes(bytes((16 - free_kib) * 1024))
    before = sorted(small_disk.iterdir())
    with pytest.raises(InputError, match=r"file\S*: cannot be written: the disk is full"):
        write(small_disk / "file")
    assert sorted(small_disk.iterdir()) == before


def test_a_library_that_hides_a_full_disk_is_seen_through(small_disk):
    def fail():
        with written_whole(small_disk / "weights") as temporary:
            try:
                temporary.write_bytes(bytes(20 * 1024))
            except OSError:
                raise RuntimeError("unexpected pos 64 vs 0") from None

    with pytest.raises(InputError, match="the disk is full"):
        fail()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_read_a_file(tmp_path, umask, mode):
    """Whatever the library that writes it decides: safetensors lets only the owner read."""
    code = f"""
import os
os.umask({umask})
from cotrain.data.files import written_whole
for rights in (0o600, 0o666):
    with written_whole(f"{tmp_path}/{{rights}}") as path:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, rights))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [mode] * 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("gone")
    is_file = f"the folder cannot be made: {tmp_path / 'file'} is a file; move it away, or take another place"
    is_dead = (
        f"the folder cannot be made: {tmp_path / 'link'} is a link to gone, which is not there: is its disk "
        "mounted?"
    )
    for way, text in (("file", is_file), ("file/below", is_file), ("link", is_dead), ("link/below", is_dead)):
        for make in (make_folder, check_folder, lambda folder: write_text(folder / "x", "")):
            with pytest.raises(InputError) as refused:
                make(tmp_path / way)
            assert str(refused.value) == f"{tmp_path / way}: {text}"
    check_folder(tmp_path / "not yet" / "there")
    (tmp_path / "other").symlink_to(tmp_path)
    check_folder(tmp_path / "other" / "there")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="may not be read or written; change its rights"):
        write_text(tmp_path / "x", "")
