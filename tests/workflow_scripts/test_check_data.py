import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cotrain.configuration.sections import ListsSettings
from cotrain.data.images import write_image, write_label
from cotrain.errors import InputError
from tests.miniature import make as make_tree
from workflow_scripts import check_data, make_manifest


@pytest.fixture
def dataset(tmp_path, settings_file):
    """Twelve images of 6×4 whose labels are all road, with the arguments that both steps share."""
    names = [f"{number:02d}" for number in range(12)]
    for name in names:
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((4, 6, 3), np.uint8))
        write_label(tmp_path / "labels" / f"{name}.png", np.full((4, 6), 3, np.uint8), [])
    (tmp_path / "i.txt").write_text("".join(f"images/{name}.png\n" for name in names))
    (tmp_path / "l.txt").write_text("\n" + "".join(f"labels/{name}.png\n" for name in names))
    lists = {"images": str(tmp_path / "i.txt"), "labels": str(tmp_path / "l.txt")}
    settings = ListsSettings(layout="lists", classes="camvid", **lists)
    return ["--dataset", "city", "--settings", settings_file(settings)]


def check(tmp_path, dataset, *flags):
    manifest = ["--manifest", str(tmp_path / "manifest.tsv"), "--output", str(tmp_path / "check.json")]
    check_data.main([*dataset, *manifest, "--label-space", "camvid11", "--threads", "2", *flags])
    return json.loads((tmp_path / "check.json").read_text())


def make(tmp_path, dataset, *flags):
    make_manifest.main([*dataset, "--output", str(tmp_path / "manifest.tsv"), *flags])


def test_report_is_written(tmp_path, dataset, capfd):
    make(tmp_path, dataset, "--with-labels")
    report = check(tmp_path, dataset, "--with-labels")
    assert report["images"] == 12
    assert report["classes"]["road"]["pixels"] == 12 * 24
    assert "; there is no pixel of sky, building, pole, sidewalk" in capfd.readouterr().err
    assert "3  road            road          100.00      12" in (tmp_path / "check.txt").read_text()


def test_first_ten_problems_are_shown_with_their_lines_and_the_total(tmp_path, dataset):
    make(tmp_path, dataset, "--with-labels")
    for number in range(11):
        write_label(tmp_path / "labels" / f"{number:02d}.png", np.full((4, 6), 12, np.uint8), [])
    with pytest.raises(InputError) as caught:
        check(tmp_path, dataset, "--with-labels")
    lines = str(caught.value).splitlines()
    assert lines[0] == "datasets.city: 11 problems, the first 10:"
    assert len(lines) == 11
    assert lines[1].startswith(f"  {tmp_path}/l.txt:2: {tmp_path}/labels/00.png: holds the ids 12, expected")
    assert not (tmp_path / "check.json").exists()


def test_without_labelled_the_labels_may_be_gone(tmp_path, dataset):
    for label in (tmp_path / "labels").iterdir():
        label.unlink()
    make(tmp_path, dataset)
    expected = {"images": 12, "sizes": {"6x4": 12}, "turned": [], "converted": {}, "warnings": []}
    assert check(tmp_path, dataset) == expected


def test_truncated_image_is_named_with_its_line(tmp_path, dataset):
    make(tmp_path, dataset)
    image = tmp_path / "images" / "04.png"
    image.write_bytes(image.read_bytes()[:45])
    with pytest.raises(InputError, match=r"1 problem:\n  .*i\.txt:5: .*04\.png: cannot be decoded, perhaps"):
        check(tmp_path, dataset)


