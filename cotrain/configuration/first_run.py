"""A first configuration for a camera: its choices follow from the photos, the source, and the time.

Presets hold what was tried: `try` has the stages of the embedded default, `laptop` those of the experiment
`streets_camvid`, and `paper` the published schedule. `gpu` lies between the last two; it was not tried at its
full size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import yaml

from cotrain.configuration.crop_sizes import scaled_size
from cotrain.configuration.sections import Augmentation


class Stages(NamedTuple):
    """Iterations of a training of each stage."""

    baseline: int
    self_training: int
    co_training: int
    final: int


class Preset(NamedTuple):
    """What a kind of first run has, whatever the camera.

    `short_side` is the largest that images are scaled to, `hours` the time it may take (None: as long as it
    takes), `streets` the number of rendered images of each look, `drawn` the target images that a step
    labels, and `kept_share` the share of them that is kept. With `unlike_branches`, branch b does not learn
    from the streets in the look of a game, and has a baseline of its own. `largest_crop` is the largest
    (height, width) of a crop. Of more than `most_photos`, only every k-th is taken.
    """

    words: str
    hours: float | None
    short_side: int
    label_space: str
    streets: int
    stages: Stages
    rounds: int
    cycles: int
    unlike_branches: bool
    drawn: int
    kept_share: float
    learning_rate: float
    hard_pixel_share: float
    largest_crop: tuple[int, int]
    most_photos: int | None
    save_every: int


PRESETS: dict[str, Preset] = {
    "try": Preset(
        *("minutes on a CPU", 0.2, 216, "cityscapes7", 160, Stages(350, 120, 100, 350), 2, 1, False),
        *(120, 2 / 3, 0.04, 0.5, (160, 224), 300, 50),
    ),
    "laptop": Preset(
        *("an evening on a CPU", 3.0, 360, "cityscapes19", 480, Stages(1500, 300, 250, 600), 6, 2, True),
        *(240, 1 / 2, 0.04, 0.5, (240, 320), 1000, 100),
    ),
    "gpu": Preset(
        *("hours on one GPU", 6.0, 512, "cityscapes19", 600, Stages(4000, 1500, 1500, 5000), 6, 3, True),
        *(500, 2 / 5, 0.01, 0.4, (384, 512), None, 500),
    ),
    "paper": Preset(
        *(
            "the published schedule",
            None,
            1024,
            "cityscapes19",
            1000,
            Stages(60000, 8000, 8000, 60000),
            10,
            5,
            False,
        ),
        *(500, 1 / 5, 0.002, 0.2, (512, 1024), None, 500),
    ),
}
# The published ones. More were never tried.
MOST_ITERATIONS = PRESETS["paper"].stages

SHARES_OF_SHORT_SIDE = (0.75, 0.875, 1.0)
# Sizes are multiples of it.
GRID = 16
SMALLEST_CROP = 64
# Rendered streets look odd in other proportions.
NARROWEST_STREET, WIDEST_STREET = 0.75, 2.2
# Of the pixels of an image: with fewer, an image does not show a class in the exchange. Published are 5000
# pixels of 2048×1024.
SHARE_OF_A_CLASS = 0.0024
# Of the rounds: after the first four of ten, as published, images are labelled again.
RELABELLED_SHARE = 0.4
# Iterations over which weights are averaged.
SHORTEST_AVERAGE, LONGEST_AVERAGE = 100, 1000
# Kept decoded if that takes no more than this.
MOST_DECODED_BYTES = 20_000_000_000
# Of a job: it starts Python, and for each model there are about four.
SECONDS_OF_JOBS_A_MODEL = 14.0
SECONDS_OF_OTHER_JOBS = 30.0


class Photos(NamedTuple):
    """A set of images: how many of each (height, width)."""

    sizes: Mapping[tuple[int, int], int]

    @property
    def number(self) -> int:
        """How many there are."""
        return sum(self.sizes.values())

    @property
    def middle(self) -> tuple[int, int]:
        """The median height and width, the size of one of them."""
        ordered = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        passed = 0
        for size in ordered:
            passed += self.sizes[size]
            if 2 * passed >= self.number:
                return size
        raise ValueError("there is no image")


class Sizes(NamedTuple):
    """Sizes in pixels that fit a camera; `streets` is (height, width) of rendered images."""

    short_side: int
    short_sides: tuple[int, ...]
    crop: tuple[int, int]
    streets: tuple[int, int]
    min_pixels: int


def fitting_sizes(preset: Preset, target: Photos, sources: Sequence[Photos]) -> Sizes:
    """Return sizes for which no crop is larger than a scaled image, of the target and of all sources.

    `sources` are those whose images exist; rendered streets get the target's proportions.
    """
    height, width = target.middle
    short_side = max(SMALLEST_CROP, min(preset.short_side, min(height, width)))
    short_sides = tuple(
        dict.fromkeys(
            max(SMALLEST_CROP, int(share * short_side) // 8 * 8) for share in SHARES_OF_SHORT_SIDE[:-1]
        )
    )
    short_sides = (*(side for side in short_sides if side < short_side), short_side)
    proportion = min(max(width / height, NARROWEST_STREET), WIDEST_STREET)
    streets = (short_side, round(proportion * short_side))
    if proportion < 1:
        streets = (round(short_side / proportion), short_side)
    shapes = [size for photos in (target, *sources) for size in photos.sizes]
    if not sources:
        shapes.append(streets)
    smallest = min(short_sides)
    scaled = [scaled_size(size, None, smallest, Augmentation().max_long_side) for size in shapes]
    highest, widest = min(height for height, _ in scaled), min(width for _, width in scaled)
    # A crop of an upright photo is upright.
    limit = preset.largest_crop[::-1] if proportion < 1 else preset.largest_crop
    crop = _on_grid(min(highest, limit[0])), _on_grid(min(widest, limit[1]))
    return Sizes(
        short_side,
        short_sides,
        crop,
        streets,
        max(1, _rounded(SHARE_OF_A_CLASS * height * width)),
    )


def _on_grid(pixels: float) -> int:
    return max(SMALLEST_CROP, int(pixels) // GRID * GRID)


def _rounded(number: float) -> int:
    """Return a number with two digits that count."""
    if number < 10:
        return round(number)
    step = 10 ** (math.floor(math.log10(number)) - 1)
    return int(round(number / step) * step)


class Speed(NamedTuple):
    """What was measured on the machine: seconds of an iteration, of labelling an image, of rendering all."""

    iteration: float
    image: float
    rendering: float = 0.0


def seconds_of_run(preset: Preset, stages: Stages, target: int, speed: Speed) -> float:
    """Return about how long a run takes with one job after the other."""
    baselines = 1 + preset.unlike_branches
    models = baselines + preset.rounds + 2 * preset.cycles + 1
    iterations = baselines * stages.baseline + preset.rounds * stages.self_training
    iterations += 2 * preset.cycles * stages.co_training + stages.final
    drawn = min(preset.drawn, target)
    # Each step labels its subset and most label what they keep again; both branches label all at the end.
    labelled = (preset.rounds + 2 * preset.cycles) * drawn * (1 + preset.kept_share) + 2 * target
    seconds = iterations * speed.iteration + labelled * speed.image + speed.rendering
    return seconds + models * SECONDS_OF_JOBS_A_MODEL + SECONDS_OF_OTHER_JOBS


def fitting_stages(preset: Preset, target: int, speed: Speed, hours: float | None) -> Stages:
    """Return the iterations that fit into so many hours, never fewer than the preset has."""
    if hours is None:
        return preset.stages
    least = seconds_of_run(preset, preset.stages, target, speed)
    without = seconds_of_run(preset, Stages(0, 0, 0, 0), target, speed)
    factor = max(1.0, (hours * 3600 - without) / max(least - without, 1e-9))
    return Stages(
        *(
            max(least, min(most, _rounded(factor * least)))
            for least, most in zip(preset.stages, MOST_ITERATIONS, strict=True)
        )
    )


class Dataset(NamedTuple):
    """An entry of `datasets`: its name, its lines of YAML without the name, and a comment."""

    name: str
    yaml: str
    comment: str


class FirstRun(NamedTuple):
    """All that the text of a configuration needs.

    `command` is what made it, `test` the name of the test set in `datasets`, `facts` the lines at its head.
    """

    run: str
    command: str
    preset_name: str
    label_space: str
    datasets: Sequence[Dataset]
    source: Sequence[str]
    test: str | None
    target: Photos
    sizes: Sizes
    stages: Stages
    threads: int
    device: str
    decoded_cache: bool
    facts: Sequence[str]


def _source_of_b(choice: FirstRun) -> list[str]:
    """Return what branch b learns from, if it is not the whole source: all but the game's streets."""
    if not PRESETS[choice.preset_name].unlike_branches or "streets" not in choice.source:
        return []
    return [name for name in choice.source if name != "streets"]


