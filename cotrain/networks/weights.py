"""Weights files: safetensors whose header says which network they belong to."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from cotrain.adaptation.calibration import read_temperature
from cotrain.configuration.sections import NetworkSettings
from cotrain.configuration.variants import convert
from cotrain.data.files import written_whole
from cotrain.data.label_spaces import LabelSpace, make_label_space
from cotrain.data.pairs import check_order
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.network import Network

HEADER_KEY = "cotrain"
# Every tensor name in a file begins with this; with another prefix, existing files could not be loaded.
PREFIX = "box."


def save_weights(path: Path, network: Network, settings: NetworkSettings, space: LabelSpace) -> None:
    """Write the network's tensors, with its settings and the definition of its classes in the header."""
    tensors = {
        f"{PREFIX}{name}": tensor.detach().cpu().contiguous()
        for name, tensor in network.model.state_dict().items()
    }
    belongs_to = {"network": msgspec.to_builtins(settings), "label_space": space.definition()}
    with written_whole(path) as temporary:
        # Only one key: safetensors writes several in random order, and equal weights must give equal bytes.
        save_file(tensors, temporary, metadata={HEADER_KEY: json.dumps(belongs_to, sort_keys=True)})


def read_header(path: Path) -> tuple[NetworkSettings, LabelSpace]:
    """Return the network settings and the label space that a weights file belongs to.

    Raises:
        InputError: the file is missing, damaged, or not from `save_weights`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(
            f"{path}: damaged or incomplete, or not a safetensors file; copy it again"
        ) from error
    if HEADER_KEY not in header:
        raise InputError(
            f"{path}: the file does not say which network it belongs to; expected a file written by train"
        )
    try:
        belongs_to = json.loads(header[HEADER_KEY])
        settings = convert(belongs_to["network"], NetworkSettings)
        defined = belongs_to["label_space"]
        return settings, make_label_space(defined["name"], defined["classes"])
    except (ValueError, LookupError, TypeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{path}: its header is not that of this version of cotrain; train the model again"
        ) from error


def load_into(network: Network, path: Path) -> None:
    """Load the tensors of a weights file into a network of the same shape.

    Raises:
        InputError: the tensors are those of another network or label space.
    """
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
    try:
        network.model.load_state_dict(tensors)
    except RuntimeError as error:
        found, expected = (
            {n: tuple(t.shape) for n, t in of.items()} for of in (tensors, network.model.state_dict())
        )
        differing = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        first = differing[0] if differing else "none of its tensors"
        raise InputError(
            f"{path}: holds the weights of another network: {len(differing)} tensors differ, the first is "
            f"{first}: found the shape {found.get(first)}, expected {expected.get(first)}"
        ) from error


def load_network(path: Path) -> Network:
    """Build the network that a weights file belongs to and load its weights."""
    settings, space = read_header(path)
    network = build_network(settings, space.number_of_classes, seed=0, pretrained=False)
    load_into(network, path)
    return network


def load_networks(
    paths: Sequence[Path], temperatures: Sequence[Path] = ()
) -> tuple[list[Network], LabelSpace]:
    """Load networks that predict together, and return them with the label space that they share.

    Args:
        paths: weights files.
        temperatures: a file of `calibrate` for each, in their order; none leaves confidences as they are.

    Raises:
        InputError: a file cannot be read, weights are of another label space than the first, or there is not
            one temperature for each, in the same order by their names.
    """
    if temperatures and len(temperatures) != len(paths):
        raise InputError(
            f"--temperature: found {len(temperatures)} files for {len(paths)} models, expected one for "
            "each, in their order"
        )
    if temperatures:
        check_order(
            [(path, f"--model, file {number}") for number, path in enumerate(paths, start=1)],
            [(path, f"--temperature, file {number}") for number, path in enumerate(temperatures, start=1)],
        )
    divisors = [read_temperature(path) for path in temperatures]
    spaces = [read_header(path)[1] for path in paths]
    for path, space in zip(paths, spaces, strict=True):
        if space.classes != spaces[0].classes:
            raise InputError(
                f"{path}: weights for {space.name} ({', '.join(space.classes)}), expected the label space of "
                f"{paths[0]}: {spaces[0].name} ({', '.join(spaces[0].classes)})"
            )
    networks = [load_network(path) for path in paths]
    for network, divisor in zip(networks, divisors, strict=False):
        network.temperature = divisor
    return networks, spaces[0]
