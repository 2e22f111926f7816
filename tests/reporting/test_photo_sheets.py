import numpy as np
import pytest

from cotrain.reporting.photo_sheets import cell_width, changed_share, grey, notes_on_shares
from cotrain.reporting.pictures import GAP, MARGIN


def test_pages_of_few_and_many_columns_can_be_read():
    # Six columns fill 2400 pixels: 48 of margins, 5 gaps of 20.
    assert cell_width(6) == 375
    assert 2 * MARGIN + 6 * 375 + 5 * GAP == 2398
    assert (cell_width(2), cell_width(7), cell_width(20)) == (560, 318, 300)


def test_changed_share_counts_pixels_of_another_class():
    first = np.array([[0, 1, 1, 255]], np.uint8)
    assert changed_share(first, first) == 0
    assert changed_share(first, np.array([[0, 2, 0, 255]], np.uint8)) == pytest.approx(2 / 3)
    void = np.full((1, 4), 255, np.uint8)
    assert changed_share(void, void) == 0


def test_notes_tell_shares_with_the_first_and_the_last_model():
    pixels = np.array([[30, 10, 0], [5, 5, 5], [10, 10, 0]])
    assert notes_on_shares(pixels) == ["75.0 to 50.0 %", "25.0 to 50.0 %", "0.0 to 0.0 %"]
    assert notes_on_shares(pixels[:1]) == ["75.0 %", "25.0 %", "0.0 %"]
    assert notes_on_shares(0 * pixels[:1]) == ["0.0 %"] * 3


def test_grey_has_the_brightness_of_colours():
    # BT.601: 0.299 red, 0.587 green, 0.114 blue.
    assert grey(np.array([[[100, 0, 0], [0, 100, 0], [0, 0, 100]]], np.uint8)).tolist() == [
        [[30] * 3, [59] * 3, [11] * 3]
    ]
