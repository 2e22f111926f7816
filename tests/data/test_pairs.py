from pathlib import Path

import pytest

from cotrain.data.manifests import Item
from cotrain.data.pairs import check_labels, check_order, check_pairs
from cotrain.errors import InputError

MANIFESTS = (Path("a.tsv"), Path("b.tsv"))


def items(name, *sizes):
    return [Item(f"{name}{i}", Path(f"{name}{i}.png"), *size) for i, size in enumerate(sizes)]


def test_pairs_of_one_size():
    check_pairs(items("x", (8, 4), (4, 8)), items("y", (8, 4), (4, 8)), MANIFESTS, one_size=True)


def test_lists_of_different_length_are_refused():
    with pytest.raises(InputError, match=r"a\.tsv lists 2 images, b\.tsv 1; expected equally many"):
        check_pairs(items("x", (8, 4), (8, 4)), items("y", (8, 4)), MANIFESTS, one_size=False)


def test_sizes_count_only_where_labels_pass_pixel_by_pixel():
    pairs = items("x", (8, 4), (8, 4)), items("y", (8, 4), (4, 8))
    check_pairs(*pairs, MANIFESTS, one_size=False)
    with pytest.raises(InputError, match=r"x1\.png is 8×4, its pair y1\.png 4×8; expected one size"):
        check_pairs(*pairs, MANIFESTS, one_size=True)


def test_labels_of_a_manifest_in_another_order_than_its_images():
    def manifest(*labels):
        return [
            Item(f"{i}", Path(f"i/rgb_{i}.jpg"), 8, 4, None if label is None else Path(f"l/gt_{label}.png"))
            for i, label in enumerate(labels)
        ]

    check_labels(manifest(0, 1, 2), Path("a.tsv"))
    check_labels(manifest(None, 1, None, 3), Path("a.tsv"))
    for labels in ((0, 2, 1), (None, 2, 1)):
        with pytest.raises(InputError) as caught:
            check_labels(manifest(*labels), Path("a.tsv"))
        assert str(caught.value).startswith(
            "a.tsv:3: i/rgb_1.jpg is paired with a.tsv:3: l/gt_2.png; expected a.tsv:4: l/gt_1.png. By their"
        )


def listed(name, paths):
    return [(Path("/data", path), f"{name}.txt:{line}") for line, path in enumerate(paths.split(), start=1)]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("i/s0.png i/s1.png i/s2.png", "l/s0_L.png l/s1_L.png l/s2_L.png"),
        # In any order, if it is the same.
        ("i/b.png i/a.png i/c.png", "l/b.png l/a.png l/c.png"),
        # The folder holds the name.
        ("frame_001/image.png frame_002/image.png", "frame_001/label.png frame_002/label.png"),
        ("frame_002/image.png frame_001/image.png", "l/002.png l/001.png"),
        # In folders of other names, with names that recur.
        ("x/rgb/1.png x/rgb/2.png y/rgb/1.png", "x/gt/1.png x/gt/2.png y/gt/1.png"),
        ("day/1.png night/1.png day/2.png", "tag/1.png nacht/1.png tag/2.png"),
        ("x/1.png x/2.png y/1.png", "l/x_1.png l/x_2.png l/y_1.png"),
        # Numbers of other widths and from another start.
        ("i/008.png i/009.png i/010.png", "l/8.png l/9.png l/10.png"),
        ("i/10.png i/11.png i/12.png", "l/11.png l/12.png l/13.png"),
        ("i/0.png i/1.png", "l/1.png l/2.png"),
        # Counted down: 19 and 20 must not become 9 and 0, nor 10 and 11 become 0 and 1.
        ("i/10.png i/11.png", "l/21.png l/20.png"),
        ("i/10_x.png i/20_x.png", "l/32_y.png l/12_y.png"),
        # Names that have nothing to do with each other.
        ("i/rose.png i/lily.png", "l/1.png l/2.png"),
        # One label for two images, and one pair.
        ("i/a.png i/b.png i/c.png", "l/a.png l/a.png l/c.png"),
        ("i/a.png", "l/b.png"),
        # Numbers behind the last dot are no suffix.
        ("i/f.1 i/f.2", "l/f.1 l/f.2"),
        # Folders tell another order than names; lists in the right order must pass.
        ("2/a.png 1/b.png", "1/a.png 2/b.png"),
    ],
)
def test_the_same_order_and_names_that_say_nothing_are_accepted(images, labels):
    check_order(listed("i", images), listed("l", labels))
    check_order(listed("l", labels), listed("i", images))


@pytest.mark.parametrize(
    ("images", "labels", "line", "partner"),
    [
        ("i/s0.png i/s1.png i/s2.png", "l/s2_L.png l/s0_L.png l/s1_L.png", 1, 2),
        ("i/a.png i/b.png", "l/b.png l/a.png", 1, 2),
        ("i/a.png i/b.png i/c.png", "l/a.png l/c.png l/b.png", 2, 3),
        ("frame_001/image.png frame_002/image.png", "frame_002/label.png frame_001/label.png", 1, 2),
        ("frame_001/image.png frame_002/image.png", "l/2.png l/1.png", 1, 2),
        ("x/rgb/1.png x/rgb/2.png y/rgb/1.png", "x/gt/1.png y/gt/1.png x/gt/2.png", 2, 3),
        # Sorted as text and as numbers.
        ("i/8.png i/9.png i/10.png", "l/10.png l/8.png l/9.png", 1, 2),
        ("i/x8.png i/x9.png i/x10.png", "l/010_L.png l/008_L.png l/009_L.png", 1, 2),
        # Two folders on one side, one on the other.
        ("day/a_1.png night/b_1.png", "l/b_1.png l/a_1.png", 1, 2),
        ("i/Frame-1.JPG i/Frame-2.JPG", "l/frame_2.png l/frame_1.png", 1, 2),
    ],
)
def test_another_order_is_refused_with_the_first_line_and_what_is_expected(images, labels, line, partner):
    ours, theirs = listed("i", images), listed("l", labels)
    with pytest.raises(InputError) as caught:
        check_order(ours, theirs)
    (image, _), (label, _), (expected, _) = ours[line - 1], theirs[line - 1], theirs[partner - 1]
    assert str(caught.value) == (
        f"i.txt:{line}: {image} is paired with l.txt:{line}: {label}; expected l.txt:{partner}: "
        f"{expected}. By their names, both lists hold the same in another order; bring them into one "
        "order"
    )


def test_every_exchange_of_two_lines_is_found():
    images = [f"s{number}.png" for number in range(12)]
    for number in range(11):
        labels = [f"{image[:-4]}_L.png" for image in images]
        labels[number : number + 2] = labels[number + 1], labels[number]
        with pytest.raises(InputError, match=rf"^i\.txt:{number + 1}: "):
            check_order(listed("i", " ".join(images)), listed("l", " ".join(labels)))


def test_views_in_another_order_are_refused_unless_they_are_drawn():
    views = [
        Item(name, Path(f"{folder}/{name}.png"), 8, 4)
        for folder, names in (("x", "pq"), ("y", "qp"))
        for name in names
    ]
    with pytest.raises(
        InputError, match=r"a\.tsv:2: x/p\.png is paired with b\.tsv:2: y/q\.png; expected b\.tsv:3: y/p"
    ):
        check_pairs(views[:2], views[2:], MANIFESTS, one_size=True)
    check_pairs(views[:2], views[2:], MANIFESTS, one_size=True, whole=False)
