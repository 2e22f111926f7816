import numpy as np
import pytest

from cotrain.data.images import read_image, write_image, write_label
from cotrain.data.masks import EgoVehicleMask
from cotrain.errors import InputError
from tests.miniature import make
from workflow_scripts import ego_vehicle_mask


def labels(root):
    return sorted((root / "gtFine" / "train").rglob("*_labelIds.png"))


def test_mask_is_where_any_label_shows_the_own_vehicle(tmp_path):
    make("cityscapes", tmp_path, images=3)
    for row, path in enumerate(labels(tmp_path)[:2]):
        ids = np.full((48, 64), 7, np.uint8)
        ids[45 + row :] = 1
        write_label(path, ids, [])
    ego_vehicle_mask.main(["--root", str(tmp_path), "--output", str(tmp_path / "mask.png")])
    mask = read_image(tmp_path / "mask.png")[..., 0]
    assert (mask[:45] == 0).all()
    assert (mask[45:] == 255).all()
    assert EgoVehicleMask(tmp_path / "mask.png").of_size(48, 64).sum() == 3 * 64


def test_the_split_says_which_labels(tmp_path):
    for split, first in (("train", 0), ("val", 10)):
        make("cityscapes", tmp_path, split, images=1, first=first)
        [path] = (tmp_path / "gtFine" / split).rglob("*_labelIds.png")
        ids = np.full((48, 64), 7, np.uint8)
        ids[40 + first // 2 :] = 1
        # Sky, so that the ids are not those of training.
        ids[0] = 23
        write_label(path, ids, [])
    for flags, rows in (([], 8), (["--split", "train"], 8), (["--split", "val"], 3)):
        ego_vehicle_mask.main(["--root", str(tmp_path), *flags, "--output", str(tmp_path / "mask.png")])
        assert EgoVehicleMask(tmp_path / "mask.png").of_size(48, 64).sum() == rows * 64


def test_labels_without_the_own_vehicle_are_refused(tmp_path):
    make("cityscapes", tmp_path)
    with pytest.raises(InputError, match="no label holds id 1"):
        ego_vehicle_mask.main(["--root", str(tmp_path), "--output", str(tmp_path / "mask.png")])


def test_labels_of_several_sizes_are_refused(tmp_path):
    make("cityscapes", tmp_path)
    write_label(labels(tmp_path)[1], np.ones((24, 32), np.uint8), [])
    write_image(next((tmp_path / "leftImg8bit").rglob("*.png")), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(InputError, match="is 32×24, the labels before it 64×48"):
        ego_vehicle_mask.main(["--root", str(tmp_path), "--output", str(tmp_path / "mask.png")])


def test_ids_that_mean_something_else_are_refused(tmp_path):
    make("bdd100k", tmp_path / "bdd")
    arguments = ["--root", str(tmp_path / "bdd"), "--output", str(tmp_path / "mask.png")]
    with pytest.raises(InputError, match="--layout: found bdd100k, whose labels hold ids of class table"):
        ego_vehicle_mask.main(["--layout", "bdd100k", *arguments])
    # Train ids under the name of ids: 1 would be sidewalk.
    make("cityscapes", tmp_path / "city")
    for path in labels(tmp_path / "city"):
        write_label(path, np.full((48, 64), 8, np.uint8), [])
    arguments = ["--root", str(tmp_path / "city"), "--output", str(tmp_path / "mask.png")]
    with pytest.raises(InputError, match="these look like train ids"):
        ego_vehicle_mask.main(arguments)
    assert not (tmp_path / "mask.png").exists()
