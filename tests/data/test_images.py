import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cotrain.data.class_tables import ClassTable, class_table
from cotrain.data.images import (
    check_header,
    check_image,
    check_label_header,
    image_size,
    label_palette,
    nearest,
    read_image,
    read_label,
    read_own_ids,
    write_image,
    write_label,
)
from cotrain.errors import InputError
from cotrain.training.augmentation import Window, cut_label


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_is_read_as_written(tmp_path, rgb):
    write_image(tmp_path / "a b.png", rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a b.png"), rgb)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a b.png")), rgb)
    assert image_size(tmp_path / "a b.png") == (30, 20)
    assert check_image(tmp_path / "a b.png") == (30, 20, False)


def test_jpeg_keeps_the_order_of_channels_and_its_quality(tmp_path):
    red = np.full((16, 16, 3), (250, 10, 20), dtype=np.uint8)
    write_image(tmp_path / "red.jpg", red)
    assert np.abs(read_image(tmp_path / "red.jpg").astype(int) - red).max() <= 3
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_image(tmp_path / "fine.jpg", noise)
    write_image(tmp_path / "coarse.jpg", noise, jpeg_quality=20)
    assert (tmp_path / "coarse.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size / 2


def test_other_suffix_is_refused(tmp_path, rgb):
    with pytest.raises(ValueError, match=r"found the suffix '\.bmp', expected \.png or \.jpg"):
        write_image(tmp_path / "a.bmp", rgb)


def test_exif_orientation_turns_the_image_upright(tmp_path):
    lying = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "phone.jpg", exif=exif)
    assert image_size(tmp_path / "phone.jpg") == (20, 30)
    assert check_image(tmp_path / "phone.jpg") == (20, 30, True)
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


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_label_of_less_than_8_bit_is_refused(tmp_path, bits):
    # Decoders stretch its ids to 0-255: id 1 of a 4-bit file would become 17, a pole in Cityscapes.
    path = tmp_path / "label.png"
    write_label(path, np.arange(1 << bits, dtype=np.uint8)[None], [(1, 2, 3)])
    Image.open(path).save(path, bits=bits)
    np.testing.assert_array_equal(read_label(path), np.arange(1 << bits)[None])
    palette = path.read_bytes()
    grey = palette[:25] + b"\0" + palette[26:29]
    header = grey + zlib.crc32(grey[12:]).to_bytes(4, "big")
    path.write_bytes(header + palette[palette.index(b"IDAT") - 4 :])
    for read in (read_own_ids, check_label_header):
        with pytest.raises(InputError, match="has 1 channel of less than 8 bit, expected"):
            read(path, ClassTable("own", {0: "road"}))


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
        InputError, match=r"image\.tga: has the format TGA, which cannot be read; convert it to PNG or JPEG"
    ):
        check_image(tmp_path / "image.tga")


SYNTHIA = class_table("synthia")
CAMVID_COLOURS = class_table("camvid_colours")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_ids_in_the_first_of_three_channels(tmp_path, depth):
    # OpenCV writes blue, green, red; the second channel of SYNTHIA is the instance.
    pixels = np.zeros((2, 3, 3), depth)
    pixels[..., 2] = [[1, 2, 3], [22, 0, 15]]
    pixels[..., 1] = 250
    cv2.imwrite(str(tmp_path / "label.png"), pixels)
    assert read_own_ids(tmp_path / "label.png", SYNTHIA).tolist() == [[1, 2, 3], [22, 0, 15]]
    assert check_label_header(tmp_path / "label.png", SYNTHIA) == (3, 2)


def test_id_beyond_8_bit_in_the_first_channel_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "label.png"), np.full((2, 3, 3), 300, np.uint16))
    with pytest.raises(InputError, match="holds 300 in its first channel"):
        read_own_ids(tmp_path / "label.png", SYNTHIA)


def test_grey_label_is_refused_where_three_channels_are_expected(tmp_path):
    write_label(tmp_path / "label.png", np.zeros((2, 3), np.uint8), [])
    with pytest.raises(
        InputError, match=r"has 1 channel .*, expected 3 channels with class ids in the first"
    ):
        read_own_ids(tmp_path / "label.png", SYNTHIA)
    with pytest.raises(InputError, match="expected the encoding 'red_channel'"):
        check_label_header(tmp_path / "label.png", SYNTHIA)


