"""What every network does: it maps uint8 RGB of any size to float logits of every class, and learns."""

import json
import re
import sys

import msgspec
import pytest
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from safetensors.torch import save_file
from timm import create_model
from torch import nn

from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import (
    DeepLabV3PlusSettings,
    NetworkSettings,
    OwnNetworkSettings,
    PlainTransformerSettings,
)
from cotrain.errors import InputError
from cotrain.networks.build import build_network

CLASSES = 5

DEEPLAB = DeepLabV3PlusSettings(
    backbone="test_efficientnet",
    backbone_weights="none",
    output_stride=16,
    last_stage_dilations=None,
    aspp_channels=8,
    aspp_dilations=(1, 2),
    decoder_channels=10,
    low_level_channels=4,
    dropout=0.3,
)
TRANSFORMER = PlainTransformerSettings(
    name="plain_transformer", backbone="test_vit", backbone_weights="none", decoder_channels=10, dropout=0.3
)
OWN = OwnNetworkSettings(name="networks_of_a_user:small", arguments={"width": 6})
NETWORKS = {
    "efficientnet": DEEPLAB,
    "resnet": replace(DEEPLAB, backbone="test_resnet"),
    "multi-grid": replace(DEEPLAB, backbone="test_resnet", last_stage_dilations=(4,)),
    "convnext": replace(DEEPLAB, backbone="test_convnext", output_stride=32),
    "not dilated": replace(DEEPLAB, backbone="pvt_v2_b0", output_stride=32),
    "vit": TRANSFORMER,
    "dinov2": replace(TRANSFORMER, backbone="vit_small_patch14_dinov2"),
    "dinov3": replace(TRANSFORMER, backbone="vit_small_patch16_dinov3"),
    "eva02": replace(TRANSFORMER, backbone="eva02_tiny_patch14_224"),
    "own": OWN,
}

USERS_MODULE = """
from torch import nn

def small(number_of_classes, width=4):
    network = nn.Sequential(
        nn.Conv2d(3, width, 3, 4, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, number_of_classes, 1)
    )
    network.mean, network.std = (10.0, 20.0, 30.0), (1.0, 2.0, 3.0)
    return network

def bare(number_of_classes):
    return nn.Conv2d(3, number_of_classes, 1)

def failing(number_of_classes):
    raise RuntimeError("no such file: weights.bin")

def no_module(number_of_classes):
    return [1, 2]

def other_classes(number_of_classes):
    return nn.Conv2d(3, number_of_classes + 1, 1)

def flat(number_of_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, number_of_classes))

class Labels(nn.Module):
    def __init__(self, number_of_classes):
        super().__init__()
        self.scores = nn.Conv2d(3, number_of_classes, 1)

    def forward(self, x):
        return (self.scores(x) > 0).long()

class Dictionary(Labels):
    def forward(self, x):
        return {"out": self.scores(x)}

class SquareOnly(Labels):
    def forward(self, x):
        return self.scores(x).view(1, -1, 96, 96)
"""


