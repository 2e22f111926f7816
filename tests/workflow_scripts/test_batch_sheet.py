import cv2
import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest, write_manifest
from cotrain.reporting.pictures import overlay, resized
from workflow_scripts import batch_sheet
from workflow_scripts.command_line import add_training_arguments, new_parser, parse, training_files

SPACE = label_space("camvid11")


@pytest.fixture
def arguments(tmp_path, make_items, training_settings, settings_file):
    torch.set_num_threads(1)
    for name in ("source", "target"):
        write_manifest(tmp_path / f"{name}.tsv", make_items(name, 3, seed=len(name)))
    settings = msgspec.structs.replace(training_settings, batch_ratio=(1, 1), class_mixing="plain")
    return [
        *("--name", "final", "--label-space", "camvid11", "--settings", settings_file(settings)),
        *("--source", str(tmp_path / "source.tsv"), "--target", str(tmp_path / "target.tsv")),
    ]


def parse_of(arguments):
    parser = new_parser("", batch_sheet.EXAMPLE)
    add_training_arguments(parser)
    return parse(parser, arguments)


def is_shown(page, picture):
    """Whether a picture lies somewhere on the page, pixel by pixel."""
    difference = cv2.matchTemplate(page, picture, cv2.TM_SQDIFF)
    top, left = np.unravel_index(difference.argmin(), difference.shape)
    height, width = picture.shape[:2]
    return np.array_equal(page[top : top + height, left : left + width], picture)


def test_shows_the_very_crops_that_training_draws(arguments, tmp_path):
    batch_sheet.main([*arguments, "--iterations", "2", "--output", str(tmp_path / "sheet.png")])
    page = np.array(Image.open(tmp_path / "sheet.png"))
    options = parse_of(arguments)
    files, settings = training_files(options), read_settings(options.settings, TrainingSettings)
    batches = files.make_batches(files.read_images(), options.name, settings, SPACE)
    for iteration in (0, 1):
        for image, label in zip(*batches.batch(iteration), strict=True):
            assert is_shown(page, resized(image, batch_sheet.WIDTH_OF_CROP))
            in_colour = overlay(image, label, SPACE.palette, 0.6)
            assert is_shown(page, resized(in_colour, batch_sheet.WIDTH_OF_CROP))
    assert not is_shown(page, resized(batches.batch(2)[0][0], batch_sheet.WIDTH_OF_CROP))


def test_captions_say_which_crops_are_of_the_source(
    tmp_path, arguments, training_settings, settings_file, monkeypatch
):
    shown = []
    contact_sheet = batch_sheet.contact_sheet

    def noted(rows, captions):
        shown.extend(captions)
        return contact_sheet(rows, captions)

    monkeypatch.setattr(batch_sheet, "contact_sheet", noted)
    settings = msgspec.structs.replace(
        training_settings, batch_size=4, batch_ratio=(1, 3), class_mixing="none"
    )
    path = settings_file(settings, "one_of_four")
    batch_sheet.main(
        [*arguments, "--settings", path, "--iterations", "2", "--output", str(tmp_path / "sheet.png")]
    )
    assert shown == [
        [f"iteration {number}, {side}" for side in ("source", "target", "target", "target")]
        for number in (0, 1)
    ]


def test_the_head_says_how_much_is_void(arguments, tmp_path, monkeypatch):
    for item in read_manifest(tmp_path / "target.tsv"):
        label = read_label(item.label)
        label[: len(label) // 2] = 255
        write_label(item.label, label, [])
    said = []
    heading = batch_sheet.heading
    monkeypatch.setattr(
        batch_sheet, "heading", lambda title, text, width: said.append(text) or heading(title, text, width)
    )
    batch_sheet.main([*arguments, "--iterations", "2", "--output", str(tmp_path / "sheet.png")])
    options = parse_of(arguments)
    files, settings = training_files(options), read_settings(options.settings, TrainingSettings)
    batches = files.make_batches(files.read_images(), options.name, settings, SPACE)
    labels = np.stack([batches.batch(iteration)[1] for iteration in (0, 1)])
    share = 100 * np.mean(labels == 255)
    assert 0 < share < 100
    assert said == [f"batches of 2 crops, 32 x 32 pixels; {share:.1f} % of them void"]


def test_number_of_iterations_is_checked(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        batch_sheet.main([*arguments, "--iterations", "0", "--output", str(tmp_path / "sheet.png")])
    assert ended.value.code == 2
    assert "--iterations: found 0, expected an integer >= 1" in capsys.readouterr().err
