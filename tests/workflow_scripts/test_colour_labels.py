import numpy as np
import pytest

from cotrain.data.images import read_image, write_grey, write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.reporting.pictures import overlay
from workflow_scripts.colour_labels import main

SPACE = label_space("camvid11")
LABEL = np.kron(np.array([[0, 3], [8, 255]], np.uint8), np.ones((50, 100), np.uint8)).astype(np.uint8)
IMAGE = np.full((100, 200, 3), 120, np.uint8)


@pytest.fixture
def files(tmp_path):
    write_label(tmp_path / "labels" / "a.png", LABEL, [])
    write_image(tmp_path / "images" / "a.png", IMAGE)
    return tmp_path


def colour(folder, *more):
    main(
        [
            *("--labels", str(folder / "labels"), "--label-space", "camvid11"),
            *("--output", str(folder / "out"), *more),
        ]
    )


def test_label_in_colour_with_its_legend(files):
    colour(files)
    page = read_image(files / "out" / "coloured" / "a.png")
    assert page.shape[1] == 200
    np.testing.assert_array_equal(page[:50, :100], np.broadcast_to(SPACE.palette[0], (50, 100, 3)))
    np.testing.assert_array_equal(page[50:100, :100], np.broadcast_to(SPACE.palette[8], (50, 100, 3)))
    assert (page[50:100, 100:] == 0).all()
    below = page[106:]
    for palette_colour in (*SPACE.palette, (0, 0, 0)):
        assert (below == np.array(palette_colour)).all(axis=2).any(), "the legend"
    assert not (files / "out" / "overlays").exists()


def test_overlay_on_the_image(files):
    colour(files, "--images", str(files / "images"), "--opacity", "0.25")
    page = read_image(files / "out" / "overlays" / "a.jpg").astype(int)
    expected = overlay(IMAGE, LABEL, SPACE.palette, 0.25)
    # JPEG moves grey levels, most at sharp edges.
    assert np.abs(page[:100] - expected).mean() < 3
    assert page.shape[0] > 100


def test_ids_of_a_dataset(files):
    colour(files)
    expected = read_image(files / "out" / "coloured" / "a.png")
    own = np.select([LABEL == 0, LABEL == 3, LABEL == 8], [23, 7, 26], 0).astype(np.uint8)
    write_grey(files / "labels" / "a.png", own)
    colour(files, "--classes", "cityscapes_ids")
    np.testing.assert_array_equal(read_image(files / "out" / "coloured" / "a.png"), expected)


def test_what_is_wrong_is_named(files, capsys):
    write_image(files / "images" / "a.png", IMAGE[:50])
    with pytest.raises(
        InputError, match=r"a\.png over .*a\.png: image \(50, 200\) and label \(100, 200\) differ"
    ):
        colour(files, "--images", str(files / "images"))
    with pytest.raises(SystemExit):
        colour(files, "--opacity", "1.5")
    assert "--opacity: found 1.5, expected a number from 0 to 1" in capsys.readouterr().err
