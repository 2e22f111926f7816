# What a person sees of a run and can ask for: flags that are refused, the time left, `snakemake --report`, targets.
from cotrain.data.disk_space import check_disk_of_run
from cotrain.reporting.overview import counted, notes_on
from cotrain.reporting.time_left import Cost, cost_of_training

# Number of steps for which each of these rules has jobs. With several, a job waits for one of the same rule, of the
# step before. When a job of the rule in `--until` has ended, Snakemake does not start what waits for it, although
# other jobs of the rule are among that.
STEPS_OF_RULE = {
    **dict.fromkeys(("train", "calibrate", "predict", "thresholds", "accumulate"), len(plan.steps)),
    "label_round": len(plan.rounds),
    "exchange": configuration.co_training.cycles,
    "relabel": sum(map(plan.is_relabelled, plan.steps)),
}
# Where this workflow is a module, its rules may have other names.
name_of_rule = workflow.modifier.modify_rulename
MADE_IN_A_CHAIN = {name_of_rule(name) for name, steps in STEPS_OF_RULE.items() if steps > 1}
TARGETS_INSTEAD = ", ".join(map(name_of_rule, ("baseline", "self_training", "co_training", "final")))


def refuse_until(model):
    """Say what to ask for instead of `--until RULE`, where Snakemake would end in "BUG: Out of jobs ready".

    Called by the inputs of trainings: the earliest place at which Snakemake knows its flags, in a dry run too.
    """
    asked = [name for name in workflow.dag_settings.until if name in MADE_IN_A_CHAIN]
    if asked and model in [*plan.steps, FINAL]:
        stop(
            f"--until {asked[0]}: the jobs of this rule wait for each other, and Snakemake's --until cannot run "
            f"such jobs. Name a target instead: {TARGETS_INSTEAD}, or a file, such as "
            f"{modify_path(weights(plan.steps[-1]))}"
        )


# ------------------------------------------------------------------------------------------- time


def cost_left(job):
    """What is left to do of a job; a training says itself how far it is."""
    if job.rule.name != "train":
        return Cost(job.rule.name, 1)
    model = ModelName.parse(job.wildcards.model)
    # Iterations of two networks take differently long.
    kind = "train b" if plan.has_own_network(model) else "train"
    iterations = plan.training_settings(plan.settings_name(model)).iterations
    has_ended = Path(on_this_machine(weights(model))).is_file()
    return cost_of_training(kind, iterations, Path(on_this_machine(STATE), str(model)), has_ended=has_ended)


def estimate_of_run():
    """The time of the whole run, if `snakemake estimate` has measured it."""
    path = Path(on_this_machine(RUN), "report", "estimate.txt")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.removeprefix("all").strip() for line in lines if line.startswith("all ")), "")


def rules_left():
    """The rules of which jobs are left to do."""
    return {job.rule.name for job in workflow.dag.needrun_jobs()}


def is_left_to_train():
    return name_of_rule("train") in rules_left()


def is_new():
    return not os.path.exists(weights(BASELINE))


def images_of_run():
    """The images of the run, counted before its first job; None where nobody asks, or where a job says what is wrong."""
    if not is_new() and not is_left_to_train():
        return None
    try:
        return counted(configuration)
    except InputError:
        return None


def check_room_of_run(found):
    """Raise InputError where the disk has no room for what is left to make; what is stored elsewhere takes none."""
    if is_left_to_train() and not (STORAGE and STORAGE.default_storage_provider):
        check_disk_of_run(configuration, *found, Path(on_this_machine(RUN)), Path(on_this_machine(STATE)))


def notes_on_run(found):
    """What in the configuration is hardly meant, before anything is trained."""
    return notes_on(configuration, found) if is_new() else []


PAGES = {name_of_rule("page"), name_of_rule("page_at_end")}


def only_makes_page():
    """Whether nothing is asked for but the page of what is there, which may be made while a run goes on."""
    return rules_left() == {name_of_rule("page")}


def result_of_run():
    folder = Path(on_this_machine(RUN))
    table = folder / "report" / "models.txt"
    done = "compared" if configuration.test else "listed, without scores,"
    found = f"all models are {done} in {table}" if table.exists() else f"the files are in {folder}"
    # Of what was asked for: another target may have made another one.
    sheets = [
        folder / "report" / f"{job.wildcards.sheet}.jpg"
        for job in workflow.dag.jobs
        if job.rule.name == name_of_rule("photo_sheet")
    ]
    text = "; photos, as the models see them: ".join(
        [found, *(str(sheet) for sheet in sheets if sheet.exists())]
    )
    page = folder / "report" / "index.html"
    is_made = any(job.rule.name in PAGES for job in workflow.dag.jobs)
    return f"{text}. Open the page of the run: {page}" if is_made and page.exists() else text


# ------------------------------------------------------------------------------ `snakemake --report`


def comparison(name, content):
    """A file that compares all models, or lists them if there is nothing to compare them by."""
    return report(
        f"{RUN}/report/{name}",
        caption="captions/models.rst" if configuration.test else "captions/unscored.rst",
        category="Scores" if configuration.test else "Models",
        subcategory="All models",
        labels={"content": content},
    )


def verdict(name, content):
    """A file that says how the models do without labels."""
    return report(
        f"{RUN}/report/{name}",
        caption="captions/health.rst",
        category="Health",
        labels={"content": content},
    )


def study(name, content):
    """A file that compares the pseudo-labels of a dataset with its labels."""
    return report(
        f"{RUN}/oracle/{{dataset}}/{name}",
        caption="captions/oracle.rst",
        category="Oracle studies",
        labels={"dataset": "{dataset}", "content": content},
    )


# Those that a person names on the command line.
NAMED_TARGETS = [
    *(
        "all",
        "baseline",
        "self_training",
        "co_training",
        "final",
        "upper_bound",
        "oracle_studies",
        "estimate",
    ),
    *("batch_sheets", "contact_sheets", "page"),
]
