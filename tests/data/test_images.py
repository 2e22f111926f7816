import contextlib
import re
import resource
import struct
import tracemalloc
import zlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from cotrain.data.class_tables import ClassTable, class_table
from cotrain.data.images import (
    ImageFacts,
    check_image,
    check_label_header,
    image_facts,
    image_size,
    is_picture,
    label_palette,
    label_size,
    nearest,
    read_image,
    read_label,
    read_marked,
    read_own_ids,
    write_image,
    write_label,
)
from cotrain.data.masks import EgoVehicleMask
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
    assert check_image(tmp_path / "a b.png") == ImageFacts(30, 20, turned=False, converted="")


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


# How the camera stored a picture that orientation N turns upright: written out, not taken from the code.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: np.rot90,  # anticlockwise: it has to be turned clockwise
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def with_late_exif(content):
    """The file of a PNG with its EXIF chunk moved behind the pixels, where ImageMagick writes it."""
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    return content[:at] + content[end:-12] + content[at:end] + content[-12:]


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["jpg", "png", "late.png", "webp", "tiff", "avif", "webp.jpg", "avif.png"])
def test_every_orientation_of_every_format(tmp_path, name, orientation):
    # Blocks of 16 pixels keep their colour when they are compressed; no two are equal.
    blocks = np.random.default_rng(5).permutation(np.arange(20, 240, 11)).astype(np.uint8)
    upright = np.kron(blocks[:6].reshape(2, 3, 1), np.ones((16, 16, 1), np.uint8))
    upright = np.concatenate([upright, 255 - upright, np.roll(upright, 16, 1)], axis=2)
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"phone.{name}"
    kind, options = {
        "jpg": ("JPEG", {"quality": 100, "subsampling": 0}),
        "png": ("PNG", {}),
        "late.png": ("PNG", {}),
        "webp": ("WEBP", {"lossless": True}),
        "tiff": ("TIFF", {}),
        "avif": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        "webp.jpg": ("WEBP", {"lossless": True}),
        "avif.png": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    }[name]
    picture.save(path, format=kind, exif=exif, **options)
    if name == "late.png":
        path.write_bytes(with_late_exif(path.read_bytes()))
    facts = ImageFacts(48, 32, turned=orientation > 1, converted="")
    assert image_size(path) == (48, 32)
    assert image_facts(path) == check_image(path) == facts
    found = read_image(path).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= (3 if kind in ("JPEG", "AVIF") else 0)


def chunk(kind, content):
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


@pytest.mark.parametrize("lengths", [[10], [0, 7], [5, 5, 5, 9, 5, 5], [8] * 5000])
@pytest.mark.parametrize("behind", [0, 300_000])
def test_exif_behind_the_pixels_is_found_wherever_it_is(tmp_path, rgb, lengths, behind):
    """Behind pixels in parts of any lengths, and before as much else as there may be."""
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "a.png", rgb)
    content = (tmp_path / "a.png").read_bytes()
    parts = [
        (content[start + 4 : start + 8], content[start + 8 : end - 4]) for start, end in part_places(content)
    ]
    pixels = b"".join(data for kind, data in parts if kind == b"IDAT")
    cut = [0]
    for length in lengths:
        cut.append(min(cut[-1] + length, len(pixels)))
    pieces = [pixels[start:end] for start, end in pairwise([*cut, len(pixels)])]
    # The last letters of the pixels look like EXIF, and a text behind it holds all of one.
    false = chunk(b"eXIf", b"no")[:-4] + bytes(4)
    (tmp_path / "a.png").write_bytes(
        content[:8]
        + b"".join(chunk(kind, data) for kind, data in parts if kind == b"IHDR")
        + b"".join(chunk(b"IDAT", piece) for piece in pieces)
        + false
        + chunk(b"eXIf", exif.tobytes()[6:])
        + chunk(b"tEXt", b"Comment\0" + bytes(range(32, 96)) * (behind // 64) + b"eXIf")
        + chunk(b"IEND", b"")
    )
    assert image_size(tmp_path / "a.png") == (20, 30)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(rgb, -1))


def part_places(content):
    """Where each part of a PNG begins and ends."""
    at = 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        yield at, end
        at = end


@pytest.mark.parametrize("orientation", STORED)
def test_a_tiff_whose_orientation_only_its_xmp_data_has(tmp_path, orientation):
    upright = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    picture.save(tmp_path / "a.tif", tiffinfo={700: xmp})
    facts = ImageFacts(30, 20, turned=orientation > 1, converted="")
    assert image_facts(tmp_path / "a.tif") == check_image(tmp_path / "a.tif") == facts
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), upright)