def test_classes_by_colour(tmp_path):
    colours = np.array(CAMVID_COLOURS.colours, np.uint8)
    ids = np.random.default_rng(3).integers(0, len(colours), (20, 30))
    write_image(tmp_path / "label.png", colours[ids])
    np.testing.assert_array_equal(read_own_ids(tmp_path / "label.png", CAMVID_COLOURS), ids)


def test_unknown_colour_is_named(tmp_path):
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[0, :2] = [1, 2, 3]
    write_image(tmp_path / "label.png", rgb)
    with pytest.raises(InputError, match=r"2 pixels have colours that .* lacks, the first is \[1, 2, 3\]"):
        read_own_ids(tmp_path / "label.png", CAMVID_COLOURS)


def test_ids_are_refused_where_colours_are_expected(tmp_path):
    Image.new("L", (3, 2)).save(tmp_path / "label.png")
    with pytest.raises(InputError, match="expected 3 channels of 8-bit class colours"):
        read_own_ids(tmp_path / "label.png", CAMVID_COLOURS)


def test_colours_of_16_bit_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "label.png"), np.zeros((2, 3, 3), np.uint16))
    for read in (read_own_ids, check_label_header):
        with pytest.raises(InputError, match="has 3 channels of 16 bit, expected"):
            read(tmp_path / "label.png", CAMVID_COLOURS)


@pytest.mark.parametrize(
    ("mode", "description"),
    [("RGB", r"3 channels \(RGB\)"), ("I;16", r"1 channel \(16 bit\)")],
)
def test_labels_of_another_encoding_are_refused_where_ids_are_expected(tmp_path, mode, description):
    Image.new(mode, (3, 2)).save(tmp_path / "label.png")
    table = ClassTable("own", {0: "road"})
    for read in (read_own_ids, check_label_header):
        with pytest.raises(InputError, match=f"has {description}, expected"):
            read(tmp_path / "label.png", table)


@pytest.mark.parametrize(
    ("mode", "suffix", "description"),
    [("RGBA", "png", "RGBA"), ("CMYK", "jpg", "CMYK"), ("L", "png", "grey")],
)
def test_images_of_other_channels_are_refused_by_their_header(tmp_path, mode, suffix, description):
    path = tmp_path / f"image.{suffix}"
    Image.new(mode, (3, 2)).save(path)
    with pytest.raises(InputError, match=rf"has .*{description}.*, expected 3 channels"):
        check_header(path)


def test_palette_of_a_label(tmp_path):
    write_label(tmp_path / "label.png", np.zeros((2, 3), np.uint8), [(1, 2, 3), (4, 5, 6)])
    palette = label_palette(tmp_path / "label.png")
    assert (palette[:3], len(palette)) == ([(1, 2, 3), (4, 5, 6), (0, 0, 0)], 256)
    Image.new("L", (3, 2)).save(tmp_path / "grey.png")
    assert label_palette(tmp_path / "grey.png") == []


def test_the_nearest_pixel_is_that_at_the_centre():
    # Eight rows become three: their centres are 1.33, 4 and 6.67. Corners would be at 0, 2.67 and 5.33.
    rows = np.repeat(np.arange(8, dtype=np.uint8)[:, None], 2, axis=1)
    assert nearest(rows, 3, 2).tolist() == [[1, 1], [4, 4], [6, 6]]
    assert nearest(rows.T.copy(), 2, 3).tolist() == [[1, 4, 6], [1, 4, 6]]


@pytest.mark.parametrize("size", [(5, 7), (17, 9), (3, 40)])
def test_labels_are_resized_by_the_rule_of_training_crops(size):
    label = np.random.default_rng(1).integers(0, 19, (11, 13), dtype=np.uint8)
    whole = Window(size, 0, 0, size)
    np.testing.assert_array_equal(nearest(label, *size), cut_label(label, whole))
