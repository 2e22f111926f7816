import numpy as np
import pytest

from cotrain.data.images import read_label, write_image
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts.export_pseudo_labels import main


def manifest(folder, space):
    image = folder / "front" / "a.jpg"
    write_image(image, np.zeros((1, 3, 3), np.uint8))
    label = np.array([[0, 5, 255]], np.uint8)
    made = write_pseudo_labels(
        [Item("a", image, 3, 1)], lambda item: (label, 0.9), folder / "labels", label_space(space), workers=1
    )
    write_manifest(folder / "manifest.tsv", made)
    return [
        "--manifest",
        str(folder / "manifest.tsv"),
        "--label-space",
        space,
        "--output",
        str(folder / "out"),
    ]


def test_ids_of_cityscapes(tmp_path, caplog):
    caplog.set_level("INFO")
    main([*manifest(tmp_path, "cityscapes19"), "--city", "ours"])
    assert "labelIds and labelTrainIds hold the ids of Cityscapes" in caplog.text
    labels = tmp_path / "out" / "gtFine" / "train" / "ours"
    assert read_label(labels / "a_gtFine_labelIds.png").tolist() == [[7, 17, 0]]
    assert read_label(labels / "a_gtFine_labelTrainIds.png").tolist() == [[0, 5, 255]]
    assert (tmp_path / "out" / "leftImg8bit" / "train" / "ours" / "a_leftImg8bit.jpg").is_symlink()
    assert not (tmp_path / "out" / "classes.yaml").exists()


def test_ids_of_another_label_space(tmp_path, caplog):
    caplog.set_level("INFO")
    main([*manifest(tmp_path, "camvid11"), "--copy"])
    assert "hold the train ids of camvid11, not of Cityscapes: see " in caplog.text
    labels = tmp_path / "out" / "gtFine" / "train" / "front"
    for kind in ("labelIds", "labelTrainIds"):
        assert read_label(labels / f"a_gtFine_{kind}.png").tolist() == [[0, 5, 255]]
    assert "0: sky" in (tmp_path / "out" / "classes.yaml").read_text()
    assert not (tmp_path / "out" / "leftImg8bit" / "train" / "front" / "a_leftImg8bit.jpg").is_symlink()


def test_what_cannot_be_exported_is_named(tmp_path):
    arguments = manifest(tmp_path, "camvid11")
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(InputError, match=r"manifest\.tsv: 1 of 1 label is bad: .*a\.png does not exist"):
        main(arguments)
    write_manifest(tmp_path / "manifest.tsv", [])
    with pytest.raises(InputError, match=r"manifest\.tsv: lists no image"):
        main(arguments)