@pytest.fixture(autouse=True)
def module_of_a_user(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    (tmp_path / "networks_of_a_user.py").write_text(USERS_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("networks_of_a_user", None)


@pytest.fixture(params=NETWORKS)
def settings(request):
    return NETWORKS[request.param]


def test_settings_round_trip(settings):
    written = json.loads(json.dumps(msgspec.to_builtins(settings)))
    found = settings_of(written, NetworkSettings, "the settings")
    assert found == settings
    assert type(found) is type(settings)
    keys = msgspec.structs.asdict(settings).items()
    assert written == {key: list(value) if isinstance(value, tuple) else value for key, value in keys}


@pytest.mark.parametrize(("height", "width"), [(64, 96), (45, 61), (70, 64)])
def test_logits_cover_images_of_any_size(settings, height, width):
    network = build_network(settings, CLASSES, 1, pretrained=False).eval()
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(images)
    assert logits.shape[:2] == (2, CLASSES)
    # Logits are upsampled to the image, so they must have its proportions, up to one pixel of the logits.
    for side, of_image in zip(logits.shape[2:], (height, width), strict=True):
        assert side == of_image or abs(4 * side - of_image) < 4
    assert logits.is_floating_point()
    assert logits.isfinite().all()
    assert torch.equal(logits, network(images))


def test_channels_last(settings):
    # The memory format in which convolutions are fastest, of weights and images alike.
    network = build_network(settings, CLASSES, 1, pretrained=False).eval()
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    seen = []
    network.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in [*weights, *seen])
    assert seen


def test_weights_are_a_function_of_the_seed(settings):
    first, same, other = (
        build_network(settings, CLASSES, seed, pretrained=False).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_every_parameter_learns_and_one_image_is_enough(settings):
    network = build_network(settings, CLASSES, 1, pretrained=False).train()
    # Logits near zero, as at the start, would make the gradients before the head vanish.
    for parameter in network.parameters():
        if parameter.shape[0] == CLASSES:
            nn.init.normal_(parameter)
    logits = network(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    F.cross_entropy(logits, torch.zeros_like(logits[:, 0]).long()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


@pytest.mark.parametrize("kind", ["efficientnet", "resnet", "convnext", "not dilated", "vit", "eva02"])
def test_weights_of_a_file_reach_the_backbone(kind, tmp_path):
    # As timm publishes them: whole models, under its own names.
    whole = create_model(NETWORKS[kind].backbone).state_dict()
    whole = {name: torch.rand_like(t) if t.is_floating_point() else t for name, t in whole.items()}
    save_file(whole, tmp_path / "model.safetensors")
    settings = replace(NETWORKS[kind], backbone_weights=str(tmp_path / "model.safetensors"))
    loaded = build_network(settings, CLASSES, 1, pretrained=True).model.backbone.state_dict()
    by_joined_name = {name.replace(".", "_"): tensor for name, tensor in whole.items()}
    floating = [name for name in loaded if loaded[name].is_floating_point()]
    assert len(floating) > 20
    for name in floating:
        assert torch.equal(loaded[name], by_joined_name[name.replace(".", "_")]), name


def test_an_object_keeps_its_place_when_patches_do_not_divide_the_image():
    # Squares of 14 pixels on an image of 45 × 61: two sides are padded, no pixel may move.
    settings = replace(TRANSFORMER, backbone="eva02_tiny_patch14_224")
    network = build_network(settings, CLASSES, 1, pretrained=False).eval()
    seen = {}
    network.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.setdefault("unused", inputs))
    forward = network.model.backbone.forward_intermediates
    network.model.backbone.forward_intermediates = lambda x, **options: (
        seen.update(x=x) or forward(x, **options)
    )
    images = torch.randint(0, 256, (1, 3, 45, 61), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(images)
    assert seen["x"].shape == (1, 3, 56, 70)
    assert torch.equal(seen["x"][:, :, :45, :61], (images.float() - network.mean) / network.std)
    assert seen["x"][:, :, 45:].abs().max() == 0
    assert logits.shape == (1, CLASSES, 45, 61)


def test_the_head_of_a_plain_transformer_by_hand():
    """The normalised tokens of the last block, without the class token, as a map."""
    network = build_network(TRANSFORMER, CLASSES, 1, pretrained=False).eval()
    model = network.model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
        # From here on the logits are not all near zero.
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.fill_(2.0)
        of = model.state_dict()

        def block(x, name, padding):
            x = F.conv2d(x, of[f"{name}.0.weight"], padding=padding) / (2.0 + 1e-5) ** 0.5
            return (x * of[f"{name}.1.weight"][:, None, None] + of[f"{name}.1.bias"][:, None, None]).clamp(0)

        images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
        normalised = (images - network.mean) / network.std
        tokens = model.backbone.forward_features(normalised)[:, model.backbone.num_prefix_tokens :]
        features = block(tokens.transpose(1, 2).reshape(2, -1, 4, 6), "reduce", 0)
        finer = F.interpolate(features, (16, 24), mode="bilinear", align_corners=False)
        expected = F.conv2d(block(finer, "decoder", 1), of["classifier.weight"], of["classifier.bias"])
        assert expected.std() > 0.1
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [DEEPLAB, TRANSFORMER])
def test_a_new_head_takes_no_class_for_likelier_than_another(settings):
    """The first loss is log(number of classes), whatever the features are."""
    network = build_network(settings, CLASSES, 1, pretrained=False)
    logits = network.train()(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert 0 < logits.abs().max() < 0.02


def test_normalisation_of_a_users_network():
    network = build_network(OWN, CLASSES, 1, pretrained=False)
    assert network.mean.flatten().tolist() == [10, 20, 30]
    assert network.std.flatten().tolist() == [1, 2, 3]


def test_without_its_own_a_users_network_has_the_normalisation_of_imagenet():
    settings = OwnNetworkSettings(name="networks_of_a_user:bare")
    network = build_network(settings, CLASSES, 1, pretrained=False)
    seen = []
    network.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    # ImageNet's red, green and blue on the scale 0 to 1, times 255: the mean, and one deviation above it.
    of_mean = 255 * torch.tensor([0.485, 0.456, 0.406])
    of_above = of_mean + 255 * torch.tensor([0.229, 0.224, 0.225])
    network(torch.stack([of_mean, of_above])[:, :, None, None])
    torch.testing.assert_close(seen[0].flatten(1), torch.tensor([[0.0] * 3, [1.0] * 3]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package:small", "cannot be imported: No module named 'no_such_package'"),
        ("networks_of_a_user:gone", "cannot be imported.*gone"),
        ("networks_of_a_user:failing", r"fails: RuntimeError\('no such file: weights.bin'\)"),
        ("networks_of_a_user:no_module", "gives list, expected a torch module"),
        (
            "networks_of_a_user:other_classes",
            r"gives torch.float32 of \(1, 6, 96, 160\).*expected .*\(1, 5, h, w\)",
        ),
        ("networks_of_a_user:flat", r"gives torch.float32 of \(1, 5\)"),
        ("networks_of_a_user:Labels", "gives torch.int64"),
        ("networks_of_a_user:Dictionary", "gives dict"),
        ("networks_of_a_user:SquareOnly", "fails on an image of 160 × 96 pixels"),
    ],
)
def test_a_bad_network_of_a_user_is_explained(name, message):
    with pytest.raises(InputError, match=message) as error:
        build_network(OwnNetworkSettings(name=name), CLASSES, 1, pretrained=False)
    assert str(error.value).startswith("network.name: ")
    assert name in str(error.value)


def test_arguments_that_a_factory_does_not_take():
    with pytest.raises(InputError, match="unexpected keyword argument 'depth'"):
        build_network(replace(OWN, arguments={"depth": 3}), CLASSES, 1, pretrained=False)


@pytest.mark.parametrize(
    ("backbone", "stride", "message"),
    [
        ("test_convnext_v9", 16, r"^network\.backbone: timm knows no model"),
        # Without dilation: timm refuses it in two ways.
        (
            "pvt_v2_b0",
            8,
            r"^network\.output_stride: found 8, but timm cannot dilate 'pvt_v2_b0'.* stride 32",
        ),
        ("ghostnet_050", 8, r"^network\.output_stride: found 8, but timm cannot dilate 'ghostnet_050'"),
        ("test_vit", 16, "'test_vit' has no features at stride 4, but at 16; .*plain_transformer"),
        # One takes only images of 224 × 224 pixels, the other has another order of axes.
        ("swinv2_cr_tiny_224", 32, "'swinv2_cr_tiny_224' gives no feature maps of any image size.*224"),
        ("mambaout_femto", 32, r"no feature maps of any .*\(1, 48, 24, 40\).*found .*\(1, 24, 40, 48\)"),
    ],
)
def test_a_backbone_without_such_feature_maps_says_so(backbone, stride, message):
    settings = replace(DEEPLAB, backbone=backbone, output_stride=stride)
    with pytest.raises(InputError, match=message):
        build_network(settings, CLASSES, 1, pretrained=False)


@pytest.mark.parametrize(("backbone", "low_level"), [("pvt_v2_b0", 32), ("vgg11_bn", 256)])
def test_low_level_features_are_those_at_stride_4(backbone, low_level):
    settings = replace(DEEPLAB, backbone=backbone, output_stride=32)
    backbone = build_network(settings, CLASSES, 1, pretrained=False).model.backbone.eval()
    with torch.inference_mode():
        low, high = backbone(torch.zeros(1, 3, 64, 96))
    assert low.shape == (1, low_level, 16, 24)
    assert high.shape[2:] == (2, 3)


def test_a_network_with_convolutions_is_no_plain_transformer():
    settings = replace(TRANSFORMER, backbone="test_resnet")
    with pytest.raises(InputError, match="'test_resnet' is not a plain transformer"):
        build_network(settings, CLASSES, 1, pretrained=False)
    # Not its weights are to blame, which are not even looked for.
    settings = replace(settings, backbone="resnet50", backbone_weights="timm")
    with pytest.raises(InputError, match="'resnet50' is not a plain transformer"):
        build_network(settings, CLASSES, 1, pretrained=True)


@pytest.mark.parametrize(
    "settings",
    [replace(DEEPLAB, backbone="resnet50"), replace(TRANSFORMER, backbone="vit_small_patch14_dinov2")],
)
def test_weights_that_cannot_be_downloaded(settings, monkeypatch, tmp_path):
    # Not the environment: it has been read when these were imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    settings = replace(settings, backbone_weights="timm")
    with pytest.raises(InputError, match="not in the cache") as error:
        build_network(settings, CLASSES, 1, pretrained=True)
    message = str(error.value)
    assert str(tmp_path) in message
    assert re.search(
        rf"Download https://huggingface.co/timm/{settings.backbone}\.\S+/resolve/main/model.safetensors on",
        message,
    )
    assert "give the path of the file as network.backbone_weights" in message


def test_weights_in_the_cache_need_no_network(monkeypatch, tmp_path):
    torch.manual_seed(9)
    tensors = create_model("test_resnet").state_dict()
    snapshot = tmp_path / "models--timm--test_resnet.r160_in1k" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    save_file(tensors, snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    settings = replace(NETWORKS["resnet"], backbone_weights="timm")
    loaded = build_network(settings, CLASSES, 1, pretrained=True).model.backbone.state_dict()
    assert torch.equal(loaded["conv1.0.weight"], tensors["conv1.0.weight"])


def test_a_model_that_timm_has_no_weights_of():
    settings = replace(DEEPLAB, backbone="darknet17", backbone_weights="timm")
    with pytest.raises(InputError, match=r"^network\.backbone_weights: timm has no weights of 'darknet17'"):
        build_network(settings, CLASSES, 1, pretrained=True)
