import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cotrain.data.manifests import Item
from cotrain.data.predictions import (
    Origin,
    PredictionReader,
    PredictionWriter,
    hash_of_images,
    read_histograms,
    write_histogram,
)
from cotrain.errors import InputError

CLASSES = tuple(f"class {number}" for number in range(19))
ITEMS = [Item(f"image {s}.{n}@01", Path("x.png"), 9 + n, 6, bytes=70) for n in range(3) for s in range(2)]
ORIGIN = Origin(CLASSES, "a model", hash_of_images(ITEMS), 0, 2)


def prediction(seed, shape=(6, 9)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 19, shape).astype(np.uint8), rng.integers(0, 65536, shape).astype(np.uint16)


def histogram(seed):
    counts = np.zeros((19, 65536), np.int64)
    counts[:, :50] = np.random.default_rng(seed).integers(0, 9, (19, 50))
    return counts


def write_shard(folder, shard, name=None, **changes):
    """Write one shard and its histogram, and return both paths."""
    origin = replace(ORIGIN, shard=shard, **changes)
    paths = [folder / f"{name or shard}{suffix}" for suffix in (".h5", ".histogram.npz")]
    with PredictionWriter(paths[0], origin) as writer:
        for number in range(3):
            writer.write(f"image {shard}.{number}@01", *prediction(10 * shard + number, (6, 9 + number)))
    write_histogram(paths[1], histogram(shard), origin)
    return paths


@pytest.fixture
def shards(tmp_path):
    return [write_shard(tmp_path, shard)[0] for shard in range(2)]


def test_round_trip_over_shards(shards):
    with PredictionReader(shards) as reader:
        reader.check(ITEMS, Path("subset.tsv"), CLASSES)
        for shard in range(2):
            for number in range(3):
                classes, levels = reader.read(f"image {shard}.{number}@01")
                expected = prediction(10 * shard + number, (6, 9 + number))
                assert (classes.dtype, levels.dtype) == (np.uint8, np.uint16)
                np.testing.assert_array_equal(classes, expected[0])
                np.testing.assert_array_equal(levels, expected[1])


def test_histograms_of_shards_add_up_in_any_order(tmp_path):
    paths = [write_shard(tmp_path, shard)[1] for shard in range(2)]
    for order in (paths, paths[::-1]):
        total = read_histograms(order, CLASSES)
        assert total.dtype == np.int64
        np.testing.assert_array_equal(total, histogram(0) + histogram(1))


def test_missing_image_is_reported(shards):
    with (
        PredictionReader(shards) as reader,
        pytest.raises(InputError, match=r"image 'x' in .*0\.h5, .*1\.h5"),
    ):
        reader.read("x")


def test_files_that_are_gone_truncated_or_of_something_else_are_named(shards, tmp_path):
    for damage in (None, lambda content: content[:300], lambda content: content[:-10], lambda _: b"text"):
        for suffix, read, kind in (
            (".h5", PredictionReader, "predictions"),
            (".histogram.npz", lambda paths: read_histograms(paths, CLASSES), "a confidence histogram"),
        ):
            paths = [tmp_path / f"{shard}{suffix}" for shard in range(2)]
            whole = paths[1].read_bytes()
            paths[1].unlink()
            if damage:
                paths[1].write_bytes(damage(whole))
            with pytest.raises(
                InputError,
                match=rf"1{suffix}: cannot be read as {kind} \((No such f|it is d).*\), expected what",
            ):
                read(paths)
            paths[1].write_bytes(whole)


def test_a_damaged_histogram_is_named(tmp_path):
    path = write_shard(tmp_path, 0, shards=1)[1]
    whole = path.read_bytes()
    for place in (60, 100, 500):
        path.write_bytes(
            whole[:place] + bytes(255 - byte for byte in whole[place:][:20]) + whole[place + 20 :]
        )
        with pytest.raises(InputError, match=r"0\.histogram\.npz: cannot be read as a confidence histogram"):
            read_histograms([path], CLASSES)


def test_files_without_an_origin_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w"):
        pass
    with pytest.raises(InputError, match=r"x\.h5: does not say what it was predicted from"):
        PredictionReader([tmp_path / "x.h5"])
    np.savez(tmp_path / "x.npz", histogram=histogram(0), origin=np.array("{}"))
    with pytest.raises(InputError, match=r"x\.npz: does not say what it was predicted from"):
        read_histograms([tmp_path / "x.npz"], CLASSES)


