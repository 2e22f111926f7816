"""Check that the machine has the device that the configuration asks for, and enough GPUs for one training.

out: a JSON file with the device's name
"""

from cotrain.data.files import write_json
from workflow_scripts.command_line import (
    add_device_argument,
    add_gpus_per_training_argument,
    add_output_argument,
    new_parser,
    parse,
    run,
)

EXAMPLE = "python -m workflow_scripts.check_device --device cuda --output device.json"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_device_argument(parser, required=True)
    add_gpus_per_training_argument(parser)
    add_output_argument(parser, "FILE", "the device's name, JSON")
    options = parse(parser, arguments)

    from cotrain.devices import claimed_device
    from cotrain.training.parallel import check_processes

    with claimed_device(options.device) as device:
        check_processes(options.gpus_per_training, device.type)
        write_json(options.output, {"device": str(device)})


if __name__ == "__main__":
    run(main)
