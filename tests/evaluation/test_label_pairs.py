import numpy as np
import pytest

from cotrain.data.images import write_grey, write_label
from cotrain.data.label_files import LabelFile
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.evaluation.label_pairs import confusion_of_pairs
from cotrain.progress import Progress

SPACE = label_space("camvid11")


def pair(folder, name, prediction, label):
    files = []
    for kind, array in (("prediction", prediction), ("label", label)):
        path = folder / f"{name}.{kind}.png"
        write_label(path, np.array([array], np.uint8), [])
        files.append(LabelFile(path, f"{kind}s.txt, line {name}"))
    return tuple(files)


def confusion(pairs, **more):
    with Progress(len(pairs), "images", "test") as progress:
        return confusion_of_pairs(pairs, SPACE, 2, progress, **more)


def test_pairs_add_up(tmp_path):
    pairs = [pair(tmp_path, "1", [0, 1, 255], [0, 0, 0]), pair(tmp_path, "2", [1, 1], [1, 255])]
    expected = np.zeros((11, 12), int)
    expected[0, 0] = expected[0, 1] = expected[0, 11] = expected[1, 1] = 1
    np.testing.assert_array_equal(confusion(pairs), expected)


def test_labels_in_the_ids_of_their_dataset(tmp_path):
    [(prediction, label)] = [pair(tmp_path, "1", [3, 8, 8], [0, 0, 0])]
    # Label ids of Cityscapes: road, car, void.
    write_grey(label.path, np.array([[7, 26, 0]], np.uint8))
    counts = confusion([(prediction, label)], classes="cityscapes_ids")
    assert (counts[3, 3], counts[8, 8], counts.sum()) == (1, 1, 2)


def test_pairs_that_do_not_match_are_named(tmp_path):
    with pytest.raises(
        InputError, match=r"predictions\.txt, line 7: .*7\.prediction\.png against .*differ in shape"
    ):
        confusion([pair(tmp_path, "7", [0, 0], [0])])
    with pytest.raises(InputError, match="prediction holds id 11, beyond 11 classes of camvid11"):
        confusion([pair(tmp_path, "1", [11], [0])])
