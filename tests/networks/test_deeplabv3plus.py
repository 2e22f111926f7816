import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cotrain.configuration.sections import DeepLabV3PlusSettings
from cotrain.networks.build import build_network
from cotrain.networks.deeplabv3plus import DeepLabV3Plus, SpatialPyramid, resize


class Backbone(nn.Module):
    """Features at stride 4 (6 channels) and stride 16 (10 channels)."""

    def __init__(self):
        super().__init__()
        self.low, self.high = nn.Conv2d(3, 6, 3, 4, 1), nn.Conv2d(6, 10, 3, 4, 1)

    def forward(self, x):
        low = self.low(x)
        return low, self.high(low)


@pytest.fixture
def network():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return DeepLabV3Plus(
        Backbone(),
        6,
        10,
        7,
        aspp_channels=8,
        aspp_dilations=(1, 2, 3),
        low_level_channels=4,
        decoder_channels=8,
        dropout=0.1,
    )


def randomised(module, seed=3):
    """Give weights and statistics of batch norm numbers that no default has."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_var", "1.weight")):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.5, generator=generator)
    return module


def test_the_whole_head_by_hand(network):
    """What Chen et al. 2018 write down, in functions: a wrong order of channels breaks imported weights."""
    of = randomised(network).eval().state_dict()

    def block(x, name, dilation=1):
        weight, norm = of[f"{name}.0.weight"], f"{name}.1"
        x = F.conv2d(x, weight, padding=dilation * (weight.shape[2] // 2), dilation=dilation)
        mean, variance = (of[f"{norm}.running_{what}"][:, None, None] for what in ("mean", "var"))
        scale, shift = (of[f"{norm}.{what}"][:, None, None] for what in ("weight", "bias"))
        return ((x - mean) / (variance + 1e-5).sqrt() * scale + shift).clamp(min=0)

    images = torch.randn(2, 3, 72, 40)
    low, high = network.backbone(images)
    mean = high.flatten(2).mean(2)[:, :, None, None]
    pooled = F.conv2d(mean, of["pyramid.pooling.0.weight"], of["pyramid.pooling.0.bias"]).clamp(min=0)
    pooled = pooled.repeat(1, 1, *high.shape[2:])
    dilations = [1, 1, 2, 3]
    parts = [block(high, f"pyramid.branches.{place}", d) for place, d in enumerate(dilations)]
    merged = block(torch.cat([*parts, pooled], 1), "pyramid.merge")
    enlarged = F.interpolate(merged, low.shape[2:], mode="bilinear", align_corners=False)
    features = torch.cat([block(low, "low_level"), enlarged], 1)
    for place in (0, 1):
        features = block(features, f"decoder.{place}")
    expected = F.conv2d(features, of["classifier.weight"], of["classifier.bias"])
    assert expected.std() > 0.1
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)


def test_resizing_by_hand():
    # Pixel centres keep their place: a quarter of the way, then three quarters.
    assert resize(torch.tensor([[[[0.0, 4.0]]]]), (1, 4)).flatten().tolist() == [0, 1, 3, 4]


def test_dropout_takes_its_share_of_the_pyramid(network):
    features = torch.randn(2, 10, 24, 24)
    pyramid = randomised(network.pyramid).train()
    pyramid.dropout.p = 0.7
    pyramid.merge[2] = nn.Identity()
    # Seven tenths are exactly 0; the others are multiplied by 1 / 0.3.
    dropped = pyramid(features) == 0
    assert float(dropped.float().mean()) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 47), (61, 35), (16, 100)])
def test_logits_at_a_quarter_of_any_size(network, height, width):
    logits = network(torch.randn(2, 3, height, width))
    assert logits.shape == (2, 7, -(-height // 4), -(-width // 4))


def test_trains_with_one_image_even_where_features_are_one_pixel(network):
    # The image-pooling branch has no batch norm, which could not train on a single value a channel.
    features = torch.randn(1, 10, 2, 2)
    assert network.pyramid.train()(features).shape == (1, 8, 2, 2)
    loss = network.train()(torch.randn(1, 3, 32, 32)).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_first_loss_is_that_of_guessing(network):
    network.train()
    logits = network(50 * torch.randn(2, 3, 64, 64))
    loss = nn.functional.cross_entropy(logits, torch.randint(0, 7, logits[:, 0].shape))
    assert float(loss.detach()) == pytest.approx(torch.log(torch.tensor(7.0)).item(), abs=0.01)


def test_weights_of_the_head_are_drawn_as_published(network):
    # Uniform up to √(3 / inputs of a pixel), as Caffe2's Xavier in Detectron2; biases are 0.
    for convolution, inputs in (
        (network.pyramid.branches[0][0], 10),
        (network.pyramid.branches[3][0], 10 * 9),
        (network.pyramid.pooling[0], 10),
        (network.pyramid.merge[0], 5 * 8),
        (network.low_level[0], 6),
        (network.decoder[0][0], (4 + 8) * 9),
        (network.decoder[1][0], 8 * 9),
    ):
        limit = (3 / inputs) ** 0.5
        assert 0.9 * limit < float(convolution.weight.detach().abs().max()) <= limit
    assert not network.pyramid.pooling[0].bias.any()


def test_every_branch_of_the_pyramid_counts():
    pyramid = SpatialPyramid(4, 5, (1, 2), dropout=0.0).eval()
    assert pyramid.merge[0].in_channels == 4 * 5
    dilations = [branch[0].dilation[0] for branch in pyramid.branches]
    assert dilations == [1, 1, 2]
    assert [branch[0].kernel_size for branch in pyramid.branches] == [(1, 1), (3, 3), (3, 3)]
    # A change at one corner reaches the opposite one only through image pooling.
    features = torch.zeros(1, 4, 9, 9)
    changed = features.clone()
    changed[..., 0, 0] = 50
    assert not torch.equal(pyramid(features)[..., 8, 8], pyramid(changed)[..., 8, 8])


def test_published_sizes():
    # The published head has 16 843 636 parameters with 20 classes over features of 256 and 2048 channels.
    head = DeepLabV3Plus(
        nn.Identity(),
        256,
        2048,
        20,
        aspp_channels=256,
        aspp_dilations=(6, 12, 18),
        low_level_channels=48,
        decoder_channels=256,
        dropout=0.1,
    )
    assert sum(parameter.numel() for parameter in head.parameters()) == 16_843_636


def test_the_papers_network():
    """The layers and 59 467 572 parameters of Gómez, Villalonga, López 2023 at 20 outputs."""
    settings = DeepLabV3PlusSettings(
        backbone="resnet101s",
        backbone_weights="none",
        output_stride=16,
        last_stage_dilations=(2, 4, 8),
        aspp_channels=256,
        aspp_dilations=(6, 12, 18),
        decoder_channels=256,
        low_level_channels=48,
        dropout=0.1,
    )
    network = build_network(settings, 20, seed=0, pretrained=False).eval()
    model = network.model
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == 42_623_936
    assert sum(parameter.numel() for parameter in model.parameters()) == 59_467_572
    last = [block.conv2 for block in model.backbone.layer4]
    assert [(c.dilation, c.padding, c.stride) for c in last] == [((d, d), (d, d), (1, 1)) for d in (2, 4, 8)]
    assert [len(model.backbone[f"layer{stage}"]) for stage in (1, 2, 3, 4)] == [3, 4, 23, 3]
    shapes = {}
    watched = {
        "stem": model.backbone.bn1,
        "res2": model.backbone.layer1,
        "res3": model.backbone.layer2,
        "res4": model.backbone.layer3,
        "res5": model.backbone.layer4,
        "pyramid": model.pyramid,
        "low level": model.low_level,
        "decoder": model.decoder,
    }
    for name, module in watched.items():
        module.register_forward_hook(
            lambda _, __, output, name=name: shapes.update({name: tuple(output.shape[1:])})
        )
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 128, 256, dtype=torch.uint8))
    assert shapes == {
        "stem": (128, 64, 128),
        "res2": (256, 32, 64),
        "res3": (512, 16, 32),
        "res4": (1024, 8, 16),
        "res5": (2048, 8, 16),
        "pyramid": (256, 8, 16),
        "low level": (48, 32, 64),
        "decoder": (256, 32, 64),
    }
    assert logits.shape == (1, 20, 32, 64)
    assert [type(module).__name__ for module in model.pyramid.pooling] == ["Conv2d", "ReLU"]
    assert model.pyramid.pooling[0].bias is not None
    assert [branch[0].dilation[0] for branch in model.pyramid.branches] == [1, 6, 12, 18]
