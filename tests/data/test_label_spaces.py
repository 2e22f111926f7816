import json
import re

import numpy as np
import pytest

from cotrain.data.class_tables import class_table, class_table_names, known_ids, translation_table
from cotrain.data.label_spaces import IGNORE, label_space, label_space_names, make_label_space
from cotrain.errors import InputError

# Train id and colour of each class, as cityscapesScripts has them.
CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
OFFICIAL_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10}
OFFICIAL_IDS |= {24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
OFFICIAL_VOID = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
TRAIN_IDS = {train_id: train_id for train_id in range(19)}
SYNTHIA_IDS = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13}
SYNTHIA_IDS |= {18: 14, 19: 15, 20: 16, 12: 17, 11: 18}

# The 32 classes of CamVid in the order of its makers' table, in the groups of the SegNet copy.
CAMVID_COLOURS = {
    (64, 128, 64): "pedestrian",  # Animal
    (192, 0, 128): "building",  # Archway
    (0, 128, 192): "bicyclist",  # Bicyclist
    (0, 128, 64): "building",  # Bridge
    (128, 0, 0): "building",  # Building
    (64, 0, 128): "car",  # Car
    (64, 0, 192): "pedestrian",  # CartLuggagePram
    (192, 128, 64): "pedestrian",  # Child
    (192, 192, 128): "pole",  # Column_Pole
    (64, 64, 128): "fence",  # Fence
    (128, 0, 192): "road",  # LaneMkgsDriv
    (192, 0, 64): "road",  # LaneMkgsNonDriv
    (128, 128, 64): "sign",  # Misc_Text
    (192, 0, 192): "bicyclist",  # MotorcycleScooter
    (128, 64, 64): "car",  # OtherMoving
    (64, 192, 128): "sidewalk",  # ParkingBlock
    (64, 64, 0): "pedestrian",  # Pedestrian
    (128, 64, 128): "road",  # Road
    (128, 128, 192): "sidewalk",  # RoadShoulder
    (0, 0, 192): "sidewalk",  # Sidewalk
    (192, 128, 128): "sign",  # SignSymbol
    (128, 128, 128): "sky",  # Sky
    (64, 128, 192): "car",  # SUVPickupTruck
    (0, 0, 64): "pole",  # TrafficCone
    (0, 64, 64): "sign",  # TrafficLight
    (192, 64, 128): "car",  # Train
    (128, 128, 0): "tree",  # Tree
    (192, 128, 192): "car",  # Truck_Bus
    (64, 0, 64): "building",  # Tunnel
    (192, 192, 0): "tree",  # VegetationMisc
    (0, 0, 0): None,  # Void
    (64, 192, 0): "building",  # Wall
}