def preset_of(choice: FirstRun) -> Preset:
    """Return the preset, without unlike branches where the source has no part for branch b."""
    preset = PRESETS[choice.preset_name]
    return preset if _source_of_b(choice) else preset._replace(unlike_branches=False)


def _start_of_branches(choice: FirstRun) -> list[str]:
    """Return what makes the branches differ: a source of its own for branch b, or an early round for a."""
    source = _source_of_b(choice)
    if not source:
        return [
            "  # Branches begin with an early and with the last round, so that they differ.",
            f"  round_a: {0 if choice.preset_name in ('try', 'paper') else 1}",
            "  round_b: -1",
        ]
    return [
        "  # Branch b has only a part of the source, and a baseline of its own. Branches that have learnt",
        "  # from the same images make the same mistakes, and cannot correct each other.",
        f"  source_b: [{', '.join(source)}]",
        "  # Both go on from the last round: branch a with its weights, branch b with its labels.",
        "  round_a: -1",
        "  round_b: -1",
        "  initial_weights: previous",
    ]


def _sent_photos(choice: FirstRun, drawn: int, keep: int) -> list[str]:
    """Return which photos a branch sends: as published, or, where branches are unlike, as in rounds."""
    numbers = [f"  images_per_cycle: {drawn}", f"  keep: {keep}"]
    if _source_of_b(choice):
        return [*numbers, "  ranking: class_count"]
    height, width = choice.target.middle
    return [
        *numbers,
        f"  # In the exchange, a photo of {width}×{height} shows a class if it has more pixels of it.",
        f"  min_pixels: {choice.sizes.min_pixels}",
    ]


