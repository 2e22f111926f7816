"""The section of a page that says what a run cost, and what its results rest on."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from cotrain.configuration.names import FINAL, UPPER_BOUND, ImageSet, Labelling, ModelName
from cotrain.configuration.reading import resolve
from cotrain.configuration.sections import Configuration
from cotrain.configuration.settings_files import may_have_labels
from cotrain.reporting.page.charts import Span, time_line
from cotrain.reporting.page.learning import Part
from cotrain.reporting.page.records import Job, RunRecords, TrainingFacts
from cotrain.reporting.page.tables import Cell, Grid
from cotrain.reporting.page.verdict import best_model
from cotrain.words import counted

# Rules whose jobs come before any model.
BEFORE = "before"
# What a job belongs to, if it is on no way to the final model.
AFTER = "after"
KINDS = {
    "train": ("training", 0),
    "predict": ("prediction", 1),
    "predict_sample": ("prediction", 1),
    "evaluate": ("scores", 2),
    "calibrate": ("prediction", 1),
    "translate": ("data", 3),
    "render_scenes": ("data", 3),
    "convert_labels": ("data", 3),
    "check_data": ("data", 3),
    "make_manifest": ("data", 3),
}
OTHER = ("labels and other steps", 4)


def cost(records: RunRecords) -> list[Part]:
    """Return the parts about time, memory and trust, those for which something is there."""
    return [
        *_time(records),
        *_by_rule(records),
        *_trainings(records),
        *_differences(records),
        *_trust(records),
    ]


def in_words(seconds: float) -> str:
    """Return a time in words: 48 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def gpu_hours(records: RunRecords) -> float:
    """Return the hours of GPUs in trainings."""
    return sum(training.gpu_seconds for training in records.trainings.values()) / 3600


# ------------------------------------------------------------------------------------------- time


def node_of(job: Job, planned: Iterable[str]) -> str:
    """Return the model that a job is on the way to, "before" if all wait for it, "after" if none does.

    A prediction of a subset is on the way to the model that learns from its labels, one of the whole target
    to the final model.
    """
    names = {*planned}
    if job.rule in ("render_scenes", "make_manifest", "check_data", "check_networks", "check_device"):
        return BEFORE
    if job.rule in ("convert_labels", "collect_checks", "translate", "class_statistics", "decode_images"):
        return BEFORE
    if job.rule in ("class_priors", "hold_out", "choose_subset"):
        return BEFORE
    if job.rule in ("ensemble_labels", "join_ensemble"):
        return str(FINAL)
    if job.rule in ("train", "calibrate"):
        return job.about if job.about in names else AFTER
    if job.rule == "predict":
        return _labelled_by(job.about, names)
    if job.rule == "exchange":
        # One job for both branches.
        return f"co_training/{job.about}/a" if f"co_training/{job.about}/a" in names else AFTER
    if job.rule == "label_round":
        return f"self_training/{job.about}" if f"self_training/{job.about}" in names else AFTER
    if job.rule in ("thresholds", "accumulate", "relabel"):
        return _of_labelling(job.about, names)
    return AFTER


def _labelled_by(about: str, names: set[str]) -> str:
    for model in names:
        if about.startswith(f"{model}/"):
            try:
                images = ImageSet.parse(about.removeprefix(f"{model}/").rpartition("/")[0])
            except ValueError:
                continue
            if images.kind == "subset":
                return str(images.step)
            if images.kind == "target":
                return str(FINAL)
            return model if images.kind == "accumulated" else AFTER
    return AFTER


def _of_labelling(about: str, names: set[str]) -> str:
    try:
        labelling = Labelling.parse(about)
    except ValueError:
        return about if about in names else AFTER
    return str(FINAL) if labelling.ensemble_branch else str(labelling.step)


def dependencies(records: RunRecords) -> dict[str, list[str]]:
    """Return for each model which others must be there before it."""
    plan = records.plan
    found = {}
    for text in records.planned:
        model = ModelName.parse(text)
        others = [*plan.labellers(model), plan.parent(model)]
        found[text] = list(dict.fromkeys(str(other) for other in others if other is not None)) or [BEFORE]
    return found


