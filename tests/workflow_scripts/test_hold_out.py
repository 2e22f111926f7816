from dataclasses import replace

import pytest

from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts.hold_out import main


@pytest.fixture
def hold_out(tmp_path, make_items):
    """Return a function that splits nine images, each there twice, and returns (all, training, held out)."""
    scenes = make_items("x", 9)
    items = [replace(item, id=f"{item.id}_{copy}") for item in scenes for copy in range(2)]
    write_manifest(tmp_path / "all.tsv", items)

    def split(number, seed):
        output = tmp_path / f"{number} {seed}"
        arguments = ["--labelled", str(tmp_path / "all.tsv"), "--output", str(output)]
        main([*arguments, "--number", str(number), "--seed", str(seed)])
        return items, *(read_manifest(output / f"{name}.tsv") for name in ("training", "held_out"))

    return split


def test_scenes_are_divided(hold_out):
    items, training, held_out = hold_out(3, 5)
    assert len(held_out) == 6
    assert {item.label for item in training}.isdisjoint({item.label for item in held_out})
    # Nothing is lost, and both keep the order.
    ids = [item.id for item in items]
    assert sorted([*training, *held_out], key=lambda item: ids.index(item.id)) == items
    assert training == [item for item in items if item in training]


def test_the_seed_decides(hold_out):
    draws = [{item.id for item in hold_out(3, seed)[2]} for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len({frozenset(draw) for draw in draws}) > 2


def test_something_is_left_to_train_on(hold_out):
    assert len(hold_out(8, 1)[1]) == 2
    with pytest.raises(InputError, match=r"found 9, but .*all\.tsv has labels of only 9 images;"):
        hold_out(9, 1)
