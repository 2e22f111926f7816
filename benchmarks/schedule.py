"""How long a paper-sized run takes on several GPUs, simulated: hours, critical path, idle share of the GPUs.

Prints a table in Markdown, and plots hours and idle shares against the number of GPUs:

    python -m benchmarks.schedule [--milliseconds 28] [--plot docs/images/schedule.png]

Nothing is trained. The jobs, what they wait for and how many GPUs they take come from a dry run of the
workflow on `config/experiments/gtav_cityscapes.yaml`, with empty folders in the place of its datasets. How
long a job takes follows from `COSTS` and from the flags. Both say which figures were measured and which are
assumed. In the simulation jobs on the CPU never wait for cores, and Snakemake itself takes no time.
"""

import argparse
import heapq
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cotrain.configuration.names import ImageSet, ModelName
from cotrain.configuration.reading import merged, read_mapping, resolve
from cotrain.configuration.run_plan import RunPlan

PROJECT = Path(__file__).parents[1]
EXPERIMENT = PROJECT / "config" / "experiments" / "gtav_cityscapes.yaml"
# Images of the datasets of this experiment, as published.
IMAGES = {"gtav": 24_966, "cityscapes": 2_975, "cityscapes_val": 500}


class Cost(NamedTuple):
    """What a rule's job on the CPU takes for an image: `seconds`, divided by the cores where it `scales`."""

    seconds: float
    scales: bool
    source: str


# Sources in quotation marks are sections of docs/performance.md. That work spreads over cores is assumed.
COSTS = {
    "make_manifest": Cost(2.4 / 25_000, False, "measured, 'Datasets'"),
    "check_data": Cost(2 * 107 / 3_000, True, "measured on two cores, 'Datasets'"),
    "convert_labels": Cost(0.02, True, "assumed; writing a label is 9 ms of it, 'Labelling and evaluation'"),
    # Decoding and encoding are 52 ms / 0.35, since the colours add 0.35 times as much.
    "translate": Cost(0.2, True, "measured on one core, 'Colour translation'"),
    "decode_images": Cost(0.046, True, "measured on one core, 'Input pipeline'; writing is left out"),
    "label_round": Cost(0.013, False, "measured on two cores, 'Labelling and evaluation'"),
    "relabel": Cost(0.013, False, "assumed to be as fast as label_round"),
    "exchange": Cost(14.2 / 1_000, False, "measured on two cores, 'Labelling and evaluation'"),
    "ensemble_labels": Cost(14.2 / 1_000, False, "assumed to be as fast as exchange"),
    "evaluate": Cost(0.0046, False, "measured, 'Labelling and evaluation'"),
}
# Seconds until a step on the CPU works, and all that the rules without an entry take: assumed.
CPU_START_UP = 1.0


@dataclass(frozen=True)
class Speeds:
    """The figures that depend on the GPUs and the machine: see the flags of `main`."""

    milliseconds: float
    unrecorded_milliseconds: float
    images_a_second: float
    start_up: float
    efficiency: float
    cores: int


@dataclass(frozen=True)
class PlannedJob:
    """A job of a dry run: rule, wildcards, the GPUs that it takes, and the names of the jobs before it."""

    rule: str
    wildcards: Mapping[str, str]
    gpus: int
    after: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rule and the values of the wildcards."""
        return job_name(self.rule, self.wildcards)


@dataclass(frozen=True)
class Job:
    """A job with the seconds that it takes."""

    name: str
    after: tuple[str, ...]
    gpus: int
    seconds: float


class Variant(NamedTuple):
    """What the configuration says of the division of the work."""

    shards: int
    gpus_per_training: int


class Outcome(NamedTuple):
    """A run with so many GPUs: its hours, and the share of the GPUs' time without a job."""

    hours: float
    idle: float


# ------------------------------------------------------------------------------------- jobs of a run


def job_name(rule: str, wildcards: Mapping[str, str]) -> str:
    """Return a name such as `predict baseline labelled/cityscapes_val 0`."""
    return " ".join([rule, *wildcards.values()])


