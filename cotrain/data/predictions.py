"""Predictions on disk: each shard has an HDF5 file of classes and confidences, and a histogram next to it."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from numpy.typing import NDArray

from cotrain.data.files import written_whole
from cotrain.data.manifests import Item
from cotrain.errors import InputError, reason

# Measured on predictions of 2048×1024 pixels: classes take 2.1 MB uncompressed, 0.18 MB with lzf and 0.12 MB
# with gzip at level 1, which is as fast to write (9 ms) and faster to read (4 ms instead of 7). Confidences
# hardly shrink: 4.2 MB uncompressed or with lzf, 3.3 MB with shuffled bytes and gzip. That costs 90 ms at
# writing, and 16 ms instead of 2 at each reading. On CamVid, where models are surer, they also shrink by a
# fifth.
CLASS_COMPRESSION = {"compression": "gzip", "compression_opts": 1}


# The largest block that the C library takes into account, see `_keep_freed_memory`.
LARGE_BLOCK = 31 << 20


@dataclass(frozen=True)
class Origin:
    """What one shard of a prediction was made from; all shards of a prediction differ only in `shard`.

    `classes` are the classes of the model's label space, in the order of train ids; `model` is a hash of the
    weights and all settings, `images` a hash of the whole image set; `shard` counts from 0 to `shards` - 1.
    """

    classes: tuple[str, ...]
    model: str
    images: str
    shard: int
    shards: int

    def to_text(self) -> str:
        """Return the origin as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: object, path: Path) -> "Origin":
        """Return the origin that `to_text` wrote into `path`; InputError if it is none."""
        try:
            content = json.loads(str(text))
            return cls(**content | {"classes": tuple(content["classes"])})
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}: does not say what it was predicted from, expected what predict wrote"
            ) from error


def hash_of_images(items: Iterable[Item]) -> str:
    """Return the SHA-256 of an image set: of its ids, image sizes and file sizes. Order does not matter."""
    lines = sorted(f"{item.id}\t{item.width}\t{item.height}\t{item.bytes}\n" for item in items)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_histogram(path: Path | str, histogram: NDArray[np.int64], origin: Origin) -> None:
    """Write the confidence histogram (C, 65536) of a shard as compressed .npz, with its origin."""
    with written_whole(path) as temporary:
        np.savez_compressed(temporary, histogram=histogram, origin=np.array(origin.to_text()))


def read_histograms(paths: Sequence[Path], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the sum of the histograms of all shards of a prediction, int64 (C, 65536).

    Raises InputError if a shard is missing, occurs twice, is damaged, belongs to another prediction than the
    others, or has other classes than `classes`.
    """
    total: NDArray[np.int64] | None = None
    origins = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as content:
                histogram, origin = content["histogram"], content["origin"]
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(
                f"{path}: cannot be read as a confidence histogram ({reason(error)}), expected what predict "
                "wrote"
            ) from error
        origins.append(Origin.from_text(origin, path))
        total = histogram if total is None else total + histogram
        check_classes(origins[-1], path, classes)
    check_shards(paths, origins)
    assert total is not None
    return total


def check_classes(origin: Origin, path: Path, classes: Sequence[str]) -> None:
    """Raise InputError unless the predicting model had these classes."""
    if origin.classes != tuple(classes):
        raise InputError(
            f"{path}: predicted by a model of another label space, with the classes "
            f"{', '.join(origin.classes)}; expected {', '.join(classes)}"
        )


def check_shards(paths: Sequence[Path], origins: Sequence[Origin]) -> None:
    """Raise InputError unless `paths`, with their `origins`, are all shards of one prediction, each once."""
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
    if missing:
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


class PredictionWriter:
    """Writes the predictions of one shard into an open HDF5 file, image by image."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.bytes = _BytesOnDisk(path)
        self.file = h5py.File(self.bytes, "w")
        self.file.attrs["origin"] = origin.to_text()

    def __enter__(self) -> "PredictionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self.bytes.close()

    def write(self, image_id: str, classes: NDArray[np.uint8], levels: NDArray[np.uint16]) -> None:
        """Add one image: classes (H, W) uint8, confidence levels (H, W) uint16.

        Raises OSError if the disk is full; so does the end of the context, which writes the rest.
        """
        self.bytes.check()
        group = self.file.create_group(image_id)
        # One chunk, so that the reader can decompress it itself.
        group.create_dataset("classes", data=classes, chunks=classes.shape, **CLASS_COMPRESSION)
        group.create_dataset("levels", data=levels)


class PredictionReader:
    """Reads the predictions of one image set from all its shards; any number of threads may use it.

    Raises:
        InputError: a shard is missing, occurs twice, is damaged, or belongs to another prediction than the
            others.
    """

    def __init__(self, shards: Iterable[Path]) -> None:
        _keep_freed_memory()
        self.paths = list(shards)
        self.files = [_opened(path) for path in self.paths]
        origins = [
            Origin.from_text(file.attrs.get("origin"), path)
            for file, path in zip(self.files, self.paths, strict=True)
        ]
        check_shards(self.paths, origins)
        self.origin = origins[0]
        self.holder = {image_id: file for file in self.files for image_id in file}

    def __enter__(self) -> "PredictionReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files:
            file.close()

    def check(self, items: Sequence[Item], manifest: Path, classes: Sequence[str]) -> None:
        """Raise InputError unless the predictions have these classes and exactly the images of `manifest`."""
        check_classes(self.origin, self.paths[0], classes)
        if self.origin.images == hash_of_images(items):
            return
        missing = [item.id for item in items if item.id not in self.holder]
        gone = sorted({*self.holder} - {item.id for item in items})
        change = (
            f"image {missing[0]!r} was not predicted"
            if missing
            else f"image {gone[0]!r} was predicted and is not listed"
            if gone
            else "the size of an image or of its file has changed"
        )
        raise InputError(
            f"{manifest}: is not the image set of the predictions {self._names()}: {change}; "
            "predict again with this manifest"
        )

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
        file = self.holder[image_id]
        try:
            group = file[image_id]
            classes, levels = _unpacked(group["classes"]), group["levels"][()]
        except (OSError, KeyError, ValueError, zlib.error) as error:
            raise InputError(
                f"{file.filename}: the prediction of image {image_id!r} is damaged; predict again"
            ) from error
        highest = int(classes.max(initial=0))
        if highest >= len(self.origin.classes):
            raise InputError(
                f"{file.filename}: the prediction of image {image_id!r} holds class id {highest}, "
                f"expected train ids from 0 to {len(self.origin.classes) - 1}"
            )
        return classes, levels

    def _names(self) -> str:
        return ", ".join(map(str, self.paths))


def _keep_freed_memory() -> None:
    """Make this process keep freed memory, so that the next image can use it.

    The C library of Linux keeps up to twice the size of the largest block that was freed so far. It returns
    more than that to the system, and must ask for it again at the next image, which takes longer than
    labelling the image. Freeing one large block raises the limit.
    """
    np.empty(LARGE_BLOCK, dtype=np.uint8)


def _unpacked(dataset: h5py.Dataset) -> NDArray[np.uint8]:
    """Return the only chunk of a dataset, decompressed here: HDF5 lets only one thread at a time do that."""
    skipped_filters, content = dataset.id.read_direct_chunk((0, 0))
    if not skipped_filters:
        content = zlib.decompress(content, bufsize=dataset.size)
    return np.frombuffer(content, dtype=np.uint8).reshape(dataset.shape)


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as predictions ({reason(error)}), expected what predict wrote"
        ) from error