def _start_of_final(choice: FirstRun) -> list[str]:
    preset = PRESETS[choice.preset_name]
    if choice.preset_name == "paper":
        return []
    branch, why = ("a", "has the whole source") if _source_of_b(choice) else ("b", "learnt longest")
    return [
        f"  # The last model of the branch that {why}.",
        f"  initial_weights: co_training/{preset.cycles - 1:02d}/{branch}",
    ]


def _kept_photos(choice: FirstRun, photos: int, drawn: int, keep: int) -> list[str]:
    """Return which photos a round keeps: as published, or those with the most classes."""
    numbers = [f"  images_per_round: {drawn}", f"  keep: {keep}"]
    labelled = f"  # Of {photos} photos, each round labels {drawn} and keeps the {keep}"
    if choice.preset_name == "paper":
        return [f"{labelled} of which the model is surest.", *numbers]
    return [
        f"{labelled} with the most classes. Those of which a model",
        "  # is surest hardly show people, so it would forget them.",
        *numbers,
        "  ranking: class_count",
    ]


def yaml_text(value: object) -> str:
    """Return a text as YAML writes it within a line: in quotes where it could be read as something else."""
    text: str = yaml.safe_dump(str(value), default_flow_style=True, width=10_000, allow_unicode=True)
    return text.split("\n")[0]


