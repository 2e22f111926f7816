import numpy as np
import pytest

from cotrain.data.class_priors import ClassPriors, class_priors
from cotrain.data.images import write_image, write_label
from cotrain.data.label_files import TrainIdReader
from cotrain.data.label_spaces import make_label_space
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress

SPACE = make_label_space("own", [{"class": name, "colour": [1, 2, ord(name)]} for name in "abc"])


def priors(tmp_path, labels, size):
    items = []
    for number, label in enumerate(labels):
        image, file = tmp_path / f"{number}.png", tmp_path / f"{number}.label.png"
        write_image(image, np.zeros((*label.shape, 3), np.uint8))
        write_label(file, label.astype(np.uint8), [])
        items.append(Item(str(number), image, label.shape[1], label.shape[0], file))
    with Progress(len(items), "labels", "priors") as progress:
        return class_priors(items, TrainIdReader(SPACE), size, 2, progress)


def test_maps_are_counts_where_nothing_is_blurred(tmp_path):
    # A width of 8 gives a blur of 0.27 pixels, almost none.
    top = np.zeros((6, 8), int)
    top[3:] = 1
    lower = np.zeros((6, 8), int)
    lower[4:] = 1
    lower[:, 0] = 255
    maps = priors(tmp_path, [top, lower], (6, 8))
    assert (maps.shape, maps.dtype) == ((3, 6, 8), np.float32)
    # Class 0: both images in rows 0 to 2, one in row 3; the void column does not count.
    np.testing.assert_allclose(maps[0][:, 4], [1, 1, 1, 0.5, 0, 0], atol=0.01)
    np.testing.assert_allclose(maps[0][:, 0], [0.5, 0.5, 0.5, 0, 0, 0], atol=0.01)
    np.testing.assert_allclose(maps[1][:, 4], [0, 0, 0, 0.5, 1, 1], atol=0.01)
    assert (maps[2] == 0).all(), "an absent class is nowhere likely"


def test_labels_of_any_size_are_resized(tmp_path):
    half = np.repeat([[0] * 40, [1] * 40], [10, 10], axis=0)
    small = np.repeat([[0] * 20, [1] * 20], [5, 5], axis=0)
    maps = priors(tmp_path, [half, small], (20, 40))
    assert maps[0][0, 20] > 0.99
    assert maps[0][19, 20] < 0.01


def test_blur_grows_with_the_width(tmp_path):
    # A width of 2048 gives a blur of 70 pixels, so 256 gives 8.75. One standard deviation from an edge, a
    # blurred step has the value 0.841.
    label = np.zeros((64, 256), int)
    label[:, 128:] = 1
    row = priors(tmp_path, [label], (64, 256))[0][32]
    np.testing.assert_allclose(row[[118, 119]].mean(), 0.841, atol=0.02)
    np.testing.assert_allclose(row[[127, 128]].mean(), 0.5, atol=0.01)


def test_strange_ids_are_named(tmp_path):
    with pytest.raises(InputError, match=r"0\.label\.png: found id 3, which 'own' does not list"):
        priors(tmp_path, [np.full((6, 8), 3)], (6, 8))


def test_item_without_label_is_refused(tmp_path):
    bare = Item("bare", tmp_path / "bare.png", 8, 6)
    with (
        Progress(1, "labels", "priors") as progress,
        pytest.raises(InputError, match=r"bare\.png: has no label"),
    ):
        class_priors([bare], TrainIdReader(SPACE), (6, 8), 1, progress)


def test_priors_of_a_file(tmp_path):
    maps = np.linspace(0, 1, 36).reshape(3, 2, 6)
    np.save(tmp_path / "p.npy", maps)
    read = ClassPriors.read(tmp_path / "p.npy")
    np.testing.assert_array_equal(read.maps, maps.astype(np.float32))
    assert read.maps.dtype == np.float32
    read.check_classes(SPACE)
    read.check_size([Item("x", tmp_path / "x.png", 6, 2)])


def test_priors_of_another_label_space_or_size_are_refused(tmp_path):
    np.save(tmp_path / "p.npy", np.zeros((4, 2, 6), np.float32))
    read = ClassPriors.read(tmp_path / "p.npy")
    expected = r"p\.npy: has the shape \(4, 2, 6\), expected \(classes, height, width\) with 3 classes of own"
    with pytest.raises(InputError, match=expected):
        read.check_classes(SPACE)
    with pytest.raises(InputError, match=r"p\.npy: the class priors are 6×2, .*x\.png is 2×6"):
        read.check_size([Item("x", tmp_path / "x.png", 2, 6)])


def test_files_that_are_no_priors_are_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"flat\.npy: has the shape \(4, 2\), expected"):
        ClassPriors.read(tmp_path / "flat.npy")
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "complex.npy", np.zeros((4, 2, 6), np.complex64))
    np.save(tmp_path / "objects.npy", np.full((4, 2, 6), None))
    np.save(tmp_path / "cut.npy", np.zeros((4, 2, 6)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-1])
    # It claims 8 EB, and the header of the next one is no Python.
    for name, shape in (("huge", "(1000000, 1000000, 1000000)"), ("nested", "(" * 3000)):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        (tmp_path / f"{name}.npy").write_bytes(
            b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header
        )
    for name in ("words", "text", "empty", "gone", "complex", "objects", "cut", "huge", "nested"):
        with pytest.raises(InputError, match=rf"{name}\.npy: is not a readable \.npy file"):
            ClassPriors.read(tmp_path / f"{name}.npy")


@pytest.mark.parametrize(
    ("value", "found"),
    [(np.nan, "NaN"), (-0.5, "-0.5 to 0.25"), (1.5, "0.25 to 1.5"), (np.inf, "0.25 to inf")],
)
def test_values_that_are_no_shares_are_refused(tmp_path, value, found):
    maps = np.full((3, 2, 6), 0.25)
    maps[2, 1, 5] = value
    np.save(tmp_path / "p.npy", maps)
    with pytest.raises(InputError, match=rf"p\.npy: holds {found}, expected numbers from 0 to 1"):
        ClassPriors.read(tmp_path / "p.npy")
