import dataclasses

import pytest

from cotrain.errors import InputError
from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.table import (
    TEXT_WIDTH,
    check_comparable,
    classes_table,
    classes_text,
    models_table,
    percent,
    share_of_gap_closed,
    to_markdown,
    to_text,
    to_tsv,
    transposed,
)


def row(model, mean_iou, iou=None, **others):
    return ModelScores(
        model=model,
        mean_iou=mean_iou,
        frequency_weighted_iou=0.71239,
        pixel_accuracy=0.9,
        mean_class_accuracy=0.5,
        iou={"road": 0.9, "traffic light": None} if iou is None else iou,
        **others,
    )


CHAIN = [row("baseline", 0.3), row("self_training/00", 0.28), row("final", 0.45), row("upper_bound", 0.6)]


def test_percent():
    assert percent(0.59574) == "59.57"
    assert percent(0.0) == "0.00"
    assert percent(1.0, 1) == "100.0"
    assert percent(None) == "–"


def test_models_table_with_both_ends_of_the_gap():
    assert models_table(CHAIN) == [
        ["model", "mIoU", "gain (points)", "gap closed", "fwIoU", "pixel accuracy", "mean class accuracy"],
        ["baseline", "30.00", "–", "–", "71.24", "90.00", "50.00"],
        ["self_training/00", "28.00", "-2.00", "-6.7", "71.24", "90.00", "50.00"],
        ["final", "45.00", "+15.00", "50.0", "71.24", "90.00", "50.00"],
        ["upper_bound", "60.00", "+30.00", "–", "71.24", "90.00", "50.00"],
    ]


def test_models_table_without_upper_bound_or_baseline():
    assert models_table(CHAIN[:3])[0][:4] == ["model", "mIoU", "gain (points)", "fwIoU"]
    assert models_table(CHAIN[:3])[3][:4] == ["final", "45.00", "+15.00", "71.24"]
    assert models_table(CHAIN[2:])[0][:3] == ["model", "mIoU", "fwIoU"]


def test_order_is_kept():
    assert [line[0] for line in models_table(CHAIN[::-1])[1:]] == [one.model for one in CHAIN[::-1]]


def test_no_gap_no_share():
    assert share_of_gap_closed(0.5, baseline=0.4, upper_bound=0.8) == pytest.approx(0.25)
    assert share_of_gap_closed(0.5, baseline=0.4, upper_bound=0.4) is None
    assert share_of_gap_closed(0.5, baseline=0.4, upper_bound=0.3) is None


def test_classes_table():
    assert classes_table(CHAIN[:1]) == [["model", "road", "traffic light"], ["baseline", "90.00", "–"]]


def test_text_is_aligned():
    text = to_text([["model", "mIoU"], ["baseline", "9.00"], ["final", "100.00"]])
    assert text == "model       mIoU\n----------------\nbaseline    9.00\nfinal     100.00\n"


def test_classes_are_columns_when_they_fit():
    lines = classes_text(CHAIN).splitlines()
    assert lines[0].split() == ["model", "road", "traffic", "light"]
    assert lines[2].split() == ["baseline", "90.0", "–"]


def test_classes_are_lines_when_they_do_not_fit():
    iou = {f"class number {number}": number / 20 for number in range(19)}
    text = classes_text([row("baseline", 0.3, iou), row("final", 0.4, iou)])
    lines = text.splitlines()
    assert lines[0].split() == ["class", "baseline", "final"]
    assert lines[-1].split() == ["class", "number", "18", "90.0", "90.0"]
    assert len(lines) == 2 + 19


@pytest.mark.parametrize("number_of_models", [1, 8, 23])
@pytest.mark.parametrize("number_of_classes", [1, 11, 19, 65])
def test_wide_tables_are_split_and_hold_each_number_once(number_of_models, number_of_classes):
    iou = {f"a class {number}": (number + 1) / 100 for number in range(number_of_classes)}
    text = classes_text([row(f"self_training/{one:02d}", 0.3, iou) for one in range(number_of_models)])
    assert max(len(line) for line in text.splitlines()) <= TEXT_WIDTH
    for number in range(number_of_classes):
        assert text.replace("\n", " ").split().count(f"{number + 1}.0") == number_of_models


def test_a_single_column_wider_than_the_page_is_still_shown():
    text = classes_text([row("m" * 200, 0.3, {"c" * 200: 0.5})])
    assert "50.0" in text


def test_tsv_and_markdown():
    table = [["model", "IoU"], ["a|b", "–"]]
    assert to_tsv(table) == "model\tIoU\na|b\t\n"
    assert to_markdown(table) == "| model | IoU |\n| :--- | ---: |\n| a\\|b | – |\n"


def test_transposed():
    assert transposed([["a", "b", "c"], ["1", "2", "3"]]) == [["a", "1"], ["b", "2"], ["c", "3"]]


def test_scores_of_one_protocol_are_comparable():
    check_comparable([row("a", 0.1, images=5, protocol={"resize": None}) for _ in range(2)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 6}, "number of images is 5 for the first and 6"),
        ({"protocol": {"resize": [512, 1024]}}, r"protocol.resize is None .* \[512, 1024\]"),
        ({"protocol": {"resize": None, "flip": True}}, "protocol.flip is None .* True"),
        ({"iou": {"road": 0.9}}, "classes is road, traffic light .* road"),
    ],
)
def test_unlike_protocols_are_refused(change, message):
    first = row("baseline", 0.1, images=5, protocol={"resize": None})
    with pytest.raises(InputError, match=f"`baseline` and `final`.*{message}"):
        check_comparable([first, dataclasses.replace(first, model="final", **change)])
