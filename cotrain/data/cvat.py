"""Labels for CVAT, a tool in which people draw labels, and corrected labels back from it.

The form is what CVAT calls "Segmentation mask 1.1": a PNG file for each image in which every class has a
colour, and `labelmap.txt`, which says which colour means which class. Black is no label there, void here.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.cityscapes_export import export_image, label_to_export
from cotrain.data.class_tables import ClassTable
from cotrain.data.file_names import is_one_line
from cotrain.data.files import refuse_overwriting, write_json, written_whole
from cotrain.data.images import label_size
from cotrain.data.label_files import TrainIdReader, check_palette
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item
from cotrain.errors import InputError, reason
from cotrain.progress import Progress
from cotrain.threads import map_in_order
from cotrain.words import agreeing, counted

BLACK, BACKGROUND = (0, 0, 0), "background"
CLASSES_FOLDER, OBJECTS_FOLDER = "SegmentationClass", "SegmentationObject"
LABELMAP, NAMES = "labelmap.txt", "ImageSets/Segmentation/default.txt"
LABELS_FILE, ARCHIVE, IMAGES_FOLDER = "labels.json", "annotations.zip", "images"
COLOUR = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3})")
EXPECTED_LINE = "NAME:RED,GREEN,BLUE::"


def check_label_space(space: LabelSpace) -> None:
    """Raise InputError if CVAT could not tell a class of `space` from another one or from no label."""
    for name, colour in zip(space.classes, space.palette, strict=True):
        if colour == BLACK:
            fault = "is black, which means no label in CVAT; give it another colour"
        elif name.lower() == BACKGROUND:
            fault = "has the name that CVAT gives to pixels without a label; give it another name"
        elif ":" in name or name.startswith("#") or name != name.strip():
            fault = (
                f"has a name that {LABELMAP} cannot hold; expected one without ':', that begins with no '#' "
                "and has no spaces at its ends"
            )
        else:
            continue
        raise InputError(f"label space {space.name}: the class {name!r} {fault}")


def labels_of(space: LabelSpace) -> list[dict[str, Any]]:
    """Return the labels of a task in CVAT, as JSON types: the classes with their colours."""
    return [
        {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*colour), "attributes": []}
        for name, colour in zip(space.classes, space.palette, strict=True)
    ]


def labelmap_text(space: LabelSpace) -> str:
    """Return the content of `labelmap.txt`: a line for pixels without a label, and one for each class."""
    lines = [
        f"{name}:{red},{green},{blue}::"
        for name, (red, green, blue) in zip(
            (BACKGROUND, *space.classes), (BLACK, *space.palette), strict=True
        )
    ]
    return "# label:color_rgb:parts:actions\n" + "".join(f"{line}\n" for line in lines)


def class_colours(space: LabelSpace) -> NDArray[np.uint8]:
    """Return uint8 (256, 3): the colour of each train id, black for void."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: space.number_of_classes] = space.palette
    return colours


