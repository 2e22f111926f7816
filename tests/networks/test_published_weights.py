import pickle
import re

import numpy as np
import pytest
import torch

from cotrain.errors import InputError
from cotrain.networks.published_weights import our_name, read_checkpoint, renamed


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("backbone.stem.conv1.weight", "backbone.conv1.0.weight"),
        ("stem.conv1.norm.running_var", "backbone.conv1.1.running_var"),
        ("backbone.stem.conv2.norm.bias", "backbone.conv1.4.bias"),
        ("backbone.stem.conv3.weight", "backbone.conv1.6.weight"),
        ("backbone.stem.conv3.norm.weight", "backbone.bn1.weight"),
        ("res2.0.shortcut.weight", "backbone.layer1.0.downsample.0.weight"),
        ("backbone.res2.0.shortcut.norm.running_mean", "backbone.layer1.0.downsample.1.running_mean"),
        ("backbone.res4.22.conv3.norm.bias", "backbone.layer3.22.bn3.bias"),
        ("backbone.res5.2.conv2.weight", "backbone.layer4.2.conv2.weight"),
        ("sem_seg_head.decoder.res2.project_conv.weight", "low_level.0.weight"),
        ("sem_seg_head.decoder.res2.project_conv.norm.weight", "low_level.1.weight"),
        ("sem_seg_head.decoder.res2.fuse_conv.1.weight", "decoder.1.0.weight"),
        ("sem_seg_head.decoder.res2.fuse_conv.0.norm.bias", "decoder.0.1.bias"),
        ("sem_seg_head.decoder.res5.project_conv.convs.3.weight", "pyramid.branches.3.0.weight"),
        ("sem_seg_head.decoder.res5.project_conv.convs.0.norm.bias", "pyramid.branches.0.1.bias"),
        ("sem_seg_head.decoder.res5.project_conv.convs.4.1.bias", "pyramid.pooling.0.bias"),
        ("sem_seg_head.decoder.res5.project_conv.project.weight", "pyramid.merge.0.weight"),
        ("sem_seg_head.decoder.res5.project_conv.project.norm.running_var", "pyramid.merge.1.running_var"),
        ("sem_seg_head.predictor.weight", "classifier.weight"),
        ("backbone.stem.conv1.norm.num_batches_tracked", None),
        ("stem.fc.weight", None),
        ("pixel_mean", None),
    ],
)
def test_names(published, ours):
    assert our_name(published) == ours


def test_renamed_tells_what_is_not_taken():
    taken, left = renamed({"res2.0.conv1.weight": torch.ones(2), "fc.bias": torch.ones(1)})
    assert list(taken) == ["backbone.layer1.0.conv1.weight"]
    assert left == ["fc.bias"]


def test_pickle_of_arrays(tmp_path):
    path = tmp_path / "R-103.pkl"
    arrays = {"stem.conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "x", "matching_heuristics": True}))
    tensors = read_checkpoint(path)
    assert torch.equal(tensors["stem.conv1.weight"], torch.arange(6.0).reshape(1, 2, 3))


def test_checkpoint_with_optimiser(tmp_path):
    torch.save(
        {"model": {"a": torch.ones(2)}, "optimizer": {"lr": 0.1}, "iteration": 9}, tmp_path / "model.pth"
    )
    assert torch.equal(read_checkpoint(tmp_path / "model.pth")["a"], torch.ones(2))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["evil.pkl", "evil.pth"])
def test_code_is_refused_and_does_not_run(tmp_path, name):
    content = {"model": {"a": Evil(str(tmp_path / "written"))}}
    path = tmp_path / name
    if name.endswith(".pth"):
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_checkpoint(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (pickle.dumps({"model": {"a": np.ones(9)}})[:40], "cannot be read"),
        (pickle.dumps([1, 2]), "holds list"),
        (pickle.dumps({"model": {}}), "expected names and tensors"),
        (pickle.dumps({"a": "text"}), "expected names and tensors"),
    ],
)
def test_what_is_no_checkpoint_is_explained(tmp_path, content, message):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "gone.pkl")
