"""What a configuration comes to, and what in it is allowed but hardly meant, before anything is made."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cotrain.configuration.names import BASELINE, SECTIONS_OF_OTHERS, ModelName
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, CoTraining, NetworkSettings, SelfTraining
from cotrain.data.label_spaces import label_space
from cotrain.words import counted

# With fewer iterations, a network has hardly begun to learn classes, whatever the learning rate.
FEWEST_ITERATIONS = 100
# Crops of each image in a training. With fewer, most images are not seen at all.
FEWEST_CROPS = 0.5
# Of the iterations of the shortest stage.
LARGEST_SHARE_OF_WARM_UP = 0.5
# Of an image in a prediction and in training.
LARGEST_RATIO_OF_SIZES = 1.5


class StageWork(NamedTuple):
    """What a stage trains: `crops_of_source` and `crops_of_target` are crops of each image in one training.

    For self-training and co-training, target images are those that the first round or cycle keeps.
    """

    stage: str
    trainings: int
    iterations: int
    crops_of_source: float
    crops_of_target: float | None


def stage_works(configuration: Configuration, images: Mapping[str, int]) -> list[StageWork]:
    """Return the work of each stage, in order; `images` is the number of images of each dataset."""
    plan = RunPlan(configuration)
    target = images[configuration.target]
    works = []
    for name, trainings in _trainings(plan).items():
        first = ModelName.parse(trainings[0])
        settings = plan.training_settings(plan.settings_name(first))
        source = sum(images[name] for name in plan.sources(first))
        of_source, of_target = settings.batch_ratio or (settings.batch_size, 0)
        section = getattr(configuration, name, None)
        kept = target
        if isinstance(section, SelfTraining | CoTraining):
            kept = min(section.keep, drawn_images(section, target))
        works.append(
            StageWork(
                name,
                len(trainings),
                settings.iterations,
                settings.iterations * of_source / max(source, 1),
                settings.iterations * of_target / max(kept, 1) if of_target else None,
            )
        )
    return works


def _trainings(plan: RunPlan) -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for model in plan.models:
        stages.setdefault(model.stage, []).append(str(model))
    return stages


def drawn_images(section: SelfTraining | CoTraining, target: int) -> int:
    """Return how many of `target` images a round or cycle draws and labels."""
    available = -(-target // section.every)
    return available if section.images_per_step == -1 else min(section.images_per_step, available)


def summary(configuration: Configuration, images: Mapping[str, int]) -> str:
    """Return what the run comes to, as a text for a terminal."""
    space = label_space(configuration.label_space)
    training, co_training = configuration.training, configuration.co_training

    def datasets(*names: str) -> str:
        return ", ".join(f"{name} ({counted(images[name], 'image')})" for name in names)

    def network(settings: NetworkSettings) -> str:
        backbone = getattr(settings, "backbone", None)
        return f"{settings.name}{f', {backbone}' if backbone else ''}"

    works = stage_works(configuration, images)
    height, width = training.crop
    lines = [
        f"run      {configuration.run}, {space.number_of_classes} classes ({space.name}), seed "
        f"{configuration.seed}",
        f"source   {datasets(*configuration.source)}",
        *([f"         branch b: {datasets(*co_training.source_b)}"] if co_training.source_b else []),
        f"target   {datasets(configuration.target)}",
        f"test     {datasets(configuration.test) if configuration.test else 'none: no model is scored'}",
        f"network  {network(configuration.network)}; a batch has {training.batch_size} crops of "
        f"{width}×{height} pixels",
        *([f"         branch b: {network(co_training.network_b)}"] if co_training.network_b else []),
        "",
    ]
    head = ("stage", "trainings", "iterations", "crops of a source image", "of a target image")
    rows = [
        (
            work.stage,
            str(work.trainings),
            f"{work.iterations:,}".replace(",", " "),
            _number(work.crops_of_source),
            "–" if work.crops_of_target is None else _number(work.crops_of_target),
        )
        for work in works
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells))
    total = sum(work.trainings * work.iterations for work in works)
    lines += [
        "",
        f"{total:,} iterations in all; `snakemake estimate` measures how long they take".replace(",", " "),
    ]
    return "\n".join(lines)


def _number(crops: float) -> str:
    return f"{crops:.2g}" if crops < 10 else f"{crops:.0f}"


def advice(configuration: Configuration, images: Mapping[str, int], size: tuple[int, int]) -> list[str]:
    """Return a sentence for each setting that is allowed and hardly meant, with what to do about it.

    `images` is the number of images of each dataset, `size` the (height, width) of one of the target.
    """
    works = _advised(configuration, images)
    return [
        *_of_schedule(configuration, works),
        *_of_images(configuration, images, works),
        *_of_sizes(configuration, size),
    ]


def advice_on_schedule(configuration: Configuration, images: Mapping[str, int]) -> list[str]:
    """Return the part of `advice` on trainings that are too short to learn anything."""
    return _of_schedule(configuration, _advised(configuration, images))


def _advised(configuration: Configuration, images: Mapping[str, int]) -> list[StageWork]:
    """Return the work of the stages that have iterations of their own in the configuration.

    A model that is taken as it is needs no advice. The second baseline and the upper bound have no keys.
    """
    works = stage_works(configuration, images)
    return [work for work in works if work.iterations and work.stage not in SECTIONS_OF_OTHERS]


def _of_schedule(configuration: Configuration, works: Sequence[StageWork]) -> list[str]:
    lines = []
    training = configuration.training
    short = {work.stage: work.iterations for work in works if work.iterations < FEWEST_ITERATIONS}
    if short:
        lines.append(
            f"{_listed(short, 'iterations')}: a network learns next to nothing in fewer than "
            f"{FEWEST_ITERATIONS} "
            "iterations, so its pseudo-labels are useless; give more"
        )
    shortest = min(works, key=lambda work: work.iterations)
    warm_up = training.warmup_iterations
    if warm_up > LARGEST_SHARE_OF_WARM_UP * shortest.iterations:
        never = "before the learning rate has its value" if warm_up >= shortest.iterations else "soon after"
        lines.append(
            f"training.warmup_iterations is {warm_up}, and {shortest.stage} ends after {shortest.iterations} "
            f"iterations, {never}; expected at most a tenth of them, {max(1, shortest.iterations // 10)}"
        )
    if training.average_decay:
        window = round(1 / (1 - training.average_decay))
        # As many as the demo has are just enough.
        if window > shortest.iterations:
            fitting = 1 - 2 / shortest.iterations if shortest.iterations > 2 else 0.0
            lines.append(
                f"training.average_decay is {training.average_decay:g}: the average reaches back about "
                f"{window} iterations, and {shortest.stage} has {shortest.iterations}, so it still holds the "
                f"weights that the training began with; expected at most {fitting:.3g}"
            )
    return lines


def _of_images(
    configuration: Configuration, images: Mapping[str, int], works: Sequence[StageWork]
) -> list[str]:
    lines = []
    target = images[configuration.target]
    for name, key, section in (
        ("self_training", "images_per_round", configuration.self_training),
        ("co_training", "images_per_cycle", configuration.co_training),
    ):
        available = -(-target // section.every)
        if section.images_per_step > available:
            lines.append(
                f"{name}.{key} is {section.images_per_step}, and {configuration.target} has {available} "
                "images to draw from: each step takes all of them"
            )
        if section.keep >= drawn_images(section, target) > 1:
            lines.append(
                f"{name}.keep is {section.keep}, and a step labels {drawn_images(section, target)} images: "
                "all are kept, also those of which the model is least sure"
            )
    for work in works:
        # Later trainings go on from a model that has seen the source.
        of_source = work.crops_of_source if work.stage == BASELINE.stage else None
        for part, number in (("source", of_source), ("target", work.crops_of_target)):
            if number is not None and number < FEWEST_CROPS:
                lines.append(
                    f"{work.stage}.iterations is {work.iterations}: only {100 * min(number, 1):.0f} % of "
                    f"the {part} images are seen in a training, and each once; fewer images or more "
                    "iterations would fit better"
                )
    return lines


def _of_sizes(configuration: Configuration, size: tuple[int, int]) -> list[str]:
    """Compare the scale of images in training and in predictions."""
    augmentation, prediction = configuration.training.target_augmentation, configuration.prediction
    sides = augmentation.short_sides or [min(augmentation.resize or size)]
    own = prediction.resize is None and prediction.short_side is None
    predicted = prediction.short_side or min(prediction.resize or size)
    if min(sides) / LARGEST_RATIO_OF_SIZES <= predicted <= max(sides) * LARGEST_RATIO_OF_SIZES:
        return []
    where = "the images' own size" if own else "as prediction says"
    return [
        f"images are labelled at a short side of {predicted} pixels ({where}), and training scales those of "
        f"the target to {_range(sides)}: a network knows things at the sizes that it was trained on; set "
        f"prediction.short_side to {max(sides)}"
    ]


def _range(sides: Sequence[int]) -> str:
    return str(sides[0]) if len(set(sides)) == 1 else f"{min(sides)} to {max(sides)}"


def _listed(values: Mapping[str, int], key: str) -> str:
    parts = [f"{name}.{key} is {value}" for name, value in values.items()]
    return ", ".join(parts)