def object_colours(space: LabelSpace) -> NDArray[np.uint8]:
    """Return uint8 (256, 3): for each train id the colour of object number train id + 1, black for void.

    All pixels of a class in an image are one object. The colours of objects are those of PASCAL VOC: bits 0,
    3, 6 of the number are the highest bits of red, and so on.
    """
    colours = np.zeros((256, 3), np.uint8)
    for train_id in range(space.number_of_classes):
        number = train_id + 1
        for bit in range(8):
            for channel in range(3):
                colours[train_id, channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return colours


def export_for_cvat(
    items: Sequence[Item], folder: Path, space: LabelSpace, copy: bool, workers: int, progress: Progress
) -> None:
    """Write `folder`/images, labels.json (the labels of a task) and annotations.zip (what is drawn so far).

    An image becomes ID.png or ID.jpg: a link to its file, a copy, or an upright PNG of one that EXIF turns or
    that is neither PNG nor JPEG.

    Args:
        items: images with labels of train ids.
        folder: files of an earlier export of the same images are replaced.
        space: the label space of the train ids.
        copy: copy images instead of linking to them.
        workers: how many images are exported at once.
        progress: counts the images.

    Raises:
        InputError: CVAT cannot hold the classes; a label does not fit its image or belongs to another label
            space; or `folder` holds other images or the images to export.
    """
    check_label_space(space)
    reader = TrainIdReader(space)
    images = folder / IMAGES_FOLDER
    _check_images(items, images)
    refuse_overwriting(
        [images / f"{item.id}{suffix}" for item in items for suffix in {item.image.suffix.lower(), ".png"}],
        [path for item in items for path in (item.image, item.label) if path],
    )
    check_palette(items, space)
    of_classes, of_objects = class_colours(space), object_colours(space)

    def export(item: Item) -> tuple[str, bytes, bytes]:
        label = label_to_export(item, reader)
        export_image(item.image, images / item.id, copy)
        return item.id, _png(of_classes[label]), _png(of_objects[label])

    write_json(folder / LABELS_FILE, labels_of(space))
    with written_whole(folder / ARCHIVE) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _add(archive, LABELMAP, labelmap_text(space).encode())
        _add(archive, NAMES, "".join(f"{item.id}\n" for item in items).encode())
        for name, classes, objects in map_in_order(export, items, workers):
            _add(archive, f"{CLASSES_FOLDER}/{name}.png", classes)
            # Without objects, CVAT would take the pixels without a label for a label of their own.
            _add(archive, f"{OBJECTS_FOLDER}/{name}.png", objects)
            progress.advance()


def read_labelmap(path: Path, space: LabelSpace) -> ClassTable:
    """Return the class table that a `labelmap.txt` of CVAT gives: black and `background` are void.

    Raises InputError if the file cannot be read, if a label is no class of `space`, or if a label or colour
    occurs twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({reason(error)}), expected what CVAT exports as Segmentation mask 1.1"
        ) from error
    names: dict[tuple[int, int, int], str | None] = {}
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        found = COLOUR.fullmatch(rest.partition(":")[0])
        levels = [int(level) for level in found.groups()] if found else [256]
        if max(levels) > 255 or not is_one_line(line):
            raise InputError(f"{place}: found {line!r:.200}, expected {EXPECTED_LINE}")
        red, green, blue = levels
        if name != BACKGROUND and name not in space.classes:
            raise InputError(
                f"{place}: found the label {name!r:.200}, expected classes of {space.name} "
                f"({', '.join(space.classes)}) or {BACKGROUND}; give the label one of these names in CVAT, "
                "and export again"
            )
        meaning = None if name == BACKGROUND else name
        if (red, green, blue) in names or meaning in names.values():
            raise InputError(f"{place}: the label {name!r} or its colour occurs twice, expected it once")
        names[(red, green, blue)] = meaning
    if not any(names.values()):
        raise InputError(f"{path}: names no label, expected lines such as {EXPECTED_LINE}")
    if names.setdefault(BLACK, None) is not None:
        raise InputError(
            f"{path}: the label {names[BLACK]!r} is black, which also means no label in CVAT; give it "
            "another colour there, and export again"
        )
    return ClassTable(path.name, dict(enumerate(names.values())), "colours", tuple(names))


def find_corrected(folder: Path, items: Sequence[Item], manifest: Path) -> list[tuple[Item, Path]]:
    """Return the items that have a label in an unpacked export of CVAT, with its file, in their order.

    `manifest` is the file that lists `items`, for messages.

    Raises InputError if the folder is no such export, if a label belongs to no item or to the same as
    another, or if a label has another size than its image.
    """
    if folder.suffix == ".zip" and folder.is_file():
        raise InputError(f"{folder}: is an archive; unpack it, and give the folder")
    labels = folder / CLASSES_FOLDER
    if not labels.is_dir():
        raise InputError(
            f"{folder}: there is no folder {CLASSES_FOLDER} in it; expected what CVAT exports as "
            "Segmentation mask 1.1, unpacked"
        )
    by_name: dict[str, Path] = {}
    # CVAT keeps the folders of images that were in folders.
    for path in sorted(labels.rglob("*.png")):
        if path.name.startswith("."):
            continue
        if (other := by_name.setdefault(path.stem, path)) is not path:
            raise InputError(f"{path} and {other} have one name; expected one label for each image")
    if not by_name:
        raise InputError(f"{labels}: holds no label, expected .png files")
    known = {item.id for item in items}
    strange = [path for name, path in by_name.items() if name not in known]
    if strange:
        raise InputError(
            f"{strange[0]}: {manifest} lists no image {strange[0].stem!r} ({len(strange)} of "
            f"{counted(len(by_name), 'label')} {agreeing(len(strange), 'has', 'have')} none); expected "
            "labels of the images that were exported"
        )
    found = [(item, by_name[item.id]) for item in items if item.id in by_name]
    for item, path in found:
        width, height = label_size(path)
        if (width, height) != (item.width, item.height):
            raise InputError(
                f"{path}: is {width}×{height}, but its image {item.image} is {item.width}×{item.height}; "
                "expected the same size: let CVAT export the images' own size"
            )
    return found


def _check_images(items: Sequence[Item], folder: Path) -> None:
    """Raise InputError if `folder` holds images of another export."""
    expected = {item.id for item in items}
    for path in sorted(folder.glob("*")):
        if not path.name.startswith(".") and path.stem not in expected:
            raise InputError(
                f"{folder}: holds {path}, which does not belong to this export; expected an empty folder"
            )


def _png(rgb: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].data)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # With a fixed time, the same labels are the same bytes.
    archive.writestr(zipfile.ZipInfo(name), content)
