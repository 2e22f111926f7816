"""Predictions on disk: each shard has an HDF5 file of classes and confidences, and a histogram next to it."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z
from msgspec import Meta, Struct, to_builtins
from numpy.typing import NDArray

from cotrain.data.arrays import read_npy
from cotrain.data.file_names import fault_of_name
from cotrain.data.files import sha256_of, write_bytes
from cotrain.data.json_files import NotValidError, record_of
from cotrain.data.label_spaces import IGNORE
from cotrain.data.manifests import Item
from cotrain.errors import InputError, reason

# Measured on predictions of 2048×1024 pixels: classes take 2.1 MB uncompressed, 0.18 MB with lzf and 0.12 MB
# with gzip at level 1, which is as fast to write (9 ms) and faster to read (4 ms instead of 7). Confidences
# hardly shrink: 4.2 MB uncompressed or with lzf, 3.3 MB with shuffled bytes and gzip. That costs 90 ms at
# writing, and 16 ms instead of 2 at each reading. On CamVid, where models are surer, they also shrink by a
# fifth.
# The checksum of an image takes 1.5 ms at writing and at reading. With all other checks, reading takes 4.2 ms
# instead of 2.4 ms. HDF5's own checksum would need chunks, and only one thread at a time computes it.
COMPRESSION = 1


# Bytes of the text of an origin, 255 names of classes and two hashes. HDF5 allows 64 KiB.
LONGEST_ORIGIN = 60_000
MOST_SHARDS = 100_000
LEVELS = 65536
# Pixels of a prediction; the bound of `cotrain.data.images` is lower, unless the user has raised it.
LARGEST_PREDICTION = 2**31
CHECKSUM = "checksum"

# HDF5 keeps what it knows of the images that were read last, by itself 100 MB and more for each open file. No
# image is read twice, so this much, which holds the names of some thousand images, is as fast.
KNOWN_BYTES = 1 << 20

# The layout of HDF5 1.10, which every later one reads. In the oldest layout, which h5py writes by itself, the
# names of all images are one block, which has to be read or written again with each image: of 500 000 images,
# it has 16 MB.
LAYOUT = "v110"

# The largest block that the C library takes into account, see `_keep_freed_memory`.
LARGE_BLOCK = 31 << 20


@dataclass(frozen=True)
class Origin:
    """What one shard of a prediction was made from; all shards of a prediction differ only in `shard`.

    `classes` are the classes of the model's label space, in the order of train ids; `model` is a hash of the
    weights and all settings, `images` a hash of the whole image set in its order; `shard` counts from 0 to
    `shards` - 1.
    """

    classes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=IGNORE)]
    model: str
    images: str
    shard: Annotated[int, Meta(ge=0)]
    shards: Annotated[int, Meta(ge=1, le=MOST_SHARDS)]

    def __post_init__(self) -> None:
        if self.shard >= self.shards:
            raise ValueError(f"found shard {self.shard} of {self.shards}, which are counted from 0")

    def to_text(self) -> str:
        """Return the origin as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str, path: Path) -> "Origin":
        """Return the origin that `to_text` wrote into `path`; InputError if it is none."""
        try:
            return record_of(json.loads(text), cls)
        except (ValueError, NotValidError, RecursionError) as error:
            raise InputError(
                f"{path}: does not say what it was predicted from, expected what predict wrote"
            ) from error


def hash_of_images(items: Iterable[Item]) -> str:
    """Return the SHA-256 of a list of images: of ids, image sizes and file sizes, in their order.

    The order decides which images share a shard and a batch, and so the rounding of what is predicted.
    """
    content = hashlib.sha256()
    for item in items:
        content.update(f"{item.id}\t{item.width}\t{item.height}\t{item.bytes}\n".encode())
    return content.hexdigest()


def hash_of_model(files: Iterable[Path], settings: Struct) -> str:
    """Return the SHA-256 of what decides a prediction: weights, temperatures, how images go through."""
    deciding = [sha256_of(path) for path in files]
    deciding.append(json.dumps(to_builtins(settings), sort_keys=True))
    return hashlib.sha256("\n".join(deciding).encode()).hexdigest()


