from dataclasses import replace

import numpy as np
import pytest

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.data.images import read_image, write_image
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts.translate import main

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
    main([*arguments, "--output", str(output.parent), *more])
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
    items = run(
        arguments, tmp_path / "several" / "manifest.tsv", "--targets-per-image", "3", "--threads", "2"
    )
    assert [item.id for item in items[:4]] == ["source_0@1", "source_0@2", "source_0@3", "source_1@1"]
    assert len(items) == 15
    chosen = choose_target_images(5, 3, SEED, 3)
    expected = translate(read_image(source[4].image), *lab_statistics(read_image(target[chosen[4, 2]].image)))
    np.testing.assert_array_equal(read_image(items[14].image), expected)
    assert items[14].label == source[4].label


def test_number_of_threads_changes_nothing(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, _, _ = images
    for threads in ("1", "3"):
        run(arguments, tmp_path / threads / "manifest.tsv", "--threads", threads)
    # The journal's lines stand in the order of their end, and the list holds the folder's name.
    files = [
        path.relative_to(tmp_path / "1")
        for path in sorted((tmp_path / "1").rglob("*.*"))
        if path.suffix in (".png", ".tsv")
    ]
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "3" / file).read_bytes()


def test_a_failed_run_leaves_no_manifest(images, tmp_path):
    arguments, source, _ = images
    output = tmp_path / "translated" / "manifest.tsv"
    run(arguments, output)
    # Another seed, so that what is there is of no use.
    arguments[-1] = "101"
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
        run(images[0], tmp_path / "translated" / "manifest.tsv", "--targets-per-image", "4")


def test_lists_go_in_and_a_list_comes_out(images, tmp_path):
    _, source, target = images
    for name, items in (("source", source), ("target", target)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{item.image}\n" for item in items))
    lists = ["--source", str(tmp_path / "source.txt"), "--target", str(tmp_path / "target.txt")]
    main([*lists, "--seed", "100", "--output", str(tmp_path / "out")])
    listed = (tmp_path / "out" / "images.txt").read_text().splitlines()
    assert listed == [f"images/source_{number}.png" for number in range(5)]
    items = run(images[0], tmp_path / "from manifests" / "manifest.tsv")
    for path, item in zip(listed, items, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / "out" / path), read_image(item.image))


def test_jpeg_of_a_quality(images, tmp_path):
    sizes = []
    for quality in ("30", "95"):
        output = tmp_path / quality / "manifest.tsv"
        items = run(images[0], output, "--format", "jpg", "--jpeg-quality", quality)
        assert all(item.image.suffix == ".jpg" for item in items)
        assert all(item.image.read_bytes()[:2] == b"\xff\xd8" for item in items)
        sizes.append(sum(item.bytes for item in items))
    assert sizes[0] < sizes[1]
    # A file of another quality is no finished one; PNG has none.
    again = run(images[0], output, "--format", "jpg", "--jpeg-quality", "30")
    assert sum(item.bytes for item in again) == sizes[0]
    of_png = [
        run(images[0], output, "--format", "png", "--jpeg-quality", quality)[0].image.stat().st_mtime_ns
        for quality in ("30", "95")
    ]
    assert of_png[0] == of_png[1]
    with pytest.raises(InputError, match="--jpeg-quality: found 101, expected 1 to 100"):
        run(images[0], tmp_path / "x" / "manifest.tsv", "--jpeg-quality", "101")


def test_interrupted_run_makes_only_what_is_missing(images, tmp_path):
    arguments, _, _ = images
    output = tmp_path / "translated" / "manifest.tsv"
    items = run(arguments, output)
    before = {item.id: (item.image.read_bytes(), item.image.stat().st_mtime_ns) for item in items}
    # As after a kill: no manifest, one image missing, the journal's last line cut.
    output.unlink()
    items[1].image.unlink()
    journal = tmp_path / "translated" / "done.jsonl"
    journal.write_text(journal.read_text()[:-20])
    half = items[1].image.with_name(".source_1.99.partial.png")
    half.write_bytes(b"half")
    again = run(arguments, output)
    assert not half.exists()
    assert [item.image.read_bytes() for item in again] == [content for content, _ in before.values()]
    made_again = [item.id for item in again if item.image.stat().st_mtime_ns != before[item.id][1]]
    assert made_again == ["source_1", "source_4"]


def test_other_inputs_make_an_image_again(images, tmp_path):
    arguments, source, _ = images
    output = tmp_path / "translated" / "manifest.tsv"
    before = run(arguments, output)
    write_image(source[2].image, np.full((8, 9, 3), 7, np.uint8))
    changed = [replace(item, bytes=item.image.stat().st_size) for item in source]
    write_manifest(tmp_path / "source.tsv", changed)
    kept = before[0].image.stat().st_mtime_ns
    after = run(arguments, output)
    assert (read_image(after[2].image) == read_image(after[2].image)[0, 0]).all()
    # The others are new too, since their manifest says now how many bytes they have.
    assert after[0].image.stat().st_mtime_ns != kept
    kept = after[0].image.stat().st_mtime_ns
    assert run(arguments, output)[0].image.stat().st_mtime_ns == kept


@pytest.mark.parametrize(("per_image", "name"), [("1", "source_0"), ("2", "source_0@2")])
def test_a_photograph_is_never_written_over(images, tmp_path, per_image, name):
    _, _, target = images
    own = tmp_path / "out" / "images" / f"{name}.png"
    write_image(own, read_image(target[0].image))
    content = own.read_bytes()
    write_manifest(tmp_path / "target.tsv", [replace(target[0], image=own)])
    arguments = ["--source", str(tmp_path / "source.tsv"), "--target", str(tmp_path / "target.tsv")]
    with pytest.raises(InputError, match=rf"{name}\.png is also an input and would be overwritten"):
        main([*arguments, "--seed", "1", "--targets-per-image", per_image, "--output", str(tmp_path / "out")])
    assert own.read_bytes() == content
