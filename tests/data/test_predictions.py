import io
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cotrain.data import predictions
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
        total, model = read_histograms(order, CLASSES)
        assert model == ORIGIN.model
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
            "the order of the images, or the size of one or of its file, has changed",
        ),
        (
            lambda items: [replace(items[0], bytes=71), *items[1:]],
            "the order of the images, or the size of one or of its file, has changed",
        ),
        # Other images would share a batch, and round differently.
        (
            lambda items: items[::-1],
            "the order of the images, or the size of one or of its file, has changed",
        ),
    ],
)
def test_an_image_set_that_changed_since(shards, change, message):
    with PredictionReader(shards) as reader:
        reader.check(ITEMS, Path("subset.tsv"), CLASSES)
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
    assert "0.h5: cannot be written: the disk is full" in ended.stderr.splitlines()[-1]
    assert sorted(small_disk.iterdir()) == before


def one_image(folder):
    """Write a shard of one image `x` and return its path, and the place of its levels in the file."""
    path = folder / "0.h5"
    with PredictionWriter(path, replace(ORIGIN, shards=1)) as writer:
        writer.write("x", *prediction(0))
        writer.write("y", *prediction(1))
    with h5py.File(path) as file:
        return path, file["x/levels"].id.get_offset()


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def test_a_single_changed_bit_of_a_confidence_is_found(tmp_path):
    path, place = one_image(tmp_path)
    content = bytearray(path.read_bytes())
    content[place + 17] ^= 1
    path.write_bytes(content)
    with PredictionReader([path]) as reader:
        reader.read("y")
        with pytest.raises(InputError, match=r"0\.h5: the prediction of image 'x' is damaged; predict again"):
            reader.read("x")


def swap(file):
    file.move("x", "z")
    file.move("y", "x")
    file.move("z", "y")


def replaced(name, **dataset):
    """Return a change that puts another dataset in the place of `x/NAME`."""

    def change(file):
        old = file[f"x/{name}"][()]
        del file[f"x/{name}"]
        file.create_dataset(f"x/{name}", **({"data": old} | dataset))

    return change


def linked(target):
    def change(file):
        del file["x/levels"]
        file["x/levels"] = target

    return change


def from_elsewhere(external):
    """Return a change to levels whose bytes lie in another file."""

    def change(file):
        (Path(file.filename).parent / "secret").write_bytes(b"a password!" * 99)
        del file["x/levels"]
        if external:
            file.create_dataset("x/levels", (6, 9), np.uint16, external=[("secret", 0, h5py.h5f.UNLIMITED)])
            return
        with h5py.File(Path(file.filename).parent / "other.h5", "w") as other:
            other["levels"] = np.zeros((6, 9), np.uint16)
        layout = h5py.VirtualLayout((6, 9), np.uint16)
        layout[:] = h5py.VirtualSource("other.h5", "levels", (6, 9))
        file.create_virtual_dataset("x/levels", layout)

    return change


