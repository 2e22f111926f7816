import pytest
import torch

from cotrain.networks.published_weights import our_name, renamed


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


def test_what_stands_before_all_names_is_left_out():
    tensors = {"model.module.backbone.stem.conv1.weight": torch.ones(2), "model.module.x": torch.ones(1)}
    tensors["optimizer.state.0.momentum_buffer"] = torch.ones(3)
    counterparts, others = renamed(tensors)
    assert {name: len(tensor) for name, tensor in counterparts.items()} == {"backbone.conv1.0.weight": 2}
    assert others == ["x"]


def test_names_without_a_counterpart():
    counterparts, others = renamed({"res2.0.conv1.weight": torch.ones(2), "fc.bias": torch.ones(1)})
    assert list(counterparts) == ["backbone.layer1.0.conv1.weight"]
    assert others == ["fc.bias"]
