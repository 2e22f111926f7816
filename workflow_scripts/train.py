"""Train one model: baseline, a round, a cycle's branch, final or upper bound.

in:  manifests of source images with labels of train ids and, except for the baseline, of pseudo-labelled
     target images; the thresholds of the round (for class mixing on demand); the weights to start from
out: OUTPUT/weights.safetensors, OUTPUT/history.jsonl (loss and learning rate), and OUTPUT/training.json (how
     the weights were made); with --tensorboard 1 also OUTPUT/events.out.tfevents.*, while it trains

To resume an interrupted training, give the same command again. On SIGTERM, Ctrl-C and SIGUSR1, the training
saves its state, exits with 128 + the signal's number, and later resumes where it stopped. After any other
end, it resumes from the last save in --state.

To train one model on several GPUs, start it with torchrun; each GPU takes its share of every batch:
python -m torch.distributed.run --standalone --nproc-per-node 2 -m workflow_scripts.train …
"""

import sys
from pathlib import Path

from cotrain.configuration.reading import read_settings
from cotrain.configuration.sections import TrainingSection, TrainingSettings
from cotrain.data.label_spaces import label_space
from workflow_scripts.command_line import (
    add_device_argument,
    add_output_argument,
    add_threads_argument,
    add_training_arguments,
    logger,
    new_parser,
    parse,
    positive,
    run,
    training_files,
)

EXAMPLE = """python -m workflow_scripts.train --name baseline --label-space cityscapes7 \\
    --source results/demo/translated/game/manifest.tsv \\
    --settings results/demo/settings/training/baseline.json --state by_hand/state --output by_hand/baseline"""


DEFAULTS = TrainingSection()


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_training_arguments(parser)
    parser.add_argument("--initial-weights", type=Path, help="weights.safetensors to start from")
    add_device_argument(parser)
    add_threads_argument(parser, default=1)
    parser.add_argument(
        "--save-every",
        type=positive,
        default=DEFAULTS.save_every_iterations,
        help="iterations between two saves of the state (default: %(default)s)",
    )
    parser.add_argument(
        "--log-every",
        type=positive,
        default=DEFAULTS.log_every_iterations,
        help="iterations between two entries of the history (default: %(default)s)",
    )
    parser.add_argument(
        "--tensorboard",
        type=int,
        choices=(0, 1),
        default=int(DEFAULTS.tensorboard),
        help="1: also write event files for TensorBoard into --output (default: %(default)s)",
    )
    parser.add_argument("--state", type=Path, required=True, help="folder of the resumable state")
    add_output_argument(parser, "FOLDER", "folder of the model")
    options = parse(parser, arguments)
    settings, space = read_settings(options.settings, TrainingSettings), label_space(options.label_space)

    from cotrain.training.state import Stopped
    from cotrain.training.train_model import train_model

    try:
        train_model(
            options.name,
            settings,
            space,
            training_files(options, options.initial_weights),
            device=options.device,
            threads=options.threads,
            save_every=options.save_every,
            log_every=options.log_every,
            state_folder=options.state,
            output=options.output,
            tensorboard=bool(options.tensorboard),
        )
    except Stopped as stopped:
        logger.info("%s: %s; the same command resumes there", options.name, stopped)
        sys.exit(128 + stopped.number)


if __name__ == "__main__":
    run(main)
