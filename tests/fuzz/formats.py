"""Every format that a step reads: how a valid file of it is made, and what reads it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cotrain.adaptation.calibration import Calibration, read_calibration, read_temperature, write_calibration
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.configuration.reading import read_mapping, read_settings, resolve
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.class_priors import ClassPriors
from cotrain.data.class_statistics import read_class_statistics, write_class_statistics
from cotrain.data.class_tables import class_table
from cotrain.data.cvat import labelmap_text, read_labelmap
from cotrain.data.decoded import decode, map_image, read_index, write_index
from cotrain.data.files import write_array
from cotrain.data.images import (
    check_image,
    image_facts,
    image_size,
    label_palette,
    read_image,
    read_label,
    read_own_ids,
    write_grey,
    write_image,
    write_label,
)
from cotrain.data.journal import Journal
from cotrain.data.label_spaces import definition_of, label_space, make_label_space
from cotrain.data.lists import read_list
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.network_sizes import read_networks
from cotrain.data.predictions import (
    Origin,
    PredictionReader,
    PredictionWriter,
    hash_of_images,
    read_histograms,
    write_histogram,
)
from cotrain.data.score_tables import write_score_table
from cotrain.data.trees import tree_layout
from cotrain.evaluation.scores import read_confusion, read_scores, scores, write_confusion
from cotrain.reporting.notes import read_notes
from cotrain.reporting.page.records import read_chosen, read_health, read_history
from cotrain.reporting.time_left import Speeds, cost_of_training
from tests.miniature import HEIGHT, MAPILLARY, WIDTH, picture, scene
from workflow_scripts.collect_checks import read_report

SPACE = label_space("camvid11")
TWO_CLASSES = ("road", "sky")
PROJECT = Path(__file__).parents[2]


class Format(NamedTuple):
    """A file name, what writes a valid file with it into a folder, and what reads a file."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def _items(folder: Path) -> list[Item]:
    return [
        Item(f"image {n}", folder / f"{n}.png", 9 + n, 6, folder / f"{n}.label.png", "ab" * 32, 0.5, 7, 3, 70)
        for n in range(3)
    ]


def _origin(folder: Path) -> Origin:
    return Origin(SPACE.classes, "a" * 64, hash_of_images(_items(folder)), 0, 1)


def _write_predictions(path: Path) -> None:
    random = np.random.default_rng(0)
    with PredictionWriter(path, _origin(path.parent)) as writer:
        for item in _items(path.parent):
            shape = (item.height, item.width)
            levels = random.integers(0, 65536, shape).astype(np.uint16)
            writer.write(item.id, random.integers(0, 11, shape).astype(np.uint8), levels)


def _read_predictions(path: Path) -> None:
    with PredictionReader([path]) as reader:
        reader.check(_items(path.parent), path, SPACE.classes)
        for item in _items(path.parent):
            classes, levels = reader.read(item.id)
            assert classes.shape == levels.shape == (item.height, item.width)
            assert int(classes.max()) < SPACE.number_of_classes


def _write_histogram(path: Path) -> None:
    # Of two classes: that is large enough to be packed again and again.
    counts = np.zeros((2, 65536), np.int64)
    counts[:, ::999] = 7
    write_histogram(path, counts, replace(_origin(path.parent), classes=TWO_CLASSES))


def _read_histogram(path: Path) -> None:
    assert read_histograms([path], TWO_CLASSES)[0].min() >= 0


def _write_thresholds(path: Path) -> None:
    counts = np.zeros((SPACE.number_of_classes, 65536), np.int64)
    counts[:, 30_000:60_000] = 1
    ThresholdTable.from_histogram(counts, 0.5, 0.5, 0.9, SPACE.classes, "a model").write(path)


def _read_thresholds(path: Path) -> None:
    table = ThresholdTable.read(path, SPACE)
    assert np.isfinite(table.confidences).all()
    assert table.pixels.min() >= 0
    table.why_nothing_is_kept(path, "advice")


def _write_priors(path: Path) -> None:
    write_array(path, np.random.default_rng(0).random((SPACE.number_of_classes, 6, 9)).astype(np.float32))


def _read_priors(path: Path) -> None:
    maps = ClassPriors.read(path).maps
    assert maps.min() >= 0
    assert maps.max() <= 1


def _write_index(path: Path) -> None:
    write_image(path.parent / "a.png", picture(0))
    item = Item("a", path.parent / "a.png", WIDTH, HEIGHT)
    write_index(path, {item.image: decode(item, path.parent)})


def _read_decoded(path: Path) -> None:
    pixels = map_image(path, Item("a", Path("a.png"), WIDTH, HEIGHT))
    assert pixels.ndim == 3
    int(pixels.sum())


