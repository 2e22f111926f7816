import numpy as np
import pytest
from PIL import Image

from cotrain.data.masks import EgoVehicleMask
from cotrain.errors import InputError


@pytest.fixture
def bonnet(tmp_path):
    """Return the path of a mask (6, 8) that marks its two lowest rows as the own vehicle."""
    mask = np.zeros((6, 8), np.uint8)
    mask[4:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_without_a_file_nothing_is_masked():
    assert EgoVehicleMask(None).of_size(6, 8) is None


@pytest.mark.parametrize(("height", "width"), [(6, 8), (12, 16), (3, 4), (18, 8), (6, 2)])
def test_masks_of_other_sizes(bonnet, height, width):
    mask = EgoVehicleMask(bonnet).of_size(height, width)
    expected = np.zeros((height, width), bool)
    expected[2 * height // 3 :] = True
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)


def test_masks_are_resized_by_the_centres_of_pixels(tmp_path):
    mask = np.zeros((8, 4), np.uint8)
    mask[6:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    # The centre of the third of three rows lies in row 6; its corner lies in row 5.
    assert EgoVehicleMask(tmp_path / "mask.png").of_size(3, 1).tolist() == [[False], [False], [True]]


@pytest.mark.parametrize("mode", ["RGB", "1", "P", "RGBA"])
def test_any_colour_but_black_is_masked(bonnet, tmp_path, mode):
    Image.open(bonnet).convert(mode).save(tmp_path / "other.png")
    np.testing.assert_array_equal(
        EgoVehicleMask(tmp_path / "other.png").of_size(6, 8), EgoVehicleMask(bonnet).of_size(6, 8)
    )


def test_a_dark_blue_is_not_black(tmp_path):
    mask = np.zeros((4, 4, 3), np.uint8)
    mask[3, :, 2] = 3
    Image.fromarray(mask).save(tmp_path / "blue.png")
    assert EgoVehicleMask(tmp_path / "blue.png").of_size(4, 4).sum() == 4


def test_bad_masks_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"ego_vehicle_mask: .*gone\.png: cannot be read"):
        EgoVehicleMask(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"ego_vehicle_mask: .*text\.png: is no image"):
        EgoVehicleMask(tmp_path / "text.png")
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(tmp_path / "all.png")
    with pytest.raises(InputError, match="marks every pixel"):
        EgoVehicleMask(tmp_path / "all.png")
    # All pixels are black; only those of the own vehicle are opaque.
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[3, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    with pytest.raises(InputError, match=r"marks no pixel: all are black \(transparency does not count\)"):
        EgoVehicleMask(tmp_path / "alpha.png")
