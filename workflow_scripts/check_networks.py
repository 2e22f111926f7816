"""Build the networks of a run and load their first weights: mistakes show before anything is trained.

in:  settings of trainings that start from no other model of the run, and the weights file that the first of
     them starts from, if it does
out: a JSON file with the size of each network (parameters, tensors and bytes), and where its first weights
     come from
"""

from pathlib import Path

from msgspec import to_builtins

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.files import write_json
from cotrain.data.label_spaces import label_space
from cotrain.data.network_sizes import Networks
from cotrain.errors import InputError
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    logger,
    named_paths,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.check_networks --label-space cityscapes7 \\
    --settings network=results/demo/settings/training/baseline.json --output by_hand/networks.json"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--settings",
        nargs="+",
        required=True,
        metavar="KEY=FILE",
        help="settings of a training, and the key of its network in the configuration, for messages",
    )
    parser.add_argument("--initial-weights", type=Path, help="weights.safetensors that the first starts from")
    add_label_space_argument(parser)
    add_output_argument(parser, "FILE", "what was built, JSON")
    options = parse(parser, arguments)
    files = named_paths("--settings", "KEY=FILE", options.settings)
    trainings = {key: read_settings(path, TrainingSettings) for key, path in files.items()}
    space = label_space(options.label_space)

    from cotrain.networks.backbones import first_weights_of
    from cotrain.networks.blocks import check_compiler
    from cotrain.networks.size import size_of
    from cotrain.training.train_model import check_initial_weights, first_network

    sizes, first_weights, initial_weights = {}, {}, options.initial_weights
    for key, settings in trainings.items():
        try:
            if initial_weights:
                check_initial_weights(initial_weights, settings, space)
            network = first_network(settings, space, initial_weights)
        except InputError as error:
            # The library calls every network by the name that it has in the settings of a training.
            text = str(error)
            rest = text.removeprefix("network.")
            raise InputError(text if rest == text else f"{key}.{rest}") from error
        sizes[key] = size_of(network)
        first_weights[key] = first_weights_of(settings.network, initial_weights)
        logger.info("%s: %s parameters, its first weights fit", key, f"{sizes[key].parameters:,}")
        initial_weights = None
    if any(settings.compile for settings in trainings.values()):
        check_compiler()
    write_json(options.output, to_builtins(Networks(networks=sizes, first_weights=first_weights)))


if __name__ == "__main__":
    run(main)
