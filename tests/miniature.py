"""Miniature trees of published datasets: folders, names and label encodings of the true ones, few pixels."""

import json
from pathlib import Path

import cv2
import numpy as np

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import DatasetSettings
from cotrain.data.class_tables import class_table
from cotrain.data.images import write_image, write_label

HEIGHT, WIDTH = 48, 64

# The `network` section for whole runs on such trees: a few thousand weights.
TINY_NETWORK = {
    "backbone": "test_efficientnet",
    "backbone_weights": "none",
    "output_stride": 32,
    "last_stage_dilations": None,
    "aspp_channels": 8,
    "aspp_dilations": [1],
    "low_level_channels": 8,
    "decoder_channels": 8,
}

# Excerpts of Mapillary Vistas' lists of classes. As in the true ones v2.0 has more: ids of v1.2 fit into it.
MAPILLARY = {
    "v1.2": [
        ("animal--bird", [165, 42, 42]),
        ("construction--flat--road", [128, 64, 128]),
        ("construction--flat--sidewalk", [244, 35, 232]),
        ("construction--structure--building", [70, 70, 70]),
        ("human--person", [220, 20, 60]),
        ("human--rider--motorcyclist", [255, 0, 100]),
        ("marking--general", [255, 255, 255]),
        ("nature--sky", [70, 130, 180]),
        ("nature--vegetation", [107, 142, 35]),
        ("object--vehicle--car", [0, 0, 142]),
        ("void--unlabeled", [0, 0, 0]),
    ],
    "v2.0": [
        ("animal--bird", [165, 42, 42]),
        ("construction--barrier--separator", [128, 128, 128]),
        ("construction--flat--bike-lane", [128, 64, 255]),
        ("construction--flat--road", [128, 64, 128]),
        ("human--person--individual", [220, 20, 60]),
        ("human--rider--bicyclist", [255, 0, 0]),
        ("marking--continuous--solid", [255, 255, 255]),
        ("marking--discrete--arrow--left", [250, 171, 30]),
        ("nature--sky", [70, 130, 180]),
        ("object--traffic-light--general-upright", [250, 170, 30]),
        ("object--vehicle--car", [0, 0, 142]),
        ("void--unlabeled", [0, 0, 0]),
    ],
}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a street of flat colours with some noise: sky, buildings, road, a car; (H, W, 3) uint8."""
    classes = scene(number, width, height)
    colours = np.array([[90, 90, 90], [200, 200, 220], [120, 80, 60], [30, 30, 160]], np.uint8)
    noise = np.random.default_rng(number).integers(0, 20, (height, width, 3), dtype=np.uint8)
    return colours[classes] + noise


def scene(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return where road (0), sky (1), building (2) and car (3) are; (H, W) int."""
    classes = np.full((height, width), 2)
    classes[: height // 4] = 1
    classes[height // 2 :] = 0
    left = 4 + 7 * number % (width // 2)
    classes[height // 2 : 3 * height // 4, left : left + width // 4] = 3
    return classes


def make(layout: str, root: Path, split: str = "train", images: int = 4, first: int = 0) -> dict:
    """Write `images` pairs of the layout below `root` and return the dataset's entry of a configuration."""
    numbers = range(first, first + images)
    entry = {"layout": layout, "root": str(root)}
    if layout == "mapillary_vistas":
        return entry | _mapillary(root, split, numbers)
    ids = {"gta5": "cityscapes_ids", "synscapes": "cityscapes_ids", "cityscapes": "cityscapes_ids"}
    table = class_table({"synthia": "synthia", "bdd100k": "cityscapes_train_ids"}.get(layout) or ids[layout])
    by_name = {name: own_id for own_id, name in table.ids.items()}
    own = np.array([by_name[name] for name in ("road", "sky", "building", "car")], np.uint8)
    for number in numbers:
        image, label = {
            "gta5": (f"images/{number:05d}.png", f"labels/{number:05d}.png"),
            "synscapes": (f"img/rgb/{number + 1}.png", f"img/class/{number + 1}.png"),
            "synthia": (f"RGB/{number:07d}.png", f"GT/LABELS/{number:07d}.png"),
            "cityscapes": (
                f"leftImg8bit/{split}/aachen/aachen_{number:06d}_000019_leftImg8bit.png",
                f"gtFine/{split}/aachen/aachen_{number:06d}_000019_gtFine_labelIds.png",
            ),
            "bdd100k": (
                f"images/10k/{split}/{number:08x}-00000000.jpg",
                f"labels/sem_seg/masks/{split}/{number:08x}-00000000.png",
            ),
        }[layout]
        write_image(root / image, picture(number))
        ids_here = own[scene(number)]
        if layout == "synthia":
            # The class stands in the first channel of 16 bit, the instance in the second.
            pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
            pixels[..., 2], pixels[..., 1] = ids_here, 7
            (root / label).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / label), pixels)
        else:
            write_label(root / label, ids_here, [(1, 2, 3)] if layout == "gta5" else [])
    return entry | ({"split": split} if layout in ("cityscapes", "bdd100k") else {})


def _mapillary(root: Path, split: str, numbers: range) -> dict:
    folder = {"train": "training", "val": "validation"}[split]
    for version, classes in MAPILLARY.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        labels = [{"name": name, "color": colour, "evaluate": True} for name, colour in classes]
        text = json.dumps({"labels": labels, "version": "1.1", "mapping": "public"})
        (root / f"config_{version}.json").write_text(text)
        names = [name for name, _ in classes]
        building = names.index("construction--structure--building") if version == "v1.2" else 0
        own = np.array(
            [names.index("construction--flat--road"), names.index("nature--sky"), building, len(names) - 2],
            np.uint8,
        )
        for number in numbers:
            write_image(root / folder / "images" / f"m{number}.jpg", picture(number))
            label = root / folder / version / "labels" / f"m{number}.png"
            write_label(label, own[scene(number)], [tuple(colour) for _, colour in classes])
    return {"split": split, "version": "v1.2"}


def typed(entry: dict) -> DatasetSettings:
    """Return an entry of `datasets` as the library takes it; a look for streets that have none."""
    extra = {"look": "game"} if entry["layout"] == "streets" else {}
    return settings_of(extra | entry, DatasetSettings, "the entry")
