import numpy as np
import pytest

from cotrain.data.images import read_image, write_grey, write_image, write_label
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts.error_images import main

GREEN = (40, 190, 90)


@pytest.fixture
def files(tmp_path):
    """Write predictions, labels and images of 60 × 50 pixels and their lists.

    Image 0: cars, 2500 pixels found and 500 missed. Image 1: 2000 pixels of car, just not enough, and void.
    """
    cars = np.full((2, 50, 60), 255, np.uint8)
    cars[0], cars[1, :, :40] = 8, 8
    found = cars.copy()
    found[0, :, 50:] = 3
    for kind, arrays in (("labels", cars), ("predictions", found)):
        for index, array in enumerate(arrays):
            write_label(tmp_path / kind / f"{index}.png", array, [])
        (tmp_path / f"{kind}.txt").write_text(f"{kind}/0.png\n{kind}/1.png\n")
    for index in range(2):
        write_image(tmp_path / "images" / f"{index}.jpg", np.full((50, 60, 3), 200, np.uint8))
    (tmp_path / "images.txt").write_text("images/0.jpg\nimages/1.jpg\n")
    return tmp_path


def show(folder, *more, predictions="predictions.txt", labels="labels.txt"):
    main(
        [
            *("--predictions", str(folder / predictions), "--labels", str(folder / labels)),
            *("--label-space", "camvid11", "--output", str(folder / "out"), *more),
        ]
    )
    return sorted(str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.png"))


def test_lists_show_images_with_enough_pixels(files, caplog):
    caplog.set_level("INFO")
    images = ("--images", str(files / "images.txt"))
    assert show(files, *images, "--class-names", "car") == ["car/0.png"]
    assert "car: 1 of 2 images has more than 2000 pixels" in caplog.text
    page = read_image(files / "out" / "car" / "0.png")
    mixed = np.rint(0.35 * 200 + 0.65 * np.array(GREEN))
    assert np.abs(page - mixed).max(axis=2).min() <= 1, "true positives, over the image"


def test_all_classes_and_fewer_pixels(files):
    # The 500 pixels that were taken for road are concerned by that class too.
    assert show(files, "--more-than", "499") == ["car/0.png", "car/1.png", "road/0.png"]


def test_manifests_and_folders(files):
    items = [
        Item(str(i), files / "images" / f"{i}.jpg", 60, 50, files / "labels" / f"{i}.png") for i in (1, 0)
    ]
    write_manifest(files / "labelled.tsv", items)
    assert show(files, predictions="predictions", labels="labelled.tsv") == ["car/0.png"]
    # The manifest names the image, which is seen where the label is void.
    write_label(files / "labels" / "0.png", np.array([[8] * 50 + [255] * 10] * 50, np.uint8), [])
    show(files, predictions="predictions", labels="labelled.tsv")
    page = read_image(files / "out" / "car" / "0.png")
    assert (np.abs(page.astype(int) - 100) <= 1).all(axis=2).sum() >= 500, "the dimmed image under void"


def test_labels_in_the_ids_of_their_dataset(files):
    for index in range(2):
        # Cityscapes' label ids: car, and void where the model took something for road.
        label = np.full((50, 60), 26, np.uint8)
        label[:, 50:] = 0
        write_grey(files / "labels" / f"{index}.png", label)
    assert show(files, "--classes", "cityscapes_ids", "--more-than", "0") == ["car/0.png", "car/1.png"]


def test_what_is_wrong_is_named(files):
    with pytest.raises(InputError, match="--class-names: found 'tram', expected classes of camvid11: sky, "):
        show(files, "--class-names", "tram")
    write_label(files / "labels" / "1.png", np.zeros((5, 6), np.uint8), [])
    with pytest.raises(
        InputError, match=r"predictions\.txt, line 2: .*1\.png against .*1\.png: .*differ in shape"
    ):
        show(files)
    write_image(files / "images" / "0.jpg", np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"line 1: .*image \(5, 6\) and label \(50, 60\) differ in size"):
        show(files, "--images", str(files / "images.txt"))