def critical_path(seconds: Mapping[str, float], needs: Mapping[str, Sequence[str]], end: str) -> list[str]:
    """Return the chain of nodes up to `end` that takes longest, the first one first.

    `seconds` are those of each node, `needs` the nodes that each waits for, which come before it in `needs`.
    """
    longest: dict[str, float] = {BEFORE: seconds.get(BEFORE, 0.0)}
    through: dict[str, str] = {}
    for node, others in needs.items():
        known = [other for other in others if other in longest]
        start = max(known, key=lambda other: longest[other], default=BEFORE)
        through[node] = start
        longest[node] = longest[start] + seconds.get(node, 0.0)
    path = [end] if end in longest else []
    while path and path[0] in through:
        path.insert(0, through[path[0]])
    return path


def _time(records: RunRecords) -> Iterator[Part]:
    jobs = [job for job in records.jobs if job.rule not in ("page", "page_at_end")]
    if not jobs:
        return
    first, last = min(job.start for job in jobs), max(job.end for job in jobs)
    total = sum(job.seconds for job in jobs)
    nodes: dict[str, float] = {}
    for job in jobs:
        node = node_of(job, records.planned)
        nodes[node] = nodes.get(node, 0.0) + job.seconds
    newest = records.newest or BEFORE
    path = critical_path(nodes, dependencies(records), newest)
    facts = [
        ("From the first job to the last", in_words(last - first), "with pauses, if it was interrupted"),
        ("All jobs together", in_words(total), f"{counted(len(jobs), 'job')}, as if one after the other"),
        ("Processor time", in_words(sum(job.cpu_seconds for job in jobs)), "of all cores together"),
        *(
            [("GPU hours of trainings", f"{gpu_hours(records):.2f}", "time of a training, times its GPUs")]
            if gpu_hours(records)
            else []
        ),
        ("Largest memory of a job", f"{max(job.memory for job in jobs) / 1024:.1f} GiB", ""),
        (
            "Critical path",
            in_words(sum(nodes.get(node, 0.0) for node in path)),
            " → ".join("data" if node == BEFORE else node for node in path)
            + ": the chain that takes longest; no number of machines makes the run shorter",
        ),
    ]
    rows = [[Cell(name), Cell(value), Cell(note)] for name, value, note in facts]
    yield Part("Time and memory", "", "", Grid("Time and memory", ["what", "value", ""], rows), is_wide=True)
    shown = [job for job in jobs if job.seconds >= 0.002 * (last - first)]
    names = [*dict.fromkeys(KINDS.get(job.rule, OTHER)[0] for job in shown)]
    lanes, rows_of = _lanes(shown, names)
    unit, label = (3600.0, "hours") if last - first > 7200 else (60.0, "minutes")
    spans = [
        Span(
            row,
            (job.start - first) / unit,
            max(job.seconds / unit, 0.001 * (last - first) / unit),
            KINDS.get(job.rule, OTHER)[1],
            f"{job.rule} {job.about}: {in_words(job.seconds)}",
        )
        for row, job in lanes
    ]
    text = (
        "When each job ran, by the times of its files; jobs that took less than 0.2 % of the whole are left "
        "out. A "
        "copy of the folder without its times (cp without -p) loses this."
    )
    yield Part(
        "Time line", text, time_line(rows_of, spans, "Time line of jobs", f"{label} since the first job")
    )


def _lanes(jobs: Sequence[Job], kinds: Sequence[str]) -> tuple[list[tuple[int, Job]], list[str]]:
    """Return the row of each job, so that none covers another, and the title of each row."""
    placed: list[tuple[int, Job]] = []
    titles: list[str] = []
    for kind in kinds:
        ends: list[float] = []
        start_row = len(titles)
        for job in sorted((j for j in jobs if KINDS.get(j.rule, OTHER)[0] == kind), key=lambda j: j.start):
            free = next((row for row, end in enumerate(ends) if end <= job.start + 1), None)
            if free is None:
                # Beyond this, the picture shows no more.
                free = len(ends) if len(ends) < 6 else 0
                if free == len(ends):
                    ends.append(0.0)
            ends[free] = job.end
            placed.append((start_row + free, job))
        titles += [kind if row == 0 else "" for row in range(len(ends))]
    return placed, titles