# Mapillary Vistas: the names in both versions, those only in v1.2, those only in v2.0.
VISTAS = {
    "construction--flat--road": "road",
    "object--manhole": "road",
    "object--pothole": "road",
    "construction--flat--sidewalk": "sidewalk",
    "construction--structure--building": "building",
    "construction--barrier--wall": "wall",
    "construction--barrier--fence": "fence",
    "object--street-light": "pole",
    "object--support--pole": "pole",
    "object--support--traffic-sign-frame": "pole",
    "object--support--utility-pole": "pole",
    "object--traffic-sign--front": "traffic sign",
    "nature--vegetation": "vegetation",
    "nature--terrain": "terrain",
    "nature--sky": "sky",
    "human--rider--bicyclist": "rider",
    "human--rider--motorcyclist": "rider",
    "human--rider--other-rider": "rider",
    "object--vehicle--car": "car",
    "object--vehicle--truck": "truck",
    "object--vehicle--bus": "bus",
    "object--vehicle--on-rails": "train",
    "object--vehicle--motorcycle": "motorcycle",
    "object--vehicle--bicycle": "bicycle",
}
VISTAS_1_2 = {
    "marking--crosswalk-zebra": "road",
    "marking--general": "road",
    "object--traffic-light": "traffic light",
    "human--person": "person",
}
VISTAS_2_0 = {
    "marking--continuous--dashed": "road",
    "marking--continuous--solid": "road",
    "marking--continuous--zigzag": "road",
    "marking--discrete--ambiguous": "road",
    "marking--discrete--arrow--left": "road",
    "marking--discrete--arrow--other": "road",
    "marking--discrete--arrow--right": "road",
    "marking--discrete--arrow--split-left-or-straight": "road",
    "marking--discrete--arrow--split-right-or-straight": "road",
    "marking--discrete--arrow--straight": "road",
    "marking--discrete--crosswalk-zebra": "road",
    "marking--discrete--give-way-row": "road",
    "marking--discrete--give-way-single": "road",
    "marking--discrete--hatched--chevron": "road",
    "marking--discrete--hatched--diagonal": "road",
    "marking--discrete--other-marking": "road",
    "marking--discrete--stop-line": "road",
    "marking--discrete--symbol--bicycle": "road",
    "marking--discrete--symbol--other": "road",
    "marking--discrete--text": "road",
    "marking-only--continuous--dashed": "road",
    "marking-only--discrete--crosswalk-zebra": "road",
    "marking-only--discrete--other-marking": "road",
    "marking-only--discrete--text": "road",
    "object--support--pole-group": "pole",
    "object--traffic-light--cyclists": "traffic light",
    "object--traffic-light--general-horizontal": "traffic light",
    "object--traffic-light--general-single": "traffic light",
    "object--traffic-light--general-upright": "traffic light",
    "object--traffic-light--other": "traffic light",
    "object--traffic-light--pedestrians": "traffic light",
    "object--traffic-sign--direction-front": "traffic sign",
    "object--traffic-sign--temporary-front": "traffic sign",
    "human--person--individual": "person",
    "human--person--person-group": "person",
}
VISTAS_VOID = """
    animal--bird animal--ground-animal construction--barrier--curb construction--barrier--guard-rail
    construction--barrier--other-barrier construction--flat--bike-lane construction--flat--crosswalk-plain
    construction--flat--curb-cut construction--flat--parking construction--flat--pedestrian-area
    construction--flat--rail-track construction--flat--service-lane construction--structure--bridge
    construction--structure--tunnel nature--mountain nature--sand nature--snow nature--water object--banner
    object--bench object--bike-rack object--catch-basin object--cctv-camera object--fire-hydrant
    object--junction-box object--mailbox object--phone-booth object--traffic-sign--back object--trash-can
    object--vehicle--boat object--vehicle--caravan object--vehicle--other-vehicle object--vehicle--trailer
    object--vehicle--wheeled-slow void--car-mount void--ego-vehicle void--unlabeled
"""
VISTAS_1_2_VOID = "object--billboard"
VISTAS_2_0_VOID = """
    construction--barrier--ambiguous construction--barrier--concrete-block construction--barrier--road-median
    construction--barrier--road-side construction--barrier--separator construction--barrier--temporary
    construction--flat--driveway construction--flat--parking-aisle construction--flat--road-shoulder
    construction--flat--traffic-island construction--structure--garage object--parking-meter
    object--sign--advertisement object--sign--ambiguous object--sign--back object--sign--information
    object--sign--other object--sign--store object--traffic-cone object--traffic-sign--ambiguous
    object--traffic-sign--direction-back object--traffic-sign--information-parking
    object--traffic-sign--temporary-back object--vehicle--vehicle-group object--water-valve void--dynamic
    void--ground void--static
"""


def test_cityscapes_classes_are_in_the_order_of_train_ids_with_their_palette():
    space = label_space("cityscapes19")
    assert space.number_of_classes == 19
    assert space.classes == tuple(CITYSCAPES)
    assert space.palette == tuple(CITYSCAPES.values())


