"""The plan of a run: its models, what each is trained on, and which model labels what.

Pure functions of the configuration, without paths: where a file lies is the workflow's business
(`rules/common.smk`).
"""

from typing import NamedTuple

import msgspec
import numpy as np

from cotrain.adaptation.sampling import co_training_subset_seed, self_training_subset_seed
from cotrain.adaptation.thresholds import portion_at
from cotrain.configuration.choices import (
    Accumulation,
    ClassMixing,
    Collaboration,
    ExchangeRanking,
    Fill,
    FinalLabels,
    ImageFormat,
    ImageRanking,
)
from cotrain.configuration.names import (
    BASELINE,
    BASELINE_B,
    BASELINES,
    BRANCHES,
    FINAL,
    UPPER_BOUND,
    Branch,
    ImageSet,
    Labelling,
    ModelName,
    Stage,
    co_training_branch,
    self_training_round,
    steps_of,
)
from cotrain.configuration.sections import (
    ConfidenceBounds,
    Configuration,
    CoTraining,
    InferenceSettings,
    Learning,
    NetworkSettings,
    OwnNetworkSettings,
    Portion,
    Section,
    SelfTraining,
    TrainingSettings,
    Views,
    shared_values,
)

ALL_IMAGES = -1


class SubsetDraw(NamedTuple):
    """How a step's images are drawn: `number` of every `every`-th target image, by `seed`."""

    number: int
    seed: int
    every: int


class ThresholdChoices(NamedTuple):
    """How thresholds are found: shares of pixels that are kept, and bounds of the confidence."""

    portion: list[float]
    lower: float
    upper: float


class ExchangeChoices(NamedTuple):
    """How two branches exchange images in a cycle; see the keys of `co_training`."""

    cycle: int
    fill: Fill
    min_pixels: int
    ranking: ExchangeRanking
    collaboration: Collaboration
    keep: int


class AccumulationChoices(NamedTuple):
    """How a step's images join those before; `step` marks new ids of images that are met again."""

    accumulation: Accumulation
    ranking: ImageRanking | ExchangeRanking
    step: str


class Accumulated(NamedTuple):
    """The images of an earlier step, with the labels that its new model gave them if `is_relabelled`."""

    step: ModelName
    is_relabelled: bool


class Amount(Section, frozen=True, kw_only=True):
    """Some work of a run: `number` iterations or images (-1: all), done with the network of a training."""

    what: str
    number: int
    settings_name: str


class Work(Section, frozen=True, kw_only=True):
    """All trainings and labellings of a run, for an estimate of its duration."""

    trainings: tuple[Amount, ...]
    labellings: tuple[Amount, ...]


class Storage(Section, frozen=True, kw_only=True):
    """What a run writes to disk, for a check of the free space.

    `translations` are the copies of each source image, `pseudo_labelled` the images that each step keeps,
    `sample_images` the target images that each model predicts for the report, and the test images of which
    the predictions by `test_sample_models` models are kept for it.
    `models` says the key of each model's network, `averages` whether each keeps averaged weights too, and
    `optimiser_values` how many values the optimiser keeps for each parameter.
    """

    translations: int
    format: ImageFormat
    decoded_cache: bool
    pseudo_labelled: tuple[int, ...]
    sample_images: int
    test_sample_models: int = 0
    models: dict[str, str]
    averages: bool
    optimiser_values: int


class HealthSettings(Section, frozen=True, kw_only=True):
    """What a verdict on a run must know of its plan and of its keys.

    `before` names the models whose place each model takes, `labellers` those that made the labels it learns
    from; models without any have none. `rankings` and `hard_pixel_shares` are those of each stage.
    """

    before: dict[str, tuple[str, ...]]
    labellers: dict[str, tuple[str, ...]]
    rankings: dict[str, str]
    hard_pixel_shares: dict[str, float]
    collaboration: Collaboration
    rare_class_sampling: bool
    final_labels: FinalLabels
    final_mixing: ClassMixing
    final_initial_weights: str


