from pathlib import Path

from cotrain.data.manifests import Item, read_manifest, write_manifest
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
