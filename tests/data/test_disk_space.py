from pathlib import Path

import pytest

from cotrain.configuration.run_plan import Storage
from cotrain.data.disk_space import bytes_of_run, check_disk, size_in_words
from cotrain.data.manifests import Item
from cotrain.errors import InputError

SOURCE = [Item("s", Path("s.png"), 100, 10)]
TARGET = [Item(name, Path(f"{name}.png"), 10, 10) for name in "abcd"]


def test_bytes_of_a_run():
    storage = Storage(translations=2, format="jpg", decoded_cache=True, pseudo_labelled=(2, 9))
    assert bytes_of_run(storage, SOURCE, TARGET) == {
        # 1 000 pixels, twice.
        "translated images": 800,
        # Of the source 1 000 pixels, of the steps 200 and 400, of the ensemble 400.
        "labels": 200,
        "predictions": 1760,
        "decoded images": 3 * (2000 + 400),
    }


def test_nothing_is_translated_or_decoded():
    storage = Storage(translations=0, format="png", decoded_cache=False, pseudo_labelled=())
    sizes = bytes_of_run(storage, SOURCE, TARGET)
    assert (sizes["translated images"], sizes["decoded images"]) == (0, 0)


def test_a_disk_with_room(tmp_path):
    check_disk({"labels": 1024}, tmp_path)
    with pytest.raises(InputError, match=r"the run needs about \d+\.0 GiB \(\d+\.0 GiB labels\)"):
        check_disk({"labels": 2**60, "predictions": 0}, tmp_path)


def test_sizes_in_words():
    assert [size_in_words(size) for size in (512, 3 * 2**20, 5 * 2**29)] == ["0.5 KiB", "3.0 MiB", "2.5 GiB"]
