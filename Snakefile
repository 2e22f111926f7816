"""Adapt a segmentation model from synthetic images to your own unlabelled camera.

snakemake                   everything, up to the table of all models in results/RUN/report
snakemake self_training     up to the last round of self-training, and its scores
snakemake --list            all such targets
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.18")


# Not `workflow.basedir`: that is the folder of the workflow that imports this one, where one does.
PROJECT = workflow.current_basedir.get_path_or_uri(secret_free=True)
if not os.path.isdir(PROJECT):
    raise WorkflowError(
        f"cotrain: the Snakefile is read from {PROJECT}, expected a folder: clone the repository, because jobs "
        "run its Python code, and give the path of the Snakefile in it"
    )
# Steps run as `python -m workflow_scripts.STEP`, from any working folder and without activation.
sys.path.insert(0, PROJECT)
os.environ.update(
    PYTHONPATH=os.pathsep.join([PROJECT, os.environ.get("PYTHONPATH", "")]),
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]),
)

from cotrain.configuration.choices import MOST_PIXELS_VARIABLE
from cotrain.configuration.reading import read_mapping, resolve
from cotrain.data.files import hold_until_exit
from cotrain.errors import InputError
from rules.ancient import look_behind_ancient_inputs
from rules.command_line import check_room
from rules.included import be_default_target
from rules.terminal import leave_out_preamble, name_targets, show_on_terminal, stop, terminals

look_behind_ancient_inputs()

# Without a configuration of the user: the embedded default (`--config KEY=VALUE` still overrides it).
if "datasets" not in config:

    configfile: os.path.join(PROJECT, "config", "config.yaml")


try:
    # Snakemake has read them already, but of a key that is given twice it forgets the first. The files of a
    # workflow that imports this one are its own.
    if os.path.samefile(workflow.main_snakefile, os.path.join(PROJECT, "Snakefile")):
        for file in workflow.configfiles:
            read_mapping(Path(file))
    configuration = resolve(config)
except InputError as error:
    stop(error)
# Every step that reads pictures keeps to it.
os.environ[MOST_PIXELS_VARIABLE] = str(configuration.most_pixels)


# Used only with `--software-deployment-method apptainer`. Relative to the working folder: Snakemake refuses an image
# whose path has a space, also where it is not used.
IMAGE = "cotrain.sif"


container: IMAGE


if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method and not os.path.isfile(IMAGE):
    stop(
        f"--software-deployment-method apptainer: there is no image {IMAGE} in the working folder; docs/cloud.md says "
        "how to make it"
    )


include: "rules/storage.smk"
include: "rules/common.smk"


try:
    # Snakemake would end in a traceback.
    for folder in (RUN, STATE):
        check_room(Path(on_this_machine(folder)))
except InputError as error:
    stop(error)


include: "rules/needs.smk"
include: "rules/changes.smk"
include: "rules/presentation.smk"


# The first rule, and so the default target, also of a workflow that only imports or includes this one.
rule all:
    """Every model of the run, evaluated, and the table that compares them."""
    input:
        lambda wildcards: rules.report.output,
        lambda wildcards: described(*plan.models),
        settings(WHOLE),


include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/pseudo_labels.smk"
include: "rules/report.smk"


report: "rules/captions/run.rst"


leave_out_preamble(workflow, result_of_run)
name_targets([name_of_rule(name) for name in NAMED_TARGETS])
# A module's modifier has one above it.
if workflow.modifier.parent_modifier is None and len(workflow.included_stack) > 1:
    be_default_target(workflow, "all")


onstart:
    # No second workflow may work on this run. Snakemake's own lock outlives a `kill -9` and would stop the next
    # call; the profile turns it off. A workflow that imports this one as a module does not run this: there
    # Snakemake's lock is in force, because the profile is not.
    try:
        if not only_makes_page():
            hold_until_exit(
                Path(on_this_machine(STATE), "workflow.lock"),
                f"another snakemake is at work on run {configuration.run}",
            )
        found = images_of_run()
        if found:
            check_room_of_run(found)
    except InputError as error:
        stop(error)
    show_on_terminal(
        workflow,
        workflow.dag.needrun_jobs(),
        cost_left,
        Path(on_this_machine(STATE), "speeds.json"),
        estimate_of_run(),
        notes_on_run(found) if found else [],
    )


onsuccess:
    for terminal in terminals():
        terminal.end(result_of_run())


onerror:
    for terminal in terminals():
        terminal.end_early()
