from pathlib import Path

import pytest

from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts import sample


def test_the_same_places_are_chosen_in_two_views(tmp_path):
    chosen = {}
    for view in "pq":
        items = [Item(f"{view}{number:02d}", Path(f"/{view}/{number}.png"), 6, 4) for number in range(40)]
        write_manifest(tmp_path / f"{view}.tsv", items)
        output = tmp_path / f"{view}_sample.tsv"
        flags = ["--number", "4", "--seed", "7", "--output", str(output)]
        sample.main(["--images", str(tmp_path / f"{view}.tsv"), *flags])
        chosen[view] = [item.id for item in read_manifest(output)]
        assert set(read_manifest(output)) <= set(items)
    assert [int(name[1:]) // 10 for name in chosen["p"]] == [0, 2, 1, 3]
    assert [name[1:] for name in chosen["p"]] == [name[1:] for name in chosen["q"]]


def test_named_images_come_first_in_both_views(tmp_path):
    for view in "pq":
        items = [Item(f"{view}{number}", Path(f"/{view}/{number}.png"), 6, 4) for number in range(9)]
        write_manifest(tmp_path / f"{view}.tsv", items)

    def chosen(view, number, *more):
        output = tmp_path / "sample.tsv"
        flags = ("--number", str(number), "--seed", "7", "--output", str(output))
        sample.main(["--images", str(tmp_path / f"{view}.tsv"), *flags, *more])
        return [int(item.id[1:]) for item in read_manifest(output)]

    usual = chosen("p", 3)
    names = ("--photos", "p8", "p/0.png")
    named = chosen("p", 3, *names)
    assert named == [8, 0, next(place for place in usual if place not in (8, 0))]
    assert chosen("p", 1, *names) == [8, 0]
    assert chosen("q", 3, "--paired-with", str(tmp_path / "p.tsv"), *names) == named
    with pytest.raises(InputError, match=r"report\.photos: 'q8' is none of the 9 images of .*p\.tsv"):
        chosen("q", 3, "--paired-with", str(tmp_path / "p.tsv"), "--photos", "q8")
    write_manifest(tmp_path / "q.tsv", items[:5])
    with pytest.raises(InputError, match=r"lists 5 images, .* 9; expected equally many"):
        chosen("q", 3, "--paired-with", str(tmp_path / "p.tsv"), *names)
