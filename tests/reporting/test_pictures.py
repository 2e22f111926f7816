import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.pictures import (
    GAP,
    MARGIN,
    SHARE_BAR_HEIGHT,
    WIDTH_OF_MAP,
    beside,
    chain_positions,
    colourise,
    column_titles,
    confusion_picture,
    contact_sheet,
    fitted,
    heading,
    heat_maps,
    legend,
    mean_iou_picture,
    overlay,
    resized,
    share_bar,
    shortened,
    stacked,
    with_legend,
)

PALETTE = ((200, 0, 0), (0, 100, 0))


def plain(height, width, colour):
    return np.full((height, width, 3), colour, np.uint8)


def colours(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_colourise():
    picture = colourise(np.array([[0, 1], [255, 0]], np.uint8), PALETTE)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[200, 0, 0], [0, 100, 0]], [[0, 0, 0], [200, 0, 0]]]


def test_overlay_mixes_by_opacity():
    image = plain(1, 3, 100)
    label = np.array([[0, 1, 255]], np.uint8)
    assert overlay(image, label, PALETTE).tolist() == [[[150, 50, 50], [50, 100, 50], [50, 50, 50]]]
    np.testing.assert_array_equal(overlay(image, label, PALETTE, 0), image)
    np.testing.assert_array_equal(overlay(image, label, PALETTE, 1), colourise(label, PALETTE))
    assert (image == 100).all()


def test_overlay_refuses_unlike_sizes():
    with pytest.raises(ValueError, match="differ in size"):
        overlay(plain(2, 3, 0), np.zeros((3, 2), np.uint8), PALETTE)


@pytest.mark.parametrize("width", [10, 90])
def test_resized_keeps_the_shape(width):
    picture = resized(plain(20, 30, 7), width)
    assert picture.shape == (round(width * 2 / 3), width, 3)
    assert picture.dtype == np.uint8
    assert (picture == 7).all()


def test_share_bar():
    bar = share_bar([0.25, 0.5], PALETTE, width=8)
    expected = [[200, 0, 0]] * 2 + [[0, 100, 0]] * 4 + [[0, 0, 0]] * 2
    assert bar.tolist() == [expected] * SHARE_BAR_HEIGHT


def test_stacked_and_beside_put_parts_on_white():
    parts = [plain(2, 3, 10), plain(1, 2, 20)]
    below = stacked(parts, gap=1)
    assert below.shape == (4, 3, 3)
    assert below[:, :, 0].tolist() == [[10, 10, 10], [10, 10, 10], [255, 255, 255], [20, 20, 255]]
    right = beside(parts)
    assert right[:, :, 0].tolist() == [[10, 10, 10, 20, 20], [10, 10, 10, 255, 255]]


def test_shortened_keeps_both_ends():
    assert shortened("short", 200) == "short"
    text = shortened("frankfurt_000001_" + 30 * "0" + "_left", 120)
    assert text.startswith("fran")
    assert text.endswith("left")
    assert "…" in text
    assert shortened("anything", 1) == "…"


def test_legend_shows_every_colour_at_any_width():
    classes = [f"class {number}" for number in range(19)]
    palette = [(10 * number, 5, 9) for number in range(19)]
    for width in (160, 400, 1300):
        strip = legend(classes, palette, width)
        assert strip.shape[1] == width
        assert set(palette) <= colours(strip)
    assert legend(classes, palette, 160).shape[0] > legend(classes, palette, 1300).shape[0]


def test_legend_writes_notes():
    classes, width = ["road", "sky"], 400
    without = legend(classes, PALETTE, width)
    with_notes = legend(classes, PALETTE, width, ["61.5 %", "3.0 %"])
    assert with_notes.shape[1] == width
    assert (with_notes < 255).any(axis=2).sum() > (without < 255).any(axis=2).sum()


def test_legend_of_narrow_and_of_large_pictures():
    names = ["traffic light", "road"]
    narrow = with_legend(plain(10, 20, 7), names, PALETTE)
    # It is as wide as the longest name needs: nothing is cut off, and the picture stays where it is.
    assert narrow.shape[1] > 20
    assert (narrow[:10, :20] == 7).all()
    assert (narrow[:, -MARGIN:] == 255).all()
    assert set(PALETTE) <= colours(narrow)
    large, usual = (with_legend(plain(10, width, 7), names, PALETTE) for width in (4000, 1000))
    patches = [(picture == PALETTE[0]).all(axis=2).sum() for picture in (large, usual)]
    # Letters of 4000 / 80 = 50 pixels in place of 13, and patches of 54 in place of 14, outline and all.
    assert patches[0] / patches[1] == pytest.approx((52 / 12) ** 2, rel=0.05)