def write_histogram(path: Path | str, histogram: NDArray[np.int64], origin: Origin) -> None:
    """Write the confidence histogram (C, 65536) of a shard as compressed .npz, with its origin."""
    memory = io.BytesIO()
    np.savez_compressed(memory, histogram=histogram, origin=np.array(origin.to_text()))
    write_bytes(path, memory.getbuffer())


def read_histograms(paths: Sequence[Path], classes: Sequence[str]) -> tuple[NDArray[np.int64], str]:
    """Return the sum of the histograms of all shards of a prediction, int64 (C, 65536), and its `model`.

    Raises InputError if a shard is missing, occurs twice, is damaged, belongs to another prediction than the
    others, or has other classes than `classes`.
    """
    total: NDArray[np.int64] | None = None
    origins = []
    for path in paths:
        histogram, origin = read_histogram(path)
        origins.append(origin)
        check_classes(origin, path, classes)
        total = histogram if total is None else total + histogram
    check_shards(paths, origins)
    assert total is not None
    return total, origins[0].model


def read_histogram(path: Path) -> tuple[NDArray[np.int64], Origin]:
    """Return the histogram of one shard, int64 (C, 65536), and its origin; InputError if it is damaged."""
    shape = (None, LEVELS)
    most_bytes = IGNORE * LEVELS * 8
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("origin.npy") as file:
                text = str(read_npy(file, np.str_, (), 4 * LONGEST_ORIGIN))
            with archive.open("histogram.npy") as file:
                histogram = read_npy(file, np.int64, shape, most_bytes)
    # A broken archive makes zipfile, its decompressors and NumPy raise all kinds of errors.
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as a confidence histogram ({reason(error)}), expected what predict wrote"
        ) from error
    origin = Origin.from_text(text, path)
    # As float, a sum does not wrap around.
    number = len(origin.classes)
    if len(histogram) != number or histogram.min() < 0 or histogram.sum(dtype=float) > 2**53:
        found = f"{len(histogram)} classes and counts from {histogram.min()} to {histogram.max()}"
        raise InputError(
            f"{path}: cannot be read as a confidence histogram (it has {found}), "
            f"expected counts of pixels of {number} classes"
        )
    return histogram, origin


def check_classes(origin: Origin, path: Path, classes: Sequence[str]) -> None:
    """Raise InputError unless the predicting model had these classes."""
    if origin.classes != tuple(classes):
        raise InputError(
            f"{path}: predicted by a model of another label space, with the classes "
            f"{', '.join(origin.classes)}; expected {', '.join(classes)}"
        )


def check_shards(paths: Sequence[Path], origins: Sequence[Origin], whole: bool = True) -> None:
    """Raise InputError unless `paths`, with their `origins`, are shards of one prediction, each once.

    With `whole` they must be all its shards.
    """
    if not paths:
        raise InputError("found no shard of a prediction, expected all shards that predict wrote")
    first = origins[0]
    holders: dict[int, Path] = {}
    for path, origin in zip(paths, origins, strict=True):
        differences = {
            "by another model or with other settings": origin.model != first.model,
            "by a model of other classes": origin.classes != first.classes,
            "from another image set": origin.images != first.images,
            f"in {origin.shards} shards instead of {first.shards}": origin.shards != first.shards,
        }
        if any(differences.values()):
            words = ", ".join(text for text, differs in differences.items() if differs)
            raise InputError(
                f"{path}: belongs to another prediction than {paths[0]}: made {words}; "
                "expected the shards of one prediction"
            )
        holder = holders.setdefault(origin.shard, path)
        if holder is not path:
            raise InputError(
                f"{path}: holds shard {origin.shard}, which {holder} also holds; expected each shard once"
            )
    missing = sorted({*range(first.shards)} - {*holders})
    if whole and missing:
        raise InputError(
            f"{', '.join(map(str, paths))}: of {first.shards} shards, counted from 0, "
            f"{', '.join(map(str, missing))} is missing; expected all shards, so that no image is lost"
        )


