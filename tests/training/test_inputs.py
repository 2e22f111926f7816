"""Beside what test_train.py shows of the files of a training: their order, and labels that have changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from cotrain.data.files import sha256_of
from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from cotrain.training.inputs import TrainingFiles, TrainingImages


def test_files_that_decide_what_is_learnt_have_a_fixed_order():
    a, b, target, weights, of_a, of_b = map(Path, ("a", "b", "t", "w", "sa", "sb"))
    thresholds = [Path("second"), Path("first")]
    files = TrainingFiles(
        source=[b, a],
        target=target,
        thresholds=thresholds,
        class_statistics=[of_b, of_a],
        decoded=[Path("index.tsv")],
        initial_weights=weights,
    )
    # Images that are kept decoded change nothing that is learnt.
    assert files.deciding() == [b, a, target, *thresholds, weights, of_b, of_a]
    assert TrainingFiles([a]).deciding() == [a]


def test_images_of_several_sources_keep_their_order(make_items, tmp_path):
    items = {name: make_items(name, number) for name, number in (("one", 2), ("two", 1), ("target", 3))}
    for name, of_set in items.items():
        write_manifest(tmp_path / f"{name}.tsv", of_set)
    files = TrainingFiles([tmp_path / "two.tsv", tmp_path / "one.tsv"], tmp_path / "target.tsv")
    images = files.read_images()
    assert [item.id for item in images.source] == ["two_0", "one_0", "one_1"]
    assert [item.id for item in images.target] == ["target_0", "target_1", "target_2"]
    everything = [*items["two"], *items["one"], *items["target"]]
    assert images.sizes_in_bytes() == [item.image.stat().st_size for item in everything]
    assert TrainingImages(images.source, None).sizes_in_bytes() == images.sizes_in_bytes()[:3]


def test_a_label_that_is_not_the_listed_one_is_refused(make_items, tmp_path):
    items = [replace(item, label_sha256=sha256_of(item.label)) for item in make_items("source", 2)]
    write_manifest(tmp_path / "source.tsv", items)
    files = TrainingFiles([tmp_path / "source.tsv"])
    assert len(files.read_images().source) == 2
    items[1].label.write_bytes(items[0].label.read_bytes())
    with pytest.raises(InputError, match=r"1\.png has changed since the manifest was written"):
        files.read_images()
