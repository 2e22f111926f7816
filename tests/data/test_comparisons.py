from dataclasses import replace

import pytest

from cotrain.data.comparisons import CheckedDataset, notes_on_datasets, shared_images
from cotrain.data.manifests import Item
from cotrain.errors import InputError


@pytest.fixture
def make(tmp_path):
    """Return a function that writes files with these contents and lists them."""

    def make(name, *contents):
        (tmp_path / name).mkdir()
        items = []
        for number, content in enumerate(contents):
            path = tmp_path / name / f"{number}.png"
            path.write_text(content)
            items.append(Item(f"{name}{number}", path, 4, 4, bytes=len(content)))
        return items

    return make


def dataset(name, items=(), **pixels):
    classes = {key: {"pixels": number, "share": 0.0, "images": 1} for key, number in pixels.items()}
    report = {"images": 20, "sizes": {}, "turned": [], "warnings": []}
    return CheckedDataset(name, items, report | ({"classes": classes} if classes else {}))


def test_shared_images_are_the_same_file_or_the_same_bytes(make, tmp_path):
    first, second = make("a", "one", "two", "three", "six"), make("b", "owt", "two", "four!")
    (tmp_path / "link.png").symlink_to(first[3].image)
    second.append(Item("link", tmp_path / "link.png", 4, 4))
    assert shared_images(first, second) == [(first[1], second[1]), (first[3], second[3])]
    # Where the manifest does not say how large a file is, the file is asked.
    unknown = [replace(item, bytes=None) for item in second]
    assert shared_images(first, unknown) == [(first[1], unknown[1]), (first[3], unknown[3])]
    assert shared_images(first, []) == []


def test_a_file_that_is_gone_is_named(make, tmp_path):
    gone = Item("gone", tmp_path / "gone.png", 4, 4)
    with pytest.raises(InputError, match=r"gone\.png: image cannot be read \(No such file"):
        shared_images([gone], make("a", "one"))


def test_test_images_that_the_run_learns_from_or_adapts_to(make, tmp_path):
    test = dataset("exam", make("t", "one", "two", "three"))
    camera, game = dataset("camera", make("c", "three", "two", "four")), dataset("game", make("g", "one"))
    assert notes_on_datasets([game], [camera], test) == [
        f"1 of the 3 test images of exam is also in game; the first is {tmp_path}/t/0.png, there "
        f"{tmp_path}/g/0.png. Models learn these images with their labels, so their scores are too high for "
        "new images.",
        f"2 of the 3 test images of exam are also in camera; the first is {tmp_path}/t/1.png, there "
        f"{tmp_path}/c/1.png. Models adapt to these images, so their scores may be too high for new images.",
    ]
    (*_, note) = notes_on_datasets([game], [camera], test, upper_bound=replace(camera, items=()))
    assert note.endswith("The upper bound even learns their labels.")
    (same,) = notes_on_datasets([], [test], test)
    assert same.startswith(
        f"3 of the 3 test images of exam are also in exam; the first is {tmp_path}/t/0.png. Models adapt"
    )
    assert notes_on_datasets([game], [camera], None) == []


def test_classes_that_one_side_lacks():
    sources = [dataset("game", road=5, sky=0, car=3, bus=0), dataset("town", road=5, sky=0, car=0, bus=0)]
    test = dataset("exam", road=9, sky=4, car=0, bus=0)
    assert notes_on_datasets(sources, [], test) == [
        "game and town: no pixel of sky, unlike exam. Without a source that shows a class it can never be "
        "learnt: its IoU will be 0",
        "exam: no pixel of car, unlike game and town. The IoU of such a class is 0 as soon as a model "
        "predicts it anywhere",
    ]
    assert notes_on_datasets(sources, [], test, whole_source=False) == []
    assert notes_on_datasets([*sources, dataset("unread")], [], test) == []
    # Nothing to score on: still no model can learn what no source shows.
    unlearnable = (
        "game and town: no pixel of sky and bus. No model of this run can learn a class that no source shows"
    )
    assert notes_on_datasets(sources, [], dataset("exam")) == [unlearnable]
    assert notes_on_datasets(sources, [], None) == [unlearnable]
    assert notes_on_datasets(sources, [], None, whole_source=False) == []
    assert notes_on_datasets([dataset("game", road=5, sky=1)], [], None) == []


def test_shares_are_compared_where_the_run_reads_labels():
    game = dataset("game", chair=1000, table=199_000)
    exam = dataset("exam", chair=50_000, table=50_000)
    note = (
        "exam: shares of pixels very unlike those of game: chair (50 %, there 0.5 %). Is the class table of "
    )
    note += "each the right one? `snakemake contact_sheets`, with the configuration of this run, shows them"
    assert notes_on_datasets([game], [], exam) == [note]
    assert notes_on_datasets([game], [], game, replace(exam, name="camera")) == [
        note.replace("exam", "camera")
    ]
    assert notes_on_datasets([game], [], game, dataset("camera")) == []
