"""Which network: the `network` section of the configuration, of which each network has keys of its own."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cotrain.errors import InputError

# A user's own network: the import path of a function.
FACTORY = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True)
class NetworkSettings:
    """What all networks have; the keys are explained in the configuration."""

    name: str

    @staticmethod
    def from_mapping(mapping: Mapping[str, Any]) -> "NetworkSettings":
        """Make the settings of the network that `name` says, from a configuration or a weights file.

        Raises:
            InputError: there is no such network.
        """
        name = mapping["name"]
        kind = OwnNetworkSettings if FACTORY.fullmatch(name) else NETWORKS.get(name)
        if kind is None:
            raise InputError(f"network.name: there is no network {name!r}; known: {', '.join(NETWORKS)}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in mapping.items()
        }
        return kind(**values)

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    def shape(self) -> dict[str, Any]:
        """Return the settings that decide which tensors the network has."""
        unshaping = ("backbone_weights", "dropout")
        return {key: value for key, value in self.as_mapping().items() if key not in unshaping}


@dataclass(frozen=True)
class DeepLabSettings(NetworkSettings):
    """DeepLabV3+ over a timm backbone with feature maps."""

    backbone: str
    backbone_weights: str
    output_stride: int
    last_stage_dilations: tuple[int, ...] | None
    aspp_channels: int
    aspp_dilations: tuple[int, ...]
    decoder_channels: int
    low_level_channels: int
    dropout: float


@dataclass(frozen=True)
class PlainTransformerSettings(NetworkSettings):
    """A timm vision transformer with a light head."""

    backbone: str
    backbone_weights: str
    decoder_channels: int
    dropout: float


@dataclass(frozen=True)
class OwnNetworkSettings(NetworkSettings):
    """A user's own function that makes a network."""

    arguments: Mapping[str, Any]


NETWORKS: dict[str, type[NetworkSettings]] = {
    "deeplabv3plus": DeepLabSettings,
    "plain_transformer": PlainTransformerSettings,
}