def _by_rule(records: RunRecords) -> Iterator[Part]:
    if not records.jobs:
        return
    by_rule: dict[str, list[Job]] = {}
    for job in records.jobs:
        by_rule.setdefault(job.rule, []).append(job)
    total = sum(job.seconds for job in records.jobs) or 1.0
    rows = []
    for rule, jobs in sorted(by_rule.items(), key=lambda item: -sum(job.seconds for job in item[1])):
        seconds = sum(job.seconds for job in jobs)
        longest = max(jobs, key=lambda job: job.seconds)
        rows.append(
            [
                Cell(rule),
                Cell.number(len(jobs), 0),
                Cell(in_words(seconds), seconds, seconds / total),
                Cell(in_words(longest.seconds), longest.seconds),
                Cell.number(max(job.memory for job in jobs), 0),
            ]
        )
    header = ["step", "jobs", "time together", "longest", "memory (MiB)"]
    yield Part("Steps", "", "", Grid("Time and memory of each step", header, rows))


def _trainings(records: RunRecords) -> Iterator[Part]:
    if not records.trainings:
        return
    on_gpu = gpu_hours(records) > 0
    rows = [
        [
            Cell(model),
            Cell.number(training.settings.iterations, 0),
            Cell.number(training.images.source, 0),
            Cell.number(training.images.target or None, 0),
            Cell(in_words(training.seconds), training.seconds),
            Cell(_device(training)),
            *([Cell.number(training.gpu_seconds / 3600, 2)] if on_gpu else []),
            Cell.number(training.peak_memory_mib, 0),
            Cell.number(training.resumes, 0),
        ]
        for model, training in records.trainings.items()
    ]
    header = [
        *("model", "iterations", "source images", "target images", "time", "device"),
        *(["GPU hours"] if on_gpu else []),
        *("memory (MiB)", "resumed"),
    ]
    yield Part("Trainings", "", "", Grid("What each training took", header, rows))


def _device(training: TrainingFacts) -> str:
    """Return what trained, in words that stay in one line."""
    if not training.device:
        return "unknown"
    name = training.device if training.gpu_seconds else f"CPU ({training.device})"
    text = name if training.processes == 1 else f"{training.processes} × {name}"
    return text.replace(" ", "\u00a0")


# ------------------------------------------------------------------------------------------ trust


def differences(configuration: Configuration) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values are not the defaults: dotted key -> (value, default), as JSON types.

    A key without a default has None for it. A network is compared with the defaults of its kind, and a value
    that follows from the number of rounds (`round_b: -1`) with what follows from this one.
    """
    content = msgspec.to_builtins(configuration)
    streets = {"layout": "streets", "look": "game"}
    smallest = {
        "run": "a_run",
        "datasets": {"a": streets, "b": streets | {"seed": 2}},
        "source": ["a"],
        "target": "b",
        "network": {"name": content["network"]["name"]},
    }
    rounds = {"self_training": {"rounds": configuration.self_training.rounds}}
    defaults = [msgspec.to_builtins(resolve(smallest | other)) for other in ({}, rounds)]
    for key in ("run", "datasets", "source", "target"):
        for of_all in defaults:
            of_all[key] = None
    found = dict(_unlike(content, *defaults))
    key = "self_training.rounds"
    default = defaults[0]["self_training"]["rounds"]
    if configuration.self_training.rounds != default:
        found[key] = configuration.self_training.rounds, default
    return found


def _unlike(content: Any, first: Any, second: Any, key: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the places in JSON types whose value is that of neither of two defaults."""
    if isinstance(content, dict) and isinstance(first, dict) and isinstance(second, dict):
        for name, value in content.items():
            place = f"{key}.{name}" if key else name
            yield from _unlike(value, first.get(name), second.get(name), place)
    elif content not in (first, second):
        yield key, (content, second)


