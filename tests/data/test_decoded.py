import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.decoded import check_space, decode, map_image, read_index, write_index
from cotrain.data.files import write_array
from cotrain.data.images import read_image, write_image
from cotrain.data.manifests import Item
from cotrain.errors import InputError


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "frame.png"
    write_image(path, np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    return Item("frame", path, 30, 20)


def test_decoded_image_has_the_same_pixels(tmp_path, image):
    decoded = map_image(decode(image, tmp_path / "decoded"), image)
    assert (decoded.shape, decoded.dtype) == ((20, 30, 3), np.uint8)
    np.testing.assert_array_equal(decoded, read_image(image.image))


def test_decoded_images_are_not_decoded_again(tmp_path, image):
    path = decode(image, tmp_path / "decoded")
    before = path.stat().st_mtime_ns
    assert decode(image, tmp_path / "decoded") == path
    assert path.stat().st_mtime_ns == before


def test_an_image_replaced_under_its_name_is_decoded_again(tmp_path, image):
    first = decode(image, tmp_path / "decoded")
    write_image(image.image, np.zeros((20, 30, 3), np.uint8))
    second = decode(image, tmp_path / "decoded")
    assert second != first
    assert map_image(second, image).max() == 0


def test_index_is_read_as_it_was_written(tmp_path, image):
    # A path may hold a character that some readers take for a line end.
    odd = replace(image, image=shutil.copy(image.image, tmp_path / "a\u2028b.png"))
    decoded = {item.image: decode(item, tmp_path / "decoded") for item in (image, odd)}
    write_index(tmp_path / "index.tsv", decoded)
    assert read_index(tmp_path / "index.tsv") == decoded


def test_missing_decoded_file_is_named(tmp_path, image):
    file = decode(image, tmp_path / "decoded")
    write_index(tmp_path / "index.tsv", {image.image: file})
    file.unlink()
    with pytest.raises(
        InputError, match=f"index.tsv: .*frame.png was decoded into .*{file.name}, which is missing"
    ):
        read_index(tmp_path / "index.tsv")


def test_image_that_changed_since_is_named(tmp_path, image):
    write_index(tmp_path / "index.tsv", {image.image: decode(image, tmp_path / "decoded")})
    os.utime(image.image, ns=(1, 1))
    with pytest.raises(InputError, match="made from an older image; delete"):
        read_index(tmp_path / "index.tsv")


def test_other_files_are_no_index(tmp_path):
    (tmp_path / "index.tsv").write_text("id\timage\n")
    with pytest.raises(InputError, match="found the first line"):
        read_index(tmp_path / "index.tsv")


@pytest.mark.parametrize(
    "row", ["", "a.png", "a.png\t", "\tb.npy", "a.png\tb.npy\tc", "a\0.png\tb.npy", "gone\tx"]
)
def test_broken_lines_of_an_index_are_refused(tmp_path, row):
    (tmp_path / "index.tsv").write_text(f"image\tdecoded\n{row}\n")
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match=r"index\.tsv.*; delete .*index\.tsv to have the image"):
        read_index(tmp_path / "index.tsv")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4), np.uint8),
        np.zeros((2, 3, 3)),
        np.zeros((2, 3), np.uint8),
        np.zeros((3, 2, 3), np.uint8),
    ],
)
def test_other_arrays_are_no_decoded_image(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=r"x\.npy: "):
        map_image(tmp_path / "x.npy", Item("x", Path("x.png"), 3, 2))


def test_an_image_of_another_size_than_listed_is_refused(tmp_path, image):
    with pytest.raises(InputError, match=r"frame\.png: is 30 × 20 pixels, its manifest says 20 × 30"):
        decode(replace(image, width=20, height=30), tmp_path / "decoded")
    # A decoded file of the same name, from which a crop would be cut at another place.
    path = decode(image, tmp_path / "decoded")
    write_array(path, np.zeros((30, 20, 3), np.uint8))
    message = r"holds uint8 of the shape \(30, 20, 3\), expected uint8 of the shape \(20, 30, 3\), .*; delete"
    with pytest.raises(InputError, match=message):
        map_image(path, image)
    assert map_image(decode(image, tmp_path / "decoded"), image).shape == (20, 30, 3)


def test_full_disk_is_reported_before_anything_is_written(tmp_path, make_items, monkeypatch):
    items = make_items("many", 3, seed=1)
    needed = sum(3 * item.width * item.height for item in items)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed))
    with pytest.raises(InputError, match=r"training\.decoded_cache: 3 images take .* free"):
        check_space(items, tmp_path / "decoded")
    # Images that are decoded already need no more space.
    decode(items[0], tmp_path / "decoded")
    check_space(items, tmp_path / "decoded")
