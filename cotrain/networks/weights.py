"""Weights files: safetensors whose header says which network they belong to."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cotrain.adaptation.calibration import read_temperature
from cotrain.configuration.sections import NetworkSettings, OwnNetworkSettings
from cotrain.configuration.variants import convert
from cotrain.data.files import written_whole
from cotrain.data.label_spaces import LabelSpace, make_label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.checksums import HEADER_KEY, SUM, is_whole, sum_of
from cotrain.networks.network import Network
from cotrain.networks.tensor_files import mistakes, unexpected
from cotrain.networks.weights_formats import AGAIN, unreadable, weights_format
from cotrain.words import counted

# Every tensor name in a file begins with this; with another prefix, existing files could not be loaded.
PREFIX = "box."


def save_weights(path: Path, network: Network, settings: NetworkSettings, space: LabelSpace) -> None:
    """Write the network's tensors, with its settings and the definition of its classes in the header.

    The header also holds a SHA-256 of all this.
    """
    tensors = {
        f"{PREFIX}{name}": tensor.detach().cpu().contiguous()
        for name, tensor in network.model.state_dict().items()
    }
    belongs_to = {"network": msgspec.to_builtins(settings), "label_space": space.definition()}
    # As JSON gives it back, whose keys are texts: those of a user's arguments need not be.
    belongs_to = json.loads(json.dumps(belongs_to))
    header = belongs_to | {SUM: sum_of(tensors, belongs_to)}
    with written_whole(path) as temporary:
        # Only one key: safetensors writes several in random order, and equal weights must give equal bytes.
        save_file(tensors, temporary, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})


def read_header(path: Path) -> tuple[NetworkSettings, LabelSpace]:
    """Return the network settings and the label space that a weights file belongs to.

    Raises:
        InputError: the file is missing, damaged, or not from `save_weights`.
    """
    header = _header(path)
    try:
        settings = convert(header["network"], NetworkSettings)
        defined = header["label_space"]
        return settings, make_label_space(defined["name"], defined["classes"])
    except (ValueError, LookupError, TypeError, msgspec.ValidationError) as error:
        raise _other_version(path) from error


def _header(path: Path) -> dict[str, Any]:
    """Return what the header of a weights file says; InputError if it is not that of `save_weights`."""
    header: dict[str, str] = {}
    if weights_format(path) == "safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
        except SafetensorError as error:
            raise unreadable(path, f"the header of this safetensors file is damaged. {AGAIN}") from error
    if HEADER_KEY not in header:
        raise InputError(
            f"{path}: the file does not say which network it belongs to; expected weights.safetensors or "
            "averaged.safetensors of a model that the step train made. The step import_weights converts "
            "weights of your own network (docs/own_model.md) and published ones of the paper's. Weights of a "
            "backbone alone are for network.backbone_weights"
        )
    try:
        content = json.loads(header[HEADER_KEY])
    except (ValueError, RecursionError) as error:
        raise _other_version(path) from error
    # Files of earlier versions have no sum. Taken as they are, they would let damaged ones in too.
    if not isinstance(content, dict) or not isinstance(content.get(SUM), str):
        raise _other_version(path)
    return content


def _other_version(path: Path) -> InputError:
    return InputError(
        f"{path}: its header is not that of this version of cotrain; train the model again (published "
        "weights: convert them again with import_weights), or use the version that wrote it"
    )


def load_into(network: Network, path: Path) -> None:
    """Load the tensors of a weights file into a network of the same shape.

    Raises:
        InputError: the file is damaged, or the tensors are those of another network or label space.
    """
    found = {name.removeprefix(PREFIX): tensor for name, tensor in whole_tensors(path).items()}
    expected = network.model.state_dict()
    wrong = [*mistakes(expected, found), *unexpected(expected, found)]
    if wrong:
        raise InputError(f"{path}: holds the weights of another network: {'; '.join(wrong)}")
    network.model.load_state_dict(found)


def whole_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file of `save_weights`; InputError if it is damaged."""
    # It has a sum.
    _header(path)
    tensors = load_file(path)
    if not is_whole(path, tensors):
        raise unreadable(
            path,
            "it is damaged: its content does not have the SHA-256 that its header names. Copy it again, or "
            "remove it and train the model again",
        )
    return tensors


def load_network(path: Path, allowed_code: Collection[str] = ()) -> Network:
    """Build the network that a weights file belongs to and load its weights.

    Args:
        path: the weights file.
        allowed_code: import paths of networks of the user's own, `package.module:factory`. To build such a
            network runs its code, so a file that names another one is refused.

    Raises:
        InputError: the file cannot be read, is damaged, or names code that is not allowed.
    """
    settings, space = read_header(path)
    if isinstance(settings, OwnNetworkSettings) and settings.name not in allowed_code:
        raise InputError(
            f"{path}: its network is made by the function {settings.name!r}, whose code would be run. If you "
            f"trust this function, and the person who made the file, add --allow-code {settings.name} (in "
            f"Python: allow_code=[{settings.name!r}])"
        )
    try:
        network = build_network(settings, space.number_of_classes, seed=0, pretrained=False)
    # A header can describe a network that no machine holds.
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: its header describes a network that cannot be built here; it is damaged, or another "
            "version of cotrain wrote it"
        ) from error
    load_into(network, path)
    return network


def load_networks(
    paths: Sequence[Path], temperatures: Sequence[Path] = (), allowed_code: Collection[str] = ()
) -> tuple[list[Network], LabelSpace]:
    """Load networks that predict together, and return them with the label space that they share.

    Args:
        paths: weights files.
        temperatures: a file of `calibrate` for each, in their order; none leaves confidences as they are.
        allowed_code: as in `load_network`.

    Raises:
        InputError: a file cannot be loaded, weights are of another label space than the first, or there is
            not one temperature for each.
    """
    if temperatures and len(temperatures) != len(paths):
        raise InputError(
            f"--temperature: found {counted(len(temperatures), 'file')} for {counted(len(paths), 'model')}, "
            "expected one for each, in their order"
        )
    divisors = [read_temperature(path) for path in temperatures]
    spaces = [read_header(path)[1] for path in paths]
    for path, space in zip(paths, spaces, strict=True):
        if space.classes != spaces[0].classes:
            raise InputError(
                f"{path}: weights for {space.name} ({', '.join(space.classes)}), expected the label space of "
                f"{paths[0]}: {spaces[0].name} ({', '.join(spaces[0].classes)})"
            )
    networks = [load_network(path, allowed_code) for path in paths]
    for network, divisor in zip(networks, divisors, strict=False):
        network.temperature = divisor
    return networks, spaces[0]