@pytest.mark.parametrize(
    ("shard", "changes", "message"),
    [
        (0, {}, r"x{suffix}: holds shard 0, which .*0{suffix} also holds; expected each shard once"),
        (1, {"model": "b"}, r"x{suffix}: .* than .*0{suffix}: made by another model or with other settings"),
        (
            1,
            {"images": "b"},
            r"x{suffix}: belongs to another prediction .* made from another image set; expected",
        ),
        (1, {"shards": 3}, r"x{suffix}: belongs to another prediction .* made in 3 shards instead of 2"),
        (None, {}, r"0{suffix}: of 2 shards, counted from 0, 1 is missing"),
    ],
)
def test_shards_that_are_missing_doubled_or_of_another_run(tmp_path, shard, changes, message):
    of_both = [write_shard(tmp_path, 0)]
    if shard is not None:
        of_both.append(write_shard(tmp_path, shard, "x", **changes))
    predictions, histograms = zip(*of_both, strict=True)
    with pytest.raises(InputError, match=message.format(suffix=r"\.h5")):
        PredictionReader(predictions)
    with pytest.raises(InputError, match=message.format(suffix=r"\.histogram\.npz")):
        read_histograms(histograms, CLASSES)


def test_no_shard_at_all():
    with pytest.raises(InputError, match="found no shard of a prediction"):
        PredictionReader([])


def test_predictions_of_another_label_space(shards, tmp_path):
    message = "another label space, with the classes class 0, .*; expected road, sky"
    with PredictionReader(shards) as reader, pytest.raises(InputError, match=rf"0\.h5: .*{message}"):
        reader.check(ITEMS, Path("subset.tsv"), ("road", "sky"))
    with pytest.raises(InputError, match=rf"0\.histogram\.npz: .*{message}"):
        read_histograms([tmp_path / "0.histogram.npz"], ("road", "sky"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: [*items, replace(items[0], id="new")], "image 'new' was not predicted"),
        (lambda items: items[1:], "image 'image 0.0@01' was predicted and is not listed"),
        (
            lambda items: [replace(items[0], width=8), *items[1:]],
            "the size of an image or of its file has changed",
        ),
        (
            lambda items: [replace(items[0], bytes=71), *items[1:]],
            "the size of an image or of its file has changed",
        ),
    ],
)
def test_an_image_set_that_changed_since(shards, change, message):
    with PredictionReader(shards) as reader:
        reader.check(ITEMS[::-1], Path("subset.tsv"), CLASSES)
        with pytest.raises(
            InputError, match=rf"subset\.tsv: is not the image set .*1\.h5: {message}; predict"
        ):
            reader.check(change(ITEMS), Path("subset.tsv"), CLASSES)


def test_a_class_id_beyond_the_label_space(tmp_path):
    with PredictionWriter(tmp_path / "0.h5", replace(ORIGIN, shards=1)) as writer:
        writer.write("x", np.array([[3, 19]], np.uint8), np.zeros((1, 2), np.uint16))
    with (
        PredictionReader([tmp_path / "0.h5"]) as reader,
        pytest.raises(
            InputError, match=r"0\.h5: .*image 'x' holds class id 19, expected train ids from 0 to 18"
        ),
    ):
        reader.read("x")


def test_a_damaged_image_is_named(tmp_path):
    path = tmp_path / "0.h5"
    classes = np.zeros((600, 400), np.uint8)
    with PredictionWriter(path, replace(ORIGIN, shards=1)) as writer:
        writer.write("x", classes, np.zeros((600, 400), np.uint16))
    with h5py.File(path) as file:
        chunk = file["x"]["classes"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with (
        PredictionReader([path]) as reader,
        pytest.raises(InputError, match=r"0\.h5: the prediction of image 'x' is damaged"),
    ):
        reader.read("x")


def test_a_shard_without_images(tmp_path):
    with PredictionWriter(tmp_path / "0.h5", replace(ORIGIN, shards=1)):
        pass
    with PredictionReader([tmp_path / "0.h5"]) as reader, pytest.raises(InputError):
        reader.read("x")


def test_an_image_written_twice_is_refused(tmp_path):
    with PredictionWriter(tmp_path / "0.h5", ORIGIN) as writer:
        writer.write("x", *prediction(0))
        with pytest.raises(ValueError, match="exists"):
            writer.write("x", *prediction(1))


FULL_DISK = """
import sys
from pathlib import Path
import numpy as np
from cotrain.data.files import written_whole
from cotrain.data.predictions import Origin, PredictionWriter

origin = Origin(model="m", classes=("road",), images="i", shard=0, shards=1)
classes, levels = np.zeros((100, 100), np.uint8), np.arange(10000, dtype=np.uint16).reshape(100, 100)
with written_whole(Path(sys.argv[1])) as path, PredictionWriter(path, origin) as writer:
    for number in range(int(sys.argv[2])):
        writer.write(str(number), classes, levels)
"""


@pytest.mark.parametrize("images", [1, 5])
def test_a_full_disk_ends_in_one_error_and_leaves_nothing(small_disk, images):
    """In a process of its own: HDF5 used to end it by a segmentation fault, at the latest when it closed."""
    (small_disk / "more").write_bytes(bytes(4096))
    before = sorted(small_disk.iterdir())
    command = [sys.executable, "-c", FULL_DISK, small_disk / "0.h5", str(images)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 1
    assert "0.h5: cannot be written, because the disk of" in ended.stderr.splitlines()[-1]
    assert sorted(small_disk.iterdir()) == before