class RunPlan:
    """Answers questions about the run that a configuration describes."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        rounds, cycles = configuration.self_training.rounds, configuration.co_training.cycles
        self.steps = steps_of(rounds, cycles)
        self.rounds, self.branch_steps = self.steps[:rounds], self.steps[rounds:]

    # ---------------------------------------------------------------------------------- models

    @property
    def models(self) -> list[ModelName]:
        """All models, in the order in which they are made."""
        upper_bound = [UPPER_BOUND] if self.configuration.upper_bound else []
        return [*self.baselines, *self.steps, FINAL, *upper_bound]

    @property
    def known_models(self) -> list[ModelName]:
        """All models that can be asked for: those of the run, and the upper bound by its target."""
        return list(dict.fromkeys([*self.models, UPPER_BOUND]))

    @property
    def baselines(self) -> list[ModelName]:
        """The models that learn from the source only: a second one where branch b begins with its own."""
        has_second = self.has_own_beginning(BASELINE_B) and self.configuration.baseline.iterations
        return [*BASELINES] if has_second else [BASELINE]

    def teacher(self, step: ModelName) -> ModelName:
        """Return the model that labels a step's images."""
        if step.place > 0:
            return step.before()
        return BASELINE if step.branch is None else self.branch_start(step.branch)

    def branch_start(self, branch: Branch) -> ModelName:
        """Return the self-training round that a co-training branch starts from."""
        co_training = self.configuration.co_training
        return self_training_round(co_training.round_a if branch == "a" else co_training.round_b)

    def parent(self, model: ModelName) -> ModelName | None:
        """Return the model whose weights a training starts from; None if it starts from others."""
        configuration = self.configuration
        if model in BASELINES:
            return None
        if model == UPPER_BOUND:
            return BASELINE
        if model.stage == "self_training":
            is_previous = configuration.self_training.initial_weights == "previous"
            return self.teacher(model) if is_previous else BASELINE
        if model.stage == "co_training":
            assert model.branch is not None
            is_previous = configuration.co_training.initial_weights == "previous"
            if self.has_own_beginning(model) and not (is_previous and model.place > 0):
                if BASELINE_B in self.baselines:
                    return BASELINE_B
                # The weights of a self-training round do not fit another network.
                if self.has_own_network(model):
                    return None
            return self.teacher(model) if is_previous else self.branch_start(model.branch)
        return ModelName.parse(configuration.final.initial_weights)

    def initial_file(self, model: ModelName) -> str | None:
        """Return the weights file of the user's that a training starts from, if it does."""
        choice = self.configuration.baseline.initial_weights
        return choice if model == BASELINE and choice != "pretrained" else None

    def has_own_network(self, model: ModelName) -> bool:
        """Whether a model has the network that branch b has for its own."""
        return model.is_of_branch_b and self.configuration.co_training.network_b is not None

    def has_own_beginning(self, model: ModelName) -> bool:
        """Whether a model is of branch b, and that differs from branch a before it learns from the target."""
        co_training = self.configuration.co_training
        return model.is_of_branch_b and bool(co_training.network_b or co_training.source_b)

    def network(self, model: ModelName) -> NetworkSettings:
        """Return the settings of a model's network."""
        network_b = self.configuration.co_training.network_b
        return network_b if network_b and self.has_own_network(model) else self.configuration.network

    def network_key(self, model: ModelName) -> str:
        """Return the key of a model's network in the configuration."""
        return "co_training.network_b" if self.has_own_network(model) else "network"

    def own_code(self, model: ModelName) -> str | None:
        """Return the import path of a model's network, if it is one of the user's own."""
        network = self.network(model)
        return network.name if isinstance(network, OwnNetworkSettings) else None

    def backbone_file(self, model: ModelName) -> str | None:
        """Return the file with the backbone's first weights, if the training starts from one."""
        starts_elsewhere = self.parent(model) or self.initial_file(model)
        return None if starts_elsewhere else self.network(model).backbone_file

    @property
    def first_networks(self) -> dict[str, str]:
        """The trainings that start from no other model: key of their network -> name of their settings."""
        first = [*self.baselines]
        if self.configuration.co_training.network_b and BASELINE_B not in first:
            first.append(co_training_branch(0, "b"))
        trainings: dict[str, str] = {}
        for model in first:
            # Both baselines may have the same network.
            trainings.setdefault(self.network_key(model), self.settings_name(model))
        return trainings

    def last_models(self, stage: Stage) -> list[ModelName]:
        """Return the baseline and the last model of each stage, up to this one, of both branches."""
        configuration = self.configuration
        last = [
            BASELINE,
            self_training_round(configuration.self_training.rounds - 1),
            *(co_training_branch(configuration.co_training.cycles - 1, branch) for branch in BRANCHES),
            FINAL,
        ]
        end = max(place for place, model in enumerate(last) if model.stage == stage)
        return last[: end + 1]

    # -------------------------------------------------------------------------------- datasets

    @property
    def sample_images(self) -> int:
        """The number of target images that every model predicts for the report."""
        report = self.configuration.report
        return max(report.sample_images, len(report.photos))

    def sources(self, model: ModelName) -> tuple[str, ...]:
        """Return the labelled datasets that a model learns from: branch b may have its own."""
        source_b = self.configuration.co_training.source_b
        return source_b if source_b and model.is_of_branch_b else self.configuration.source

    @property
    def source_datasets(self) -> list[str]:
        """The source datasets of all models, each once."""
        models = (BASELINE, BASELINE_B)
        return list(dict.fromkeys(dataset for model in models for dataset in self.sources(model)))

    def target_dataset(self, step: ModelName) -> str:
        """Return the dataset that a step labels: branch b may have its own."""
        co_training = self.configuration.co_training
        if step.branch == "b" and not co_training.same_domain:
            assert co_training.target_b is not None
            return co_training.target_b
        return self.configuration.target

    @property
    def target_datasets(self) -> list[str]:
        """The datasets whose images the run adapts to, sorted."""
        return sorted({self.target_dataset(step) for step in self.steps})

    @property
    def labelled_datasets(self) -> list[str]:
        """The datasets whose labels the run reads, sorted."""
        configuration = self.configuration
        target = [configuration.target] if configuration.upper_bound else []
        test = [configuration.test] if configuration.test else []
        return sorted({*self.source_datasets, *test, *target})

    @property
    def datasets(self) -> list[str]:
        """The datasets that play a part in the run, sorted."""
        return sorted({*self.labelled_datasets, *self.target_datasets})

    # ------------------------------------------------------------------------------ labellings

    def stage_of(self, step: ModelName) -> SelfTraining | CoTraining:
        """Return the section of the configuration that describes a step."""
        configuration = self.configuration
        return configuration.self_training if step.branch is None else configuration.co_training

    def subset_draw(self, step: ModelName) -> SubsetDraw:
        """Return how a step's images are drawn."""
        stage, seed = self.stage_of(step), self.configuration.seed
        seed_of_step = self_training_subset_seed if step.branch is None else co_training_subset_seed
        return SubsetDraw(stage.images_per_step, seed_of_step(seed, step.place), stage.every)

    def predicted(self, labelling: Labelling) -> tuple[ModelName, ImageSet]:
        """Return the model and the image set whose predictions a labelling is made from."""
        if labelling.ensemble_branch:
            last = self.configuration.co_training.cycles - 1
            return co_training_branch(last, labelling.ensemble_branch), ImageSet("target")
        assert labelling.step is not None
        if labelling.is_relabelling:
            return labelling.step, ImageSet("accumulated")
        return self.teacher(labelling.step), ImageSet("subset", step=labelling.step)

    def portion(self, labelling: Labelling) -> list[float]:
        """Return the share of pixels that a labelling keeps: one for all classes, or one for each."""
        co_training = self.configuration.co_training
        # The ensemble's models are those of the last cycle, and so is its portion.
        step = labelling.step or co_training_branch(co_training.cycles - 1, labelling.ensemble_branch or "a")
        schedule: Portion
        if step.branch is None:
            schedule = self.configuration.self_training.portion
        else:
            schedule = co_training.portion_a if step.branch == "a" else co_training.portion_b
        portion = portion_at(step.place, schedule.initial, schedule.maximum, schedule.increment)
        return [float(share) for share in np.atleast_1d(portion)]

    def confidence_bounds(self, labelling: Labelling) -> ConfidenceBounds:
        """Return the bounds of a labelling's thresholds."""
        if labelling.step is None:
            return self.configuration.co_training.confidence
        return self.stage_of(labelling.step).confidence

    def fill(self, cycle: int) -> Fill:
        """Return how the branches fill each other's void pixels.

        In the first cycle both models come fresh from self-training: they fill from the second on.
        """
        return self.configuration.co_training.fill if cycle > 0 else "none"

    def threshold_choices(self, labelling: Labelling) -> ThresholdChoices:
        """Return how a labelling's thresholds are found."""
        bounds = self.confidence_bounds(labelling)
        return ThresholdChoices(self.portion(labelling), bounds.lower, bounds.upper)

    def exchange_choices(self, cycle: int) -> ExchangeChoices:
        """Return how the branches exchange images in a cycle."""
        stage = self.configuration.co_training
        fill = self.fill(cycle)
        return ExchangeChoices(cycle, fill, stage.min_pixels, stage.ranking, stage.collaboration, stage.keep)

    def accumulation_choices(self, step: ModelName) -> AccumulationChoices:
        """Return how a step's images join those before."""
        stage = self.stage_of(step)
        return AccumulationChoices(stage.accumulation, stage.ranking, f"{step.place:02d}")

    def is_relabelled(self, step: ModelName) -> bool:
        """Whether a step's new model labels its images again: early on, and only for a step to come."""
        stage = self.stage_of(step)
        return stage.accumulation != "none" and step.place < min(stage.relabelled_steps, stage.steps - 1)

    def accumulated_before(self, step: ModelName) -> Accumulated | None:
        """Return the images that a step adds its own to; None in the first step."""
        if step.place == 0 or self.stage_of(step).accumulation == "none":
            return None
        return Accumulated(step.before(), self.is_relabelled(step.before()))

    def needs_thresholds(self, model: ModelName) -> bool:
        """Whether class mixing in a model's training needs the thresholds of its labels."""
        return self.class_mixing(model) == "on_demand"

    def class_mixing(self, model: ModelName) -> ClassMixing:
        """Return which classes of the source are pasted into a model's target images."""
        if model in self.steps:
            return self.stage_of(model).class_mixing
        mixing: ClassMixing = "none" if model in BASELINES else self.configuration.final.class_mixing
        # The labels of the upper bound are not a model's, so they have no thresholds.
        return "plain" if model == UPPER_BOUND and mixing == "on_demand" else mixing

    # -------------------------------------------------------------------------------- settings

    def settings_name(self, model: ModelName) -> str:
        """Return the name of a training's settings: one a stage, and one of a branch with its own network."""
        return "co_training_b" if self.has_own_network(model) and model.branch else model.stage

    @property
    def settings_names(self) -> list[str]:
        """The names of all trainings' settings, each once."""
        return list(dict.fromkeys(map(self.settings_name, self.models)))

    def training_settings(self, name: str) -> TrainingSettings:
        """Return the settings of the trainings whose `settings_name` is `name`."""
        configuration = self.configuration
        model = next(model for model in self.known_models if self.settings_name(model) == name)
        common = TrainingSettings(
            network=self.network(model),
            precision=configuration.precision,
            deterministic=configuration.deterministic,
            seed=configuration.seed,
            iterations=configuration.baseline.iterations,
            hard_pixel_share=configuration.baseline.hard_pixel_share,
            **shared_values(Learning, configuration.training),
        )
        if model in BASELINES:
            return common
        stage = self.stage_of(model) if model in self.steps else configuration.final
        keys = ("iterations", "hard_pixel_share", "batch_ratio")
        own = {key: getattr(stage, key) for key in keys} | {"class_mixing": self.class_mixing(model)}
        if model == UPPER_BOUND:
            own["iterations"] = self.iterations_after_baseline
        return msgspec.structs.replace(common, **own)

    @property
    def iterations_after_baseline(self) -> int:
        """The iterations of all rounds, of all cycles of one branch, and of the final training."""
        stages = (self.configuration.self_training, self.configuration.co_training)
        return sum(stage.steps * stage.iterations for stage in stages) + self.configuration.final.iterations

    def prediction_settings(self) -> InferenceSettings:
        """Return how the target is labelled; the number of shards changes no prediction."""
        section = self.configuration.prediction
        return msgspec.structs.replace(self._inference(section), class_balance=section.class_balance)

    def evaluation_settings(self) -> InferenceSettings:
        """Return how test images go through a network."""
        return self._inference(self.configuration.evaluation.protocol)

    def _inference(self, views: Views) -> InferenceSettings:
        return InferenceSettings(
            batch_size=self.configuration.prediction.batch_size,
            precision=self.configuration.precision,
            deterministic=self.configuration.deterministic,
            **shared_values(Views, views),
        )

    def labellers(self, model: ModelName) -> list[ModelName]:
        """Return the models that make the labels that a model learns from."""
        if model == FINAL:
            return [self.predicted(Labelling(ensemble_branch=branch))[0] for branch in BRANCHES]
        if model not in self.steps:
            return []
        if model.branch is None:
            return [self.teacher(model)]
        senders = {"own": [model.branch], "exchange": [*{*BRANCHES} - {model.branch}], "both": BRANCHES}
        branches = senders[self.configuration.co_training.collaboration]
        return [self.teacher(co_training_branch(model.place, branch)) for branch in branches]

    def health(self) -> HealthSettings:
        """Return what a verdict on the run must know."""
        configuration = self.configuration
        final, self_training, co_training = (
            configuration.final,
            configuration.self_training,
            configuration.co_training,
        )
        before = {step: [self.teacher(step)] for step in self.steps} | {FINAL: self.labellers(FINAL)}
        return HealthSettings(
            before={str(model): tuple(map(str, models)) for model, models in before.items()},
            labellers={str(model): tuple(map(str, self.labellers(model))) for model in before},
            rankings={"self_training": self_training.ranking, "co_training": co_training.ranking},
            hard_pixel_shares={
                "self_training": self_training.hard_pixel_share,
                "co_training": co_training.hard_pixel_share,
                "final": final.hard_pixel_share,
            },
            collaboration=co_training.collaboration,
            rare_class_sampling=configuration.training.rare_class_sampling.enabled,
            final_labels=final.labels,
            final_mixing=final.class_mixing,
            final_initial_weights=final.initial_weights,
        )

    def storage(self) -> Storage:
        """Return what the run writes to disk."""
        configuration, translation = self.configuration, self.configuration.translation
        training = configuration.training
        # AdamW keeps a mean of the gradients and one of their squares, SGD what the momentum has collected.
        optimiser_values = 2 if training.optimiser == "adamw" else int(training.momentum > 0)
        return Storage(
            translations=0 if translation.method == "none" else translation.targets_per_image,
            format=translation.format,
            decoded_cache=configuration.training.decoded_cache,
            pseudo_labelled=tuple(self.stage_of(step).keep for step in self.steps),
            sample_images=self.sample_images,
            test_sample_models=len(self.models) if self.configuration.test else 0,
            models={str(model): self.network_key(model) for model in self.models},
            averages=bool(training.average_decay),
            optimiser_values=optimiser_values,
        )

    def work(self) -> Work:
        """Return all trainings and labellings, in the order of the models."""
        configuration = self.configuration
        iterations = {
            model: self.training_settings(self.settings_name(model)).iterations for model in self.models
        }
        labellings = [
            Amount(what=f"score {model}", number=ALL_IMAGES, settings_name=self.settings_name(model))
            for model in self.models
            if configuration.test
        ]
        for step in self.steps:
            stage, teacher = self.stage_of(step), self.teacher(step)
            labellings.append(
                Amount(
                    what=f"label for {step}",
                    number=stage.images_per_step,
                    settings_name=self.settings_name(teacher),
                )
            )
            if self.is_relabelled(step):
                labellings.append(
                    Amount(
                        what=f"label again after {step}",
                        number=stage.keep * (step.place + 1),
                        settings_name=self.settings_name(step),
                    )
                )
        for branch in BRANCHES if configuration.final.labels == "ensemble" else ():
            model, _ = self.predicted(Labelling(ensemble_branch=branch))
            labellings.append(
                Amount(
                    what=f"ensemble, branch {branch}",
                    number=ALL_IMAGES,
                    settings_name=self.settings_name(model),
                )
            )
        labellings += [
            Amount(
                what=f"sample by {model}",
                number=configuration.report.sample_images,
                settings_name=self.settings_name(model),
            )
            for model in self.models
        ]
        held_out = configuration.prediction.calibration_images
        if held_out:
            labellings += [
                Amount(
                    what=f"calibrate {model}",
                    number=held_out * len(self.sources(model)),
                    settings_name=self.settings_name(model),
                )
                for model in self.models
            ]
        return Work(
            trainings=tuple(
                Amount(what=str(model), number=number, settings_name=self.settings_name(model))
                for model, number in iterations.items()
            ),
            labellings=tuple(labellings),
        )
