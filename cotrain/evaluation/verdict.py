"""A verdict on a run in sentences: what went wrong, the likeliest cause, and the key to turn.

With the scores of a test set it says whether the run gains or loses. Without, nobody can know that, and it
says only what can be seen: models that collapse, classes that vanish, pseudo-labels that lack a class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cotrain.adaptation.collapse import collapse_in_words, found_collapse, iterations_key
from cotrain.adaptation.sampling import rare_class_sampling_key
from cotrain.configuration.names import BASELINE, BASELINE_B, BRANCHES, FINAL, UPPER_BOUND, ModelName
from cotrain.configuration.run_plan import HealthSettings
from cotrain.evaluation.health import (
    LARGE_ENOUGH,
    ModelHealth,
    Pixels,
    distance,
    missing_classes,
    shares_of,
)

# Pseudo-labels are starved of a class that has less than this part of its share in the source.
STARVED = 0.2
# Fewer pixels with pseudo-labels than this teach little.
FEW_KEPT = 0.2
# Branches that agree on more than this can teach each other little. On 95.5 % of the pixels (CamVid), a
# perfect judge between the branches would have gained two points.
ALIKE = 0.97
# So much further from the class shares of the source than the baseline. The target's own may differ as well,
# but those of the baseline would then differ too.
DRIFT = 0.1
# Differences of scores below half a point are ties: another seed changes as much.
TIE = 0.005
# So many classes are named in a sentence.
NAMED = 4


class Finding(NamedTuple):
    """Something that is wrong, in a sentence that ends with the likeliest cause and the key to turn."""

    kind: str
    text: str


def outcome(models: Sequence[ModelHealth]) -> str:
    """Return in a sentence whether the run gains or loses, or that this is not known."""
    scores = {model.model: model.mean_iou for model in models}
    first, last = scores.get(str(BASELINE)), scores.get(str(FINAL))
    if first is None or last is None:
        return (
            "Whether the run gains or loses is not known: that takes labelled images of the camera (the key "
            "`test`). What follows is no score."
        )
    gain = 100 * (last - first)
    has = f"the final model has {100 * last:.2f} % mIoU"
    if abs(last - first) < TIE:
        return f"Neither gains nor loses: {has}, the baseline {100 * first:.2f} %, which is a tie."
    word, comparison = ("Gains", "more") if gain > 0 else ("Loses", "less")
    return f"{word}: {has}, {abs(gain):.2f} points {comparison} than the baseline."


def findings(
    models: Sequence[ModelHealth],
    source: Pixels,
    classes: Sequence[str],
    settings: HealthSettings,
    pixels_of_an_image: float,
) -> list[Finding]:
    """Return what is wrong with a run, the worst first.

    Args:
        models: all models, in the order in which they were made.
        source: int64 (C,), the pixels of each class in the source's labels.
        classes: the names of the C classes.
        settings: what the plan and the keys of the run say.
        pixels_of_an_image: of the source, on average.
    """
    rare_classes = rare_class_sampling_key(pixels_of_an_image)
    # The upper bound is no part of the chain.
    chain = [model for model in models if model.model != str(UPPER_BOUND)]
    return [
        *_collapsed(chain, source, classes),
        *_lower_scores(chain, settings),
        *_starved(chain, source, classes, settings, rare_classes),
        *_missing(chain, source, classes, settings, rare_classes),
        *_few_kept(chain, settings),
        *_alike(chain),
        *_drift(chain, source, settings),
        *_unshown(chain, source, classes),
    ]


def _collapsed(models: Sequence[ModelHealth], source: Pixels, classes: Sequence[str]) -> list[Finding]:
    """Return which model is the first to have collapsed, and which others have."""
    found = [(model, collapse) for model in models if (collapse := found_collapse(model.pixels, source))]
    if not found:
        return []
    (first, collapse), *others = found
    text = f"{collapse_in_words(collapse, first.model, classes, first.confidence)}."
    if others:
        text += f" Later models have too: {listed([model.model for model, _ in others])}."
    return [Finding("collapsed", text)]


def listed(names: Sequence[str]) -> str:
    """Return the first names in a row, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _stage(model: str) -> str:
    return ModelName.parse(model).stage


