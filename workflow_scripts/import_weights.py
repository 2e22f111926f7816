"""Convert published weights of the paper's network: R-103.pkl of Detectron2, or a checkpoint of the authors.

R-103.pkl becomes a file for `network.backbone_weights` (backbone: resnet101s). A whole checkpoint
(model_final.pth) becomes a weights file like those that the step train writes. Use it for prediction,
evaluation, or `baseline.initial_weights`. The log names the tensors that are left out.
"""

from pathlib import Path

from cotrain.configuration.choices import DEFAULT_LABEL_SPACE
from cotrain.configuration.sections import DeepLabV3PlusSettings
from cotrain.data.files import written_whole
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from workflow_scripts.command_line import add_output_argument, check_suffix, logger, new_parser, parse, run

EXAMPLE = "python -m workflow_scripts.import_weights --from R-103.pkl --output R-103.safetensors"

# The published network as a `network` section; it needs no ImageNet weights, since all are replaced.
PUBLISHED_NETWORK = DeepLabV3PlusSettings(
    backbone="resnet101s", backbone_weights="none", last_stage_dilations=(2, 4, 8)
)


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--from", dest="published", type=Path, required=True, help="R-103.pkl or a .pth file")
    parser.add_argument(
        "--label-space",
        default=DEFAULT_LABEL_SPACE,
        help="classes of a whole checkpoint (default: %(default)s)",
    )
    add_output_argument(parser, "FILE", "the weights, a .safetensors file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".safetensors")

    import torch
    from safetensors.torch import save_file

    from cotrain.networks.build import build_network
    from cotrain.networks.published_weights import renamed
    from cotrain.networks.tensor_files import mistakes, read_tensors, without_batch_counts
    from cotrain.networks.weights import save_weights

    space = label_space(options.label_space)
    network = build_network(PUBLISHED_NETWORK, space.number_of_classes, seed=0, pretrained=False)
    published, left_out = renamed(read_tensors(options.published))
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
            f"{options.published}: not the weights of the paper's network for {space.name}, as Detectron2 "
            f"names them: {'; '.join(wrong)}. Weights of a backbone with timm's names need no conversion: "
            "give them as network.backbone_weights"
        )
    tensors = {name: published[name].to(torch.float32).contiguous() for name in own}
    if whole:
        network.model.load_state_dict(tensors, strict=False)
        save_weights(options.output, network, PUBLISHED_NETWORK, space)
        kind = "whole network"
    else:
        with written_whole(options.output) as temporary:
            save_file({name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}, temporary)
        kind = "backbone, for network.backbone_weights"
    logger.info(
        "%s: took %d tensors, %s parameters and statistics (%s)",
        options.published,
        len(tensors),
        f"{sum(tensor.numel() for tensor in tensors.values()):,}",
        kind,
    )
    logger.info("not taken: %s", ", ".join(left_out) or "nothing")
    logger.info("written to %s", options.output)


if __name__ == "__main__":
    run(main)