def _read_manifest(path: Path) -> None:
    for item in read_manifest(path):
        assert item.width > 0
        assert item.height > 0
        # What is made of it stays in its folder.
        output = path.parent / "labels" / f"{item.id}.png"
        assert output.resolve().parent == (path.parent / "labels").resolve()
    write_manifest(path.with_suffix(".again.tsv"), read_manifest(path))


def _write_scores(path: Path) -> None:
    counts = np.array([[3, 1, 0, 1], [1, 2, 0, 0], [0, 0, 2, 0]])
    content = {"model": "x", "protocol": {"resize": [6, 9], "mirror": True}, "images": 2}
    path.write_text(json.dumps(content | scores(counts, ["road", "car", "sky"])))


def _write_report(path: Path) -> None:
    content = {"pixels": 9, "share": 0.5, "images": 2}
    report = {"images": 2, "sizes": {"9x6": 2}, "turned": [], "converted": {}, "warnings": ["x"]}
    ids = {"7": {"name": "road", "class": None, "pixels": 9, "images": 2}}
    path.write_text(json.dumps(report | {"classes": {"road": content}, "void_pixels": 3, "ids": ids}))


def _write_journal(path: Path) -> None:
    (path.parent / "a.png").write_bytes(b"1234")
    with Journal(path) as journal:
        for name in "abc":
            journal.add(name, {"source": ["x.png", 3]}, [path.parent / "a.png"])


def _read_journal(path: Path) -> None:
    Journal(path).finished([("a", {"source": ["x.png", 3]}, [path.parent / "a.png"])])


def _read_training(path: Path) -> None:
    # It imports torch, which no other format needs.
    from cotrain.training.train_model import vanished_before

    vanished_before(path.with_name("weights.safetensors"))


def _of_text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _copy_of(name: str) -> Callable[[Path], object]:
    return lambda path: shutil.copyfile(PROJECT / name, path)


def _write_names(path: Path) -> None:
    names = [{"name": name, "color": colour} for name, colour in MAPILLARY["v1.2"]]
    path.write_text(json.dumps({"labels": names}))


def _read_names(path: Path) -> None:
    class_table("mapillary_vistas", path.parent, {"version": "v1.2"})


def _picture(options: dict[str, object]) -> Callable[[Path], object]:
    """Return what writes a picture as Pillow does; the suffix of the name decides the format."""
    return lambda path: Image.fromarray(picture(0, 32, 24)).save(path, **options)


def _read_picture(path: Path) -> None:
    width, height = image_size(path)
    image_facts(path)
    read_image(path)
    facts = check_image(path)
    # What passes the check is read with the same size.
    assert read_image(path).shape == (facts.height, facts.width, 3) == (height, width, 3)


def _write_palette_label(path: Path) -> None:
    write_label(path, scene(0, 32, 24).astype(np.uint8), SPACE.palette)


def _read_ids(table: str) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        label_palette(path)
        ids = read_own_ids(path, class_table(table))
        assert ids.dtype == np.uint8
        assert ids.ndim == 2

    return read


def _write_red(kind: type) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        pixels = np.zeros((24, 32, 3), kind)
        pixels[..., 2] = scene(0, 32, 24)
        cv2.imwrite(str(path), pixels)

    return write


def _write_colours(path: Path) -> None:
    palette = np.array(class_table("camvid_colours").colours, np.uint8)
    Image.fromarray(palette[scene(0, 32, 24)]).save(path)


CLASS_TABLE = "encoding: ids\nids: {0: road, 1: car, 255: null}\n"
COLOURS = """encoding: colours
colours:
  - {class: road, colour: [1, 2, 3]}
  - {class: null, colour: [0, 0, 0]}
"""
SPACE_OF_USER = (
    "- {class: road, colour: [128, 64, 128], members: [lane]}\n- {class: sky, colour: [70, 130, 180]}\n"
)
LAYOUT = """classes: cityscapes_ids
trees:
  - {images: "img/{split}/{city}/{frame}_x.png", labels: "gtFine/{split}/{city}/{frame}_l.png"}
splits: {train: train, val: [val, validation]}
"""


def _read_configuration(path: Path) -> None:
    resolve(read_mapping(path))


