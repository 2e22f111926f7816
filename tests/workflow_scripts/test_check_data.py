import json
import os
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.images import write_image, write_label
from cotrain.errors import InputError
from workflow_scripts import check_data, make_manifest


@pytest.fixture
def dataset(tmp_path):
    """Twelve images of 6×4 whose labels are all road, with the arguments that both steps share."""
    names = [f"{number:02d}" for number in range(12)]
    for name in names:
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((4, 6, 3), np.uint8))
        write_label(tmp_path / "labels" / f"{name}.png", np.full((4, 6), 3, np.uint8), [])
    (tmp_path / "i.txt").write_text("".join(f"images/{name}.png\n" for name in names))
    (tmp_path / "l.txt").write_text("\n" + "".join(f"labels/{name}.png\n" for name in names))
    settings = {"layout": "lists", "images": str(tmp_path / "i.txt"), "labels": str(tmp_path / "l.txt")}
    return ["--dataset", "city", "--settings", json.dumps({**settings, "classes": "camvid"})]


def check(tmp_path, dataset, *flags):
    manifest = ["--manifest", str(tmp_path / "manifest.tsv"), "--output", str(tmp_path / "check.json")]
    check_data.main([*dataset, *manifest, "--label-space", "camvid11", "--workers", "2", *flags])
    return json.loads((tmp_path / "check.json").read_text())


def make(tmp_path, dataset, *flags):
    make_manifest.main([*dataset, "--output", str(tmp_path / "manifest.tsv"), *flags])


def test_report_is_written(tmp_path, dataset, capfd):
    make(tmp_path, dataset, "--labelled")
    report = check(tmp_path, dataset, "--labelled")
    assert report["images"] == 12
    assert report["classes"]["road"]["pixels"] == 12 * 24
    assert "city: no pixel of sky, building, pole, sidewalk" in capfd.readouterr().err


def test_first_ten_problems_are_shown_with_their_lines_and_the_total(tmp_path, dataset):
    make(tmp_path, dataset, "--labelled")
    for number in range(11):
        write_label(tmp_path / "labels" / f"{number:02d}.png", np.full((4, 6), 12, np.uint8), [])
    with pytest.raises(InputError) as caught:
        check(tmp_path, dataset, "--labelled")
    lines = str(caught.value).splitlines()
    assert lines[0] == "datasets.city: 11 problems, the first 10:"
    assert len(lines) == 11
    assert lines[1].startswith(f"  {tmp_path}/l.txt:2: {tmp_path}/labels/00.png: holds the ids 12, expected")
    assert not (tmp_path / "check.json").exists()


def test_without_labelled_the_labels_may_be_gone(tmp_path, dataset):
    for label in (tmp_path / "labels").iterdir():
        label.unlink()
    make(tmp_path, dataset)
    assert check(tmp_path, dataset) == {"images": 12, "sizes": {"6x4": 12}}


def test_truncated_image_is_named_with_its_line(tmp_path, dataset):
    make(tmp_path, dataset)
    image = tmp_path / "images" / "04.png"
    image.write_bytes(image.read_bytes()[:45])
    with pytest.raises(InputError, match=r"1 problem:\n  .*i\.txt:5: .*04\.png: cannot be decoded, perhaps"):
        check(tmp_path, dataset)


@pytest.mark.parametrize(("part", "images"), [("train", 367), ("test", 233)])
def test_camvid_is_fine(tmp_path, part, images):
    folder = Path(os.environ.get("COTRAIN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "camvid"
    if not folder.is_dir():
        pytest.skip(f"CamVid is not in {folder}; set COTRAIN_DATA")
    settings = {kind: str(folder / f"{part}.{kind}.txt") for kind in ("images", "labels")}
    dataset = [
        "--dataset",
        part,
        "--settings",
        json.dumps({"layout": "lists", "classes": "camvid", **settings}),
    ]
    make(tmp_path, dataset, "--labelled")
    report = check(tmp_path, dataset, "--labelled")
    assert report["sizes"] == {"480x360": images}
    assert report["void_pixels"] + sum(c["pixels"] for c in report["classes"].values()) == images * 480 * 360
