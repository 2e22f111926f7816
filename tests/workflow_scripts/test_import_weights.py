import pickle
import re

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.weights import load_network, read_header
from workflow_scripts.import_weights import PUBLISHED_NETWORK, main


def published_name(ours):
    """Return Detectron2's name of one of our tensors, written down the other way round."""
    stem = {"conv1.0": "conv1", "conv1.1": "conv1.norm", "conv1.3": "conv2", "conv1.4": "conv2.norm"}
    stem |= {"conv1.6": "conv3", "bn1": "conv3.norm"}
    head = "sem_seg_head.decoder"
    rules = [
        (r"backbone\.(conv1\.\d|bn1)\.(\w+)", lambda m: f"backbone.stem.{stem[m[1]]}.{m[2]}"),
        (
            r"backbone\.layer(\d)\.(\d+)\.conv(\d)\.(\w+)",
            lambda m: f"backbone.res{int(m[1]) + 1}.{m[2]}.conv{m[3]}.{m[4]}",
        ),
        (
            r"backbone\.layer(\d)\.(\d+)\.bn(\d)\.(\w+)",
            lambda m: f"backbone.res{int(m[1]) + 1}.{m[2]}.conv{m[3]}.norm.{m[4]}",
        ),
        (
            r"backbone\.layer(\d)\.0\.downsample\.0\.(\w+)",
            lambda m: f"backbone.res{int(m[1]) + 1}.0.shortcut.{m[2]}",
        ),
        (
            r"backbone\.layer(\d)\.0\.downsample\.1\.(\w+)",
            lambda m: f"backbone.res{int(m[1]) + 1}.0.shortcut.norm.{m[2]}",
        ),
        (r"low_level\.0\.(\w+)", lambda m: f"{head}.res2.project_conv.{m[1]}"),
        (r"low_level\.1\.(\w+)", lambda m: f"{head}.res2.project_conv.norm.{m[1]}"),
        (r"decoder\.(\d)\.0\.(\w+)", lambda m: f"{head}.res2.fuse_conv.{m[1]}.{m[2]}"),
        (r"decoder\.(\d)\.1\.(\w+)", lambda m: f"{head}.res2.fuse_conv.{m[1]}.norm.{m[2]}"),
        (r"pyramid\.branches\.(\d)\.0\.(\w+)", lambda m: f"{head}.res5.project_conv.convs.{m[1]}.{m[2]}"),
        (
            r"pyramid\.branches\.(\d)\.1\.(\w+)",
            lambda m: f"{head}.res5.project_conv.convs.{m[1]}.norm.{m[2]}",
        ),
        (r"pyramid\.pooling\.0\.(\w+)", lambda m: f"{head}.res5.project_conv.convs.4.1.{m[1]}"),
        (r"pyramid\.merge\.0\.(\w+)", lambda m: f"{head}.res5.project_conv.project.{m[1]}"),
        (r"pyramid\.merge\.1\.(\w+)", lambda m: f"{head}.res5.project_conv.project.norm.{m[1]}"),
        (r"classifier\.(\w+)", lambda m: f"sem_seg_head.predictor.{m[1]}"),
    ]
    for pattern, name in rules:
        found = re.fullmatch(pattern, ours)
        if found:
            return name(found)
    raise AssertionError(ours)


@pytest.fixture(scope="module")
def published():
    """Return the paper's network with 20 outputs and its tensors as a checkpoint holds them."""
    torch.set_num_threads(2)
    network = build_network(PUBLISHED_NETWORK, 20, seed=5, pretrained=False)
    with torch.no_grad():
        for tensor in network.model.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    tensors = network.model.state_dict()
    return network, {published_name(name): t for name, t in tensors.items() if "num_batches" not in name}


def test_the_published_network():
    # Dilations and strides are in no tensor: weights would fit a network that computes something else.
    assert msgspec.to_builtins(PUBLISHED_NETWORK) == {
        **{"name": "deeplabv3plus", "backbone": "resnet101s", "backbone_weights": "none"},
        **{"output_stride": 16, "last_stage_dilations": (2, 4, 8)},
        **{"aspp_channels": 256, "aspp_dilations": (6, 12, 18), "low_level_channels": 48},
        **{"decoder_channels": 256, "dropout": 0.1},
    }


def test_the_whole_checkpoint(published, tmp_path, caplog):
    network, tensors = published
    checkpoint = {"model": tensors | {"pixel_mean": torch.ones(3)}, "iteration": 7}
    torch.save(checkpoint, tmp_path / "model_final.pth")
    main(["--from", str(tmp_path / "model_final.pth"), "--output", str(tmp_path / "paper.safetensors")])
    settings, space = read_header(tmp_path / "paper.safetensors")
    assert (settings, space.name) == (PUBLISHED_NETWORK, "cityscapes19")
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network.eval()(images)[:, :19]
        found = load_network(tmp_path / "paper.safetensors").eval()(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert "not taken: pixel_mean" in caplog.text
    assert "left out its last output" in caplog.text
    assert "whole network" in caplog.text


def test_the_backbone(published, tmp_path, caplog):
    network, tensors = published
    arrays = {
        name.removeprefix("backbone."): tensor.numpy()
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    (tmp_path / "R-103.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "someone"}))
    output = tmp_path / "R-103.safetensors"
    main(["--from", str(tmp_path / "R-103.pkl"), "--output", str(output)])
    assert len(load_file(output)) == len(arrays)
    settings = msgspec.structs.replace(PUBLISHED_NETWORK, backbone_weights=str(output))
    loaded = build_network(settings, 19, seed=1, pretrained=True).model.backbone.state_dict()
    for name, tensor in network.model.backbone.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(loaded[name], tensor), name
    assert "backbone, for network.backbone_weights" in caplog.text


def test_another_network_is_refused(published, tmp_path):
    _, tensors = published
    fewer = {name: tensor for name, tensor in tensors.items() if "res4.22" not in name}
    torch.save({"model": fewer}, tmp_path / "r100.pth")
    with pytest.raises(InputError, match=r"r100.pth: not the weights .*15 of .*layer3.22.conv1.weight"):
        main(["--from", str(tmp_path / "r100.pth"), "--output", str(tmp_path / "out.safetensors")])
    assert not (tmp_path / "out.safetensors").exists()


def test_classes_that_do_not_match_are_refused(published, tmp_path):
    _, tensors = published
    torch.save({"model": tensors}, tmp_path / "model.pth")
    output = str(tmp_path / "out.safetensors")
    with pytest.raises(InputError, match=r"classifier.weight is \(20, 256, 1, 1\), expected \(11, "):
        main(["--from", str(tmp_path / "model.pth"), "--label-space", "camvid11", "--output", output])


def test_the_name_of_the_output_is_checked_first(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        main(["--from", str(tmp_path / "gone.pkl"), "--output", str(tmp_path / "out.pth")])