FORMATS = [
    Format("predictions.h5", _write_predictions, _read_predictions),
    Format("0.histogram.npz", _write_histogram, _read_histogram),
    Format("thresholds.json", _write_thresholds, _read_thresholds),
    Format("class_priors.npy", _write_priors, _read_priors),
    Format("decoded.npy", lambda path: write_array(path, picture(0)), _read_decoded),
    Format("index.tsv", _write_index, read_index),
    Format("manifest.tsv", lambda path: write_manifest(path, _items(path.parent)), _read_manifest),
    Format(
        "temperature.json",
        lambda path: write_calibration(path, Calibration(1.5, 2, 9, 0.5, (0.9, 0.5), (1.0, 0.5))),
        lambda path: (read_temperature(path), read_calibration(path)),
    ),
    Format("scores.json", _write_scores, lambda path: read_scores(path, "final")),
    Format(
        "class_statistics.json",
        lambda path: write_class_statistics(path, ["road", "sky"], {"a": [3, 4], "b": [0, 9]}),
        read_class_statistics,
    ),
    Format("labelled.check.json", _write_report, read_report),
    Format(
        "networks.json",
        _of_text(
            '{"networks": {"network": {"parameters": 3, "tensors": 1, "bytes": 12, "operations_a_pixel": 4, '
            '"saved_bytes_a_pixel": 5}}, "first_weights": {"network": {"what": "of timm", '
            '"pretrained": true, "licence": "mit", "url": "a"}}}'
        ),
        read_networks,
    ),
    Format("checked.json", _of_text('{"reports": ["a.json"], "notes": ["a note"]}'), read_notes),
    Format(
        "training.json",
        _of_text(
            '{"settings": {"iterations": 9}, "images": {"source": 4, "target": 2, "kept_share": 0.5},'
            ' "last_loss": 1.5, "vanished_classes": ["road"], "seconds": 3}'
        ),
        _read_training,
    ),
    Format(
        "health.json",
        _of_text(
            '{"outcome": "a", "findings": [{"kind": "b", "text": "c"}], "images": 2, "source": {"d": 0.5}, '
            '"models": {}}'
        ),
        read_health,
    ),
    Format(
        "history.jsonl",
        _of_text('{"iteration": 20, "loss": 2.5, "learning_rate": 0.01}\n' * 2),
        read_history,
    ),
    Format(
        "confusion.tsv",
        lambda path: write_confusion(path, np.array([[5, 1, 0], [2, 7, 3]]), TWO_CLASSES),
        lambda path: read_confusion(path, TWO_CLASSES),
    ),
    Format(
        "scores.tsv",
        lambda path: write_score_table(
            path, _items(path.parent), np.ones(3), np.ones((3, 11), int), [(True, "rank 1")] * 3, SPACE
        ),
        lambda path: read_chosen(path, SPACE),
    ),
    Format("done.jsonl", _write_journal, _read_journal),
    Format(
        "progress.json",
        _of_text('{"iteration": 3, "seconds_an_iteration": 0.5}'),
        lambda path: cost_of_training("train", 9, path.parent),
    ),
    Format("speeds.json", _of_text('{"train": 3.5, "predict": 1}'), Speeds),
    Format("images.txt", _of_text("a.png\n'b c.png'\n/d/e.png\n"), read_list),
    Format("table.yaml", _of_text(CLASS_TABLE), lambda path: class_table(str(path))),
    Format("colours.yaml", _of_text(COLOURS), lambda path: class_table(str(path))),
    Format("labelmap.txt", _of_text(labelmap_text(SPACE)), lambda path: read_labelmap(path, SPACE)),
    Format("config_v1.2.json", _write_names, _read_names),
    Format(
        "space.yaml",
        _of_text(SPACE_OF_USER),
        lambda path: make_label_space("own", definition_of("label_spaces", str(path))),
    ),
    Format("layout.yaml", _of_text(LAYOUT), lambda path: tree_layout(str(path))),
    Format(
        "settings.json",
        _of_text('{"resize": [216, 384], "scales": [1.0, 0.5], "flip": true}'),
        lambda path: read_settings(path, InferenceSettings),
    ),
    Format("configuration.yaml", _copy_of("config/config.yaml"), _read_configuration),
    Format("image.png", _picture({}), _read_picture),
    Format("palette.png", _write_palette_label, _read_picture),
    Format("grey.png", lambda path: write_grey(path, picture(0, 32, 24)[..., 0]), _read_picture),
    Format("deep.png", _write_red(np.uint16), _read_picture),
    Format(
        "image.jpg",
        _picture({"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"}),
        _read_picture,
    ),
    Format("image.webp", _picture({"lossless": True}), _read_picture),
    Format("image.tif", _picture({"compression": "tiff_lzw"}), _read_picture),
    Format("plain.tif", _picture({}), _read_picture),
    Format("image.bmp", _picture({}), _read_picture),
    Format("image.avif", _picture({}), _read_picture),
    Format("image.jp2", _picture({}), _read_picture),
    Format("image.ppm", _picture({}), _read_picture),
    Format("label.png", _write_palette_label, lambda path: (read_label(path), label_palette(path))),
    Format("red.png", _write_red(np.uint8), _read_ids("synthia")),
    Format("deep_red.png", _write_red(np.uint16), _read_ids("synthia")),
    Format("colours.png", _write_colours, _read_ids("camvid_colours")),
    Format("mask.png", lambda path: write_grey(path, np.eye(24, 32, dtype=np.uint8)), EgoVehicleMask),
]
