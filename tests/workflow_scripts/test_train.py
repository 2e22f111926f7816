import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from cotrain.configuration.sections import RareClassSampling
from cotrain.data.images import read_image, write_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from cotrain.networks.weights import load_network, read_header, save_weights
from workflow_scripts import decode_images, train

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture
def arguments(tmp_path, make_items, training_settings, settings_file):
    """Return a function that makes the command line of a training on three source and two target images."""
    torch.set_num_threads(1)
    for name, number in (("source", 3), ("target", 2)):
        write_manifest(tmp_path / f"{name}.tsv", make_items(name, number, seed=number))

    def make(name, *more, target=False, **changes):
        if target:
            changes = {"batch_ratio": (1, 1), "class_mixing": "plain", **changes}
            more = (*more, "--target", str(tmp_path / "target.tsv"))
        settings = settings_file(msgspec.structs.replace(training_settings, **changes), f"{name} settings")
        flags = ["--name", "baseline", "--source", str(tmp_path / "source.tsv"), "--label-space", "camvid11"]
        flags += ["--settings", settings, "--device", "cpu", "--threads", "1", "--log-every", "1"]
        return [*flags, "--state", str(tmp_path / "state" / name), "--output", str(tmp_path / name), *more]

    return make


def weights(folder):
    return load_file(folder / "weights.safetensors")


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def record(folder):
    return json.loads((folder / "training.json").read_text())


def test_what_a_training_leaves(arguments, tmp_path):
    train.main(arguments("model", target=True, iterations=3))
    settings, space = read_header(tmp_path / "model" / "weights.safetensors")
    assert (settings.backbone, space.name) == ("test_efficientnet", "camvid11")
    history = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text().splitlines()]
    assert [entry["iteration"] for entry in history] == [1, 2, 3]
    training = record(tmp_path / "model")
    # Their labels are no pseudo-labels.
    assert training["images"] == {"source": 3, "target": 2, "kept_share": None}
    assert training["last_loss"] == history[-1]["loss"]
    assert set(training["parents"]) == {str(tmp_path / "source.tsv"), str(tmp_path / "target.tsv")}
    assert (training["settings"]["iterations"], training["label_space"], training["resumes"]) == (
        3,
        "camvid11",
        0,
    )
    assert training["device"]
    assert training["peak_memory_mib"] > 10


