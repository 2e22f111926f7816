import numpy as np
import pytest

from cotrain.data.images import read_label, write_label
from cotrain.data.lists import read_list
from cotrain.errors import InputError
from workflow_scripts.vote_labels import main

FIRST = np.array([[2, 2, 2, 2], [2, 5, 2, 2], [2, 2, 2, 255]], np.uint8)
SECOND = np.array([[2, 2, 2, 2], [2, 7, 2, 2], [2, 2, 2, 255]], np.uint8)


def sets(folder):
    for name, label in (("first", FIRST), ("second", SECOND)):
        for number in range(2):
            write_label(folder / name / f"{number}.png", label, [])
    return ["--labels", str(folder / "first"), str(folder / "second"), "--label-space", "camvid11"]


def test_by_hand(tmp_path, caplog):
    caplog.set_level("INFO")
    main([*sets(tmp_path), "--output", str(tmp_path / "out")])
    assert "they differed in 8.33 % of the pixels" in caplog.text
    listed = [path for _, path in read_list(tmp_path / "out" / "labels.txt")]
    assert [path.name for path in listed] == ["0.png", "1.png"]
    expected = FIRST.copy()
    expected[1, 1] = 2
    for path in listed:
        np.testing.assert_array_equal(read_label(path), expected)
    main([*sets(tmp_path), "--window", "1", "--output", str(tmp_path / "alone")])
    assert read_label(tmp_path / "alone" / "labels" / "0.png")[1, 1] == 5


def test_what_is_wrong_is_named(tmp_path):
    arguments = [*sets(tmp_path), "--output", str(tmp_path / "out")]
    with pytest.raises(InputError, match="--window: found 4, expected a positive odd number"):
        main([*arguments, "--window", "4"])
    write_label(tmp_path / "second" / "1.png", FIRST[:2], [])
    with pytest.raises(InputError, match=r"first/1\.png with .*second/1\.png: labels .* differ in shape"):
        main(arguments)
    write_label(tmp_path / "second" / "1.png", FIRST + np.uint8(10), [])
    with pytest.raises(
        InputError, match=r"found id 12, .*; expected train ids of camvid11: 0 to 10, and 255"
    ):
        main(arguments)
    (tmp_path / "second" / "1.png").unlink()
    with pytest.raises(InputError, match=r"first: 1 file has no partner in .*second, the first is '1'"):
        main(arguments)
    assert not (tmp_path / "out" / "labels.txt").exists()


def test_neither_set_is_overwritten(tmp_path):
    sets(tmp_path)
    for name in ("first", "second"):
        (tmp_path / name / "labels").mkdir()
        for path in (tmp_path / name).glob("*.png"):
            path.rename(path.parent / "labels" / path.name)
    arguments = ["--labels", str(tmp_path / "first" / "labels"), str(tmp_path / "second" / "labels")]
    with pytest.raises(InputError, match=r"first/labels/0\.png is also an input"):
        main([*arguments, "--label-space", "camvid11", "--output", str(tmp_path / "first")])
