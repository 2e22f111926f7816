"""Whether labels can mean what their class table says, by the shares of the pixels that classes have.

Ids that fit a wrong class table are no error of any single file. Together they show it: a street with a
quarter of wall and hardly any sky is one whose ids mean something else.

The limits are those of street scenes. They come from the class shares of the training sets of Cityscapes,
GTA5, Synscapes, SYNTHIA, BDD100K, Mapillary Vistas and CamVid, in per cent of the labelled pixels about:

- road 18 (SYNTHIA) to 37 (Cityscapes), sidewalk 2 (BDD100K) to 20 (SYNTHIA), building 13 to 30
- wall 0.3 to 2 (GTA5), fence 0.3 to 1.2, pole 0.9 to 2, traffic light below 0.3, traffic sign below 1
- vegetation 8 to 16, terrain 1 to 2.5, sky 3.5 (Cityscapes) to 29 (Mapillary Vistas)
- person 0.2 to 4.3 (SYNTHIA), rider below 0.5, car 3 to 8, truck, bus and train each below 1.6
- motorcycle and bicycle each below 0.5

The highest allowed shares are at least twice as large, the lowest at most a third, because a user's roads may
be motorways or lanes. Where a camera looks along a street, sky is never quite absent.
"""

from collections.abc import Mapping, Sequence

# Lowest and highest share of each dataset class in the labelled pixels of a set; see the top of this file.
PLAUSIBLE_SHARES: Mapping[str, tuple[float, float]] = {
    "road": (0.05, 0.8),
    "sidewalk": (0.0, 0.45),
    "building": (0.0, 0.75),
    "wall": (0.0, 0.12),
    "fence": (0.0, 0.12),
    "pole": (0.0, 0.06),
    "traffic light": (0.0, 0.03),
    "traffic sign": (0.0, 0.04),
    "sign": (0.0, 0.06),
    "vegetation": (0.0, 0.75),
    "tree": (0.0, 0.75),
    "terrain": (0.0, 0.45),
    "sky": (0.005, 0.7),
    "person": (0.0, 0.15),
    "pedestrian": (0.0, 0.15),
    "rider": (0.0, 0.04),
    "bicyclist": (0.0, 0.06),
    "car": (0.0, 0.4),
    "truck": (0.0, 0.15),
    "bus": (0.0, 0.15),
    "train": (0.0, 0.1),
    "motorcycle": (0.0, 0.06),
    "bicycle": (0.0, 0.06),
    "autorickshaw": (0.0, 0.15),
}
# Fewer images can show anything: one bus before the camera fills a third of a picture.
FEWEST_IMAGES = 10
FEWEST_PIXELS = 100_000
# Two sets of streets differ by a few times in a class. SYNTHIA has ten times the sidewalk of BDD100K.
UNLIKE = 20
# A class that is rare in both sets may be many times rarer in one: few streets have trains.
LARGE_SHARE = 0.05


def implausible_shares(pixels: Mapping[str, int], images: int) -> list[str]:
    """Return "wall (25.7 %, in streets at most 12 %)" for each class with a share that no streets have.

    Nothing can be said of fewer than ten images or 100 000 labelled pixels, and of names that are not in
    `PLAUSIBLE_SHARES`: then the result is [].

    Args:
        pixels: the pixels of each class of a dataset, 0 for those that do not occur; void is left out.
        images: over how many images they were counted.
    """
    total = sum(pixels.values())
    if not can_be_judged(pixels, images):
        return []
    found = []
    for name, number in pixels.items():
        lowest, highest = PLAUSIBLE_SHARES.get(name, (0.0, 1.0))
        share = number / total
        if not lowest <= share <= highest:
            limit = f"at most {_percent(highest)}" if share > highest else f"at least {_percent(lowest)}"
            found.append(f"{name} ({_percent(share)}, in streets {limit})")
    return found


def absent_from_streets(pixels: Mapping[str, int], images: int) -> list[str]:
    """Return the classes without any pixel that streets always show; [] where nothing can be said, as above.

    Args:
        pixels: the pixels of each class of the run; void is left out.
        images: over how many images they were counted.
    """
    if not can_be_judged(pixels, images):
        return []
    always_shown = {name for name, (lowest, _) in PLAUSIBLE_SHARES.items() if lowest > 0}
    return [name for name, number in pixels.items() if not number and name in always_shown]


def can_be_judged(pixels: Mapping[str, int], images: int) -> bool:
    """Return whether there are enough images and labelled pixels to say whether the shares are plausible."""
    return images >= FEWEST_IMAGES and sum(pixels.values()) >= FEWEST_PIXELS


def unlike_shares(pixels: Mapping[str, int], others: Mapping[str, int], images: int) -> list[str]:
    """Return "wall (25.7 %, there 0.8 %)" for each class with a share very unlike that of another dataset.

    This also judges classes that no street has. Classes that are absent from one side are left out, and so
    is everything where a dataset is too small for `implausible_shares`.

    Args:
        pixels, others: the pixels of each class of the run in two datasets.
        images: the number of images of the smaller dataset.
    """
    totals = sum(pixels.values()), sum(others.values())
    if images < FEWEST_IMAGES or min(totals) < FEWEST_PIXELS:
        return []
    found = []
    for name in pixels:
        share, other = pixels[name] / totals[0], others[name] / totals[1]
        small, large = sorted((share, other))
        if small > 0 and large >= LARGE_SHARE and large >= UNLIKE * small:
            found.append(f"{name} ({_percent(share)}, there {_percent(other)})")
    return found


def in_a_row(names: Sequence[str]) -> str:
    """Return "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