class _BytesOnDisk:
    """A file for HDF5 that keeps errors of writing for later: they would end HDF5 in a segmentation fault."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by `close`)
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first error."""
        if self.error:
            raise self.error

    def close(self) -> None:
        """Close the file, and raise the first error."""
        self.file.close()
        self.check()

    def write(self, content: memoryview) -> int:
        """Write all bytes, unless an earlier write failed."""
        rest = memoryview(content)
        try:
            while rest and not self.error:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """Read back what was written; h5py knows a file by this method, and calls `readinto`."""
        return self.file.read(size)

    def readinto(self, memory: memoryview) -> int:
        """Read back what was written."""
        return self.file.readinto(memory)

    def seek(self, place: int, whence: int = 0) -> int:
        """Move to a place."""
        return self.file.seek(place, whence)

    def tell(self) -> int:
        """Return the place."""
        return self.file.tell()

    def truncate(self, size: int) -> int:
        """Change the size."""
        try:
            self.file.truncate(size)
        except OSError as error:
            self.error = self.error or error
        return size

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


class PackedPrediction(NamedTuple):
    """The prediction of an image (H, W) as it is stored: classes compressed, with a checksum of all."""

    image_id: str
    shape: tuple[int, ...]
    classes: bytes
    levels: NDArray[np.uint16]
    checksum: int


class PredictionWriter:
    """Writes the predictions of one shard into an open HDF5 file, image by image."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.bytes = _BytesOnDisk(path)
        self.file = h5py.File(self.bytes, "w", libver=LAYOUT)
        _keep_little(self.file)
        self.origin = origin.to_text().encode()
        # Of a fixed length: HDF5 keeps text of any length in a heap, and a damaged heap is read without end.
        self.file.attrs["origin"] = np.bytes_(self.origin)

    def __enter__(self) -> "PredictionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self.bytes.close()

    def packed(
        self, image_id: str, classes: NDArray[np.uint8], levels: NDArray[np.uint16]
    ) -> PackedPrediction:
        """Return what `write_packed` takes. It takes most of the time, and any threads may do it."""
        checksum = _checksum(self.origin, image_id, classes, levels)
        compressed = zlib.compress(np.ascontiguousarray(classes).data, COMPRESSION)
        return PackedPrediction(image_id, classes.shape, compressed, levels, checksum)

    def write(self, image_id: str, classes: NDArray[np.uint8], levels: NDArray[np.uint16]) -> None:
        """Add one image: classes (H, W) uint8, confidence levels (H, W) uint16, and a checksum of all.

        Raises OSError if the disk is full; so does the end of the context, which writes the rest.
        """
        self.write_packed(self.packed(image_id, classes, levels))

    def write_packed(self, packed: PackedPrediction) -> None:
        """Add one image that has been packed.

        Raises OSError if the disk is full; so does the end of the context, which writes the rest.
        """
        self.bytes.check()
        group = self.file.create_group(packed.image_id)
        # One chunk, so that the reader can decompress it itself.
        classes = group.create_dataset(
            "classes",
            packed.shape,
            np.uint8,
            chunks=packed.shape,
            compression="gzip",
            compression_opts=COMPRESSION,
        )
        classes.id.write_direct_chunk((0, 0), packed.classes)
        group.create_dataset("levels", data=packed.levels)
        group.attrs[CHECKSUM] = np.uint32(packed.checksum)


class PredictionReader:
    """Reads the predictions of one image set from its shards; any number of threads may use it.

    Args:
        shards: the .h5 files.
        whole: whether they must be all shards of the set.

    Raises:
        InputError: a shard is missing, occurs twice, is damaged, or belongs to another prediction than the
            others.
    """

    def __init__(self, shards: Iterable[Path], whole: bool = True) -> None:
        _keep_freed_memory()
        self.paths = list(shards)
        self.files = [_opened(path) for path in self.paths]
        self.texts = [_text_of_origin(file, path) for file, path in zip(self.files, self.paths, strict=True)]
        origins = [
            Origin.from_text(text.decode(errors="replace"), path)
            for text, path in zip(self.texts, self.paths, strict=True)
        ]
        check_shards(self.paths, origins, whole)
        self.origin = origins[0]
        self.holder = {
            image_id: shard
            for shard, (file, path) in enumerate(zip(self.files, self.paths, strict=True))
            for image_id in _images(file, path)
        }
        self.sizes: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> "PredictionReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files:
            file.close()

    def check(self, items: Sequence[Item], manifest: Path, classes: Sequence[str]) -> None:
        """Raise InputError unless the set has these classes and exactly the images of `manifest`."""
        check_classes(self.origin, self.paths[0], classes)
        self.sizes = {item.id: (item.height, item.width) for item in self.held(items)}
        if self.origin.images == hash_of_images(items):
            return
        missing = [item.id for item in items if item.id not in self.holder]
        gone = sorted({*self.holder} - {item.id for item in items})
        change = (
            f"image {missing[0]!r} was not predicted"
            if missing
            else f"image {gone[0]!r} was predicted and is not listed"
            if gone
            else "the order of the images, or the size of one or of its file, has changed"
        )
        raise InputError(
            f"{manifest}: is not the image set of the predictions {self._names()}: {change}; "
            "predict again with this manifest"
        )

    def held(self, items: Iterable[Item]) -> list[Item]:
        """Return the images of the set whose predictions are here: all of them if all shards are."""
        return [item for item in items if item.id in self.holder]

    def read(self, image_id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return classes (H, W) uint8, read-only, and confidence levels (H, W) uint16 of one image.

        Raises InputError if no shard holds the image, or if its prediction is damaged or holds an id that is
        no class.
        """
        if image_id not in self.holder:
            raise InputError(
                f"found no prediction of image {image_id!r} in {self._names()}; "
                "expected predictions of the same image set"
            )
        shard = self.holder[image_id]
        path = self.paths[shard]
        try:
            group = _hard(self.files[shard].id, image_id, h5g.GroupID)
            classes = _unpacked(_hard(group, "classes", h5d.DatasetID))
            levels = _plain(_hard(group, "levels", h5d.DatasetID), classes.shape)
            checksum = _checksum(self.texts[shard], image_id, classes, levels)
            is_whole = checksum == _attribute(group, CHECKSUM, h5t.INTEGER, 4)
            is_whole &= self.sizes.get(image_id, classes.shape) == classes.shape
        # HDF5 has a name of its own for each kind of damage.
        except Exception as error:
            raise InputError(
                f"{path}: the prediction of image {image_id!r} is damaged; predict again"
            ) from error
        if not is_whole:
            raise InputError(f"{path}: the prediction of image {image_id!r} is damaged; predict again")
        highest = int(classes.max(initial=0))
        if highest >= len(self.origin.classes):
            raise InputError(
                f"{path}: the prediction of image {image_id!r} holds class id {highest}, "
                f"expected train ids from 0 to {len(self.origin.classes) - 1}"
            )
        return classes, levels

    def _names(self) -> str:
        return ", ".join(map(str, self.paths))