@pytest.mark.parametrize(
    ("name", "encoding", "own", "void"),
    [
        ("cityscapes_ids", "ids", OFFICIAL_IDS, OFFICIAL_VOID),
        ("gta5", "ids", OFFICIAL_IDS, [*OFFICIAL_VOID, 34]),
        ("cityscapes_train_ids", "ids", TRAIN_IDS, [255]),
        ("urbansyn", "ids", TRAIN_IDS, [19, 255]),
        ("synthia", "red_channel", SYNTHIA_IDS, [0, 13, 14, 22]),
    ],
)
def test_published_ids_become_train_ids_of_cityscapes(name, encoding, own, void):
    table = class_table(name)
    assert table.encoding == encoding
    lookup = translation_table(table, label_space("cityscapes19"))
    expected = np.full(256, IGNORE)
    expected[list(own)] = list(own.values())
    assert lookup.dtype == np.uint8
    np.testing.assert_array_equal(lookup, expected)
    assert np.flatnonzero(known_ids(table)).tolist() == sorted([*own, *void])


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("synthia16", [0, 1, 2, 3, 4, 5, 6, 7, 8, IGNORE, 9, 10, 11, 12, IGNORE, 13, IGNORE, 14, 15]),
        (
            "synthia13",
            [0, 1, 2, *[IGNORE] * 3, 3, 4, 5, IGNORE, 6, 7, 8, 9, IGNORE, 10, IGNORE, 11, 12],
        ),
        ("cityscapes7", [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6]),
    ],
)
def test_cityscapes_train_ids_fold_into_smaller_spaces(space, expected):
    lookup = translation_table(class_table("cityscapes_train_ids"), label_space(space))
    assert lookup[:19].tolist() == expected


def test_camvid_colours_are_those_of_its_makers():
    table = class_table("camvid_colours")
    assert table.encoding == "colours"
    assert len(table.colours) == 32
    assert {table.colours[own_id]: name for own_id, name in table.ids.items()} == CAMVID_COLOURS


@pytest.mark.parametrize(
    ("version", "number", "classes", "void"),
    [
        ("v1.2", 66, VISTAS | VISTAS_1_2, VISTAS_VOID + VISTAS_1_2_VOID),
        ("v2.0", 124, VISTAS | VISTAS_2_0, VISTAS_VOID + VISTAS_2_0_VOID),
    ],
)
def test_mapillary_names_become_cityscapes_classes(tmp_path, version, number, classes, void):
    names = sorted([*classes, *void.split()])
    labels = [{"name": name, "color": [0, 0, own_id]} for own_id, name in enumerate(names)]
    (tmp_path / f"config_{version}.json").write_text(json.dumps({"labels": labels}))
    table = class_table("mapillary_vistas", tmp_path, {"version": version})
    assert len(set(names)) == len(table.ids) == number
    found = {names[own_id]: name for own_id, name in table.ids.items()}
    assert found == classes | dict.fromkeys(void.split())
    assert set(classes.values()) == set(CITYSCAPES)


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


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        # sky building pole road sidewalk tree sign fence car pedestrian bicyclist
        ("cityscapes7", [4, 1, 2, 0, 0, 3, 2, 1, 6, 5, 5]),
        ("idd7", [6, 5, 4, 0, 1, 5, 4, 4, 3, 2, 2]),
        # A bicyclist is a rider and a bicycle, two classes there.
        ("cityscapes19", [10, 2, 5, 0, 1, 8, 7, 4, 13, 11, IGNORE]),
    ],
)
def test_camvid_labels_fold_into_the_spaces_of_other_datasets(space, expected):
    lookup = translation_table(class_table("camvid"), label_space(space))
    assert lookup[:12].tolist() == [*expected, IGNORE]


def test_void_ids_are_known_but_unlisted_ids_are_not():
    known = known_ids(class_table("camvid"))
    assert known[:12].all()
    assert not known[12:].any()
    assert np.flatnonzero(known_ids(class_table("idd_level3"))).tolist() == [*range(27), 255]
    assert np.flatnonzero(known_ids(class_table("carla13"))).tolist() == [*range(13)]