def test_of_an_animation_the_picture_that_is_checked_is_read(tmp_path, rgb):
    """OpenCV would decode all its pictures: another one first, and a damaged one ends the process."""
    still, moving = Image.fromarray(rgb), [Image.fromarray(255 - rgb)]
    still.save(tmp_path / "a.png", save_all=True, append_images=moving, default_image=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb)
    content = bytearray((tmp_path / "a.png").read_bytes())
    at = content.index(b"fdAT")
    end = at + 4 + int.from_bytes(content[at - 4 : at], "big")
    content[at + 8 : at + 40] = bytes(32)
    content[end : end + 4] = zlib.crc32(content[at:end]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb)


def test_pixels_whose_checksum_is_wrong_are_damaged(tmp_path):
    """Zeros in the middle of stored pixels can be decoded: only the checksum tells."""
    noise = np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", compress_level=0)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[5000:5100] = bytes(100)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: cannot be decoded, perhaps it is truncated or damaged"):
        check_image(tmp_path / "a.png")


def test_a_bmp_is_read_and_has_no_orientation(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), rgb)
    assert check_image(tmp_path / "a.bmp") == ImageFacts(30, 20, turned=False, converted="")


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path, rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), rgb)
    assert not check_image(tmp_path / "a.png").turned


@pytest.mark.parametrize("options", [{"quality": 60}, {"quality": 95, "progressive": True}])
def test_both_decoders_give_the_same_pixels_of_a_jpeg(tmp_path, options):
    noise = np.random.default_rng(1).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.array(Image.open(tmp_path / "a.jpg")))


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


LABEL_READERS = {
    "read_label": read_label,
    "check_label_header": lambda path: check_label_header(path, class_table("cityscapes_ids")),
    "label_size": label_size,
    "ids": lambda path: read_own_ids(path, class_table("cityscapes_ids")),
    "red_channel": lambda path: read_own_ids(path, ClassTable("t", {3: "road"}, encoding="red_channel")),
    "colours": lambda path: read_own_ids(
        path, ClassTable("t", {0: "road"}, encoding="colours", colours=[(3, 3, 3)])
    ),
    "mask": EgoVehicleMask,
}
# Of a label of one channel or of three, as the reader expects it.
CHANNELS = {name: 3 if name in ("red_channel", "colours") else 1 for name in LABEL_READERS}


def label_of(reader):
    """Regions of two ids with an edge between blocks of a JPEG, as the reader expects it."""
    label = np.full((32, 48), 3, np.uint8)
    label[:, 20:] = 0 if reader == "mask" else 3
    return np.repeat(label[..., None], 3, axis=2) if CHANNELS[reader] == 3 else label


@pytest.mark.parametrize("reader", LABEL_READERS)
@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("a.jpg", {}, "a file of the format JPEG"),
        # The content counts.
        ("a.png", {"format": "JPEG", "quality": 100}, "a file of the format JPEG"),
        ("a.webp", {}, "a file of the format WEBP"),
        ("a.avif", {}, "a file of the format AVIF"),
        ("a.jp2", {}, "a file of the format JPEG2000"),
        ("a.tif", {"compression": "jpeg"}, "a TIFF with lossy compression"),
    ],
)
def test_formats_that_change_ids_are_refused_as_labels_and_masks(tmp_path, reader, name, options, found):
    Image.fromarray(label_of(reader)).save(tmp_path / name, **options)
    with pytest.raises(InputError, match=rf"{re.escape(name)}: is {found}, which changes class ids near"):
        LABEL_READERS[reader](tmp_path / name)


@pytest.mark.parametrize("reader", LABEL_READERS)
@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif", "lzw.tif", "deflate.tif"])
def test_formats_that_keep_every_pixel_are_read_as_labels(tmp_path, reader, name):
    compression = {
        "lzw.tif": {"compression": "tiff_lzw"},
        "deflate.tif": {"compression": "tiff_adobe_deflate"},
    }
    label = label_of(reader)
    Image.fromarray(label).save(tmp_path / name, **compression.get(name, {}))
    found = LABEL_READERS[reader](tmp_path / name)
    if reader in ("check_label_header", "label_size"):
        assert found == (48, 32)
    elif isinstance(found, np.ndarray):
        assert (found == (0 if reader == "colours" else 3)).all()