def check_same_shard(first: PredictionReader, second: PredictionReader, pair_of: Mapping[str, str]) -> None:
    """Raise InputError unless one shard of a prediction holds the pairs of the images of that of another.

    `pair_of` maps the id of each image of `first` to that of the image of `second` with the same scene.
    """
    path, of, other = second.paths[0], first.origin, second.origin
    if (of.shard, of.shards) != (other.shard, other.shards):
        raise InputError(
            f"{path}: is shard {other.shard} of {other.shards}, {first.paths[0]} shard {of.shard} of "
            f"{of.shards}; expected the same shard of both predictions"
        )
    without = [image_id for image_id, pair in pair_of.items() if pair not in second.holder]
    if without:
        raise InputError(
            f"{path}: does not hold {pair_of[without[0]]!r}, the pair of {without[0]!r} in {first.paths[0]}; "
            "expected predictions with one prediction.batch_size, which decides what is in a shard"
        )


def _keep_freed_memory() -> None:
    """Make this process keep freed memory, so that the next image can use it.

    The C library of Linux keeps up to twice the size of the largest block that was freed so far. It returns
    more than that to the system, and must ask for it again at the next image, which takes longer than
    labelling the image. Freeing one large block raises the limit.
    """
    np.empty(LARGE_BLOCK, dtype=np.uint8)


def _checksum(origin: bytes, image_id: str, classes: NDArray[np.uint8], levels: NDArray[np.uint16]) -> int:
    """Return the CRC-32 of an image's prediction, of its id, and of what the shard was made from.

    For 2048×1024 pixels it takes 1.5 ms, in which other threads can work.
    """
    checksum = zlib.crc32(b"\0".join([origin, image_id.encode(), repr(classes.shape).encode()]))
    for pixels in (classes, levels):
        checksum = zlib.crc32(np.ascontiguousarray(pixels).data, checksum)
    return checksum


