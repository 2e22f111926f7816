from dataclasses import replace

import numpy as np
from msgspec.structs import replace as with_keys

from cotrain.configuration.run_plan import HealthSettings
from cotrain.evaluation.health import ModelHealth
from cotrain.evaluation.verdict import findings, outcome

CLASSES = ("road", "building", "sky", "car", "human")
SOURCE = np.array([400, 300, 200, 80, 20])
A, B = "co_training/00/a", "co_training/00/b"
SETTINGS = HealthSettings(
    before={
        "self_training/00": ("baseline",),
        A: ("self_training/00",),
        B: ("self_training/00",),
        "final": (A, B),
    },
    labellers={
        "self_training/00": ("baseline",),
        A: ("self_training/00",),
        B: ("self_training/00",),
        "final": (A, B),
    },
    rankings={"self_training": "confidence", "co_training": "threshold_difference"},
    hard_pixel_shares={"self_training": 0.5, "co_training": 0.5, "final": 0.5},
    collaboration="exchange",
    rare_class_sampling=False,
    final_labels="accumulated",
    final_mixing="none",
    final_initial_weights="baseline",
)


def healthy():
    """Return the models of a run in which nothing is wrong."""
    pixels = np.array([380, 320, 210, 75, 15])
    models = {
        name: ModelHealth(name, pixels, 0.8) for name in ("baseline", "self_training/00", A, B, "final")
    }
    for name in ("self_training/00", A, B, "final"):
        models[name] = replace(models[name], kept=0.6, labels=np.array([40, 30, 20, 6, 2]))
    models[A] = replace(models[A], agreement={B: 0.95})
    models[B] = replace(models[B], agreement={A: 0.95})
    return models


def found(models, **keys):
    return findings([*models.values()], SOURCE, CLASSES, with_keys(SETTINGS, **keys), 480 * 360)


def texts(models, **keys):
    return [finding.text for finding in found(models, **keys)]


def changed(name, **values):
    models = healthy()
    models[name] = replace(models[name], **values)
    return models


def scored(*scores):
    return {
        name: replace(model, mean_iou=score)
        for (name, model), score in zip(healthy().items(), scores, strict=True)
    }


def test_nothing_is_wrong():
    assert found(healthy()) == []


def test_without_labels_nobody_knows_who_is_better():
    text = outcome([*healthy().values()])
    assert text.startswith("Whether the run gains or loses is not known")
    assert text.endswith("What follows is no score.")


def test_without_one_of_both_scores_nobody_knows_who_is_better():
    for scores in ((0.5, None), (None, 0.5)):
        baseline, final = scores
        text = outcome([*scored(baseline, None, None, None, final).values()])
        assert text.startswith("Whether the run gains or loses is not known")
    models = scored(0.5, 0.5, 0.5, 0.5, 0.6)
    del models["final"]
    assert outcome([*models.values()]).startswith("Whether the run gains or loses is not known")


def test_with_labels_it_gains_or_loses():
    def of(*scores):
        return outcome([*scored(*scores).values()])

    assert of(0.5, 0.5, 0.5, 0.5, 0.5425) == (
        "Gains: the final model has 54.25 % mIoU, 4.25 points more than the baseline."
    )
    assert of(0.5, 0.6, 0.6, 0.6, 0.49) == (
        "Loses: the final model has 49.00 % mIoU, 1.00 points less than the baseline."
    )
    assert of(0.5, 0.5, 0.5, 0.5, 0.504).startswith(
        "Neither gains nor loses: the final model has 50.40 % mIoU"
    )


def test_the_first_collapsed_model_has_the_cause():
    models = healthy()
    for name in (A, "final"):
        models[name] = replace(models[name], pixels=np.array([990, 0, 10, 0, 0]), confidence=0.9)
    first = found(models)[0]
    assert first.kind == "collapsed"
    assert first.text == (
        "co_training/00/a has collapsed: 99.0 % of the target is road to it, 40.0 % of the source "
        "is; it is sure of "
        "that, so its training went astray: lower training.learning_rate. Later models have too: final."
    )


def test_a_second_baseline_is_no_stage_after_the_first():
    models = scored(0.5, 0.52, 0.53, 0.55, 0.56)
    second = replace(models["baseline"], model="baseline_b", mean_iou=0.4)
    assert texts({"baseline": models["baseline"], "baseline_b": second} | models) == []
    # Nor is a better one what the next stage is measured by: it has another network.
    second = replace(second, mean_iou=0.9)
    assert texts({"baseline": models["baseline"], "baseline_b": second} | models) == []