def test_letters_of_other_scripts_are_drawn():
    def ink(text):
        return (heading(text, "", 400) < 255).any(axis=2)

    # Letters that a font does not have all look alike.
    assert (ink("Улица") != ink("ёЁжщё")).any()
    assert (ink("ü") != ink("ö")).any()
    for odd in ("街道", "😀", "שלום", "\ud800"):
        assert ink(odd).any()


def test_fitted_fits_into_a_square():
    upright, wide = fitted(plain(80, 40, 7), 100), fitted(plain(20, 40, 7), 100)
    assert upright.shape == (100, 100, 3)
    assert (upright[:, :50] == 7).all()
    assert (upright[:, 50:] == 255).all()
    assert wide.shape == (50, 100, 3)
    assert (wide == 7).all()


def test_column_titles_stand_over_the_columns_of_a_sheet():
    strip = column_titles(["photo", "a title that is much longer than its column is wide"], 60)
    page = contact_sheet([[plain(9, 60, 7), plain(9, 60, 7)]], [["", ""]])
    assert strip.shape[1] == page.shape[1]
    ink = (strip < 255).any(axis=(0, 2))
    assert ink[MARGIN : MARGIN + 60].any()
    assert not ink[MARGIN + 60 : MARGIN + 60 + GAP].any()
    assert not ink[MARGIN + 60 + GAP + 60 :].any()


def test_heading_fills_the_width():
    strip = heading("A title that is much too long for a strip as narrow as this one", "below", 200)
    assert strip.shape[1:] == (200, 3)
    assert (strip[:, -MARGIN:] == 255).all()


def test_contact_sheet_places_pictures_in_columns():
    first, second, third = plain(10, 40, (1, 2, 3)), plain(20, 30, (4, 5, 6)), plain(5, 60, (7, 8, 9))
    page = contact_sheet([[first, second], [third]], [["", ""], [""]])
    assert page.shape[1] == 2 * MARGIN + 60 + GAP + 30
    np.testing.assert_array_equal(page[:10, MARGIN : MARGIN + 40], first)
    left = MARGIN + 60 + GAP
    np.testing.assert_array_equal(page[:20, left : left + 30], second)
    # Without captions, the page shows only the three pictures.
    assert (page < 255).any(axis=2).sum() == 10 * 40 + 20 * 30 + 5 * 60
    assert colours(page) == {(1, 2, 3), (4, 5, 6), (7, 8, 9), (255, 255, 255)}


def test_contact_sheet_writes_captions_below():
    picture = plain(10, 200, (1, 2, 3))
    page = contact_sheet([[picture]], [["a caption"]])
    ink = (page < 255).any(axis=2)
    ink[:10] = False
    assert ink.any()
    assert ink[:, MARGIN + 200 :].sum() == 0


def test_contact_sheet_wants_a_caption_for_each_picture():
    with pytest.raises(ValueError, match="zip"):
        contact_sheet([[plain(2, 2, 0), plain(2, 2, 0)]], [["one"]])


def test_chain_positions():
    models = ["baseline", "upper_bound", "self_training/00", "self_training/01"]
    models += ["co_training/00/a", "co_training/00/b", "co_training/01/a", "co_training/01/b", "final"]
    assert chain_positions(models) == [0, -1, 1, 2, 3, 3, 4, 4, 5]


def scored(models):
    return [
        ModelScores(model, 0.3 + 0.02 * number, 0.5, 0.5, 0.5, {"road": 0.3})
        for number, model in enumerate(models)
    ]


@pytest.mark.parametrize(
    "models",
    [
        ["baseline"],
        ["upper_bound"],
        ["my own model", "another"],
        ["baseline", "self_training/00", "co_training/00/a", "co_training/00/b", "final", "upper_bound"],
    ],
)
def test_mean_iou_picture_of_any_part_of_the_chain(tmp_path, figures, models):
    path = tmp_path / "models.png"
    mean_iou_picture(path, scored(models))
    with Image.open(path) as picture:
        assert picture.width >= 1000
        assert len(np.unique(picture.convert("L"))) > 10
    [axes] = figures[0].axes
    assert axes.get_title("left") == "mIoU along the chain"
    assert axes.get_ylabel() == "mIoU (%)"
    # The score of each model is written: 30 %, 32 %, ...
    written = " ".join(text.get_text() for text in axes.texts)
    assert all(f"{30 + 2 * number:.1f}" in written for number in range(len(models)))