@pytest.mark.parametrize("name", label_space_names())
def test_label_spaces_are_consistent(name):
    space = label_space(name)
    members = [member for names in space.members.values() for member in names]
    assert len(set(members)) == len(members), "a dataset class belongs to only one class"
    assert len(set(space.palette)) == len(space.classes), "every class has a colour of its own"
    assert all(0 <= value <= 255 for colour in space.palette for value in colour)
    assert [space.train_id(class_name) for class_name in space.classes] == list(range(len(space.classes)))


@pytest.mark.parametrize("name", class_table_names())
def test_each_class_of_a_table_has_a_place_in_some_label_space(name):
    spaces = [label_space(space) for space in label_space_names()]
    if name == "mapillary_vistas":
        pytest.skip("its ids come from a file of the dataset; another test checks its names")
    for own_id, class_name in class_table(name).ids.items():
        assert 0 <= own_id <= 255
        assert class_name is None or any(space.train_id(class_name) != IGNORE for space in spaces)


def test_messages_about_unknown_names_list_the_known_ones():
    with pytest.raises(
        InputError, match=r"label space 'kitti' is not known; expected one of cityscapes19, synthia16"
    ):
        label_space("kitti")
    with pytest.raises(
        InputError, match=r"class table 'kitti' is not known; expected one of cityscapes_ids, .*carla13"
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
    # The train ids of Cityscapes according to the dataset's own tool.
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


LIST_OF_CLASSES = "expected a list of 1 to 255 classes such as {class: road, colour: [128, 64, 128]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road: 1", f": found a section with the keys road, {LIST_OF_CLASSES}"),
        ("", f": found null, {LIST_OF_CLASSES}"),
        ("[]", f": found 0 entries, {LIST_OF_CLASSES}"),
        (
            "- {class: a, colour: [1, 2, 3]}\n- {class: road}",
            ", line 2: entry 1 is a section with the keys class, expected the keys class, colour and perhaps "
            "members",
        ),
        ("- colour: [1, 2, 3]\n  class: 7", ", line 2: found the class 7, expected text"),
        (
            "- colour: [1, 2, 3]\n  class: a\n  members: b",
            ", line 3: 'a' has the members 'b', expected a list of names",
        ),
        (
            "- class: road\n  colour: [1, null, 300]",
            ", line 2: 'road' has the colour [1, null, 300], expected [red, green, blue] from 0 to 255",
        ),
        (
            "- {class: a, colour: [1, 2, 3]}\n- {class: a, colour: [1, 2, 4]}",
            ", line 2: the class 'a' occurs twice, expected it once",
        ),
        (
            "- {class: a, colour: [1, 2, 3]}\n- {class: b, colour: [1, 2, 3]}",
            ", line 2: the colour [1, 2, 3] occurs twice, expected it once",
        ),
        (
            "- {class: a, colour: [1, 2, 3], members: [b]}\n- {class: b, colour: [1, 2, 4]}",
            ", line 2: the dataset class 'b' occurs twice, expected it once",
        ),
        ("- class: a/b\n  colour: [1, 2, 3]", ", line 1: the class 'a/b' "),
        (
            "- {class: a, colour: [1, 2, 3], class: b}",
            ", line 1: not valid YAML: the key 'class' is given twice",
        ),
    ],
)
def test_wrong_label_spaces_are_explained_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"label space {path}{message}")):
        label_space(str(path))


def test_missing_file_of_a_label_space_is_named():
    with pytest.raises(InputError, match=r"label space nowhere\.yaml: cannot be read"):
        label_space("nowhere.yaml")