@pytest.mark.parametrize("reader", LABEL_READERS)
@pytest.mark.parametrize("name", ["a.png", "late.png", "a.tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_label_that_exif_would_turn_is_refused(tmp_path, reader, name, orientation):
    """Pillow turns a TIFF and not a PNG: neither may lie otherwise than its image without a word."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(label_of(reader)).save(tmp_path / name, exif=exif)
    if name == "late.png":
        (tmp_path / name).write_bytes(with_late_exif((tmp_path / name).read_bytes()))
    if orientation == 1:
        LABEL_READERS[reader](tmp_path / name)
        return
    message = rf"{re.escape(name)}: its EXIF orientation is {orientation}, expected none: .* without the tag"
    with pytest.raises(InputError, match=message):
        LABEL_READERS[reader](tmp_path / name)


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
    with pytest.raises(InputError, match="is a folder, expected a file"):
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


def converted(path):
    """The pixels of an image and what is said of its conversion, by header and by check."""
    facts = image_facts(path)
    assert (facts.width, facts.height, facts.turned) == (2, 1, False)
    return read_image(path).tolist(), facts.converted


@pytest.mark.parametrize(
    ("mode", "name", "stored", "pixels", "told"),
    [
        ("L", "a.png", [7, 200], [[7] * 3, [200] * 3], "1 channel (grey): grey is repeated"),
        ("L", "a.pgm", [7, 200], [[7] * 3, [200] * 3], "1 channel (grey): grey is repeated"),
        ("1", "a.png", [0, 255], [[0] * 3, [255] * 3], "1 bit per pixel: grey is repeated"),
        (
            "LA",
            "a.png",
            [(7, 0), (200, 9)],
            [[7] * 3, [200] * 3],
            "2 channels (grey, alpha): alpha is dropped",
        ),
        (
            "RGBA",
            "a.png",
            [(1, 2, 3, 0), (4, 5, 6, 9)],
            [[1, 2, 3], [4, 5, 6]],
            "4 channels (RGBA): alpha is",
        ),
        ("RGBA", "a.webp", [(1, 2, 3, 9)] * 2, [[1, 2, 3]] * 2, "4 channels (RGBA): alpha is dropped"),
        ("I;16", "a.png", [511, 65535], [[1] * 3, [255] * 3], "1 channel (16 bit): the upper 8 bits are rep"),
        ("I;16", "a.tif", [511, 65535], [[1] * 3, [255] * 3], "1 channel (16 bit): the upper 8 bits are rep"),
        ("I;16", "a.pgm", [511, 65535], [[1] * 3, [255] * 3], "1 channel (32 bit): the upper 8 bits are rep"),
        (
            "CMYK",
            "a.tif",
            [(0, 0, 0, 0), (255, 0, 0, 0)],
            [[255] * 3, [0, 255, 255]],
            "4 channels (CMYK): conv",
        ),
    ],
)
def test_other_channels_become_rgb(tmp_path, mode, name, stored, pixels, told):
    image = Image.new(mode, (2, 1))
    image.putdata(stored)
    image.save(tmp_path / name, **({"lossless": True, "exact": True} if name.endswith("webp") else {}))
    found, said = converted(tmp_path / name)
    assert found == [pixels]
    assert said.startswith(told)
    assert check_image(tmp_path / name).converted == said


def test_a_palette_image_is_looked_up(tmp_path):
    write_label(tmp_path / "a.png", np.array([[1, 0]], np.uint8), [(10, 20, 30), (40, 50, 60)])
    assert converted(tmp_path / "a.png") == (
        [[[40, 50, 60], [10, 20, 30]]],
        "1 channel (palette): its colours are looked up",
    )


def test_colour_of_16_bit_keeps_its_upper_8(tmp_path):
    pixels = np.array([[[0x0123, 0x4567, 0x89AB], [0xFFFF, 0, 0x0100]]], np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), pixels[..., ::-1])
    assert converted(tmp_path / "deep.png") == (
        [[[0x01, 0x45, 0x89], [0xFF, 0, 1]]],
        "3 channels of 16 bit: the upper 8 bits are used",
    )


def test_12_bits_in_16_are_told(tmp_path):
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(tmp_path / "raw.png")
    told = "nearly black: no value is above 4095 of 65535"
    assert check_image(tmp_path / "raw.png").converted.endswith(told)
    Image.fromarray(np.array([[0, 4096]], np.uint16)).save(tmp_path / "raw.png")
    assert "nearly black" not in check_image(tmp_path / "raw.png").converted


def test_of_several_frames_the_first_is_used(tmp_path, rgb):
    first, second = Image.fromarray(rgb), Image.fromarray(255 - rgb)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    assert check_image(tmp_path / "a.tif").converted == "2 frames: the first is used"
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), rgb)
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    assert check_image(tmp_path / "phone.jpg").converted == ""


def test_an_image_of_32_bit_is_refused(tmp_path):
    # Only a PGM of 16 bit is opened as 32.
    Image.new("I", (8, 6), 70000).save(tmp_path / "depth.tif")
    for read in (image_facts, check_image, read_image):
        with pytest.raises(
            InputError, match=r"depth\.tif: has 1 channel \(32 bit\), expected a photo of 8 or"
        ):
            read(tmp_path / "depth.tif")


def test_an_image_of_floats_is_refused(tmp_path):
    Image.new("F", (8, 6)).save(tmp_path / "depth.tif")
    assert image_size(tmp_path / "depth.tif") == (8, 6)
    for read in (image_facts, check_image, read_image):
        with pytest.raises(
            InputError, match=r"depth\.tif: has 1 channel \(float\), expected a photo of 8 or"
        ):
            read(tmp_path / "depth.tif")


@pytest.mark.parametrize("read", [image_size, image_facts, check_image, read_image])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("TGA", r"has the format TGA, which is not read; convert it to PNG or JPEG"),
        ("GIF", r"has the format GIF, which is not read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"has the format HEIF, which is not read; convert it"),
        (b"\xff\x0a\xfa\x1f", r"has the format JPEG XL, which is not read; convert it to PNG or JPEG"),
        (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a", r"has the format JPEG XL, which is not read"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"is only a pointer of Git LFS; .* `git lfs pull`"),
        (b"<!DOCTYPE html>", r"is no image that can be decoded \(15 bytes\)"),
        (b"\0\0\0\x20ftypavif\0\0", r"cannot be decoded, perhaps it is truncated or damaged"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(tmp_path, rgb, read, content, message):
    path = tmp_path / "image.jpg"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(rgb).save(path, format=content)
    with pytest.raises(InputError, match=rf"image\.jpg: {message}"):
        read(path)


@pytest.mark.parametrize("read", [read_label, read_marked])
def test_what_is_advised_for_a_label_keeps_its_pixels(tmp_path, read):
    path = tmp_path / "label.png"
    grey = Image.new("L", (8, 6))

    def refused():
        with pytest.raises(InputError) as caught:
            read(path)
        return str(caught.value).removeprefix(f"{path}: ")

    grey.save(path, format="GIF")
    assert refused() == "has the format GIF, which is not read; convert it to PNG"
    path.write_bytes(b"<html>")
    assert refused() == "is no image that can be decoded (6 bytes), expected an image, for instance PNG"
    grey.save(path, format="TIFF", save_all=True, append_images=[grey, grey])
    assert refused() == "holds 3 pictures, expected one label or mask"
    path.unlink()
    path.mkdir()
    assert refused() == "is a folder, expected a file"


@pytest.mark.parametrize("fill", [b"", b"\0\0"])
def test_several_jpeg_pictures_one_after_another(tmp_path, rgb, fill):
    """By another name than a picture's they are refused; in a photo the first is used, and told."""
    frame = cv2.imencode(".jpg", rgb)[1].tobytes() + fill
    (tmp_path / "a.mjpeg").write_bytes(frame * 3)
    with pytest.raises(InputError, match=r"a\.mjpeg: holds 3 JPEG pictures .* expected one; write each into"):
        check_image(tmp_path / "a.mjpeg")
    assert not is_picture(tmp_path / "a.mjpeg")
    (tmp_path / "a.jpg").write_bytes(frame * 3)
    assert (
        check_image(tmp_path / "a.jpg").converted
        == "2 more JPEG pictures follow in the file: the first is used"
    )
    assert is_picture(tmp_path / "a.jpg")
    # One picture is one by any name, also with a thumbnail in its EXIF data.
    exif = Image.Exif()
    exif[0x010E] = (cv2.imencode(".jpg", rgb[:8, :8])[1].tobytes()).decode("latin1")
    Image.fromarray(rgb).save(tmp_path / "b", format="JPEG", exif=exif)
    assert check_image(tmp_path / "b").converted == ""
    assert is_picture(tmp_path / "b")


def test_what_is_a_picture(tmp_path, rgb):
    still = Image.fromarray(rgb)
    still.save(tmp_path / "still", format="GIF")
    still.save(tmp_path / "moving", format="GIF", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    (tmp_path / "phone.heic").touch()
    (tmp_path / "drive.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    found = [is_picture(tmp_path / name) for name in ("still", "moving", "phone.heic", "drive.mp4")]
    assert found == [True, False, True, False]


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


def bomb(path, width, height, mode=3):
    """Write a PNG of a few bytes that claims to be so large; the mode 3 has a palette."""

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    parts = [part(b"IHDR", header), part(b"PLTE", bytes(6)), part(b"IDAT", zlib.compress(bytes(999)))]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join([*parts, part(b"IEND", b"")]))


READERS = {
    "image": read_image,
    "size": image_size,
    "facts": image_facts,
    "check": check_image,
    "label": read_label,
    "palette": label_palette,
    "label header": lambda path: check_label_header(path, class_table("camvid")),
    "colours": lambda path: read_own_ids(path, class_table("camvid_colours")),
    "mask": EgoVehicleMask,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_refuses_a_picture_of_too_many_pixels(tmp_path, read):
    bomb(tmp_path / "bomb.png", 13_000, 13_000)
    assert (tmp_path / "bomb.png").stat().st_size < 200
    tracemalloc.start()
    with pytest.raises(
        InputError, match=r"bomb\.png: has 13000×13000 pixels, expected at most 64,000,000 .*most_pix"
    ):
        read(tmp_path / "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_ids_of_the_red_channel_of_too_many_pixels_are_refused(tmp_path):
    bomb(tmp_path / "bomb.png", 13_000, 13_000, mode=2)
    with pytest.raises(InputError, match="expected at most 64,000,000"):
        read_own_ids(tmp_path / "bomb.png", class_table("synthia"))


def test_the_bound_can_be_set(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", np.zeros((5, 8, 3), np.uint8))
    monkeypatch.setenv("COTRAIN_MOST_PIXELS", "40")
    assert read_image(tmp_path / "a.png").shape == (5, 8, 3)
    monkeypatch.setenv("COTRAIN_MOST_PIXELS", "39")
    with pytest.raises(InputError, match="has 8×5 pixels, expected at most 39"):
        read_image(tmp_path / "a.png")
    for text in ("", "many", "-1", "0", "1.5", "9" * 400):
        monkeypatch.setenv("COTRAIN_MOST_PIXELS", text)
        with pytest.raises(InputError, match=r"COTRAIN_MOST_PIXELS: found .*expected an integer"):
            read_image(tmp_path / "a.png")


def test_a_part_of_a_png_that_claims_gigabytes_is_not_believed(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((5, 8, 3), np.uint8))
    content = (tmp_path / "a.png").read_bytes()
    place = content.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(content[:place] + struct.pack(">I", 0x7FFF0000) + content[place + 4 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(InputError):
        read_image(tmp_path / "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_red_channel_that_opencv_cannot_decode_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 8, 3), np.uint16))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:-20])
    with pytest.raises(InputError, match=r"a\.png: cannot be decoded"):
        read_own_ids(tmp_path / "a.png", class_table("synthia"))


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (1, "has 1 channel (float), expected a photo of 8 or 16 bit"),
        (3, "is a TIFF of a kind that is not read, such as one of floating-point numbers; convert it to PNG"),
    ],
)
def test_a_tiff_of_floating_point_numbers_is_called_that(tmp_path, channels, message):
    path = tmp_path / "float.tif"
    cv2.imwrite(str(path), np.zeros((4, 6, channels), np.float32))
    with pytest.raises(InputError, match=re.escape(message)):
        read_image(path)