def _lower_scores(models: Sequence[ModelHealth], settings: HealthSettings) -> list[Finding]:
    """Return where a stage has lower scores than one before it."""
    best: dict[str, tuple[float, str]] = {}
    for model in models:
        # The baseline of another network is no stage after the first.
        if model.mean_iou is not None and model.model != str(BASELINE_B):
            stage = _stage(model.model)
            best[stage] = max(best.get(stage, (-1.0, "")), (model.mean_iou, model.model))
    found, earlier = [], (-1.0, "")
    for stage, (score, model_name) in best.items():
        if score < earlier[0] - TIE:
            points = 100 * (earlier[0] - score)
            best_of = "" if stage == FINAL.stage else ", the best of its stage,"
            cause = _why_lower(stage, earlier[1], settings)
            text = f"{model_name}{best_of} is {points:.2f} points of mIoU below {earlier[1]}; {cause}"
            found.append(Finding("lower", f"{text}."))
        earlier = max(earlier, (score, model_name))
    return found


def _why_lower(stage: str, better: str, settings: HealthSettings) -> str:
    """Return why a stage is most likely worse than a model before it, and the key to turn."""
    if stage == FINAL.stage and settings.final_labels == "ensemble":
        return "images that no branch has selected often have wrong labels: set final.labels: accumulated"
    if stage == FINAL.stage and settings.final_mixing == "plain":
        return "classes pasted at random most often harm it: set final.class_mixing: on_demand"
    if stage == FINAL.stage and settings.final_initial_weights == str(BASELINE) != better:
        return f"it starts from the baseline: set final.initial_weights: {better}"
    if settings.hard_pixel_shares[stage] < 1:
        return (
            f"the hardest pixels of pseudo-labels are most often wrong ones: set {stage}.hard_pixel_share: 1"
        )
    if stage == "co_training" and settings.collaboration == "exchange":
        return "a branch then learns from the worse one: set co_training.collaboration: both"
    if stage == "self_training":
        return "the labels are most often as bad as the model that made them: raise baseline.iterations"
    return f"it has most often learnt too little: raise {stage}.iterations"


def _starved(
    models: Sequence[ModelHealth],
    source: Pixels,
    classes: Sequence[str],
    settings: HealthSettings,
    rare_classes: str,
) -> list[Finding]:
    """Return which classes hardly occur in the pseudo-labels, and from which model on."""
    by_name, of_source = {model.model: model for model in models}, shares_of(source)
    first: dict[int, tuple[ModelHealth, int]] = {}
    for model in models:
        if model.labels is None or not model.labels.any():
            continue
        few = (of_source > LARGE_ENOUGH) & (shares_of(model.labels) < STARVED * of_source)
        for train_id in np.flatnonzero(few).tolist():
            start, number = first.get(train_id, (model, 0))
            first[train_id] = start, number + 1
    # One sentence for all classes that the same model is the first to lack, and for one cause.
    groups: dict[tuple[str, str], list[str]] = {}
    for train_id, (model, number) in first.items():
        assert model.labels is not None
        shares = 100 * shares_of(model.labels)[train_id], 100 * of_source[train_id]
        seen = [by_name[name].pixels for name in settings.labellers.get(model.model, ()) if name in by_name]
        is_predicted = any(shares_of(pixels)[train_id] >= STARVED * of_source[train_id] for pixels in seen)
        cause = _why_starved(model.model, is_predicted, settings, rare_classes)
        sets = f"; so in {number} sets of labels" if number > 1 else ""
        text = f"{classes[train_id]} ({shares[0]:.2f} % of the labels, {shares[1]:.2f} % of the source{sets})"
        groups.setdefault((model.model, cause), []).append(text)
    return [
        Finding("starved", f"The pseudo-labels of {model} are starved of {listed(names)}; {cause}.")
        for (model, cause), names in groups.items()
    ]


def _why_starved(model: str, is_predicted: bool, settings: HealthSettings, rare_classes: str) -> str:
    """Return why pseudo-labels most likely lack a class, and the key to turn."""
    stage = _stage(model)
    if not is_predicted:
        labeller = next(iter(settings.labellers.get(model, ())), str(BASELINE))
        change = _learn_rare_classes(labeller, settings, rare_classes)
        return f"the model that made them hardly predicts it: {change}"
    if stage == FINAL.stage:
        return "its confidences are below the thresholds: lower co_training.confidence.lower"
    ranking = settings.rankings[stage]
    if ranking != "class_count":
        return f"images without it are ranked first: set {stage}.ranking: class_count"
    return f"its confidences are below the thresholds: lower {stage}.confidence.lower"


def _learn_rare_classes(model: str, settings: HealthSettings, rare_classes: str) -> str:
    """Return the key by which a model learns rare classes; `rare_classes` is it, where it is not set."""
    if not settings.rare_class_sampling:
        return f"set {rare_classes}"
    return f"raise {iterations_key(model)}"


