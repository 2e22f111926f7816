import numpy as np

from cotrain.data.files import sha256_of
from cotrain.data.images import read_label
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, verify_labels

SPACE = label_space("camvid11")


def test_labels_and_what_describes_them(tmp_path):
    items = [Item(f"i{n}", tmp_path / f"{n}.png", 4, 3) for n in range(12)]
    labels = {item.id: np.full((3, 4), n % 11, np.uint8) for n, item in enumerate(items)}
    labels["i1"][0] = 255
    labels["i2"][1:] = [7, 7, 8, 255]
    labels["i3"][:] = 255
    written = write_pseudo_labels(
        items,
        lambda item: (labels[item.id], int(item.id[1:]) / 16),
        tmp_path / "new" / "labels",
        SPACE,
        workers=3,
    )
    assert [item.id for item in written] == [item.id for item in items]
    for item in written:
        assert item.label == tmp_path / "new" / "labels" / f"{item.id}.png"
        assert item.score == int(item.id[1:]) / 16
        assert item.label_sha256 == sha256_of(item.label)
        np.testing.assert_array_equal(read_label(item.label), labels[item.id])
    assert [(item.kept_pixels, item.classes) for item in written[:4]] == [(12, 1), (8, 1), (10, 3), (0, 0)]
    verify_labels(written, tmp_path / "manifest.tsv")


def test_no_images_still_make_the_folder(tmp_path):
    assert write_pseudo_labels([], lambda item: None, tmp_path / "labels", SPACE, 1) == []
    assert (tmp_path / "labels").is_dir()
