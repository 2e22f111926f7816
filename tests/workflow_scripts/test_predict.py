from dataclasses import replace
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cotrain.adaptation.thresholds import LEVELS
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.images import read_image
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import write_manifest
from cotrain.data.predictions import Origin, PredictionReader, PredictionWriter, hash_of_images
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.weights import load_network, save_weights
from workflow_scripts import predict

CLASSES = 11


def run(tmp_path, flags, *more, name="0"):
    output = str(tmp_path / f"{name}.h5")
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", output, *more])
    return np.load(tmp_path / f"{name}.histogram.npz")["histogram"]


def test_predictions_and_their_histogram(model, tmp_path):
    items, flags = model
    histogram = run(tmp_path, flags)
    assert (histogram.shape, histogram.dtype) == ((CLASSES, LEVELS), np.int64)
    counted = np.zeros_like(histogram)
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        for item in items:
            classes, levels = reader.read(item.id)
            assert classes.shape == (item.height, item.width)
            np.add.at(counted, (classes, levels), 1)
    np.testing.assert_array_equal(histogram, counted)


def test_shards_together_are_the_whole(model, tmp_path):
    items, flags = model
    whole = run(tmp_path, flags, name="whole")
    # More shards than images: the last ones are empty files, which are as good as any.
    parts = [run(tmp_path, flags, "--shard", str(s), "--shards", "7", name=f"p{s}") for s in range(7)]
    np.testing.assert_array_equal(sum(parts), whole)
    assert not parts[-1].any()
    paths = [tmp_path / f"p{s}.h5" for s in range(7)]
    with PredictionReader(paths) as cut, PredictionReader([tmp_path / "whole.h5"]) as uncut:
        for item in items:
            for one, other in zip(cut.read(item.id), uncut.read(item.id), strict=True):
                np.testing.assert_array_equal(one, other)


def test_the_number_of_shards_changes_no_byte(tmp_path, make_items, network_settings, settings_file):
    """Where batches are cut differently, some confidences are rounded differently."""
    torch.set_num_threads(1)
    wide = msgspec.structs.replace(network_settings, aspp_channels=128, decoder_channels=128)
    network = build_network(wide, CLASSES, 1, pretrained=False)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    network.train()(torch.randint(0, 256, (4, 3, 64, 64)))
    save_weights(tmp_path / "weights.safetensors", network, wide, label_space("camvid11"))
    items = make_items("x", 11, [(40, 48)] * 6 + [(24, 32)])
    write_manifest(tmp_path / "images.tsv", items)
    settings = settings_file(InferenceSettings(batch_size=4, class_balance=0.7), "four")
    flags = ["--model", str(tmp_path / "weights.safetensors"), "--device", "cpu", "--settings", settings]
    whole = run(tmp_path, flags, name="whole")
    with PredictionReader([tmp_path / "whole.h5"]) as reader:
        expected = {item.id: [part.tobytes() for part in reader.read(item.id)] for item in items}
    for shards in (2, 3, 8):
        more = ["--shards", str(shards)]
        parts = [
            run(tmp_path, flags, "--shard", str(shard), *more, name=f"{shards}_{shard}")
            for shard in range(shards)
        ]
        np.testing.assert_array_equal(sum(parts), whole)
        paths = [tmp_path / f"{shards}_{shard}.h5" for shard in range(shards)]
        with PredictionReader(paths) as reader:
            found = {item.id: [part.tobytes() for part in reader.read(item.id)] for item in items}
        assert found == expected, shards


def test_class_balance_divides_by_a_power_of_the_mean_of_images_spread_over_the_set(
    model, tmp_path, settings_file, monkeypatch
):
    items, flags = model
    monkeypatch.setattr(predict, "IMAGES_FOR_MEANS", 2)
    settings = InferenceSettings(batch_size=4, class_balance=0.7, precision="float32")
    run(tmp_path, [*flags, "--settings", settings_file(settings, "balanced")])
    network = load_network(Path(flags[flags.index("--model") + 1])).eval()

    def probabilities(item):
        with torch.no_grad():
            logits = network(torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None])
        return F.interpolate(logits, (item.height, item.width), mode="bilinear").softmax(1)[0].double()

    # Two of five images: the first and the third.
    assert len(items) == 5
    mean = torch.stack([probabilities(items[place]).mean((1, 2)) for place in (0, 2)]).mean(0)
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        for item in items:
            classes, levels = reader.read(item.id)
            expected = probabilities(item) / mean[:, None, None] ** 0.7
            expected = (expected / expected.sum(0)).numpy()
            sure = np.sort(expected, axis=0)
            clear = sure[-1] - sure[-2] > 1e-4
            np.testing.assert_array_equal(classes[clear], expected.argmax(0)[clear])
            assert np.abs(levels - 65535 * expected.max(0)).max() < 20