def test_mean_iou_picture_names_what_it_shows(tmp_path, figures):
    models = ["baseline", "self_training/00", "self_training/01", "co_training/00/a", "co_training/00/b"]
    models += ["co_training/01/a", "co_training/01/b", "final", "upper_bound"]
    mean_iou_picture(tmp_path / "models.png", scored(models))
    [axes] = figures[0].axes
    lines = {
        line.get_label(): [round(y, 6) for y in line.get_ydata()]
        for line in axes.lines
        if not line.get_label().startswith("_")
    }
    assert lines == {
        "self-training": [32, 34],
        "co-training, branch a": [36, 40],
        "co-training, branch b": [38, 42],
    }
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*lines]
    colours = [line.get_color() for line in axes.lines if line.get_label() in lines]
    assert len(set(colours)) == 3
    ticks = zip(axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()], strict=True)
    assert dict(ticks) == {0: "baseline", 1: "0", 2: "1", 3: "0", 4: "1", 5: "final"}
    written = [text.get_text() for text in axes.texts]
    # Of a line only the end has its number; that of branch b, which is higher, stands above that of a.
    assert sorted(written) == sorted(
        [
            *("30.0", "34.0", "40.0", "42.0", "44.0", "upper bound 46.0"),
            *("self-training round", "co-training cycle"),
        ]
    )
    heights = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert heights["42.0"].y0 > heights["40.0"].y1
    # The dashed lines of the baseline and of the upper bound go through all the picture.
    assert [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]] == [30, 46]


def test_pictures_show_what_they_are_given(tmp_path):
    rows = scored(["baseline", "final"])
    mean_iou_picture(tmp_path / "a.png", rows)
    mean_iou_picture(tmp_path / "same.png", rows)
    mean_iou_picture(tmp_path / "b.png", rows[::-1])
    pixels = [np.array(Image.open(tmp_path / f"{name}.png")) for name in ("a", "same", "b")]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert pixels[0].shape != pixels[2].shape or (pixels[0] != pixels[2]).any()


def test_confusion_picture_has_a_void_column_only_when_needed(tmp_path, figures):
    confusion = np.array([[90, 10, 0], [0, 0, 0]])
    confusion_picture(tmp_path / "without.png", confusion, ["road", "sky"])
    confusion[0, 2] = 25
    confusion_picture(tmp_path / "with.png", confusion, ["road", "sky"])
    names, cells = [], []
    for [axes] in (figure.axes for figure in figures):
        assert (axes.get_ylabel(), axes.get_xlabel()[:9]) == ("labelled", "predicted")
        assert [label.get_text() for label in axes.get_yticklabels()] == ["road", "sky"]
        names.append([label.get_text() for label in axes.get_xticklabels()])
        cells.append({text.get_position(): text.get_text() for text in axes.texts})
    assert names == [["road", "sky"], ["road", "sky", "void"]]
    # A row without a labelled pixel stays empty.
    assert cells == [{(0, 0): "90", (1, 0): "10"}, {(0, 0): "72", (1, 0): "8", (2, 0): "20"}]
    with Image.open(tmp_path / "without.png") as without, Image.open(tmp_path / "with.png") as void:
        assert void.width > without.width
        assert void.height == without.height


@pytest.mark.parametrize("longest", [1, 40])
@pytest.mark.parametrize("number", [1, 9])
def test_confusion_picture_has_room_for_its_names(tmp_path, figures, number, longest):
    names = [("traffic light " * 5)[:longest]] * number
    confusion_picture(tmp_path / "a.png", np.eye(number, number + 1, dtype=np.int64), names)
    [axes] = figures[0].axes
    # Cells stay large enough for their numbers: at least 0.35 of an inch.
    assert axes.get_window_extent().width / number >= 35


def test_confusion_picture_is_normalised_by_row(tmp_path):
    pixels = []
    for name, confusion in (
        ("few", [[9, 1, 0], [1, 0, 0]]),
        ("many", [[900, 100, 0], [7, 0, 0]]),
        ("mirrored", [[1, 9, 0], [1, 0, 0]]),
    ):
        confusion_picture(tmp_path / f"{name}.png", np.array(confusion), ["road", "sky"])
        pixels.append(np.array(Image.open(tmp_path / f"{name}.png")))
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert (pixels[0] != pixels[2]).any()


def test_matplotlib_is_not_loaded_until_a_plot_is_drawn():
    code = "import sys, cotrain.reporting.pictures; sys.exit(bool({'matplotlib', 'torch'} & {*sys.modules}))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_heat_maps_go_from_dark_to_yellow():
    maps = np.zeros((5, 10, 20), np.float32)
    maps[1] = 1.0
    page = heat_maps(maps, [f"class {number}" for number in range(5)])
    top, left = 30, 24 + 130
    dark, bright = page[top, left], page[top, left + WIDTH_OF_MAP + 20]
    assert bright.astype(int).sum() > dark.astype(int).sum() + 200
    assert bright[0] > 200, "yellow has red in it, so the channels are not exchanged"
    assert bright[2] < 100
