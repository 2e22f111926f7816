"""Every benchmark runs on tiny input and prints its figures, whatever they are."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import (
    colour_translation,
    datasets,
    input_pipeline,
    labelling,
    large_sets,
    networks,
    training_step,
    waiting_threads,
)
from cotrain.configuration.reading import read_mapping, resolve
from cotrain.configuration.run_plan import RunPlan

PROJECT = Path(__file__).parents[1]


def figures_of(text, unit):
    """Return the numbers that stand before `unit`."""
    return [float(number) for number in re.findall(rf"(\d+(?:\.\d+)?) ?{unit}", text)]


def test_networks(monkeypatch, capsys):
    monkeypatch.setattr(networks, "NETWORKS", {"the demo's": networks.NETWORKS["the demo's"]})
    networks.main()
    *_, row = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["the demo's", "`tf_efficientnet_lite0`"]
    assert float(cells[2]) == pytest.approx(3.6, abs=0.05)
    assert cells[4] == "32"


def test_documents_show_the_networks_of_the_benchmark():
    table = (PROJECT / "docs" / "networks.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", table, re.MULTILINE)
    assert dict(rows) == {title: settings.backbone for title, settings in networks.NETWORKS.items()}


@pytest.mark.parametrize("data", ["png", "decoded"])
def test_training_step(capsys, monkeypatch, data):
    # Without machine code, whose compilation takes long.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    # As on a GPU whose peak is known.
    monkeypatch.setitem(training_step.PEAK_FLOPS, "CPU", 1e12)
    arguments = ["--network", "tiny", "--iterations", "2", "--threads", "1", "--frames", "2", "--compile"]
    training_step.main([*arguments, "--data", data])
    output = capsys.readouterr().out
    assert "4 crops of 64×64, the CPU" in output
    assert len(figures_of(output, "ms")) == 4
    assert figures_of(output, "times bare")[0] > 0
    assert figures_of(output, "times as fast")[0] > 0
    assert re.search(rf"training from {data} frames .* ms, \d+ % of it waiting", output)
    assert figures_of(output, "MiB")[0] > 100
    assert re.search(r"built, weights loaded, first step +\d\.\d s", output)
    assert re.search(r"chain of 280000 iterations .* (h|min)", output)
    assert re.search(r"model-FLOPs utilisation +\d+ %, the chain's floor is", output)


def test_waiting_threads(capsys, monkeypatch):
    monkeypatch.setattr(waiting_threads, "SETTINGS", {"1 000 turns": {"GOMP_SPINCOUNT": "1000"}})
    waiting_threads.main(["--threads", "1", "--iterations", "1"])
    *_, titles, row = capsys.readouterr().out.splitlines()
    assert titles.split("  ")[-1].strip() == "1 threads, busy"
    assert re.fullmatch(r"1 000 turns +\d+ \(1\.00\) +\d+ \(1\.00\)", row)


def test_chain_of_the_benchmark_is_the_published_one():
    experiment = read_mapping(PROJECT / "config" / "experiments" / "gtav_cityscapes.yaml")
    # Its own datasets are not here.
    streets = {
        name: {"layout": "streets", "look": "game", "seed": seed}
        for seed, name in enumerate(experiment["datasets"])
    }
    trainings = RunPlan(resolve(experiment | {"datasets": streets})).work().trainings
    assert len(trainings) == 22
    assert sum(training.number for training in trainings) == training_step.CHAIN_ITERATIONS


def test_input_pipeline(monkeypatch, capsys):
    monkeypatch.setattr(input_pipeline, "SIZE", (192, 96))
    input_pipeline.main(["--images", "1"])
    output = capsys.readouterr().out
    assert len(figures_of(output, "ms")) == 6
    assert figures_of(output, "times as fast")[0] > 0
    assert figures_of(output, "times ours")[0] > 0
    assert "25000 images, 240000 draws" in output


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_colour_translation(monkeypatch, capsys):
    monkeypatch.setattr(colour_translation, "SOURCE_SIZE", (128, 64))
    monkeypatch.setattr(colour_translation, "TARGET_SIZE", (96, 72))
    colour_translation.main(["--images", "1"])
    output = capsys.readouterr().out
    assert figures_of(output, "times faster")[0] > 0
    # The images are equal whatever their size.
    assert figures_of(output, "% of values")[0] > 99.9


def test_datasets(monkeypatch, capsys):
    monkeypatch.setattr(datasets, "GTA5_SIZE", (128, 64))
    datasets.main(["--listed", "7", "--checked", "3", "--threads", "1"])
    shown = capsys.readouterr().out
    assert "7 labelled images: listed in" in shown
    assert "3 pairs of 128×64, 1 threads: decoded in" in shown


def test_large_sets(capfd):
    large_sets.main(["--counts", "6"])
    title, *rows = capfd.readouterr().out.splitlines()
    assert title.split("  ")[0] == "step"
    assert "6 images" in title
    # Each step ran, and each process needed some memory.
    assert [row[:28].strip() for row in rows] == list(large_sets.STEPS)
    assert all(10 < figures_of(row, "MB")[0] < 1000 for row in rows)


TINY = ["--size", "128", "64", "--images", "5", "--parts"]


def test_labelling_pixels_and_evaluation(monkeypatch, capsys):
    monkeypatch.setattr(labelling, "FRESH_PROCESSES", 1)
    labelling.main([*TINY, "pixels", "writing", "evaluation"])
    output = capsys.readouterr().out
    # The same thresholds and labels as those of the formulation that stacks and sorts.
    assert figures_of(output, "%")[0] > 99.9
    assert len(figures_of(output, "times as fast")) == 3
    assert len(figures_of(output, "ms")) == 8


def test_labelling_rounds(tmp_path, capsys):
    plot = tmp_path / "plots" / "growth.png"
    labelling.main(["--counts", "2", "--plot", str(plot), *TINY, "memory", "growth"])
    output = capsys.readouterr().out
    # Counting, thresholds and labelling of two sets, and the round that is plotted.
    assert len(figures_of(output, "MB")) == 2 * 3 + 1
    assert all(50 < peak < 600 for peak in figures_of(output, "MB"))
    assert re.search(r"^  2 images .* s .*ms an image", output, re.MULTILINE)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_labelling_steps(capsys):
    labelling.main([*TINY, "round", "shards", "exchange"])
    output = capsys.readouterr().out
    assert re.search(r"^  together, all 5 labels written .* s$", output, re.MULTILINE)
    assert len(figures_of(output, "times as fast")) == 3
    assert "two branches of 5 images" in output