def _hard(folder: h5g.GroupID, name: str, kind: type) -> h5g.GroupID | h5d.DatasetID:
    """Return a member of a group; ValueError if it lies elsewhere.

    HDF5 would follow links to other names and to other files, and read another file's bytes as confidences.
    """
    if folder.links.get_info(name.encode()).type != h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link")
    member = h5o.open(folder, name.encode())
    if type(member) is not kind:
        raise ValueError(f"{name} is no {kind.__name__}")
    return member


def _unpacked(dataset: h5d.DatasetID) -> NDArray[np.uint8]:
    """Return the only chunk of a dataset, decompressed here: HDF5 lets only one thread at a time do that."""
    properties = dataset.get_create_plist()
    shape = _shape(dataset, np.dtype(np.uint8))
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if (
        properties.get_layout() != h5d.CHUNKED
        or properties.get_chunk() != shape
        or filters != [h5z.FILTER_DEFLATE]
    ):
        raise ValueError("classes are stored in another way")
    skipped_filters, content = dataset.read_direct_chunk((0, 0))
    if not skipped_filters:
        # Not more than it must be, however much there is.
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(content, shape[0] * shape[1])
        if not unpacking.eof and (unpacking.decompress(unpacking.unconsumed_tail, 1) or not unpacking.eof):
            raise ValueError("classes have another number of bytes")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _plain(dataset: h5d.DatasetID, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return a dataset of levels that lies in the file itself, as it is."""
    properties = dataset.get_create_plist()
    if _shape(dataset, np.dtype(np.uint16)) != shape or properties.get_external_count():
        raise ValueError("levels have another shape, or lie in another file")
    if properties.get_layout() != h5d.CONTIGUOUS or properties.get_nfilters():
        raise ValueError("levels are stored in another way")
    levels = np.empty(shape, np.uint16)
    dataset.read(h5s.ALL, h5s.ALL, levels)
    return levels


def _shape(dataset: h5d.DatasetID, dtype: np.dtype) -> tuple[int, int]:
    # What the file holds is compared before any memory is asked for.
    if dataset.get_type().dtype != dtype or dataset.rank != 2:
        raise ValueError("another type")
    height, width = dataset.shape
    if not 1 <= height * width <= LARGEST_PREDICTION:
        raise ValueError("another shape")
    return height, width


def _attribute(owner: h5g.GroupID, name: str, kind: int, most_bytes: int) -> bytes | int:
    """Return an attribute that is one number or one text of a fixed length; ValueError for any other.

    What it claims to be is compared first: HDF5 would read text of any length, or any number of texts.
    """
    attribute = h5a.open(owner, name.encode())
    stored = attribute.get_type()
    if attribute.get_space().get_simple_extent_type() != h5s.SCALAR or stored.get_class() != kind:
        raise ValueError(f"{name} is of another kind")
    if (kind == h5t.STRING and stored.is_variable_str()) or not 1 <= stored.get_size() <= most_bytes:
        raise ValueError(f"{name} is of another kind")
    value = np.empty((), stored.dtype)
    attribute.read(value)
    return value.item()


def _text_of_origin(file: h5py.File, path: Path) -> bytes:
    try:
        return bytes(_attribute(file.id, "origin", h5t.STRING, LONGEST_ORIGIN))
    # HDF5 has a name of its own for each kind of damage.
    except Exception as error:
        raise InputError(
            f"{path}: does not say what it was predicted from, expected what predict wrote"
        ) from error


def _images(file: h5py.File, path: Path) -> list[str]:
    """Return the ids of the images in a file."""
    try:
        names = [name.decode() for name in h5g.open(file.id, b"/")]
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as predictions ({reason(ValueError())}), expected what predict wrote"
        ) from error
    for name in names:
        if fault := fault_of_name(name):
            raise InputError(f"{path}: holds the image {name!r:.200}, whose id {fault}; predict again")
    return names


def _opened(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as predictions ({reason(error)}), expected what predict wrote"
        ) from error
    _keep_little(file)
    return file


def _keep_little(file: h5py.File) -> None:
    """Bound the memory of what HDF5 remembers of a file's groups and datasets to `KNOWN_BYTES`."""
    cache = file.id.get_mdc_config()
    cache.set_initial_size = True
    cache.initial_size = cache.min_size = cache.max_size = KNOWN_BYTES
    # It neither grows nor shrinks.
    cache.incr_mode = cache.flash_incr_mode = cache.decr_mode = 0
    file.id.set_mdc_config(cache)