def _differences(records: RunRecords) -> Iterator[Part]:
    rows = []
    for key, (value, default) in differences(records.configuration).items():
        if key == "datasets":
            for name, entry in value.items():
                rows += [
                    [Cell(f"datasets.{name}.{inner}"), Cell(_json(of_key)), Cell("")]
                    for inner, of_key in entry.items()
                    if of_key is not None
                ]
            continue
        rows.append([Cell(key), Cell(_json(value)), Cell("" if default is None else _json(default))])
    text = "The keys of the configuration whose values are not the defaults; config/README.md explains each."
    yield Part(
        "Settings",
        text,
        "",
        Grid("Settings that differ from the defaults", ["key", "value", "default"], rows),
    )


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _trust(records: RunRecords) -> Iterator[Part]:
    configuration = records.configuration
    rows = [[Cell("seed of the run"), Cell(str(configuration.seed))]]
    versions: dict[str, dict[str, list[str]]] = {}
    codes: dict[str, list[str]] = {}
    for model, training in records.trainings.items():
        codes.setdefault(training.code or "not recorded", []).append(model)
        for name, version in training.versions.items():
            versions.setdefault(name, {}).setdefault(version, []).append(model)
    for name, by_version in versions.items():
        for version, models in by_version.items():
            of = "" if len(by_version) == 1 else f" ({', '.join(models)})"
            rows.append([Cell(name), Cell(f"{version}{of}")])
    for code, models in codes.items():
        of = "all models" if len(codes) == 1 else ", ".join(models)
        rows.append([Cell("hash of the code"), Cell(f"{code[:16]} ({of})")])
    for name, score in list(records.scores.items())[:1]:
        facts = ", ".join(f"{key}: {_json(value)}" for key, value in score.protocol.items())
        rows.append([Cell("scored on"), Cell(f"{configuration.test}, {score.images} images; {facts}")])
        del name
    text = "A second run with the same seed, code, versions and device gives the same models."
    yield Part(
        "What the results rest on", text, "", Grid("Seeds, versions and code", ["what", "value"], rows)
    )
    parents = [
        [Cell(model), Cell(path), Cell(digest[:16])]
        for model, training in records.trainings.items()
        for path, digest in training.parents.items()
    ]
    if parents:
        text = (
            "The SHA-256 of the files that decided each training, its first 16 digits. Manifests hold the "
            "hashes of "
            "their labels."
        )
        grid = Grid("Data hashes", ["model", "file", "SHA-256"], parents)
        yield Part("Data hashes", text, "", grid)


# The lines of a configuration that name labelled photos; `datasets` is there already.
LABELLED_PHOTOS = """\
datasets:
  camera_test:
    layout: lists
    images: lists/test_images.txt
    labels: lists/test_labels.txt
    classes: cityscapes_train_ids  # which id in the label files means which class
test: camera_test"""


class Command(NamedTuple):
    """A command to copy, and what it does."""

    what: str
    command: str


def commands(records: RunRecords) -> list[Command]:
    """Return what to do next, with the paths of this run."""
    folder = str(records.folder)
    settings = f"{folder}/settings/configuration.json"
    model = best_model(records)
    configfile = f"--configfile {shlex.quote(settings)}"
    found = []
    if not records.is_finished:
        found.append(Command("Go on, or begin again after an interruption", f"snakemake {configfile}"))
    if model:
        weights = shlex.quote(f"{folder}/models/{model}")
        why = "" if model == records.newest else ", which has the best score,"
        found.append(
            Command(
                f"Use the model {model}{why} on other images or a video",
                f"python -m workflow_scripts.segment --model {weights} \\\n"
                f"    --settings {shlex.quote(f'{folder}/settings/prediction.json')} --input FOLDER "
                "--output segmented",
            )
        )
        found.append(
            Command(
                "Give it to other programs",
                f"python -m workflow_scripts.export --model {weights} --images photos/*.jpg --output "
                "exported",
            )
        )
    configuration = records.configuration
    can_be_compared = configuration.test and may_have_labels(configuration, configuration.target)
    if can_be_compared and str(UPPER_BOUND) not in records.trainings:
        found.append(
            Command(
                "Know how far it is from the best it could be: train a model with the camera's own labels",
                f"snakemake upper_bound {configfile}",
            )
        )
    if not configuration.test:
        found.append(
            Command(
                "Have scores: add these lines to the configuration, with lists of some labelled photos, and "
                "give the same command again. No model is trained again",
                LABELLED_PHOTOS,
            )
        )
    found.append(
        Command(
            "Extend the run: copy its settings, change a key such as co_training.cycles, and make what is "
            "new",
            f"cp {shlex.quote(settings)} longer.json  # change it\nsnakemake --configfile longer.json",
        )
    )
    if records.is_finished:
        found.append(Command("Make again what has changed", f"snakemake {configfile}"))
    found.append(
        Command("Check that every file is whole", f"python -m workflow_scripts.verify {shlex.quote(folder)}")
    )
    found.append(
        Command("Make this page again", f"python -m workflow_scripts.page --run {shlex.quote(folder)}")
    )
    return found
