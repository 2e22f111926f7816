import os

import numpy as np

from cotrain.data.images import write_image
from cotrain.data.photos import images_below, usable_photos


def test_images_of_all_folders_below_and_nothing_else(tmp_path):
    names = [
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.jpg",
        "day 2/c.webp",
        ".cache/d.jpg",
        "day 2/e.heic",
        "day 1/f.jpg",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in images_below(tmp_path)]
    assert found == ["a.PNG", "b.jpg", "day 1/f.jpg", "day 2/c.webp", "day 2/e.heic"]


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path, monkeypatch):
    for name, size in (("a.jpg", (20, 30)), ("b.png", (40, 50)), ("c.jpg", (20, 30))):
        write_image(tmp_path / name, np.full((*size, 3), 90, np.uint8))
    torn = tmp_path / "c.jpg"
    torn.write_bytes(torn.read_bytes()[:-40])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "same.jpg").symlink_to(tmp_path / "a.jpg")
    os.link(tmp_path / "b.png", tmp_path / "hard.png")
    (tmp_path / "two\nlines.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    items, left_out = usable_photos(images_below(tmp_path), 2)
    assert [(item.id, item.image.name, item.width, item.height) for item in items] == [
        ("0", "a.jpg", 30, 20),
        ("1", "b.png", 50, 40),
        # Another file to everybody who looks.
        ("2", "hard.png", 50, 40),
    ]
    reasons = {path.name: reason for path, reason in left_out.items()}
    assert set(reasons) == {"c.jpg", "empty.jpg", "text.png", "same.jpg", "two\nlines.jpg"}
    assert reasons["same.jpg"] == f"a link to {tmp_path / 'a.jpg'}, which is listed too"
    assert "tab or a line end" in reasons["two\nlines.jpg"]
    assert str(tmp_path) not in reasons["text.png"]


def test_paths_in_a_list_are_absolute(tmp_path, monkeypatch):
    write_image(tmp_path / "a.jpg", np.zeros((20, 30, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    items, _ = usable_photos([Path("a.jpg")], 1)
    assert items[0].image == tmp_path / "a.jpg"