def test_a_manifest_is_deleted_only_if_that_is_asked_for_and_its_data_is_wrong(tmp_path, dataset):
    make(tmp_path, dataset)
    check(tmp_path, dataset, "--discard")
    (tmp_path / "images" / "04.png").write_bytes(b"")
    with pytest.raises(InputError):
        check(tmp_path, dataset)
    assert (tmp_path / "manifest.tsv").exists()
    with pytest.raises(InputError, match=r"04\.png: is empty"):
        check(tmp_path, dataset, "--discard")
    assert not (tmp_path / "manifest.tsv").exists()
    with pytest.raises(InputError, match="manifest cannot be read"):
        check(tmp_path, dataset, "--discard")
    (tmp_path / "manifest.tsv").write_text("no manifest")
    with pytest.raises(InputError, match="is no manifest"):
        check(tmp_path, dataset, "--discard")
    assert (tmp_path / "manifest.tsv").exists()


@pytest.mark.parametrize(("part", "images"), [("train", 367), ("test", 233)])
def test_camvid_is_fine(tmp_path, settings_file, part, images):
    folder = Path(os.environ.get("COTRAIN_DATA", Path(__file__).parents[2] / "data")) / "camvid"
    if not folder.is_dir():
        pytest.skip(f"CamVid is not in {folder}; set COTRAIN_DATA")
    lists = {kind: str(folder / f"{part}.{kind}.txt") for kind in ("images", "labels")}
    settings = ListsSettings(layout="lists", classes="camvid", **lists)
    dataset = ["--dataset", part, "--settings", settings_file(settings)]
    make(tmp_path, dataset, "--with-labels")
    report = check(tmp_path, dataset, "--with-labels")
    assert report["sizes"] == {"480x360": images}
    assert report["void_pixels"] + sum(c["pixels"] for c in report["classes"].values()) == images * 480 * 360


def test_a_published_tree_by_hand(tmp_path, capfd):
    make_tree("cityscapes", tmp_path / "cityscapes", "val")
    arguments = ["--layout", "cityscapes", "--root", str(tmp_path / "cityscapes"), "--split", "val"]
    check_data.main([*arguments, "--output", str(tmp_path / "check.json")])
    shown = capfd.readouterr()
    assert shown.out.splitlines()[0] == "cityscapes: 4 images of 64×48 (4)"
    assert " 7  road            road " in shown.out
    assert "23  sky             sky " in shown.out
    assert "no pixel of sidewalk, wall, fence, pole" in shown.out
    # Four small images say nothing of the class table.
    assert "cityscapes: no error was found; there are too few images, or pixels with a class," in shown.err
    assert "; there is no pixel of sidewalk" in shown.err
    assert shown.out == (tmp_path / "check.txt").read_text()
    assert json.loads((tmp_path / "check.json").read_text())["ids"]["26"]["class"] == "car"


def test_images_left_out_are_named_by_hand(tmp_path, capfd):
    make_tree("gta5", tmp_path / "gta5")
    write_image(tmp_path / "gta5" / "images" / "00001.png", np.zeros((48, 60, 3), np.uint8))
    check_data.main(["--layout", "gta5", "--root", str(tmp_path / "gta5")])
    shown = capfd.readouterr().err
    assert "gta5: left out 1 image, the label is of another size than the image:\n" in shown
    assert f"gta5:   {tmp_path}/gta5/images/00001.png\n" in shown


def test_rendered_streets_by_hand(tmp_path, capfd):
    write_image(tmp_path / "scenes" / "images" / "000.png", np.zeros((4, 6, 3), np.uint8))
    write_label(tmp_path / "scenes" / "labels" / "000.png", np.full((4, 6), 10, np.uint8), [])
    check_data.main(["--layout", "streets", "--root", str(tmp_path / "scenes")])
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "scenes: 1 image of 6×4 (1)"
    assert shown[2].split() == ["10", "sky", "sky", "100.00", "1"]


def test_layout_needs_its_root():
    with pytest.raises(InputError, match="--root: is missing"):
        check_data.main(["--layout", "gta5"])