def _missing(
    models: Sequence[ModelHealth],
    source: Pixels,
    classes: Sequence[str],
    settings: HealthSettings,
    rare_classes: str,
) -> list[Finding]:
    """Return which classes the last model hardly predicts, and whether an earlier one did."""
    if not models or not models[-1].pixels.any():
        return []
    last = models[-1].model
    missing = [set(missing_classes(model.pixels, source)) for model in models]
    never = sorted(set.intersection(*missing))
    lost = sorted(missing[-1] - {*never})
    found = []
    if lost:
        names = listed([classes[train_id] for train_id in lost])
        cause = f"pseudo-labels have most often taught it to forget: {_learn_from_labels(last, settings)}"
        text = f"{last} hardly predicts {names}, which an earlier model did; {cause}"
        found.append(Finding("vanished", f"{text}."))
    if never:
        names = listed([classes[train_id] for train_id in never])
        change = _learn_rare_classes(str(BASELINE), settings, rare_classes)
        cause = f"if the camera sees it, it takes longer to learn: {change}"
        text = f"No model predicts {names}, which the source shows; {cause}"
        found.append(Finding("missing", f"{text}."))
    return found


def _learn_from_labels(model: str, settings: HealthSettings) -> str:
    """Return the key by which wrong pseudo-labels harm a model less."""
    stage = _stage(model)
    if settings.hard_pixel_shares.get(stage, 1) < 1:
        return f"set {stage}.hard_pixel_share: 1"
    return "lower self_training.portion.maximum"


def _few_kept(models: Sequence[ModelHealth], settings: HealthSettings) -> list[Finding]:
    """Return which model learnt from images with few labelled pixels."""
    few = [(model.kept, model.model) for model in models if model.kept is not None and model.kept < FEW_KEPT]
    if not few:
        return []
    kept, name = min(few)
    stage = "co_training" if _stage(name) == FINAL.stage else _stage(name)
    labeller = next(iter(settings.labellers.get(name, ())), str(BASELINE))
    text = (
        f"Only {100 * kept:.1f} % of the pixels that {name} learns from have pseudo-labels; the model that "
        f"made them is unsure: raise {iterations_key(labeller)}, or lower {stage}.confidence.lower"
    )
    return [Finding("few", f"{text}.")]


def _alike(models: Sequence[ModelHealth]) -> list[Finding]:
    """Return whether the branches that make the final labels are too alike."""
    branches = [model for model in models if _stage(model.model) == "co_training"]
    if not branches:
        return []
    last = branches[-1]
    name = ModelName.parse(last.model)
    others = [str(ModelName(name.stage, name.number, branch)) for branch in BRANCHES if branch != name.branch]
    agreement = max((last.agreement.get(other, 0.0) for other in others), default=0.0)
    if agreement <= ALIKE:
        return []
    text = (
        f"The branches agree on {100 * agreement:.1f} % of the pixels, so they can teach each other little; "
        "both have learnt the same: give branch b a source or a network of its own (co_training.source_b, "
        "co_training.network_b), or start it from a later round than branch a (co_training.round_b)"
    )
    return [Finding("alike", f"{text}.")]


def _drift(models: Sequence[ModelHealth], source: Pixels, settings: HealthSettings) -> list[Finding]:
    """Return whether class shares drift away from those of the source."""
    if not source.any() or not all(model.pixels.any() for model in models):
        return []
    far = [distance(model.pixels, source) for model in models]
    if not far or far[-1] - far[0] <= DRIFT:
        return []
    first, last = models[0].model, models[-1].model
    text = (
        f"The class shares drift away from those of the source: {100 * far[0]:.1f} % of the pixels would "
        f"have to change class in {first}, {100 * far[-1]:.1f} % in {last}; wrong pseudo-labels have most "
        f"often fed themselves: {_learn_from_labels(last, settings)}"
    )
    return [Finding("drift", f"{text}.")]


def _unshown(models: Sequence[ModelHealth], source: Pixels, classes: Sequence[str]) -> list[Finding]:
    """Return which classes the source does not show; with a test set, the notes on the data say so."""
    names = [name for name, pixels in zip(classes, source.tolist(), strict=True) if not pixels]
    if not names or len(names) == len(classes) or any(model.mean_iou is not None for model in models):
        return []
    text = (
        f"The source shows no pixel of {listed(names)}: no model can learn that, and where the camera "
        "sees it, models see another class; add a dataset that shows it to source, or choose a label_space "
        "without it"
    )
    return [Finding("unshown", f"{text}.")]