def test_first_loss_is_that_of_guessing(arguments, tmp_path):
    train.main(arguments("model", iterations=1))
    first = json.loads((tmp_path / "model" / "history.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(2.398, abs=0.05)


def test_starting_from_the_weights_of_another_model(arguments, tmp_path, network_settings):
    train.main(arguments("first"))
    initial = ["--initial-weights", str(tmp_path / "first" / "weights.safetensors")]
    train.main(arguments("second", *initial, learning_rate=1e-30, weight_decay=0.0))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    trained = [name for name in first if "running" not in name and "num_batches" not in name]
    # Not equal: a weight that is exactly 0, say behind a dead ReLU, moves by 1e-30 times its gradient.
    assert all(torch.allclose(first[name], second[name], rtol=0, atol=1e-20) for name in trained)
    space = ["--label-space", "cityscapes7"]
    with pytest.raises(InputError, match="weights for camvid11, expected those for cityscapes7"):
        train.main([*arguments("third", *initial), *space])
    other = msgspec.structs.replace(network_settings, backbone="test_resnet")
    message = (
        "weights for camvid11, backbone test_efficientnet, expected those for camvid11, backbone test_resnet"
    )
    with pytest.raises(InputError, match=message):
        train.main(arguments("third", *initial, network=other))


def test_terminated_it_saves_and_resumes(arguments, tmp_path):
    # Long enough that the signal comes before the end, and not so long that the test is.
    command = [*arguments("model", iterations=80), "--save-every", "10", "--tensorboard", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workflow_scripts.train", *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "state" / "model" / "last.pt").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate()
    assert process.returncode == 143
    assert "stopped by SIGTERM at iteration" in messages
    [events] = (tmp_path / "model").iterdir()
    assert events.name.startswith("events.out.tfevents.")

    train.main(command)
    train.main(arguments("uninterrupted", iterations=80))
    assert record(tmp_path / "model")["resumes"] == 1
    assert same(weights(tmp_path / "model"), weights(tmp_path / "uninterrupted"))
    history = [(tmp_path / name / "history.jsonl").read_text() for name in ("model", "uninterrupted")]
    assert history[0] == history[1]
    # The file of the second start has each point once, and no weight is another because of it.
    _, events = sorted((tmp_path / "model").glob("events.out.tfevents.*"))
    assert events.read_bytes().count(b"loss") == len(history[0].splitlines())
    assert not list((tmp_path / "uninterrupted").glob("events*"))


def test_images_made_again_are_trained_on_again(arguments, tmp_path):
    train.main(arguments("model"))
    before = weights(tmp_path / "model")
    train.main(arguments("model"))
    assert same(before, weights(tmp_path / "model"))
    # Under the same name, so that the manifest stays the same to the byte.
    for path in (tmp_path / "source" / "images").iterdir():
        write_image(path, 255 - read_image(path) // 2)
    train.main(arguments("model"))
    assert not same(before, weights(tmp_path / "model"))


def test_the_order_of_sources_is_part_of_what_is_trained(arguments, tmp_path):
    other = str(tmp_path / "target.tsv")
    train.main([*arguments("model"), "--source", str(tmp_path / "source.tsv"), other])
    before = weights(tmp_path / "model")
    train.main([*arguments("model"), "--source", other, str(tmp_path / "source.tsv")])
    assert not same(before, weights(tmp_path / "model"))


def test_out_of_memory_ends_with_advice(arguments, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", exhausted)
    with pytest.raises(InputError) as error:
        train.main(arguments("model"))
    for advice in (
        "out of memory",
        "training.crop below [32, 32]",
        "output_stride above 16",
        "precision: auto",
    ):
        assert advice in str(error.value)


def test_a_training_that_diverges_ends_with_advice(arguments):
    with pytest.raises(InputError, match=r"^baseline: .* finite|^baseline: the loss is nan") as error:
        train.main(arguments("model", learning_rate=1e30, warmup_iterations=0))
    assert "A lower training.learning_rate" in str(error.value)


def test_a_class_that_vanished_is_reported(arguments, tmp_path, caplog):
    # Frozen weights that give one class to all pixels, and labels that hold all eleven.
    train.main(arguments("first", iterations=1))
    path = tmp_path / "first" / "weights.safetensors"
    settings, space = read_header(path)
    network = load_network(path)
    torch.nn.init.zeros_(network.model.classifier.bias)
    network.model.classifier.bias.data[4] = 50.0
    save_weights(path, network, settings, space)
    initial = ["--initial-weights", str(path)]
    # What the first training may have said is not of interest.
    caplog.clear()
    train.main(arguments("model", *initial, learning_rate=1e-30, weight_decay=0.0))
    vanished = record(tmp_path / "model")["vanished_classes"]
    assert vanished == [name for name in label_space("camvid11").classes if name != "sidewalk"]
    [warning] = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert f"although the labels hold them: {', '.join(vanished)}. Most often the iterations" in warning
    # 0.15 % of 40 × 48 pixels.
    key = "training.rare_class_sampling: {enabled: true, min_pixels: 3}"
    assert f"{key}, a larger hard_pixel_share" in warning
    assert "portion" not in warning
    # A model that starts from there only says that nothing has changed.
    caplog.clear()
    initial = ["--initial-weights", str(tmp_path / "model" / "weights.safetensors")]
    train.main(arguments("third", *initial, target=True, learning_rate=1e-30, weight_decay=0.0))
    [warning] = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert warning == (
        "baseline: still not predicted near the end, as in the model that it started from: "
        + ", ".join(record(tmp_path / "third")["vanished_classes"])
    )


def test_fewer_target_images_than_a_batch_takes_are_noted(arguments, caplog):
    train.main(arguments("model", target=True, batch_size=4, batch_ratio=(1, 3)))
    assert "baseline: only 2 target images for the 3 in every batch" in caplog.text
    caplog.clear()
    train.main(arguments("other", target=True, batch_size=4, batch_ratio=(2, 2)))
    assert "target images for the" not in caplog.text


def test_decoded_images_train_the_same_weights(arguments, tmp_path, monkeypatch):
    train.main(arguments("model", target=True))
    flags = []
    for name in ("source", "target"):
        flags.append(str(tmp_path / "decoded" / name / "index.tsv"))
        manifest = ["--manifest", str(tmp_path / f"{name}.tsv")]
        decode_images.main([*manifest, "--output", str(tmp_path / "decoded" / name)])

    def fail(path):
        raise AssertionError(f"{path} is decoded again")

    monkeypatch.setattr("cotrain.training.batches.read_image", fail)
    train.main(arguments("decoded model", "--decoded", *flags, target=True))
    names = ("model", "decoded model")
    assert len({(tmp_path / name / "weights.safetensors").read_bytes() for name in names}) == 1


def test_two_processes_train_one_model(arguments, tmp_path, network_settings, caplog):
    """Started by torchrun: one set of files, and what one process would have learnt and reported."""
    network = msgspec.structs.replace(network_settings, dropout=0.0)
    train.main(arguments("alone", target=True, network=network))
    command = [*LAUNCHER, "-m", "workflow_scripts.train", *arguments("model", target=True, network=network)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("baseline: weights in") == 1
    assert record(tmp_path / "model")["processes"] == 2
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("model", "alone")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert [record(tmp_path / name)["last_loss"] for name in ("model", "alone")] == [
        losses[0][-1],
        losses[1][-1],
    ]
    vanished = [record(tmp_path / name)["vanished_classes"] for name in ("model", "alone")]
    assert vanished[0] == vanished[1]
    # The state of two serves one: there is nothing left to train.
    train.main(arguments("model", target=True, network=network))
    assert "resumed at iteration 2 of 2" in caplog.text


def test_a_signal_to_the_launcher_stops_all_processes_with_their_state_saved(arguments, tmp_path):
    """SIGUSR1, as clusters send it before the time is up, started as the workflow starts it."""
    rule = (Path(__file__).parents[2] / "rules" / "common.smk").read_text()
    (signals,) = re.findall(r"--signals-to-handle (\S+)\"", rule)
    launcher = [*LAUNCHER, "--signals-to-handle", signals, "-m", "workflow_scripts.train"]
    command = [*launcher, *arguments("model", "--save-every", "5", target=True, iterations=100_000)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    while not (tmp_path / "state" / "model" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    _, messages = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "stopped by SIGUSR1 at iteration" in messages
    # Nobody holds the state any more.
    with open(tmp_path / "state" / "model" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestRareClasses:
    RARE = RareClassSampling(enabled=True, temperature=0.01, min_pixels=1)

    def statistics(self, path, counts):
        images = {image_id: [0] * 11 for image_id in counts}
        for image_id, of_class in counts.items():
            for train_id, pixels in of_class.items():
                images[image_id][train_id] = pixels
        path.write_text(json.dumps({"classes": list(label_space("camvid11").classes), "images": images}))
        return str(path)

    def test_each_source_has_statistics_of_its_own(self, arguments, tmp_path, make_items, monkeypatch):
        # Both sets call their images i0, i1, ...; the rare class 5 is in image 1 of the second set only.
        sets = []
        for name in ("first", "second"):
            items = [
                item.__class__(f"i{n}", item.image, item.width, item.height, item.label)
                for n, item in enumerate(make_items(name, 2))
            ]
            write_manifest(tmp_path / f"{name}.tsv", items)
            sets += items
        common = {0: 10**6}
        of_first = self.statistics(tmp_path / "1.json", {"i0": common, "i1": common})
        of_second = self.statistics(tmp_path / "2.json", {"i0": common, "i1": {0: 10**6, 5: 100}})
        sources = ["--source", str(tmp_path / "first.tsv"), str(tmp_path / "second.tsv")]
        statistics = ["--class-statistics", of_first, of_second]
        seen = []

        def make_only_batches(name, settings, space, files, **_):
            seen.append(files.make_batches(files.read_images(), name, settings, space))

        monkeypatch.setattr("cotrain.training.train_model.train_model", make_only_batches)
        train.main([*arguments("model", rare_class_sampling=self.RARE), *sources, *statistics])
        sampler = seen[0].source.sampler
        drawn = [sampler.index(position) for position in range(200)]
        # At this temperature hardly anything but the rare class is drawn.
        assert drawn.count(3) > 190

    def test_missing_statistics_are_reported(self, arguments, tmp_path):
        with pytest.raises(
            InputError, match=r"--class-statistics: found 0 files, expected one for each of the source"
        ):
            train.main(arguments("model", rare_class_sampling=self.RARE))
        path = self.statistics(tmp_path / "1.json", {"source_0": {0: 1}})
        with pytest.raises(InputError, match=r"1\.json: holds no statistics of image 'source_1'"):
            train.main(arguments("model", "--class-statistics", path, rare_class_sampling=self.RARE))


def test_mistakes_are_explained(arguments, tmp_path):
    with pytest.raises(InputError, match="class_mixing: on_demand needs --thresholds"):
        train.main(arguments("model", target=True, class_mixing="on_demand"))
    write_manifest(tmp_path / "none.tsv", [])
    with pytest.raises(InputError, match=r"none\.tsv: lists no target image to train on"):
        train.main(arguments("model", "--target", str(tmp_path / "none.tsv")))
    with pytest.raises(InputError, match="lists no image to train on"):
        train.main([*arguments("model"), "--source", str(tmp_path / "none.tsv")])
    (tmp_path / "source" / "images" / "1.png").unlink()
    with pytest.raises(InputError, match=r"1\.png: image cannot be read"):
        train.main(arguments("model"))


def test_settings_have_all_their_parts(arguments, tmp_path):
    (tmp_path / "s.json").write_text('{"seed": 1, "crop": [32]}')
    with pytest.raises(InputError, match=r"s\.json has 4 problems:") as error:
        train.main([*arguments("model"), "--settings", str(tmp_path / "s.json")])
    for key in ("network", "iterations", "hard_pixel_share"):
        assert f"{key}: missing, expected " in str(error.value)
    assert "crop: expected [height, width], two integers >= 32, found [32]" in str(error.value)


def test_on_demand_mixing_reads_the_thresholds(arguments, tmp_path, write_thresholds):
    one, other = (str(write_thresholds(name, {3: sure})) for name, sure in (("one", 0.7), ("other", 0.2)))
    for name, paths in (("one", [one]), ("both", [other, one]), ("other", [other])):
        files = ["--thresholds", *paths]
        train.main(arguments(name, *files, target=True, class_mixing="on_demand"))
        parents = record(tmp_path / name)["parents"]
        assert [path for path in parents if path in (one, other)] == paths
