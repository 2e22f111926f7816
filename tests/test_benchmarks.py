"""Every benchmark runs, on tiny input, and prints its figures; what they are is no matter of a test."""

import re
from pathlib import Path

import pytest

from benchmarks import boxes, colour_translation, datasets, input_pipeline, labelling, training_step


def figures_of(text, unit):
    """Return the numbers that stand before `unit`."""
    return [float(number) for number in re.findall(rf"(\d+(?:\.\d+)?) ?{unit}", text)]


def test_boxes(monkeypatch, capsys):
    monkeypatch.setattr(boxes, "BOXES", {"the demo's": boxes.BOXES["the demo's"]})
    boxes.main()
    *_, row = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["the demo's", "`tf_efficientnet_lite0`"]
    assert float(cells[2]) == pytest.approx(3.6, abs=0.05)
    assert cells[4] == "32"


def test_documents_show_the_boxes_of_the_benchmark():
    table = (Path(__file__).parents[1] / "docs" / "boxes.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", table, re.MULTILINE)
    assert dict(rows) == {title: mapping["backbone"] for title, mapping in boxes.BOXES.items()}


def test_training_step(capsys):
    training_step.main(["--box", "tiny", "--iterations", "2", "--threads", "1"])
    shown = capsys.readouterr().out
    assert "4 crops of 64×64" in shown
    assert len(figures_of(shown, "ms")) == 2
    assert figures_of(shown, "times bare")[0] > 0
    assert figures_of(shown, "MiB")[0] > 100


def test_input_pipeline(monkeypatch, capsys):
    monkeypatch.setattr(input_pipeline, "SIZE", (192, 96))
    input_pipeline.main(["--images", "1"])
    shown = capsys.readouterr().out
    assert len(figures_of(shown, "ms")) == 5
    assert figures_of(shown, "times ours")[0] > 0
    assert "25000 images, 240000 draws" in shown


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_colour_translation(monkeypatch, capsys):
    monkeypatch.setattr(colour_translation, "SOURCE_SIZE", (128, 64))
    monkeypatch.setattr(colour_translation, "TARGET_SIZE", (96, 72))
    colour_translation.main(["--images", "1"])
    shown = capsys.readouterr().out
    assert figures_of(shown, "times faster")[0] > 0
    # The images are equal whatever their size.
    assert figures_of(shown, "% of values")[0] > 99.9


def test_datasets(monkeypatch, capsys):
    monkeypatch.setattr(datasets, "GTA5_SIZE", (128, 64))
    datasets.main(["--listed", "7", "--checked", "3", "--workers", "1"])
    shown = capsys.readouterr().out
    assert "7 labelled images: listed in" in shown
    assert "3 pairs of 128×64, 1 workers: decoded in" in shown


TINY = ["--size", "128", "64", "--images", "5", "--parts"]


def test_labelling_pixels_and_evaluation(monkeypatch, capsys):
    monkeypatch.setattr(labelling, "FRESH_PROCESSES", 1)
    labelling.main([*TINY, "pixels", "writing", "evaluation"])
    shown = capsys.readouterr().out
    # The same thresholds and labels as those of the formulation that stacks and sorts.
    assert figures_of(shown, "%")[0] > 99.9
    assert len(figures_of(shown, "times as fast")) == 3
    assert len(figures_of(shown, "ms")) == 8


def test_labelling_rounds(tmp_path, capsys):
    plot = tmp_path / "plots" / "growth.png"
    labelling.main(["--counts", "2", "--plot", str(plot), *TINY, "memory", "growth"])
    shown = capsys.readouterr().out
    assert len(figures_of(shown, "MB")) == 3
    assert all(50 < peak < 600 for peak in figures_of(shown, "MB"))
    assert re.search(r"^  2 images .* s .*ms an image", shown, re.MULTILINE)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_labelling_steps(capsys):
    labelling.main([*TINY, "round", "shards", "exchange"])
    shown = capsys.readouterr().out
    assert re.search(r"^  together, all 5 labels written .* s$", shown, re.MULTILINE)
    assert len(figures_of(shown, "times as fast")) == 3
    assert "two branches of 5 images" in shown
