from pathlib import Path

import pytest

from cotrain.data.manifests import Item
from cotrain.data.pairs import check_pairs
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