def test_ego_vehicle_is_not_counted(model, tmp_path):
    _, flags = model
    mask = np.zeros((40, 48), np.uint8)
    mask[30:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    histogram = run(tmp_path, flags, "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert histogram.sum() == 5 * 30 * 48


def test_a_failure_leaves_no_file(model, tmp_path):
    items, flags = model
    items[3].image.write_bytes(b"")
    with pytest.raises(InputError, match=r"3\.png"):
        run(tmp_path, flags)
    assert not list(tmp_path.glob("*.h5"))
    assert not list(tmp_path.glob("*.npz"))


def test_what_a_killed_process_left_is_removed(model, tmp_path):
    _, flags = model
    half = tmp_path / ".0.99.partial.h5"
    half.write_bytes(b"half")
    run(tmp_path, flags)
    assert not half.exists()


def test_what_the_shards_say_of_themselves(model, tmp_path, settings_file):
    items, flags = model
    of_bfloat16 = settings_file(InferenceSettings(batch_size=1, precision="bfloat16"), "bfloat16")
    origins = []
    for shard, more in ((0, []), (1, []), (1, ["--settings", of_bfloat16])):
        run(tmp_path, flags, *more, "--shard", str(shard), "--shards", "2", name="x")
        with h5py.File(tmp_path / "x.h5") as file, np.load(tmp_path / "x.histogram.npz") as beside:
            assert file.attrs["origin"].decode() == str(beside["origin"])
            origins.append(Origin.from_text(str(beside["origin"]), tmp_path))
    first, second, other = origins
    assert second == replace(first, shard=1)
    assert (first.shard, first.shards, len(first.classes)) == (0, 2, CLASSES)
    assert first.images == hash_of_images(items)
    assert other == replace(second, model=other.model)
    assert other.model != second.model


def test_a_shard_beyond_the_shards_is_refused(model, tmp_path):
    _, flags = model
    with pytest.raises(InputError, match="--shard 2: expected 0 to 1"):
        run(tmp_path, flags, "--shard", "2", "--shards", "2")


def test_predictions_are_h5_files(model, tmp_path):
    _, flags = model
    with pytest.raises(InputError, match=r"--output: found .*0\.hdf5, expected a name that ends in \.h5"):
        predict.main([*flags, "--images", "images.tsv", "--output", str(tmp_path / "0.hdf5")])


def test_several_weights_are_averaged(model, tmp_path, network_settings):
    items, flags = model
    torch.set_num_threads(1)
    settings = msgspec.structs.replace(network_settings, backbone="test_resnet")
    other = build_network(settings, CLASSES, 5, pretrained=False)
    torch.nn.init.normal_(other.model.classifier.weight, std=3.0)
    save_weights(tmp_path / "other.safetensors", other, settings, label_space("camvid11"))
    networks = [load_network(Path(flags[1])).eval(), other.eval()]
    run(tmp_path, [*flags[:2], str(tmp_path / "other.safetensors"), *flags[2:]])
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        for item in items:
            images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
            with torch.no_grad():
                logits = [
                    F.interpolate(network(images), images.shape[2:], mode="bilinear", align_corners=False)
                    for network in networks
                ]
            confidences, expected = torch.stack([part.softmax(1) for part in logits]).mean(0)[0].max(0)
            classes, levels = reader.read(item.id)
            np.testing.assert_array_equal(classes, expected.numpy())
            assert np.abs(levels - 65535.0 * confidences.numpy()).max() <= 1
    assert (classes != logits[0].argmax(1)[0].numpy()).any()


def test_weights_of_another_label_space_are_refused(model, tmp_path, network_settings):
    _, flags = model
    space = label_space("idd7")
    network = build_network(network_settings, space.number_of_classes, 5, pretrained=False)
    save_weights(tmp_path / "idd.safetensors", network, network_settings, space)
    with pytest.raises(
        InputError, match=r"idd\.safetensors: weights for idd7 .* expected the label space of"
    ):
        run(tmp_path, [*flags[:2], str(tmp_path / "idd.safetensors"), *flags[2:]])


def test_one_temperature_for_each_model(model, tmp_path):
    _, flags = model
    (tmp_path / "t.json").write_text('{"temperature": 2.0}')
    with pytest.raises(InputError, match="--temperature: found 2 files for 1 model, expected one for each"):
        run(tmp_path, flags, "--temperature", *[str(tmp_path / "t.json")] * 2)


def test_a_failure_to_write_ends_the_prediction(model, tmp_path, monkeypatch):
    """The thread that writes finds out: with the second image, say."""
    _, flags = model
    written = []

    def fail(writer, packed):
        written.append(packed.image_id)
        if len(written) == 2:
            raise ValueError("no more")

    monkeypatch.setattr(PredictionWriter, "write_packed", fail)
    with pytest.raises(ValueError, match="no more"):
        run(tmp_path, flags)
    assert not list(tmp_path.glob("*.h5"))
    assert not list(tmp_path.glob(".*.h5"))
    assert not list(tmp_path.glob("*.npz"))
