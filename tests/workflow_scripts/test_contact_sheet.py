import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from cotrain.reporting import contact_sheets
from workflow_scripts.contact_sheet import main

SPACE = label_space("camvid11")
SKY, CAR = SPACE.palette[0], SPACE.palette[8]


@pytest.fixture
def items(tmp_path):
    """Three grey images whose labels are half sky, a quarter car and a quarter ignored."""
    label = np.zeros((40, 60), np.uint8)
    label[20:] = 8
    label[30:] = 255
    made = []
    for number in range(3):
        image_path, label_path = tmp_path / f"{number}.png", tmp_path / f"{number}_label.png"
        write_image(image_path, np.full((40, 60, 3), 120, np.uint8))
        write_label(label_path, label, SPACE.palette)
        made.append(Item(f"image {number}", image_path, 60, 40, label_path))
    return made


def sheet(items, folder, *options, space="camvid11"):
    manifest, output = folder / "manifest.tsv", folder / "sheet.png"
    write_manifest(manifest, items)
    main(["--manifest", str(manifest), "--label-space", space, "--output", str(output), *options])
    return np.array(Image.open(output))


def has(page, colour):
    return bool((page == np.array(colour, np.uint8)).all(axis=2).any())


def test_the_seed_draws_the_images(items, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "workflow_scripts.contact_sheet.dataset_page",
        lambda selection, *_: shown.append([item.id for item in selection]) or np.zeros((4, 4, 3), np.uint8),
    )
    for seed in range(8):
        sheet(items, tmp_path, "--count", "1", "--seed", str(seed))
    drawn = [contact_sheets.choose(3, 1, seed)[0] for seed in range(8)]
    assert shown == [[f"image {place}"] for place in drawn]
    assert len(set(drawn)) > 1


def test_shares_stand_in_words_too(items, tmp_path, monkeypatch):
    texts = []
    for name in ("heading", "legend"):
        made_by = getattr(contact_sheets, name)
        monkeypatch.setattr(
            contact_sheets, name, lambda *given, made_by=made_by: texts.append(given) or made_by(*given)
        )
    sheet(items, tmp_path)
    [_, _, _, notes], [_, subtitle, _] = texts
    assert subtitle.endswith("; class shares are of these images, 25.0 % is ignored")
    assert dict(zip(SPACE.classes, notes, strict=True)) == {
        **dict.fromkeys(SPACE.classes, "0.0 %"),
        **{SPACE.classes[0]: "50.0 %", SPACE.classes[8]: "25.0 %"},
    }


def test_sheet_shows_images_labels_and_shares(items, tmp_path):
    page = sheet(items, tmp_path)
    assert has(page, (120, 120, 120))
    for colour in (SKY, CAR):
        mixed = np.rint(0.4 * 120 + 0.6 * np.array(colour))
        assert has(page, mixed), "the overlay"
    # A line of the bar below a pair: half sky, a quarter car, a quarter ignored.
    pair = 2 * 300 + 4
    bars = [
        row[24 : 24 + pair]
        for row in page
        if tuple(row[24]) == SKY and tuple(row[24 + pair - 1]) == (0, 0, 0)
    ]
    assert bars
    counts = [(bars[0] == np.array(colour)).all(axis=1).sum() / pair for colour in (SKY, CAR, (0, 0, 0))]
    assert counts == pytest.approx([0.5, 0.25, 0.25], abs=0.01)
    for colour in SPACE.palette:
        assert has(page, colour), "the legend"


def test_labels_of_a_dataset_are_translated(items, tmp_path):
    train_ids = sheet(items, tmp_path)
    for item in items:
        label = np.array(Image.open(item.label))
        write_label(item.label, np.where(label == 255, 11, label).astype(np.uint8), SPACE.palette)
    np.testing.assert_array_equal(sheet(items, tmp_path, "--classes", "camvid"), train_ids)
    with pytest.raises(InputError, match=r"_label\.png: found id 11.*--classes"):
        sheet(items, tmp_path)


def test_a_manifest_without_labels_shows_images_alone(items, tmp_path):
    page = sheet([dataclasses.replace(item, label=None) for item in items], tmp_path)
    assert has(page, (120, 120, 120))
    assert not has(page, CAR)


def test_fewer_images_make_a_smaller_page(items, tmp_path):
    one, all_of_them = sheet(items, tmp_path, "--count", "1"), sheet(items, tmp_path)
    assert one.shape[0] < all_of_them.shape[0]


def test_label_of_another_size_is_named(items, tmp_path):
    write_label(items[1].label, np.zeros((40, 50), np.uint8), SPACE.palette)
    with pytest.raises(InputError, match=r"1_label\.png.*50 × 40.*60 × 40"):
        sheet(items, tmp_path)


def test_wrong_arguments_are_named(items, tmp_path):
    with pytest.raises(InputError, match="nothing to show"):
        sheet([], tmp_path)
    with pytest.raises(SystemExit):
        sheet(items, tmp_path, "--count", "0")
    with pytest.raises(InputError, match="camvid11"):
        sheet(items, tmp_path, space="camvid12")
    with pytest.raises(InputError, match=r"sheet\.gif"):
        sheet(items, tmp_path, "--output", str(tmp_path / "sheet.gif"))


def test_real_images(tmp_path):
    root = Path(os.environ.get("COTRAIN_DATA", "data")) / "camvid"
    if not root.is_dir():
        pytest.skip(f"no CamVid in {root}; set COTRAIN_DATA to the folder that holds camvid/")
    images, labels = ((root / f"val.{kind}.txt").read_text().split()[:5] for kind in ("images", "labels"))
    pairs = zip(images, labels, strict=True)
    items = [Item(Path(image).stem, root / image, 480, 360, root / label) for image, label in pairs]
    page = sheet(items, tmp_path, "--classes", "camvid")
    assert page.shape[1] == 2 * 24 + 2 * 604 + 20
