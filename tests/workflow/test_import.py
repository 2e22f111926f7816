"""The workflow as a part of another one: as a module, with and without a prefix, and included."""

import json
import re

import numpy as np
import pytest
import yaml

from cotrain.data.images import write_label
from tests.workflow.conftest import PROJECT

OWN_RULE = """
rule own:
    input:
        {inputs}
    output:
        "own.txt"
    shell:
        "wc -c {{input:q}} > {{output}}"
"""
IMPORTED = """
module {name}:
    snakefile: {snakefile!r}
    config: config["adaptation"]
    {prefix}

use rule * from {name} as {rules}
"""
INCLUDED = """
include: {snakefile!r}
"""
WEIGHTS = "results/tiny/models/baseline/weights.safetensors"
SETTINGS = "results/tiny/settings/configuration.json"


def write_workflow(run, *parts):
    """Write a workflow of somebody else's beside the data, with the run's settings in its configuration."""
    (run.folder / "Snakefile").write_text("\n".join(parts))
    (run.folder / "own.yaml").write_text(
        yaml.safe_dump({"adaptation": run.configuration(), "run": "not ours"})
    )


def start(run, configfile, *arguments):
    done = run.snakemake(*arguments, snakefile=run.folder / "Snakefile", configfile=configfile)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def imported(name, rules, prefix=""):
    return IMPORTED.format(name=name, rules=rules, prefix=prefix, snakefile=str(PROJECT / "Snakefile"))


def test_two_modules_of_another_workflow_train_their_baselines(run):
    """The user's files are where the configuration says; what a run makes has the module's prefix."""
    mask = np.zeros((64, 96), np.uint8)
    mask[60:] = 1
    write_label(run.folder / "a mask.png", mask, [(0, 0, 0), (255, 255, 255)])
    quick = {"baseline": {"iterations": 2}, "translation": {"method": "none"}}
    run.configure(run.configuration() | quick | {"ego_vehicle_mask": "a mask.png"})
    inputs = f'"{WEIGHTS}", "with a prefix/{WEIGHTS}", "{SETTINGS}", "with a prefix/{SETTINGS}"'
    write_workflow(
        run,
        OWN_RULE.format(inputs=inputs),
        imported("plain", "*"),
        imported("prefixed", "prefixed_*", 'prefix: "with a prefix"'),
    )
    # The first rule is the default target, as it is everywhere in Snakemake.
    start(run, "own.yaml")
    assert (run.folder / "own.txt").exists()
    plain, prefixed = run.folder, run.folder / "with a prefix"
    assert (plain / WEIGHTS).read_bytes() == (prefixed / WEIGHTS).read_bytes()
    for folder in (plain, prefixed):
        written = json.loads((folder / SETTINGS).read_text())
        assert written["ego_vehicle_mask"] == "a mask.png"
        assert (folder / "state" / "tiny" / "baseline").is_dir()
        assert (folder / "results" / "tiny" / "logs" / "train" / "baseline.log").exists()
    # What each makes is its own.
    assert {path.name for path in prefixed.iterdir()} == {"results", "state"}
    assert "Nothing to be done" in start(run, "own.yaml", "--dry-run")


def test_default_target_of_a_workflow_that_only_imports(run):
    write_workflow(run, imported("other", "other_*", 'prefix: "below"'))
    output = start(run, "own.yaml", "--dry-run", "--quiet", "host")
    assert "rule other_all:\n    input: below/results/tiny/report/models.tsv" in output
    # Every job of the run, and only with paths below the prefix.
    assert "results/tiny" not in output.replace("below/results/tiny", "")
    assert "state/tiny" not in output.replace("below/state/tiny", "")


def test_names_and_paths_in_messages_are_those_of_the_importing_workflow(run):
    write_workflow(run, imported("other", "other_*", 'prefix: "below"'))
    arguments = {"snakefile": run.folder / "Snakefile", "configfile": "own.yaml"}
    # Of the importing workflow's own settings nothing is refused.
    with (run.folder / "own.yaml").open("a") as file:
        file.write("begun: 2020-01-01\nrun: twice\n")
    mistyped = run.snakemake("--dry-run", "--", "nosuch", **arguments).stdout
    assert "there is no target nosuch; expected one of other_all, other_baseline, " in mistyped
    until = run.snakemake("--dry-run", "--until", "other_train", **arguments).stdout
    assert (
        "Name a target instead: other_baseline, other_self_training, other_co_training, other_final, or"
        in until
    )
    assert "a file, such as below/results/tiny/models/co_training/00/b/weights.safetensors" in until


def test_included_in_another_workflow(run):
    included = INCLUDED.format(snakefile=str(PROJECT / "Snakefile"))
    # Several jobs of one step, and one of another; a training is in the test above.
    write_workflow(run, included, OWN_RULE.format(inputs="rules.collect_checks.output"))
    start(run, "tiny.yaml", "--", "own")
    assert (run.folder / "own.txt").exists()
    assert (run.folder / "state" / "tiny" / "workflow.lock").exists()


def default_target(run, *parts):
    """Return the rule that Snakemake takes if it is asked for nothing."""
    write_workflow(run, *parts)
    output = start(run, "tiny.yaml", "--dry-run", "--quiet", "host")
    return re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE)[-1]


def test_the_default_target_of_a_workflow_that_includes_is_the_whole_run_unless_a_rule_comes_first(run):
    included = INCLUDED.format(snakefile=str(PROJECT / "Snakefile"))
    own = OWN_RULE.format(inputs=repr("some data/camera.images.txt"))
    assert default_target(run, included) == "all"
    assert default_target(run, included, own) == "all"
    assert default_target(run, own, included) == "own"
    between = 'include: "between.smk"'
    (run.folder / "between.smk").write_text(included + own)
    assert default_target(run, between) == "all"


@pytest.mark.parametrize("rule", ["train", "label_round"])
def test_until_a_rule_of_many_steps_names_targets_instead(run, rule):
    refused = run.snakemake("--dry-run", "--until", rule)
    assert refused.returncode != 0
    assert f"--until {rule}: the jobs of this rule wait for each other" in refused.stdout
    assert "Name a target instead: baseline, self_training, co_training, final, or a file" in refused.stdout
    assert "BUG" not in refused.stdout


@pytest.mark.parametrize("rule", ["translate", "exchange"])
def test_until_a_rule_of_no_chain_is_left_to_snakemake(run, rule):
    """There is only one cycle of co-training."""
    done = run.snakemake("--dry-run", "--until", rule)
    assert done.returncode == 0, done.stdout[-3000:]
