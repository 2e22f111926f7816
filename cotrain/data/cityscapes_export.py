"""Export of labelled images as a dataset with the folders and file names of Cityscapes, for other tools."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from cotrain.data.class_tables import class_table
from cotrain.data.file_names import fault_of_name
from cotrain.data.files import link, refuse_overwriting, write_text, written_whole
from cotrain.data.images import image_facts, read_image, write_grey, write_image
from cotrain.data.label_files import TrainIdReader, check_palette, train_id_table
from cotrain.data.label_spaces import IGNORE, LabelSpace
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.threads import map_in_order

UNLABELLED = 0
# Images of these names stay as they are, all others become PNG files: other programs read no more.
COPIED_SUFFIXES = (".png", ".jpg", ".jpeg")
IMAGE_ENDING, LABEL_IDS_ENDING, TRAIN_IDS_ENDING = (
    "_leftImg8bit",
    "_gtFine_labelIds.png",
    "_gtFine_labelTrainIds.png",
)
ENDING = re.compile(r"_(leftImg8bit\.\w+|gtFine_label(Train)?Ids\.png)$")
CLASSES_FILE, LABEL_SPACE_FILE = "classes.yaml", "label_space.yaml"


@dataclass(frozen=True)
class ExportedIds:
    """The id of each train id in `labelIds` files and in `labelTrainIds` files, uint8 (256,) each.

    `of_cityscapes` is true if these are the ids of Cityscapes.
    """

    label_ids: NDArray[np.uint8]
    train_ids: NDArray[np.uint8]
    of_cityscapes: bool


def exported_ids(space: LabelSpace) -> ExportedIds:
    """Return the ids of Cityscapes if every class of `space` is one of its classes, else the train ids.

    Void is 0 in the label ids of Cityscapes and 255 in all other ids.
    """
    own_ids = {name: own_id for own_id, name in class_table("cityscapes_ids").ids.items() if name}
    if not set(space.classes) <= set(own_ids):
        unchanged = np.arange(256, dtype=np.uint8)
        return ExportedIds(unchanged, unchanged, False)
    train_ids = {name: own_id for own_id, name in class_table("cityscapes_train_ids").ids.items() if name}
    label_table, train_table = np.full(256, UNLABELLED, np.uint8), np.full(256, IGNORE, np.uint8)
    for train_id, name in enumerate(space.classes):
        label_table[train_id], train_table[train_id] = own_ids[name], train_ids[name]
    return ExportedIds(label_table, train_table, True)


def export_as_cityscapes(
    items: Sequence[Item],
    folder: Path,
    space: LabelSpace,
    city: str | None,
    copy: bool,
    workers: int,
    progress: Progress,
) -> ExportedIds:
    """Write `folder`/leftImg8bit/train/CITY and `folder`/gtFine/train/CITY; return which ids the labels hold.

    An image becomes a link to its file, or a copy. An image that is neither PNG nor JPEG, or that EXIF turns,
    is written upright as PNG, because tools differ in whether they turn it. File names come from the ids of
    the items. If the ids are not those of Cityscapes, classes.yaml and label_space.yaml explain them.

    Args:
        items: images with labels of train ids.
        folder: where the dataset goes; the files of an earlier export of the same images are replaced.
        space: the label space of the train ids.
        city: the folder for all images; None uses for each image the name of the folder that holds it.
        copy: copy images instead of linking to them.
        workers: how many images are exported at once.
        progress: counts the images.

    Raises:
        InputError: a label does not fit its image, holds unknown ids or belongs to another label space; two
            images would get the same name; or `folder` holds other images or the images to export.
    """
    if city is not None and (fault := fault_of_name(city)):
        raise InputError(f"--city: {city!r} {fault}; expected the name of a folder")
    ids = exported_ids(space)
    reader = TrainIdReader(space)
    places = [_place(item, city) for item in items]
    _check_places(items, places, folder)
    outputs = [
        folder / part / "train" / f"{place}{ending}"
        for item, place in zip(items, places, strict=True)
        for part, ending in (
            *(("leftImg8bit", f"{IMAGE_ENDING}{suffix}") for suffix in {item.image.suffix.lower(), ".png"}),
            ("gtFine", LABEL_IDS_ENDING),
            ("gtFine", TRAIN_IDS_ENDING),
        )
    ]
    refuse_overwriting(outputs, [path for item in items for path in (item.image, item.label) if path])
    check_palette(items, space)

    def export(work: tuple[Item, str]) -> None:
        item, place = work
        label = label_to_export(item, reader)
        export_image(item.image, folder / "leftImg8bit" / "train" / f"{place}{IMAGE_ENDING}", copy)
        labels = folder / "gtFine" / "train"
        write_grey(labels / f"{place}{LABEL_IDS_ENDING}", ids.label_ids[label])
        write_grey(labels / f"{place}{TRAIN_IDS_ENDING}", ids.train_ids[label])
        progress.advance()

    for _ in map_in_order(export, zip(items, places, strict=True), workers):
        pass
    if not ids.of_cityscapes:
        write_train_id_table(folder / CLASSES_FILE, space)
        _write_yaml(
            folder / LABEL_SPACE_FILE,
            "The classes in the order of their ids, with colours.",
            space.definition()["classes"],
        )
    return ids


def write_train_id_table(path: Path, space: LabelSpace) -> None:
    """Write the class table of label files that hold the train ids of `space`, as YAML."""
    comment = f"The ids of this dataset's label files: train ids of label space {space.name}."
    _write_yaml(path, comment, {"ids": dict(train_id_table(space).ids)})


def _write_yaml(path: Path, comment: str, content: Any) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    write_text(path, f"# {comment}\n{text}")


def _place(item: Item, city: str | None) -> str:
    """Return CITY/FRAME of an image: its path without the ending."""
    return f"{city or item.image.parent.name}/{item.id.removesuffix(IMAGE_ENDING)}"


def _check_places(items: Sequence[Item], places: Sequence[str], folder: Path) -> None:
    """Raise InputError if two images would share files, or if `folder` holds files of other images."""
    users: dict[str, Item] = {}
    for item, place in zip(items, places, strict=True):
        other = users.setdefault(place.casefold(), item)
        if other is not item:
            raise InputError(
                f"{other.image} and {item.image} would both be called {place}{IMAGE_ENDING}; "
                "expected different names"
            )
    expected = set(places)
    for part in ("leftImg8bit", "gtFine"):
        for path in (folder / part / "train").glob("*/*"):
            place = ENDING.sub("", f"{path.parent.name}/{path.name}")
            if not path.name.startswith(".") and place not in expected:
                raise InputError(
                    f"{folder}: holds {path}, which does not belong to this export; expected an empty folder"
                )


def label_to_export(item: Item, reader: TrainIdReader) -> NDArray[np.uint8]:
    """Return the train ids of an image; InputError without a label, or for one of another size."""
    if item.label is None:
        raise InputError(f"image {item.id!r} has no label to export")
    label = reader.read(item.label)
    if label.shape != (item.height, item.width):
        raise InputError(
            f"{item.label}: is {label.shape[1]}×{label.shape[0]}, but its image {item.image} is "
            f"{item.width}×{item.height}; expected the same size"
        )
    return label


def export_image(image: Path, without_suffix: Path, copy: bool) -> None:
    """Make an image of an export: a link to its file, a copy, or an upright PNG where tools may differ."""
    suffix = image.suffix.lower()
    facts = image_facts(image)
    if facts.turned or facts.converted or suffix not in COPIED_SUFFIXES:
        write_image(Path(f"{without_suffix}.png"), read_image(image))
        return
    target = Path(f"{without_suffix}{suffix}")
    if not copy:
        link(target, image)
        return
    with written_whole(target) as temporary:
        shutil.copyfile(image, temporary)
