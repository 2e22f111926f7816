"""The pictures of a page: some images, and all that the run knows of each, as layers to compare.

Each picture is made once: one that is newer than what it shows stays as it is.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cotrain.adaptation.thresholds import HIGHEST_LEVEL
from cotrain.configuration.names import BASELINE, UPPER_BOUND, ModelName
from cotrain.data.files import make_folder, portable
from cotrain.data.images import nearest, read_image, read_label
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item, check_listed_size, read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import PredictionReader, hash_of_images
from cotrain.evaluation.scores import confusion_matrix, mean_of_known, shares
from cotrain.reporting.page.records import RunRecords, last_of_chain
from cotrain.threads import map_in_order

Kind = Literal["photo", "classes", "confidence", "error"]

THUMBNAIL_PIXELS = 160 * 160
# Bytes of all pictures of a page: photos, classes and errors, confidences. Thumbnails and the page itself are
# small beside them, so that a page of any number of images stays below 60 MB.
PHOTO_BYTES, CLASS_BYTES, CONFIDENCE_BYTES = 26e6, 20e6, 6e6
# Bytes that a pixel is taken to need at first; a picture that needs more is made smaller.
BYTES_A_PIXEL = {"photo": 0.2, "classes": 0.03, "error": 0.03, "confidence": 0.1}
TRIES = 4
SMALLEST_SIDE = 32
# No screen shows more at once.
LONGEST_SIDE = 2048
PHOTO_QUALITY, CONFIDENCE_QUALITY, THUMBNAIL_QUALITY = 82, 60, 70
WRONG, UNLABELLED = (225, 40, 40), (128, 128, 128)
SOURCE_IMAGES = 12


class Layer(NamedTuple):
    """Something that can be shown of the images of a gallery: its key is also the name of its files."""

    key: str
    title: str
    kind: Kind


@dataclass
class Gallery:
    """Images of one set: its layers, and for each image which of them it has and what it is sorted by.

    `values` maps the title of an order to a value for each image; images without one come last. `ascending`
    names the orders that begin with the smallest value.
    """

    name: str
    title: str
    text: str
    layers: list[Layer]
    images: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    ascending: list[str] = field(default_factory=list)
    start: tuple[str, str] = ("photo", "photo")
    confusions: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the page needs of it, as JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "text": self.text,
            "layers": [layer._asdict() for layer in self.layers],
            "images": self.images,
            "values": self.values,
            "ascending": self.ascending,
            "start": list(self.start),
        }


class Room(NamedTuple):
    """How many bytes a picture of each kind may have."""

    photo: float
    classes: float
    confidence: float

    @classmethod
    def of(cls, images: int, layers: Sequence[Layer]) -> "Room":
        """Return the room in a gallery of a page with so many images in all, each with these layers."""
        kinds = [layer.kind for layer in layers]

        def each(room: float, number: int) -> float:
            return room / max(images * number, 1)

        return cls(
            each(PHOTO_BYTES, kinds.count("photo")),
            each(CLASS_BYTES, kinds.count("classes") + kinds.count("error")),
            each(CONFIDENCE_BYTES, kinds.count("confidence")),
        )


def scaled_size(shape: Sequence[int], pixels: float) -> tuple[int, int]:
    """Return the (height, width) of an image within `pixels` and `LONGEST_SIDE`; it never grows."""
    height, width = shape[:2]
    factor = min(1.0, (pixels / (height * width)) ** 0.5, LONGEST_SIDE / max(height, width))
    return max(round(height * factor), 1), max(round(width * factor), 1)


def within(shape: Sequence[int], kind: Kind, room: float, encoded: Callable[[int, int], bytes]) -> bytes:
    """Return a picture as a file of at most `room` bytes: as large as fits, after a few tries.

    `encoded` returns it in a (height, width).
    """
    size = scaled_size(shape, room / BYTES_A_PIXEL[kind])
    content = encoded(*size)
    for _ in range(TRIES):
        if len(content) <= room or min(size) <= SMALLEST_SIDE:
            break
        size = scaled_size(size, size[0] * size[1] * max(0.9 * room / len(content), 0.1))
        content = encoded(*size)
    return content


class Pictures:
    """Writes the pictures of a page below `folder`."""

    def __init__(self, folder: Path, space: LabelSpace, mask: EgoVehicleMask) -> None:
        self.folder, self.space, self.mask = folder, space, mask
        self.seen: set[str] = set()

    def place(self, gallery: str, item: Item) -> str:
        """Return the folder of an image's pictures, relative to that of all pictures.

        No name of the user's is in it. It stays the same when the working folder is moved.
        """
        text = f"{item.id}\n{portable(item.image)}\n{item.bytes}\n{item.width}\n{item.height}"
        return f"{gallery}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def is_there(self, path: Path, sources: Sequence[Path]) -> bool:
        """Whether a picture is newer than the files it is made from."""
        self.seen.add(path.relative_to(self.folder).as_posix())
        if not path.is_file() or not path.stat().st_size:
            return False
        made = path.stat().st_mtime
        return all(source.stat().st_mtime <= made for source in sources if source.is_file())

    def remove_others(self) -> None:
        """Remove the pictures of images and models that are no longer on the page."""
        for path in list(self.folder.rglob("*")):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in self.seen:
                path.unlink()

    def photo(self, path: Path, image: Path, item: Item, room: float) -> None:
        """Write a photo, and its thumbnail beside it, if they are not there."""
        thumbnail = path.with_name("thumb.jpg")
        # Both are looked at, so that both count as parts of the page.
        are_there = [self.is_there(path, [image])]
        if path.name == "photo.jpg":
            are_there.append(self.is_there(thumbnail, [image]))
        if all(are_there):
            return
        rgb = read_image(image)
        if image == item.image:
            check_listed_size(item, *rgb.shape[:2])
        write_picture(path, within(rgb.shape, "photo", room, partial(_jpeg, rgb, PHOTO_QUALITY)))
        if len(are_there) > 1:
            small = scaled_size(rgb.shape, THUMBNAIL_PIXELS)
            write_picture(thumbnail, _jpeg(rgb, THUMBNAIL_QUALITY, *small))

    def classes(self, path: Path, train_ids: NDArray[np.uint8], room: float) -> None:
        """Write train ids (H, W) as a picture in the colours of the classes; void is transparent."""
        colours = np.zeros((256, 4), np.uint8)
        colours[: self.space.number_of_classes, :3] = self.space.palette
        colours[: self.space.number_of_classes, 3] = 255
        write_picture(path, within(train_ids.shape, "classes", room, partial(_indexed, train_ids, colours)))

    def error(self, path: Path, truth: NDArray[np.uint8], train_ids: NDArray[np.uint8], room: float) -> None:
        """Write where a prediction is wrong (red) and where the truth is void (grey), over nothing."""
        kind = np.where(truth == IGNORE, 2, truth != train_ids).astype(np.uint8)
        colours = np.zeros((256, 4), np.uint8)
        colours[1], colours[2] = (*WRONG, 255), (*UNLABELLED, 255)
        write_picture(path, within(kind.shape, "error", room, partial(_indexed, kind, colours)))

    def confidence(self, path: Path, levels: NDArray[np.uint16], room: float) -> None:
        """Write confidence levels (H, W) as a picture from dark (0) to bright (1)."""
        grey = (levels >> 8).astype(np.uint8)
        coloured = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB)
        rgb = np.asarray(coloured, np.uint8)
        write_picture(path, within(grey.shape, "confidence", room, partial(_jpeg, rgb, CONFIDENCE_QUALITY)))


def write_picture(path: Path, content: bytes) -> None:
    """Write a picture of the page: whole or not at all, but without waiting for the disk.

    There are thousands, and a power cut takes nothing that is not made again: an empty file counts as none.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _jpeg(rgb: NDArray[np.uint8], quality: int, height: int, width: int) -> bytes:
    bgr = cv2.cvtColor(reduced(rgb, height, width), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _indexed(ids: NDArray[np.uint8], colours: NDArray[np.uint8], height: int, width: int) -> bytes:
    image = Image.fromarray(nearest(ids, height, width))
    image.putpalette(colours[:, :3].tobytes())
    memory = io.BytesIO()
    image.save(memory, format="PNG", transparency=colours[:, 3].tobytes())
    return memory.getvalue()


def reduced(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image in another, smaller size: each pixel is the mean of those in its place."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def file_name(key: str, kind: Kind) -> str:
    """Return the name of a layer's files: keys are names of models and steps, which have slashes."""
    return key.replace("/", ".") + (".png" if kind in ("classes", "error") else ".jpg")


# --------------------------------------------------------------------------------------- galleries


def galleries(records: RunRecords, pictures: Pictures, threads: int) -> Iterator[Gallery]:
    """Write the pictures of all galleries and yield those that have an image: test, target, source."""
    folder = records.folder / "sample"
    manifests = folder / "labelled" / f"{records.configuration.test}.tsv", folder / "images.tsv"
    # All share the room.
    images = sum(len(read_manifest(path)) for path in manifests if path.is_file()) + SOURCE_IMAGES
    for gallery in (
        _test(records, pictures, images, threads),
        _target(records, pictures, images, threads),
        _source(records, pictures, images, threads),
    ):
        if gallery and gallery.images:
            yield gallery


def _predicted(paths: Mapping[str, Path], *views: Sequence[Item]) -> dict[str, Path]:
    """Return which predictions are of these images; those of an earlier sample are not yet made again."""
    hashes = {hash_of_images(items) for items in views if items}
    found = {}
    for model, path in paths.items():
        if path.is_file():
            with PredictionReader([path]) as reader:
                if reader.origin.images in hashes:
                    found[model] = path
    return found


def _model_layers(models: Sequence[str]) -> list[Layer]:
    return [
        *(Layer(model, model, "classes") for model in models),
        *(Layer(f"{model}.confidence", f"{model}, confidence", "confidence") for model in models),
    ]


def _target(records: RunRecords, pictures: Pictures, images: int, threads: int) -> Gallery | None:
    folder = records.folder / "sample"
    if not (folder / "images.tsv").is_file():
        return None
    items = read_manifest(folder / "images.tsv")
    items_b = read_manifest(folder / "images_b.tsv") if (folder / "images_b.tsv").is_file() else []
    models = [*records.planned, str(UPPER_BOUND)]
    paths = _predicted({model: folder / f"{model}.h5" for model in models}, items, items_b)
    labels = _pseudo_labels(records, items, items_b)
    layers = [
        Layer("photo", "photo", "photo"),
        *([Layer("photo_b", "photo, as branch b sees it", "photo")] if items_b else []),
        *_model_layers(list(paths)),
        *(Layer(f"labels.{step}", f"pseudo-labels of {step}", "classes") for step in labels),
    ]
    gallery = Gallery(
        "target",
        "Photos of the target",
        "No label of these photos is known to the models. The compared pictures show what each of them sees.",
        layers,
        start=("photo", last_of_chain(paths) or "photo"),
    )
    room = Room.of(images, layers)
    with ExitStack() as stack:
        readers = {model: stack.enter_context(PredictionReader([path])) for model, path in paths.items()}
        views = {
            model: items_b if items_b and reader.origin.images == hash_of_images(items_b) else items
            for model, reader in readers.items()
        }
        for model, reader in readers.items():
            reader.check(views[model], folder / "images.tsv", records.space.classes)

        def show(place: int) -> tuple[dict[str, Any], dict[str, float], NDArray[np.int64]]:
            item = items[place]
            where = pictures.place("target", item)
            at = pictures.folder / where
            pictures.photo(at / "photo.jpg", item.image, item, room.photo)
            has = ["photo"]
            if items_b:
                pictures.photo(at / "photo_b.jpg", items_b[place].image, items_b[place], room.photo)
                has.append("photo_b")
            first: NDArray[np.uint8] | None = None
            values: dict[str, float] = {}
            counts = np.zeros(records.space.number_of_classes, np.int64)
            for model, reader in readers.items():
                train_ids, levels = reader.read(views[model][place].id)
                own_vehicle = pictures.mask.of_size(*train_ids.shape)
                if own_vehicle is not None:
                    train_ids = np.where(own_vehicle, np.uint8(IGNORE), train_ids)
                _write_model(pictures, at, model, train_ids, levels, room, [paths[model]])
                has += [model, f"{model}.confidence"]
                values[f"confidence of {model}"] = float(levels.mean()) / HIGHEST_LEVEL
                if first is None:
                    first = train_ids
                elif first.shape == train_ids.shape:
                    values[f"pixels unlike {next(iter(readers))}: {model}"] = float(
                        (first != train_ids).mean()
                    )
                if model == last_of_chain(paths):
                    counts = np.bincount(train_ids.ravel(), minlength=256)[: len(counts)]
            for step, by_id in labels.items():
                seen = items_b[place] if _is_of_b(step, items_b) else item
                found = by_id.get(seen.id)
                if found is not None and found.label is not None:
                    path = at / file_name(f"labels.{step}", "classes")
                    if not pictures.is_there(path, [found.label]):
                        pictures.classes(path, read_label(found.label), room.classes)
                    has.append(f"labels.{step}")
            return _entry(item, where, has), values, counts

        shown = list(map_in_order(show, range(len(items)), threads))
    gallery.images = [entry for entry, _, _ in shown]
    _collect(gallery, [values for _, values, _ in shown])
    gallery.ascending = [name for name in gallery.values if name.startswith("confidence")]
    newest = last_of_chain(paths)
    if newest:
        _class_orders(gallery, records, [counts for _, _, counts in shown], newest)
    return gallery


def _write_model(
    pictures: Pictures,
    at: Path,
    model: str,
    train_ids: NDArray[np.uint8],
    levels: NDArray[np.uint16],
    room: Room,
    sources: Sequence[Path],
) -> None:
    path = at / file_name(model, "classes")
    if not pictures.is_there(path, sources):
        pictures.classes(path, train_ids, room.classes)
    path = at / file_name(f"{model}.confidence", "confidence")
    if not pictures.is_there(path, sources):
        pictures.confidence(path, levels, room.confidence)


def _is_of_b(step: str, items_b: Sequence[Item]) -> bool:
    return bool(items_b) and step != "ensemble" and ModelName.parse(step).branch == "b"


def _pseudo_labels(
    records: RunRecords, items: Sequence[Item], items_b: Sequence[Item]
) -> dict[str, dict[str, Item]]:
    """Return the pseudo-labels that each step gave to images of the sample, by the ids of these."""
    found: dict[str, dict[str, Item]] = {}
    folder = records.folder / "pseudo_labels"
    manifests = {str(step): folder / str(step) / "selected.tsv" for step in records.plan.steps}
    manifests["ensemble"] = folder / "ensemble" / "manifest.tsv"
    for step, path in manifests.items():
        if not path.is_file():
            continue
        wanted = {item.id for item in (items_b if _is_of_b(step, items_b) else items)}
        chosen = {item.id: item for item in read_manifest(path) if item.id in wanted}
        if chosen:
            found[step] = chosen
    return found


def _test(records: RunRecords, pictures: Pictures, images: int, threads: int) -> Gallery | None:
    test = records.configuration.test
    manifest = records.folder / "sample" / "labelled" / f"{test}.tsv"
    if not test or not manifest.is_file():
        return None
    items = read_manifest(manifest)
    # More would be too many layers to look at.
    models = map(str, [*records.plan.last_models("final"), UPPER_BOUND])
    folder = records.folder / "evaluation"
    paths = _predicted({model: folder / model / test / "sample.h5" for model in models}, items)
    layers = [
        Layer("photo", "photo", "photo"),
        Layer("truth", "truth", "classes"),
        *_model_layers(list(paths)),
        *(Layer(f"{model}.error", f"{model}, error", "error") for model in paths),
    ]
    gallery = Gallery(
        "test",
        "Test images",
        "These have true labels: an error is red, and grey is what has no label. Nothing was trained on "
        "them.",
        layers,
        start=("truth", last_of_chain(paths) or "photo"),
    )
    room = Room.of(images, layers)
    number = records.space.number_of_classes
    with ExitStack() as stack:
        readers = {model: stack.enter_context(PredictionReader([path])) for model, path in paths.items()}
        for reader in readers.values():
            reader.check(items, manifest, records.space.classes)

        def show(place: int) -> tuple[dict[str, Any], dict[str, float | None], NDArray[np.int64] | None]:
            item = items[place]
            where = pictures.place("test", item)
            at = pictures.folder / where
            pictures.photo(at / "photo.jpg", item.image, item, room.photo)
            assert item.label is not None
            truth, has = read_label(item.label), ["photo", "truth"]
            own_vehicle = pictures.mask.of_size(*truth.shape)
            if own_vehicle is not None:
                truth = np.where(own_vehicle, np.uint8(IGNORE), truth)
            path = at / file_name("truth", "classes")
            if not pictures.is_there(path, [item.label]):
                pictures.classes(path, truth, room.classes)
            newest = last_of_chain(paths)
            values: dict[str, float | None] = {}
            iou: list[float | None] = []
            of_newest: NDArray[np.int64] | None = None
            for model, reader in readers.items():
                train_ids, levels = reader.read(item.id)
                _write_model(pictures, at, model, train_ids, levels, room, [paths[model]])
                path = at / file_name(f"{model}.error", "error")
                if not pictures.is_there(path, [paths[model], item.label]):
                    pictures.error(path, truth, train_ids, room.classes)
                has += [model, f"{model}.confidence", f"{model}.error"]
                confusion = confusion_matrix(truth, np.asarray(train_ids), number)
                values[f"mIoU of {model}"] = mean_of_known(iou_of(confusion))
                if model == newest:
                    iou, of_newest = iou_of(confusion), confusion
            first = values.get(f"mIoU of {BASELINE}")
            last = values.get(f"mIoU of {newest}")
            if newest != str(BASELINE) and first is not None and last is not None:
                values[f"gain of {newest} over the baseline"] = last - first
            for name, value in zip(records.space.classes, iou, strict=False):
                values[f"IoU of {name}, {newest}"] = value
            return _entry(item, where, has), values, of_newest

        shown = list(map_in_order(show, range(len(items)), threads))
    gallery.images = [entry for entry, _, _ in shown]
    _collect(gallery, [values for _, values, _ in shown])
    gallery.ascending = list(gallery.values)
    gallery.confusions = {entry["place"]: matrix for entry, _, matrix in shown if matrix is not None}
    return gallery


def iou_of(confusion: NDArray[np.int64]) -> list[float | None]:
    """Return the IoU of each class from a confusion matrix (C, C + 1); None for a class that is not there."""
    correct = np.diagonal(confusion)
    predicted = confusion[:, :-1].sum(axis=0)
    return shares(correct, confusion.sum(axis=1) + predicted - correct)


def _source(records: RunRecords, pictures: Pictures, images: int, threads: int) -> Gallery | None:
    """Some images of each source before and after the translation of their colours."""
    chosen: list[tuple[Item, Path | None]] = []
    is_translated = records.configuration.translation.method != "none"
    for name in records.plan.source_datasets:
        manifest = records.folder / "data" / name / "train_ids.tsv"
        if not manifest.is_file():
            continue
        items = read_manifest(manifest)
        path = records.folder / "translated" / name / "manifest.tsv"
        after = {item.id: item for item in read_manifest(path)} if is_translated and path.is_file() else {}
        step = max(len(items) * len(records.plan.source_datasets) // SOURCE_IMAGES, 1)
        chosen += [(item, _translated(item.id, after)) for item in items[::step][:SOURCE_IMAGES]]
    if not chosen:
        return None
    layers = [
        Layer("photo", "image", "photo"),
        *(
            [Layer("translated", "in the colours of the target", "photo")]
            if any(p for _, p in chosen)
            else []
        ),
        Layer("truth", "label", "classes"),
    ]
    gallery = Gallery(
        "source",
        "Images of the source",
        "Labelled synthetic images, before and after they get the colours of the target.",
        layers,
        start=("photo", layers[1].key),
    )
    room = Room.of(images, layers)

    def show(pair: tuple[Item, Path | None]) -> dict[str, Any]:
        item, translated = pair
        where = pictures.place("source", item)
        at = pictures.folder / where
        pictures.photo(at / "photo.jpg", item.image, item, room.photo)
        has = ["photo"]
        if translated is not None and translated.is_file():
            pictures.photo(at / "translated.jpg", translated, item, room.photo)
            has.append("translated")
        if item.label is not None:
            path = at / file_name("truth", "classes")
            if not pictures.is_there(path, [item.label]):
                pictures.classes(path, read_label(item.label), room.classes)
            has.append("truth")
        return _entry(item, where, has)

    gallery.images = list(map_in_order(show, chosen, threads))
    return gallery


def _translated(image_id: str, after: Mapping[str, Item]) -> Path | None:
    """Return a translated copy of a source image; with several copies of each, the first."""
    found = after.get(image_id) or next(
        (item for name, item in after.items() if name.rpartition("_")[0] == image_id), None
    )
    return found.image if found else None


def _entry(item: Item, where: str, has: Sequence[str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.image.name,
        "place": where,
        "width": item.width,
        "height": item.height,
        "has": list(has),
    }


def _collect(gallery: Gallery, values: Sequence[Mapping[str, float | None]]) -> None:
    names = dict.fromkeys(name for of_image in values for name in of_image)
    for name in names:
        column = [of_image.get(name) for of_image in values]
        if any(value is not None for value in column):
            gallery.values[name] = [None if value is None else round(value, 4) for value in column]


def _class_orders(
    gallery: Gallery, records: RunRecords, counts: Sequence[NDArray[np.int64]], model: str
) -> None:
    for train_id, name in enumerate(records.space.classes):
        column = [round(float(count[train_id] / max(count.sum(), 1)), 4) for count in counts]
        if any(column):
            gallery.values[f"share of {name}, {model}"] = list(column)