KEYS_OF_TABLES = "expected the keys colours, encoding, ids, names, names_file"
IDS = "expected `ids`, own id -> class name or null"
NAMES = "expected `names`, name -> class name or null, and `names_file`, a JSON file"
COLOURS = "expected `colours`, a list of 1 to 256 {class, colour}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", f": {KEYS_OF_TABLES}, found [1]"),
        ("", f": {KEYS_OF_TABLES}, found null"),
        ("{0: sky}", f": {KEYS_OF_TABLES}, found a section with the keys 0"),
        (
            "ids: {0: road}\nencoding: morse",
            ", line 2: found encoding 'morse', expected ids, red_channel, colours",
        ),
        ("encoding: ids", f", line 1: {IDS}, found none"),
        ("encoding: ids\nids: null", f", line 2: {IDS}, found null"),
        ("ids: []", f", line 1: {IDS}, found []"),
        ("ids:\n  0: road\n  300: car", ", line 3: found the id 300, expected integers from 0 to 255"),
        ("ids:\n  null: car", ", line 2: found the id null, expected integers from 0 to 255"),
        ("ids:\n  0: road\n  1: [a]", ", line 3: id 1 means ['a'], expected a class name or null"),
        ("ids:\n  0: road\n  1: no", ", line 3: id 1 means false, expected a class name or null"),
        ("ids:\n  010: road", ", line 2: found 010, which YAML takes for 8: "),
        (
            "ids: {0: road, 3: car,\n  0: sky}",
            ", line 2: not valid YAML: the key '0' is given in line 1 already",
        ),
        ("names: {sky: sky}", f", line 1: {NAMES}"),
        ("names_file: a.json\nnames: [sky]", f", line 2: {NAMES}"),
        (
            "names_file: a.json\nnames:\n  sky: 1",
            ", line 3: 'sky' means 1, expected a class name or null",
        ),
        (
            "names: {sky: sky}\nnames_file: '{year}.json'",
            ", line 2: {year} in `names_file` has no meaning here",
        ),
        ("encoding: colours\nids: {0: road}", f", line 1: {COLOURS}, found none"),
        ("encoding: colours\ncolours: {}", f", line 2: {COLOURS}, found an empty section"),
        (
            "encoding: colours\ncolours:\n  - {class: 1, colour: [1, 2, 3]}",
            ", line 3: the colour [1, 2, 3] means 1, expected a class name or null",
        ),
        (
            "encoding: colours\ncolours:\n  - class: a\n    colour: red",
            ", line 4: found the colour 'red', expected [red, green, blue] from 0 to 255",
        ),
        (
            "encoding: colours\ncolours:\n  - {class: a}",
            ", line 3: found a section with the keys class, expected {class: road, colour: [128, 64, 128]}",
        ),
        (
            "encoding: colours\ncolours:\n- {class: a, colour: [1, 1, 1]}\n- {class: b, colour: [1, 1, 1]}",
            ", line 4: the colour [1, 1, 1] occurs twice, expected one for each entry",
        ),
    ],
)
def test_wrong_class_tables_are_explained_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        class_table(str(path), tmp_path)
    assert str(caught.value).startswith(f"class table {path}{message}")


def test_own_class_table_is_read_from_a_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("encoding: red_channel\nids: {0: null, 200: road}\n")
    table = class_table(str(path))
    assert (table.name, table.encoding, dict(table.ids)) == (str(path), "red_channel", {0: None, 200: "road"})


@pytest.mark.parametrize(
    "name", ["../../ESC", "/tmp/ESC", "a/b", "a\tb", "a\nb", "", "..", "\udcff", "x" * 221]
)
def test_names_of_classes_that_lead_elsewhere_or_break_tables_are_refused(name):
    for entry in (
        {"class": name, "colour": [1, 2, 3]},
        {"class": "a", "colour": [1, 2, 3], "members": [name]},
    ):
        with pytest.raises(
            InputError, match=r"label space own: the class .* classes name folders and columns"
        ):
            make_label_space("own", [entry])


@pytest.mark.parametrize(
    "names_file", ["{", "}", "{version", "a{}b", "{0.x}", "../a.json", "/a.json", "", "a\0"]
)
def test_a_list_of_names_lies_below_its_dataset(tmp_path, names_file):
    (tmp_path / "t.yaml").write_text(json.dumps({"names": {"sky": "sky"}, "names_file": names_file}))
    with pytest.raises(InputError, match=r"class table .*/t\.yaml, line 1: .*`names_file`"):
        class_table(str(tmp_path / "t.yaml"), tmp_path, {"version": "v1.2"})