def every_photo(preset: Preset, number: int) -> int:
    """Return k where a run takes every k-th of so many photos: all are labelled at the end."""
    return 1 if preset.most_photos is None else max(1, -(-number // preset.most_photos))


def kept(preset: Preset, drawn: int) -> int:
    """Return how many of the drawn images a step keeps."""
    return max(1, round(preset.kept_share * drawn))


def configuration_text(choice: FirstRun) -> str:
    """Return the YAML of a first run, with a comment for every choice."""
    preset, sizes, stages = PRESETS[choice.preset_name], choice.sizes, choice.stages
    number = choice.target.number
    drawn = min(preset.drawn, number)
    keep = kept(preset, drawn)
    shortest = min(stages)
    average = min(max(shortest / 2.5, SHORTEST_AVERAGE), LONGEST_AVERAGE)
    warm_up = max(1, min(1000, shortest // 10))
    longer = math.sqrt(stages.baseline / preset.stages.baseline)
    learning_rate = float(f"{preset.learning_rate / longer:.2g}")
    short_sides = ", ".join(map(str, sizes.short_sides))
    height, width = choice.target.middle
    lines = [
        "# yaml-language-server: $schema=schema.json",
        *(f"# {fact}" for fact in choice.facts),
        f"# Made by: {choice.command}",
        "# config/README.md explains every key. Edit what you like; `python -m "
        "workflow_scripts.configuration",
        "# --config FILE` checks it, and says what it comes to.",
        f"run: {yaml_text(choice.run)}",
        f"# {_about_label_space(choice.label_space)}",
        f"label_space: {yaml_text(choice.label_space)}",
        "# Cores of this machine, at most eight.",
        f"threads_per_training: {choice.threads}",
    ]
    if choice.device != "auto":
        lines += [f"device: {choice.device}"]
    lines += ["", "datasets:"]
    for dataset in choice.datasets:
        lines += [f"  # {dataset.comment}", f"  {dataset.name}: {dataset.yaml}"]
    lines += [
        f"source: [{', '.join(choice.source)}]",
        "target: camera",
        *(
            [f"test: {choice.test}"]
            if choice.test
            else [
                "# Without labels of the camera no model is scored; the pictures and the health in the "
                "report say how",
                "# the run went. Some labelled images as a further dataset, named here, can follow at any "
                "time:",
                "# test: camera_test",
            ]
        ),
        "",
        *_network(choice.preset_name),
        "",
        "training:",
        "  batch_size: 4",
        "  # Few iterations need large steps; more iterations, smaller ones.",
        f"  learning_rate: {learning_rate:g}",
        *(
            [
                "  # The head of the network starts from random numbers, the rest from ImageNet's weights.",
                "  head_learning_rate_factor: 2.0",
            ]
            if choice.preset_name != "paper"
            else []
        ),
        f"  # A tenth of the shortest training below, of {shortest} iterations.",
        f"  warmup_iterations: {warm_up}",
        f"  # The weights that label are an average over about {average:.0f} iterations, so that labels do "
        f"not",
        "  # depend on the last few batches.",
        f"  average_decay: {1 - 1 / average:.4g}",
        f"  # Height and width. Fits into the smallest of the scaled images ({short_sides} pixels on the "
        f"short side).",
        f"  crop: [{sizes.crop[0]}, {sizes.crop[1]}]",
        f"  # The usual photo has {width}×{height} pixels.",
        f"  source_augmentation: {{short_sides: [{short_sides}]}}",
        f"  target_augmentation: {{short_sides: [{short_sides}], colour_jitter: 0.2, blur: 0.2}}",
        *(
            [
                "  # To decode a photo takes longer than to train on it, so photos are kept decoded on disk.",
                "  decoded_cache: true",
            ]
            if choice.decoded_cache
            else []
        ),
        "  # A training that is interrupted loses at most as many iterations.",
        f"  save_every_iterations: {preset.save_every}",
        "",
        "# Photos are labelled at the size that the network was trained on. Labels have the size of the "
        "photo.",
        f"prediction: {{short_side: {sizes.short_side}, weights: averaged}}",
        "",
        "# With few iterations the share of hard pixels is larger, because large classes need it first.",
        f"baseline: {{iterations: {stages.baseline}, hard_pixel_share: {preset.hard_pixel_share}}}",
        "",
        "self_training:",
        f"  rounds: {preset.rounds}",
        f"  iterations: {stages.self_training}",
        f"  hard_pixel_share: {preset.hard_pixel_share}",
        *_start_of_rounds(choice.preset_name),
        *_kept_photos(choice, number, drawn, keep),
        "  batch_ratio: [2, 2]",
        "  # Share of each class's pixels that becomes pseudo-labels, and the bounds of its confidence.",
        f"  portion: {{{_portion(choice.preset_name)}}}",
        f"  confidence: {{lower: {_lower(choice.preset_name)}, upper: 0.9}}",
        f"  relabel_rounds: {round(RELABELLED_SHARE * preset.rounds)}",
        "",
        "co_training:",
        *_start_of_branches(choice),
        f"  cycles: {preset.cycles}",
        f"  iterations: {stages.co_training}",
        f"  hard_pixel_share: {preset.hard_pixel_share}",
        *_sent_photos(choice, drawn, keep),
        "  batch_ratio: [2, 2]",
        f"  portion_a: {{{_portion(choice.preset_name, later=True)}}}",
        f"  confidence: {{lower: {_lower(choice.preset_name)}, upper: 0.95}}",
        f"  relabel_cycles: {min(4, preset.cycles - 1)}",
        "",
        "final:",
        f"  iterations: {stages.final}",
        f"  hard_pixel_share: {preset.hard_pixel_share}",
        *_start_of_final(choice),
        "  batch_ratio: [2, 2]",
        *(
            [
                "  # The labels that the branches have accumulated are fewer and better than those of all "
                "photos.",
                "  labels: accumulated",
                "  class_mixing: on_demand",
            ]
            if choice.preset_name != "paper"
            else []
        ),
    ]
    return "\n".join(lines) + "\n"


def _about_label_space(name: str) -> str:
    if name == "cityscapes7":
        return (
            "Seven categories: in minutes, a network does not learn thin classes. More classes: cityscapes19."
        )
    if name == "cityscapes19":
        return "The nineteen classes of Cityscapes. Seven categories are learnt sooner: cityscapes7."
    return "The classes that are learnt."


def _network(preset: str) -> list[str]:
    if preset == "paper":
        return [
            "# The network of the paper. Its first weights are downloaded.",
            "network: {backbone: resnet101s, last_stage_dilations: [2, 4, 8], backbone_weights: timm}",
        ]
    if preset == "gpu":
        return [
            "# ImageNet weights from an installed package. Larger backbones of timm score better, for "
            "instance",
            "# `backbone: resnet101s, backbone_weights: timm`, which downloads them (docs/networks.md).",
            "network: {backbone: tf_efficientnet_lite0, backbone_weights: package}",
        ]
    return [
        "# A small network, with ImageNet weights from an installed package. With stride 32 and a narrow "
        "head, a CPU",
        "# makes three times as many iterations as with the default head.",
        "network:",
        "  backbone: tf_efficientnet_lite0",
        "  backbone_weights: package",
        "  output_stride: 32",
        "  aspp_channels: 64",
        "  aspp_dilations: [2, 4, 6]",
        "  low_level_channels: 24",
        "  decoder_channels: 48",
    ]


def _start_of_rounds(preset: str) -> list[str]:
    if preset == "paper":
        return []
    return [
        "  # Each round goes on from the round before: rounds this short would all end at the same point.",
        "  initial_weights: previous",
    ]


def _portion(preset: str, later: bool = False) -> str:
    if preset == "try":
        return (
            "initial: 0.6, maximum: 0.6, increment: 0.0"
            if later
            else "initial: 0.5, maximum: 0.6, increment: 0.1"
        )
    if preset == "paper":
        return "initial: 0.5, maximum: 0.7, increment: 0.05"
    return f"initial: {0.6 if later else 0.5}, maximum: 0.7, increment: 0.1"


def _lower(preset: str) -> float:
    # Poles, signs and fences are first learnt with little confidence: at 0.5, few would be kept.
    return 0.5 if preset == "paper" else 0.4
