"""Adapt a segmentation model from synthetic images to your own unlabelled camera.

snakemake                   everything, up to the table of all models in results/RUN/report
snakemake self_training     up to the last round of self-training, and its scores
snakemake --list            all such targets
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.18")

# Steps run as `python -m workflow_scripts.STEP`, from any working folder and without activation.
sys.path.insert(0, workflow.basedir)
os.environ.update(
    PYTHONPATH=os.pathsep.join([workflow.basedir, os.environ.get("PYTHONPATH", "")]),
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]),
)

from cotrain.configuration.choices import MOST_PIXELS_VARIABLE
from cotrain.configuration.reading import read_mapping, resolve
from cotrain.data.files import hold_until_exit
from cotrain.errors import InputError
from rules.terminal import leave_out_preamble, show_on_terminal, terminals

# Without a configuration of the user: the embedded default (`--config KEY=VALUE` still overrides it).
if "datasets" not in config:

    configfile: os.path.join(workflow.basedir, "config", "config.yaml")


try:
    # Snakemake has read them already, but of a key that is given twice it forgets the first.
    for file in workflow.configfiles:
        read_mapping(Path(file))
    configuration = resolve(config)
except InputError as error:
    raise WorkflowError(str(error)) from None
# Every step that reads pictures keeps to it.
os.environ[MOST_PIXELS_VARIABLE] = str(configuration.most_pixels)


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/pseudo_labels.smk"
include: "rules/report.smk"


leave_out_preamble(workflow, result_of_run)


onstart:
    # No second workflow may work on this run. Snakemake's own lock outlives a `kill -9` and would stop the next
    # call; the profile turns it off.
    try:
        hold_until_exit(
            Path(STATE, "workflow.lock"), f"another snakemake is at work on run {configuration.run}"
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None
    # The settings of each step are written from it.
    write_settings(Path(CONFIGURATION), configuration)
    show_on_terminal(workflow, workflow.dag.needrun_jobs(), cost_left, Path(STATE, "speeds.json"))


onsuccess:
    for terminal in terminals():
        terminal.end(result_of_run())


onerror:
    for terminal in terminals():
        terminal.end_early()


rule all:
    """Every model of the run, evaluated, and the table that compares them."""
    default_target: True
    input:
        rules.report.output,
