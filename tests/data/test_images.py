import cv2
import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import check_image, image_size, read_image, read_label, write_image, write_label
from cotrain.errors import InputError


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_comes_back_as_written(tmp_path, rgb):
    write_image(tmp_path / "a b.png", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a b.png"), rgb)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a b.png")), rgb)
    assert check_image(tmp_path / "a b.png") == image_size(tmp_path / "a b.png") == (30, 20)


def test_jpeg_keeps_the_order_of_channels_and_its_quality(tmp_path):
    red = np.full((16, 16, 3), (250, 10, 20), dtype=np.uint8)
    write_image(tmp_path / "red.jpg", red)
    assert np.abs(read_image(tmp_path / "red.jpg").astype(int) - red).max() <= 3
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_image(tmp_path / "fine.jpg", noise)
    write_image(tmp_path / "coarse.jpg", noise, jpeg_quality=20)
    assert (tmp_path / "coarse.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size / 2


def test_other_suffix_is_refused(tmp_path, rgb):
    with pytest.raises(ValueError, match=r"\.png or \.jpg"):
        write_image(tmp_path / "a.bmp", rgb)


def test_exif_orientation_turns_the_image_upright(tmp_path):
    lying = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "phone.jpg", exif=exif)
    assert image_size(tmp_path / "phone.jpg") == check_image(tmp_path / "phone.jpg") == (20, 30)
    assert read_image(tmp_path / "phone.jpg").shape == (30, 20, 3)


def test_label_is_an_eight_bit_palette_png_whose_indices_are_the_ids(tmp_path):
    label = np.array([[0, 1, 2], [2, 1, 255]], dtype=np.uint8)
    write_label(tmp_path / "label.png", label, [(10, 20, 30), (40, 50, 60), (70, 80, 90)])
    np.testing.assert_array_equal(read_label(tmp_path / "label.png"), label)
    image = Image.open(tmp_path / "label.png")
    assert image.mode == "P"
    colours = np.array(image.convert("RGB"))
    assert colours[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert colours[1, 2].tolist() == [0, 0, 0]
    assert (tmp_path / "label.png").read_bytes()[24:26] == bytes([8, 3]), "8 bit, palette"


def test_grey_label_is_read_as_it_is(tmp_path):
    label = np.array([[0, 7], [33, 255]], dtype=np.uint8)
    Image.fromarray(label).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_label(tmp_path / "grey.png"), label)


@pytest.mark.parametrize(
    ("mode", "found"), [("RGB", "3 channels"), ("RGBA", "4 channels"), ("I;16", "16 bit"), ("1", "1 bit")]
)
def test_label_of_more_than_one_channel_of_8_bit_is_refused(tmp_path, mode, found):
    Image.new(mode, (4, 4)).save(tmp_path / "label.png")
    with pytest.raises(
        InputError, match=rf"label\.png: has .*{found}.*, expected 1 channel of 8-bit class ids"
    ):
        read_label(tmp_path / "label.png")


@pytest.mark.parametrize("read", [read_image, read_label, image_size, check_image])
def test_missing_empty_and_foreign_files_are_named(tmp_path, read):
    with pytest.raises(InputError, match=r"nowhere\.png: cannot be read \(No such file"):
        read(tmp_path / "nowhere.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png: is empty \(0 bytes\)"):
        read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.png: is no image that can be decoded \(12 bytes\)"):
        read(tmp_path / "text.png")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_truncated_image_passes_the_header_but_not_the_check(tmp_path, rgb, suffix, kept):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    large = np.tile(rgb, (5, 5, 1))
    write_image(whole, large)
    content = whole.read_bytes()
    # Headers of a JPEG take 623 bytes.
    cut.write_bytes(content[: 700 + int((len(content) - 700) * kept)])
    assert image_size(cut) == (150, 100)
    with pytest.raises(InputError, match=r"cut\..*: cannot be decoded, perhaps it is truncated"):
        check_image(cut)


def test_truncated_label_is_refused(tmp_path):
    label = np.random.default_rng(3).integers(0, 19, (60, 60), dtype=np.uint8)
    write_label(tmp_path / "whole.png", label, [])
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.png: cannot be decoded, perhaps it is truncated"):
        read_label(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("mode", "suffix", "found"),
    [
        ("L", ".png", r"1 channel \(grey\)"),
        ("L", ".jpg", r"1 channel \(grey\)"),
        ("P", ".png", r"1 channel \(palette\)"),
        ("LA", ".png", r"2 channels \(grey, alpha\)"),
        ("RGBA", ".png", r"4 channels \(RGBA\)"),
        ("CMYK", ".jpg", r"4 channels \(CMYK\)"),
        ("I;16", ".png", r"1 channel \(16 bit\)"),
    ],
)
def test_image_without_three_channels_is_refused(tmp_path, mode, suffix, found):
    path = tmp_path / f"image{suffix}"
    Image.new(mode, (8, 6)).save(path)
    assert image_size(path) == (8, 6)
    with pytest.raises(
        InputError, match=rf"image\{suffix}: has {found}, expected 3 channels \(RGB\) of 8 bit"
    ):
        check_image(path)


def test_sixteen_bit_colour_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((6, 8, 3), np.uint16))
    with pytest.raises(InputError, match="has 3 channels of 16 bit, expected 3 channels"):
        check_image(tmp_path / "deep.png")


def test_format_that_is_checked_but_cannot_be_read_later_is_refused(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "image.tga")
    with pytest.raises(
        InputError, match=r"image\.tga: is in the format TGA, expected for instance PNG or JPEG"
    ):
        check_image(tmp_path / "image.tga")
