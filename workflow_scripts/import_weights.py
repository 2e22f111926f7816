"""Convert a model that was trained elsewhere: of your own network, or a published one of the paper's network.

With --network, the file is a state dict of the network that the section describes, in safetensors or written
by torch.save. Without it, the file is R-103.pkl of Detectron2, or a checkpoint of the authors. A whole model
becomes a weights file like those that the step train writes. Use it for prediction, evaluation, or
`baseline.initial_weights`. R-103.pkl becomes a file for `network.backbone_weights` (backbone: resnet101s).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cotrain.configuration.choices import DEFAULT_LABEL_SPACE
from cotrain.configuration.reading import read_mapping, settings_of
from cotrain.configuration.sections import DeepLabV3PlusSettings, NetworkSettings
from cotrain.data.files import written_whole
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.errors import InputError
from workflow_scripts.command_line import add_output_argument, check_suffix, logger, new_parser, parse, run

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLE = """python -m workflow_scripts.import_weights --from my_model.pth --network config/my_camera.yaml \\
    --label-space cityscapes19 --output my_model.safetensors"""

# The published network as a `network` section; it needs no ImageNet weights, since all are replaced.
PUBLISHED_NETWORK = DeepLabV3PlusSettings(
    backbone="resnet101s", backbone_weights="none", last_stage_dilations=(2, 4, 8)
)


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--from",
        dest="published",
        type=Path,
        required=True,
        metavar="FILE",
        help="a state dict (safetensors, or written by torch.save), R-103.pkl or a .pth file of the authors",
    )
    parser.add_argument(
        "--network",
        type=Path,
        metavar="FILE",
        help="YAML or JSON file with the section network of your own model, such as a configuration; other "
        "keys in it are not read (default: the paper's network)",
    )
    parser.add_argument(
        "--label-space",
        help="classes of the model, in the order of its outputs; needed with --network (default: "
        f"{DEFAULT_LABEL_SPACE})",
    )
    add_output_argument(parser, "FILE", "the weights, a .safetensors file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".safetensors")
    settings = network_section(options.network) if options.network else None
    if settings and not options.label_space:
        raise InputError(
            "--label-space: missing; no file of weights says which output is which class: expected the "
            "classes that the model was trained on, in their order"
        )
    space = label_space(options.label_space or DEFAULT_LABEL_SPACE)

    from cotrain.networks.tensor_files import read_tensors

    tensors = read_tensors(options.published)
    if settings:
        import_own(options.published, tensors, settings, space, options.output)
    else:
        import_published(options.published, tensors, space, options.output)
    logger.info("written to %s", options.output)


def network_section(path: Path) -> NetworkSettings:
    """Return the section `network` of a file; InputError if there is none, or if it has mistakes."""
    content = read_mapping(path)
    section = content.get("network")
    if not isinstance(section, dict):
        found = f"the keys {', '.join(map(str, content))}" if content else "no key"
        raise InputError(
            f"{path}: found {found}, expected a section network, as in a configuration, such as "
            "network: {backbone: resnet50}"
        )
    return settings_of(section, NetworkSettings, f"{path}: network")


def import_own(
    path: Path, tensors: "dict[str, Tensor]", settings: NetworkSettings, space: LabelSpace, output: Path
) -> None:
    """Write the tensors of the file `path` as a model of the network that `settings` describe."""
    from cotrain.networks.own_weights import network_with
    from cotrain.networks.weights import save_weights

    try:
        network, prefix = network_with(tensors, settings, space)
    except InputError as error:
        text = str(error)
        # What is wrong with the network itself is not in the file of weights.
        raise InputError(text if text.startswith("network.") else f"{path}: {text}") from error
    save_weights(output, network, settings, space)
    logger.info(
        "%s: took the %s tensors%s of %s, with the classes %s",
        path,
        f"{len(network.model.state_dict()):,}",
        f" below {prefix!r}" if prefix else "",
        settings.name,
        ", ".join(space.classes),
    )


def import_published(path: Path, tensors: "dict[str, Tensor]", space: LabelSpace, output: Path) -> None:
    """Write published tensors of the paper's network as a model, or those of its backbone as such."""
    import torch
    from safetensors.torch import save_file

    from cotrain.networks.build import build_network
    from cotrain.networks.published_weights import renamed
    from cotrain.networks.tensor_files import mistakes, without_batch_counts
    from cotrain.networks.weights import save_weights

    network = build_network(PUBLISHED_NETWORK, space.number_of_classes, seed=0, pretrained=False)
    published, left_out = renamed(tensors)
    own = without_batch_counts(network.model.state_dict())
    whole = any(not name.startswith("backbone.") for name in published)
    if not whole:
        own = {name: tensor for name, tensor in own.items() if name.startswith("backbone.")}
    for name in ("classifier.weight", "classifier.bias"):
        if name in published and len(published[name]) == space.number_of_classes + 1:
            # The published head has an output for void, trained never to be the highest.
            published[name] = published[name][:-1]
            logger.info("%s: left out its last output, which stands for void", name)
    wrong = mistakes(own, published)
    if wrong:
        raise InputError(
            f"{path}: not the weights of the paper's network for {space.name}, as Detectron2 "
            f"names them: {'; '.join(wrong)}. Describe another network with --network. Weights of a backbone "
            "with timm's names need no conversion: give them as network.backbone_weights"
        )
    tensors = {name: published[name].to(torch.float32).contiguous() for name in own}
    if whole:
        network.model.load_state_dict(tensors, strict=False)
        save_weights(output, network, PUBLISHED_NETWORK, space)
        kind = "whole network"
    else:
        with written_whole(output) as temporary:
            save_file({name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}, temporary)
        kind = "backbone, for network.backbone_weights"
    logger.info(
        "%s: took %d tensors, %s parameters and statistics (%s)",
        path,
        len(tensors),
        f"{sum(tensor.numel() for tensor in tensors.values()):,}",
        kind,
    )
    logger.info("not taken: %s", ", ".join(left_out) or "nothing")


if __name__ == "__main__":
    run(main)