def run_configuration(tmp_path, **more):
    datasets = {
        "gta": make_tree("gta5", tmp_path / "gta5"),
        "city": make_tree("cityscapes", tmp_path / "city"),
        "city_val": make_tree("cityscapes", tmp_path / "city", "val"),
    }
    roles = {"source": ["gta"], "target": "city", "test": "city_val"}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"run": "r", "datasets": datasets, **roles, **more}))
    return ["--config", str(path)]


def test_whole_configuration_is_checked_and_target_labels_are_not_opened(tmp_path, capfd):
    arguments = run_configuration(tmp_path)
    for label in (tmp_path / "city" / "gtFine" / "train").rglob("*.png"):
        label.write_bytes(b"")
    check_data.main(arguments)
    shown = capfd.readouterr()
    assert [line for line in shown.out.splitlines() if not line.startswith(" ")] == [
        "gta: 4 images of 64×48 (4)",
        "city_val: 4 images of 64×48 (4)",
        "city: 4 images of 64×48 (4)",
    ]
    assert "city: only images, the run never opens its labels" in shown.err


def test_a_configuration_without_a_test_set_is_checked(tmp_path, capfd):
    check_data.main(run_configuration(tmp_path, test=None))
    shown = [line for line in capfd.readouterr().out.splitlines() if not line.startswith(" ")]
    assert shown == ["gta: 4 images of 64×48 (4)", "city: 4 images of 64×48 (4)"]


def test_a_report_is_of_one_dataset(tmp_path):
    with pytest.raises(InputError, match="--output: holds the report of one dataset, expected --layout or"):
        check_data.main([*run_configuration(tmp_path), "--output", str(tmp_path / "check.json")])


def test_all_datasets_with_problems_stand_in_one_message(tmp_path):
    arguments = run_configuration(tmp_path, upper_bound=True)
    label = next((tmp_path / "city" / "gtFine" / "train").rglob("*.png"))
    label.write_bytes(b"")
    (tmp_path / "gta5" / "labels" / "00000.png").unlink()
    with pytest.raises(InputError) as caught:
        check_data.main(arguments)
    assert "datasets.gta: 1 problem:" in str(caught.value)
    assert f"datasets.city: 1 problem:\n  {label}: is empty (0 bytes)" in str(caught.value)


def test_labels_of_another_version_of_mapillary_are_told_by_its_list_of_classes(tmp_path):
    make_tree("mapillary_vistas", tmp_path)
    arguments = ["--layout", "mapillary_vistas", "--root", str(tmp_path), "--version", "v2.0"]
    check_data.main(arguments)
    shutil.rmtree(tmp_path / "training" / "v2.0" / "labels")
    shutil.copytree(tmp_path / "training" / "v1.2" / "labels", tmp_path / "training" / "v2.0" / "labels")
    with pytest.raises(InputError) as caught:
        check_data.main(arguments)
    label = tmp_path / "training" / "v2.0" / "labels" / "m0.png"
    assert f"{label}: id 1 has the colour (128, 64, 128), but the dataset's list" in str(caught.value)
    assert "expected a label file of the same version" in str(caught.value)


