"""The command `cotrain STEP …`: a step from any folder. `python -m workflow_scripts STEP …` is the same."""

import ast
import os
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from workflow_scripts.command_line import begin_commands_with, run

# All steps, in the order in which a person meets them.
GROUPS = {
    "a first run with one's own camera": ("init", "extract_frames"),
    "use of a finished model": ("segment", "class_probabilities", "export"),
    "data": (
        *("render_scenes", "make_manifest", "check_data", "convert_labels", "class_statistics"),
        "contact_sheet",
    ),
    "things that are always at the same place in the image": ("ego_vehicle_mask", "class_priors"),
    "colours of the source; a cache of decoded images": ("translate", "decode_images"),
    "models": (
        *("train", "batch_sheet", "hold_out", "calibrate", "sample", "predict", "evaluate"),
        "import_weights",
    ),
    "pseudo-labels": (
        *("choose_subset", "thresholds", "label_round", "exchange", "accumulate", "relabel"),
        *("ensemble_labels", "join_ensemble"),
    ),
    "utilities": (
        *("score_labels", "oracle_study", "error_images", "colour_labels", "export_pseudo_labels"),
        *("import_corrected_labels", "select_images", "vote_labels"),
    ),
    "how far a run is; whether all its files are whole": ("status", "verify"),
    "configuration, checks before a run, report": (
        *("configuration", "write_settings", "check_device", "check_networks", "collect_checks", "estimate"),
        *("health", "report", "photo_sheet", "model_card", "page", "compare"),
    ),
}
STEPS = [step for steps in GROUPS.values() for step in steps]
NAME_WIDTH = max(map(len, STEPS)) + 2
ABOUT = """usage: {start}STEP ...

cotrain adapts a segmentation model from synthetic images to your own unlabelled camera. This command runs one
step; `{start}STEP --help` explains it and shows an example.
"""
# Snakemake needs the rules, which no package holds.
WORKFLOW = """
A whole run is not a step: `snakemake` makes it, in a clone of the repository (README.md there). The clone has
the rules, profiles and configurations, which an installed package does not have.
"""


def summary(step: str) -> str:
    """Return the first line of a step's docstring, without importing the step."""
    text = Path(__file__).with_name(f"{step}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def help_text(start: str) -> str:
    """Return the list of all steps, for a command that starts with `start`."""
    groups = [
        f"{group}:\n" + "".join(f"  {step:{NAME_WIDTH}}{summary(step)}\n" for step in steps)
        for group, steps in GROUPS.items()
    ]
    return "\n".join([ABOUT.format(start=start), *groups]) + WORKFLOW


def start_step() -> None:
    """Run the step that the command line names, or list all steps."""
    is_module = Path(sys.argv[0]).name == Path(__file__).name
    start = "python -m workflow_scripts " if is_module else "cotrain "
    step, *arguments = sys.argv[1:] or ["--help"]
    if step in ("-h", "--help"):
        sys.stdout.write(help_text(start))
        return
    if step not in STEPS:
        # Names have underscores; hands type hyphens.
        close = get_close_matches(step.replace("-", "_"), STEPS, 1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        sys.stderr.write(f"error: there is no step {step!r}{meant}; `{start}--help` lists all steps\n")
        sys.exit(2)
    # A network of the user's own may lie in this folder. Last: no file here takes the place of a package.
    sys.path.append(os.getcwd())
    begin_commands_with(start)
    sys.argv = [f"{start}{step}", *arguments]
    run(import_module(f"workflow_scripts.{step}").main)


if __name__ == "__main__":
    start_step()
