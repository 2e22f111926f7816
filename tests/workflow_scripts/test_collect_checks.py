import json

import numpy as np
import pytest

from cotrain.configuration.sections import Augmentation, Crops
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import collect_checks


@pytest.fixture
def arguments(tmp_path, settings_file):
    """Return the arguments of a run whose target has two images of 64×32 pixels."""
    write_manifest(tmp_path / "a.tsv", [Item(name, tmp_path / f"{name}.png", 64, 32) for name in "pq"])
    write_manifest(tmp_path / "s.tsv", [Item("s", tmp_path / "s.png", 64, 64)])
    return [
        *("--source", str(tmp_path / "s.tsv"), "--settings", settings_file(Crops(crop=(32, 64)), "crops")),
        *("--reports", "x.json", "--target", str(tmp_path / "a.tsv")),
        *("--output", str(tmp_path / "checked.json")),
    ]


def test_reports_are_listed(arguments, tmp_path):
    collect_checks.main(arguments)
    assert json.loads((tmp_path / "checked.json").read_text()) == {"reports": ["x.json"]}


@pytest.mark.parametrize(
    ("crop", "changes", "message"),
    [
        (
            (72, 64),
            {},
            r"training\.crop: 64×72 pixels are more than any image of .*s\.tsv has: at most 64×64",
        ),
        (
            (64, 64),
            {},
            r"more than any image of .*a\.tsv has: at most 64×32 .* training\.target_augmentation",
        ),
        ((64, 64), {"short_sides": (32, 48)}, r"at most 96×48"),
        ((64, 64), {"short_sides": (64,)}, None),
        ((64, 64), {"short_sides": (64,), "max_long_side": 96}, r"at most 96×48"),
    ],
)
def test_crop_larger_than_any_image(arguments, settings_file, crop, changes, message):
    crops = Crops(crop=crop, target_augmentation=Augmentation(**changes))
    arguments += ["--settings", settings_file(crops, "other crops")]
    if message is None:
        collect_checks.main(arguments)
        return
    with pytest.raises(InputError, match=message):
        collect_checks.main(arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([(64, 32)], r"b\.tsv lists 1 images, .*a\.tsv 2; expected equally many"),
        ([(64, 32), (32, 64)], r"1\.png is 32×64, its pair .*q\.png 64×32"),
    ],
)
def test_views_that_do_not_pair_up(arguments, tmp_path, sizes, message):
    items = [Item(str(index), tmp_path / f"{index}.png", *size) for index, size in enumerate(sizes)]
    write_manifest(tmp_path / "b.tsv", items)
    with pytest.raises(InputError, match=message):
        collect_checks.main([*arguments, "--target-b", str(tmp_path / "b.tsv")])
    assert not (tmp_path / "checked.json").exists()


def test_priors_of_another_size(arguments, tmp_path):
    np.save(tmp_path / "fit.npy", np.zeros((19, 32, 64), np.float32))
    collect_checks.main([*arguments, "--class-priors", str(tmp_path / "fit.npy")])
    np.save(tmp_path / "turned.npy", np.zeros((19, 64, 32), np.float32))
    with pytest.raises(InputError, match=r"turned\.npy: the class priors are 32×64, .*p\.png is 64×32"):
        collect_checks.main([*arguments, "--class-priors", str(tmp_path / "turned.npy")])
