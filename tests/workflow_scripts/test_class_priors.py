import numpy as np
import pytest

from cotrain.data.images import read_image, write_image
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import class_priors


@pytest.fixture
def arguments(tmp_path, make_items):
    from cotrain.data.images import write_label

    source = []
    for number in range(2):
        image, label = tmp_path / f"s{number}.png", tmp_path / f"s{number}.label.png"
        write_image(image, np.zeros((10, 20, 3), np.uint8))
        write_label(label, np.full((10, 20), 3, np.uint8), [])
        source.append(Item(f"s{number}", image, 20, 10, label))
    write_manifest(tmp_path / "source.tsv", source)
    write_manifest(tmp_path / "target.tsv", make_items("t", 3))
    return [
        *("--labelled", str(tmp_path / "source.tsv"), "--target", str(tmp_path / "target.tsv")),
        *("--label-space", "camvid11", "--output", str(tmp_path / "out" / "class_priors.npy")),
    ]


def test_maps_have_the_size_of_the_target(arguments, tmp_path, make_items):
    class_priors.main(arguments)
    maps = np.load(tmp_path / "out" / "class_priors.npy")
    item = make_items("t", 3)[0]
    assert maps.shape == (11, item.height, item.width)
    assert maps[3].min() == 1.0
    assert maps[[0, 1, 2, 4, 5, 6, 7, 8, 9, 10]].max() == 0.0
    assert read_image(tmp_path / "out" / "class_priors.png").shape[1] > 1000


def test_targets_of_several_sizes_are_refused(arguments, tmp_path, make_items):
    first, *others = make_items("t", 3)
    write_manifest(tmp_path / "target.tsv", [Item(first.id, first.image, 7, 5), *others])
    with pytest.raises(InputError, match=r"have 2 sizes \(7×5, .*\), expected one"):
        class_priors.main(arguments)


def test_maps_are_npy_files(arguments, tmp_path):
    with pytest.raises(
        InputError, match=r"--output: found .*priors\.png, expected a name that ends in \.npy"
    ):
        class_priors.main([*arguments, "--output", str(tmp_path / "priors.png")])
