import pytest

from cotrain.data.plausibility import (
    FEWEST_IMAGES,
    FEWEST_PIXELS,
    PLAUSIBLE_SHARES,
    absent_from_streets,
    implausible_shares,
    in_a_row,
    unlike_shares,
)

# Published shares of the labelled pixels of the training sets, in thousandths, rounded.
CITYSCAPES = {"road": 369, "sidewalk": 61, "building": 228, "wall": 7, "fence": 9, "pole": 12, "sky": 40}
CITYSCAPES |= {"traffic light": 2, "traffic sign": 6, "vegetation": 159, "terrain": 12, "person": 12}
CITYSCAPES |= {"rider": 1, "car": 70, "truck": 3, "bus": 2, "train": 2, "motorcycle": 1, "bicycle": 4}
SYNTHIA = {
    "sky": 70,
    "building": 294,
    "road": 186,
    "sidewalk": 195,
    "fence": 3,
    "vegetation": 105,
    "pole": 11,
}
SYNTHIA |= {"car": 41, "traffic sign": 1, "person": 43, "bicycle": 2, "motorcycle": 2, "rider": 5, "bus": 16}
SYNTHIA |= {"wall": 3, "traffic light": 1, "terrain": 0}
CAMVID = {"sky": 182, "building": 252, "pole": 10, "road": 344, "sidewalk": 49, "tree": 105, "sign": 13}
CAMVID |= {"fence": 13, "car": 64, "pedestrian": 7, "bicyclist": 3}


def pixels(shares):
    return {name: share * 1000 for name, share in shares.items()}


@pytest.mark.parametrize("shares", [CITYSCAPES, SYNTHIA, CAMVID])
def test_published_datasets_are_streets(shares):
    assert sum(shares.values()) == pytest.approx(1000, abs=60)
    assert implausible_shares(pixels(shares), FEWEST_IMAGES) == []


def test_shares_above_and_below_are_named_with_their_limits():
    wrong = pixels({"road": 600, "wall": 250, "pole": 148, "sky": 2})
    assert implausible_shares(wrong, FEWEST_IMAGES) == [
        "wall (25 %, in streets at most 12 %)",
        "pole (14.8 %, in streets at most 6 %)",
        "sky (0.2 %, in streets at least 0.5 %)",
    ]


def test_the_limits_themselves_are_plausible():
    assert implausible_shares(pixels({"road": 875, "wall": 120, "sky": 5}), 10) == [
        "road (87.5 %, in streets at most 80 %)"
    ]
    assert all(0 <= lowest < highest <= 1 for lowest, highest in PLAUSIBLE_SHARES.values())


def test_little_data_and_unknown_names_prove_nothing():
    wrong = {"wall": FEWEST_PIXELS}
    assert len(implausible_shares(wrong, FEWEST_IMAGES)) == 1
    assert implausible_shares(wrong, FEWEST_IMAGES - 1) == []
    assert implausible_shares({"wall": FEWEST_PIXELS - 1}, FEWEST_IMAGES) == []
    assert implausible_shares({"chair": FEWEST_PIXELS}, FEWEST_IMAGES) == []
    assert implausible_shares({}, FEWEST_IMAGES) == []


def test_shares_of_two_datasets_are_unlike_from_twenty_times_on():
    one, other = (
        pixels({"chair": 100, "table": 300, "lamp": 20, "door": 0}),
        pixels({"chair": 6, "table": 400}),
    )
    other |= {"lamp": 400, "door": 20_000}
    # A chair has 23.8 % against 1.41 %: 16.9 times. A lamp is 50 times rarer, but below 5 % in both.
    assert unlike_shares(one, other, 10) == []
    assert unlike_shares(one, other | {"chair": 4000}, 10) == ["chair (23.8 %, there 0.943 %)"]
    assert unlike_shares(one, other | {"chair": 4000}, 9) == []
    # Exactly twenty times: a fifth against a hundredth.
    fifth, hundredth = pixels({"chair": 200, "table": 800}), pixels({"chair": 10, "table": 990})
    assert unlike_shares(fifth, hundredth, 10) == ["chair (20 %, there 1 %)"]
    assert unlike_shares(one, {"chair": 1, "table": 9, "lamp": 1, "door": 1}, 10) == []
    # A class that one of them lacks, whatever its share in the other.
    without, half = pixels({"door": 0, "table": 1000}), pixels({"door": 500, "table": 500})
    assert unlike_shares(without, half, 10) == unlike_shares(half, without, 10) == []


def test_names_in_a_row():
    assert [in_a_row(["a"]), in_a_row(["a", "b"]), in_a_row(["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_streets_without_sky_or_road():
    enough = 100_000
    assert absent_from_streets({"road": enough, "sky": 0, "train": 0}, 10) == ["sky"]
    assert absent_from_streets({"road": 0, "sky": enough}, 10) == ["road"]
    assert absent_from_streets({"road": enough, "sky": 1}, 10) == []
    # Other classes, too few images, too few pixels.
    assert absent_from_streets({"chair": enough, "table": 0}, 10) == []
    assert absent_from_streets({"road": enough, "sky": 0}, 9) == []
    assert absent_from_streets({"road": enough - 1, "sky": 0}, 10) == []
