import re
from pathlib import Path

import pytest

from cotrain.data.manifests import Item
from cotrain.data.named_images import places_of
from cotrain.errors import InputError

# Ids as a list gives them: from what tells the paths apart.
FILES = {
    "day_0001": "/data/day/0001.jpg",
    "night_0001": "/data/night/0001.jpg",
    "0002.x": "/data/day/0002.png",
}
ITEMS = [Item(name, Path(path), 6, 4) for name, path in FILES.items()]


def places(*names):
    return places_of(names, ITEMS, Path("images.tsv"), "report.photos")


def test_images_are_named_by_id_file_or_path(monkeypatch):
    assert places("0002.png", "day_0001") == [2, 0]
    assert places("night/0001.jpg") == [1]
    assert places("./night//0001.jpg", "/data/day/0001.jpg") == [1, 0]
    monkeypatch.setattr("os.getcwd", lambda: "/data/night")
    assert places("../day/0001.jpg") == [0]
    assert places() == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0003.png"], "report.photos: '0003.png' is none of the 3 images of images.tsv (did you mean '000"),
        (["ght/0001.jpg"], "'ght/0001.jpg' is none of the 3 images"),
        (["/elsewhere/day/0001.jpg"], "'/elsewhere/day/0001.jpg' is none of the 3 images"),
        (["."], "'.' is none of the 3 images"),
        (
            ["0001.jpg"],
            "the name of 2 images of images.tsv, such as /data/day/0001.jpg and /data/night/0001.jpg",
        ),
        (["day_0001", "day/0001.jpg"], "'day_0001' and 'day/0001.jpg' are one image, expected each once"),
    ],
)
def test_names_that_mean_no_single_image(names, message):
    with pytest.raises(InputError, match=re.escape(message)):
        places(*names)