def test_scores_below_those_of_an_earlier_model():
    # Within half a point nothing is said.
    assert texts(scored(0.5, 0.52, 0.516, 0.51, 0.516)) == []
    models = scored(0.5, 0.52, 0.53, 0.55, 0.53)
    assert texts(models) == [
        "final is 2.00 points of mIoU below co_training/00/b; it starts from the baseline: set "
        "final.initial_weights: co_training/00/b."
    ]
    assert "set final.class_mixing: on_demand." in texts(models, final_mixing="plain")[0]
    assert "set final.labels: accumulated." in texts(models, final_mixing="plain", final_labels="ensemble")[0]
    keys = {"final_initial_weights": B}
    assert "set final.hard_pixel_share: 1." in texts(models, **keys)[0]
    keys["hard_pixel_shares"] = {"self_training": 1.0, "co_training": 1.0, "final": 1.0}
    assert "raise final.iterations." in texts(models, **keys)[0]
    [text] = texts(scored(0.5, 0.53, 0.51, 0.52, 0.53), **keys)
    assert text == (
        "co_training/00/b, the best of its stage, is 1.00 points of mIoU below self_training/00; a "
        "branch then "
        "learns from the worse one: set co_training.collaboration: both."
    )
    [text] = texts(scored(0.5, 0.48, 0.5, 0.5, 0.5), **keys)
    assert "below baseline; the labels are most often as bad as the model that made them" in text


def test_pseudo_labels_starved_of_a_class():
    # A fifth of 2 % is 0.4 %.
    starved = np.array([400, 300, 200, 100, 3])
    models = healthy()
    for name in ("self_training/00", A):
        models[name] = replace(models[name], labels=starved)
    assert texts(models) == [
        "The pseudo-labels of self_training/00 are starved of human (0.30 % of the labels, 2.00 % of "
        "the source; so "
        "in 2 sets of labels); images without it are ranked first: set self_training.ranking: class_count."
    ]
    rankings = {"self_training": "class_count", "co_training": "class_count"}
    assert texts(models, rankings=rankings)[0].endswith("lower self_training.confidence.lower.")
    # Where the model that labels does not know the class, no selection helps.
    models["baseline"] = replace(models["baseline"], pixels=np.array([400, 300, 200, 98, 2]))
    assert texts(models)[0].endswith(
        "the model that made them hardly predicts it: set training.rare_class_sampling: {enabled: true, "
        "min_pixels: 260}."
    )
    assert texts(models, rare_class_sampling=True)[0].endswith("raise baseline.iterations.")
    assert texts(changed("final", labels=starved))[0].endswith("lower co_training.confidence.lower.")


def test_classes_that_vanish_and_classes_that_never_were():
    without = np.array([400, 300, 200, 100, 0])
    assert texts(changed("final", pixels=without)) == [
        "final hardly predicts human, which an earlier model did; pseudo-labels have most often "
        "taught it to forget: "
        "set final.hard_pixel_share: 1."
    ]
    never = {name: replace(model, pixels=without) for name, model in healthy().items()}
    assert texts(never) == [
        "No model predicts human, which the source shows; if the camera sees it, it takes longer to learn: "
        "set training.rare_class_sampling: {enabled: true, min_pixels: 260}."
    ]


def test_what_the_source_never_shows_cannot_be_learnt():
    def of(models, source):
        return findings([*models.values()], source, CLASSES, SETTINGS, 480 * 360)

    without_sky = np.array([400, 300, 0, 280, 20])
    pixels = np.array([400, 300, 0, 280, 20])
    models = {name: replace(model, pixels=pixels) for name, model in healthy().items()}
    models = {name: replace(model, labels=pixels) for name, model in models.items()}
    [finding] = of(models, without_sky)
    assert finding.kind == "unshown"
    assert finding.text.startswith("The source shows no pixel of sky: no model can learn that,")
    # The notes on the data compare source and test set.
    assert of({name: replace(model, mean_iou=0.5) for name, model in models.items()}, without_sky) == []


def test_few_pixels_are_kept():
    assert texts(changed("self_training/00", kept=0.19)) == [
        "Only 19.0 % of the pixels that self_training/00 learns from have pseudo-labels; the model "
        "that made them is "
        "unsure: raise baseline.iterations, or lower self_training.confidence.lower."
    ]
    assert texts(changed("final", kept=0.1))[0].endswith(
        "raise co_training.iterations, or lower co_training.confidence.lower."
    )
    assert texts(changed("final", kept=0.2)) == []


def test_branches_that_are_alike():
    models = healthy()
    models[A], models[B] = replace(models[A], agreement={B: 0.98}), replace(models[B], agreement={A: 0.98})
    [finding] = found(models)
    assert finding.kind == "alike"
    assert finding.text.startswith("The branches agree on 98.0 % of the pixels")
    assert "co_training.network_b" in finding.text


def test_class_shares_that_drift():
    # Half of 2 + 2 + 1 + 0.5 + 0.5 %, and of 24 + 30 + 4 + 2 %.
    assert texts(changed("final", pixels=np.array([160, 600, 160, 60, 20])))[0].startswith(
        "The class shares drift away from those of the source: 3.0 % of the pixels would have to "
        "change class in "
        "baseline, 30.0 % in final"
    )


def test_the_upper_bound_is_no_part_of_the_chain():
    models = healthy() | {"upper_bound": ModelHealth("upper_bound", np.array([1000, 0, 0, 0, 0]), 0.9)}
    assert found(models) == []
