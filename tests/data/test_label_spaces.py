import numpy as np
import pytest

from cotrain.data.label_spaces import (
    IGNORE,
    class_table,
    class_table_names,
    known_ids,
    label_space,
    label_space_names,
    translation_table,
)
from cotrain.errors import InputError


def test_cityscapes_classes_stand_in_train_id_order_with_their_palette():
    space = label_space("cityscapes19")
    assert space.number_of_classes == 19
    assert space.classes[0] == "road"
    assert space.classes[18] == "bicycle"
    assert space.palette[0] == (128, 64, 128)
    assert space.palette[13] == (0, 0, 142)


def test_official_cityscapes_ids_become_train_ids():
    lookup = translation_table(class_table("cityscapes_ids"), label_space("cityscapes19"))
    official = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10}
    official |= {24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    expected = np.full(256, IGNORE)
    expected[list(official)] = list(official.values())
    assert lookup.dtype == np.uint8
    np.testing.assert_array_equal(lookup, expected)


def test_cityscapes_train_ids_fold_into_camvid():
    lookup = translation_table(class_table("cityscapes_train_ids"), label_space("camvid11"))
    # road sidewalk building wall fence pole light sign vegetation terrain sky person rider car ... bicycle
    assert lookup[:19].tolist() == [3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 8, 10]
    assert (lookup[19:] == IGNORE).all()


def test_carla_ids_fold_into_camvid():
    lookup = translation_table(class_table("carla13"), label_space("camvid11"))
    # none building fence other pedestrian pole lane road sidewalk vegetation vehicle wall sign
    assert lookup[:13].tolist() == [IGNORE, 1, 7, IGNORE, 9, 2, 3, 3, 4, 5, 8, 1, 6]


def test_camvid_labels_are_train_ids_of_camvid():
    lookup = translation_table(class_table("camvid"), label_space("camvid11"))
    assert lookup[:12].tolist() == [*range(11), IGNORE]


def test_void_ids_are_known_but_unlisted_ids_are_not():
    known = known_ids(class_table("camvid"))
    assert known[:12].all()
    assert not known[12:].any()
    assert np.flatnonzero(known_ids(class_table("cityscapes_train_ids"))).tolist() == [*range(19), 255]


@pytest.mark.parametrize("name", label_space_names())
def test_label_spaces_are_consistent(name):
    space = label_space(name)
    members = [member for names in space.members.values() for member in names]
    assert len(set(members)) == len(members), "a dataset class belongs to one class alone"
    assert len(set(space.palette)) == len(space.classes), "every class has a colour of its own"
    assert all(0 <= value <= 255 for colour in space.palette for value in colour)
    assert [space.train_id(class_name) for class_name in space.classes] == list(range(len(space.classes)))


@pytest.mark.parametrize("name", class_table_names())
def test_each_class_of_a_table_has_a_place_in_some_label_space(name):
    spaces = [label_space(space) for space in label_space_names()]
    for own_id, class_name in class_table(name).ids.items():
        assert 0 <= own_id <= 255
        assert class_name is None or any(space.train_id(class_name) != IGNORE for space in spaces)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"label space 'kitti' is not known; known are cityscapes19, camvid11"
    ):
        label_space("kitti")
    with pytest.raises(
        InputError, match=r"class table 'kitti' is not known; known are cityscapes_ids, .*carla13"
    ):
        class_table("kitti")
