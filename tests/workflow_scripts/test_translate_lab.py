from dataclasses import replace

import numpy as np
import pytest

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.data.images import read_image, write_image
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts import translate_lab

SEED = 100


@pytest.fixture
def images(tmp_path):
    """Return the arguments for five source and three target images, and both lists of items."""
    rng = np.random.default_rng(1)
    arguments, sets = [], []
    for name, number in (("source", 5), ("target", 3)):
        items = []
        for index in range(number):
            path = tmp_path / name / f"{name}_{index}.png"
            write_image(path, rng.integers(0, 200, (6 + index, 9, 3)).astype(np.uint8) + np.uint8(10 * index))
            items.append(Item(id=path.stem, image=path, width=9, height=6 + index))
        if name == "source":
            items = [replace(item, label=item.image, label_sha256="ab" * 32) for item in items]
        write_manifest(tmp_path / f"{name}.tsv", items)
        arguments += [f"--{name}", str(tmp_path / f"{name}.tsv")]
        sets.append(items)
    return [*arguments, "--seed", str(SEED)], *sets


def run(arguments, output, *more):
    translate_lab.main([*arguments, "--output", str(output), *more])
    return read_manifest(output)


def test_every_source_image_moves_towards_its_target_image(images, tmp_path, monkeypatch):
    # Files under the working folder are stored relative to the manifest, so that results can be moved.
    monkeypatch.chdir(tmp_path)
    arguments, source, target = images
    output = tmp_path / "translated" / "manifest.tsv"
    items = run(arguments, output)
    chosen = choose_target_images(5, 3, SEED)[:, 0]
    assert [item.id for item in items] == [item.id for item in source]
    for item, original, index in zip(items, source, chosen, strict=True):
        expected = translate(read_image(original.image), *lab_statistics(read_image(target[index].image)))
        np.testing.assert_array_equal(read_image(item.image), expected)
        path = tmp_path / "translated" / "images" / f"{original.id}.png"
        assert item == replace(original, image=path, bytes=path.stat().st_size)
    assert "\timages/source_0.png\t" in output.read_text()


def test_several_translations_of_each_image(images, tmp_path):
    arguments, source, target = images
    items = run(arguments, tmp_path / "several" / "manifest.tsv", "--per-image", "3", "--workers", "2")
    assert [item.id for item in items[:4]] == ["source_0@1", "source_0@2", "source_0@3", "source_1@1"]
    assert len(items) == 15
    chosen = choose_target_images(5, 3, SEED, 3)
    expected = translate(read_image(source[4].image), *lab_statistics(read_image(target[chosen[4, 2]].image)))
    np.testing.assert_array_equal(read_image(items[14].image), expected)
    assert items[14].label == source[4].label


def test_number_of_workers_changes_nothing(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, _, _ = images
    for workers in ("1", "3"):
        run(arguments, tmp_path / workers / "manifest.tsv", "--workers", workers)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*"))
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "3" / file).read_bytes()


def test_a_failed_run_leaves_no_manifest(images, tmp_path):
    arguments, source, _ = images
    output = tmp_path / "translated" / "manifest.tsv"
    run(arguments, output)
    source[3].image.unlink()
    with pytest.raises(InputError, match=r"source_3\.png"):
        run(arguments, output)
    assert not output.exists()


@pytest.mark.parametrize("name", ["source", "target"])
def test_empty_manifest(images, tmp_path, name):
    arguments, _, _ = images
    write_manifest(tmp_path / f"{name}.tsv", [])
    with pytest.raises(InputError, match=rf"{name}\.tsv: lists no image"):
        run(arguments, tmp_path / "translated" / "manifest.tsv")


def test_more_translations_than_target_images(images, tmp_path):
    with pytest.raises(InputError, match="targets_per_image"):
        run(images[0], tmp_path / "translated" / "manifest.tsv", "--per-image", "4")
