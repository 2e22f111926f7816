import json

import numpy as np
import pytest

from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import collect_checks


def training(crop, plain_augmentation, **changes):
    return json.dumps(
        {
            "crop": crop,
            "source_augmentation": plain_augmentation,
            "target_augmentation": plain_augmentation | changes,
        }
    )


@pytest.fixture
def plain_augmentation(training_mapping):
    return training_mapping["training"]["source_augmentation"]


@pytest.fixture
def arguments(tmp_path, plain_augmentation):
    """Return the arguments of a run whose target has two images of 8×4 pixels."""
    write_manifest(tmp_path / "a.tsv", [Item(name, tmp_path / f"{name}.png", 8, 4) for name in "pq"])
    write_manifest(tmp_path / "s.tsv", [Item("s", tmp_path / "s.png", 8, 8)])
    return [
        *("--source", str(tmp_path / "s.tsv"), "--training", training([4, 8], plain_augmentation)),
        "--reports",
        "x.json",
        "--target",
        str(tmp_path / "a.tsv"),
        "--output",
        str(tmp_path / "checked.json"),
    ]


def test_reports_are_listed(arguments, tmp_path):
    collect_checks.main(arguments)
    assert json.loads((tmp_path / "checked.json").read_text()) == {"reports": ["x.json"]}


@pytest.mark.parametrize(
    ("crop", "changes", "message"),
    [
        ([9, 8], {}, r"training\.crop: 8×9 pixels are more than any image of .*s\.tsv has, at most 8×8"),
        ([8, 8], {}, r"more than any image of .*a\.tsv has, at most 8×4 .* training\.target_augmentation"),
        ([8, 8], {"short_sides": [4, 6]}, r"at most 12×6"),
        ([8, 8], {"short_sides": [8]}, None),
        ([8, 8], {"short_sides": [8], "max_long_side": 12}, r"at most 12×6"),
    ],
)
def test_crop_larger_than_any_image(arguments, plain_augmentation, crop, changes, message):
    given = [*arguments, "--training", training(crop, plain_augmentation, **changes)]
    if message is None:
        collect_checks.main(given)
        return
    with pytest.raises(InputError, match=message):
        collect_checks.main(given)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([(8, 4)], r"b\.tsv lists 1 images, .*a\.tsv 2; expected equally many"),
        ([(8, 4), (4, 8)], r"1\.png is 4×8, its pair .*q\.png 8×4"),
    ],
)
def test_views_that_do_not_pair_up(arguments, tmp_path, sizes, message):
    items = [Item(str(index), tmp_path / f"{index}.png", *size) for index, size in enumerate(sizes)]
    write_manifest(tmp_path / "b.tsv", items)
    with pytest.raises(InputError, match=message):
        collect_checks.main([*arguments, "--target-b", str(tmp_path / "b.tsv")])
    assert not (tmp_path / "checked.json").exists()


def test_priors_of_another_size(arguments, tmp_path):
    np.save(tmp_path / "fit.npy", np.zeros((19, 4, 8), np.float32))
    collect_checks.main([*arguments, "--class-priors", str(tmp_path / "fit.npy")])
    np.save(tmp_path / "turned.npy", np.zeros((19, 8, 4), np.float32))
    with pytest.raises(InputError, match=r"turned\.npy: the class priors are 4×8, .*p\.png is 8×4"):
        collect_checks.main([*arguments, "--class-priors", str(tmp_path / "turned.npy")])
