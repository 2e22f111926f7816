"""From settings to a network: those that the configuration can name."""

import math
from importlib import import_module
from typing import Any

import msgspec
import torch
from torch import nn

from cotrain.configuration.sections import (
    DeepLabV3PlusSettings,
    NetworkSettings,
    OwnNetworkSettings,
    PlainTransformerSettings,
)
from cotrain.errors import InputError
from cotrain.networks.backbones import dilate_last_stage, feature_maps, load_backbone, transformer
from cotrain.networks.deeplabv3plus import DeepLabV3Plus
from cotrain.networks.network import Network, check_network
from cotrain.networks.plain_transformer import PlainTransformer
from cotrain.networks.quick_timm import import_timm
from cotrain.randomness import seed_of

# As published, for backbone and head. Some of timm's backbones have 0.01: after a few hundred iterations
# their statistics would still be half those of ImageNet.
BATCH_NORM_MOMENTUM = 0.1

# ImageNet's, on the scale 0 to 255: for networks that state no normalisation of their own.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


def shape(settings: NetworkSettings) -> dict[str, Any]:
    """Return the settings that decide which tensors the network has, as a configuration writes them."""
    without_shape = ("backbone_weights", "dropout")
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in msgspec.to_builtins(settings).items()
        if key not in without_shape
    }


def build_network(settings: NetworkSettings, number_of_classes: int, seed: int, pretrained: bool) -> Network:
    """Build the network of `settings` with weights drawn from `seed`.

    With `pretrained`, the backbone's weights are then loaded from `settings.backbone_weights`.

    Raises:
        InputError: the network cannot be built, its backbone or weights cannot be found, or the user's own
            network does not give logits.
    """
    if isinstance(settings, OwnNetworkSettings):
        return _own_network(settings, number_of_classes, seed)
    assert isinstance(settings, DeepLabV3PlusSettings | PlainTransformerSettings)
    if not import_timm().is_model(settings.backbone):
        raise InputError(
            f"network.backbone: timm knows no model {settings.backbone!r}; "
            "python -c 'import timm; print(*timm.list_models())' lists those it knows"
        )
    from_timm = pretrained and settings.backbone_weights == "timm"
    if from_timm and not import_timm().is_model_pretrained(settings.backbone):
        raise InputError(
            f"network.backbone_weights: timm has no weights of {settings.backbone!r}; expected none or the "
            "path of a file"
        )
    torch.manual_seed(seed_of(seed, "initial weights"))
    model: nn.Module
    if isinstance(settings, DeepLabV3PlusSettings):
        model = _deeplabv3plus(settings, number_of_classes, from_timm)
    else:
        model = PlainTransformer(
            transformer(settings, from_timm),
            number_of_classes,
            decoder_channels=settings.decoder_channels,
            dropout=settings.dropout,
        )
    backbone: Any = model.backbone
    if pretrained and settings.backbone_weights not in ("timm", "none"):
        load_backbone(backbone, settings)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
    mean = tuple(255 * value for value in backbone.pretrained_cfg["mean"])
    std = tuple(255 * value for value in backbone.pretrained_cfg["std"])
    return Network(model.to(memory_format=torch.channels_last), mean, std)


def _deeplabv3plus(settings: DeepLabV3PlusSettings, number_of_classes: int, from_timm: bool) -> DeepLabV3Plus:
    backbone = feature_maps(settings, from_timm)
    if settings.last_stage_dilations is not None:
        dilate_last_stage(backbone, settings)
    low, high = backbone.feature_info.channels()
    return DeepLabV3Plus(
        backbone,
        low,
        high,
        number_of_classes,
        aspp_channels=settings.aspp_channels,
        aspp_dilations=settings.aspp_dilations,
        low_level_channels=settings.low_level_channels,
        decoder_channels=settings.decoder_channels,
        dropout=settings.dropout,
    )


def _own_network(settings: OwnNetworkSettings, number_of_classes: int, seed: int) -> Network:
    """Call the user's factory as `factory(number_of_classes, **arguments)`.

    The module may have attributes `mean` and `std`, three numbers each: its normalisation, for RGB 0 to 255.
    """
    package, _, function = settings.name.partition(":")
    try:
        factory = getattr(import_module(package), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"network.name: {settings.name!r} cannot be imported: {error}; expected package.module:factory, "
            "with the package installed or below the folder that the command runs in"
        ) from error
    torch.manual_seed(seed_of(seed, "initial weights"))
    try:
        model = factory(number_of_classes, **settings.arguments)
    # Show the user whatever their code raises.
    except Exception as error:
        raise InputError(
            f"network.name: {settings.name}({number_of_classes}, **network.arguments) fails: {error!r}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"network.name: {settings.name} gives {type(model).__name__}, expected a torch module"
        )
    model = model.to(memory_format=torch.channels_last)
    mean = _of_channels(model, "mean", IMAGENET_MEAN, settings.name)
    std = _of_channels(model, "std", IMAGENET_STD, settings.name)
    if min(std) < 1:
        raise InputError(
            f"network.name: the network of {settings.name} has std {std}, expected numbers on the scale 0 to "
            "255; multiply mean and std of values from 0 to 1 by 255"
        )
    network = Network(model, mean, std)
    check_network(network, number_of_classes, settings.name)
    return network


def _of_channels(
    model: nn.Module, attribute: str, default: tuple[float, ...], name: str
) -> tuple[float, ...]:
    """Return a network's normalisation: the three numbers of an attribute, or the default."""
    value = getattr(model, attribute, default)
    try:
        numbers = tuple(torch.as_tensor(value, dtype=torch.float64).flatten().tolist())
    # Show the user whatever their code gives.
    except Exception as error:
        raise InputError(
            f"network.name: the network of {name} has {attribute} {value!r}, expected three numbers"
        ) from error
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"network.name: the network of {name} has {attribute} {numbers}, expected three numbers"
        )
    return numbers
