from dataclasses import replace

import numpy as np
import pytest

from cotrain.data.images import read_image, write_grey, write_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.data.predictions import Origin, PredictionWriter, hash_of_images
from cotrain.errors import InputError
from cotrain.reporting import photo_sheets
from workflow_scripts.photo_sheet import main

SPACE = label_space("camvid11")
SKY, ROAD, CAR = 0, 3, 8
# Upright, panorama, one with a name that is too long for its cell, one of letters that few fonts have.
SIZES = {"camera/0001": (40, 90), "Улица": (200, 20), "x" * 200: (60, 40), "街道 😀": (60, 40)}


@pytest.fixture
def photos(tmp_path):
    """The photos as a list of items, all of the grey level 100, and their manifest `photos.tsv`."""
    items = []
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        path = tmp_path / f"{name}.png"
        write_image(path, np.full((height, width, 3), 100, np.uint8))
        items.append(Item(f"id{number}", path, width, height))
    write_manifest(tmp_path / "photos.tsv", items)
    return items


def predict(path, items, train_id, space=SPACE):
    """Write predictions that say the same class everywhere, but sky in the upper half."""
    with PredictionWriter(path, Origin(space.classes, str(train_id), hash_of_images(items), 0, 1)) as writer:
        for item in items:
            classes = np.full((item.height, item.width), train_id, np.uint8)
            classes[: item.height // 2] = SKY
            writer.write(item.id, classes, np.zeros(classes.shape, np.uint16))
    return path


def sheet(folder, *more, **models):
    predictions = [f"{model}={folder / file}" for model, file in models.items()]
    paths = ("--images", str(folder / "photos.tsv"), "--output", str(folder / "photos.jpg"))
    main([*paths, "--label-space", "camvid11", "--predictions", *predictions, *more])
    return read_image(folder / "photos.jpg").astype(int)


def has(page, colour):
    # JPEG moves grey levels a little.
    return bool((np.abs(page - np.array(colour)).max(axis=2) <= 3).sum() > 100)


def over_grey(train_id):
    return 0.35 * 100 + 0.65 * np.array(SPACE.palette[train_id])


def texts_of(monkeypatch):
    """Note what is written on a page: {"heading": ..., "legend": ..., ...}."""
    noted = {}
    for name in ("heading", "legend", "column_titles", "contact_sheet"):
        made_by = getattr(photo_sheets, name)
        monkeypatch.setattr(
            photo_sheets,
            name,
            lambda *given, name=name, made_by=made_by: noted.update({name: given}) or made_by(*given),
        )
    return noted


def test_a_row_a_photo_and_a_column_a_model(photos, tmp_path, monkeypatch):
    predict(tmp_path / "road.h5", photos, ROAD)
    predict(tmp_path / "car.h5", photos, CAR)
    texts = texts_of(monkeypatch)
    page = sheet(tmp_path, "--photos", "3", baseline="road.h5", final="car.h5")
    assert has(page, (100, 100, 100)), "the photos"
    for train_id in (SKY, ROAD, CAR):
        assert has(page, over_grey(train_id)), "the classes over the photos"
    assert texts["column_titles"][0] == ["photo", "baseline", "final"]
    rows, captions = texts["contact_sheet"]
    assert [len(row) for row in rows] == [3, 3, 3]
    # The upper half is sky with both models.
    assert captions == [[f"{name.split('/')[-1]}.png", "", "50.0 % unlike baseline"] for name in [*SIZES][:3]]
    assert "3 of 4 photos" in texts["heading"][1]
    assert "of these photos, with baseline and with final" in texts["heading"][1]
    notes = dict(zip(SPACE.classes, texts["legend"][3], strict=True))
    assert (notes["sky"], notes["road"]) == ("50.0 to 50.0 %", "50.0 to 0.0 %")


def test_a_single_model_is_shown_by_itself(photos, tmp_path, monkeypatch):
    predict(tmp_path / "road.h5", photos, ROAD)
    texts = texts_of(monkeypatch)
    page = sheet(tmp_path, baseline="road.h5")
    assert [len(row) for row in texts["contact_sheet"][0]] == [2] * 4
    assert texts["heading"][1].endswith("of these photos, with baseline")
    # Two columns of 560 pixels, the gap and both margins.
    assert page.shape[1] == 2 * 560 + 20 + 2 * 24


def test_pixels_of_the_own_vehicle_are_dark_and_do_not_count(photos, tmp_path, monkeypatch):
    predict(tmp_path / "road.h5", photos, ROAD)
    predict(tmp_path / "car.h5", photos, CAR)
    mask = np.zeros((4, 4), np.uint8)
    mask[2:] = 255
    write_grey(tmp_path / "mask.png", mask)
    texts = texts_of(monkeypatch)
    page = sheet(
        tmp_path, "--ego-vehicle-mask", str(tmp_path / "mask.png"), baseline="road.h5", final="car.h5"
    )
    assert has(page, over_grey(SKY))
    assert not has(page, over_grey(ROAD))
    assert has(page, (35, 35, 35))
    assert {caption[-1] for caption in texts["contact_sheet"][1]} == {"0.0 % unlike baseline"}


def test_a_branch_may_have_seen_images_of_its_own(photos, tmp_path):
    others = []
    for item in photos:
        path = tmp_path / "b" / f"{item.id}.png"
        write_image(path, np.full((item.height, item.width, 3), 200, np.uint8))
        others.append(replace(item, id=f"b{item.id}", image=path))
    write_manifest(tmp_path / "b.tsv", others)
    predict(tmp_path / "road.h5", photos, ROAD)
    predict(tmp_path / "car.h5", others, CAR)
    page = sheet(tmp_path, "--images-b", str(tmp_path / "b.tsv"), a="road.h5", b="car.h5")
    assert has(page, over_grey(ROAD))
    assert has(page, 0.35 * 200 + 0.65 * np.array(SPACE.palette[CAR]))
    with pytest.raises(InputError, match=r"photos\.tsv: is not the image set of the predictions"):
        sheet(tmp_path, a="road.h5", b="car.h5")


def test_wrong_input_is_named(photos, tmp_path):
    predict(tmp_path / "road.h5", photos, ROAD)
    with pytest.raises(InputError, match=r"--predictions: found `baseline`, expected MODEL=PATH"):
        main(
            [
                *("--images", str(tmp_path / "photos.tsv"), "--predictions", "baseline"),
                *("--label-space", "camvid11", "--output", str(tmp_path / "page.jpg")),
            ]
        )
    with pytest.raises(InputError, match=r"page\.png, expected a name that ends in \.jpg"):
        sheet(tmp_path, "--output", str(tmp_path / "page.png"), baseline="road.h5")
    predict(tmp_path / "other.h5", photos, 0, label_space("cityscapes7"))
    with pytest.raises(InputError, match="predicted by a model of another label space"):
        sheet(tmp_path, baseline="other.h5")
    predict(tmp_path / "fewer.h5", photos[:2], ROAD)
    with pytest.raises(InputError, match=r"image 'id2' was not predicted"):
        sheet(tmp_path, baseline="fewer.h5")
    write_image(photos[0].image, np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(InputError, match="is 5 × 5 pixels, its manifest says 40 × 90"):
        sheet(tmp_path, baseline="road.h5")
    write_manifest(tmp_path / "photos.tsv", [])
    with pytest.raises(InputError, match="holds no image, there is nothing to show"):
        sheet(tmp_path, baseline="road.h5")