@pytest.mark.parametrize("flags", [[], ["--quick"]])
def test_exit_status_tells_whether_all_is_well(tmp_path, flags):
    make_tree("gta5", tmp_path / "gta5")
    command = [sys.executable, "-m", "workflow_scripts.check_data", "--layout", "gta5"]
    command += ["--root", str(tmp_path / "gta5"), *flags]
    where = Path(__file__).parents[2]
    assert subprocess.run(command, cwd=where, check=False, capture_output=True).returncode == 0
    (tmp_path / "gta5" / "images" / "00000.png").write_bytes(b"")
    done = subprocess.run(command, cwd=where, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "00000.png: is empty (0 bytes), expected an image" in done.stderr


def test_quick_says_what_it_has_not_read(tmp_path, capfd):
    make_tree("gta5", tmp_path / "gta5")
    check_data.main(["--layout", "gta5", "--root", str(tmp_path / "gta5"), "--quick"])
    shown = capfd.readouterr().err
    assert "gta5: nothing is wrong with the headers; pixels and ids were not read" in shown
    assert "all is well" not in shown


def test_labels_of_another_table_are_never_well(tmp_path, settings_file, capfd):
    """Labels of sky, road and tree in CamVid's ids, read as train ids of Cityscapes: road, wall, pole."""
    ids = np.repeat([0, 3, 5], 3600).reshape(90, 120).astype(np.uint8)
    names = [f"{number}.png" for number in range(10)]
    for name in names:
        write_image(tmp_path / "images" / name, np.zeros((90, 120, 3), np.uint8))
        write_label(tmp_path / "labels" / name, ids, [])
    for kind in ("images", "labels"):
        (tmp_path / f"{kind}.txt").write_text("".join(f"{kind}/{name}\n" for name in names))
    lists = {kind: str(tmp_path / f"{kind}.txt") for kind in ("images", "labels")}
    found = {}
    for table in ("camvid", "cityscapes_train_ids"):
        settings = ListsSettings(layout="lists", classes=table, **lists)
        dataset = ["--dataset", "city", "--settings", settings_file(settings)]
        make(tmp_path, dataset, "--with-labels")
        found[table] = check(tmp_path, dataset, "--with-labels")["warnings"], capfd.readouterr().err
    assert found["camvid"][0] == []
    assert "city: all is well" in found["camvid"][1]
    (warning,), shown = found["cityscapes_train_ids"]
    assert (
        "wall (33.3 %, in streets at most 12 %), pole (33.3 %, in streets at most 6 %) and sky (0 %"
        in warning
    )
    assert f"warning: city: {warning}" in shown
    assert "all is well" not in shown
    sheet = "its contact sheet, which the step contact_sheet makes; there is no pixel of"
    assert f"city: no error was found, but look at {sheet}" in shown
    check(tmp_path, dataset, "--with-labels", "--discard")
    shown = capfd.readouterr().err
    assert f"city: no error was found, but look at {tmp_path}/contact_sheet.png, which `snakemake" in shown
    assert "contact_sheets` makes with the configuration of this run; there is no pixel of" in shown
    assert f"  warning: {warning}" in (tmp_path / "check.txt").read_text()


def test_a_class_table_without_sky_is_never_well(tmp_path, settings_file, capfd):
    """CARLA's thirteen ids have none for the sky: 7 is road, 9 vegetation."""
    ids = np.repeat([7, 9], 5400).reshape(90, 120).astype(np.uint8)
    for number in range(10):
        write_image(tmp_path / "images" / f"{number}.png", np.zeros((90, 120, 3), np.uint8))
        write_label(tmp_path / "labels" / f"{number}.png", ids, [])
    for kind in ("images", "labels"):
        (tmp_path / f"{kind}.txt").write_text("".join(f"{kind}/{number}.png\n" for number in range(10)))
    lists = {kind: str(tmp_path / f"{kind}.txt") for kind in ("images", "labels")}
    settings = settings_file(ListsSettings(layout="lists", classes="carla13", **lists))
    dataset = ["--dataset", "city", "--settings", settings]
    make(tmp_path, dataset, "--with-labels")
    report = check(tmp_path, dataset, "--with-labels", "--label-space", "cityscapes19")
    assert report["warnings"] == [
        "no pixel of sky, which streets always show, so no model can learn it from these labels. Is there an "
        "id for it that class table 'carla13' leaves out?"
    ]
    shown = capfd.readouterr().err
    assert "city: no error was found, but look at its contact sheet" in shown
    assert "all is well" not in shown


def test_datasets_of_a_configuration_are_compared(tmp_path, capfd):
    arguments = run_configuration(tmp_path)
    check_data.main(arguments)
    # All miniatures show the same four scenes.
    shown = capfd.readouterr().err
    assert "warning: 4 of the 4 test images of city_val are also in gta; the first is" in shown
    assert "warning: 4 of the 4 test images of city_val are also in city; the first is" in shown
