"""What the steps that use trained models share: which weights are meant, and the networks that they make."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cotrain.adaptation.calibration import read_temperature
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError

if TYPE_CHECKING:
    from cotrain.networks.network import Network


def add_weights_argument(parser: ArgumentParser, required: bool = True) -> None:
    """Add `--weights`, one file or several, and `--temperature`."""
    parser.add_argument(
        "--weights",
        type=weights_file,
        nargs="+",
        required=required,
        help="weights.safetensors of the model, or its folder (its averaged weights, if there are any); the "
        "probabilities of several models are averaged",
    )
    _add_temperature_argument(parser)


def add_model_argument(parser: ArgumentParser, required: bool = True) -> None:
    """Add `--model`, one or several as folder or weights file, and `--temperature`."""
    parser.add_argument(
        "--model",
        type=weights_file,
        nargs="+",
        required=required,
        help="folder of the model (its averaged weights, if there are any), or a .safetensors file; the "
        "probabilities of several models are averaged",
    )
    _add_temperature_argument(parser)


def _add_temperature_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--temperature",
        type=Path,
        nargs="+",
        default=[],
        help="temperature.json of each model, as calibrate wrote it (default: confidences as they are)",
    )


def weights_file(text: str) -> Path:
    """Read an argument that is a weights file, or the folder of a model.

    A folder stands for its averaged weights if there are any: they are kept because they predict better.
    argparse.ArgumentTypeError when it holds none.
    """
    path = Path(text)
    if not path.is_dir():
        return path
    for name in ("averaged.safetensors", "weights.safetensors"):
        if (path / name).exists():
            return path / name
    raise ArgumentTypeError(f"{path}: holds no weights.safetensors; is its training unfinished?")


def load_models(weights: Sequence[Path], temperatures: Sequence[Path]) -> tuple[list["Network"], LabelSpace]:
    """Load the networks of `--weights` with their `--temperature`, and return them with their label space.

    Raises:
        InputError: a file cannot be read, the weights are of several label spaces, or there is not one
            temperature for each of them.
    """
    from cotrain.networks.weights import load_networks

    if temperatures and len(temperatures) != len(weights):
        raise InputError(
            f"--temperature: found {len(temperatures)} files for {len(weights)} models, expected one for "
            "each, in their order"
        )
    found = [read_temperature(path) for path in temperatures]
    networks, space = load_networks(weights)
    for network, temperature in zip(networks, found, strict=False):
        network.temperature = temperature
    return networks, space
