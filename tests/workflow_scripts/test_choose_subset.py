import random

import pytest

from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts import choose_subset


@pytest.fixture
def run(tmp_path):
    names = [f"{n:02d}" for n in range(20)]
    write_manifest(tmp_path / "day.tsv", [Item(n, tmp_path / f"{n}.png", 4, 3) for n in names])
    # Image i of the night shows the scene of image i of the day, under a name that sorts the other way.
    night = [Item(f"night {n}", tmp_path / f"n{99 - int(n)}.png", 4, 3) for n in names]
    write_manifest(tmp_path / "night.tsv", night)

    def go(images, *more):
        arguments = ["--images", str(tmp_path / images), "--output", str(tmp_path / "subset.tsv"), *more]
        choose_subset.main(arguments)
        return [item.id for item in read_manifest(tmp_path / "subset.tsv")]

    return go


def test_the_published_draw(run, tmp_path):
    paths = [str(tmp_path / f"{n:02d}.png") for n in range(20)]
    drawn = random.Random(103).sample(paths, 5)
    assert run("day.tsv", "--number", "5", "--seed", "103") == [path[-6:-4] for path in drawn]


def test_all(run):
    assert len(run("day.tsv", "--number", "-1", "--seed", "1")) == 20


def test_of_no_image_nothing_is_chosen(run, tmp_path):
    write_manifest(tmp_path / "none.tsv", [])
    with pytest.raises(InputError, match=r"^--images: .*none\.tsv lists no image; expected images to choose"):
        run("none.tsv", "--number", "3", "--seed", "1")
    assert not (tmp_path / "subset.tsv").exists()


def test_every_fourth(run):
    firsts = set()
    for seed in range(12):
        chosen = [int(name) for name in run("day.tsv", "--number", "-1", "--every", "4", "--seed", str(seed))]
        assert chosen == list(range(chosen[0], 20, 4))
        firsts.add(chosen[0])
    # The first one depends on the seed.
    assert firsts == {0, 1, 2, 3}
    drawn = run("day.tsv", "--number", "2", "--every", "4", "--seed", "1")
    assert len(drawn) == 2
    assert (int(drawn[0]) - int(drawn[1])) % 4 == 0


def test_pairs_stay_together(run, tmp_path):
    day = run("day.tsv", "--number", "5", "--seed", "3")
    night = run("night.tsv", "--number", "5", "--seed", "3", "--paired-with", str(tmp_path / "day.tsv"))
    assert night == [f"night {name}" for name in day]
    assert run("night.tsv", "--number", "5", "--seed", "3") != night


def test_lists_of_different_length_are_refused(run, tmp_path):
    write_manifest(tmp_path / "day.tsv", [Item("x", tmp_path / "x.png", 4, 3)])
    with pytest.raises(InputError, match=r"night\.tsv lists 20 images, .*day\.tsv 1"):
        run("night.tsv", "--number", "5", "--seed", "3", "--paired-with", str(tmp_path / "day.tsv"))
