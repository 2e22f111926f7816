"""Every benchmark runs on tiny input and prints its figures, whatever they are."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec import structs

from benchmarks import (
    colour_translation,
    datasets,
    gpu_agreement,
    input_pipeline,
    labelling,
    large_sets,
    networks,
    predictions,
    schedule,
    target_statistics,
    training_step,
    waiting_threads,
)
from benchmarks.schedule import Job, critical_path, outcome, simulated
from cotrain.configuration.reading import read_mapping, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.data.images import read_image, write_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.networks.build import build_network
from cotrain.networks.weights import load_networks, save_weights
from cotrain.randomness import generator
from cotrain.training.augmentation import augment

PROJECT = Path(__file__).parents[1]
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


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
    arguments = ["--network", "tiny", "--iterations", "2", "--threads", "1", "--frames", "2"]
    arguments += ["--settings", '{"compile": true}']
    training_step.main([*arguments, "--data", data])
    output = capsys.readouterr().out
    assert "4 crops of 64×64, the CPU" in output
    assert len(figures_of(output, "ms")) == 4
    assert re.search(r"its first 20 iterations +\d+\.\d s", output)
    assert figures_of(output, "times bare")[0] > 0
    assert figures_of(output, "times as fast")[0] > 0
    assert re.search(rf"training from {data} frames .* ms, \d+\.\d % of it waiting", output)
    assert figures_of(output, "MiB")[0] > 100
    assert re.search(r"built, weights loaded, first step +\d\.\d s", output)
    assert re.search(r"chain of 280000 iterations .* (h|min)", output)
    assert re.search(r"model-FLOPs utilisation +\d+ %, the chain's floor is", output)


def test_gpu_agreement_of_a_cpu_with_itself(capsys, monkeypatch):
    monkeypatch.setattr(gpu_agreement, "CASES", {"the demo's": 11})
    with pytest.raises(SystemExit) as ended:
        gpu_agreement.main(["--size", "32", "64", "--iterations", "3"])
    assert not ended.value.code
    output = capsys.readouterr().out
    assert output.endswith("bounds not met: 0\n")
    assert "stopped by SIGTERM at iteration 1" in output


def test_gpu_agreement_counts_what_is_too_far_apart_or_no_number(capsys):
    report = gpu_agreement.Report()
    report.difference("equal", 0, 0)
    report.difference("near", 0.2, 0.1)
    report.difference("broken", float("nan"), 0.1)
    assert report.unmet == ["near", "broken"]
    assert capsys.readouterr().out.count("NOT MET") == 2


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
    assert len(figures_of(output, "ms")) == 8
    assert len(figures_of(output, "crops a second")) == 4
    assert figures_of(output, "times as fast")[0] > 0
    assert figures_of(output, "times ours")[0] > 0
    assert "25000 images, 240000 draws" in output


def test_the_crops_of_other_libraries_are_those_drawn_here():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, (24, 48)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.stack([label * 12, label * 7, 255 - label * 9], 2)
    crop = (64, 96)
    augmentation = structs.replace(input_pipeline.PUBLISHED, short_sides=(96, 192, 288))
    for seed in range(6):
        own_image, own_label = augment(image, label, augmentation, crop, generator(seed))
        draws = input_pipeline.draws_of(label.shape, augmentation, crop, generator(seed))
        for make in (input_pipeline.of_torchvision, input_pipeline.of_torchvision_resized_crop):
            other_image, other_label = make(image, label, *draws)
            assert np.mean(other_label.numpy() == own_label) > 0.85
            assert np.abs(other_image.numpy().astype(int) - own_image).mean() < 12


def test_predictions(capsys):
    predictions.main(["--network", "tiny", "--threads", "1", "--images", "2"])
    output = capsys.readouterr().out
    assert len(figures_of(output, "images a second")) == 5
    assert len(figures_of(output, "ms")) == 2


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


# Three jobs in a chain and two beside it, all of which take one GPU.
CHAIN = [
    Job("first", (), 1, 10),
    Job("second", ("first",), 1, 20),
    Job("third", ("second",), 1, 30),
    Job("long", (), 1, 25),
    Job("short", (), 1, 5),
]


def test_schedule_on_one_gpu_has_no_pause():
    # The jobs beside the chain have been ready for longer than the second.
    expected = {"first": 10, "long": 35, "short": 40, "second": 60, "third": 90}
    assert simulated(CHAIN, 1) == expected
    assert outcome(CHAIN, 1) == (90 / 3600, 0)


def test_schedule_on_two_gpus():
    # On one GPU first, short, second and third: the short job has been ready for longer. On the other long.
    assert simulated(CHAIN, 2) == {"first": 10, "short": 15, "long": 25, "second": 35, "third": 65}
    hours, idle = outcome(CHAIN, 2)
    assert hours == pytest.approx(65 / 3600)
    assert idle == pytest.approx((2 * 65 - 90) / (2 * 65))
    assert critical_path(CHAIN) == 60
    # A third GPU takes the short job, and nothing is faster than the chain.
    assert max(simulated(CHAIN, 3).values()) == max(simulated(CHAIN, 8).values()) == 60


def test_schedule_passes_over_a_job_of_two_gpus_until_both_are_free():
    jobs = [
        Job("one", (), 1, 10),
        Job("both", (), 2, 10),
        Job("other", (), 1, 4),
        Job("processor", ("other",), 0, 100),
    ]
    assert simulated(jobs, 2) == {"other": 4, "one": 10, "both": 20, "processor": 104}
    assert outcome(jobs, 2).idle == pytest.approx(1 - (10 + 20 + 4) / 208)
    assert critical_path(jobs) == 104
    with pytest.raises(ValueError, match="more than 1 GPUs"):
        simulated(jobs, 1)


def test_several_gpus_train_with_an_efficiency_for_each_doubling():
    faster = [schedule.speed_up_of_training(gpus, 0.9) for gpus in (1, 2, 4)]
    assert faster == pytest.approx([1, 1.8, 3.24])
    assert schedule.speed_up_of_training(4, 0.5) == 1
    # But none starts its kernels in less than 25 ms.
    speeds = schedule.Speeds(36, 25, 1, 1, efficiency=0.9, cores=1)
    faster = [schedule.milliseconds_of_training(gpus, speeds) for gpus in (1, 2)]
    assert faster == [36, 25]
    assert schedule.milliseconds_of_training(2, replace(speeds, unrecorded_milliseconds=5)) == 20


def test_jobs_of_the_schedule_are_those_of_the_workflow(tmp_path):
    changes = {
        "gpus_per_training": 2,
        "prediction": {"shards": 2},
        "self_training": {"rounds": 2},
        "co_training": {"cycles": 1, "round_a": 0, "round_b": 1},
    }
    configuration = schedule.experiment_in(tmp_path, changes)
    planned = schedule.jobs_of_dry_run(schedule.dry_run(configuration, tmp_path))
    jobs = {job.name: job for job in planned}
    assert len(jobs) == len(planned)

    def before(name):
        return {other for other in jobs[name].after if not other.startswith("write_settings")}

    step, last = "self_training/00", "co_training/00/b"
    assert before("train baseline") == {"collect_checks", "translate gtav"}
    assert before(f"predict baseline subset/{step} 1") == {"train baseline", f"choose_subset {step}"}
    shards = {f"predict baseline subset/{step} {shard}" for shard in (0, 1)}
    # A model that has collapsed is known by the classes that the source has.
    assert before(f"thresholds {step}") == shards | {"check_data gtav labelled"}
    assert before("label_round 00") == shards | {f"choose_subset {step}", f"thresholds {step}"}
    assert f"relabel {step}" in before("accumulate self_training/01")
    # Branch a begins with the first round, branch b with the last one.
    assert "train self_training/00" in before("predict self_training/00 subset/co_training/00/a 0")
    assert "train self_training/01" in before(f"predict self_training/01 subset/{last} 0")
    assert before("train final") >= {"train baseline", "join_ensemble"}
    assert before("join_ensemble") >= {"ensemble_labels 0", "ensemble_labels 1"}
    assert before("evaluate final cityscapes_val") == {
        *("convert_labels cityscapes_val", "sample labelled/cityscapes_val"),
        *(f"predict final labelled/cityscapes_val {shard}" for shard in (0, 1)),
    }
    asked = ("train final", "check_device", "predict final labelled/cityscapes_val 0", "translate gtav")
    assert [jobs[name].gpus for name in asked] == [2, 2, 1, 0]

    plan = RunPlan(resolve(configuration))
    speeds = schedule.Speeds(
        milliseconds=50,
        unrecorded_milliseconds=20,
        images_a_second=25,
        start_up=4,
        efficiency=0.8,
        cores=8,
    )
    seconds = {job.name: schedule.seconds_of(job, plan, speeds) for job in planned}
    assert seconds["train final"] == pytest.approx(4 + 60_000 * 0.05 / 1.6)
    assert seconds[f"train {last}"] == pytest.approx(4 + 8_000 * 0.05 / 1.6)
    # 500 images, half in each shard; all 2 975 of the target; the 100 that the first round has kept.
    assert seconds[f"predict baseline subset/{step} 1"] == pytest.approx(4 + 250 / 25)
    assert seconds[f"predict {last} target 0"] == pytest.approx(4 + 1_488 / 25)
    assert seconds[f"predict {step} accumulated 0"] == pytest.approx(4 + 50 / 25)
    assert seconds["translate gtav"] == pytest.approx(1 + 24_966 * 0.2 / 8)
    assert seconds["exchange 00"] == pytest.approx(1 + 14.2)
    assert seconds["ensemble_labels 1"] == pytest.approx(1 + 2_975 * 14.2 / 1_000)
    assert seconds["accumulate self_training/01"] == 1


def test_schedule(tmp_path, capsys):
    plot = tmp_path / "plots" / "schedule.png"
    schedule.main(
        ["--gpus", "1", "2", "--gpus-per-training", "1", "--shards", "1", "--cores", "2", "--plot", str(plot)]
    )
    *_, row = capsys.readouterr().out.splitlines()
    limit, one, two = figures_of(row, "h")
    # Of the 280 000 iterations the 40 000 of one branch can be trained beside the others.
    assert 240_000 * 0.028 / 3600 < limit <= two < one
    assert 280_000 * 0.028 / 3600 < one < 280_000 * 0.028 / 3600 + limit
    assert f"{one:.2f} h, 1.00×" in row
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_target_statistics(tmp_path, capsys):
    settings, space = networks.NETWORKS["the demo's"], label_space("cityscapes7")
    save_weights(tmp_path / "model.safetensors", build_network(settings, 7, 0, False), settings, space)
    rng, items = np.random.default_rng(0), []
    for name in "ab":
        write_image(tmp_path / f"{name}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
        items.append(Item(name, tmp_path / f"{name}.png", 96, 64))
    write_manifest(tmp_path / "images.tsv", items)
    words = ["--model", tmp_path / "model.safetensors", "--images", tmp_path / "images.tsv"]
    target_statistics.main([str(word) for word in [*words, "--output", tmp_path / "new"]])
    assert "statistics of 2 images in" in capsys.readouterr().out

    (old,), _ = load_networks([tmp_path / "model.safetensors"])
    (new,), _ = load_networks([tmp_path / "new" / "weights.safetensors"])
    for (name, before), after in zip(old.state_dict().items(), new.state_dict().values(), strict=True):
        assert torch.equal(before, after) == (name.split(".")[-1] not in STATISTICS), name
    # The first batch norm sees what the first convolution makes of the images.
    images = torch.from_numpy(np.stack([read_image(item.image) for item in items])).permute(0, 3, 1, 2)
    seen = []
    first = next(layer for layer in new.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        new.eval()(images)
    assert torch.allclose(first.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(first.running_var, seen[0].var((0, 2, 3)), rtol=1e-4)
