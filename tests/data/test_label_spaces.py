import numpy as np
import pytest

from cotrain.data.class_tables import class_table, class_table_names, known_ids, translation_table
from cotrain.data.label_spaces import IGNORE, label_space, label_space_names
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
    if name == "mapillary_vistas":
        pytest.skip("its ids come from a file of the dataset; tests/data/test_trees.py has it")
    for own_id, class_name in class_table(name).ids.items():
        assert 0 <= own_id <= 255
        assert class_name is None or any(space.train_id(class_name) != IGNORE for space in spaces)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"label space 'kitti' is not known; known are cityscapes19, synthia16"
    ):
        label_space("kitti")
    with pytest.raises(
        InputError, match=r"class table 'kitti' is not known; known are cityscapes_ids, .*carla13"
    ):
        class_table("kitti")


def test_synthia_is_scored_on_classes_of_cityscapes():
    cityscapes, sixteen, thirteen = (label_space(name) for name in ("cityscapes19", "synthia16", "synthia13"))
    assert set(cityscapes.classes) - set(sixteen.classes) == {"terrain", "truck", "train"}
    assert set(sixteen.classes) - set(thirteen.classes) == {"wall", "fence", "pole"}
    assert sixteen.palette[sixteen.classes.index("car")] == cityscapes.palette[13]


def test_idd_folds_into_its_first_level_and_into_cityscapes():
    table = class_table("idd_level3")
    first_level = translation_table(table, label_space("idd7"))[:26].tolist()
    assert first_level == [0, 0, 1, 1, 2, 2, *[3] * 7, *[4] * 9, 5, 5, 5, 6]
    # The ids of Cityscapes as the dataset's own tool gives them.
    own = [
        0,
        255,
        1,
        9,
        11,
        12,
        17,
        18,
        255,
        13,
        14,
        15,
        255,
        255,
        3,
        4,
        255,
        255,
        7,
        6,
        5,
        255,
        2,
        255,
        8,
        10,
    ]
    assert translation_table(table, label_space("cityscapes19"))[:26].tolist() == own


def test_own_label_space_is_read_from_a_file(tmp_path):
    path = tmp_path / "simple.yaml"
    path.write_text(
        "- {class: ground, colour: [1, 2, 3], members: [road, sidewalk]}\n"
        "- {class: rest, colour: [4, 5, 6]}\n"
    )
    space = label_space(str(path))
    assert (space.name, space.classes, space.palette) == (
        "simple",
        ("ground", "rest"),
        ((1, 2, 3), (4, 5, 6)),
    )
    assert space.train_id("sidewalk") == 0
    assert space.definition()["classes"][0] == {
        "class": "ground",
        "colour": [1, 2, 3],
        "members": ["road", "sidewalk"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road: 1", "expected a list of 1 to 255 classes"),
        ("- {class: road}", r"entry 0 is .*, expected the keys class, colour"),
        ("- {class: 7, colour: [1, 2, 3]}", "expected names as text"),
        ("- {class: road, colour: [1, 2, 300]}", r"'road' has the colour \[1, 2, 300\]"),
        ("- {class: a, colour: [1, 2, 3]}\n- {class: a, colour: [1, 2, 4]}", "the class 'a' is there twice"),
        ("- {class: a, colour: [1, 2, 3]}\n- {class: b, colour: [1, 2, 3]}", "the colour .* is there twice"),
        (
            "- {class: a, colour: [1, 2, 3], members: [b]}\n- {class: b, colour: [1, 2, 4]}",
            "the dataset class 'b' is there twice",
        ),
        ("[", "is not valid YAML"),
    ],
)
def test_wrong_label_spaces_are_explained(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        label_space(str(path))


def test_missing_file_of_a_label_space_is_named():
    with pytest.raises(InputError, match=r"label space nowhere\.yaml: cannot be read"):
        label_space("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected the keys colours, encoding, ids"),
        ("{encoding: morse, ids: {0: road}}", "found encoding 'morse', expected ids, red_channel, colours"),
        ("{ids: []}", "expected `ids`, own id -> class name or null"),
        ("{ids: {300: road}}", "found the id 300, expected integers from 0 to 255"),
        ("{ids: {1: [road]}}", "id 1 means"),
        ("{names: {sky: sky}}", "expected `names`, .* and `names_file`"),
        ("{names: [sky], names_file: a.json}", "expected `names`, .* and `names_file`"),
        ("{names: {sky: 1}, names_file: a.json}", "'sky' means 1, expected a class name or null"),
        ("{names: {sky: sky}, names_file: '{year}.json'}", "{year} in `names_file` stands for nothing"),
        ("{encoding: colours, ids: {0: road}}", "expected `colours`"),
        ("{encoding: colours, colours: [{class: 1, colour: [1, 2, 3]}]}", r"the colour \[1, 2, 3\] means 1"),
        ("{encoding: colours, colours: [{class: a, colour: red}]}", "found {'class': 'a', 'colour': 'red'}"),
        (
            "{encoding: colours, colours: [{class: a, colour: [1, 1, 1]}, {class: b, colour: [1, 1, 1]}]}",
            "a colour is there twice",
        ),
    ],
)
def test_wrong_class_tables_are_explained(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"class table own: {message}"):
        class_table(str(path), tmp_path)


def test_own_class_table_is_read_from_a_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("encoding: red_channel\nids: {0: null, 200: road}\n")
    table = class_table(str(path))
    assert (table.name, table.encoding, dict(table.ids)) == ("own", "red_channel", {0: None, 200: "road"})