CHANGES = {
    "images swapped": swap,
    "no checksum": lambda file: file["x"].attrs.pop("checksum"),
    "checksum of text": lambda file: file["x"].attrs.modify("checksum", "7"),
    "soft link": linked(h5py.SoftLink("/y/levels")),
    "external link": linked(h5py.ExternalLink("0.h5", "/y/levels")),
    "external storage": from_elsewhere(external=True),
    "virtual dataset": from_elsewhere(external=False),
    "a group in its place": lambda file: (file.move("x/levels", "l"), file.create_group("x/levels")),
    "other shape": replaced("levels", data=np.zeros((9, 6), np.uint16)),
    "huge shape": replaced("levels", data=None, shape=(2**40, 2**20), dtype=np.uint16, chunks=(1, 9)),
    "floats": replaced("levels", dtype=np.float32),
    "chunks": replaced("levels", chunks=(3, 3)),
    "huge classes": replaced("classes", data=None, shape=(2**30, 2**30), dtype=np.uint8, chunks=(6, 9)),
    "classes of another filter": replaced("classes", chunks=(6, 9), compression="lzf"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_prediction_that_is_not_as_written_or_lies_elsewhere_is_refused(tmp_path, change):
    path, _ = one_image(tmp_path)
    changed(path, change)
    with (
        PredictionReader([path]) as reader,
        pytest.raises(InputError, match=r"0\.h5: .*image 'x' is damaged"),
    ):
        reader.read("x")


def test_an_image_that_is_a_link_into_another_file_is_refused(tmp_path):
    path, _ = one_image(tmp_path)
    (tmp_path / "b").mkdir()
    other, _ = one_image(tmp_path / "b")

    def link(file):
        del file["x"]
        file["x"] = h5py.ExternalLink(str(other), "/x")

    changed(path, link)
    with PredictionReader([path]) as reader, pytest.raises(InputError, match=r"image 'x' is damaged"):
        reader.read("x")


@pytest.mark.parametrize(
    "origin",
    [
        *(ORIGIN.to_text(), np.bytes_(b"x" * 60_001), np.array([b"a", b"b"]), np.float64(1), np.bytes_("{}")),
        np.bytes_(ORIGIN.to_text().replace('"shard": 0', '"shard": 5')),
        np.bytes_(replace(ORIGIN, classes=()).to_text()),
        np.bytes_(replace(ORIGIN, model=7).to_text()),
    ],
)
def test_an_origin_of_another_kind_is_refused(tmp_path, origin):
    path, _ = one_image(tmp_path)
    changed(path, lambda file: file.attrs.create("origin", origin))
    with pytest.raises(InputError, match=r"0\.h5: does not say what it was predicted from"):
        PredictionReader([path])


def test_predictions_of_another_size_than_their_image_are_refused(tmp_path):
    items = [Item("x", Path("x.png"), 7, 6), Item("y", Path("y.png"), 9, 6)]
    with PredictionWriter(
        tmp_path / "0.h5", replace(ORIGIN, shards=1, images=hash_of_images(items))
    ) as writer:
        writer.write("x", *prediction(0))
        writer.write("y", *prediction(1))
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        reader.check(items, Path("subset.tsv"), CLASSES)
        reader.read("y")
        with pytest.raises(InputError, match="image 'x' is damaged"):
            reader.read("x")


@pytest.mark.parametrize(
    "counts",
    [
        histogram(0) + 0.5,
        np.where(histogram(0) > 7, np.nan, 1),
        histogram(0) - 5,
        histogram(0) == 1,
        histogram(0)[:, :-1],
        histogram(0)[:18],
        histogram(0)[None],
        histogram(0).astype(np.int32),
        np.full_like(histogram(0), 2**62),
        np.zeros((300, 65536), np.int64),
        np.array([None]),
    ],
)
def test_histograms_of_anything_but_counts_are_refused(tmp_path, counts):
    np.savez_compressed(tmp_path / "x.npz", histogram=counts, origin=np.array(ORIGIN.to_text()))
    with pytest.raises(InputError, match=r"x\.npz: cannot be read as a confidence histogram"):
        read_histograms([tmp_path / "x.npz"], CLASSES)


def test_an_archive_that_unpacks_to_more_than_a_histogram_is_not_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", origin=np.array(ORIGIN.to_text()))
    memory = io.BytesIO()
    np.save(memory, histogram(0))
    with zipfile.ZipFile(tmp_path / "x.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("histogram.npy", memory.getvalue() + bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"x\.npz: cannot be read as a confidence histogram"):
        read_histograms([tmp_path / "x.npz"], CLASSES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 << 20


def test_the_longest_names_of_classes_fit(tmp_path):
    classes = tuple(f"{number:04}" + "名" * 72 for number in range(255))
    with PredictionWriter(tmp_path / "0.h5", replace(ORIGIN, classes=classes, shards=1)) as writer:
        writer.write("x", *prediction(0))
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        assert reader.origin.classes == classes
        reader.read("x")


def test_an_image_takes_little_to_write_however_many_there_are(tmp_path, monkeypatch):
    """In HDF5's oldest layout each image of the last thousand takes 97 KB: names are one block."""
    # As with thirty times as many images.
    monkeypatch.setattr(predictions, "KNOWN_BYTES", 1 << 15)
    written = []
    prediction = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint16)
    with PredictionWriter(tmp_path / "0.h5", ORIGIN) as writer:
        write = writer.bytes.write

        def count_and_write(content):
            written.append(len(content))
            return write(content)

        monkeypatch.setattr(writer.bytes, "write", count_and_write)
        for number in range(3000):
            writer.write(f"camera {number:04d}", *prediction)
        before = sum(written)
        for number in range(3000, 4000):
            writer.write(f"camera {number:04d}", *prediction)
        assert sum(written) - before < 5000 * 1000