def experiment_in(folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the published experiment with changes; its datasets are empty folders below `folder`."""
    experiment = merged(read_mapping(EXPERIMENT), changes)
    for name, dataset in experiment["datasets"].items():
        root = folder / name
        root.mkdir(exist_ok=True)
        experiment["datasets"][name] = {**dataset, "root": str(root)}
    return experiment


def dry_run(configuration: Mapping[str, Any], folder: Path) -> str:
    """Return what Snakemake says of a run that it only plans; exits with its last lines where it fails."""
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(dict(configuration)))
    gpus = configuration.get("gpus_per_training", 1)
    command = ["snakemake", "--dry-run", "--quiet", "host", "--cores", "1", "--configfile", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--resources", f"gpu={gpus}", "--snakefile", PROJECT / "Snakefile"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the dry run failed: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def jobs_of_dry_run(text: str) -> list[PlannedJob]:
    """Return the jobs that a dry run lists, sorted by name; a job waits for those that make its inputs.

    The order of a dry run itself differs from call to call.
    """
    listed = []
    maker: dict[str, str] = {}
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, re.MULTILINE):
        fields = dict(re.findall(r"^    (\w+): (.*)$", block, re.MULTILINE))
        wildcards = dict(pair.split("=", 1) for pair in values(fields.get("wildcards")))
        maker |= dict.fromkeys(values(fields.get("output")), job_name(rule, wildcards))
        gpus = re.search(r"\bgpu=(\d+)", fields.get("resources", ""))
        listed.append((rule, wildcards, int(gpus[1]) if gpus else 0, values(fields.get("input"))))
    jobs = [
        PlannedJob(rule, wildcards, gpus, tuple(sorted({maker[path] for path in inputs if path in maker})))
        for rule, wildcards, gpus, inputs in listed
    ]
    return sorted(jobs, key=lambda job: job.name)


def values(field: str | None) -> list[str]:
    """Return the values of a field of a dry run, which has none where it is missing."""
    return field.split(", ") if field else []


# -------------------------------------------------------------------------------- what they take


def images_of(job: PlannedJob, plan: RunPlan) -> int:
    """Return how many images a job works on; 0 for one whose time does not depend on that."""
    configuration, wildcards = plan.configuration, job.wildcards
    if job.rule == "predict":
        images, model = ImageSet.parse(wildcards["image_set"]), ModelName.parse(wildcards["model"])
        return math.ceil(images_in(images, model, plan) / configuration.prediction.shards)
    if job.rule == "label_round":
        return configuration.self_training.images_per_step
    if job.rule == "relabel":
        return accumulated(ModelName.parse(wildcards["step"]), plan)
    # These label the images of both branches.
    if job.rule == "exchange":
        return 2 * configuration.co_training.images_per_step
    if job.rule == "ensemble_labels":
        return math.ceil(2 * IMAGES[configuration.target] / configuration.prediction.shards)
    return IMAGES[wildcards["dataset"]] if "dataset" in wildcards else 0


def images_in(images: ImageSet, model: ModelName, plan: RunPlan) -> int:
    """Return the number of images of a set that a model predicts."""
    if images.kind == "labelled":
        return IMAGES[images.dataset]
    if images.kind == "subset":
        return plan.stage_of(images.step).images_per_step
    return accumulated(model, plan) if images.kind == "accumulated" else IMAGES[plan.configuration.target]


def accumulated(step: ModelName, plan: RunPlan) -> int:
    """Return how many images have been kept after a step, at most: some are drawn twice."""
    return plan.stage_of(step).keep * (step.place + 1)


def speed_up_of_training(gpus: int, efficiency: float) -> float:
    """Return how many times as fast several GPUs train: `efficiency` is lost at each doubling."""
    return (2 * efficiency) ** math.log2(gpus)


def milliseconds_of_training(gpus: int, speeds: Speeds) -> float:
    """Return the milliseconds of an iteration; with several GPUs, Python starts each kernel by itself."""
    if gpus == 1:
        return speeds.milliseconds
    return max(
        speeds.unrecorded_milliseconds,
        speeds.milliseconds / speed_up_of_training(gpus, speeds.efficiency),
    )


def seconds_of(job: PlannedJob, plan: RunPlan, speeds: Speeds) -> float:
    """Return the seconds that a job takes."""
    start_up = speeds.start_up if job.gpus else CPU_START_UP
    if job.rule == "train":
        settings = plan.training_settings(plan.settings_name(ModelName.parse(job.wildcards["model"])))
        return start_up + settings.iterations * milliseconds_of_training(job.gpus, speeds) / 1000
    an_image = 0.0
    if job.rule == "predict" or (job.rule == "evaluate" and job.gpus):
        an_image = 1 / speeds.images_a_second
    if cost := COSTS.get(job.rule):
        an_image += cost.seconds / (speeds.cores if cost.scales else 1)
    return start_up + an_image * images_of(job, plan)


def jobs_of(variant: Variant, speeds: Speeds) -> list[Job]:
    """Return all jobs of the published experiment, as a variant of the configuration divides them."""
    changes = {
        "gpus_per_training": variant.gpus_per_training,
        "prediction": {"shards": variant.shards},
        # The milliseconds of an iteration are those from decoded frames.
        "training": {"decoded_cache": True},
    }
    with tempfile.TemporaryDirectory(prefix="schedule-") as folder:
        configuration = experiment_in(Path(folder), changes)
        plan = RunPlan(resolve(configuration))
        planned = jobs_of_dry_run(dry_run(configuration, Path(folder)))
    return [Job(job.name, job.after, job.gpus, seconds_of(job, plan, speeds)) for job in planned]


# ------------------------------------------------------------------------------------ simulation


def critical_path(jobs: Sequence[Job]) -> float:
    """Return the seconds of the longest chain of jobs that wait for each other; no run is shorter."""
    named = {job.name: job for job in jobs}
    ends: dict[str, float] = {}
    for name in TopologicalSorter({job.name: job.after for job in jobs}).static_order():
        job = named[name]
        ends[name] = job.seconds + max((ends[earlier] for earlier in job.after), default=0.0)
    return max(ends.values())


def simulated(jobs: Sequence[Job], gpus: int) -> dict[str, float]:
    """Return the second in which each job ends if `gpus` GPUs work, and any number of jobs on the CPU.

    Like Snakemake it never waits for a better moment: whenever a job ends, every job that is ready and fits
    is started. One that does not fit is passed over. Snakemake promises no order; here, jobs that have been
    ready for longer go first, and of those that become ready together the first in `jobs`.

    Raises ValueError if a job takes more GPUs than there are.
    """
    if any(job.gpus > gpus for job in jobs):
        raise ValueError(f"a job takes more than {gpus} GPUs")
    waits_for = {job.name: set(job.after) for job in jobs}
    followers: dict[str, list[Job]] = {job.name: [] for job in jobs}
    for job in jobs:
        for earlier in job.after:
            followers[earlier].append(job)
    ready = [job for job in jobs if not job.after]
    running: list[tuple[float, int, Job]] = []
    ends: dict[str, float] = {}
    now, free, started = 0.0, gpus, 0
    while ready or running:
        waiting = []
        for job in ready:
            if job.gpus <= free:
                free -= job.gpus
                # Of jobs that end at the same time the one that was started first ends first.
                heapq.heappush(running, (now + job.seconds, started, job))
                started += 1
            else:
                waiting.append(job)
        ready = waiting
        now, _, ended = heapq.heappop(running)
        ends[ended.name] = now
        free += ended.gpus
        for follower in followers[ended.name]:
            waits_for[follower.name].discard(ended.name)
            if not waits_for[follower.name]:
                ready.append(follower)
    return ends


def outcome(jobs: Sequence[Job], gpus: int) -> Outcome:
    """Return the hours of a run, and how much of their time its GPUs have no job."""
    whole = max(simulated(jobs, gpus).values())
    busy = sum(job.gpus * job.seconds for job in jobs)
    return Outcome(whole / 3600, 1 - busy / (gpus * whole))


# ---------------------------------------------------------------------------------------- output


def table(
    outcomes: Mapping[Variant, Mapping[int, Outcome]], limits: Mapping[Variant, float], gpus: Sequence[int]
) -> Iterator[str]:
    """Yield the lines of a table: hours, how many times as fast as the first entry, idle share."""
    titles = ("`gpus_per_training`", "`shards`", "critical path", *map(gpus_title, gpus))
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---:|' * len(titles)}"
    first = next(iter(next(iter(outcomes.values())).values())).hours
    for variant, of_gpus in outcomes.items():
        cells = [cell(of_gpus[number], first) if number in of_gpus else "" for number in gpus]
        row = [str(variant.gpus_per_training), str(variant.shards), f"{limits[variant]:.2f} h", *cells]
        yield f"| {' | '.join(row)} |"


def cell(entry: Outcome, first: float) -> str:
    """Return hours, how many times as fast as `first` hours that is, and the idle share."""
    return f"{entry.hours:.2f} h, {first / entry.hours:.2f}×, {100 * entry.idle:.0f} %"


def gpus_title(number: int) -> str:
    """Return the title of a column."""
    return "1 GPU" if number == 1 else f"{number} GPUs"


def draw(
    path: Path,
    outcomes: Mapping[Variant, Mapping[int, Outcome]],
    limits: Mapping[Variant, float],
    title: str,
) -> None:
    """Plot hours, with the critical paths, and idle shares against the number of GPUs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    hours_axes, idle_axes = figure.subplots(1, 2)
    trained = sorted({variant.gpus_per_training for variant in outcomes})
    divided = sorted({variant.shards for variant in outcomes})
    gpus = sorted({number for of_gpus in outcomes.values() for number in of_gpus})
    for variant, of_gpus in outcomes.items():
        colour = f"C{trained.index(variant.gpus_per_training)}"
        style = ("-", "--", ":", "-.")[divided.index(variant.shards) % 4]
        shown = {"color": colour, "linestyle": style, "marker": "o", "markersize": 4}
        label = f"{variant.gpus_per_training}, {variant.shards}"
        hours_axes.plot(list(of_gpus), [entry.hours for entry in of_gpus.values()], label=label, **shown)
        idle_axes.plot(list(of_gpus), [100 * entry.idle for entry in of_gpus.values()], **shown)
        if variant.shards == divided[0]:
            hours_axes.axhline(limits[variant], color=colour, linewidth=0.8, alpha=0.5, zorder=0)
    hours_axes.plot([], [], color="0.6", linewidth=0.8, label="critical path")
    for axes, unit, top in ((hours_axes, "hours", None), (idle_axes, "idle share of the GPUs in %", 100)):
        axes.set_xscale("log", base=2)
        axes.set_xticks(gpus, [str(number) for number in gpus])
        axes.set(ylim=(0, top), xlabel="GPUs", ylabel=unit)
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right", title="gpus_per_training,\nshards", fontsize=8, title_fontsize=8)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--gpus", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    add("--gpus-per-training", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    add("--shards", type=int, nargs="+", default=[1, 4, 8], metavar="N")
    add(
        "--milliseconds",
        type=float,
        default=28,
        help="of an iteration on one GPU from decoded frames (default 28, measured on an H200)",
    )
    add(
        "--unrecorded-milliseconds",
        type=float,
        default=46,
        help="that Python needs to start the kernels of an iteration, which is recorded only on one GPU "
        "(default 46, measured)",
    )
    add(
        "--images-a-second",
        type=float,
        default=61,
        help="that one GPU predicts at 2048×1024, files included (default 61, measured)",
    )
    add("--start-up", type=float, default=7, help="seconds of a job on a GPU (default 7; measured: 4 to 10)")
    add(
        "--efficiency",
        type=float,
        default=0.9,
        help="twice the GPUs train 2 × this times as fast (default 0.9, assumed)",
    )
    add("--cores", type=int, default=16, help="CPU cores that work on a job (default 16)")
    add("--plot", type=Path, metavar="FILE", help="write a picture as well")
    options = parser.parse_args(arguments)
    speeds = Speeds(
        options.milliseconds,
        options.unrecorded_milliseconds,
        options.images_a_second,
        options.start_up,
        options.efficiency,
        options.cores,
    )
    title = (
        f"{speeds.milliseconds:g} ms an iteration ({speeds.unrecorded_milliseconds:g} ms at least on several "
        f"GPUs), {speeds.images_a_second:g} images predicted a second, "
        f"{speeds.start_up:g} s to start, efficiency {speeds.efficiency:g}, {speeds.cores} cores"
    )
    outcomes, limits = {}, {}
    for of_training, shards in product(options.gpus_per_training, options.shards):
        variant = Variant(shards, of_training)
        jobs = jobs_of(variant, speeds)
        limits[variant] = critical_path(jobs) / 3600
        outcomes[variant] = {gpus: outcome(jobs, gpus) for gpus in options.gpus if gpus >= of_training}
    print(f"{title}; each cell: hours, times as fast as the first cell, idle share of the GPUs\n")
    print("\n".join(table(outcomes, limits, options.gpus)))
    if options.plot:
        draw(options.plot, outcomes, limits, title)


if __name__ == "__main__":
    main()
