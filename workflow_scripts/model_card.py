"""Write the card of a model: what it is, what it was trained on, how good it is, and how to load it.

in:  the record of its training (training.json), networks.json of the run and, if the model was scored, its
     scores; if it was not, the health of its run (health.json)
out: a Markdown page, which belongs beside the weights
"""

import subprocess
from pathlib import Path

from msgspec import to_builtins

import cotrain
from cotrain.configuration.sections import Views
from cotrain.data.files import write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.network_sizes import read_networks
from cotrain.errors import InputError
from cotrain.evaluation.scores import read_scores
from cotrain.reporting.model_card import ModelFacts, model_card
from cotrain.reporting.notes import read_notes
from cotrain.reporting.page.records import read_health
from cotrain.training.record import TrainingRecord, code_hash, read_training_record
from workflow_scripts.command_line import (
    add_label_space_argument,
    add_output_argument,
    inference_settings,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.model_card --label-space cityscapes7 \\
    --record results/demo/models/final/training.json --networks results/demo/data/networks.json \\
    --settings results/demo/settings/prediction.json --source game --target camera --test camera_test \\
    --scores results/demo/evaluation/final/camera_test/scores.json --output by_hand/README.md"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--record", type=Path, required=True, help="training.json of the model")
    parser.add_argument("--networks", type=Path, required=True, help="networks.json of the run")
    parser.add_argument(
        "--network", default="network", metavar="KEY", help="key of its network (default: network)"
    )
    add_label_space_argument(parser)
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="prediction.json of the run (default: no settings)"
    )
    parser.add_argument("--source", nargs="+", required=True, metavar="NAME", help="names of source datasets")
    parser.add_argument("--target", metavar="NAME", help="name of the target dataset that it learnt from")
    parser.add_argument("--scores", type=Path, help="scores.json of the model")
    parser.add_argument(
        "--health", type=Path, metavar="FILE", help="health.json of the run, for a model without scores"
    )
    parser.add_argument("--test", metavar="NAME", help="name of the dataset that it was scored on")
    parser.add_argument(
        "--checked", type=Path, metavar="FILE", help="checked.json of the run, with its notes"
    )
    parser.add_argument("--temperature", type=Path, help="temperature.json of the model, if it has one")
    parser.add_argument(
        "--weights", metavar="NAME", help="weights file that predicts, if not the one of its folder"
    )
    add_output_argument(parser, "FILE", "the card, Markdown")
    options = parse(parser, arguments)
    if (options.scores is None) != (options.test is None):
        raise InputError("--scores and --test: found one of them, expected both or none")
    if options.scores and options.health:
        raise InputError("--scores and --health: found both, expected one of them")
    record = read_training_record(options.record)
    networks = read_networks(options.networks)
    if options.network not in networks.networks:
        raise InputError(
            f"--network: found {options.network!r}, expected a network of {options.networks}: "
            f"{', '.join(networks.networks)}"
        )
    views, defaults = to_builtins(inference_settings(options.settings)), to_builtins(Views())
    facts = ModelFacts(
        source=options.source,
        target=options.target,
        parameters=networks.networks[options.network].parameters,
        first_weights=networks.first_weights.get(options.network),
        views={key: views[key] for key, value in defaults.items() if views[key] != value},
        code=_code(record),
        scores=read_scores(options.scores, record.model) if options.scores else None,
        scored_on=options.test or "",
        notes=read_notes(options.checked) if options.checked else (),
        weights=options.weights,
        is_calibrated=options.temperature is not None,
        health=read_health(options.health) if options.health else None,
    )
    write_text(options.output, model_card(record, label_space(options.label_space), facts))
    logger.info("what %s is, and how to load it; %s", record.model, options.output)


def _code(record: TrainingRecord) -> str:
    """Return the version of the code that trained a model, with its commit where it is the code at hand."""
    text = f"cotrain {cotrain.__version__}"
    if record.code != code_hash():
        return f"not the code of {text}, which wrote this page; hash {record.code or 'not recorded'}"
    git = ["git", "-C", str(Path(cotrain.__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run([*git, "--exclude=*"], capture_output=True, text=True, check=True)
    # An installed package has no commit, and not every machine has git.
    except (OSError, subprocess.CalledProcessError):
        return text
    return f"{text}, commit {done.stdout.strip()}"


if __name__ == "__main__":
    run(main)
